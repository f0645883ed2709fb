"""The drawing of the batch panel: the images of a batch, its shape, its bytes, what the model makes of it."""

from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from helpers.batch import BatchFacts
from helpers.figures.images import GRIDS, tile_grid, tiles
from helpers.figures.shapes import GREY, NCHW, Drawing, Image, Line, Pixels, Points, Text, box, shape_boxes
from helpers.units import exact_and_readable

HEIGHT = 316
_SHEET = (2, 2, 736, 184)  # where the images are: left, top, width, height


Sheets = dict[tuple[int, int], Pixels]


def sheets(images: Tensor) -> Sheets:
    """For each grid, all images that have a place in it. A larger batch shows more of the same sheet."""
    return {grid: Pixels(tiles(images[: grid[0] * grid[1]], *grid)) for grid in GRIDS}


def draw(facts: BatchFacts, pixels: Sheets | None = None) -> Drawing:
    """The images of the batch as tiles, the first 256 at most; shapes as boxes; bytes and parameters as text.

    pixels: what `sheets(facts.images)` gave, where it is at hand.
    """
    count, axes = facts.shape[0], len(facts.output_shape)
    grid = tile_grid(count)
    images = {one: Image(*_SHEET, sheet) for one, sheet in (pixels or sheets(facts.images)).items()}
    product = " × ".join(str(size) for size in facts.shape)
    dtype = str(facts.dtype).removeprefix("torch.")
    size = f"{product} numbers × {facts.dtype.itemsize} bytes ({dtype}) = {exact_and_readable(facts.n_bytes)}"
    outputs = (NCHW[0], "outputs") if axes == 2 else (NCHW[0], *(f"axis {axis}" for axis in range(1, axes)))[:axes]
    width = min(82, 636 / (4 + axes) - 4)
    after = 2 + 4 * (width + 4)
    shapes = (
        *_places(*grid),
        box(1, 1, 738, 186, fill="none", edge=GREY, line=1),
        replace(images[grid], outline=_first_tiles(count, *grid)),
        *shape_boxes(2, 202, facts.shape, NCHW, width),
        Text(after + 48, 223, "→ model →", "middle"),
        *shape_boxes(after + 100, 202, facts.output_shape, outputs, width),
        Text(2, 282, size, bold=True),
        Text(2, 306, f"{facts.parameters:,} parameters, the same for every B"),
    )
    return Drawing(HEIGHT, shapes, facts.sentence, ahead=tuple(images.values()))


def _places(columns: int, rows: int) -> Iterator[Line]:
    """Thin lines between the tiles, so that the empty places are seen too."""
    left, top, width, height = _SHEET
    for x in range(1, columns):
        yield Line(((left + width * x / columns, top), (left + width * x / columns, top + height)), "#ccc")
    for y in range(1, rows):
        yield Line(((left, top + height * y / rows), (left + width, top + height * y / rows)), "#ccc")


def _first_tiles(count: int, columns: int, rows: int) -> Points:
    """The outline of the first `count` tiles: full rows, and a part of the next one."""
    left, top, width, height = _SHEET
    full, rest = divmod(min(count, columns * rows), columns)
    right, middle, upper, lower = (
        left + width,
        left + width * rest / columns,
        *(top + height * row / rows for row in (full, full + 1)),
    )
    corners = ((left, top), (right, top), (right, upper))
    return (*corners, (middle, upper), (middle, lower), (left, lower)) if rest else (*corners, (left, upper))
