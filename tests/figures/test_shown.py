"""What imshow makes of arrays, and the order of an image's numbers."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from tools import of, problem, refused

from helpers import data, figures
from helpers.figures import shapes, shown

PATCH = data.colours().images[0].permute(1, 2, 0)
OF = {
    "uint8 colours": PATCH,
    "floats out of range": PATCH.float() / 100 - 0.5,
    "one plane": PATCH[..., 0],
    "one channel": PATCH[..., :1].float(),
    "an array": PATCH.numpy()[:20],
    "with a gradient": torch.rand(4, 5, 3, requires_grad=True),
    "bfloat16": torch.rand(4, 5, 3).bfloat16(),
}

PLAIN = {torch.bfloat16: torch.float32}  # for NumPy, which has no bfloat16


@pytest.mark.parametrize("array", OF.values(), ids=OF)
def test_a_row_shows_the_pixels_that_imshow_shows(array):
    (image,) = of(shown.draw_row({"it": array}, "One."), shapes.Image)
    plain = array if isinstance(array, np.ndarray) else array.detach().to(PLAIN.get(array.dtype, array.dtype)).numpy()
    drawn = Figure().subplots().imshow(plain)
    expected = drawn.to_rgba(drawn.get_array(), bytes=True)[..., :3]
    assert np.abs(image.pixels.values.astype(int) - expected.astype(int)).max() <= 1  # rounded in another place
    assert image.width / image.height == pytest.approx(array.shape[1] / array.shape[0])


def test_a_row_has_each_name_above_and_each_shape_below_its_picture():
    drawing = shown.draw_row({"a": PATCH, "b": PATCH[:16]}, "Two.")
    for image, name, shape in zip(of(drawing, shapes.Image), "ab", (PATCH.shape, (16, 32, 3)), strict=True):
        above, below = (next(t for t in of(drawing, shapes.Text) if t.words == w) for w in (name, str(tuple(shape))))
        assert above.x == below.x == image.x + image.width / 2
        assert above.y < image.y and image.y + image.height < below.y - shapes.SIZE
    assert figures.imshow_row({"a": PATCH}, "One.").sentence == "One."


@pytest.mark.parametrize(
    "wrong",
    [
        None, [PATCH], {}, dict.fromkeys("abcde", PATCH), {3: PATCH}, {"x" * 88: PATCH}, {"a": PATCH.permute(2, 0, 1)},
        {"a": PATCH[None]}, {"a": PATCH[0, 0]}, {"a": None}, {"a": PATCH[:0]}, {"a": PATCH.to("meta")},
        {"a": np.array([["x"]])}, {"a": torch.rand(2, 2, 3).to_sparse()}, {"a": torch.zeros(2, 2, dtype=torch.bool)},
    ],
)  # fmt: skip
def test_a_row_refuses(wrong):
    refused(lambda: figures.imshow_row(wrong, "It."))


def test_a_row_wants_a_sentence():
    problem(lambda: figures.imshow_row({"a": PATCH}, None))


@pytest.mark.parametrize("height, width", [(1, 2), (2, 4), (2, 3)])
@pytest.mark.parametrize("operation, moves", [("image.permute(1, 2, 0)", True), ("image.reshape(H, W, C)", False)])
def test_an_order_keeps_every_number_and_its_colour(height, width, operation, moves):
    drawing = shown.draw_order(height, width, operation)
    count = 3 * height * width
    cells = of(drawing, shapes.Area)
    numbers = [int(text.words) for text in of(drawing, shapes.Text) if text.words.isdigit()]
    image = torch.arange(count).reshape(3, height, width)
    made = image.permute(1, 2, 0) if moves else image.reshape(height, width, 3)
    assert numbers == list(range(count)) + made.flatten().tolist()
    colour = {number: cell.fill for number, cell in zip(numbers[:count], cells, strict=False)}
    assert [cell.fill for cell in cells] == [colour[number] for number in numbers]
    assert len({colour[0], colour[height * width], colour[2 * height * width]}) == 3
    assert str(made[0, 0].tolist()) in drawing.sentence
    assert ("not one number" in drawing.sentence) == (len({colour[n] for n in made[0, 0].tolist()}) < 3)


@pytest.mark.parametrize("wrong", [(0, 2), (3, 2), (2, 1), (2, 5), (2.0, 2), (2, None), (2, 2, "image"), (2, 2, 3)])
def test_an_order_refuses(wrong):
    assert "allowed" in problem(lambda: figures.order_picture(*wrong))
