"""Loss or accuracy of all batch sizes, against examples, steps or seconds."""

from bisect import bisect_left
from dataclasses import dataclass
from math import inf, isfinite, log
from statistics import median

from helpers.batch_size.runs import (
    AT,
    AXES,
    EXAMPLES,
    MEASURES,
    RULES,
    STEPS,
    Run,
    learning_rate,
    rule_in_words,
    setting_of,
)
from helpers.batch_size.tables import all_seeds, step_times
from helpers.problems import one_of


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
    setting = setting_of(data)
    one_of("measure", measure, MEASURES)
    one_of("axis", axis, AXES)
    one_of("rule", rule, RULES)
    times, limit = step_times(data), EXAMPLES if axis == "examples" else STEPS
    lines = []
    for size in setting.sizes:
        runs = all_seeds(data, size, rule)
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
