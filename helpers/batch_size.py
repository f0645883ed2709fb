"""The same small network trained with batches of many sizes: loss, accuracy and sharpness, live and as they are stored.

`train` makes one run. `benchmarks/batch_size.py` made all of them with it, for five seeds, and stored them in
benchmarks/results/batch-size-*.csv; `curves`, `needed`, `fewest` and `endings` read these tables.
"""

import csv
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, islice
from math import ceil, exp, inf, isfinite, log
from statistics import mean, median

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers import data as images_of
from helpers import models
from helpers.folders import ROOT
from helpers.problems import LARGEST, Problem, number, one_of, whole_number
from helpers.sharpness import sharpness

RULES = ("fixed", "linear", "sqrt")
MEASURES = ("loss", "accuracy")
AXES = ("examples", "steps", "seconds")
MOMENTS = ("loss", "examples", "steps")  #: when the sharpness is taken
STEPS = 512  #: of the run at B = 64; at any other B as many steps, or as many examples, whichever takes longer
AT = 64  #: the batch size at which all rules have the same learning rate
EXAMPLES = STEPS * AT
CURVED = 256  #: the first so many training images are those of the sharpness
_NEXT_CHECK = 1.04  # times as many steps, until the loss is down at the target: then little is overshot
_UNLEARNED = 0.9  # of the untrained network's loss: a run that ends above it is called diverged


@dataclass(frozen=True)
class Setting:
    """What is trained on what, and from which learning rate the rules start."""

    load: Callable  #: of `helpers.data`
    images: int  #: the first so many for training, "full" below
    hidden: int  #: features of the MLP
    rate: float  #: learning rate at B = 64
    target: float  #: a training loss that most runs reach

    @property
    def sizes(self) -> tuple[int, ...]:
        """The batch sizes of the sweep; the last is the whole training set."""
        return (1, 4, 16, 64, 256, self.images)


#: The rates come from a search on the training set at B = 64, see `benchmarks/batch_size.py`; "low rate" is a quarter
#: of the best one, so that a rule can multiply it without leaving what can be trained.
SETTINGS = {
    "digits": Setting(images_of.digits, 1437, 128, 0.4, 0.1),
    "digits, low rate": Setting(images_of.digits, 1437, 128, 0.1, 0.1),
    "colours": Setting(images_of.colours, 1000, 32, 0.05, 0.5),
}
DATA = tuple(SETTINGS)


@dataclass(frozen=True)
class Point:
    """The state of a run after so many steps."""

    step: int
    loss: float  #: on the whole training set
    accuracy: float  #: on the test set, 0 to 1


@dataclass(frozen=True)
class Ending:
    """The state of a run at a moment that runs have in common."""

    at: str  #: one of `MOMENTS`, or "end"
    step: int
    loss: float
    accuracy: float
    sharpness: float  #: largest eigenvalue of the Hessian of the loss on the first `CURVED` training images
    iterations: int
    converged: bool


@dataclass(frozen=True)
class Run:
    """One network trained once."""

    data: str
    batch_size: int
    rule: str
    seed: int
    learning_rate: float
    points: tuple[Point, ...]
    endings: tuple[Ending, ...]

    @property
    def diverged(self) -> bool:
        """Whether the loss at the end is no number, or hardly below that of a network that knows nothing."""
        return not self.points[-1].loss < _UNLEARNED * log(10)

    def after(self, steps: int) -> Point:
        """The state after exactly so many steps. Raises `Problem` if it was not recorded."""
        table = {point.step: point for point in self.points}
        steps = whole_number("steps", steps, 1)
        if steps not in table:
            known = ", ".join(f"{step:,}" for step in table)
            raise Problem(f"steps is {steps:,}; this run has a record after {known} steps. Give one of these.")
        return table[steps]

    @property
    def sentence(self) -> str:
        """How the run went."""
        last, rate = self.points[-1], f"learning rate {self.learning_rate:.4g} ({self.rule})"
        told = f"{self.data}, B = {self.batch_size:,}, {rate}, seed {self.seed}, {last.step:,} steps"
        if self.diverged:
            return f"{told}: it did not learn; the training loss is {last.loss:.3g}."
        end = f"training loss {last.loss:.4f}, test accuracy {100 * last.accuracy:.1f} %"
        return f"{told}: {end}, sharpness {self.endings[-1].sharpness:.3g}."


