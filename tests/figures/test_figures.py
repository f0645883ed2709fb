"""Pictures: one width, a sentence, no text cut."""

import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from tools import problem

from helpers import data, figures, models
from helpers.batch import batch_facts


def test_tiles_show_every_pixel_where_it_belongs():
    images = data.colours().images[:5]
    sheet = figures.tiles(images, columns=3, rows=2)
    assert sheet.shape == (2 * 34, 3 * 34, 3)
    for n in range(5):
        top, left = 34 * (n // 3) + 1, 34 * (n % 3) + 1
        assert torch.equal(torch.from_numpy(sheet[top : top + 32, left : left + 32]).permute(2, 0, 1), images[n])
    assert (sheet[34:, 68:] == 255).all()


@pytest.mark.parametrize("wrong", [torch.rand(28, 28), torch.zeros(1, 2, 8, 8), None, [1]])
def test_tiles_refuse(wrong):
    problem(lambda: figures.tiles(wrong, 1, 1))


def pictures():
    images = data.digits().images
    facts = batch_facts(images, models.cnn(), 200)
    return {
        "row": figures.image_row(images[:5], range(5), "Five digits."),
        "batch": figures.batch_picture(facts),
        "speed": figures.speed_up({"MLP": {1: 1.0, 64: 20.0}, "CNN": {1: 1.0, 64: 1.2}}),
    }


def test_pictures_have_one_width_and_a_sentence_and_no_text_is_cut():
    for name, picture in pictures().items():
        assert picture.figure.get_size_inches()[0] == figures.WIDTH
        assert picture.sentence.endswith(".") and picture.png().startswith(b"\x89PNG")
        renderer, edge = FigureCanvasAgg(picture.figure).get_renderer(), picture.figure.bbox
        for axis in picture.figure.axes:
            box = axis.get_tightbbox(renderer)
            assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= edge.x1 and box.y1 <= edge.y1, f"{name} is cut"


def test_batch_picture_texts_do_not_overlap():
    images = data.colours().images
    picture = figures.batch_picture(batch_facts(images, models.cnn((3, 32, 32)), 256))
    picture.png()
    renderer = FigureCanvasAgg(picture.figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in picture.figure.axes[1].texts]
    for n, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[n + 1 :])


def test_figures_refuse():
    images = data.digits().images
    problem(lambda: figures.image_row(images[:3], ["a"], "Three."))
    problem(lambda: figures.image_row(images[:0], [], "None."))
    problem(lambda: figures.image_row(images[:11], range(11), "Eleven."))
    problem(lambda: figures.speed_up({}))
    problem(lambda: figures.speed_up({"MLP": {}}))


def test_colours_of_the_course_differ():
    assert len(set(figures.COLOURS.values())) == len(figures.COLOURS) == 8
