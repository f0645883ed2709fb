"""The two panels of lesson 04: the memory bar and the timeline of one training step."""

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import log2

import ipywidgets as widgets
import torch
from torch import nn

from helpers import figures, models
from helpers.figures import COLOURS, HATCHES, Picture
from helpers.figures.step_memory import (
    LARGEST_B,
    PHASE_NAMES,
    crossover_sentence,
    heading,
    peak_sentence,
    phase_edges,
    phases_sentence,
    scale,
    shown,
)
from helpers.memory import Trace, any_batch, crossover_of, trace
from helpers.panels.core import Control, Panel, choice, doublings, number
from helpers.units import MIB, readable

_SHAPES = {
    "digits MLP": (1, 28, 28),
    "colours MLP": (3, 32, 32),
    "colours CNN": (3, 32, 32),
    "ResNet-18": (3, 224, 224),
}
_RESNET = "ResNet-18"
_SLOW = 0.25  # seconds of quiet before work that takes longer than a moment


@dataclass(frozen=True)
class StepMemory:
    """What the memory panels show: one training step of one model."""

    trace: Trace
    crossover: int | None  #: None where the panel does not show it
    model: str
    about: str  #: the model's layers and parameters
    settings: str  #: optimizer and precision

    @property
    def start(self) -> str:
        return f"{self.model}, {self.settings}, "

    @property
    def hint(self) -> str:
        return " Width and depth do not apply." if self.model == _RESNET else ""


class _MemoryPanel(Panel):
    """Controls and computing of both panels."""

    with_crossover = False

    def __init__(
        self,
        model: str = "digits MLP",
        batch_size: int = 64,
        width: int = 256,
        depth: int = 1,
        optimizer: str = "adam",
        precision: str = "fp32",
    ):
        controls = {
            "model": choice("Model", tuple(_SHAPES), width="300px"),
            "batch_size": number("Batch size B", 1, LARGEST_B, 64, doublings(1, LARGEST_B)),
            "width": number("Width", 8, 1024, 256, doublings(8, 1024)),
            "depth": number("Depth", 1, 4, 1),
            "optimizer": choice("Optimizer", ("adam", "sgd", "momentum", "adamw"), width="205px"),
            "precision": choice("Precision", ("fp32", "bf16", "fp16"), width="185px"),
        }
        for name in ("optimizer", "precision"):
            controls[name].value.style.description_width = "85px"
        self._key = f"course-hatch-{id(self)}"
        self._hatches = _hatches(self._key)
        start = {"model": model, "batch_size": batch_size, "width": width, "depth": depth}
        super().__init__(controls, start | {"optimizer": optimizer, "precision": precision})

    def arrange(self, controls: Mapping[str, Control]) -> list[widgets.Widget]:
        chosen = [controls[name].view for name in ("model", "optimizer", "precision")]
        return [widgets.HBox(chosen), *(controls[name].view for name in ("batch_size", "width", "depth"))]

    def wait(self, **values: object) -> float:
        new = _without_batch(values) not in _learnt
        return _SLOW if new and (self.with_crossover or values["model"] == _RESNET) else 0.0

    def compute(self, **values: object) -> StepMemory:
        fixed = _without_batch(values)
        name, *sizes = fixed[:3]
        network = _network(name, *sizes)
        at = _crossover(fixed) if self.with_crossover else None
        settings = f"{values['optimizer']}, {values['precision']}"
        return StepMemory(_trace(values["batch_size"], fixed), at, name, _about(name, network, *sizes), settings)

    def _svg(self, height: int, words: str, parts: list[str], width: int = 740) -> str:
        return (
            f'<svg role="img" aria-label="{html.escape(words)}" width="{width}" height="{height}" '
            f'style="display:block;background:#fff;font-size:14px;font-family:sans-serif">{"".join(parts)}</svg>'
        )

    def _fill(self, name: str) -> str:
        return f"url(#{self._key}-{name.replace(' ', '-')})"

    def _heading(self, record: StepMemory) -> list[str]:
        lines = heading(record.trace, record.about, record.settings)
        return [_text(4, 16 + 21 * row, line, bold=row == 1) for row, line in enumerate(lines)]