def learning_rate(batch_size: int, rule: str = "fixed", data: str = "digits") -> float:
    """The learning rate of a rule: that of B = 64, times 1 (fixed), B / 64 (linear) or the root of B / 64 (sqrt).

    Raises `Problem` for a value that is not allowed.
    """
    setting = _setting(data)
    batch_size = whole_number("batch_size", batch_size, 1, setting.images)
    factor = batch_size / AT
    return setting.rate * {"fixed": 1.0, "linear": factor, "sqrt": factor**0.5}[one_of("rule", rule, RULES)]


def rule_in_words(rule: str = "fixed", data: str = "digits") -> str:
    """The learning rate of a rule as a product: "learning rate 0.4 x B / 64 (linear)".

    Raises `Problem` for a value that is not allowed.
    """
    factor = {"fixed": "", "linear": f" x B / {AT}", "sqrt": f" x √(B / {AT})"}[one_of("rule", rule, RULES)]
    return f"learning rate {_setting(data).rate:g}{factor} ({rule})"


def all_steps(batch_size: int) -> int:
    """The steps of a whole run: as many as at B = 64, or as it takes for as many examples, whichever is more.

    Raises `Problem` if the batch size is no whole number of at least 1.
    """
    return max(STEPS, ceil(EXAMPLES / whole_number("batch_size", batch_size, 1)))


def train(
    batch_size: int,
    rule: str = "fixed",
    seed: int = 0,
    data: str = "digits",
    steps: int | None = None,
    rate: float | None = None,
) -> Run:
    """Train the setting's MLP with plain SGD, and record loss and accuracy after 1, 2, 3, 4, 6, 8, … steps.

    Each batch has exactly B images: where a shuffled training set ends, the next one goes on. Weights and order come
    from `seed`. steps: stop after so many; None is a whole run, see `all_steps`. rate: a learning rate of your own, in
    place of the rule's. The sharpness is taken where the loss, looked at whenever there are 4 % more steps, first is at
    most the setting's target; after as many examples and as many steps as the run at B = 64 has; and at the end.
    A run is stopped where nothing can be learned any more: the loss is no number, or ReLU gives 0 for every feature of
    every training image. Raises `Problem` for a value that is not allowed.
    """
    setting, base = _setting(data), learning_rate(batch_size, rule, data)
    whole = all_steps(batch_size)
    steps = whole if steps is None else whole_number("steps", steps, 1, whole)
    base = base if rate is None else number("rate", rate, 0, 1e6, base)
    seed = whole_number("seed", seed, 0, LARGEST)
    model, (images, labels, *test) = _network(data, seed), _images(data)
    points: list[Point] = []
    endings: dict[str, Ending] = {}
    moments = _moments(batch_size, steps)
    checked = 0
    for step in islice(_descent(model, images, labels, batch_size, base, seed), steps):
        written = step in moments.values() or is_recorded(step)
        if not written and ("loss" in endings or step < _NEXT_CHECK * checked):
            continue
        checked = step
        point, alive = _state(step, model, images, labels, *test)
        if written or not alive:
            points.append(point)
        if not alive:
            break
        reached = point.loss <= setting.target and "loss" not in endings
        due = [name for name, at in moments.items() if at == step] + ["loss"] * reached
        if due:
            found = sharpness(model, images[:CURVED], labels[:CURVED])
            last = (found.value, found.iterations, found.converged)
            endings |= {name: Ending(name, step, point.loss, point.accuracy, *last) for name in due}
    if "end" not in endings:  # it was stopped
        endings["end"] = Ending("end", point.step, point.loss, point.accuracy, float("nan"), 0, False)
    endings["end"] = endings.pop("end")  # the last one
    return Run(data, batch_size, rule, seed, base, tuple(points), tuple(endings.values()))


def is_recorded(step: int) -> bool:
    """Whether loss and accuracy are written down after this step: 1, 2, 3, 4, 6, 8, 12, 16, 24, …

    Raises `Problem` if it is no whole number of at least 1.
    """
    step = whole_number("step", step, 1)
    odd = step // (step & -step)
    return odd == 1 or odd == 3


