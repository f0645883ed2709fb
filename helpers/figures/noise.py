"""Gradients of batches as a cloud around the full gradient, and beside it how the noise falls with B."""

from math import log2

from helpers.figures.base import COLOURS, Picture
from helpers.figures.paper import picture
from helpers.figures.shapes import GREY, Area, Drawing, Line, Marker, Shape, Text, box
from helpers.noise import GradientNoise
from helpers.problems import instance_of

HEIGHT = 400
REACH = 6.0  #: lengths of the full gradient, from the middle of the cloud to its frame
_LEFT, _TOP, _SIDE = 4, 52, 300  # the frame of the cloud
_X, _WIDE = 404, 330  # the axes of the noise
_LOWEST, _HIGHEST = -6, 5  # powers of two, of the noise
_DOT = 5


def noise_picture(noise: GradientNoise) -> Picture:
    """What `helpers.noise.gradient_noise` gave, as a picture; `Problem` for anything else."""
    return picture(draw(instance_of("noise", noise, GradientNoise, "gradient_noise(per_sample(model, x, y), 64)")))


def draw(noise: GradientNoise) -> Drawing:
    """Left the cloud, with the full gradient as an arrow; right the noise against B, on axes that double."""
    b, n = noise.batch_size, noise.samples.count
    heading = f"B = {b:,} of {n:,} images, {len(noise.along)} batches, {noise.moment}"
    shapes = [Text(_LEFT, 16, heading, bold=True), *_cloud(noise), *_falling(noise)]
    detail = "Left to right: along the full gradient. Upwards: across it, where the images differ most."
    return Drawing(HEIGHT, tuple(shapes), noise.sentence, detail)


def _cloud(noise: GradientNoise) -> list[Shape]:
    pixels, middle, level = _SIDE / 2 / REACH, _LEFT + _SIDE / 2, _TOP + _SIDE / 2
    shapes: list[Shape] = [
        box(_LEFT, _TOP, _SIDE, _SIDE, edge="#333", line=1),
        Line(((_LEFT, level), (_LEFT + _SIDE, level)), colour="#ccc"),
        Line(((middle, _TOP), (middle, _TOP + _SIDE)), colour="#ccc"),
    ]
    seen = [pair for pair in zip(noise.along, noise.across, strict=True) if max(map(abs, pair)) < REACH - 0.1]
    for along, across in seen:
        x, y = middle + along * pixels, level - across * pixels
        shapes.append(box(x - _DOT / 2, y - _DOT / 2, _DOT, _DOT, fill=COLOURS["gradients"]))
    tip = middle + pixels
    shapes += [
        Line(((middle, level), (tip - 6, level)), line=3),
        Area(((tip, level), (tip - 9, level - 6), (tip - 9, level + 6)), fill="#000"),
        Text(middle - 6, level + 20, "full gradient", "end", bold=True, halo=True),
        Text(_LEFT, _TOP - 10, "↑ across it, where images differ most"),
        Text(_LEFT + _SIDE, _TOP + _SIDE + 40, "along the full gradient, in its lengths →", "end"),
    ]
    for length in (-4, 0, 4):
        x, foot = middle + length * pixels, _TOP + _SIDE
        shapes += [Line(((x, foot), (x, foot + 4))), Text(x, foot + 20, f"{length}", "middle")]
    outside = len(noise.along) - len(seen)
    if outside:
        shapes.append(Text(_LEFT + 6, _TOP + _SIDE - 8, f"{outside} lie outside", halo=True))
    return shapes


def _falling(noise: GradientNoise) -> list[Shape]:
    samples = noise.samples
    wide, high = _WIDE / log2(2 * samples.count), _SIDE / (_HIGHEST - _LOWEST)

    def place(b: float, times: float) -> tuple[float, float]:
        power = min(max(log2(times), _LOWEST), _HIGHEST) if times > 0 else _LOWEST
        return _X + wide * log2(b), _TOP + high * (_HIGHEST - power)

    steps = [4**power for power in range(int(log2(samples.count) / 2) + 1)]
    sizes = {samples.count, samples.count // 2, *steps}
    sizes |= {samples.count - step for step in steps if step < samples.count}  # there it falls steeply
    exact = [place(b, samples.noise(b) / samples.length) for b in sorted(sizes)]
    one = samples.noise(1) / samples.length
    plain = [place(b, one / b**0.5) for b in (1, samples.count)]
    level = place(1, 1)[1]
    shapes: list[Shape] = [Text(_X - 40, _TOP - 10, "noise, in lengths of the full gradient")]
    for power in range(_LOWEST, _HIGHEST + 1, 2):
        y = _TOP + high * (_HIGHEST - power)
        words = f"{2**power}" if power >= 0 else f"1/{2**-power}"
        shapes += [Line(((_X - 4, y), (_X, y))), Text(_X - 8, y + 5, words, "end")]
    foot, end = _TOP + _SIDE, plain[1]
    for power in range(0, int(log2(samples.count)) + 1, 2):
        x = _X + wide * power
        shapes += [Line(((x, foot), (x, foot + 4))), Text(x, foot + 20, f"{2**power:,}", "middle")]
    shapes += [
        Line(((_X, _TOP), (_X, foot), (_X + _WIDE, foot))),
        Line(((_X, level), (_X + _WIDE, level)), colour=GREY, dashed=True),
        Text(_X + 6, level + 17, "as long as it", colour=GREY, halo=True),
        Line(tuple(plain), colour=GREY, dashed=True),
        Text(_X + _WIDE, end[1] - 8, "1/√B", "end", colour=GREY, halo=True),
        Line(tuple(exact), colour=COLOURS["gradients"], line=3),
        Text(exact[-1][0] + 8, foot - 8, "0", halo=True),
        Text(_X + _WIDE / 2, HEIGHT - 6, "batch size B", "middle"),
    ]
    scale = samples.noise_scale
    if 1 <= scale <= samples.count:
        x, y = place(scale, 1)
        shapes += [
            Line(((x, y), (x, foot)), dashed=True),
            Text(x - 6, foot - 10, f"noise scale {scale:,.0f}", "end", halo=True),
        ]
    shapes.append(Marker(*place(noise.batch_size, noise.relative), "circle"))
    return shapes
