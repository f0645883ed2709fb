"""The sweep of lesson 11: one small network, trained with batches from 1 image to the whole training set.

    uv run python benchmarks/batch_size.py
    uv run python benchmarks/batch_size.py --only digits --seeds 2 --results /tmp/try

Every batch size with every rule for the learning rate and every seed, as `helpers.batch_size.train` does it: plain SGD,
loss on the whole training set and accuracy on the test set after 1, 2, 3, 4, 6, 8, … steps, sharpness at the moments
that runs have in common. A run goes on until it has both as many examples and as many steps as that at B = 64. Runs
that do not learn are kept. Four tables in benchmarks/results:

- batch-size-search.csv: the training loss at B = 64 for several learning rates, with seeds that the sweep does not use;
  the best rate must be the one that stands in `helpers.batch_size.SETTINGS`;
- batch-size-steps.csv: the time of a step as a ratio to that at B = 64, measured in turns in one process;
- batch-size-points.csv and batch-size-endings.csv: the runs. A run's line "end" is written last; a run without one is
  done again. So the sweep can be stopped at any time, and goes on when it is started again.

One thread, about 20 minutes.
"""

import argparse
import csv
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from helpers import batch_size
from helpers.batch_size import AT, DATA, MOMENTS, RULES, SETTINGS, Run
from helpers.folders import ROOT

RESULTS = ROOT / "benchmarks" / "results"
SEEDS = 5
SEARCH_SEEDS = (100, 101, 102)
RATES = (0.0125, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8)
ROUNDS, SLICE = 25, 0.04  # of the time of a step: turns, and seconds of work at least in each
KEY = ("data", "B", "rule", "seed")
COLUMNS = {
    "search": ("data", "rate", "seed", "loss"),
    "steps": ("data", "B", "round", "ratio"),
    "points": (*KEY, "step", "loss", "accuracy"),
    "endings": (*KEY, "at", "step", "loss", "accuracy", "sharpness", "products", "converged", "rate", "diverged",
                "torch", "threads"),
}  # fmt: skip
Row = dict[str, str]


