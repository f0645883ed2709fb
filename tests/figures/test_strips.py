"""The parts of a step in strips: what is drawn, and what is refused."""

import numpy as np
import pytest
from tools import of, refused, words
from torch import nn

from helpers import figures, models
from helpers.figures import shapes, strips
from helpers.memory import trace

MLP = trace(models.mlp(hidden=256), (1, 28, 28), 64)


def test_strips_show_when_each_part_is_there_to_one_scale():
    drawing = strips.draw(MLP, ["parameters", "gradients", "activations"])
    areas = of(drawing, shapes.Area)
    assert [area.fill for area in areas] == [
        figures.COLOURS[name] for name in ("parameters", "gradients", "activations")
    ]
    heights = [np.ptp([y for _, y in area.corners]) for area in areas]
    most = [MLP.most[name] for name in ("parameters", "gradients", "activations")]
    assert heights == pytest.approx([44 * size / max(most) for size in most], abs=0.1)
    assert drawing.sentence == (
        "One training step at B = 64, from left to right: parameters 0.78 MiB all the time; "
        "gradients 0.78 MiB at most, reached in backward; activations 0.07 MiB at most, reached in forward."
    )
    assert {"forward", "backward", "step()", "parameters", "0.07 MiB"} < set(words(drawing))


def test_strips_name_their_axis_and_a_small_gradient_is_seen():
    drawing = strips.draw(MLP, ["gradients"])
    assert "operations →" in words(drawing)
    (area,) = of(drawing, shapes.Area)
    heights = {52 - y for _, y in area.corners}
    assert min(heights - {0}) == 2.5 and max(heights) == 44


@pytest.mark.parametrize("wrong", [None, [], "parameters", ["weights"], [3], 2, [["parameters"]]])
def test_strips_refuse_what_is_no_part(wrong):
    refused(lambda: figures.strips_picture(MLP, wrong))


def test_a_part_that_is_never_there_is_an_empty_strip():
    drawing = strips.draw(trace(nn.Flatten(), (1, 2, 5), 2, inference=True), ["gradients", "workspace"])
    assert "gradients 0 bytes all the time" in drawing.sentence
