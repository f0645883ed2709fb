"""The drawings of lessons 03 and 04: what one operation makes of an image, and one number's place in memory."""

import numpy as np
from matplotlib.cm import ScalarMappable

from helpers.figures.base import ERROR
from helpers.figures.shapes import Drawing, Image, Line, Pixels, Shape, Text, box, cell, lines, shape_boxes
from helpers.layout import Layout, Walk, offset

HEIGHT, WALK_HEIGHT = 296, 360
_SIDE = 256  # of the square in which the image is shown
#: Name, colour of lines and words, colour of cells: of channel 0, 1, 2.
CHANNELS = (("red", "#C00000", "#F8D4D2"), ("green", "#00703A", "#D0EEDA"), ("blue", "#0050C8", "#D3E2FA"))
_ROW = 20  # numbers in a row of memory


def draw(layout: Layout) -> Drawing:
    """On the left what imshow makes of the result, on the right its layout in words."""
    words = (
        ("code", layout.code),
        ("strides", str(layout.result.stride())),
        ("contiguous?", "yes" if layout.contiguous else "no"),
        ("same memory?", "yes, not copied" if layout.shares_memory else "no, a copy"),
    )
    shapes: list[Shape] = [Text(2, 18, "imshow shows"), *_shown(layout), Text(300, 18, "shape")]
    sizes = tuple(layout.result.shape)
    shapes += shape_boxes(300, 32, sizes, [f"axis {axis}" for axis in range(len(sizes))])
    for row, (name, value) in enumerate(words):
        y = 124 + 51 * row
        shapes += [Line(((300, y - 28), (738, y - 28)), "#ccc"), Text(300, y, name)]
        shapes.append(Text(420, y, value, code=name == "code", bold=name != "code"))
    return Drawing(HEIGHT, tuple(shapes), layout.sentence)


def _shown(layout: Layout) -> list[Shape]:
    if layout.imshow_error:
        frame = box(3, 31, _SIDE - 2, _SIDE - 2, edge=ERROR, line=3)
        return [frame, Text(18, 64, "an error:", bold=True, colour=ERROR), *lines(18, 96, layout.imshow_error, 27)]
    pixels = as_imshow_does(layout.result.numpy(force=True))
    height, width = (_SIDE * side / max(pixels.shape[:2]) for side in pixels.shape[:2])
    return [Image(2 + (_SIDE - width) / 2, 30 + (_SIDE - height) / 2, width, height, Pixels(pixels))]


def as_imshow_does(values: np.ndarray) -> np.ndarray:
    """Values (H, W, 1, 3 or 4) as RGB pixels: one number becomes a colour; of several, what is out of range is cut."""
    if values.shape[2] == 1:
        return ScalarMappable().to_rgba(values[..., 0], bytes=True)[..., :3]
    if np.issubdtype(values.dtype, np.floating):
        values = 255 * np.clip(values, 0, 1)
    return np.clip(values[..., :3], 0, 255).astype(np.uint8)


def draw_walk(walk: Walk) -> Drawing:
    """The channels of one image as planes of cells, the sum of the strides, and all of memory; one cell lit in both."""
    image, channels, rows, columns = walk.index[0], *walk.shape[1:]
    wide = 738 / channels
    step = min((wide - 12) / columns, 46)
    planes_end = 26 + 24 * rows
    owners: dict[int, int] = {}
    shapes: list[Shape] = []
    for index in np.ndindex(*walk.shape):
        place, channel = offset(index, walk.strides), index[1]
        owners[place] = channel
        if index[0] == image:
            left, top = 2 + wide * channel + step * index[3], 26 + 24 * index[2]
            shapes += _cell(left, top, step - 3, place, index == walk.index, channel)
    for channel, (name, colour, _) in enumerate(CHANNELS[:channels]):
        shapes.append(Text(2 + wide * channel, 17, f"n = {image}, c = {channel} ({name})", bold=True, colour=colour))
    total = f"offset = {walk.sum.replace('*', ' × ')} = {walk.offset}"
    shapes.append(Text(2, planes_end + 26, total, bold=True))
    shapes.append(Text(2, planes_end + 56, f"memory ({walk.memory_format}), place by place:"))
    for place, channel in sorted(owners.items()):
        left, top = 2 + 36.9 * (place % _ROW), planes_end + 68 + 28 * (place // _ROW)
        shapes += _cell(left, top, 34, place, place == walk.offset, channel)
    memory_rows = -(-len(owners) // _ROW)
    return Drawing(planes_end + 70 + 28 * memory_rows, tuple(shapes), walk.sentence)


def _cell(x: float, y: float, width: float, place: int, lit: bool, channel: int) -> list[Shape]:
    """One number, by its place in memory, in the colour of its channel; black if it is the one that is looked for."""
    _, colour, light = CHANNELS[channel]
    ink, fill = ("#fff", "#000") if lit else ("#000", light)
    return cell(x, y, width, 21, place, bold=lit, ink=ink, fill=fill, edge=colour)
