"""Sharpness and test accuracy at a moment that the runs have in common, and what the seeds say of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median

from helpers.batch_size.runs import (
    AT,
    EXAMPLES,
    MOMENTS,
    RULES,
    SETTINGS,
    STEPS,
    learning_rate,
    rule_in_words,
    setting_of,
)
from helpers.batch_size.tables import all_seeds
from helpers.problems import one_of


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
    setting = setting_of(data)
    one_of("rule", rule, RULES)
    one_of("at", at, MOMENTS)
    rows = []
    for size in setting.sizes:
        runs = all_seeds(data, size, rule)
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
