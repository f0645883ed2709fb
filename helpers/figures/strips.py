"""Some parts of a training step's memory, each in a strip of its own: when it is there, and how much of it."""

from collections.abc import Sequence

from helpers.figures.base import Picture
from helpers.figures.paper import picture
from helpers.figures.shapes import GREY, Area, Drawing, Line, Shape, Text, category
from helpers.figures.step_memory import phase_edges, stairs
from helpers.memory import CATEGORIES, Trace
from helpers.problems import Problem, instance_of, one_of, shown
from helpers.step_memory import PHASE_NAMES
from helpers.units import readable

_LEFT, _RIGHT, _HIGH, _NEXT = 132, 640, 44, 56
_LEAST = 2.5  # pixels of what is there at all: less would not be seen


def strips_picture(trace: Trace, names: Sequence[str]) -> Picture:
    """A strip for each of the named parts, one below the other, all to one scale, operation after operation.

    trace: what `helpers.memory.trace` gave. names: some of `helpers.memory.CATEGORIES`, as in ("parameters",
    "gradients"). Raises `Problem` for anything else.
    """
    instance_of("trace", trace, Trace, "trace(models.mlp(), (1, 28, 28))")
    if not isinstance(names, list | tuple) or not names:
        raise Problem(f'names is {shown(names)}; give a list of parts, for example ["parameters", "gradients"].')
    for name in names:
        one_of("a name", name, tuple(map(str, CATEGORIES)))
    return picture(draw(trace, names))


def draw(trace: Trace, names: Sequence[str]) -> Drawing:
    """Names on the left, the most bytes of each on the right, the phases named below all."""
    edges, phases = phase_edges(trace.timeline, _LEFT, _RIGHT - _LEFT)
    pixels = _HIGH / max(*(trace.most[name] for name in names), 1)
    end = 8 + _NEXT * len(names)
    shapes: list[Shape] = []
    for place, name in enumerate(names):
        foot = 8 + _NEXT * place + _HIGH
        sizes = [event.live[name] for event in trace.timeline]
        heights = [round(foot - max(size * pixels, _LEAST * (size > 0)), 1) for size in sizes]
        shapes.append(Text(4, foot - 4, name, bold=True))
        shapes.append(Area(((_LEFT, foot), *stairs(edges, heights), (_RIGHT, foot)), **category(name)))
        shapes.append(Line(((_LEFT, foot), (_RIGHT, foot)), GREY))
        shapes.append(Text(_RIGHT + 8, foot - 4, readable(trace.most[name])))
    shapes.append(Text(4, end + 14, "operations →", colour=GREY))
    for phase, (start, stop) in phases.items():
        shapes.append(Text((start + stop) / 2, end + 14, PHASE_NAMES[phase], "middle"))
        shapes += [Line(((x, 4), (x, end)), GREY, dashed=True) for x in (start, stop)]
    return Drawing(end + 24, tuple(shapes), _sentence(trace, names))


def _sentence(trace: Trace, names: Sequence[str]) -> str:
    said = []
    for name in names:
        most = trace.most[name]
        steady = all(event.live[name] == most for event in trace.timeline)
        reached = next(PHASE_NAMES[event.phase] for event in trace.timeline if event.live[name] == most)
        said.append(f"{name} {readable(most)} {'all the time' if steady else f'at most, reached in {reached}'}")
    return f"One training step at B = {trace.batch_size:,}, from left to right: {'; '.join(said)}."
