"""Micro-batches as boxes, and below them the gradient of the whole batch beside the accumulated one."""

from helpers.accumulate import BATCH, Accumulated
from helpers.figures.base import COLOURS, ERROR, Picture
from helpers.figures.paper import picture
from helpers.figures.shapes import GREY, Drawing, Line, Shape, Text, box, category, legend
from helpers.problems import instance_of

HEIGHT = 326
_LEFT, _WIDE = 4, 732  # the row of micro-batches
_MIDDLE, _HALF = 206, 80  # where a gradient is 0, and the highest bar


def accumulate_picture(accumulated: Accumulated) -> Picture:
    """What `helpers.accumulate.accumulate` gave, as a picture; `Problem` for anything else."""
    return picture(draw(instance_of("accumulated", accumulated, Accumulated, "accumulate(16)")))


def draw(record: Accumulated) -> Drawing:
    """A box for each micro-batch, as wide as it has images, with its factor; ten pairs of bars; the error."""
    shapes: list[Shape] = []
    left, pixels = float(_LEFT), _WIDE / BATCH
    for size, factor in zip(record.sizes, record.factors, strict=True):
        wide = size * pixels
        shapes.append(box(left, 4, wide, 26, fill=COLOURS["batch"], edge="#333"))
        if wide >= 26:
            shapes.append(Text(left + wide / 2, 23, str(size), "middle", bold=True))
        if wide >= 52:
            shapes.append(Text(left + wide / 2, 50, f"x {factor:.3g}", "middle"))
        left += wide
    if max(record.sizes) * pixels < 52:
        shapes.append(Text(_LEFT, 50, f"each x {record.factors[0]:.3g}"))
    count = len(record.sizes)
    told = f"k = {count} micro-batch{'es' * (count > 1)}, each loss {record.scale}, {record.network}"
    shapes.append(Text(_LEFT, 76, told, bold=True))
    shapes += legend(_LEFT, 90, "whole batch", **category("gradients"))
    shapes += legend(_LEFT + 150, 90, "added up", fill="#fff", edge="#000")
    highest = max(map(abs, (*record.whole, *record.parts)))
    shapes.append(Text(736, 102, f"gradient of the last layer's 10 biases; highest: {highest:.2g}", "end"))
    shapes += _bars(record)
    shapes.append(Text(_LEFT, 318, _short(record), bold=True, colour="#000" if record.equal else ERROR))
    return Drawing(HEIGHT, tuple(shapes), record.sentence)


def _bars(record: Accumulated) -> list[Shape]:
    most = max(map(abs, (*record.whole, *record.parts)))
    shapes: list[Shape] = [box(_LEFT, _MIDDLE - 90, _WIDE, 180, edge="#ccc", line=1)]
    for place, (whole, added) in enumerate(zip(record.whole, record.parts, strict=True)):
        x = 10 + 73.2 * place
        for left, value, look in ((x, whole, category("gradients")), (x + 28, added, {"fill": "#fff"})):
            high = _HALF * abs(value) / most
            shapes.append(box(left, _MIDDLE - (high if value > 0 else 0), 26, high, edge="#000", line=1, **look))
    return [*shapes, Line(((_LEFT, _MIDDLE), (736, _MIDDLE)), colour=GREY)]


def _short(record: Accumulated) -> str:
    if record.equal:
        return f"✓ equal: relative error {record.error:.0e}"
    return f"✗ not equal: relative error {record.error:.2f}"
