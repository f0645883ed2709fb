"""A batch as a block, shapes from layer to layer, what BatchNorm takes together."""

import pytest
import torch
from tools import of, problem, refused, words
from torch import nn

from helpers import data, figures, models
from helpers.figures import blocks
from helpers.figures.shapes import Area, Image, Text

COLOURS = data.colours().images
IMAGES = data.digits().images.float() / 255


def test_a_block_shows_every_channel_of_every_image_the_first_channel_in_front():
    drawing = blocks.draw_block(COLOURS[1:5])
    planes = of(drawing, Image)
    assert len(planes) == 4 * 3 and planes[0].x > planes[2].x and planes[0].y < planes[2].y
    for place, plane in enumerate(planes):
        image, channel = place // 3, 2 - place % 3
        assert (plane.pixels.values[..., channel] == COLOURS[1 + image, channel].numpy()).all()
        assert plane.pixels.values.any(axis=(0, 1)).tolist() == [one == channel for one in range(3)]
    (frame,) = [area for area in of(drawing, Area) if area.edge == figures.COLOURS["batch"]]
    left, right = frame.corners[0][0], frame.corners[1][0]
    assert all(left < plane.x and plane.x + plane.width < right for plane in planes)
    assert {"C = 3 ↗", "H = 32 ↓", "W = 32 →", "B = 4 →", "batch B", "channels C"} <= set(words(drawing))
    assert drawing.sentence.startswith("4 images, each of 3 planes of 32 x 32 numbers")


def test_a_grey_image_is_one_grey_plane_and_keeps_its_proportions():
    tall = torch.arange(40, dtype=torch.uint8).view(1, 1, 10, 4)
    drawing = blocks.draw_block(tall)
    (plane,) = of(drawing, Image)
    assert (plane.pixels.values == tall[0, 0].numpy()[..., None]).all()
    assert plane.height / plane.width == pytest.approx(2.5)
    assert drawing.sentence.startswith("1 image, each of 1 plane of 10 x 4 numbers")


@pytest.mark.parametrize("images", [COLOURS[:0], COLOURS[:5], COLOURS[0], COLOURS[:2] / 255])
def test_a_block_of_no_or_too_many_images_is_refused(images):
    assert "give" in problem(lambda: figures.block_picture(images))


def test_layers_show_each_shape_up_to_the_error():
    model = models.cnn().train()
    drawing = blocks.draw_layers(model, {"with": IMAGES[:2], "without": IMAGES[0]})
    assert words(drawing)[:6] == ["input", *(f"after {type(layer).__name__}" for layer in model)]
    shapes = "(2, 1, 28, 28) -> (2, 8, 28, 28) -> (2, 8, 28, 28) -> (2, 8, 14, 14) -> (2, 1568) -> (2, 10)"
    assert f"with: {shapes}. without: (1, 28, 28) -> (8, 28, 28) -> " in drawing.sentence
    assert "-> (8, 196), then " in drawing.sentence and drawing.sentence.endswith("(8x196 and 1568x10).")
    blue = [area for area in of(drawing, Area) if area.fill == figures.COLOURS["batch"]]
    assert len(blue) == 6 + 5 + 1  # every first size, and the legend
    error = " ".join(text.words for text in of(drawing, Text) if text.colour == figures.ERROR)
    assert error.startswith("✗ ") and "(8x196 and 1568x10)" in error
    assert all(layer.training for layer in model.modules()), "the mode is put back"


def test_layers_are_run_in_eval_mode_and_leave_the_model_as_it_was():
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(784))
    assert "(1, 784) -> (1, 784)" in figures.layers_picture(model, {"one": IMAGES[:1]}).sentence
    assert not model[1].running_mean.any() and model[1].num_batches_tracked == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": nn.Flatten()},
        {"model": nn.Sequential()},
        {"model": nn.Sequential(*[nn.ReLU()] * 9)},
        {"inputs": {}},
        {"inputs": {1: IMAGES[:1]}},
        {"inputs": {"one": [1]}},
        {"inputs": dict.fromkeys("abc", IMAGES[:1])},
        {"inputs": {"five axes": IMAGES[:1, None]}, "model": nn.Sequential(nn.ReLU())},
        {"inputs": [IMAGES[:1]]},
    ],
)
def test_layers_refuse(wrong):
    given = {"model": models.cnn(), "inputs": {"one": IMAGES[:1]}} | wrong
    refused(lambda: figures.layers_picture(**given))


def test_what_batch_norm_mixes_is_what_it_computes_with():
    maps = torch.randn(3, 2, 4, 5, generator=torch.Generator().manual_seed(0)) * 3 + 1
    drawing = blocks.draw_norm(maps)
    norm = nn.BatchNorm2d(2, momentum=1.0)
    norm(maps)
    std = maps.transpose(0, 1).reshape(2, -1).std(1, correction=0)
    for channel, mean in enumerate(norm.running_mean):
        assert f"channel {channel}: mean {mean:.3g}, std {std[channel]:.3g}" in words(drawing)
    assert "3 x 4 x 5 = 60 numbers" in drawing.sentence
    frames = [area for area in of(drawing, Area) if area.edge == figures.COLOURS["batch"]]
    singles = [area for area in of(drawing, Area) if area.edge != figures.COLOURS["batch"]]
    images = of(drawing, Image)
    assert (len(frames), len(singles), len(images)) == (2, 6, 12)

    def inside(area):
        (left, top), (right, bottom) = area.corners[0], area.corners[2]
        return sum(left <= one.x and one.x + one.width <= right and top <= one.y < bottom for one in images)

    assert [inside(area) for area in frames] == [3, 3] and [inside(area) for area in singles] == [1] * 6


@pytest.mark.parametrize("shape", [(1, 1, 4, 4), (5, 1, 4, 4), (2, 4, 4, 4), (2, 4, 4), (2, 0, 4, 4)])
def test_what_batch_norm_mixes_refuses(shape):
    assert "give" in problem(lambda: figures.norm_picture(torch.rand(shape)))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_maps_without_numbers_are_refused(value):
    assert "give finite ones" in problem(lambda: figures.norm_picture(torch.full((2, 1, 4, 4), value)))


def test_maps_of_one_value_are_drawn_black():
    drawing = blocks.draw_norm(torch.full((2, 1, 4, 4), 3.0))
    assert not any(one.pixels.values.any() for one in of(drawing, Image)) and "mean 3, std 0" in drawing.sentence