class MemoryBar(_MemoryPanel):
    """What the peak of one training step consists of, in exact bytes, and on which side of the crossover B is.

    At the crossover the batch and what the layers keep for backward weigh as much as parameters, gradients and
    optimizer state.

    Controls: `model`, `batch_size` (1 to 8192), `width` (8 to 1024), `depth` (1 to 4), `optimizer` ("sgd", "momentum",
    "adam", "adamw"), `precision` ("fp32", "bf16", "fp16"). The models: "digits MLP" (784 numbers in) and "colours MLP"
    (3072) have `depth` hidden layers of `width` units; "colours CNN" has `depth` times 3x3 convolution with `width`
    filters, ReLU and max-pooling, then Linear; for "ResNet-18" (3 x 224 x 224, 1000 classes) width and depth do not
    apply. Nothing of these sizes is allocated: `helpers.memory.trace` works the bytes out, without a GPU's workspace.
    """

    title = "memory bar"
    height = 310
    lines = 5
    with_crossover = True

    def say(self, record: StepMemory) -> str:
        side = crossover_sentence(record.trace.batch_size, record.crossover)
        return f"{record.start}{peak_sentence(record.trace)} {side}{record.hint}"

    def picture(self, record: StepMemory) -> Picture:
        picture = figures.memory_bar(record.trace, record.crossover, record.about, record.settings)
        return Picture(picture.figure, self.say(record))

    def draw(self, record: StepMemory) -> str:
        step = record.trace
        ruler = scale(step.peak)
        pixels = 660 / ruler.end  # of one byte
        parts, x = [self._hatches, *self._heading(record)], 4.0
        for name in shown(step):
            wide = step.at_peak[name] * pixels
            parts.append(f'<rect x="{x:.1f}" y="70" width="{wide:.1f}" height="30" fill="{self._fill(name)}"/>')
            room = 7.9 * len(name) + 5  # enough for the widest of the usual fonts
            if wide > room:
                parts.append(_label(x + wide / 2, 90, name, room))
            x += wide
        parts.append('<path d="M4 70V106M4 100H664" stroke="#000" fill="none"/>')
        texts = [*ruler.texts[:-1], f"{ruler.texts[-1]} {ruler.unit}"]
        for mark, words in zip(ruler.marks, texts, strict=True):
            at = 4 + mark * pixels
            parts.append(f'<path d="M{at:.1f} 100v6" stroke="#000"/>')
            parts.append(_text(at, 120, words, "start" if mark == 0 else "middle"))
        bar = self._svg(130, f"Stacked bar: {self.say(record)}", parts)
        return (
            f'{bar}<div style="display:flex;width:740px;height:180px;background:#fff;color:#000">'
            f"{self._table(step)}{self._crossover_axis(record)}</div>"
        )

    def style(self, record: StepMemory) -> str:
        return _TABLE_STYLE

    def _table(self, step: Trace) -> str:
        rows = []
        for name in shown(step):
            size = step.at_peak[name]
            mark = f'<rect width="16" height="14" fill="{self._fill(name)}"/>'
            mark = f'<svg width="16" height="14" aria-hidden="true">{mark}</svg>'
            strong = ' class="most"' if name == step.largest else ""
            rows.append(
                f'<tr{strong}><th scope="row">{mark} {name}</th><td>{size:,}</td><td>{size / MIB:,.2f}</td>'
                f"<td>{size / step.peak:.1%}</td></tr>"
            )
        return (
            '<table class="course-bytes"><tr><th scope="col">at the peak</th><th scope="col">bytes</th>'
            f'<th scope="col">MiB</th><th scope="col">share</th></tr>{"".join(rows)}'
            f'<tr class="most"><th scope="row">together</th><td>{step.peak:,}</td><td>{step.peak / MIB:,.2f}</td>'
            "<td>100%</td></tr></table>"
        )

    def _crossover_axis(self, record: StepMemory) -> str:
        now, at = record.trace.batch_size, record.crossover
        here, there = _place(now), _place(min(at, LARGEST_B))
        side = "start" if here < 60 else "end" if here > 220 else "middle"
        parts = [
            _text(4, 16, "Batch + activations weigh as much as"),
            _text(4, 36, "parameters + gradients + state at"),
            _text(4, 56, f"◆ B = {at:,}", bold=True),
            _text(here, 96, f"now B = {now:,}", side),
            f'<path d="M{here:.1f} 112l-6-10h12z"/>',
            f'<rect x="14" y="114" width="260" height="18" fill="#fff" stroke="#000"/>'
            f'<rect x="{there:.1f}" y="114" width="{274 - there:.1f}" height="18" fill="#ccc" stroke="#000"/>'
            f'<path d="M{there:.1f} 113l8 10l-8 10l-8-10z"/>',
        ]
        for mark in (1, 8, 64, 512, 4096):
            parts.append(f'<path d="M{_place(mark):.1f} 132v5" stroke="#000"/>')
            parts.append(_text(_place(mark), 150, f"{mark:,}", "middle"))
        parts += [_text(4, 173, "model heavier"), _text(284, 173, "batch heavier", "end")]
        return self._svg(180, crossover_sentence(now, at), parts, 286)


