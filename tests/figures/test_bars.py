"""Sizes in bytes as bars."""

import pytest
from tools import refused

from helpers import figures

SIZES = {"one photograph, uint8": 921_600, "one photograph, float32": 3_686_400, "none": 0}


def test_bars_are_as_long_as_their_sizes():
    (axis,) = figures.bars(SIZES, "Four times as many bytes.").figure.axes
    one, four, none = (patch.get_extents().width for patch in axis.patches)
    assert four / one == pytest.approx(4) and none < one / 20
    assert [text.get_text() for text in axis.texts[1::2]] == ["0.88 MiB", "3.52 MiB", "0 bytes"]


@pytest.mark.parametrize(
    "sizes", [{}, None, {"a": 0}, {"a": -1}, {"a": 1.5}, {"": 1}, {"x" * 29: 1}, {n: 1 for n in range(11)}]
)
def test_bars_refuse_what_is_no_size(sizes):
    refused(lambda: figures.bars(sizes, "None."))
