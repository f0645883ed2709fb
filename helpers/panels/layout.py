"""The two panels of lesson 02: the layout lab and the stride walk."""

import html
from math import prod

import numpy as np
import torch
from PIL import Image

from helpers import data, figures, layout
from helpers.figures import Picture
from helpers.layout import Layout, Walk
from helpers.panels.core import Panel, choice, number, png_address, shape_boxes

CHANNELS = (("red", "#C00000"), ("green", "#007A3D"), ("blue", "#0050C8"))


class LayoutLab(Panel):
    """Choose what is done to a small photograph (C, H, W): see the picture, shape, strides and memory that result.

    Control: `operation`, one of `helpers.layout.OPERATIONS`.
    """

    title = "layout lab"
    height = 330

    def __init__(self, operation: str = "image"):
        photo = Image.open(data.photograph_path()).resize((64, 75), Image.Resampling.BOX)
        self._image = torch.from_numpy(np.array(photo)).permute(2, 0, 1).contiguous()
        super().__init__(
            {"operation": choice("Operation", tuple(layout.OPERATIONS), width="460px")}, {"operation": operation}
        )

    def compute(self, operation: str) -> Layout:
        return layout.layout(self._image, operation)

    def say(self, record: Layout) -> str:
        return record.sentence

    def picture(self, record: Layout) -> Picture:
        return figures.layout_picture(record)

    def draw(self, record: Layout) -> str:
        axes = tuple(f"axis {axis}" for axis in range(3))
        rows = (
            ("code", f'<code style="font-size:inherit">{html.escape(record.code)}</code>'),
            ("strides", f"<b>{record.result.stride()}</b>"),
            ("contiguous?", f"<b>{'yes' if record.contiguous else 'no'}</b>"),
            ("same memory?", f"<b>{'yes, a view' if record.shares_memory else 'no, a copy'}</b>"),
        )
        lines = "".join(f'<div><span style="display:inline-block;width:120px">{a}</span>{b}</div>' for a, b in rows)
        return (
            f'<div style="display:flex;height:{self.height}px"><div style="width:330px;height:310px">'
            f'<div>imshow shows</div><div style="width:300px;height:270px">{self._shown(record)}</div></div>'
            f'<div style="width:400px"><div>shape</div><div style="height:84px">'
            f"{shape_boxes(record.result.shape, axes, batch=False)}</div>{lines}</div></div>"
        )

    def _shown(self, record: Layout) -> str:
        error = record.imshow_error
        if error:
            return (
                f'<div style="border-left:4px solid #D55E00;padding:8px;height:120px">'
                f"<b>an error:</b><br>{html.escape(error)}</div>"
            )
        scale = 255 / max(record.result.shape[:2])
        height, width = (round(scale * side) for side in record.result.shape[:2])
        return (
            f'<img alt="What imshow makes of {html.escape(record.code)}" width="{width}" height="{height}" '
            f'style="max-width:none;image-rendering:pixelated" src="{png_address(record.result.contiguous().numpy())}">'
        )


class StrideWalk(Panel):
    """Choose an index (n, c, h, w): see the offset worked out from the strides, and the cell lit in memory.

    The batch has the shape (2, 3, 4, 5). Controls: `n`, `c`, `h`, `w`, `memory_format` ("contiguous" or
    "channels_last").
    """

    title = "stride walk"
    height = 372
    SHAPE = (2, 3, 4, 5)

    def __init__(self, n: int = 0, c: int = 0, h: int = 0, w: int = 0, memory_format: str = "contiguous"):
        names = (("n", "n (image)"), ("c", "c (channel)"), ("h", "h (row)"), ("w", "w (column)"))
        controls = {name: number(label, 0, size - 1, 0) for (name, label), size in zip(names, self.SHAPE, strict=True)}
        controls["memory_format"] = choice("Format", ("contiguous", "channels_last"))
        super().__init__(controls, {"n": n, "c": c, "h": h, "w": w, "memory_format": memory_format})

    def compute(self, n: int, c: int, h: int, w: int, memory_format: str) -> Walk:
        return layout.walk(self.SHAPE, (n, c, h, w), memory_format)

    def say(self, record: Walk) -> str:
        return record.sentence

    def picture(self, record: Walk) -> Picture:
        return figures.walk_picture(record)

    def draw(self, record: Walk) -> str:
        _, channels, height, width = record.shape
        parts = []
        for channel in range(channels):
            name, colour = CHANNELS[channel % 3]
            left = 4 + channel * 246
            parts.append(f'<text x="{left}" y="16" fill="{colour}">c = {channel} ({name})</text>')
            for row in range(height):
                for column in range(width):
                    at = (record.index[0], channel, row, column)
                    offset = layout.offset(at, record.strides)
                    parts.append(_cell(left + 44 * column, 24 + 24 * row, 42, offset, at == record.index, colour))
        words = record.sum.replace("*", " × ")
        parts.append(f'<text x="4" y="150">offset = {words} = </text>')
        parts.append(f'<text x="330" y="150" font-weight="bold">{record.offset}</text>')
        parts.append('<text x="4" y="182">memory, one number after the other:</text>')
        owner = self._owners(record)
        for offset in range(prod(record.shape)):
            x, y = 4 + 36.5 * (offset % 20), 192 + 26 * (offset // 20)
            parts.append(_cell(x, y, 34, offset, offset == record.offset, CHANNELS[owner[offset] % 3][1]))
        return (
            f'<svg role="img" aria-label="{html.escape(record.sentence)}" width="740" height="360" '
            f'style="background:#fff;font-size:14px;font-family:sans-serif">{"".join(parts)}</svg>'
        )

    def _owners(self, record: Walk) -> list[int]:
        """The channel of the number at each offset."""
        owner = [0] * prod(record.shape)
        for index in np.ndindex(*record.shape):
            owner[layout.offset(index, record.strides)] = index[1]
        return owner


def _cell(x: float, y: float, width: float, text: int, lit: bool, colour: str) -> str:
    fill, ink = ("#000", "#fff") if lit else ("#fff", "#000")
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="22" fill="{fill}" stroke="{colour}" stroke-width="2"/>'
        f'<text x="{x + width / 2}" y="{y + 16}" text-anchor="middle" fill="{ink}">{text}</text>'
    )