class StepTimeline(_MemoryPanel):
    """One training step, operation by operation: what is alive after each, stacked by category, the peak named.

    Each phase (forward, backward, step()) has at least an eighth of the width, so that its name fits under it; the rest
    is shared by the number of operations that change what is alive. Controls: those of `MemoryBar`.
    """

    title = "step timeline"
    height = 396
    lines = 5

    def say(self, record: StepMemory) -> str:
        return f"{record.start}{peak_sentence(record.trace)} {phases_sentence(record.trace)}{record.hint}"

    def picture(self, record: StepMemory) -> Picture:
        picture = figures.step_timeline(record.trace, record.about, record.settings)
        return Picture(picture.figure, self.say(record))

    def draw(self, record: StepMemory) -> str:
        step, top, bottom, left, right = record.trace, 92, 300, 66, 732
        ruler = scale(step.peak)
        edges, regions = phase_edges(step.timeline, left, right - left)

        def height(size: float) -> float:
            return bottom - size / ruler.end * (bottom - top)

        parts = [self._hatches, *self._heading(record)]
        names = shown(step)
        totals = [0] * len(step.timeline)
        areas = []
        for name in names:
            totals = [total + event.live[name] for total, event in zip(totals, step.timeline, strict=True)]
            steps = _steps(edges, [round(height(total), 1) for total in totals])
            areas.append(f'<path d="M{left} {bottom}{steps}V{bottom}z" fill="{self._fill(name)}"/>')
        parts += reversed(areas)  # the highest first; each hides what is below it
        for mark, words in zip(ruler.marks, ruler.texts, strict=True):
            y = height(mark)
            parts.append(f'<path d="M{left - 5} {y:.0f}h5" stroke="#000"/>')
            parts.append(_text(left - 8, y + 5, words, "end"))
        parts.append(_text(left - 8, top - 12, ruler.unit, "end"))
        for phase, (start, stop) in regions.items():
            parts.append(f'<path d="M{stop:.0f} {top}V{bottom + 6}" stroke="#000"/>')
            parts.append(_text((start + stop) / 2, bottom + 18, PHASE_NAMES[phase], "middle"))
        parts.append(f'<path d="M{left} {top}V{bottom}H{right}" stroke="#000" fill="none"/>')
        parts.append(_text((left + right) / 2, bottom + 38, "operations, in order →", "middle"))
        place = next(place for place, event in enumerate(step.timeline) if event.total == step.peak)
        x, y = (edges[place] + edges[place + 1]) / 2, height(step.peak)
        side = "start" if x < (left + right) / 2 else "end"
        parts.append(f'<path d="M{x:.1f} {y:.1f}V{bottom}" stroke="#000" stroke-dasharray="5 4"/>')
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" stroke="#fff" stroke-width="1.5"/>')
        words = _text(x + (9 if side == "start" else -9), y - 6, f"peak {readable(step.peak)}", side, bold=True)
        parts.append(f'<g stroke="#fff" stroke-width="4" paint-order="stroke">{words}</g>')
        for number_, name in enumerate(names):
            x, y = left + 170 * (number_ % 4), bottom + 52 + 24 * (number_ // 4)
            parts.append(f'<rect x="{x}" y="{y}" width="18" height="14" fill="{self._fill(name)}"/>')
            parts.append(_text(x + 24, y + 12, name))
        return self._svg(self.height, f"Stacked areas: {self.say(record)}", parts)


_TABLE_STYLE = """<style>
.course-bytes { width: 442px; height: 180px; margin: 0 8px 0 4px; color: #000;
  border-collapse: collapse; table-layout: fixed; }
.course-bytes th, .course-bytes td { padding: 0 2px; box-sizing: border-box; text-align: right; white-space: nowrap;
  font-size: 14px; line-height: 19px; font-weight: normal; font-variant-numeric: tabular-nums; }
.course-bytes th:first-child { text-align: left; width: 150px; }
.course-bytes th:nth-child(2) { width: 140px; }
.course-bytes th:nth-child(3) { width: 94px; }
.course-bytes .most > *, .course-bytes [scope=col] { font-weight: bold; }
.course-bytes svg { vertical-align: -2px; }
</style>"""
# The line patterns of `HATCHES` in an 8 x 8 tile.
_LINES = {
    "": "",
    "--": "M0 4H8",
    "//": "M-2 2L2-2M0 8L8 0M6 10L10 6",
    "\\\\": "M-2 6L2 10M0 0L8 8M6-2L10 2",
    "..": "M2 2h2v2h-2zM6 6h2v2h-2z",
    "||": "M4 0V8",
    "xx": "M0 8L8 0M0 0L8 8",
    "oo": "M2 4a2 2 0 0 0 4 0a2 2 0 0 0-4 0",
}


def _hatches(key: str) -> str:
    """Colour and lines of each category, as SVG patterns. In each drawing anew: of a hidden one they cannot be used."""
    tiles = "".join(
        f'<pattern id="{key}-{name.replace(" ", "-")}" width="8" height="8" patternUnits="userSpaceOnUse">'
        f'<path d="M0 0H8V8H0z" fill="{colour}"/>'
        f'<path d="{_LINES[HATCHES[name]]}" stroke="#000" stroke-opacity=".5" fill="none"/></pattern>'
        for name, colour in COLOURS.items()
    )
    return f"<defs>{tiles}</defs>"


def _text(x: float, y: float, words: str, anchor: str = "start", bold: bool = False) -> str:
    look = f' text-anchor="{anchor}"' if anchor != "start" else ""
    look += ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.0f}" y="{y:.0f}"{look}>{html.escape(words)}</text>'


