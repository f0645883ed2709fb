"""The row of memory: each memory once, every number at its place, and under it the index that reads it there."""

import pytest
import torch
from tools import refused, words

from helpers import figures
from helpers.figures import cells as row
from helpers.figures import shapes


def cells(tensors) -> list[tuple[str, float, float]]:
    """Words, x and y of every cell; the words of a cell come behind its box."""
    drawn = row.draw(tensors).shapes
    pairs = zip(drawn, drawn[1:], strict=False)
    return [(text.words, text.x, text.y) for area, text in pairs if isinstance(area, shapes.Area)]


def rows(tensors) -> list[dict[float, str]]:
    """The rows of cells from top to bottom: {x: words}."""
    found: dict[float, dict[float, str]] = {}
    for number, x, y in cells(tensors):
        found.setdefault(y, {})[x] = number
    return [found[y] for y in sorted(found)]


IMAGE = torch.arange(12).view(3, 2, 2) + 10
VIEWS = {
    "the tensor": IMAGE,
    "permuted": IMAGE.permute(1, 2, 0),
    "a slice": IMAGE[1:, :, 1],
    "every other column": IMAGE[..., ::2],
    "turned": IMAGE.transpose(0, 2),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_each_index_stands_under_the_number_that_it_reads(view):
    memory, whole, part = rows({"image": IMAGE, "view": view})
    assert list(memory.values()) == [str(number) for number in range(10, 22)]
    assert len(whole) == 12 and len(part) == view.numel()
    for x, index in part.items():
        assert str(view[tuple(map(int, index.split(",")))].item()) == memory[x]


def test_views_share_a_row_and_copies_have_their_own():
    x = torch.arange(6)
    tensors = {"x": x, "own": x[2:5].clone(), "part": x[2:5]}
    names = [said for said in words(row.draw(tensors)) if said.startswith(("index", "one", "another"))]
    assert [said.split(",")[0] for said in names] == [
        "one row of memory", "index of x", "index of part", "another row of memory", "index of own",
    ]  # fmt: skip
    assert figures.memory_row(tensors).sentence == (
        "One row of memory: x reads places 0, 1, 2, 3, 4, 5; part reads places 2, 3, 4. "
        "Another row: own reads places 0, 1, 2."
    )


def test_a_place_that_is_read_several_times_says_how_often():
    row = torch.tensor([[7, 8, 9]])
    picture = figures.memory_row({"row": row, "wide": row.expand(4, 3)})
    assert list(rows({"row": row, "wide": row.expand(4, 3)})[-1].values()) == ["4 ×"] * 3
    assert picture.sentence.endswith("wide reads places 0, 1, 2 (4 times each).")


def test_what_is_drawn_is_what_lies_in_memory_now():
    x = torch.zeros(3)
    x[1:] += 2
    assert list(rows({"x": x})[0].values()) == ["0", "2", "2"]


LONG = torch.arange(100)
REFUSED = {
    "no names": {},
    "seven names": {str(n): IMAGE for n in range(7)},
    "no mapping": [IMAGE],
    "a name that is no text": {1: IMAGE},
    "a long name": {"x" * 21: IMAGE},
    "no tensor": {"x": [1, 2]},
    "no axis": {"x": torch.tensor(1)},
    "five axes": {"x": IMAGE.view(1, 1, 3, 2, 2)},
    "no numbers": {"x": torch.zeros(0)},
    "no memory": {"x": torch.zeros(3, device="meta")},
    "too much is read": {"x": torch.zeros(1).expand(25)},
    "a part of much": {"x": LONG[:3]},
    "two dtypes in one memory": {"x": IMAGE[0, 0].float(), "bits": (y := torch.zeros(2)), "same": y.view(torch.int32)},
    "a long number": {"x": torch.tensor([1234567])},
}


@pytest.mark.parametrize("tensors", REFUSED.values(), ids=REFUSED)
def test_memory_that_cannot_be_drawn_is_refused_with_what_to_give(tensors):
    refused(lambda: figures.memory_row(tensors))
