"""The pictures of lessons 04 and 05: what the peak of a training step consists of, and how the step gets there."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log2

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from helpers.figures.base import COLOURS, FONT, HATCHES, WIDTH, Picture
from helpers.memory import CATEGORIES, Event, Trace
from helpers.units import GIB, MIB, exact_and_readable, readable

#: The phases as a reader of the code calls them.
PHASE_NAMES = {"forward": "forward", "backward": "backward", "step": "step()"}
LARGEST_B = 8192  # where the axis of batch sizes ends
_EDGE = (0, 0, 0, 0.5)  # of the hatches


def shown(trace: Trace) -> list[str]:
    """The categories to show, in the order in which they are stacked: all, but workspace only where there is some."""
    return [name for name in CATEGORIES if name != "workspace" or trace.most[name]]


def where(trace: Trace) -> str:
    """Where the peak is: `step(), operation _foreach_sqrt`."""
    layer = f", at {trace.peak_layer}" if trace.peak_layer else ""
    return f"{PHASE_NAMES[trace.peak_phase]}{layer}, operation {trace.peak_op}"


def peak_sentence(trace: Trace) -> str:
    """The peak in words: how much, where, of what."""
    parts = ", ".join(f"{name} {readable(size)}" for name, size in trace.at_peak.items() if size)
    size = exact_and_readable(trace.peak)
    return f"B = {trace.batch_size:,}: peak {size} in {where(trace)}: {parts}; largest: {trace.largest}."


def crossover_sentence(batch_size: int, crossover: int) -> str:
    """On which side of the crossover a batch size is."""
    side = "below" if batch_size < crossover else "above" if batch_size > crossover else "exactly there"
    return (
        "Batch and activations weigh as much as parameters, gradients and optimizer state "
        f"from B = {crossover:,} on; B = {batch_size:,} is {side}."
    )


def phases_sentence(trace: Trace) -> str:
    """The highest point of each phase."""
    parts = [f"{PHASE_NAMES[phase]} {readable(size)}" for phase, size in trace.peaks.items()]
    return f"Highest in each phase: {', '.join(parts)}."


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


def heading(trace: Trace, title: str = "", settings: str = "") -> tuple[str, str, str]:
    """The three lines above a picture of a step: the model, the peak and its largest part, where it is."""
    peak = f"B = {trace.batch_size:,}: peak {exact_and_readable(trace.peak)}, largest part: {trace.largest}"
    return title, peak, f"{settings}: in {where(trace)}" if settings else f"in {where(trace)}"


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


def memory_bar(trace: Trace, crossover: int | None = None, title: str = "", settings: str = "") -> Picture:
    """What the peak of a training step consists of: one stacked bar, and the same in exact bytes.

    trace: what `helpers.memory.trace` or `measure` gave. crossover: what `helpers.memory.crossover` gave for the same
    model; then an axis shows on which side of it the batch size is. title: a line above, for example the model's name.
    settings: what else to say there, for example "adam, fp32".
    """
    figure = Figure(figsize=(WIDTH, 4.6))
    _heading(figure, heading(trace, title, settings))
    axis = figure.add_axes((0.02, 0.685, 0.93, 0.09))
    ruler = scale(trace.peak)
    left = 0
    for name in shown(trace):
        size = trace.at_peak[name]
        axis.barh(0, size, left=left, height=1, color=COLOURS[name], hatch=HATCHES[name], edgecolor=_EDGE, linewidth=0)
        if size / ruler.end > 0.0135 * len(name):
            box = {"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none"}
            axis.text(left + size / 2, 0, name, fontsize=FONT - 1, ha="center", va="center", bbox=box)
        left += size
    axis.set(xlim=(0, ruler.end), ylim=(-0.5, 0.5), yticks=[])
    axis.set_xticks(ruler.marks, [*ruler.texts[:-1], f"{ruler.texts[-1]} {ruler.unit}"], fontsize=FONT - 2)
    _table(figure.add_axes((0, 0, 1, 0.6)), trace)
    sentence = peak_sentence(trace)
    if crossover is not None:
        _crossover_axis(figure, trace.batch_size, crossover)
        sentence = f"{sentence} {crossover_sentence(trace.batch_size, crossover)}"
    return Picture(figure, sentence)


def step_timeline(trace: Trace, title: str = "", settings: str = "") -> Picture:
    """One training step, operation by operation: what is alive after each, stacked by category, the peak marked.

    trace: what `helpers.memory.trace` or `measure` gave. title: a line above, for example the model's name. settings:
    what else to say there, for example "adam, fp32".
    """
    figure = Figure(figsize=(WIDTH, 4.8))
    _heading(figure, heading(trace, title, settings))
    axis = figure.add_axes((0.1, 0.31, 0.88, 0.48))
    edges, regions = phase_edges(trace.timeline, 0, 1)
    ruler = scale(trace.peak)
    below = np.zeros(len(trace.timeline) + 1)
    for name in shown(trace):
        sizes = [event.live[name] for event in trace.timeline]
        above = below + np.array([*sizes, sizes[-1]])
        look = {"facecolor": COLOURS[name], "hatch": HATCHES[name], "edgecolor": _EDGE, "linewidth": 0}
        axis.fill_between(edges, below, above, step="post", label=name, **look)
        below = above
    place = next(place for place, event in enumerate(trace.timeline) if event.total == trace.peak)
    x, y, end = (edges[place] + edges[place + 1]) / 2, trace.peak, ruler.end
    axis.vlines(x, 0, y, color="black", linestyle="--", linewidth=1)
    axis.plot(x, y, "o", color="black", markeredgecolor="white", markersize=8, clip_on=False, zorder=5)
    side, gap = ("left", 0.012) if x < 0.5 else ("right", -0.012)
    box = {"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none"}
    axis.text(x + gap, y + 0.05 * end, f"peak {readable(trace.peak)}", fontsize=FONT - 1, ha=side, bbox=box)
    for phase, (start, stop) in regions.items():
        axis.text((start + stop) / 2, -0.05 * end, PHASE_NAMES[phase], fontsize=FONT - 1, ha="center", va="top")
        axis.axvline(stop, color="black", linewidth=1)
    axis.set(xlim=(0, 1), ylim=(0, end), xticks=[])
    axis.set_yticks(ruler.marks, ruler.texts, fontsize=FONT - 2)
    axis.set_ylabel(ruler.unit, fontsize=FONT - 1)
    axis.text(0.5, -0.16 * end, "operations, in order →", fontsize=FONT - 1, ha="center", va="top")
    figure.legend(loc="lower center", ncols=4, fontsize=FONT - 1, frameon=False, columnspacing=1.2)
    return Picture(figure, f"{peak_sentence(trace)} {phases_sentence(trace)}")


def _heading(figure: Figure, lines: Sequence[str]) -> None:
    height = figure.get_figheight()
    for row, (line, weight) in enumerate(zip(lines, ("normal", "bold", "normal"), strict=True)):
        figure.text(0.02, 1 - (0.18 + 0.24 * row) / height, line, fontsize=FONT - 2, weight=weight, va="center")


def _table(axis: Axes, trace: Trace) -> None:
    axis.set(xlim=(0, 1), ylim=(0, 1))
    axis.axis("off")
    rows = [(name, trace.at_peak[name]) for name in shown(trace)]
    step = 0.98 / (len(rows) + 2)
    columns = ((0.055, "left"), (0.4, "right"), (0.53, "right"), (0.615, "right"))
    cells = [("at the peak", "bytes", "MiB", "share")]
    cells += [(name, f"{size:,}", f"{size / MIB:,.2f}", f"{size / trace.peak:.1%}") for name, size in rows]
    cells += [("together", f"{trace.peak:,}", f"{trace.peak / MIB:,.2f}", "100%")]
    for row, texts in enumerate(cells):
        y = 1 - step * (row + 0.6)
        strong = "bold" if texts[0] in ("at the peak", trace.largest, "together") else "normal"
        for (x, side), text in zip(columns, texts, strict=True):
            axis.text(x, y, text, fontsize=FONT - 2, ha=side, va="center", weight=strong)
        if texts[0] in COLOURS:
            look = {"facecolor": COLOURS[texts[0]], "hatch": HATCHES[texts[0]] * 2, "edgecolor": _EDGE, "linewidth": 0}
            axis.add_patch(Rectangle((0.02, y - step * 0.36), 0.025, step * 0.72, **look))


def _crossover_axis(figure: Figure, batch_size: int, crossover: int) -> None:
    lines = (
        ("Batch + activations weigh as", "normal"),
        ("much as parameters + gradients", "normal"),
        ("+ optimizer state at", "normal"),
        (f"◆ B = {crossover:,}", "bold"),
    )
    for row, (line, weight) in enumerate(lines):
        figure.text(0.66, 0.56 - 0.055 * row, line, fontsize=FONT - 2, weight=weight, va="center")
    axis = figure.add_axes((0.67, 0.16, 0.3, 0.05))
    at = min(crossover, LARGEST_B)
    axis.axvspan(at, LARGEST_B, color="#cccccc")
    axis.axvline(at, color="black", linewidth=2)
    axis.plot(at, 0.5, "D", color="black", markersize=8, clip_on=False)
    axis.plot(min(batch_size, LARGEST_B), 1.35, "v", color="black", markersize=8, clip_on=False)
    side = "left" if batch_size < 8 else "right" if batch_size > 1024 else "center"
    axis.text(batch_size, 1.9, f"now B = {batch_size:,}", fontsize=FONT - 2, ha=side)
    axis.set_xscale("log", base=2)
    axis.set(xlim=(1, LARGEST_B), ylim=(0, 1), yticks=[])
    marks = [1, 8, 64, 512, 4096]
    axis.set_xticks(marks, [f"{mark:,}" for mark in marks], fontsize=FONT - 2)
    axis.minorticks_off()
    figure.text(0.66, 0.04, "model heavier", fontsize=FONT - 2)
    figure.text(0.98, 0.04, "batch heavier", fontsize=FONT - 2, ha="right")
