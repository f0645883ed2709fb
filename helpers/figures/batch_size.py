"""Training with batches of many sizes: lines against examples, steps or seconds, and how the runs end."""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import log, log2, log10
from statistics import median

from helpers.batch_size import AT, SETTINGS, Curve, Curves, Endings, Ends, rule_in_words
from helpers.figures.base import ERROR, Picture
from helpers.figures.paper import picture
from helpers.figures.shapes import Area, Drawing, Line, Marker, Shape, Text, rectangle
from helpers.problems import instance_of

HEIGHT, ENDINGS_HEIGHT = 428, 388
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 616, 36, 340
_OCTAVES = 9  # that the axis of the curves spans, up to where all lines end
_HIGHEST = 5.0  # loss: a network that knows nothing has 2.3
#: From the smallest batch to the largest: colour and width of a line. Neither is alone: each has its name at its end.
_LOOKS = (("#A45A00", 1.2), ("#7D6608", 1.6), ("#3F7A3A", 2.0), ("#16757F", 2.5), ("#2B4C9B", 3.0), ("#1A1A40", 3.6))
_COUNTED = {
    "examples": "examples seen",
    "steps": "steps",
    "seconds": f"time, in steps at B = {AT} (measured on the CPU, one thread)",
}
_MEASURED = {"loss": "training loss", "accuracy": "test accuracy in %"}


def curves_picture(curves: Curves) -> Picture:
    """What `helpers.batch_size.curves` gave, as a picture; `Problem` for anything else."""
    return picture(draw(instance_of("curves", curves, Curves, 'batch_size.curves("digits")')))


def endings_picture(endings: Endings) -> Picture:
    """What `helpers.batch_size.endings` gave, as a picture; `Problem` for anything else."""
    return picture(draw_endings(instance_of("endings", endings, Endings, 'batch_size.endings("digits")')))


def draw(curves: Curves) -> Drawing:
    """Axes, a line for each batch size with its band, and its name at its end."""
    scale, marks = _ruler(curves)
    first = curves.limit / 2**_OCTAVES

    def x(value: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * log2(value / first) / _OCTAVES

    heading = f"{_MEASURED[curves.measure]}: {curves.data}, {rule_in_words(curves.rule, curves.data)}"
    shapes: list[Shape] = [Text(4, 20, heading, bold=True)]
    for value, words in marks:
        shapes += [Line(((_LEFT, scale(value)), (_RIGHT, scale(value))), "#ddd")]
        shapes += [Text(_LEFT - 8, scale(value) + 5, words, "end")]
    for octave in range(0, _OCTAVES + 1, 3):
        place = first * 2**octave
        shapes.append(Line(((x(place), _BOTTOM), (x(place), _BOTTOM + 5))))
        shapes.append(Text(x(place), _BOTTOM + 21, f"{place:,.0f}", "middle"))
    looks = list(zip(curves.lines, _LOOKS, strict=True))
    for line, (colour, _) in looks:
        if not line.diverged:
            shapes += _band(line, colour, x, scale)
    for line, (colour, width) in looks:
        points = tuple((max(x(place), _LEFT), scale(value)) for place, value in _seen(line, line.middle, first))
        shapes.append(Line(points, colour, width, dashed=not line.learns))
    shapes.append(Line(((_LEFT, _TOP), (_LEFT, _BOTTOM), (_RIGHT, _BOTTOM))))
    shapes += _names(looks, scale)
    shapes.append(Text((_LEFT + _RIGHT) / 2, _BOTTOM + 42, _COUNTED[curves.axis], "middle"))
    told = f"Line: median of {curves.lines[0].seeds} seeds. Band: lowest to highest, if all learn. Thicker: larger B."
    shapes.append(Text(_LEFT, _BOTTOM + 64, told))
    more = "✗: so many runs did not learn. Dashed: most of them. Lines may lie on each other."
    shapes.append(Text(_LEFT, _BOTTOM + 83, more))
    return Drawing(HEIGHT, tuple(shapes), curves.sentence, detail=_ends_in_words(curves))


def _ruler(curves: Curves) -> tuple[Callable[[float], float], list[tuple[float, str]]]:
    """Where a value lies, and the marks of the axis: the same for all curves of these data."""
    high = _BOTTOM - _TOP
    if curves.measure == "accuracy":
        return lambda value: _BOTTOM - high * value, [(mark / 100, str(mark)) for mark in (0, 20, 40, 60, 80, 100)]
    lowest = SETTINGS[curves.data].target / 200
    marks = [mark for mark in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0) if mark >= lowest]

    def scale(value: float) -> float:
        held = min(max(value, lowest), _HIGHEST)
        return _BOTTOM - high * log(held / lowest) / log(_HIGHEST / lowest)

    return scale, [(mark, f"{mark:g}") for mark in marks]


def _seen(line: Curve, values: Sequence[float], first: float) -> list[tuple[float, float]]:
    """The points from `first` on; one that lies before it is brought there."""
    points = list(zip(line.x, values, strict=True))
    for before, after in pairwise(points):
        if before[0] < first <= after[0]:
            share = log10(first / before[0]) / log10(after[0] / before[0])
            points.append((first, before[1] + share * (after[1] - before[1])))
    return sorted(point for point in points if point[0] >= first)


