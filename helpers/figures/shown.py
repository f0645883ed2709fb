"""What imshow makes of an array, and in which order an image's numbers stand: the pictures of lesson 03."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from helpers.figures.base import WIDTH, Picture
from helpers.figures.layout import CHANNELS, as_imshow_does
from helpers.figures.paper import picture
from helpers.figures.shapes import Drawing, Image, Pixels, Shape, Text, cell
from helpers.layout import layout
from helpers.problems import Problem, instance_of, one_of, shown, whole_number

_EXAMPLE = '{"hwc": np.transpose(img, (1, 2, 0))}'
_LETTER, _SIDE = 8.5, 300  # pixels: a letter of one width; the longer side of a picture, where there is room
_HIGH, _WIDE = 34, 26  # of the cell of one number
_ORDERS = ("image.permute(1, 2, 0)", "image.reshape(H, W, C)")


def imshow_row(arrays: Mapping[str, np.ndarray | Tensor], sentence: str) -> Picture:
    """One to four arrays as imshow shows them, each below its name and above its shape.

    arrays: {name: array or tensor (H, W), (H, W, 1) or (H, W, 3)}. Raises `Problem` for anything else.
    """
    return picture(draw_row(arrays, sentence))


def draw_row(arrays: Mapping[str, np.ndarray | Tensor], sentence: str) -> Drawing:
    """The shapes of `imshow_row`."""
    instance_of("arrays", arrays, Mapping, _EXAMPLE)
    instance_of("sentence", sentence, str, '"Left: the photograph."')
    if not 1 <= len(arrays) <= 4:
        raise Problem(f"{len(arrays)} arrays; give 1 to 4 of them.")
    step = WIDTH / len(arrays)
    values = [_pixels(name, array, int(step / _LETTER)) for name, array in arrays.items()]
    sides = [min(_SIDE, step - 12) / max(one.shape[:2]) for one in values]
    highest = max(side * len(one) for side, one in zip(sides, values, strict=True))
    shapes: list[Shape] = []
    for place, (name, one, side) in enumerate(zip(arrays, values, sides, strict=True)):
        middle, (height, width) = step * (place + 0.5), (side * length for length in one.shape[:2])
        shapes.append(Text(middle, 18, name, "middle", code=True))
        shapes.append(Image(middle - width / 2, 30, width, height, Pixels(one)))
        shapes.append(Text(middle, 50 + highest, str(tuple(arrays[name].shape)), "middle"))
    return Drawing(62 + highest, tuple(shapes), sentence)


def _pixels(name: object, array: object, letters: int) -> np.ndarray:
    """The array as imshow colours it, if it shows it, and if its name is a text that has room."""
    if not isinstance(name, str) or len(name) > letters:
        raise Problem(f"the name {shown(name)} is too long or no text; give one of at most {letters} letters.")
    if isinstance(array, Tensor) and array.layout == torch.strided and not array.is_meta:
        array = array.numpy(force=True) if array.dtype != torch.bfloat16 else array.float().numpy(force=True)
    wanted = "an array or a tensor (H, W), (H, W, 1) or (H, W, 3), for example np.transpose(img, (1, 2, 0))"
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "uif" or array.ndim not in (2, 3):
        raise Problem(f"{shown(name)} is {shown(array)}; give {wanted}.")
    if 0 in array.shape or array.ndim == 3 and array.shape[2] not in (1, 3) or array.size > 2**24:
        raise Problem(f"{shown(name)} is {shown(array)}; give {wanted}.")
    return as_imshow_does(array if array.ndim == 3 else array[..., None])


def order_picture(height: int, width: int, operation: str = _ORDERS[0]) -> Picture:
    """An image (3, height, width) that holds 0, 1, 2 … as three planes, and the pixels that an operation makes of it.

    height: 1 or 2. width: 2 to 4. operation: "image.permute(1, 2, 0)" or "image.reshape(H, W, C)". A number keeps the
    colour of the plane that it comes from. Raises `Problem` for anything else.
    """
    return picture(draw_order(height, width, operation))


def draw_order(height: int, width: int, operation: str = _ORDERS[0]) -> Drawing:
    """The shapes of `order_picture`."""
    height, width = whole_number("height", height, 1, 2), whole_number("width", width, 2, 4)
    image = torch.arange(3 * height * width).reshape(3, height, width)
    made = layout(image, one_of("operation", operation, _ORDERS)).result
    shapes = [
        Text(2, 18, f"image: (C, H, W) = {tuple(image.shape)}", bold=True),
        Text(WIDTH - 2, 18, f"{operation}: {tuple(made.shape)}", "end", bold=True),
    ]
    for (c, h, w), number in np.ndenumerate(image.numpy()):
        shapes += _cell(2 + (_WIDE * width + 14) * c + _WIDE * w, 30 + _HIGH * h, int(number), height * width)
    for c, (name, colour, _) in enumerate(CHANNELS):
        shapes.append(Text(2 + (_WIDE * width + 14) * c, 50 + _HIGH * height, name, bold=True, colour=colour))
    left = WIDTH - 2 - (3 * _WIDE + 14) * width + 14
    for (h, w, c), number in np.ndenumerate(made.numpy()):
        shapes += _cell(left + (3 * _WIDE + 14) * w + _WIDE * c, 30 + _HIGH * h, int(number), height * width)
    pixel = made[0, 0].tolist()
    shapes.append(Text(WIDTH - 2, 50 + _HIGH * height, f"pixel [0, 0] = {pixel}", "end", bold=True))
    from_all = sorted({number // (height * width) for number in pixel}) == [0, 1, 2]
    sentence = (
        f"Left: the three planes of an image {tuple(image.shape)}. Right: after {operation}, {height} rows of {width} "
        f"pixels with three numbers each. The first pixel is {pixel}: "
        f"{'one number from each plane' if from_all else 'not one number from each plane'}."
    )
    return Drawing(62 + _HIGH * height, tuple(shapes), sentence)


def _cell(x: float, y: float, number: int, plane: int) -> list[Shape]:
    """One number in the colour of its plane."""
    _, colour, light = CHANNELS[number // plane]
    return cell(x, y, _WIDE - 3, _HIGH - 6, number, fill=light, edge=colour)
