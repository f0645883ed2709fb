"""What each batch size needs to come down to the same training loss."""

from dataclasses import dataclass
from math import exp, inf, log
from statistics import median

from helpers.batch_size.runs import AT, AXES, RULES, SETTINGS, Run, learning_rate, rule_in_words, setting_of
from helpers.batch_size.tables import all_seeds, step_times
from helpers.problems import number, one_of


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
    setting, times = setting_of(data), step_times(data)
    one_of("rule", rule, RULES)
    loss = setting.target if loss is None else number("loss", loss, 1e-9, 100, setting.target)
    lines = []
    for size in setting.sizes:
        runs = all_seeds(data, size, rule)
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
    one = setting_of(data)
    one_of("axis", axis, AXES)
    found: dict[int, list[Need]] = {}
    for name, other in SETTINGS.items():
        if (other.load, other.images, other.hidden, other.target) == (one.load, one.images, one.hidden, one.target):
            for line in (line for rule in RULES for line in needed(name, rule).lines if line.steps is not None):
                found.setdefault(line.batch_size, []).append(line)
    return tuple(min(found[size], key=lambda line: getattr(line, axis)) for size in sorted(found))


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
