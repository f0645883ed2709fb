"""Dots of several runs: what is drawn, and what is refused."""

import pytest
from tools import legible, refused

from helpers import figures

CASES = {"as they are": [89.0, 91.0], "order 1": [85.0, 86.0, 90.0]}
MOST = {f"CNN {place}, global max": {case: [50.0, 100.0] for case in ("as they are", *"123")} for place in range(8)}


def spread(groups=None, x="accuracy in %", sentence="Two networks."):
    return figures.spread({"MLP": CASES, "CNN": CASES} if groups is None else groups, x, sentence)


def test_spread_draws_every_run_and_every_mean():
    picture = spread()
    (axis,) = picture.figure.axes
    dots, means = axis.lines[::2], axis.lines[1::2]
    assert [list(line.get_xdata()) for line in dots] == [*CASES.values()] * 2
    assert [line.get_xdata()[0] for line in means] == [90.0, 87.0] * 2
    assert [text.get_text() for text in axis.texts] == ["mean 90.0", "mean 87.0"] * 2
    assert len({(line.get_marker(), line.get_color()) for line in dots}) == 2
    (legend,) = picture.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(CASES)
    assert (axis.get_xlabel(), picture.sentence) == ("accuracy in %", "Two networks.")
    bottom, top = axis.get_ylim()
    rows = [line.get_ydata()[0] for line in dots]
    assert rows == sorted(set(rows)) and top < rows[0] and rows[-1] < bottom  # from top to bottom


@pytest.mark.parametrize("groups", [None, {"MLP": {"as they are": [1]}}, MOST], ids=["two", "smallest", "largest"])
def test_spread_is_legible(groups):
    legible(spread(groups))


@pytest.mark.parametrize(
    "wrong",
    [
        {"groups": {}}, {"groups": [CASES]}, {"groups": {"MLP": [89.0]}}, {"groups": {"MLP": {}}}, {"groups": 3},
        {"groups": {"MLP": {"as they are": []}}}, {"groups": {"MLP": {"as they are": 89.0}}}, {"x": 3},
        {"groups": {"MLP": {"as they are": ["89"]}}}, {"groups": {"MLP": {"as they are": [float("nan")]}}},
        {"groups": {"MLP": CASES, "CNN": {"as they are": [1.0]}}}, {"groups": dict.fromkeys("abcdefghi", CASES)},
        {"groups": {"MLP": dict.fromkeys("abcde", [1.0])}}, {"sentence": None},
    ],
)  # fmt: skip
def test_spread_refuses(wrong):
    refused(lambda: spread(**wrong))