def one_step(batch_size: int, data: str = "digits") -> Callable[[], int]:
    """A function that takes one training step with B images, to measure its time.

    Raises `Problem` for a value that is not allowed.
    """
    rate = learning_rate(batch_size, "fixed", data) / 100
    images, labels, *_ = _images(data)
    steps = _descent(_network(data, 0), images, labels, batch_size, rate, 0)
    return lambda: next(steps)


# What was stored ------------------------------------------------------------------------------------------------------


def stored(batch_size: int, rule: str = "fixed", seed: int = 0, data: str = "digits") -> Run:
    """The run of the stored sweep with these settings, as `train` gave it. At B = 64 all rules are the same.

    Raises `Problem` for a run that the sweep does not have, and if its tables are not there.
    """
    setting, rate = _setting(data), learning_rate(batch_size, rule, data)
    seed = whole_number("seed", seed, 0, LARGEST)
    points, endings = _runs()
    key = (data, batch_size, "fixed" if batch_size == AT else rule, seed)
    if key not in points:
        sizes, seeds = ", ".join(map(str, setting.sizes)), _seeds(data)
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
    name = _setting(data).load.__name__
    ratios: dict[int, list[float]] = {AT: [1.0]}
    for row in _rows("steps"):
        if row["data"] == name:
            ratios.setdefault(int(row["B"]), []).append(float(row["ratio"]))
    return {size: (median(found), min(found), max(found)) for size, found in sorted(ratios.items())}


@dataclass(frozen=True)
class Curve:
    """The runs with one batch size: the median of all seeds, and the lowest and the highest."""

    batch_size: int
    learning_rate: float
    x: tuple[float, ...]
    middle: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    diverged: int  #: runs that did not learn; they count in the median
    seeds: int

    @property
    def learns(self) -> bool:
        """Whether more than half of the runs do: then the median says something."""
        return 2 * self.diverged < self.seeds


@dataclass(frozen=True)
class Curves:
    """Loss or accuracy for each batch size, up to the same number of examples, steps or seconds."""

    data: str
    measure: str
    axis: str
    rule: str
    limit: float  #: where all lines end: examples, steps, or the time of so many steps at B = 64
    lines: tuple[Curve, ...]

    @property
    def limit_in_words(self) -> str:
        """How far all lines go."""
        return {
            "examples": f"{self.limit:,.0f} examples",
            "steps": f"{self.limit:,.0f} steps",
            "seconds": f"the time of {self.limit:,.0f} steps at B = {AT}",
        }[self.axis]

    @property
    def order(self) -> tuple[Curve, ...]:
        """The batch sizes that learn, the one that is furthest at the end first."""
        best_first = sorted(self.lines, key=lambda line: line.middle[-1], reverse=self.measure == "accuracy")
        return tuple(line for line in best_first if line.learns)

    @property
    def sentence(self) -> str:
        """What is seen at the end of the lines."""
        first = f"{self.data}, {rule_in_words(self.rule, self.data)}: after {self.limit_in_words}"
        told, order = [], self.order
        if not order:
            told.append(f"{first} no batch size has learned")
        else:
            ends = ", ".join(f"{self._said(line.middle[-1])} at B = {line.batch_size:,}" for line in order)
            told.append(f"{first} the {_MEASURED[self.measure]} is {ends} (medians of {order[0].seeds} seeds)")
        if len(order) > 1:
            best, worst = order[0], order[-1]
            apart = best.high[-1] < worst.low[-1] or worst.high[-1] < best.low[-1]
            chance = "more than the seeds differ" if apart else "no more than the seeds differ"
            told.append(f"B = {best.batch_size:,} is ahead of B = {worst.batch_size:,} by {chance}")
        lost = [f"B = {line.batch_size:,} in {line.diverged} of {line.seeds}" for line in self.lines if line.diverged]
        if lost:
            told.append(f"Did not learn: {', '.join(lost)} runs")
        return ". ".join(told) + "."

    def _said(self, value: float) -> str:
        return f"{100 * value:.1f} %" if self.measure == "accuracy" else f"{value:.3g}"


