"""The product of two matrices, the image as one row, the order of the features: what is drawn, what is refused."""

import numpy as np
import pytest
import torch
from tools import of, problem, words
from torch import nn

from helpers import data, figures
from helpers.figures import COLOURS, ERROR, flatten, shapes
from helpers.figures.layout import CHANNELS

A, B = torch.tensor([[1, 2, 3], [4, 5, 6]]), torch.tensor([[10, 1], [20, 0], [30, 2]])
IMAGE = data.digits().images[0]


def test_an_entry_marks_its_row_its_column_and_where_they_meet():
    drawing = flatten.draw_entry(A, B, 1, 0)
    marked = {name: [] for name in ("batch", "parameters", "activations")}
    cells = of(drawing, shapes.Area)
    numbers = [text for text in of(drawing, shapes.Text) if text.size == 18]
    for cell, text in zip(cells, numbers, strict=True):
        for name, found in marked.items():
            found += [text.words] if cell.fill == COLOURS[name] else []
    assert marked == {"batch": ["4", "5", "6"], "parameters": ["10", "20", "30"], "activations": ["320"]}
    assert words(drawing)[-1] == "entry in row 1, column 0: 4 × 10 + 5 × 20 + 6 × 30 = 320"
    assert [text.words for text in numbers[-4:]] == [str(entry) for entry in (A @ B).flatten().tolist()]
    assert drawing.sentence.startswith("(2, 3) @ (3, 2) = (2, 2).") and "= 320." in drawing.sentence


def test_a_product_compares_the_inner_sizes():
    fits, fails = flatten.draw_product(("B", 784), (784, 128)), flatten.draw_product((1792, 28), (784, 128))
    assert {"B", "784", "128", "the result"} < set(words(fits)) and "784 = 784 ✓" in words(fits)[-1]
    assert "(B, 784) @ (784, 128) gives (B, 128)" in fits.sentence
    assert ERROR not in {text.colour for text in of(fits, shapes.Text)}
    red = [text.words for text in of(fails, shapes.Text) if text.colour == ERROR]
    assert red[:2] == ["28", "784"] and red[2].startswith("28 ≠ 784 ✗") and "no result" in words(fails)
    assert "cannot be multiplied: 28 ≠ 784" in fails.sentence
    with pytest.raises(RuntimeError, match="1792x28 and 784x128"):
        torch.empty(1792, 28) @ torch.empty(784, 128)


def test_a_layer_adds_its_bias_to_the_product():
    layer, fails = flatten.draw_product(("B", 784), (784, 128), True), flatten.draw_product((5, 28), (784, 128), True)
    assert {"mat2: weight.T", "+ bias (128,)"} < set(words(layer))
    assert layer.sentence.endswith("The bias (128,) is added to each row.")
    assert not any("bias" in word for word in words(fails))


def test_equal_sizes_have_edges_of_equal_length():
    left, right, result = of(flatten.draw_product((64, 784), (784, 128)), shapes.Area)
    sides = [np.ptp(area.corners, axis=0) for area in (left, right, result)]
    assert sides[0][0] == pytest.approx(sides[1][1])
    assert sides[2][0] == pytest.approx(sides[1][0]) and sides[2][1] == pytest.approx(sides[0][1])


def test_the_long_row_holds_the_features_of_flatten():
    drawing = flatten.draw_unrolled(IMAGE)
    seen, strip = of(drawing, shapes.Image)
    assert (seen.pixels.values[..., 0] == IMAGE[0].numpy()).all()
    assert (strip.pixels.values[0, :, 0] == nn.Flatten()(IMAGE)[0].numpy()).all()
    assert "row 9: features 252 to 279" in words(drawing) and "28 * r + c" in drawing.sentence
    frames = [area.corners for area in of(drawing, shapes.Area)]
    for row, piece in zip(frames[::2], frames[1::2], strict=True):
        part = (row[0][1] - seen.y) / seen.height  # of the image above the framed row
        assert part == pytest.approx((piece[0][0] - strip.x) / strip.width)


def test_the_features_stand_in_their_order_in_the_colours_of_their_channels():
    image = torch.arange(12).reshape(3, 2, 2)
    drawing = flatten.draw_features(image)
    cells, numbers = of(drawing, shapes.Area), [int(word) for word in words(drawing) if word.isdigit()]
    nchw, nhwc = (nn.Flatten()(x[None])[0].tolist() for x in (image, image.permute(1, 2, 0)))
    assert numbers == [*range(12), *nchw, *nhwc] and nhwc[:4] == [0, 4, 8, 1]
    assert [cell.fill for cell in cells] == [CHANNELS[number // 4][2] for number in numbers]
    assert "as NHWC the features are 0, 4, 8, 1" in drawing.sentence


@pytest.mark.parametrize(
    "call, part",
    [
        (lambda: figures.entry_picture(A, A, 0, 0), "a row of a has 3 numbers, a column of b 2; give two of the same"),
        (lambda: figures.entry_picture(A.float(), B, 0, 0), "give an int64 tensor (rows, columns)"),
        (lambda: figures.entry_picture(A.repeat(3, 1), B, 0, 0), "allowed are 4 rows and columns"),
        (lambda: figures.entry_picture(1000 * A, B, 0, 0), "a has numbers from 1000 to 6000; allowed are -99 to 999"),
        (lambda: figures.entry_picture(100 * A[:1], B, 0, 0), "a @ b has numbers from 700 to 14000"),
        (lambda: figures.entry_picture(A, B, 2, 0), "row is 2; allowed is a whole number from 0 to 1"),
        (lambda: figures.entry_picture(A, B, 0, -1), "column is -1; allowed is a whole number from 0 to 1"),
        (lambda: figures.product_picture((64,), (784, 128)), "give a tuple of two sizes, for example (64, 784)"),
        (lambda: figures.product_picture((64, 784), ("B", 128)), "right[0] is 'B'"),
        (lambda: figures.product_picture((64, 784), (784, 128), 1), "bias is 1; allowed is True or False"),
        (lambda: figures.product_picture(("B",), (784, 128)), "give a tuple of two sizes"),
        (lambda: figures.product_picture((64, 10**7), (784, 128)), "a size is 10,000,000; allowed is up to 9,999"),
        (lambda: figures.unroll_picture(data.colours().images[0]), "give one grey image (1, H, H)"),
        (lambda: figures.unroll_picture(IMAGE[:, :7, :7]), "H from 16 to 64"),
        (lambda: figures.unroll_picture(IMAGE.float()), "give a uint8 tensor (C, H, W)"),
        (lambda: figures.features_picture(torch.arange(16).reshape(4, 2, 2)), "allowed are 3 channels and 12 numbers"),
        (lambda: figures.features_picture(torch.arange(27).reshape(3, 3, 3)), "for example (3, 2, 2)"),
        (lambda: figures.features_picture(torch.full((1, 1, 1), -100)), "allowed are -99 to 999"),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, part):
    assert part in problem(call)
