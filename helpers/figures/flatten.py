"""The drawings of lesson 05: a product of two matrices, an image as one row, the order of the features."""

from math import log, prod

import numpy as np
import torch
from torch import Tensor

from helpers.figures.base import COLOURS, ERROR, WIDTH, Picture
from helpers.figures.images import tiles
from helpers.figures.layout import CHANNELS
from helpers.figures.paper import picture
from helpers.figures.shapes import Drawing, Image, Line, Pixels, Shape, Text, box, cell
from helpers.problems import Problem, shown, tensor_of, true_or_false, whole_number, whole_numbers

_CELL, _MOST = 44, 4  # pixels of a cell, rows and columns of a matrix of numbers
_ROWS = ("#D55E00", "#0072B2", "#009E73")  # the three rows of an image that are followed


def entry_picture(a: Tensor, b: Tensor, row: int, column: int) -> Picture:
    """Two matrices of whole numbers, their product, and how one entry of it comes about.

    a: (M, K), b: (K, N), int64, at most 4 rows and columns; all numbers, the product's too, from -99 to 999. Raises
    `Problem` for anything else.
    """
    return picture(draw_entry(a, b, row, column))


def product_picture(left: tuple, right: tuple, bias: bool = False) -> Picture:
    """A product of matrices by its sizes: the two inner ones are compared, the outer ones are the result's.

    left, right: two whole numbers each, as in (64, 784) and (784, 128), up to 9,999; the first may be "B", for
    any batch size. bias: what `nn.Linear` does, with the names that it has there. Raises `Problem` for anything else.
    """
    return picture(draw_product(left, right, bias))


def unroll_picture(image: Tensor) -> Picture:
    """One grey image (1, H, H) uint8, H from 16 to 64, and the row that `Flatten` makes of it; three rows are followed.

    Raises `Problem` for anything else.
    """
    return picture(draw_unrolled(image))


def features_picture(image: Tensor) -> Picture:
    """The features that `Flatten` makes of one image (C, H, W) as (C, H, W) and as (H, W, C), coloured by channel.

    image: int64, at most 3 channels and 12 numbers, from -99 to 999. Raises `Problem` for anything else.
    """
    return picture(draw_features(image))


def draw_entry(a: Tensor, b: Tensor, row: int, column: int) -> Drawing:
    """A row of the first and a column of the second are marked, and the entry where they meet."""
    example = "torch.tensor([[1, 2, 3], [4, 5, 6]])"
    for name, matrix in (("a", a), ("b", b)):
        _few_digits(name, tensor_of(name, matrix, "rows, columns", example, torch.int64))
        if max(matrix.shape) > _MOST:
            raise Problem(f"{name} is {tuple(matrix.shape)}; allowed are {_MOST} rows and columns. Give smaller ones.")
    if a.shape[1] != len(b):
        raise Problem(f"a row of a has {a.shape[1]} numbers, a column of b {len(b)}; give two of the same length.")
    row, column = whole_number("row", row, 0, len(a) - 1), whole_number("column", column, 0, b.shape[1] - 1)
    c = _few_digits("a @ b", a @ b)
    widths = [_CELL * matrix.shape[1] for matrix in (a, b, c)]
    gap, deep = 56, max(len(a), len(b))
    x, shapes = (WIDTH - sum(widths) - 2 * gap) / 2, []
    marks = (
        ("a", a, lambda r, _: r == row, COLOURS["batch"]),
        ("b", b, lambda _, k: k == column, COLOURS["parameters"]),
        ("a @ b", c, lambda r, k: (r, k) == (row, column), COLOURS["activations"]),
    )
    for place, ((name, matrix, marked, fill), width) in enumerate(zip(marks, widths, strict=True)):
        y = 28 + _CELL * (deep - len(matrix)) / 2
        shapes.append(Text(x + width / 2, y - 10, f"{name}: {tuple(matrix.shape)}", "middle", bold=True))
        for r, k in np.ndindex(*matrix.shape):
            lit, number = marked(r, k), matrix[r, k].item()
            ink = "#fff" if lit and name == "b" else "#000"  # what can be read on its colour
            look = {"fill": fill if lit else "#fff", "edge": "#333"}
            shapes += cell(x + _CELL * k, y + _CELL * r, _CELL, _CELL, number, 18, lit, ink, **look)
        if place < 2:
            shapes.append(Text(x + width + gap / 2, 35 + _CELL * deep / 2, "@="[place], "middle", bold=True, size=20))
        x += width + gap
    terms = " + ".join(f"{p} × {q}" for p, q in zip(a[row].tolist(), b[:, column].tolist(), strict=True))
    entry = f"entry in row {row}, column {column}: {terms} = {c[row, column].item()}"
    shapes.append(Text(WIDTH / 2, 62 + _CELL * deep, entry, "middle", size=16))
    return Drawing(
        74 + _CELL * deep,
        tuple(shapes),
        f"{tuple(a.shape)} @ {tuple(b.shape)} = {tuple(c.shape)}. Row {row} of the first times column {column} of the "
        f"second is the {entry}.",
    )