class Tables:
    """The four files: what a run before this one left, and what is added."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for name in COLUMNS:
            self._keep(name, self.rows(name))  # without a line that was torn when the process ended
        done = self.done()
        for name in ("points", "endings"):
            self._keep(name, [row for row in self.rows(name) if key(row) in done])

    def path(self, name: str) -> Path:
        return self.folder / f"batch-size-{name}.csv"

    def rows(self, name: str) -> list[Row]:
        """The whole lines of a table; what comes after the last end of a line was torn."""
        if not self.path(name).exists():
            return []
        with open(self.path(name), encoding="utf-8", newline="") as file:
            return list(csv.DictReader([line for line in file if line.endswith("\n")]))

    def done(self) -> set[tuple[str, ...]]:
        """The keys of the runs that came to their end."""
        return {key(row) for row in self.rows("endings") if row["at"] == "end"}

    def add(self, name: str, rows: Iterable[dict[str, object]]) -> None:
        with open(self.path(name), "a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS[name], lineterminator="\n")
            for row in rows:
                writer.writerow(row)
                file.flush()

    def _keep(self, name: str, rows: list[Row]) -> None:
        """Put these rows in the place of all, at once or not at all."""
        part = self.path(name).with_suffix(".part")
        with open(part, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS[name], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        os.replace(part, self.path(name))


def key(row: Row) -> tuple[str, ...]:
    """What names the run of a row."""
    return tuple(row[name] for name in KEY)


def environment() -> dict[str, str]:
    """What the figures may depend on, beside the code."""
    return {"torch": torch.__version__.partition("+")[0], "threads": str(torch.get_num_threads())}


def search(tables: Tables) -> None:
    """Train at B = 64 with several learning rates, for data whose rate is the best one."""
    done = {(row["data"], row["rate"], row["seed"]) for row in tables.rows("search")}
    for data in ("digits", "colours"):
        for rate in RATES:
            for seed in SEARCH_SEEDS:
                if (data, str(rate), str(seed)) not in done:
                    loss = batch_size.train(AT, "fixed", seed, data, rate=rate).points[-1].loss
                    tables.add("search", [{"data": data, "rate": rate, "seed": seed, "loss": f"{loss:.5g}"}])


def best_rates(rows: list[Row]) -> dict[str, float]:
    """The learning rate with the lowest mean training loss, for each data."""
    losses: dict[str, dict[float, list[float]]] = {}
    for row in rows:
        losses.setdefault(row["data"], {}).setdefault(float(row["rate"]), []).append(float(row["loss"]))
    return {data: min(table, key=lambda rate: statistics.mean(table[rate])) for data, table in losses.items()}


def time_steps(tables: Tables, rounds: int = ROUNDS) -> None:
    """Measure every batch size beside B = 64, round after round: what else the machine does, meets both."""
    done = {(row["data"], row["B"], row["round"]) for row in tables.rows("steps")}
    for data in ("digits", "colours"):
        steps = {size: batch_size.one_step(size, data) for size in SETTINGS[data].sizes}
        for step in steps.values():
            step()
        for turn in range(rounds):
            for size, step in steps.items():
                if size != AT and (data, str(size), str(turn)) not in done:
                    ratio = _seconds(step) / _seconds(steps[AT])
                    tables.add("steps", [{"data": data, "B": size, "round": turn, "ratio": f"{ratio:.4f}"}])


def _seconds(step: Callable[[], None]) -> float:
    """Processor time of one step, from as many as fill a slice. One thread computes, so on an idle machine the clock
    says the same; on a busy one it also counts what others take."""
    start, count = time.process_time(), 0
    while count == 0 or time.process_time() - start < SLICE:
        step()
        count += 1
    return (time.process_time() - start) / count


def plan(only: Iterable[str], seeds: int) -> list[tuple[str, int, str, int]]:
    """Data, batch size, rule and seed of every run, seed by seed. At B = 64 all rules are the same: only "fixed"."""
    return [
        (data, size, rule, seed)
        for seed in range(seeds)
        for data in only
        for size in SETTINGS[data].sizes
        for rule in RULES
        if size != AT or rule == "fixed"
    ]


def store(tables: Tables, run: Run) -> None:
    """Write a run down; its line "end" comes last."""
    named = dict(zip(KEY, (run.data, run.batch_size, run.rule, run.seed), strict=True))
    tables.add(
        "points",
        [
            named | {"step": one.step, "loss": f"{one.loss:.5g}", "accuracy": f"{one.accuracy:.4f}"}
            for one in run.points
        ],
    )
    more = {"rate": f"{run.learning_rate:.6g}", "diverged": run.diverged} | environment()
    for one in run.endings:
        found = {"at": one.at, "step": one.step, "loss": f"{one.loss:.5g}", "accuracy": f"{one.accuracy:.4f}"}
        found |= {"sharpness": f"{one.sharpness:.5g}", "products": one.iterations, "converged": one.converged}
        tables.add("endings", [named | found | more])


def sweep(tables: Tables, runs: list[tuple[str, int, str, int]]) -> None:
    """Train what is not done yet, with a bar of what is."""
    done = tables.done()
    left = [run for run in runs if tuple(map(str, run)) not in done]
    start = time.perf_counter()
    for place, (data, size, rule, seed) in enumerate(left):
        run = batch_size.train(size, rule, seed, data)
        store(tables, run)
        share = (len(runs) - len(left) + place + 1) / len(runs)
        minutes = (time.perf_counter() - start) / 60 * (len(left) - place - 1) / (place + 1)
        bar = f"[{'#' * round(20 * share):20}] {share:4.0%}, about {minutes:.0f} min left"
        print(f"{bar}: {run.sentence}", flush=True)


def main() -> int:
    """Search, measure, train, write; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=DATA, action="append", help="these data; all if not given")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of the time of a step")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    tables = Tables(asked.results)
    others = {(row["torch"], row["threads"]) for row in tables.rows("endings")} - {tuple(environment().values())}
    if others:
        print(f"The tables in {asked.results} come from {others}, this is {environment()}. Name another folder.")
        return 1
    search(tables)
    best = best_rates(tables.rows("search"))
    if wrong := {data: rate for data, rate in best.items() if SETTINGS[data].rate != rate}:
        print(f"The search found other learning rates: {wrong}. Write them into helpers/batch_size/runs.py, SETTINGS.")
        return 1
    time_steps(tables, asked.rounds)
    sweep(tables, plan(asked.only or DATA, asked.seeds))
    hit = [row for row in tables.rows("endings") if row["at"] in MOMENTS and row["converged"] != "True"]
    print(f"All is done. Sharpness that did not converge: {len(hit)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
