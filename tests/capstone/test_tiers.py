"""Each tier can be reached on two cores, and not by the default design."""

import csv
import runpy

import pytest

from helpers.capstone import TIERS, Design, judge, preview
from helpers.folders import ROOT

BENCHMARKS = ROOT / "benchmarks"
DESIGNS = runpy.run_path(str(BENCHMARKS / "tiers.py"))
PROOFS, RIVALS = DESIGNS["PROOFS"], DESIGNS["RIVALS"]


def rows(design: str) -> list[dict]:
    """What the benchmark measured of one design, a row for each seed."""
    with open(BENCHMARKS / "results" / "tiers.csv", encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["design"] == design]


@pytest.mark.parametrize("seed, name", list(enumerate(TIERS, 100)))
def test_each_tier_is_reached_with_a_seed_that_nobody_tried(seed, name):
    report = judge(PROOFS[name], seed=seed)
    assert name in report.reached, report.text
    assert report.findings == () and report.stopped == "" and len(report.not_covered) == 2  # of every training


@pytest.mark.parametrize("name", TIERS)
def test_seeds_and_machines_do_not_decide(name):
    """By the table of the benchmark: so many points above the accuracy, and time for a slower machine."""
    tier, table = TIERS[name], rows(name)
    assert len(table) == 10 and all(row["reached"] == name and not row["findings"] for row in table)
    assert min(float(row["accuracy"]) for row in table) >= tier.accuracy + 0.0075
    assert max(float(row["time"]) for row in table) <= tier.time / 1.15
    assert {int(row["peak"]) for row in table} == {preview(PROOFS[name]).peak}


def test_a_busy_computer_fails_no_design():
    """By the mean of its steps, this one measured up to 8.6 there, where 7 are allowed."""
    table = rows(f"sharp, beside {DESIGNS['OTHERS']} trainings")
    assert len(table) == 10 and all(row["reached"] == "sharp" and not row["findings"] for row in table)
    assert max(float(row["time"]) for row in table) <= 1.15 * max(float(row["time"]) for row in rows("sharp"))


@pytest.mark.parametrize("name", RIVALS)
def test_a_good_design_does_not_reach_two_tiers_with_most_seeds(name):
    table = rows(name)
    assert len(table) == 10 and sum(len(row["reached"].split()) > 1 for row in table) <= 3


def test_the_default_design_reaches_none_and_is_told_what_is_missing():
    report = judge(Design(), seed=103, tier="sharp")
    assert report.reached == () and report.findings == () and report.stopped == ""
    assert all("memory" in standing.missed for standing in report.standings)
    assert report.time == pytest.approx(Design().epochs, rel=0.2)  # it is the unit itself
    assert report.lever.startswith("Towards sharp: ") and "memory too much; enough would be" in report.lever
    assert all(len(line) <= 92 for line in report.text.splitlines())