def draw_product(left: tuple, right: tuple, bias: bool = False) -> Drawing:
    """Each matrix as a sheet with its sizes on the edges; the two inner ones are compared, red if they differ."""
    example = "a tuple of two sizes, for example (64, 784)"
    any_batch = isinstance(left, tuple | list) and any(isinstance(size, str) and size == "B" for size in left[:1])
    rows, inner = whole_numbers("left", (64, *left[1:]) if any_batch else left, 1, example, range(2, 3))
    inputs, outputs = whole_numbers("right", right, 1, example, range(2, 3))
    if (most := max(rows, inner, inputs, outputs)) > 9999:
        raise Problem(f"a size is {most:,}; allowed is up to 9,999. Give smaller ones, for example (64, 784).")
    told, fits, bias = "B" if any_batch else f"{rows}", inner == inputs, true_or_false("bias", bias)
    colour, largest = "#000" if fits else ERROR, log(max(most, 2))
    second = "mat2: weight.T" if bias else "mat2: the weights"
    sheets = [("mat1: the input", "batch", rows, inner), (second, "parameters", inputs, outputs)]
    sheets.append(("the result" if fits else "no result", "activations", rows, outputs))
    shapes: list[Shape] = []
    for place, (name, category, *sizes) in enumerate(sheets):
        middle, (high, wide) = 125 + 250 * place, [30 + 100 * log(size) / largest for size in sizes]
        x, y, missing = middle - wide / 2, 118 - high / 2, place == 2 and not fits
        look = {"edge": ERROR, "dashed": True} if missing else {"fill": COLOURS[category], "edge": "#333"}
        shapes += [Text(middle, 18, name, "middle", bold=True), box(x, y, wide, high, **look)]
        if not missing:
            edges = (told if place != 1 else str(inputs)), str(sizes[1])
            shapes.append(Text(x - 8, 123, edges[0], "end", bold=True, colour=colour if place == 1 else "#000"))
            shapes.append(Text(middle, y - 7, edges[1], "middle", bold=True, colour=colour if place == 0 else "#000"))
        if place < 2:
            shapes.append(Text(middle + 95, 124, "@="[place], "middle", bold=True, size=20))
    why = (
        "the inner sizes agree, the outer ones remain"
        if fits
        else f"a row of {inner} numbers meets a column of {inputs}"
    )
    sign = f"{inner} = {inputs} ✓" if fits else f"{inner} ≠ {inputs} ✗"
    shapes += [Line(((125, 190), (125, 200), (375, 200), (375, 190)), colour, 1.5)]
    shapes.append(Text(125, 222, f"{sign}   {why}", bold=True, colour=colour))
    end = f"gives ({told}, {outputs})" if fits else "cannot be multiplied"
    after = ""
    if bias and fits:
        shapes.append(Text(625, 200, f"+ bias ({outputs},)", "middle", bold=True))
        after = f" The bias ({outputs},) is added to each row."
    return Drawing(232, tuple(shapes), f"({told}, {inner}) @ ({inputs}, {outputs}) {end}: {sign[:-2]}, {why}.{after}")


