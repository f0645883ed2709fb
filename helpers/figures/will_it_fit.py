"""What fits on a GPU: its memory as a bar, and the largest batch with one lever more; and peaks lever by lever."""

from collections.abc import Mapping

from helpers.figures.base import Picture
from helpers.figures.paper import picture
from helpers.figures.shapes import Drawing, Shape, Text, box, category, legend, stacked
from helpers.memory import CATEGORIES, Trace
from helpers.problems import Problem, instance_of
from helpers.step_memory import PHASE_NAMES
from helpers.units import readable
from helpers.will_it_fit import WillItFit

HEIGHT = 318
_ROW, _LEFT, _LONGEST = 30, 190, 350  # from one bar to the next, where they begin, the longest
_CONTEXT = {"fill": "#d9d9d9", "edge": "#333", "line": 1}


def levers_picture(steps: Mapping[str, Trace], sentence: str) -> Picture:
    """The peak of two to twelve steps as stacked bars on one scale, each with its name, its size and its phase.

    steps: {"as it is": trace(…), "bf16": trace(…)}; sentence: what they show. Raises `Problem` for anything else.
    """
    return picture(draw_levers(steps, sentence))


def draw(record: WillItFit) -> Drawing:
    """The GPU as a bar, with what the largest batch takes of it; below, the largest batch now and with each lever."""
    shapes: list[Shape] = [Text(4, 16 + 21 * row, line, bold=row == 1) for row, line in enumerate(record.heading)]
    step, capacity = record.trace, record.card.capacity
    pixels, y = 732 / max(capacity, step.peak + record.card.context), 70
    shapes.append(box(4, y, capacity * pixels, 28, edge="#333"))
    shapes += stacked(4.0, y, 28, {name: size * pixels for name, size in step.at_peak.items()})
    context = record.card.context * pixels
    shapes.append(box(4 + capacity * pixels - context, y, context, 28, **_CONTEXT))
    signs = [(name, category(name)) for name in CATEGORIES] + [("context", _CONTEXT), ("not in use", {"edge": "#333"})]
    for place, (name, look) in enumerate(signs):
        shapes += legend(4 + 148 * (place % 5), 108 + 24 * (place // 5), name, **look)
    shapes.append(Text(4, 184, "largest batch, now and with one lever more:", bold=True))
    rows = {"now": record.largest, **record.levers}
    most = max(*rows.values(), 1)
    for row, (name, batch) in enumerate(rows.items()):
        feet, best = 214 + _ROW * row, name == record.best
        shapes.append(Text(_LEFT - 10, feet, name, "end", bold=best))
        wide = max(_LONGEST * batch / most, 1.5)
        shapes.append(box(_LEFT, feet - 16, wide, 22, fill="#56B4E9" if best else "#bfe1f6", edge="#333", line=1))
        said = f"B = {batch:,}" if batch else "nothing fits"
        more = f" ({batch / record.largest:.2f} x)" if row and record.largest else ""
        shapes.append(Text(_LEFT + wide + 8, feet, said + more, bold=best))
    if not record.levers:
        shapes.append(
            Text(4, 254, "No lever more: with plain SGD, 16 bit and checkpointing all are on.", colour="#555")
        )
        shapes.append(Text(4, 288, "k micro-batches in place of one give about k times as many.", colour="#555"))
    return Drawing(HEIGHT, tuple(shapes), record.sentence)


def draw_levers(steps: Mapping[str, Trace], sentence: str) -> Drawing:
    """A row for each step; below, the signs of the categories that some bar has."""
    instance_of("steps", steps, Mapping, '{"as it is": trace(model, (3, 224, 224), 32)}')
    instance_of("sentence", sentence, str, '"bf16 saves a third."')
    if not 2 <= len(steps) <= 12:
        raise Problem(f"{len(steps)} steps; give 2 to 12 in a dictionary, a name for each.")
    for name, step in steps.items():
        instance_of(f"steps[{str(name)[:30]!r}]", step, Trace, "trace(model, (3, 224, 224), 32)")
    if long := [name for name in map(str, steps) if not 0 < len(name) <= 22]:
        raise Problem(f"the name {long[0][:50]!r} has {len(long[0])} letters; allowed are 1 to 22.")
    most, shapes = max(step.peak for step in steps.values()), []
    for row, (name, step) in enumerate(steps.items()):
        feet, wide = 22 + _ROW * row, {part: _LONGEST * size / most for part, size in step.at_peak.items()}
        shapes.append(Text(_LEFT - 10, feet, str(name), "end"))
        shapes += stacked(float(_LEFT), feet - 16, 22, wide)
        shapes.append(
            Text(_LEFT + sum(wide.values()) + 8, feet, f"{readable(step.peak)}, {PHASE_NAMES[step.peak_phase]}")
        )
    there = [part for part in CATEGORIES if any(step.at_peak[part] for step in steps.values())]
    top = 16 + _ROW * len(steps)
    for place, part in enumerate(there):
        shapes += legend(4 + 170 * (place % 4), top + 24 * (place // 4), part, **category(part))
    return Drawing(top + 24 * -(-len(there) // 4), tuple(shapes), sentence)
