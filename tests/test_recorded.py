"""The tables that an H100 filled, as the lessons show them."""

import pytest
from tools import problem

from helpers import recorded
from helpers.recorded import WHAT


@pytest.mark.parametrize("what", WHAT)
def test_a_table_has_rows_and_no_failed_one(what):
    assert len(recorded.rows(what)) >= 10
    assert not any(row["error"] for row in recorded.rows(what))


def test_shares_are_those_of_the_rows():
    rows = {(row["model"], row["B"], row["lever"]): float(row["ms/step"]) for row in recorded.rows("levers")}
    expected = rows["vit_b_16", "64", "bf16"] / rows["vit_b_16", "64", "as it is"]
    said, head, *lines = recorded.shares("ms/step", ["bf16", "checkpoint"]).splitlines()
    assert said.startswith("ms/step, as a share") and head.split() == ["bf16", "checkpoint"] and len(lines) == 6
    assert lines[-1].startswith("vit_b_16, B = 64") and float(lines[-1].split()[-2]) == pytest.approx(
        expected, abs=6e-3
    )
    assert lines[0].split()[-1] == "-"  # an MLP without blocks was not measured


def test_the_largest_batches_stand_beside_each_other():
    (head, line) = recorded.largest_batches(["resnet18"]).splitlines()
    assert line.split() == ["resnet18", "4", "182", "179", "178", "1.02"]


def test_bad_names_are_said(monkeypatch, tmp_path):
    assert "'speed', 'limit'" in problem(lambda: recorded.rows("levels"))
    assert "bf16" in problem(lambda: recorded.shares("ms/step", ["bf8"]))
    assert "ms/step" in problem(lambda: recorded.shares("seconds", ["bf16"]))
    assert "one of numbers" in problem(lambda: recorded.shares("predicted phase", ["bf16"]))
    assert "resnet18" in problem(lambda: recorded.largest_batches(["resnet19"]))
    monkeypatch.setattr(recorded, "ROOT", tmp_path)
    assert "git checkout" in problem(lambda: recorded.rows("speed"))