_MEASURED = {"loss": "training loss", "accuracy": "test accuracy"}


def curves(data: str = "digits", measure: str = "loss", axis: str = "examples", rule: str = "fixed") -> Curves:
    """Training loss or test accuracy of every batch size, against examples, steps or seconds, from the stored sweep.

    All lines end at the same place: at the examples, the steps or the time of the run at B = 64. "seconds" counts in
    steps at B = 64: x is the number of steps times the median of `step_times`. Between two records, straight on the
    logarithm of x. A run that was stopped keeps its last values. Raises `Problem` for a value that is not allowed, and
    if the tables are not there.
    """
    setting = _setting(data)
    one_of("measure", measure, MEASURES)
    one_of("axis", axis, AXES)
    one_of("rule", rule, RULES)
    times, limit = step_times(data), EXAMPLES if axis == "examples" else STEPS
    lines = []
    for size in setting.sizes:
        runs = _all_seeds(data, size, rule)
        unit = {"examples": size, "steps": 1, "seconds": times[size][0]}[axis]
        steps = sorted({point.step for run in runs for point in run.points})
        places = [step * unit for step in steps if step * unit < limit]
        places.append(float(limit))
        values = [[_value(run, place / unit, measure) for run in runs] for place in places]
        lines.append(
            Curve(
                size,
                learning_rate(size, rule, data),
                tuple(map(float, places)),
                *(tuple(map(take, values)) for take in (median, min, max)),
                sum(run.diverged for run in runs),
                len(runs),
            )
        )
    return Curves(data, measure, axis, rule, float(limit), tuple(lines))


@dataclass(frozen=True)
class Need:
    """What one batch size needs to come down to a loss."""

    batch_size: int
    learning_rate: float
    reached: int  #: so many of the runs came there
    seeds: int
    examples: float | None  #: median over the seeds; None if half of the runs or more did not come there
    steps: float | None
    seconds: float | None  #: in the time of a step at B = 64


@dataclass(frozen=True)
class Needed:
    """What each batch size needs to come down to the same training loss."""

    data: str
    rule: str
    loss: float
    lines: tuple[Need, ...]

    def least(self, axis: str) -> Need | None:
        """The batch size that needs the fewest examples, steps or seconds; None if none reaches the loss."""
        one_of("axis", axis, AXES)
        there = [line for line in self.lines if line.steps is not None]
        return min(there, key=lambda line: getattr(line, axis), default=None)

    @property
    def table(self) -> str:
        """In text, a line for each batch size."""
        rows = [f"{'B':>6}{'learning rate':>15}{'examples':>12}{'steps':>10}{'time*':>10}{'runs there':>12}"]
        for line in self.lines:
            numbers = (line.examples, line.steps, line.seconds)
            cells = [f"{value:,.0f}" if value is not None else "-" for value in numbers]
            rows.append(
                f"{line.batch_size:6,}{line.learning_rate:15.4g}{cells[0]:>12}{cells[1]:>10}{cells[2]:>10}"
                f"{f'{line.reached} of {line.seeds}':>12}"
            )
        return "\n".join([*rows, f"* in steps at B = {AT}, on one CPU core"])

    @property
    def sentence(self) -> str:
        """Which batch size is the quickest, by each count."""
        start = f"{self.data}, {rule_in_words(self.rule, self.data)}, down to a training loss of {self.loss:g}"
        if self.least("steps") is None:
            return f"{start}: no batch size comes there."
        ends = [f"B = {self.least(axis).batch_size:,} needs the fewest {axis}" for axis in AXES]
        missing = [f"B = {line.batch_size:,}" for line in self.lines if line.steps is None]
        more = f" Half of the runs or more never come there: {', '.join(missing)}." if missing else ""
        return f"{start}: {', '.join(ends[:2])}, and {ends[2]}.{more}"