def draw_unrolled(image: Tensor) -> Drawing:
    """The image with three of its rows framed, and the same three as pieces of the long row below."""
    tensor_of("image", image, "C, H, W", "data.digits().images[0]", torch.uint8)
    side, top, left = image.shape[1], 2, 2
    if image.shape != (1, side, side) or not 16 <= side <= 64:
        raise Problem(f"image is {tuple(image.shape)}; give one grey image (1, H, H) with H from 16 to 64.")
    sheet, scale, step = tiles(image[None], 1, 1)[1:-1, 1:-1], 196 / side, (WIDTH - 4) / side**2
    strip = top + 196 + 58
    shapes: list[Shape] = [Image(left, top, 196, 196, Pixels(sheet))]
    shapes.append(Image(left, strip, WIDTH - 4, 34, Pixels(sheet.reshape(1, -1, 3))))
    for row, colour in zip((side // 3, side // 2, side - 1 - side // 4), _ROWS, strict=True):
        y, x = top + scale * row, left + step * side * row
        shapes.append(box(left, y, 196, scale, fill="none", edge=colour, line=2.5))
        shapes.append(box(x, strip, step * side, 34, fill="none", edge=colour, line=2.5))
        shapes.append(Line(((left + 196, y + scale / 2), (x + step * side / 2, strip)), colour, 1.5))
        words = f"row {row}: features {side * row} to {side * (row + 1) - 1}"
        shapes.append(Text(WIDTH - 2, y + scale / 2 + 5, words, "end", bold=True, colour=colour))
    shapes.append(Text(2, strip + 54, "feature 0"))
    shapes.append(Text(WIDTH - 2, strip + 54, f"feature {side**2 - 1}", "end"))
    return Drawing(
        strip + 62,
        tuple(shapes),
        f"{side} rows of {side} pixels, one row behind the other, are {side} x {side} = {side**2:,} features. "
        f"The pixel in row r and column c is feature {side} * r + c.",
    )


def draw_features(image: Tensor) -> Drawing:
    """The channels as planes of numbers, and under them both rows of features."""
    _few_digits("image", tensor_of("image", image, "C, H, W", "torch.arange(12).reshape(3, 2, 2)", torch.int64))
    channels, height, width = image.shape
    if channels > len(CHANNELS) or prod(image.shape) > 12:
        raise Problem(f"image is {tuple(image.shape)}; allowed are 3 channels and 12 numbers, for example (3, 2, 2).")
    shapes: list[Shape] = []
    for place, (name, colour, light) in enumerate(CHANNELS[:channels]):
        x = 2 + 250 * place
        shapes.append(Text(x, 18, f"channel {place} ({name})", bold=True, colour=colour))
        for r, c in np.ndindex(height, width):
            number, look = image[place, r, c].item(), {"fill": light, "edge": colour}
            shapes += cell(x + 44 * c, 28 + 32 * r, 42, 30, number, 16, **look)
    y, told = 28 + 32 * height + 36, []
    for name, values in (("NCHW", image), ("NHWC", image.permute(1, 2, 0))):
        axis = 0 if name == "NCHW" else 2
        shapes.append(Text(2, y, f"{name}: (1, {', '.join(map(str, values.shape))}), then Flatten", bold=True))
        for place, index in enumerate(np.ndindex(*values.shape)):
            _, colour, light = CHANNELS[index[axis]]
            shapes += cell(2 + 61 * place, y + 12, 59, 30, values[index].item(), 16, fill=light, edge=colour)
        told.append(f"as {name} the features are {', '.join(map(str, values.flatten().tolist()))}")
        y += 80
    words = f"The same numbers, two orders: {told[0]}; {told[1]}."
    return Drawing(y - 32, tuple(shapes), words)


def _few_digits(name: str, numbers: Tensor) -> Tensor:
    low, high = numbers.min().item(), numbers.max().item()
    if low < -99 or high > 999:
        raise Problem(f"{name} has numbers from {shown(low)} to {shown(high)}; allowed are -99 to 999. Give others.")
    return numbers
