"""Tiles, rows of images, and the sentence below a picture."""

import html
import re

import pytest
import torch
from nbconvert.filters import markdown2html
from tools import problem

from helpers import data, figures


def test_tiles_show_every_pixel_where_it_belongs():
    images = data.colours().images[:5]
    sheet = figures.tiles(images, columns=3, rows=2)
    assert sheet.shape == (2 * 34, 3 * 34, 3)
    for n in range(5):
        top, left = 34 * (n // 3) + 1, 34 * (n % 3) + 1
        assert torch.equal(torch.from_numpy(sheet[top : top + 32, left : left + 32]).permute(2, 0, 1), images[n])
    assert (sheet[34:, 68:] == 255).all()


GREY = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
NO_IMAGES = {
    "three axes": GREY[0],
    "two channels": GREY.expand(3, 2, 8, 8),
    "no pixels": GREY[..., :0],
    "None": None,
    "a list": [1],
    "meta": GREY.to("meta"),
    "sparse": GREY.to_sparse(),
    "floats in [0, 1]": torch.rand(3, 1, 8, 8),  # once drawn black
    "numbers above 255": torch.full((3, 1, 8, 8), 300),  # once drawn as 44
    "with a gradient": torch.rand(3, 1, 8, 8, requires_grad=True),
}


@pytest.mark.parametrize("wrong", NO_IMAGES.values(), ids=NO_IMAGES)
def test_what_cannot_be_shown_as_it_is_is_refused(wrong):
    assert "give" in problem(lambda: figures.tiles(wrong, 1, 1))
    assert "give" in problem(lambda: figures.image_row(wrong, ["a", "b", "c"], "Three."))


def test_floats_are_told_how_to_become_pixels():
    images = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 1, 3)
    said = problem(lambda: figures.tiles(images, 1, 1))
    repair = said.split("give ")[1].rstrip(".")
    shown = figures.tiles(eval(repair, {"images": images, "torch": torch}), 1, 1)
    assert shown[1, 1:4, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("grid", [(0, 1), (1, -1), (1.0, 1), (None, 1), ("2", 2), (10**6, 10**6)])
def test_tiles_refuse_a_grid(grid):
    assert "allowed" in problem(lambda: figures.tiles(GREY, *grid))


def test_the_grid_holds_up_to_256_images_and_keeps_its_shape():
    for count in (1, 16, 17, 64, 65, 256):
        columns, rows = figures.tile_grid(count)
        assert columns == 4 * rows and columns * rows >= count
        assert columns == 8 or (columns // 2) * (rows // 2) < count
    for wrong in (0, -1, 1.0, None, "8"):
        assert "allowed" in problem(lambda wrong=wrong: figures.tile_grid(wrong))


@pytest.mark.parametrize("sentence", ["1*60 + 2*20 = 100.", "a_b_c and `d`, <e> & $x$.", "(1, 2) -> [3] ~4~ # 5 | 6."])
def test_a_sentence_is_shown_as_it_is_written(sentence, monkeypatch):
    shown = []
    monkeypatch.setattr("helpers.figures.base.display", lambda data, raw: shown.append(data))
    figures.bars({"one": 1}, sentence)._ipython_display_()
    written = re.sub("<[^>]+>", "", markdown2html(shown[1]["text/markdown"]))
    assert html.unescape(written).strip() == shown[1]["text/plain"] == sentence


def test_an_image_row_shows_each_image_below_its_title():
    images = data.colours().images[:3]
    picture = figures.image_row(images, ["a", "b", "c"], "Three.")
    (axis,) = picture.figure.axes
    for image, shown, title in zip(images, axis.images, axis.texts, strict=True):
        assert torch.equal(torch.from_numpy(shown.get_array().data.copy()).permute(2, 0, 1), image)
        left, right, bottom, top = shown.get_extent()
        assert title.get_position()[0] == pytest.approx((left + right) / 2) and title.get_position()[1] < top < bottom
    assert [title.get_text() for title in axis.texts] == ["a", "b", "c"]


@pytest.mark.parametrize("titles", [["a"], "ab", None, 3, list("abcd"), torch.tensor(3), str])
def test_image_rows_refuse_titles(titles):
    assert "title" in problem(lambda: figures.image_row(GREY, titles, "Three."))


def test_image_rows_refuse_too_few_too_many_and_no_sentence():
    for count in (0, 11):
        many = GREY[:1].expand(count, 1, 8, 8)
        assert "1 to 10" in problem(lambda many=many, count=count: figures.image_row(many, range(count), "Many."))
    problem(lambda: figures.image_row(GREY, "abc", None))
