"""The two panels of lessons 03 and 04: the layout lab and the stride walk."""

import numpy as np
import torch
from PIL import Image

from helpers import data, layout
from helpers.figures import layout as figures
from helpers.layout import Layout, Walk
from helpers.panels.core import Panel, choice, number


class LayoutLab(Panel):
    """Choose what is done to a small photograph (C, H, W): see the picture, shape, strides and memory that result.

    Control: `operation`, one of `helpers.layout.OPERATIONS`.
    """

    title = "layout lab"
    height = figures.HEIGHT
    draw = staticmethod(figures.draw)

    def __init__(self, operation: str = "image.permute(1, 2, 0)"):
        photo = Image.open(data.photograph_path()).resize((64, 75), Image.Resampling.BOX)
        self._image = torch.from_numpy(np.array(photo)).permute(2, 0, 1).contiguous()
        super().__init__(
            {"operation": choice("Operation", tuple(layout.OPERATIONS), width=460)}, {"operation": operation}
        )

    def compute(self, operation: str) -> Layout:
        return layout.layout(self._image, operation)


class StrideWalk(Panel):
    """Choose an index (n, c, h, w): see the offset worked out from the strides, and the cell lit in memory.

    The batch has the shape (2, 3, 4, 5). Controls: `n`, `c`, `h`, `w`, `memory_format` ("contiguous" or
    "channels_last").
    """

    title = "stride walk"
    height = figures.WALK_HEIGHT
    draw = staticmethod(figures.draw_walk)
    SHAPE = (2, 3, 4, 5)

    def __init__(self, n: int = 0, c: int = 0, h: int = 0, w: int = 0, memory_format: str = "contiguous"):
        names = (("n", "n (image)"), ("c", "c (channel)"), ("h", "h (row)"), ("w", "w (column)"))
        controls = {name: number(label, 0, size - 1, 0) for (name, label), size in zip(names, self.SHAPE, strict=True)}
        controls["memory_format"] = choice("Format", ("contiguous", "channels_last"))
        super().__init__(controls, {"n": n, "c": c, "h": h, "w": w, "memory_format": memory_format})

    def compute(self, n: int, c: int, h: int, w: int, memory_format: str) -> Walk:
        return layout.walk(self.SHAPE, (n, c, h, w), memory_format)
