"""The sweep of lesson 11 goes on after it was stopped, wherever that was."""

import csv
import os
import signal
import subprocess
import sys

import pytest

from helpers import batch_size
from helpers.batch_size import DATA, RULES, SETTINGS
from helpers.folders import ROOT

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def sweep(monkeypatch):
    """benchmarks/batch_size.py as a module."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.delitem(sys.modules, "batch_size", raising=False)
    import batch_size as found

    return found


def short(batch_size_, rule, seed, data, **_):
    """The first two steps of a run."""
    return TRAIN(batch_size_, rule, seed, data, steps=2)


TRAIN = batch_size.train
RUNS = [("digits", 64, "fixed", 0), ("digits", 256, "linear", 0), ("colours", 64, "fixed", 1)]


def text(tables) -> dict[str, str]:
    return {name: tables.path(name).read_text(encoding="utf-8") for name in ("points", "endings")}


@pytest.fixture
def whole(sweep, tmp_path, monkeypatch):
    """The tables of three short runs, done in one go."""
    monkeypatch.setattr(sweep.batch_size, "train", short)
    tables = sweep.Tables(tmp_path / "whole")
    sweep.sweep(tables, RUNS)
    return text(tables)


def test_a_run_that_is_there_is_not_done_again(sweep, tmp_path, whole, monkeypatch):
    tables = sweep.Tables(tmp_path / "whole")
    monkeypatch.setattr(sweep.batch_size, "train", None)
    sweep.sweep(tables, RUNS)
    assert text(tables) == whole


def test_wherever_it_was_stopped_it_ends_with_the_same_tables(sweep, tmp_path, whole):
    """Cut after every so many letters of what is written, line by line, in the order in which it is written."""
    lines = {name: all_of.splitlines(keepends=True) for name, all_of in whole.items()}
    written = [
        (name, letter)
        for run in RUNS
        for name in ("points", "endings")
        for line in lines[name][1:]
        if tuple(next(csv.DictReader([lines[name][0], line]))[key] for key in sweep.KEY) == tuple(map(str, run))
        for letter in line
    ]
    for cut in range(0, len(written), 43):
        folder = tmp_path / str(cut)
        folder.mkdir()
        for name in whole:
            left = "".join(letter for other, letter in written[:cut] if other == name)
            (folder / f"batch-size-{name}.csv").write_text(lines[name][0] + left, encoding="utf-8")
        tables = sweep.Tables(folder)
        sweep.sweep(tables, RUNS)
        assert text(tables) == whole, cut


def test_a_process_that_is_killed_leaves_what_the_next_one_completes(tmp_path):
    """The real command, killed in the middle of its work."""
    code = f"""
import itertools, sys, time
sys.path.insert(0, {str(BENCHMARKS)!r})
from helpers import batch_size
import batch_size as sweep
whole = batch_size.train
runs = itertools.count(1)
def train(size, rule="fixed", seed=0, data="digits", rate=None):
    if next(runs) == stops_at:
        print("the run to be killed in", flush=True)
        time.sleep(1000)
    return whole(size, rule, seed, data, 2, rate)
batch_size.train = train
sweep.search = sweep.time_steps = lambda *_: None
sweep.best_rates = lambda rows: {{}}
stops_at = int(sys.argv[2])
sys.argv = ["batch_size.py", "--only", "digits", "--seeds", "1", "--rounds", "1", "--results", sys.argv[1]]
sys.exit(sweep.main())
"""

    path = tmp_path / "killed" / "batch-size-endings.csv"

    def start(stops_at):
        command = [sys.executable, "-c", code, path.parent, str(stops_at)]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    process = start(stops_at=5)
    assert any("to be killed" in line for line in process.stdout)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    before = path.read_text(encoding="utf-8")
    assert before.count(",end,") == 4
    again = start(stops_at=0)
    out, _ = again.communicate(timeout=300)
    assert again.returncode == 0, out
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    ends = [tuple(row[name] for name in ("data", "B", "rule", "seed")) for row in rows if row["at"] == "end"]
    assert len(ends) == len(set(ends)) == 16 and out.count("min left") < 16
    assert before.splitlines()[:4] == path.read_text(encoding="utf-8").splitlines()[:4]


def test_other_torch_versions_are_not_mixed(sweep, tmp_path, whole, monkeypatch, capsys):
    monkeypatch.setattr(sweep, "environment", lambda: {"torch": "1.0", "threads": "1"})
    monkeypatch.setattr(sys, "argv", ["batch_size.py", "--results", str(tmp_path / "whole")])
    assert sweep.main() == 1 and "Name another folder" in capsys.readouterr().out


def test_the_plan_has_every_case_once(sweep):
    runs = sweep.plan(DATA, 5)
    assert len(runs) == len(set(runs)) == 3 * (1 + 5 * len(RULES)) * 5
    assert runs[:16] == [run for run in runs if run[0] == "digits" and run[3] == 0]


def test_the_stored_search_found_the_rates_of_the_sweep(sweep):
    with open(BENCHMARKS / "results" / "batch-size-search.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * len(sweep.RATES) * len(sweep.SEARCH_SEEDS)
    assert not {int(row["seed"]) for row in rows} & set(range(sweep.SEEDS))
    assert sweep.best_rates(rows) == {data: SETTINGS[data].rate for data in ("digits", "colours")}
    assert SETTINGS["digits, low rate"].rate == SETTINGS["digits"].rate / 4


def test_the_tables_are_small():
    sizes = [path.stat().st_size for path in (BENCHMARKS / "results").glob("batch-size-*.csv")]
    assert len(sizes) == 4 and sum(sizes) < 500_000


def test_a_step_is_timed_beside_that_at_64(sweep, tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "SLICE", 1e-4)
    tables = sweep.Tables(tmp_path)
    sweep.time_steps(tables, 2)
    rows = tables.rows("steps")
    assert len(rows) == 2 * 2 * 5 and all(float(row["ratio"]) > 0 and row["B"] != "64" for row in rows)
    sweep.time_steps(tables, 2)
    assert tables.rows("steps") == rows