def _band(line: Curve, colour: str, x: Callable, scale: Callable) -> list[Shape]:
    first = line.x[-1] / 2**_OCTAVES
    low, high = (_seen(line, values, first) for values in (line.low, line.high))
    corners = tuple((max(x(place), _LEFT), scale(value)) for place, value in (*low, *reversed(high)))
    return [Area(corners, _tint(colour))]


def _tint(colour: str, share: float = 0.8) -> str:
    """The colour with so much white in it."""
    parts = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return "#" + "".join(f"{round(part + share * (255 - part)):02X}" for part in parts)


def _names(looks: Iterable[tuple[Curve, tuple[str, float]]], scale: Callable) -> list[Shape]:
    """The name of each line beside its end; where ends are close, the names stand below each other."""
    ends = sorted(((scale(line.middle[-1]), line, colour) for line, (colour, _) in looks), key=lambda end: end[0])
    places: list[float] = []
    for y, *_ in ends:
        places.append(max(y, places[-1] + 20) if places else y)
    over = max(places[-1] - (_BOTTOM - 2), 0.0)
    for place in reversed(range(len(places))):  # up again, as far as the last one is too low
        places[place] = min(places[place], _BOTTOM - 2 - 20 * (len(places) - 1 - place)) if over else places[place]
    shapes: list[Shape] = []
    for (y, line, colour), place in zip(ends, places, strict=True):
        shapes.append(Line(((_RIGHT, y), (_RIGHT + 18, place)), colour))
        lost = f" ✗ {line.diverged}/{line.seeds}" if line.diverged else ""
        words = f"{line.batch_size:,}" if lost else f"B = {line.batch_size:,}"
        shapes.append(Text(_RIGHT + 22, place + 5, words + lost, bold=True, colour=ERROR if lost else colour))
    return shapes


def _ends_in_words(curves: Curves) -> str:
    return " ".join(
        f"B = {line.batch_size:,}: {line.middle[-1]:.3g}, from {line.low[-1]:.3g} to {line.high[-1]:.3g}."
        for line in curves.lines
    )


def draw_endings(endings: Endings) -> Drawing:
    """Two axes: sharpness and test accuracy for each batch size, a dot for each run, a line at the median."""
    heading = f"{endings.data}, {rule_in_words(endings.rule, endings.data)}"
    shapes: list[Shape] = [Text(4, 20, heading, bold=True), Text(4, 42, f"after {endings.moment}")]
    shapes += _dots(endings, "sharpness", 52, "sharpness")
    shapes += _dots(endings, "accuracy", 424, "test accuracy in %", 100)
    shapes.append(Text(4, 360, "A dot: one run. A line: the median of the runs."))
    shapes.append(Text(4, 380, endings.missing))
    return Drawing(ENDINGS_HEIGHT, tuple(shapes), endings.sentence)


def _dots(endings: Endings, measure: str, left: float, name: str, factor: float = 1) -> list[Shape]:
    wide, top, bottom = 312, 84, 298
    rows = [(row, [factor * value for value in getattr(row, measure)]) for row in endings.rows]
    low, high, step = _even([value for _, values in rows for value in values] or [0.0])
    pixels = (bottom - top) / (high - low)
    shapes: list[Shape] = [Text(left, top - 14, name)]
    for count in range(round((high - low) / step) + 1):
        mark = low + count * step
        y = bottom - (mark - low) * pixels
        shapes += [Line(((left, y), (left + wide, y)), "#ddd"), Text(left - 6, y + 5, f"{mark:.4g}", "end")]
    shapes.append(Line((*rectangle(left, top, wide, bottom - top), (left, top)), "#333"))
    for place, (row, values) in enumerate(rows):
        x = left + wide * (place + 0.5) / len(rows)
        shapes += _column(row, values, x, lambda value: bottom - (value - low) * pixels)
        shapes.append(Text(x, bottom + 19, f"{row.batch_size:,}", "middle"))
    shapes.append(Text(left + wide / 2, bottom + 38, "batch size B", "middle"))
    return shapes


def _column(row: Ends, values: list[float], x: float, y: Callable[[float], float]) -> list[Shape]:
    if not values:
        return [Text(x, 192, "✗", "middle", bold=True, colour=ERROR)]
    dots: list[Shape] = [
        Marker(x + 5 * (number - (len(values) - 1) / 2), y(value), "circle") for number, value in enumerate(values)
    ]
    middle = y(median(values))
    return [*dots, Line(((x - 22, middle), (x + 22, middle)), "#0072B2", 3)]


def _even(values: Sequence[float]) -> tuple[float, float, float]:
    """Ends of an axis and the step of its marks: 1, 2 or 5 times a power of ten, three to six of them."""
    low, high = min(values), max(values)
    span = max(high - low, abs(high) * 0.01, 1e-6)
    power = 10.0 ** int(f"{span:e}".partition("e")[2])
    step = next(step for step in (power / 5, power / 2, power, 2 * power, 5 * power) if span / step <= 4.5)
    first = step * (low // step)
    return first, first + step * max(-(-(high - first) // step), 1), step
