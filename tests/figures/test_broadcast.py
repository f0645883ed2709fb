"""Two shapes lined up from the right: what is drawn, against PyTorch's own broadcasting, and what is refused."""

import pytest
import torch
from tools import of, refused, words

from helpers import figures
from helpers.figures import broadcast, shapes

BATCH = (64, 3, 32, 32)


def drawn(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[list[str], str]:
    """The row of the result, and the sentence."""
    drawing = broadcast.draw({"batch": one, "mean": other})
    row = [text.words for text in of(drawing, shapes.Text) if text.y == 142 and text.anchor == "middle"]
    return row, drawing.sentence


@pytest.mark.parametrize("other", [(1, 3, 1, 1), (3, 1, 1), (32,), (1,), (64, 1, 1, 32), (2, 64, 3, 1, 1), BATCH])
def test_what_fits_has_the_shape_that_pytorch_gives(other):
    row, sentence = drawn(BATCH, other)
    result = torch.broadcast_shapes(BATCH, other)
    assert row == [str(size) for size in result] and sentence.endswith(f"the result is {tuple(result)}.")


@pytest.mark.parametrize("other, meeting", [((3,), "32 meets 3 in the last axis"), ((3, 1), "32 meets 3 in axis -2")])
def test_what_does_not_fit_is_marked_where_it_fails(other, meeting):
    with pytest.raises(RuntimeError):
        torch.broadcast_shapes(BATCH, other)
    row, sentence = drawn(BATCH, other)
    assert row[-len(other)] == "✗" and row.count("✗") == 1
    assert meeting in sentence and sentence.endswith("so PyTorch refuses.")


def test_a_stretched_and_a_missing_size_have_a_dashed_edge():
    drawing = broadcast.draw({"batch": BATCH, "mean": (3, 1, 1)})
    dashed = [area.dashed for area in of(drawing, shapes.Area)]
    assert dashed == [False, True, False] + [False] * 3 + [False, True, False] * 2
    assert "(1) stands for a missing axis" in drawing.sentence
    assert "(1)" in words(drawing)


@pytest.mark.parametrize(
    "wrong",
    [
        None, 3, {}, {"batch": BATCH}, {"a": (1,), "b": (1,), "c": (1,)}, {"batch": BATCH, "mean": ()},
        {"batch": BATCH, "mean": (0,)}, {"batch": BATCH, "mean": 3}, {"batch": BATCH, 3: (3,)},
        {"batch": BATCH, "x" * 13: (3,)}, {"batch": BATCH, "": (3,)}, {"batch": BATCH, "mean": (1,) * 6},
    ],
)  # fmt: skip
def test_anything_else_is_refused(wrong):
    refused(lambda: figures.broadcast_picture(wrong))