def needed(data: str = "digits", rule: str = "fixed", loss: float | None = None) -> Needed:
    """The examples, steps and seconds after which the training loss is first at most `loss`, for every batch size.

    loss: the setting's target if None: where that is reached was looked for. Any other is found between two records,
    straight on logarithms. From the stored sweep, in which no B has less than `EXAMPLES` and `STEPS`.
    Raises `Problem` as `curves` does.
    """
    setting, times = _setting(data), step_times(data)
    one_of("rule", rule, RULES)
    loss = setting.target if loss is None else number("loss", loss, 1e-9, 100, setting.target)
    lines = []
    for size in setting.sizes:
        runs = _all_seeds(data, size, rule)
        found = [_first(run, loss) for run in runs]
        steps = median(found)
        known = steps < inf
        lines.append(
            Need(
                size,
                learning_rate(size, rule, data),
                sum(step < inf for step in found),
                len(runs),
                steps * size if known else None,
                steps if known else None,
                steps * times[size][0] if known else None,
            )
        )
    return Needed(data, rule, loss, tuple(lines))


def fewest(data: str = "digits", axis: str = "steps") -> tuple[Need, ...]:
    """What each batch size needs at the least, by the best of all rates that were stored for it: the smallest B first.

    All rules count, and all settings with the same images, network and target as `data`. Only a few rates were tried,
    so the true least may lie lower. axis: what is to be least, "examples", "steps" or "seconds". A batch size with
    which no rate reaches the target is left out. Raises `Problem` as `curves` does.
    """
    one = _setting(data)
    one_of("axis", axis, AXES)
    found: dict[int, list[Need]] = {}
    for name, other in SETTINGS.items():
        if (other.load, other.images, other.hidden, other.target) == (one.load, one.images, one.hidden, one.target):
            for line in (line for rule in RULES for line in needed(name, rule).lines if line.steps is not None):
                found.setdefault(line.batch_size, []).append(line)
    return tuple(min(found[size], key=lambda line: getattr(line, axis)) for size in sorted(found))


@dataclass(frozen=True)
class Ends:
    """The runs with one batch size, at the moment that is compared; those that did not come there are left out."""

    batch_size: int
    learning_rate: float
    sharpness: tuple[float, ...]  #: of each run
    accuracy: tuple[float, ...]  #: on the test set, 0 to 1
    loss: tuple[float, ...]  #: on the training set
    left_out: int  #: runs that diverged, or did not come down to the loss


@dataclass(frozen=True)
class Endings:
    """Sharpness and test accuracy against the batch size, at a moment that the runs have in common."""

    data: str
    rule: str
    at: str  #: one of `MOMENTS`
    rows: tuple[Ends, ...]

    @property
    def moment(self) -> str:
        """The moment in words."""
        setting = SETTINGS[self.data]
        return {
            "loss": f"coming down to a training loss of {setting.target:g}",
            "examples": f"{EXAMPLES:,} examples",
            "steps": f"{STEPS:,} steps",
        }[self.at]

    @property
    def there(self) -> tuple[Ends, ...]:
        """Those of which at least four runs came there: fewer say little about a difference."""
        return tuple(row for row in self.rows if len(row.accuracy) >= 4)

    def correlation(self, measure: str) -> float:
        """The rank correlation (Spearman) of batch size and measure over all runs, from -1 to 1; 0 without a rank.

        measure: "sharpness" or "accuracy". Raises `Problem` for another.
        """
        one_of("measure", measure, ("sharpness", "accuracy"))
        pairs = [(row.batch_size, value) for row in self.rows for value in getattr(row, measure)]
        return _correlation(*map(_ranks, zip(*pairs, strict=True))) if len(pairs) > 1 else 0.0

    def differs(self, measure: str) -> bool:
        """Whether the runs at the smallest and at the largest batch size have no value in common.

        If chance alone ruled, five runs would all be above five others, or all below, in 2 of 252 cases. False where
        fewer than two batch sizes can be compared.
        Raises `Problem` as `correlation` does.
        """
        one_of("measure", measure, ("sharpness", "accuracy"))
        if len(self.there) < 2:
            return False
        first, last = getattr(self.there[0], measure), getattr(self.there[-1], measure)
        return max(first) < min(last) or max(last) < min(first)

    def verdict(self, measure: str) -> str:
        """What the seeds say about the smallest and the largest batch size. Raises `Problem` as `correlation` does."""
        one_of("measure", measure, ("sharpness", "accuracy"))
        name = {"sharpness": "sharpness", "accuracy": "test accuracy"}[measure]
        if len(self.there) < 2:
            return f"The {name} cannot be compared: fewer than two batch sizes have four runs there."
        first, last = self.there[0], self.there[-1]
        ends = " and ".join(
            f"{_range(getattr(row, measure), measure)} at B = {row.batch_size:,}" for row in (first, last)
        )
        rank = f"rank correlation with B {self.correlation(measure):+.2f}"
        if not self.differs(measure):
            return f"The {name} is {ends}: these overlap, so the seeds show no difference of the two ({rank})."
        more = median(getattr(last, measure)) > median(getattr(first, measure))
        return f"The {name} is {ends}: {'higher' if more else 'lower'} at the largest B in every run ({rank})."

    @property
    def sentence(self) -> str:
        """Both verdicts, and who is left out."""
        start = f"{self.data}, {rule_in_words(self.rule, self.data)}, after {self.moment}."
        return f"{start} {self.verdict('sharpness')} {self.verdict('accuracy')} {self.missing}"

    @property
    def missing(self) -> str:
        """Which runs are left out."""
        out = [f"{row.left_out} at B = {row.batch_size:,}" for row in self.rows if row.left_out]
        return f"Runs that did not come there: {', '.join(out)}." if out else "All runs came there."


