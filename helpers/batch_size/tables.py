"""The runs of the sweep, as `benchmarks/batch_size.py` stored them."""

import csv
from functools import cache
from statistics import median

from helpers import recorded
from helpers.batch_size.runs import AT, Ending, Point, Run, learning_rate, setting_of
from helpers.problems import LARGEST, Problem, whole_number


def stored(batch_size: int, rule: str = "fixed", seed: int = 0, data: str = "digits") -> Run:
    """The run of the stored sweep with these settings, as `train` gave it. At B = 64 all rules are the same.

    Raises `Problem` for a run that the sweep does not have, and if its tables are not there.
    """
    setting, rate = setting_of(data), learning_rate(batch_size, rule, data)
    seed = whole_number("seed", seed, 0, LARGEST)
    points, endings = _runs()
    key = (data, batch_size, "fixed" if batch_size == AT else rule, seed)
    if key not in points:
        sizes, seeds = ", ".join(map(str, setting.sizes)), seeds_of(data)
        raise Problem(
            f"batch_size={batch_size} with seed={seed} was not stored; allowed are the batch sizes {sizes} with seeds "
            f"0 to {seeds - 1}. For others, train(…)."
        )
    return Run(data, batch_size, rule, seed, rate, points[key], endings[key])


def step_times(data: str = "digits") -> dict[int, tuple[float, float, float]]:
    """The time of a step with B images as a ratio to that with 64: {B: (median, lowest, highest) of many rounds}.

    Processor time of one thread on a CPU, each B in turns with B = 64; a GPU has other ratios.
    Raises `Problem` as `stored` does.
    """
    name = setting_of(data).load.__name__
    ratios: dict[int, list[float]] = {AT: [1.0]}
    for row in _rows("steps"):
        if row["data"] == name:
            ratios.setdefault(int(row["B"]), []).append(float(row["ratio"]))
    return {size: (median(found), min(found), max(found)) for size, found in sorted(ratios.items())}


def all_seeds(data: str, batch_size: int, rule: str) -> list[Run]:
    """The stored runs of all seeds with these settings."""
    return [stored(batch_size, rule, seed, data) for seed in range(seeds_of(data))]


def seeds_of(data: str) -> int:
    """How many seeds were stored."""
    return 1 + max(seed for name, _, _, seed in _runs()[0] if name == data)


def _rows(name: str) -> csv.DictReader:
    return csv.DictReader(recorded.text(f"batch-size-{name}.csv").splitlines())


_Key = tuple[str, int, str, int]


@cache
def _runs() -> tuple[dict[_Key, tuple[Point, ...]], dict[_Key, tuple[Ending, ...]]]:
    points: dict[_Key, list[Point]] = {}
    endings: dict[_Key, list[Ending]] = {}
    for row in _rows("points"):
        values = Point(int(row["step"]), float(row["loss"]), float(row["accuracy"]))
        points.setdefault(_key(row), []).append(values)
    for row in _rows("endings"):
        values = (float(row["loss"]), float(row["accuracy"]), float(row["sharpness"]), int(row["products"]))
        one = Ending(row["at"], int(row["step"]), *values, row["converged"] == "True")
        endings.setdefault(_key(row), []).append(one)
    return tuple({key: tuple(found) for key, found in table.items()} for table in (points, endings))


def _key(row: dict[str, str]) -> _Key:
    return row["data"], int(row["B"]), row["rule"], int(row["seed"])