def _label(x: float, y: float, words: str, room: float) -> str:
    """Black words on a white ground, readable on every colour."""
    ground = f'<rect x="{x - room / 2:.0f}" y="{y - 14:.0f}" width="{room:.0f}" height="18" fill="#fff"/>'
    return ground + _text(x, y, words, "middle")


def _steps(edges: list[float], heights: list[float]) -> str:
    """The upper edge of an area as steps, as an SVG path; neighbours of the same height are one step."""
    path, before = "", None
    for edge, height in zip(edges, heights, strict=False):
        if height != before:
            path += f"H{edge:.1f}V{height:g}" if before is not None else f"V{height:g}"
            before = height
    return f"{path}H{edges[-1]:.1f}"


def _place(batch_size: int) -> float:
    """Where a batch size stands on the axis of the memory bar, in pixels."""
    return 14 + 260 * log2(batch_size) / log2(LARGEST_B)


Fixed = tuple[str, int, int, str, str]  # everything but the batch size: model, width, depth, optimizer, precision
_crossovers: dict[Fixed, int] = {}
_firsts: dict[Fixed, int] = {}
_learnt: dict[Fixed, Callable[[int], Trace]] = {}
_REMEMBERED = 64  # settings whose steps are kept: each holds a fake model


def _without_batch(values: Mapping[str, object]) -> Fixed:
    width, depth = (0, 0) if values["model"] == _RESNET else (values["width"], values["depth"])
    return values["model"], width, depth, values["optimizer"], values["precision"]


@lru_cache(maxsize=32)
def _network(model: str, width: int, depth: int) -> nn.Module:
    """The model on the device "meta", where tensors have a shape and no bytes."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        if model == _RESNET:
            from torchvision.models import resnet18

            return resnet18()
        if model == "colours CNN":
            return _cnn(width, depth)
        return models.deep_mlp(_SHAPES[model], width, depth)


def _cnn(filters: int, stages: int) -> nn.Sequential:
    """(B, 3, 32, 32): `stages` times convolution, ReLU, max-pooling, which halves height and width; then Linear."""
    layers: list[nn.Module] = []
    for channels in (3, *[filters] * (stages - 1)):
        layers += [nn.Conv2d(channels, filters, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(filters * (32 // 2**stages) ** 2, 10))


def _about(model: str, network: nn.Module, width: int, depth: int) -> str:
    count = f"{models.parameter_count(network):,} parameters"
    if model == _RESNET:
        return f"{model} for 3 x 224 x 224 (width and depth do not apply): {count}"
    if model == "colours CNN":
        return f"{model}, {depth} x (conv with {width} filters, ReLU, max-pool), Linear: {count}"
    inputs = network[1].in_features
    return f"{model}, {' → '.join(str(size) for size in (inputs, *[width] * depth, 10))}: {count}"


def _trace(batch_size: int, fixed: Fixed) -> Trace:
    """The first batch size of a setting is traced by itself; with a second one it pays to learn about all of them."""
    first = _firsts.setdefault(fixed, batch_size)
    if fixed not in _learnt and batch_size == first:
        model, width, depth, *_ = fixed
        return trace(_network(model, width, depth), _SHAPES[model], batch_size=batch_size, **_how(fixed))
    return _every_batch(fixed)(batch_size)


def _every_batch(fixed: Fixed) -> Callable[[int], Trace]:
    if fixed not in _learnt:
        if len(_learnt) >= _REMEMBERED:
            _learnt.pop(next(iter(_learnt)))  # the oldest
        model, width, depth, *_ = fixed
        _learnt[fixed] = any_batch(_network(model, width, depth), _SHAPES[model], **_how(fixed))
    return _learnt[fixed]


def _how(fixed: Fixed) -> dict[str, str]:
    return {"optimizer": fixed[3], "precision": fixed[4]}


def _crossover(fixed: Fixed) -> int:
    if fixed not in _crossovers:
        _crossovers[fixed] = crossover_of(_every_batch(fixed))
    return _crossovers[fixed]
