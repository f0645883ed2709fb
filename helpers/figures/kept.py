"""What the layers of a model keep for backward, as bars; what is held already by something else is grey."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from helpers.figures.base import Picture
from helpers.figures.paper import picture
from helpers.figures.shapes import GREY, Drawing, Line, Shape, Text, box, category, legend
from helpers.memory import Saved, Trace
from helpers.problems import Problem, instance_of, one_of
from helpers.units import exact_and_readable, readable

_MOST_ROWS = 20
_LETTERS = 33  # of a row's name
_LEFT, _WIDE, _HIGH = 274, 176, 24  # where bars begin, the longest of them, and from one row to the next
_SHARED = {"fill": "#dddddd", "edge": GREY, "line": 1}


@dataclass(frozen=True)
class _Row:
    name: str
    own: int  #: bytes that nothing else holds: these are activations
    shared: int
    owner: str  #: who holds what is shared


def kept_picture(trace: Trace, by: str = "tensor") -> Picture:
    """What the layers keep for backward: a row and a bar for each tensor, grey if something else holds it already.

    trace: what `helpers.memory.trace` gave. by: "tensor", at most 20 of them; or "layer", where all layers of a kind
    share a row, for larger models. Raises `Problem` for anything else, and for a trace that keeps nothing.
    """
    instance_of("trace", trace, Trace, "trace(models.mlp(), (1, 28, 28))")
    return picture(draw(trace, one_of("by", by, ("tensor", "layer"))))


def draw(trace: Trace, by: str) -> Drawing:
    """Names on the left, bars in the middle, bytes and owners on the right; below, what grey means."""
    rows = _by_tensor(trace.saved) if by == "tensor" else _by_layer(trace.saved)
    if not rows:
        raise Problem(
            "the trace keeps nothing for backward: no layer learns, or it was inference. Trace a training step."
        )
    if len(rows) > _MOST_ROWS:
        more = ' Or draw a row for each kind of layer: by="layer".' if by == "tensor" else ""
        raise Problem(f"{len(rows)} rows; allowed are 1 to {_MOST_ROWS}. Trace a smaller model.{more}")
    say = "{:,}".format if by == "tensor" else readable
    pixels = _WIDE / max(row.own + row.shared for row in rows)
    shapes: list[Shape] = _header(by)
    for place, row in enumerate(rows):
        y = 46 + _HIGH * place
        own = max(row.own * pixels, 1.5) if row.own else 0.0
        shapes.append(Text(4, y, row.name, colour="#000" if row.own else GREY))
        shapes += [box(_LEFT, y - 14, own, 18, **category("activations"))] if row.own else []
        if row.shared:
            shapes.append(box(_LEFT + own, y - 14, max(row.shared * pixels, 1.5), 18, **_SHARED))
        size = row.own if row.own or by == "layer" else row.shared
        shapes.append(Text(586, y, say(size), "end", colour="#000" if row.own else GREY))
        shapes.append(Text(600, y, row.owner, colour=GREY))
    return Drawing(66 + _HIGH * len(rows), (*shapes, *_legend(rows, 42 + _HIGH * len(rows))), _sentence(trace, rows))


def _by_tensor(saved: Sequence[Saved]) -> list[_Row]:
    names = [f"{one.layer} {one.tensor}" for one in saved]
    rows = []
    for place, (one, name) in enumerate(zip(saved, names, strict=True)):
        if names.count(name) > 1:  # so that a text can say which row it means
            name = f"{name} {names[: place + 1].count(name)}"
        own, shared = (0, one.bytes) if one.shared_with else (one.bytes, 0)
        rows.append(_Row(_cut(name), own, shared, _cut(one.shared_with, 16)))
    return rows


def _by_layer(saved: Sequence[Saved]) -> list[_Row]:
    kinds: dict[str, list[Saved]] = {}
    for one in saved:
        kinds.setdefault(re.sub(r".*\((\w+)\)$", r"\1", one.layer), []).append(one)
    rows = []
    for kind, kept in kinds.items():
        count = len({one.layer for one in kept})
        own, shared = (sum(one.bytes for one in kept if bool(one.shared_with) == held) for held in (False, True))
        rows.append(
            _Row(_cut(f"{kind} x {count}" if count > 1 else kind), own, shared, readable(shared) if shared else "")
        )
    return rows


def _cut(words: str, letters: int = _LETTERS) -> str:
    return words if len(words) <= letters else f"{words[: letters - 1]}…"


def _header(by: str) -> list[Shape]:
    own, shared = ("bytes", "held already by") if by == "tensor" else ("its own", "held already")
    names = [Text(4, 18, "layer", bold=True), Text(586, 18, own, "end", bold=True), Text(600, 18, shared, bold=True)]
    return [*names, Line(((4, 26), (736, 26)), "#ccc")]


def _legend(rows: Sequence[_Row], y: float) -> list[Shape]:
    own = exact_and_readable(sum(row.own for row in rows))
    return [
        *legend(4, y, f"kept by this layer alone, in all {own}", **category("activations")),
        *legend(540, y, "held already: adds 0", **_SHARED),
    ]


def _sentence(trace: Trace, rows: Sequence[_Row]) -> str:
    own, top = sum(row.own for row in rows), max(rows, key=lambda row: row.own)
    most = f", the most of it by {top.name}: {readable(top.own)}" if own else ""
    return (
        f"What each layer keeps for backward at B = {trace.batch_size:,}: {exact_and_readable(own)} that nothing else "
        f"holds{most}. Grey is what something else holds already: {readable(sum(row.shared for row in rows))}."
    )
