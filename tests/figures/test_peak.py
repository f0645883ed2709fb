"""The peak against the batch size: what is drawn, and what is refused."""

import pytest
from tools import refused

from helpers import figures, memory, models
from helpers.units import MIB

AT = memory.any_batch(models.mlp(hidden=256), (1, 28, 28))


def test_four_lines_with_the_crossover():
    picture = figures.peak_against_batch(AT, (4096, 64, 1), "MLP")
    (axis,) = picture.figure.axes
    lines = {line.get_label(): dict(zip(*line.get_data(), strict=True)) for line in axis.lines[:4]}
    assert list(lines) == ["peak", "fixed part", "batch + activations", "batch alone"]
    assert lines["peak"] == {b: AT(b).peak / MIB for b in (1, 64, 4096)}
    assert set(lines["fixed part"].values()) == {4 * AT(1).most["parameters"] / MIB}
    assert lines["batch alone"][64] == AT(64).most["batch"] / MIB
    assert [text.get_text() for text in axis.texts] == ["crossover 774"]
    said = "MLP: batch and activations weigh as much as the fixed part from B = 774 on. At B = 4,096: peak 26.8 MiB"
    assert said in picture.sentence


@pytest.mark.parametrize(
    "wrong",
    [
        {"at": None}, {"at": AT(1)}, {"batches": 8}, {"batches": ()}, {"batches": (0,)}, {"batches": (1.5,)},
        {"batches": range(1, 10)}, {"title": None},
    ],
)  # fmt: skip
def test_other_arguments_are_refused(wrong):
    refused(lambda: figures.peak_against_batch(**{"at": AT, "batches": (1, 8), "title": "MLP"} | wrong))
