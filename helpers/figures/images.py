"""The pictures of images: side by side, and in a row with titles."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from helpers.figures.base import WIDTH, Picture
from helpers.figures.paper import picture
from helpers.figures.shapes import Drawing, Image, Pixels, Text
from helpers.problems import Problem, instance_of, shown, whole_number

_MOST_PIXELS = 2**24  # of a sheet of tiles
GRIDS = ((8, 2), (16, 4), (32, 8))  # columns and rows of tiles


def tiles(images: Tensor, columns: int, rows: int) -> np.ndarray:
    """The first columns x rows images beside each other, as one (height, width, 3) uint8 array; empty places are white.

    images: (B, C, H, W) uint8 with C = 1 or 3. Raises `Problem` for anything else, and for more than 2**24 pixels.
    """
    _, channels, height, width = _pixels(images).shape
    columns, rows = whole_number("columns", columns, 1), whole_number("rows", rows, 1)
    cell_height, cell_width = height + 2, width + 2  # a white line of one pixel around each
    if (pixels := rows * cell_height * columns * cell_width) > _MOST_PIXELS:
        raise Problem(f"columns={columns} x rows={rows} makes {pixels:,} pixels; allowed are {_MOST_PIXELS:,}.")
    sheet = np.full((rows * columns, cell_height, cell_width, 3), 255, dtype=np.uint8)
    first = images[: rows * columns].permute(0, 2, 3, 1).numpy(force=True)  # HWC is what a picture needs
    sheet[: len(first), 1:-1, 1:-1] = first
    sheet = sheet.reshape(rows, columns, cell_height, cell_width, 3).swapaxes(1, 2)
    return sheet.reshape(rows * cell_height, columns * cell_width, 3)


def tile_grid(batch_size: int) -> tuple[int, int]:
    """Columns and rows for up to 256 tiles, always 4 times as many columns: the sheet never changes its shape."""
    batch_size = whole_number("batch_size", batch_size, 1)
    return next((grid for grid in GRIDS if batch_size <= grid[0] * grid[1]), GRIDS[-1])


def image_row(images: Tensor, titles: Sequence[object], sentence: str) -> Picture:
    """Up to ten images (B, C, H, W) uint8 in a row, a title over each. Raises `Problem` for anything else."""
    return picture(draw_row(images, titles, sentence))


def draw_row(images: Tensor, titles: Sequence[object], sentence: str) -> Drawing:
    """The images as large as five in a row can be, smaller if they are more; in the middle if they are fewer."""
    count = len(_pixels(images))
    try:
        words = [str(title) for title in instance_of("titles", titles, Sequence, "range(5)")]
    except Exception:  # nothing to go through, or a title that has no text
        words = []
    if count != len(words) or not 1 <= count <= 10:
        given = f"{len(words)} titles" if words else f"titles={shown(titles)}"
        raise Problem(f"{count} images and {given}; give the same number of both, 1 to 10.")
    instance_of("sentence", sentence, str, '"Five digits."')
    step = (WIDTH - 20) / max(count, 5)
    high, wide = images.shape[2:]
    scale = (step - 20) / max(high, wide)
    left, shapes = (WIDTH - step * count) / 2, []
    for place, (image, title) in enumerate(zip(images, words, strict=True)):
        middle = left + step * (place + 0.5)
        shapes.append(Text(middle, 20, title, "middle"))
        x, y = middle - scale * wide / 2, 30 + scale * (max(high, wide) - high) / 2
        shapes.append(Image(x, y, scale * wide, scale * high, Pixels(tiles(image[None], 1, 1)[1:-1, 1:-1])))
    return Drawing(30 + step, tuple(shapes), sentence)


def _pixels(images: object) -> Tensor:
    """The images, if their pixels can be shown as they are."""
    if not isinstance(images, Tensor) or images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape[2:]:
        given = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise Problem(f"images is {given}; give a tensor (B, C, H, W) with 1 or 3 channels.")
    if images.dtype != torch.uint8:
        raise Problem(
            f"images is {images.dtype}; a picture needs uint8, 0 to 255. For floats in [0, 1] give "
            "(images * 255).round().to(torch.uint8)."
        )
    if images.is_meta or images.layout != torch.strided:
        kind = "on the device meta" if images.is_meta else f"stored as {images.layout}"
        raise Problem(f"images is {kind}, so there are no pixels to show; give a dense tensor with values.")
    return images
