"""The drawing of the shape flow panel: a box for the batch and for each layer, and the error where it stops."""

from helpers.figures.base import COLOURS, ERROR
from helpers.figures.shapes import GREY, Drawing, Shape, Text, box, lines
from helpers.shape_flow import ShapeFlow

HEIGHT = 244
_WIDE, _TALL, _STEP = 134, 132, 150.5  # of a stage, and from one to the next


def draw(flow: ShapeFlow) -> Drawing:
    """The stages from left to right; below them the parameters, and what came of it."""
    shapes = [*_stage(2, "batch", "", ""), *_shape(2, flow.input_shape)]
    for place, stage in enumerate(flow.stages, start=1):
        left, learned = 2 + _STEP * place, f"{stage.parameters:,}" if stage.parameters else "no"
        shapes.append(Text(left - 8, 72, "→", "middle"))
        if stage.shape is not None:
            shapes += [*_stage(left, stage.name, stage.sizes, learned), *_shape(left, stage.shape)]
        elif place == flow.failed + 1:
            shapes += _stage(left, stage.name, stage.sizes, learned, edge=ERROR, line=3)
            shapes.append(Text(left + _WIDE / 2, 72, "✗ error", "middle", bold=True, colour=ERROR))
        else:
            shapes += _stage(left, stage.name, stage.sizes, learned, edge=GREY, line=1.5, dashed=True)
            shapes.append(Text(left + _WIDE / 2, 72, "not reached", "middle", colour=GREY))
    shapes += [box(2, 144, 20, 20, fill=COLOURS["batch"]), Text(12, 159, "B", "middle", bold=True)]
    shapes.append(Text(28, 159, "is the batch size: in every shape, in no parameter."))
    shapes.append(Text(2, 187, flow.size, bold=True))
    kind, words = (flow.error or "No error: Every layer gets rows as long as it takes.").split(": ", 1)
    colour = ERROR if flow.error else "#000"
    shapes += [box(2, 199, 4, 42, fill=ERROR if flow.error else "#ccc"), Text(14, 215, kind, bold=True, colour=colour)]
    shapes += lines(14, 235, words, 85)
    return Drawing(HEIGHT, tuple(shapes), flow.sentence)


def _stage(left: float, name: str, sizes: str, learned: str, edge: str = "#333", **look: object) -> list[Shape]:
    middle = left + _WIDE / 2
    shapes: list[Shape] = [box(left, 2, _WIDE, _TALL, edge=edge, **look), Text(middle, 25, name, "middle", bold=True)]
    shapes.append(Text(middle, 47, sizes, "middle"))
    if learned:
        shapes += [Text(middle, 99, learned, "middle"), Text(middle, 120, "parameters", "middle")]
    return shapes


def _shape(left: float, shape: tuple[int, ...]) -> list[Shape]:
    """A shape in the middle of its stage, the batch axis in its colour."""
    size, rest = str(shape[0]), "".join(f", {size}" for size in shape[1:])
    wide = 9 * len(size) + 6
    x = left + (_WIDE - wide - 7.2 * len(rest)) / 2
    ground = box(x, 56, wide, 21, fill=COLOURS["batch"])
    return [ground, Text(x + wide / 2, 72, size, "middle", bold=True), Text(x + wide + 1, 72, rest)]
