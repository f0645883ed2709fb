"""The drawings of lessons 07 and 08: what the peak of a training step consists of, and how the step gets there."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log2

from helpers.figures.base import Picture
from helpers.figures.paper import picture
from helpers.figures.shapes import Area, Drawing, Line, Marker, Points, Shape, Text, box, category, legend
from helpers.memory import Event, Trace
from helpers.problems import instance_of, whole_number
from helpers.step_memory import LARGEST_B, PHASE_NAMES, StepMemory
from helpers.units import GIB, MIB, readable

BAR_HEIGHT, TIMELINE_HEIGHT = 312, 396
_EXAMPLE = "trace(models.mlp(), (1, 28, 28))"


def memory_bar(trace: Trace, crossover: int | None = None, title: str = "", settings: str = "") -> Picture:
    """What the peak of a training step consists of: one stacked bar, and the same in exact bytes.

    trace: what `helpers.memory.trace` or `measure` gave. crossover: what `helpers.memory.crossover` gave for the same
    model; then an axis shows on which side of it the batch size is. title: a line above, for example the model's name.
    settings: what else to say there, for example "adam, fp32". Raises `Problem` for anything else.
    """
    if crossover is not None:
        whole_number("crossover", crossover, 1)
    return picture(draw_bar(_record(trace, crossover, title, settings)))


def step_timeline(trace: Trace, title: str = "", settings: str = "") -> Picture:
    """One training step, operation by operation: what is alive after each, stacked by category, the peak marked.

    trace: what `helpers.memory.trace` or `measure` gave. title: a line above, for example the model's name. settings:
    what else to say there, for example "adam, fp32". Raises `Problem` for anything else.
    """
    return picture(draw_timeline(_record(trace, None, title, settings)))


def _record(trace: Trace, crossover: int | None, title: str, settings: str) -> StepMemory:
    instance_of("trace", trace, Trace, _EXAMPLE)
    instance_of("title", title, str, '"my model"')
    instance_of("settings", settings, str, '"adam, fp32"')
    return StepMemory(trace, crossover, title, settings)


@dataclass(frozen=True)
class Scale:
    """An axis of bytes: where it ends and its marks, in bytes, with their texts in `unit`."""

    end: float
    marks: tuple[float, ...]
    texts: tuple[str, ...]
    unit: str


def scale(n_bytes: int) -> Scale:
    """The axis for up to `n_bytes`. It ends at 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6 … MiB; from 1 GiB on it is in GiB.

    So the axis stays while a value changes a little, and what is drawn fills at least two thirds of it.
    """
    unit, name = (GIB, "GiB") if n_bytes >= GIB else (MIB, "MiB")
    power = max(2.0 ** ceil(log2(max(n_bytes, 1) / unit)), 0.25)
    end, steps = (0.75 * power, 3) if n_bytes <= 0.75 * power * unit and power > 0.25 else (power, 4)
    marks = [end * step / steps for step in range(steps + 1)]
    texts = tuple(f"{mark:,.0f}" if mark >= 1000 else f"{mark:g}" for mark in marks)
    return Scale(end * unit, tuple(mark * unit for mark in marks), texts, name)


def phase_edges(timeline: Sequence[Event], left: float, width: float) -> tuple[list[float], dict[str, tuple]]:
    """Where on the x axis each event begins, with the end of the last; and (start, end) of each phase.

    The events of a phase are equally wide. Each phase has an eighth of the width, so that its name fits under it, and
    a share of the rest by its events.
    """
    counts = {phase: sum(event.phase == phase for event in timeline) for phase in PHASE_NAMES}
    counts = {phase: count for phase, count in counts.items() if count}
    least = width / 8
    rest = width - least * len(counts)
    edges, regions, x = [], {}, left
    for phase, count in counts.items():
        wide = least + rest * count / len(timeline)
        edges += [x + wide * place / count for place in range(count)]
        regions[phase] = (x, x + wide)
        x += wide
    return [*edges, x], regions


def _heading(record: StepMemory) -> list[Shape]:
    return [Text(4, 16 + 21 * row, line, bold=row == 1) for row, line in enumerate(record.heading)]


def draw_bar(record: StepMemory) -> Drawing:
    """The peak as a stacked bar, the same as a table, and beside it the crossover or, without one, the phases."""
    ruler, peak, left = scale(record.trace.peak), record.trace.at_peak, 4.0
    pixels = 660 / ruler.end  # of one byte
    shapes, names = _heading(record), []
    for name in record.shown:
        wide = peak[name] * pixels
        shapes.append(box(left, 70, wide, 30, **category(name)))
        if wide > 9 * len(name) + 8:
            names.append(Text(left + wide / 2, 90, name, "middle", halo=True))
        left += wide
    shapes += [*names, Line(((4, 66), (4, 100), (664, 100)))]
    for mark, words in zip(ruler.marks, [*ruler.texts[:-1], f"{ruler.texts[-1]} {ruler.unit}"], strict=True):
        x = 4 + mark * pixels
        shapes += [Line(((x, 100), (x, 106))), Text(x, 121, words, "middle" if mark else "start")]
    side = _phases(record) if record.crossover is None else _crossover(record)
    return Drawing(BAR_HEIGHT, (*shapes, *_table(record), *side), record.sentence, detail=record.bytes_sentence)


def _table(record: StepMemory) -> list[Shape]:
    peak, at_peak = record.trace.peak, record.trace.at_peak
    sizes = {name: at_peak[name] for name in record.shown} | {"together": peak}
    rows = [("at the peak", "bytes", "MiB", "share")]
    rows += [(name, f"{size:,}", f"{size / MIB:,.2f}", f"{size / peak:.1%}") for name, size in sizes.items()]
    shapes: list[Shape] = []
    high = min(172 / len(rows), 19)
    for row, (name, *numbers) in enumerate(rows):
        y, bold = 149 + high * row, name in ("at the peak", record.trace.largest, "together")
        if name in at_peak:
            shapes.append(box(4, y - 12, 18, 14, **category(name)))
        shapes.append(Text(28 if name in at_peak else 4, y, name, bold=bold))
        shapes += [Text(x, y, words, "end", bold=bold) for x, words in zip((280, 378, 446), numbers, strict=True)]
    return shapes


def _crossover(record: StepMemory) -> list[Shape]:
    """The axis of batch sizes: the light part, where the model is heavier, the grey one, and where B is now."""
    now, at = record.trace.batch_size, record.crossover
    here, there = _place(now), _place(at)
    side = "start" if here < 530 else "end" if here > 670 else "middle"
    shapes = [
        Text(462, 149, "Batch + activations weigh as much as"),
        Text(462, 169, "parameters + gradients + state at"),
        Text(462, 189, f"◆ B = {at:,}", bold=True),
        Text(here, 222, f"now B = {now:,}", side),
        box(466, 242, 264, 18, edge="#000", line=1),
        box(there, 242, 730 - there, 18, fill="#ccc", edge="#000", line=1),
        Marker(there, 251, "diamond"),
        Marker(here, 240, "down"),
    ]
    for mark in (1, 8, 64, 512, 4096):
        shapes += [Line(((_place(mark), 260), (_place(mark), 265))), Text(_place(mark), 279, f"{mark:,}", "middle")]
    return [*shapes, Text(462, 301, "model heavier"), Text(736, 301, "batch heavier", "end")]


def _place(batch_size: int) -> float:
    """Where a batch size is on the axis, in pixels."""
    return 466 + 264 * log2(min(batch_size, LARGEST_B)) / log2(LARGEST_B)


def _phases(record: StepMemory) -> list[Shape]:
    rows = ("highest in each phase", *record.phases)
    return [Text(480, 149 + 24 * row, words, bold=row == 0) for row, words in enumerate(rows)]


def draw_timeline(record: StepMemory) -> Drawing:
    """What is alive after each operation, stacked by category, the phases side by side, the peak marked."""
    step, top, bottom, left, right = record.trace, 92, 300, 66, 732
    ruler = scale(step.peak)
    edges, regions = phase_edges(step.timeline, left, right - left)

    def height(size: float) -> float:
        return round(bottom - size / ruler.end * (bottom - top), 1)

    areas: list[Shape] = []
    totals = [0] * len(step.timeline)
    for name in record.shown:
        totals = [total + event.live[name] for total, event in zip(totals, step.timeline, strict=True)]
        steps = stairs(edges, [height(total) for total in totals])
        areas.append(Area(((left, bottom), *steps, (right, bottom)), **category(name)))
    shapes = [*_heading(record), *reversed(areas)]  # the highest first; each hides what is below it
    for mark, words in zip(ruler.marks, ruler.texts, strict=True):
        y = height(mark)
        shapes += [Line(((left - 5, y), (left, y))), Text(left - 8, y + 5, words, "end")]
    shapes.append(Text(left - 8, top - 14, ruler.unit, "end"))
    for phase, (start, stop) in regions.items():
        shapes.append(Line(((stop, top), (stop, bottom + 6))))
        shapes.append(Text((start + stop) / 2, bottom + 18, PHASE_NAMES[phase], "middle"))
    shapes += [Line(((left, top), (left, bottom), (right, bottom)))]
    shapes.append(Text((left + right) / 2, bottom + 38, "operations, in order →", "middle"))
    place = next(place for place, event in enumerate(step.timeline) if event.total == step.peak)
    x, y = (edges[place] + edges[place + 1]) / 2, height(step.peak)
    shapes += [Line(((x, y), (x, bottom)), dashed=True), Marker(x, y, "circle")]
    side, gap = ("start", 9) if x < (left + right) / 2 else ("end", -9)
    shapes.append(Text(x + gap, y - 6, f"peak {readable(step.peak)}", side, bold=True, halo=True))
    for number, name in enumerate(record.shown):
        x, y = left + 170 * (number % 4), bottom + 52 + 24 * (number // 4)
        shapes += legend(x, y, name, **category(name))
    return Drawing(TIMELINE_HEIGHT, tuple(shapes), record.sentence)


def stairs(edges: Sequence[float], heights: Sequence[float]) -> Points:
    """The upper edge of an area, as steps; neighbours of the same height are one step."""
    points: list[tuple[float, float]] = []
    for edge, height in zip(edges, heights, strict=False):
        if not points or height != points[-1][1]:
            points += [(edge, points[-1][1]), (edge, height)] if points else [(edge, height)]
    return (*points, (edges[-1], heights[-1]))
