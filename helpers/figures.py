"""Records in, a picture with its sentence out. No state, no pyplot."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from torch import Tensor

from helpers.batches import BatchFacts
from helpers.problems import Problem
from helpers.units import exact_and_readable

#: Okabe-Ito, one meaning a colour in the whole course. Always beside a word, never colour alone.
COLOURS = {
    "parameters": "#0072B2",
    "gradients": "#009E73",
    "optimizer state": "#E69F00",
    "activations": "#D55E00",
    "batch": "#56B4E9",
    "workspace": "#CC79A7",
    "buffers": "#F0E442",
    "temporaries": "#999999",
}
WIDTH = 8.0  # inches, of every figure: nothing jumps from one to the next
FONT = 13  # points at 8 inches: as large as the notebook's own text
DPI = 90


@dataclass(frozen=True)
class Picture:
    """A Matplotlib figure and the sentence that says what it shows; a notebook shows both."""

    figure: Figure
    sentence: str

    def png(self) -> bytes:
        """The figure as PNG bytes, always with the same size on screen."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=DPI, facecolor="white")
        return buffer.getvalue()

    def _ipython_display_(self) -> None:
        display({"image/png": self.png(), "text/plain": f"<picture: {self.sentence}>"}, raw=True)
        display({"text/markdown": f"*{self.sentence}*", "text/plain": self.sentence}, raw=True)


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
