"""Lines in axes: what is drawn, and what is refused."""

import pytest
from tools import legible, refused

from helpers import figures

LINE = {1: 1.0, 64: 20.0}


@pytest.mark.parametrize(
    "wrong",
    [
        None, 3, [LINE], {}, {"MLP": {}}, {"MLP": None}, {"MLP": [1.0]}, {"MLP": {1: 0.0}}, {"MLP": {1: -2}},
        {"MLP": {1: float("nan")}}, {"MLP": {1: "fast"}}, {"MLP": {0: 1.0}}, {"MLP": {1.5: 1.0}},
        dict.fromkeys("abcde", LINE),  # the fifth was once left out
    ],
)  # fmt: skip
def test_speed_up_refuses(wrong):
    refused(lambda: figures.speed_up(wrong))


def test_speed_up_draws_every_line_that_it_takes():
    picture = figures.speed_up(dict.fromkeys("abcd", LINE))
    (axis,) = picture.figure.axes
    assert [text.get_text() for text in axis.get_legend().get_texts()] == list("abcd")
    assert len({(line.get_marker(), line.get_linestyle(), line.get_color()) for line in axis.lines[:4]}) == 4
    assert all(f"{name}: 20.0 times at B = 64" in picture.sentence for name in "abcd")


def curves(lines=None, x="step", y="KiB", sentence="Two leaks.", **settings):
    return figures.curves({"leak": {1: 4.0, 2: 8.0}, "none": {1: 0.0, 2: 0.0}} if lines is None else lines,
                          x, y, sentence, **settings)  # fmt: skip


def test_curves_have_names_marks_and_their_sentence():
    picture = curves({"ResNet-18": {1: 200.0, 8: 300.0, 64: 1500.0}}, log="xy", marks={"crossover 9": 9})
    (axis,) = picture.figure.axes
    assert (axis.get_xlabel(), axis.get_ylabel(), picture.sentence) == ("step", "KiB", "Two leaks.")
    assert [text.get_text() for text in axis.texts] == ["crossover 9"]
    assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")
    assert [label.get_text() for label in axis.get_xticklabels()] == ["1", "8", "64"]


def test_a_line_has_the_colour_of_its_category():
    (axis,) = curves(colours={"none": "#56B4E9"}).figure.axes
    assert [line.get_color() for line in axis.lines] == ["#0072B2", "#56B4E9"]


@pytest.mark.parametrize("picture", [curves(), curves(log="x"), figures.speed_up({"MLP": LINE, "CNN": LINE})])
def test_charts_are_legible(picture):
    legible(picture)


@pytest.mark.parametrize(
    "wrong",
    [
        {"lines": {"a": {1: 0.0}}, "log": "y"}, {"lines": {"a": {0: 1.0}}, "log": "x"}, {"log": "z"}, {"log": None},
        {"marks": {"B": "9"}}, {"marks": 9}, {"marks": {"B": 0}, "log": "x"}, {"x": 3}, {"sentence": None},
        {"lines": {"a": {"B": 1.0}}}, {"lines": {}}, {"colours": "#000"}, {"colours": {"leak": 3}},
        {"colours": {"no line": "#000"}},
    ],
)  # fmt: skip
def test_curves_refuse(wrong):
    refused(lambda: curves(**wrong))
