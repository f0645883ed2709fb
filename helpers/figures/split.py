"""A batch that is split over ranks: what lies on each of them, as stacks side by side."""

from helpers.figures.base import COLOURS, Picture
from helpers.figures.paper import picture
from helpers.figures.shapes import Drawing, Line, Shape, Text, box, category, legend
from helpers.figures.step_memory import scale
from helpers.problems import instance_of
from helpers.split import PARTS, Rank, Split

HEIGHT = 412
_TOP, _BOTTOM, _LEFT, _RIGHT = 88, 288, 62, 736
_LEAST = 0.3  # pixels: less would not be seen
_WIDEST = 132  # from one stack to the next
_NAMES = {"buckets": "gradient buckets"}


def split_picture(split: Split) -> Picture:
    """What lies on each rank in a training step, as stacks side by side, beside that of one process alone.

    split: what `helpers.split.split` gave. Raises `Problem` for anything else.
    """
    return picture(draw(instance_of("split", split, Split, 'split("digits MLP", 64)')))


def draw(split: Split) -> Drawing:
    """The heading, an axis of bytes, one process alone at the left, then each rank, and the legend."""
    stacks = (split.alone, *split.ranks)
    ruler = scale(max(stack.bytes for stack in stacks))
    pixels = (_BOTTOM - _TOP) / ruler.end
    shapes: list[Shape] = [Text(4, 16 + 21 * row, line, bold=row == 0) for row, line in enumerate(split.heading)]
    shapes.append(Text(_LEFT - 8, _TOP - 16, ruler.unit, "end"))
    for mark, words in zip(ruler.marks, ruler.texts, strict=True):
        y = _BOTTOM - mark * pixels
        shapes += [Line(((_LEFT - 5, y), (_LEFT, y))), Text(_LEFT - 8, y + 5, words, "end")]
    step = min((_RIGHT - _LEFT) / len(stacks), _WIDEST)
    unit = ruler.end / float(ruler.texts[-1].replace(",", ""))
    for place, stack in enumerate(stacks):
        name = "alone" if place == 0 else f"rank {stack.rank}"
        shapes += _stack(stack, name, _LEFT + step * (place + 0.5), 0.66 * step, pixels, unit)
    shapes.append(Line(((_LEFT, _TOP), (_LEFT, _BOTTOM), (_RIGHT, _BOTTOM))))
    gap = _LEFT + step
    shapes.append(Line(((gap, _TOP - 20), (gap, _BOTTOM + 44)), dashed=True))
    for number, name in enumerate(PARTS):
        x, y = 62 + 170 * (number % 4), _BOTTOM + 64 + 26 * (number // 4)
        shapes += legend(x, y, _NAMES.get(name, name), **_look(name))
    return Drawing(HEIGHT, tuple(shapes), split.sentence, detail=_detail(split))


def _stack(stack: Rank, name: str, middle: float, wide: float, pixels: float, unit: float) -> list[Shape]:
    shapes: list[Shape] = []
    foot = float(_BOTTOM)
    for part in PARTS:
        high = stack.held[part] * pixels
        if high > _LEAST:
            shapes.append(box(middle - wide / 2, foot - high, wide, high, **_look(part)))
        foot -= high
    most = max(stack.micro_batches)
    size = f"{stack.bytes / unit:,.2f}" if stack.bytes < 100 * unit else f"{stack.bytes / unit:,.0f}"
    shapes.append(Text(middle, foot - 7, size, "middle", bold=True, halo=True))
    shapes.append(Text(middle, _BOTTOM + 19, name, "middle", bold=True))
    shapes.append(Text(middle, _BOTTOM + 39, f"B = {most}", "middle"))
    return shapes


def _look(part: str) -> dict[str, str]:
    """Buckets have the gradients' colour, since they are copies of them, and a hatch of their own."""
    return {"fill": COLOURS["gradients"], "hatch": "xx"} if part == "buckets" else category(part)


def _detail(split: Split) -> str:
    rows = [("alone", split.alone), *((f"rank {rank.rank}", rank) for rank in split.ranks)]
    return " ".join(
        f"In bytes, {name}: {', '.join(f'{_NAMES.get(part, part)} {size:,}' for part, size in row.held.items())}."
        for name, row in rows
    )