def endings(data: str = "digits", rule: str = "fixed", at: str = "loss") -> Endings:
    """Sharpness and test accuracy of each run at the same moment, from the stored sweep.

    at: "loss" (where the training loss is first at most the setting's target), "examples" or "steps" (as many as the
    run at B = 64 has). Runs that diverged, or did not come there, are counted and left out.
    Raises `Problem` for a value that is not allowed, and if the tables are not there.
    """
    setting = _setting(data)
    one_of("rule", rule, RULES)
    one_of("at", at, MOMENTS)
    rows = []
    for size in setting.sizes:
        runs = _all_seeds(data, size, rule)
        there = [one for run in runs if not run.diverged for one in run.endings if one.at == at]
        columns = ([getattr(one, name) for one in there] for name in ("sharpness", "accuracy", "loss"))
        rows.append(Ends(size, learning_rate(size, rule, data), *map(tuple, columns), len(runs) - len(there)))
    return Endings(data, rule, at, tuple(rows))


def correlations(data: str = "digits", measure: str = "sharpness", at: str = "loss") -> dict[str, float]:
    """What goes with sharpness or test accuracy: rank correlations over all runs under all three rules.

    The result: {"B": …, "learning rate": …, "learning rate / B": …}, each from -1 to 1. at: as for `endings`. A run at
    B = 64 counts once. Raises `Problem` for a value that is not allowed, and if the tables are not there.
    """
    one_of("measure", measure, ("sharpness", "accuracy"))
    values, causes = [], {"B": [], "learning rate": [], "learning rate / B": []}
    for rule in RULES:
        for row in endings(data, rule, at).rows:
            if row.batch_size != AT or rule == RULES[0]:
                rate = round(row.learning_rate, 9)
                for value in getattr(row, measure):
                    values.append(value)
                    for name, cause in zip(causes, (row.batch_size, rate, rate / row.batch_size), strict=True):
                        causes[name].append(cause)
    ranks = _ranks(values)
    return {name: _correlation(_ranks(cause), ranks) for name, cause in causes.items()}


def _all_seeds(data: str, batch_size: int, rule: str) -> list[Run]:
    return [stored(batch_size, rule, seed, data) for seed in range(_seeds(data))]


def _seeds(data: str) -> int:
    return 1 + max(seed for name, _, _, seed in _runs()[0] if name == data)


def _value(run: Run, step: float, measure: str) -> float:
    """Between two records straight on the logarithm of steps; before the first and behind the last as these are."""
    steps = [point.step for point in run.points]
    place = bisect_left(steps, step)
    if place in (0, len(steps)):
        found = getattr(run.points[min(place, len(steps) - 1)], measure)
    else:
        before, after = run.points[place - 1], run.points[place]
        share = log(step / before.step) / log(after.step / before.step)
        low, high = getattr(before, measure), getattr(after, measure)
        found = low + share * (high - low)
    return found if isfinite(found) else inf


