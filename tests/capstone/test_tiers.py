"""Each tier can be reached on two cores, and not by the default design."""

import csv
import runpy

import pytest

from helpers.capstone import TIERS, Design, judge, preview
from helpers.folders import ROOT

BENCHMARKS = ROOT / "benchmarks"
PROOFS = runpy.run_path(str(BENCHMARKS / "tiers.py"))["PROOFS"]


@pytest.mark.parametrize("seed, name", list(enumerate(TIERS, 100)))
def test_each_tier_is_reached_with_a_seed_that_nobody_tried(seed, name):
    report = judge(PROOFS[name], seed=seed)
    assert name in report.reached, report.text
    assert report.findings == () and report.stopped == "" and report.not_covered == ()
    out_of_reach = {other for other, tier in TIERS.items() if report.peak > tier.bytes or report.time > tier.time}
    assert out_of_reach and not out_of_reach & set(report.reached), "no design is one for all"


@pytest.mark.parametrize("name", TIERS)
def test_seeds_and_machines_do_not_decide(name):
    """By the table of the benchmark: so many points above the accuracy, and time for a machine half as slow again."""
    with open(BENCHMARKS / "results" / "tiers.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["tier"] == name]
    tier = TIERS[name]
    assert len(rows) == 10 and all(name in row["reached"].split() and not row["findings"] for row in rows)
    assert min(float(row["accuracy"]) for row in rows) >= tier.accuracy + 0.015
    assert max(float(row["time"]) for row in rows) <= tier.time / 1.3
    assert {int(row["peak"]) for row in rows} == {preview(PROOFS[name]).peak}


def test_the_default_design_reaches_none_and_is_told_what_is_missing():
    report = judge(Design(), seed=103)
    assert report.reached == () and report.findings == () and report.stopped == ""
    assert all("memory" in standing.missed for standing in report.standings)
    assert report.time == pytest.approx(Design().epochs, rel=0.3)  # it is the unit itself
    assert "memory too much; enough would be" in report.lever
    assert all(len(line) <= 92 for line in report.text.splitlines())
