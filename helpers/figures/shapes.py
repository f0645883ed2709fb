"""The pictures of lessons 00 to 03: images, shapes, layouts, and samples per second."""

from collections.abc import Mapping, Sequence
from math import prod
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter
from torch import Tensor

from helpers.batch import BatchFacts
from helpers.figures.base import COLOURS, FONT, WIDTH, Picture
from helpers.layout import Layout, Walk
from helpers.problems import Problem
from helpers.shape_flow import ShapeFlow
from helpers.units import exact_and_readable


def tiles(images: Tensor, columns: int, rows: int) -> np.ndarray:
    """The first columns x rows images beside each other, as one (height, width, 3) uint8 array; empty places are white.

    images: (B, C, H, W) uint8 with C = 1 or 3. Raises `Problem` for anything else.
    """
    if not isinstance(images, Tensor) or images.ndim != 4 or images.shape[1] not in (1, 3):
        given = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise Problem(f"images is {given}; give a tensor (B, C, H, W) with 1 or 3 channels.")
    _, channels, height, width = images.shape
    cell_height, cell_width = height + 2, width + 2  # a white line of one pixel around each
    sheet = np.full((rows * columns, cell_height, cell_width, 3), 255, dtype=np.uint8)
    shown = images[: rows * columns].permute(0, 2, 3, 1).numpy()  # HWC is what a picture needs
    sheet[: len(shown), 1:-1, 1:-1] = shown
    sheet = sheet.reshape(rows, columns, cell_height, cell_width, 3).swapaxes(1, 2)
    return sheet.reshape(rows * cell_height, columns * cell_width, 3)


def tile_grid(batch_size: int) -> tuple[int, int]:
    """Columns and rows for up to 256 tiles, always 4 times as many columns: the sheet never changes its shape."""
    return next(grid for grid in ((8, 2), (16, 4), (32, 8)) if batch_size <= grid[0] * grid[1] or grid == (32, 8))


def image_row(images: Tensor, titles: Sequence[object], sentence: str) -> Picture:
    """Up to ten images (B, C, H, W) uint8 in a row, a title over each."""
    if len(images) != len(titles) or not 1 <= len(images) <= 10:
        raise Problem(f"{len(images)} images and {len(titles)} titles; give the same number of both, 1 to 10.")
    figure = Figure(figsize=(WIDTH, 1.6 if len(images) > 5 else 2.2), layout="constrained")
    for axis, image, title in zip(figure.subplots(1, len(images), squeeze=False)[0], images, titles, strict=True):
        axis.imshow(tiles(image[None], 1, 1))
        axis.set_title(str(title), fontsize=FONT)
        axis.axis("off")
    return Picture(figure, sentence)


def batch_picture(facts: BatchFacts) -> Picture:
    """The static twin of the batch panel: tiles, shape, bytes, output shape."""
    figure = Figure(figsize=(WIDTH, 3.6))
    top = figure.add_axes((0.02, 0.46, 0.96, 0.52))
    top.imshow(tiles(facts.images, *tile_grid(facts.shape[0])), aspect="auto")
    top.axis("off")
    lower = figure.add_axes((0, 0, 1, 0.46))
    lower.axis("off")
    _boxes(lower, 0.02, facts.shape, "BCHW")
    lower.text(0.44, 0.74, "→ model →", fontsize=FONT)
    _boxes(lower, 0.61, facts.output_shape, ("B", "classes"))
    dtype = str(facts.dtype).removeprefix("torch.")
    count = " x ".join(str(size) for size in facts.shape)
    size = exact_and_readable(facts.n_bytes)
    lower.text(0.02, 0.26, f"{count} numbers x {facts.dtype.itemsize} bytes ({dtype}) = {size}", fontsize=FONT)
    lower.text(0.02, 0.04, f"{facts.parameters:,} parameters, the same for every B", fontsize=FONT)
    return Picture(figure, facts.sentence)


def _boxes(axis: Axes, left: float, shape: Sequence[int], names: Sequence[str]) -> None:
    """The sizes of a shape in boxes with the names of the axes below; the batch axis has its colour."""
    for place, (size, name) in enumerate(zip(shape, names, strict=False)):
        face = COLOURS["batch"] if place == 0 else "white"
        box = {"boxstyle": "square,pad=0.35", "facecolor": face, "edgecolor": "#333333"}
        middle = left + 0.045 + 0.1 * place
        axis.text(middle, 0.76, f"{size:^5}", fontsize=FONT, weight="bold", ha="center", bbox=box)
        axis.text(middle, 0.5, name, fontsize=FONT, ha="center")


def shape_flow_picture(flow: ShapeFlow) -> Picture:
    """The static twin of the shape flow panel: a box for the batch and for each layer, parameters, and the error."""
    figure = Figure(figsize=(WIDTH, 3.2))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.axis("off")
    axis.set(xlim=(0, 1), ylim=(0, 1))
    _stage(axis, 0, "batch", "", flow.input_shape, "")
    for place, stage in enumerate(flow.stages):
        state = stage.shape or ("error" if place == flow.failed else "not reached")
        learned = f"{stage.parameters:,}" if stage.parameters else "no"
        _stage(axis, place + 1, stage.name, stage.sizes, state, learned)
        axis.text(0.2 * (place + 1), 0.66, "→", fontsize=FONT, ha="center")
    axis.text(0.02, 0.27, flow.size, fontsize=FONT - 1, weight="bold")
    axis.text(0.02, 0.05, fill(flow.error or "", 76), fontsize=FONT - 1, color="#A03000")
    return Picture(figure, flow.sentence)