def _first(run: Run, loss: float) -> float:
    """The step at which the loss is first at most so much, straight on logarithms between two records."""
    exact = [one.step for one in run.endings if one.at == "loss" and loss == SETTINGS[run.data].target]
    if exact:
        return float(exact[0])
    before = None
    for point in run.points:
        if point.loss <= loss:
            if before is None:
                return float(point.step)
            share = log(before.loss / loss) / log(before.loss / max(point.loss, 1e-12))
            return before.step * exp(share * log(point.step / before.step))
        before = point
    return inf


def _ranks(values: Sequence[float]) -> list[float]:
    """The place of each value in rising order; equal ones share the mean of theirs."""
    return [sum(other < value for other in values) + (values.count(value) + 1) / 2 for value in values]


def _correlation(first: Sequence[float], second: Sequence[float]) -> float:
    centre_1, centre_2 = mean(first), mean(second)
    both = sum((a - centre_1) * (b - centre_2) for a, b in zip(first, second, strict=True))
    sizes = sum((a - centre_1) ** 2 for a in first) * sum((b - centre_2) ** 2 for b in second)
    return both / sizes**0.5 if sizes else 0.0


def _range(values: Sequence[float], measure: str) -> str:
    scale, form = (100, ".1f") if measure == "accuracy" else (1, ".3g")
    ends = f"{scale * min(values):{form}} to {scale * max(values):{form}}"
    return f"{ends} %" if measure == "accuracy" else ends


def _rows(name: str) -> Iterator[dict[str, str]]:
    path = ROOT / "benchmarks" / "results" / f"batch-size-{name}.csv"
    try:
        with open(path, encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)
    except OSError as error:
        raise Problem(
            f"{path.name} is not there: it lies in benchmarks/results of the course's folder. Put it back, for example "
            "with: git checkout benchmarks/results"
        ) from error


_Key = tuple[str, int, str, int]


def _runs() -> tuple[dict[_Key, tuple[Point, ...]], dict[_Key, tuple[Ending, ...]]]:
    return _read(ROOT)


@lru_cache(maxsize=2)
def _read(_root: object) -> tuple[dict[_Key, tuple[Point, ...]], dict[_Key, tuple[Ending, ...]]]:
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


# What trains ----------------------------------------------------------------------------------------------------------


def _network(data: str, seed: int) -> nn.Sequential:
    images, *_ = _images(data)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return models.mlp(tuple(images.shape[1:]), _setting(data).hidden)


def _descent(
    model: nn.Module, images: Tensor, labels: Tensor, batch_size: int, rate: float, seed: int
) -> Iterator[int]:
    """Train on, step after step; the number of the step comes when it is done."""
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    generator = torch.Generator().manual_seed(seed)
    left = torch.empty(0, dtype=torch.int64)
    for step in count(1):
        while len(left) < batch_size:
            left = torch.cat([left, torch.randperm(len(images), generator=generator)])
        rows, left = left[:batch_size], left[batch_size:]
        with torch.enable_grad():
            F.cross_entropy(model(images[rows]), labels[rows]).backward()
        optimizer.step()
        optimizer.zero_grad()
        yield step


def _moments(batch_size: int, steps: int) -> dict[str, int]:
    return {"examples": ceil(EXAMPLES / batch_size), "steps": STEPS, "end": steps}


@torch.no_grad()
def _state(
    step: int, model: nn.Sequential, images: Tensor, labels: Tensor, test: Tensor, right: Tensor
) -> tuple[Point, bool]:
    """Loss and accuracy now, and whether the network can still learn."""
    hidden = model[:-1](images)  # behind ReLU: where all of it is 0, no gradient reaches the layer before
    loss = F.cross_entropy(model[-1](hidden), labels).item()
    accuracy = (model(test).argmax(1) == right).float().mean().item()
    return Point(step, loss, accuracy), isfinite(loss) and bool(hidden.any())


def _setting(data: str) -> Setting:
    return SETTINGS[one_of("data", data, DATA)]


@lru_cache(maxsize=len(DATA))
def _images(data: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    setting = _setting(data)
    train, test = setting.load(), setting.load(train=False)
    images, labels = train.images[: setting.images], train.labels[: setting.images]
    return images.float() / 255, labels, test.images.float() / 255, test.labels
