"""Curves and endings of the sweep over batch sizes: what is drawn."""

import pytest
from tools import of, words

from helpers import batch_size
from helpers.batch_size import Curve, Curves, Endings, Ends
from helpers.figures import ERROR
from helpers.figures import batch_size as figures
from helpers.figures.shapes import Area, Line, Marker, Text

SIZES = (1, 4, 16, 64, 256, 1437)


def curves(ends=(0.01, 0.02, 0.04, 0.5, 1.0, 2.3), diverged=(0, 0, 0, 0, 2, 5), measure="loss") -> Curves:
    lines = tuple(
        Curve(size, 0.4, (1.0, 512.0), (2.3, end), (2.2, end / 2), (2.4, end * 2), lost, 5)
        for size, end, lost in zip(SIZES, ends, diverged, strict=True)
    )
    return Curves("digits", measure, "steps", "fixed", 512.0, lines)


def test_every_batch_size_has_its_line_its_name_and_its_band():
    drawing = figures.draw(curves())
    lines = [line for line in of(drawing, Line) if line.colour in {colour for colour, _ in figures._LOOKS}]
    drawn = [line for line in lines if line.line > 1]  # without the thin ones that lead to the names
    assert [line.dashed for line in drawn] == [False] * 5 + [True]
    assert len({(line.colour, line.line) for line in drawn}) == 6
    assert [line.line for line in drawn] == sorted(line.line for line in drawn)
    assert {"B = 1", "B = 4", "B = 16", "B = 64", "256 ✗ 2/5", "1,437 ✗ 5/5"} <= set(words(drawing))
    assert {text.colour for text in of(drawing, Text) if "/5" in text.words} == {ERROR}
    assert len(of(drawing, Area)) == 4  # none where a run did not learn: it would hide all others


@pytest.mark.parametrize("ends", [(0.01,) * 6, (5000.0,) * 6, (1e-9,) * 6, (float("inf"),) * 6])
def test_names_stand_below_each_other_and_values_beyond_the_axis_at_its_end(ends):
    drawing = figures.draw(curves(ends, (0,) * 6))
    feet = sorted(text.y for text in of(drawing, Text) if text.words.startswith("B = "))
    assert all(below - above >= 19.9 for above, below in zip(feet, feet[1:], strict=False))
    assert all(0 <= y <= figures.HEIGHT for line in of(drawing, Line) for _, y in line.points)


def test_a_lower_loss_and_a_lower_accuracy_are_lower_down():
    for measure in ("loss", "accuracy"):
        drawing = figures.draw(curves((0.1, 0.2, 0.3, 0.4, 0.5, 0.6), (0,) * 6, measure))
        feet = [next(text.y for text in of(drawing, Text) if text.words == f"B = {size:,}") for size in SIZES]
        assert feet == sorted(feet, reverse=True)


def test_endings_have_a_dot_for_each_run_and_a_cross_where_there_is_none():
    rows = tuple(
        Ends(size, 0.4, (1.0, 2.0, 3.0) if size > 1 else (), (0.9, 0.91, 0.92) if size > 1 else (), (), 0)
        for size in SIZES
    )
    drawing = figures.draw_endings(Endings("digits", "fixed", "loss", rows))
    assert len(of(drawing, Marker)) == 2 * 5 * 3 and words(drawing).count("✗") == 2
    empty = tuple(Ends(size, 0.4, (), (), (), 5) for size in SIZES)
    drawing = figures.draw_endings(Endings("digits", "fixed", "loss", empty))
    assert words(drawing).count("✗") == 12


def test_the_sentence_is_that_of_the_record():
    record = batch_size.curves("digits", "accuracy", "seconds", "sqrt")
    assert figures.curves_picture(record).sentence == figures.draw(record).sentence == record.sentence
    record = batch_size.endings("colours", "fixed", "steps")
    assert figures.endings_picture(record).sentence == record.sentence
