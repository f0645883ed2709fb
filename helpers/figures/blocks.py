"""The pictures of lesson 01: a batch as a block, its shape behind each layer, and what BatchNorm takes together."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from helpers.figures.base import COLOURS, ERROR, Picture
from helpers.figures.images import tiles
from helpers.figures.paper import picture
from helpers.figures.shapes import GREY, NCHW, Drawing, Image, Line, Pixels, Shape, Text, box, cell, lines, shape_boxes
from helpers.models import kept_modes
from helpers.problems import Problem, instance_of, network, said, shown, tensor_of

_BLUE = COLOURS["batch"]


def block_picture(images: Tensor) -> Picture:
    """One to four images (B, C, H, W) uint8 with their channels as planes, stacked; `Problem` for anything else."""
    return picture(draw_block(images))


def layers_picture(model: nn.Sequential, inputs: Mapping[str, Tensor]) -> Picture:
    """The shape of one or two named inputs before and behind each of at most 8 layers, and the error where one stops.

    The model is run in eval mode, and its modes are put back. Raises `Problem` for anything else.
    """
    return picture(draw_layers(model, inputs))


def norm_picture(maps: Tensor) -> Picture:
    """What BatchNorm takes together of `maps`, (B, C, H, W) floats: 2 to 4 images, 1 to 3 channels.

    Raises `Problem` for anything else.
    """
    return picture(draw_norm(maps))


def draw_block(images: Tensor) -> Drawing:
    """The images from left to right along the batch axis; the channels of each from the front to the back."""
    tiles(images, 1, 1)  # refuses what cannot be shown as it is
    count, channels, height, width = images.shape
    _allowed("images", images, count, range(1, 5), "1 to 4 images, for example images[:4]")
    values = images.numpy(force=True)
    scale, deep = 100 / max(height, width), 18 * (channels - 1)
    high, wide = scale * height, scale * width
    shapes: list[Shape] = [box(80, 2, 658, high + deep + 50, edge=_BLUE, line=3)]
    for place in range(count):
        left, top = 94 + 164 * place, 16 + deep
        for channel in reversed(range(channels)):
            x, y = left + 18 * channel, top - 18 * channel
            pixels = np.zeros((height, width, 3), np.uint8)
            pixels[..., [channel] if channels == 3 else [0, 1, 2]] = values[place, channel][..., None]
            shapes += [Image(x, y, wide, high, Pixels(pixels)), box(x, y, wide, high, fill="none", edge="#fff")]
        shapes.append(Text(left + wide / 2, top + high + 24, f"image {place}", "middle"))
    for words, y in (
        (f"C = {channels} ↗", 22),
        (f"H = {height} ↓", 14 + deep + high / 2),
        (f"W = {width} →", 16 + deep + high),
    ):
        shapes.append(Text(74, y, words, "end"))
    shapes += [
        Text(74, 40 + deep + high, f"B = {count} →", "end", bold=True),
        *shape_boxes(80, high + deep + 66, images.shape, NCHW, 110),
    ]
    some = f"{count} image{'s' * (count > 1)}, each of {channels} plane{'s' * (channels > 1)} of {height} x {width}"
    sentence = f"{some} numbers, in one block with four axes: {tuple(images.shape)} is (B, C, H, W)."
    return Drawing(high + deep + 118, tuple(shapes), sentence)


def draw_layers(model: nn.Sequential, inputs: Mapping[str, Tensor]) -> Drawing:
    """A row for the input and for each layer, a column for each input; axis 0 has the colour of the batch."""
    instance_of("model", network("model", model), nn.Sequential, "nn.Sequential(nn.Flatten(), nn.Linear(784, 10))")
    instance_of("inputs", inputs, Mapping, '{"one image": images[:1]}')
    layers = list(model)
    if not 1 <= len(layers) <= 8 or not 1 <= len(inputs) <= 2:
        raise Problem(f"{len(layers)} layers and {len(inputs)} inputs; give 1 to 8 layers and 1 or 2 inputs.")
    shapes: list[Shape] = [Text(2, 68, "input", bold=True)]
    for row, layer in enumerate(layers, start=1):
        shapes += [Line(((2, 84 + 40 * (row - 1)), (738, 84 + 40 * (row - 1))), "#ccc")]
        shapes.append(Text(2, 68 + 40 * row, f"after {type(layer).__name__:.15}", bold=True))
    height, told = 84 + 40 * len(layers), []
    for column, (name, value) in enumerate(inputs.items()):
        left = 200 + 275 * column
        shapes.append(Text(left, 22, str(instance_of("a name", name, str, '"one image"'))[:22]))
        reached, error = _through(layers, value)
        for row, shape in enumerate(reached):
            shapes += _small_boxes(left, 48 + 40 * row, shape)
        told.append(f"{name}: {' -> '.join(map(str, reached))}{error and f', then {error}'}")
        if error:
            words = lines(left, 68 + 40 * len(reached), f"✗ {error}", 28, colour=ERROR)
            height = max(height, words[-1].y + 12)
            shapes += words
    shapes += [box(2, 8, 20, 20, fill=_BLUE), Text(30, 23, "axis 0")]
    return Drawing(height, tuple(shapes), f"Shapes from layer to layer. {'. '.join(told)}.")


def _through(layers: list[nn.Module], value: object) -> tuple[list[tuple[int, ...]], str]:
    """The shapes on the way, up to the layer that cannot take what comes, and what that one says."""
    tensor_of("an input", value, "...", "images[:1]", most=2**24)
    reached, stopped = [tuple(value.shape)], ""
    for layer in layers:
        try:
            with torch.no_grad(), kept_modes(layer):
                value = layer.eval()(value)
            reached.append(tuple(value.shape))
        except Exception as error:
            stopped = said(error)
            break
    if max(map(len, reached)) > 4:
        raise Problem(f"the shapes {shown(reached)} have more than 4 axes; give inputs and layers with at most 4.")
    return reached, stopped


def _small_boxes(x: float, y: float, sizes: tuple[int, ...]) -> list[Shape]:
    shapes: list[Shape] = []
    for place, size in enumerate(sizes):
        words, fill = f"{size}" if size < 10**5 else f"{size:.0e}", "#fff" if place else _BLUE
        shapes += cell(x + 64 * place, y, 60, 28, words, bold=True, fill=fill, edge="#333")
    return shapes


def draw_norm(maps: Tensor) -> Drawing:
    """Twice the same maps: in train mode a frame goes through all images, in eval mode through none."""
    tensor_of("maps", maps, "B, C, H, W", "model[0](images[:4])", most=2**20)
    count, channels, height, width = maps.shape
    _allowed("maps", maps, count, range(2, 5), "2 to 4 images, for example maps[:4]")
    _allowed("maps", maps, channels, range(1, 4), "1 to 3 channels, for example maps[:, :3]")
    if not maps.isfinite().all():
        raise Problem("maps holds numbers that are infinite or NaN; give finite ones.")
    values, shapes, told = maps.float().numpy(force=True), [], []
    for channel in range(channels):
        plane, top = values[:, channel], 54 + 112 * channel
        low, span = plane.min(), np.ptp(plane) or 1
        mean, std = f"{plane.mean():.3g}", f"{plane.std():.3g}"
        told.append(f"channel {channel}: mean {mean}, std {std}")
        for left, mode in ((8, "train"), (386, "eval")):
            for place in range(count):
                x, side = left + 88 * place, 76
                pixels = (255 * (plane[place] - low) / span).astype(np.uint8)
                shapes.append(Image(x, top, side, side, Pixels(np.repeat(pixels[..., None], 3, 2))))
                if mode == "eval":
                    shapes.append(box(x - 2, top - 2, side + 4, side + 4, fill="none", edge=GREY, line=2))
            if mode == "train":
                shapes.append(box(left - 5, top - 5, 88 * count - 2, 86, fill="none", edge=_BLUE, line=4))
            of = f"mean {mean}, std {std}" if mode == "train" else "stored mean, stored std"
            shapes.append(Text(left, top + 98, f"channel {channel}: {of}"))
    shapes.append(Text(4, 18, "train mode: a channel of all images", bold=True))
    shapes.append(Text(386, 18, "eval mode: each image by itself", bold=True))
    for left in (8, 386):
        shapes += [Text(left + 88 * place + 38, 42, f"image {place}", "middle") for place in range(count)]
    each = f"{count} x {height} x {width} = {count * height * width:,} numbers"
    sentence = (
        f"What BatchNorm takes together. Train mode: each channel of all images, {each} ({'; '.join(told)}). "
        "Eval mode: nothing, as mean and std are stored."
    )
    return Drawing(54 + 112 * channels, tuple(shapes), sentence)


def _allowed(name: str, tensor: Tensor, count: int, counts: range, wanted: str) -> None:
    if count not in counts:
        raise Problem(f"{name} is {shown(tensor)}; give {wanted}.")
