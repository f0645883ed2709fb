"""What layers keep for backward, as bars: what is drawn, and what is refused."""

import re

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from tools import of, problem, words
from torch import nn
from torchvision.models import resnet18

from helpers import figures, models
from helpers.figures import kept, paper, shapes
from helpers.memory import trace

MLP = trace(models.mlp(hidden=256), (1, 28, 28), 64)
ORANGE = figures.COLOURS["activations"]


def boxes(drawing, fill: str) -> list[float]:
    """The widths of the bars of this colour, above the legend."""
    bars = [area for area in of(drawing, shapes.Area) if area.fill == fill]
    return [np.ptp([x for x, _ in bar.corners]) for bar in bars][:-1]


def test_each_tensor_has_a_bar_as_long_as_its_bytes_and_grey_if_something_else_holds_it():
    drawing = kept.draw(MLP, "tensor")
    own = [row.bytes for row in MLP.saved if not row.shared_with]
    grey = [row.bytes for row in MLP.saved if row.shared_with]
    pixels = 176 / max(own + grey)
    assert boxes(drawing, ORANGE) == pytest.approx([max(size * pixels, 1.5) for size in own])
    assert boxes(drawing, "#dddddd") == pytest.approx([max(size * pixels, 1.5) for size in grey])
    told = words(drawing)
    for row in MLP.saved:
        place = next(
            i for i, said in enumerate(told) if re.fullmatch(re.escape(f"{row.layer} {row.tensor}") + "( [123])?", said)
        )
        assert told[place + 1 : place + 3] == [f"{row.bytes:,}", row.shared_with]
        del told[place]
    assert "2 (ReLU) output: 0.06 MiB" in drawing.sentence and f"{sum(own):,} bytes" in drawing.sentence


def test_rows_of_the_same_name_are_numbered_and_others_are_not():
    told = words(kept.draw(MLP, "tensor"))
    assert [said for said in told if "inside" in said] == [f"loss computed inside {number}" for number in (1, 2, 3)]
    assert "2 (ReLU) output" in told and "3 (Linear) weight" in told


@pytest.mark.parametrize("by", ["tensor", "layer"])
def test_no_word_lies_on_a_bar(by):
    layers = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.Flatten()
    huge = trace(nn.Sequential(*layers), (3, 32, 32), 2**22)
    (axis,) = paper.picture(kept.draw(huge, by)).figure.axes
    renderer = FigureCanvasAgg(axis.figure).get_renderer()
    bars = [bar.get_window_extent(renderer) for bar in axis.patches]
    for text in axis.texts:
        assert not [bar for bar in bars if bar.overlaps(text.get_window_extent(renderer))], text


def test_layers_of_a_kind_share_a_row():
    step = trace(resnet18(), (3, 224, 224), 2)
    drawing = kept.draw(step, "layer")
    assert {"Conv2d x 20", "BatchNorm2d x 20", "MaxPool2d", "Linear", "loss"} < set(words(drawing))
    own = sum(row.bytes for row in step.saved if not row.shared_with)
    assert f"{own:,} bytes" in " ".join(words(drawing)) and f"{own:,} bytes" in drawing.sentence
    refused = problem(lambda: figures.kept_picture(step))
    assert f"{len(step.saved)} rows; allowed are 1 to 20" in refused and 'by="layer"' in refused


def test_a_step_that_keeps_nothing_is_refused():
    silent = trace(models.mlp(), (1, 28, 28), 2, inference=True)
    assert "keeps nothing for backward" in problem(lambda: figures.kept_picture(silent))
    assert "allowed" in problem(lambda: figures.kept_picture(MLP, "kind"))