def _stage(axis: Axes, place: int, name: str, sizes: str, state: str | tuple[int, ...], learned: str) -> None:
    """One box of the shape flow; `state` is the shape that came out, or why there is none."""
    left, middle = 0.2 * place + 0.013, 0.2 * place + 0.1
    edges = {"error": (COLOURS["activations"], 3, "-"), "not reached": ("#767676", 1.5, "--")}
    colour, width, line = edges.get(state, ("#333333", 1.5, "-"))
    look = {"edgecolor": colour, "linewidth": width, "linestyle": line, "facecolor": "white"}
    axis.add_patch(Rectangle((left, 0.4), 0.174, 0.56, **look))
    axis.text(middle, 0.87, name, fontsize=FONT, weight="bold", ha="center")
    axis.text(middle, 0.77, sizes, fontsize=FONT - 1, ha="center")
    axis.text(middle, 0.45, f"{learned}\nparameters" if learned else "", fontsize=FONT - 1, ha="center")
    if isinstance(state, str):
        axis.text(middle, 0.66, state, fontsize=FONT - 1, ha="center", style="italic")
        return
    box = {"boxstyle": "square,pad=0.15", "facecolor": COLOURS["batch"], "edgecolor": "none"}
    rest = ", ".join(str(size) for size in state[1:])
    split = middle + 0.0055 * (len(str(state[0])) - len(rest))  # where B ends, so that both together are centred
    axis.text(split - 0.006, 0.66, str(state[0]), fontsize=FONT - 1, ha="right", bbox=box)
    axis.text(split + 0.004, 0.66, rest, fontsize=FONT - 1, ha="left")


def speed_up(ratios: Mapping[str, Mapping[int, float]]) -> Picture:
    """Samples per second against batch size, each line as a ratio to its own batch size 1.

    ratios: {name of the model: {batch size: ratio}}; both axes logarithmic, a dashed line for "no gain at all".
    """
    if not ratios or any(not line for line in ratios.values()):
        raise Problem("ratios is empty; give {name: {batch size: ratio}} with at least one point a line.")
    figure = Figure(figsize=(WIDTH, 3.8), layout="constrained")
    axis = figure.subplots()
    looks = zip("os^D", ("-", "--", "-.", ":"), ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), strict=True)
    for (name, line), (marker, style, colour) in zip(ratios.items(), looks, strict=False):
        axis.plot(list(line), list(line.values()), marker=marker, linestyle=style, color=colour, label=name)
    axis.axhline(1, color="#666666", linewidth=1, linestyle=(0, (1, 2)))
    sizes = sorted({size for line in ratios.values() for size in line})
    axis.set_xscale("log", base=2)
    axis.set_xticks(sizes, [str(size) for size in sizes], fontsize=FONT - 2)
    axis.minorticks_off()
    axis.set_yscale("log", base=2)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} x"))
    axis.tick_params(axis="y", labelsize=FONT - 2)
    axis.set_xlabel("batch size B", fontsize=FONT)
    axis.set_ylabel("samples per second,\nas a ratio to B = 1", fontsize=FONT)
    axis.legend(fontsize=FONT - 1, frameon=False)
    ends = "; ".join(f"{name}: {line[max(line)]:.1f} times at B = {max(line)}" for name, line in ratios.items())
    return Picture(figure, f"Samples per second as a ratio to B = 1, measured on this machine. {ends}.")


def layout_picture(layout: Layout) -> Picture:
    """The static twin of the layout lab: what imshow makes of the result, and its layout in words."""
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    left.axis("off")
    right.axis("off")
    if layout.imshow_error:
        left.text(0.5, 0.5, layout.imshow_error.replace(": ", ":\n", 1), fontsize=FONT - 2, ha="center", wrap=True)
    else:
        left.imshow(layout.result.numpy())
    lines = (
        layout.code,
        f"shape {tuple(layout.result.shape)}",
        f"strides {layout.result.stride()}",
        "contiguous" if layout.contiguous else "not contiguous",
        "the same memory (a view)" if layout.shares_memory else "new memory (a copy)",
    )
    for row, line in enumerate(lines):
        right.text(0, 0.85 - 0.18 * row, line, fontsize=FONT, weight="bold" if row == 0 else "normal")
    return Picture(figure, layout.sentence)


def walk_picture(walk: Walk) -> Picture:
    """The static twin of the stride walk: every number's place in memory in rows of 20, one of them lit."""
    figure = Figure(figsize=(WIDTH, 3), layout="constrained")
    axis = figure.subplots()
    axis.axis("off")
    count = prod(walk.shape)
    for offset in range(count):
        lit, x, y = offset == walk.offset, offset % 20, -(offset // 20)
        axis.add_patch(
            Rectangle((x - 0.45, y - 0.4), 0.9, 0.8, facecolor="black" if lit else "white", edgecolor="#333")
        )
        axis.text(x, y, str(offset), color="white" if lit else "black", fontsize=FONT - 2, ha="center", va="center")
    axis.text(-0.6, 1.2, f"index {walk.index}: {walk.sum} = {walk.offset}   ({walk.memory_format})", fontsize=FONT)
    axis.set_xlim(-0.8, 19.8)
    axis.set_ylim(-(count // 20) + 0.3, 1.8)
    return Picture(figure, walk.sentence)
