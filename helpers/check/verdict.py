"""What a check says, and the drawing of *yours* beside *expected* where the answer is a picture or a small tensor."""

import base64
import html
import io
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from helpers.check.guard import shorten
from helpers.figures import ERROR

_PASSED, _NOT_YET = "#009E73", ERROR
_LONGEST = 600  # characters of a message
_CELLS, _PICTURES, _WIDEST, _SIDE = 40, 5, 150, 96  # at most so much of a result is drawn; _SIDE in CSS pixels
_HALF = "display:inline-block;vertical-align:top;margin:8px 24px 0 0"
_CELL = "border:1px solid #888;padding:1px 6px;text-align:right;"
_MARKED = f"font-weight:bold;outline:2px solid {_NOT_YET}"


@dataclass(frozen=True)
class Verdict:
    """What a check found. `passed` is for graded assignments, `message` for the learner; `bool(verdict)` is `passed`.

    `drawing`: HTML that shows the learner's result beside the expected one, or nothing.
    """

    passed: bool
    message: str
    drawing: str = field(default="", repr=False)

    def __post_init__(self):
        object.__setattr__(self, "message", shorten(self.message, _LONGEST))

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return f"{'[passed]' if self.passed else '[not yet]'} {self.message}"

    def _repr_html_(self) -> str:
        mark, colour = ("✓ passed", _PASSED) if self.passed else ("✗ not yet", _NOT_YET)
        return (
            f'<div role="status" style="border-left:5px solid {colour};padding:4px 10px">'
            f"<b>{mark}</b> &nbsp; {html.escape(self.message)}{self.drawing}</div>"
        )


def beside(got: object, want: object) -> str:
    """Yours and expected as HTML, side by side; nothing where the expected result is no picture and no small tensor.

    Three axes are a picture (its channels first in a tensor, last in an array), four are a batch of them, and up to two
    a table. Both are drawn in the colours of the expected range.
    """
    mine, expected = _array(got), _array(want)
    if mine is None or expected is None or "c" in mine.dtype.kind + expected.dtype.kind or not expected.size:
        return ""
    low, high = float(expected.min()), float(expected.max())
    scale = (0, 255) if expected.dtype == np.uint8 else (0, 1) if low >= 0 and high <= 1 else (low, high)
    halves = []
    for title, array in (("yours", mine), ("expected", expected)):
        if max(array.ndim, expected.ndim) > 2:
            tiles = _pictures(array, channels_first=isinstance(want, Tensor))
            drawn = "".join(_image(tile, scale, title) for tile in tiles)
        else:
            drawn = _table(array, expected, title)
        reach = f", {_number(array.min())} to {_number(array.max())}" if array.size else ""
        halves.append(f'<div style="{_HALF}"><b>{title}</b> {array.shape} {array.dtype}{reach}<br>{drawn}</div>')
    return f"<div>{''.join(halves)}</div>" if drawn else ""


def _array(thing: object) -> np.ndarray | None:
    if isinstance(thing, Tensor):
        thing = thing.detach()
        return (thing.float() if thing.dtype in (torch.float16, torch.bfloat16) else thing).numpy()
    return thing if isinstance(thing, np.ndarray) else None


def _pictures(array: np.ndarray, channels_first: bool) -> list[np.ndarray]:
    """The first pictures in an array, each (H, W) or (H, W, 3); channels other than 1 or 3 are a grey picture each."""
    if not array.size or array.ndim not in (2, 3, 4) or max(array.shape) > _WIDEST:
        return []
    if array.ndim == 2:
        return [array]
    batch = array if array.ndim == 4 else array[None]
    batch = np.moveaxis(batch, 1, 3) if channels_first else batch
    if batch.shape[3] == 3:
        return list(batch[:_PICTURES])
    return list(batch[:_PICTURES, :, :, 0] if batch.shape[3] == 1 else np.moveaxis(batch[0, :, :, :_PICTURES], 2, 0))


def _image(tile: np.ndarray, scale: tuple[float, float], title: str) -> str:
    low, high = scale
    tile = np.nan_to_num((tile.astype(float) - low) / ((high - low) or 1))
    stream = io.BytesIO()
    Image.fromarray((tile.clip(0, 1) * 255).astype(np.uint8)).save(stream, "PNG")
    source = base64.b64encode(stream.getvalue()).decode()
    height, width = tile.shape[:2]
    zoom = max(1, _SIDE // max(height, width))
    return (
        f'<img src="data:image/png;base64,{source}" width="{width * zoom}" height="{height * zoom}" '
        f'alt="{title}: a picture of {height} x {width} pixels" '
        'style="display:inline-block;image-rendering:pixelated;margin:2px;border:1px solid #888">'
    )


def _table(array: np.ndarray, expected: np.ndarray, title: str) -> str:
    """All numbers of a small tensor; those that differ from what is expected are marked."""
    if not 0 < array.size <= _CELLS:
        return ""
    differs = np.zeros(array.shape)
    if array.shape == expected.shape:
        differs = ~np.isclose(array, expected, rtol=1e-4, atol=1e-6)
    rows = [
        "".join(
            f'<td style="{_CELL}{_MARKED * bool(mark)}">{_number(value)}</td>' for value, mark in zip(*row, strict=True)
        )
        for row in zip(np.atleast_2d(array), np.atleast_2d(differs), strict=True)
    ]
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<table aria-label="{title}" style="border-collapse:collapse;margin:2px 0">{body}</table>'


def _number(value: np.generic) -> str:
    return f"{value:.3g}" if value.dtype.kind == "f" else str(value)
