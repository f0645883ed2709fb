"""What the judge says of a design."""

from dataclasses import dataclass
from textwrap import wrap

from helpers.capstone.design import Design
from helpers.capstone.preview import Preview
from helpers.capstone.tiers import UNIT, Tier
from helpers.memory import Trace
from helpers.units import exact_and_readable, readable

_WIDE, _MARGIN = 92, 10  # letters of a line, and of its first column


@dataclass(frozen=True)
class Standing:
    """One tier and one run: what was met."""

    tier: Tier
    accuracy: bool
    memory: bool
    time: bool

    @property
    def missed(self) -> tuple[str, ...]:
        """Which of the three were not met."""
        return tuple(name for name in ("memory", "time", "accuracy") if not getattr(self, name))


@dataclass(frozen=True, repr=False)
class Report:
    """A design, traced and trained. `print(report)` shows all of it."""

    preview: Preview
    accuracy: float  #: share of the test images that are right, measured by the judge; from 0 to 1
    chance: float  #: share of the test images that are of the most frequent class
    test_images: int
    time: float  #: processor time of the training, in `UNIT`
    seconds: float  #: the same in seconds
    clock: float  #: seconds on the clock
    epochs: float  #: how many of the design's epochs were trained
    losses: tuple[float, ...]  #: mean training loss of each whole epoch
    made: int  #: bytes that a real step made at most, on the CPU, in the steps that were watched; 0 if none was
    predicted: int  #: the same by the trace of the step on the CPU
    stopped: str  #: why the training ended early, a sentence; "" if it did not
    findings: tuple[str, ...]  #: what is not as the design says: with any, no tier is reached
    not_covered: tuple[str, ...]  #: what the judge could not see
    tiers: tuple[Tier, ...]
    aim: str = ""  #: the name of the tier that was asked for
    notes: tuple[str, ...] = ()  #: what is to be known of a design that is as it says

    @property
    def design(self) -> Design:
        """What was judged."""
        return self.preview.design

    @property
    def trace(self) -> Trace:
        """The trace of one step."""
        return self.preview.trace

    @property
    def peak(self) -> int:
        """The most bytes alive at once, on the simulated GPU."""
        return self.preview.peak

    @property
    def phase(self) -> str:
        """Where the peak is."""
        return self.preview.phase

    @property
    def standings(self) -> tuple[Standing, ...]:
        """For each tier, what was met."""
        return tuple(
            Standing(tier, self.accuracy >= tier.accuracy, self.peak <= tier.bytes, self.time <= tier.time)
            for tier in self.tiers
        )

    @property
    def reached(self) -> tuple[str, ...]:
        """The names of the tiers that are reached."""
        if self.findings or self.stopped:
            return ()
        return tuple(standing.tier.name for standing in self.standings if not standing.missed)

    @property
    def nearest(self) -> Standing | None:
        """The tier that was asked for, or else the one of which least is missed; None if nothing is left to reach."""
        left = [one for one in self.standings if one.missed and self.aim in ("", one.tier.name)]
        return min(left, key=lambda standing: len(standing.missed), default=None)

    @property
    def lever(self) -> str:
        """What would help most towards the tier that was asked for, or the nearest; without tiers, towards accuracy."""
        if self.findings:
            return "First comes what was found out."
        if self.stopped:
            first = "make a step run" if not self.epochs else "let the training come to its end"
            return f"First {first}: see what stopped it."
        if not self.tiers:
            wrong = round((1 - self.accuracy) * self.test_images)
            return f"{wrong:,} of {self.test_images:,} are wrong. {self.advice}" if wrong else "None is needed."
        if self.nearest is None:
            return f"None is needed: {self.aim or 'every tier'} is reached."
        tier, missed = self.nearest.tier, self.nearest.missed
        say = {"memory": self._memory_lever, "time": self._time_lever, "accuracy": self._accuracy_lever}
        also = f"{' and '.join(self.reached).capitalize()} is reached. " if self.reached and not self.aim else ""
        return f"{also}Towards {tier.name}: " + " ".join(say[name](tier) for name in missed)

    @property
    def advice(self) -> str:
        """What may bring more accuracy to a design like this one."""
        design, ways = self.design, []
        if design.optimizer != "adam":
            ways.append("Adam")
        if design.batch_size > 16:
            ways.append("a smaller batch_size (more steps)")
        if design.network is None and design.depth > 1:
            ways.append("less depth (learns sooner here)")
        ways += ["more epochs", "another learning rate"]
        if design.network is None and len(ways) == 2:
            ways.append("more width")
        guesses = "It is hardly better than the same answer to all. " if self.accuracy < self.chance + 0.1 else ""
        return f"{guesses}May help: {', '.join(ways[:-1])} or {ways[-1]}. Only training tells."

    def _memory_lever(self, tier: Tier) -> str:
        over = f"{readable(self.peak - tier.bytes)} of memory too much"
        enough = [f"{name} ({readable(peak)})" for name, peak in self.preview.enough(tier.bytes).items()]
        if not enough:
            name, peak = self.preview.strongest
            most = f": {name} leaves {readable(peak)}" if name else ""
            return f"{over}; no lever alone is enough{most}."
        return f"{over}; enough would be {' or '.join(enough)}."

    def _time_lever(self, tier: Tier) -> str:
        each = self.time / max(self.epochs, 1e-9)
        over = f"{self.time:.2f} is too long"
        if (fewer := int(tier.time / each)) >= 1:
            return f"{over}; an epoch takes {each:.2f}, so {fewer} of them fit."
        return f"{over}, and so is one epoch ({each:.2f}): larger micro-batches or a smaller network."

    def _accuracy_lever(self, tier: Tier) -> str:
        short = f"{100 * (tier.accuracy - self.accuracy):.1f} points of accuracy are missing"
        left = [f"time for {tier.time - self.time:.1f} more"] if self.time < tier.time else []
        left += [f"{readable(tier.bytes - self.peak)} of memory"] if self.peak < tier.bytes else []
        room = f"; left are {' and '.join(left)}" if left else ""
        return f"{short}{room}. {self.advice}"

    @property
    def counted(self) -> str:
        """What the steps that were watched made, beside a trace of the same; both without what was there before."""
        return (
            f"a real step on the CPU made {self.made:,} bytes at most; a trace for the CPU says {self.predicted:,}. "
            "(What is there before the step is left out: parameters and optimizer state.)"
        )

    @property
    def sentence(self) -> str:
        """The main figures, in a line or two."""
        reached = "No tier is reached." if self.tiers else ""
        if self.reached:
            reached = f"Reached: {', '.join(self.reached)}."
        figures = (
            f"Peak {readable(self.peak)} in {self.phase}; {self.accuracy:.1%} of {self.test_images:,} test images "
            f"right; time of {self.time:.1f} {UNIT}."
        )
        return " ".join(part for part in (figures, reached, self.stopped, *self.findings) if part)

    @property
    def text(self) -> str:
        """All of it, line by line."""
        of = ", ".join(f"{name} {readable(size)}" for name, size in self.preview.at_peak.items() if size)
        rows = [
            ("design", f"{self.design.sentence}."),
            ("memory", f"peak {exact_and_readable(self.peak)} in {self.phase}: {of}."),
            (
                "accuracy",
                f"{self.accuracy:.1%} of {self.test_images:,} test images right, after {self.epochs:.3g} of "
                f"{self.design.epochs} epochs; the same answer to all would be right for {self.chance:.0%}.",
            ),
            ("time", f"{self.time:.2f} {UNIT} ({self.seconds:.2f} s computed, {self.clock:.2f} s on the clock)."),
        ]
        if self.made:
            rows.append(("counted", self.counted))
        rows += [("stopped", self.stopped)] if self.stopped else []
        for standing in self.standings:
            tier = standing.tier
            done = "reached" if tier.name in self.reached else "not reached"
            doubt = "stopped" if self.stopped else "found out"
            why = f": {' and '.join(standing.missed)} missed" if standing.missed else f": see {doubt}"
            why = "" if tier.name in self.reached else why
            goal = f"{tier.accuracy:.0%}, {readable(tier.bytes)}, time {tier.time:g}"
            rows.append(("tier", f"{tier.name} ({goal}): {done}{why}."))
        rows.append(("lever", self.lever))
        rows += [("note", one) for one in self.notes]
        rows += [("found out", one) for one in self.findings]
        rows += [("not seen", one) for one in self.not_covered]
        lines = []
        for name, what in rows:
            first, *more = wrap(what, _WIDE - _MARGIN, break_long_words=False, break_on_hyphens=False) or [""]
            lines += [f"{name:<{_MARGIN}}{first}", *(" " * _MARGIN + line for line in more)]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.text
