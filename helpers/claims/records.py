"""What a claim is, what measuring it gives, and how a verdict follows from the cases that were tried."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from helpers.problems import one_of

#: What a verdict can be, from the best to the worst; each has a sign beside its colour.
VERDICTS = ("holds", "holds if", "imprecise", "wrong as said")
SIGNS = dict(zip(VERDICTS, ("✓", "◐", "≈", "✗"), strict=True))


@dataclass(frozen=True)
class Figure:
    """One number that was measured, and what it is."""

    name: str
    value: float
    unit: str = ""
    source: str = ""  #: "" where it was measured just now, else where it is stored: "recorded on an H100"

    def __str__(self) -> str:
        value = f"{self.value:,.0f}" if float(self.value).is_integer() else f"{self.value:.3g}"
        return f"{self.name}: {value}{f' {self.unit}' * bool(self.unit)}{f' ({self.source})' * bool(self.source)}"


@dataclass(frozen=True)
class Case:
    """One case in which a statement was put to the test, and whether what it says came out."""

    tried: str
    true: bool
    meant: bool = True  #: whether the condition of the verdict is met here
    main: bool = True  #: not something that is said on the way to the point

    def __str__(self) -> str:
        return f"{'true ' if self.true else 'false'}  {self.tried}{' [condition not met]' * (not self.meant)}"


def verdict_of(cases: Sequence[Case]) -> str:
    """The verdict that these cases bear.

    True wherever the condition is met: "holds", or "holds if" where it is false without it. True in a part of what it
    says: "imprecise". Otherwise "wrong as said".
    """
    meant = [case for case in cases if case.meant]
    if all(case.true for case in meant):
        return "holds" if all(case.true for case in cases) else "holds if"
    return "imprecise" if any(case.true for case in meant if case.main) else "wrong as said"


@dataclass(frozen=True)
class Measured:
    """What measuring one claim gave."""

    words: str  #: the main figure, in a few words
    figures: tuple[Figure, ...]
    cases: tuple[Case, ...]

    @property
    def verdict(self) -> str:
        """The verdict that the cases bear."""
        return verdict_of(self.cases)

    def __getitem__(self, name: str) -> float:
        found = {figure.name: figure.value for figure in self.figures}
        return found[one_of("name", name, tuple(found))]

    def __repr__(self) -> str:
        figures, cases = ([f"  {row}" for row in rows] for rows in (self.figures, self.cases))
        return "\n".join(["figures:", *figures, "cases:", *cases, f"verdict: {self.verdict}"])


def plain(markdown: str) -> str:
    """Words without the marks of Markdown."""
    return re.sub(r"[`\\]", "", markdown)


@dataclass(frozen=True)
class Claim:
    """A statement that is often read, as the lesson that settled it has it."""

    name: str  #: "A1"
    lessons: tuple[str, ...]  #: the numbers of those that settle it
    said: str  #: as people say it, in Markdown
    settled: str  #: the verdict with its condition, in the words of the first lesson's summary
    links: tuple[tuple[str, str], ...]  #: where it is said: title and address
    measure: Callable[[], Measured] = field(repr=False, compare=False)
    short: str = ""  #: the statement, where it is too long for one line
    verdict: str = "holds if"  #: one of `VERDICTS`, as the lesson has it

    @property
    def order(self) -> tuple[str, int]:
        """For sorting: A7 comes before B1, and B9 before B10."""
        return self.name[0], int(self.name[1:])

    @property
    def brief(self) -> str:
        """The statement on one line, without Markdown."""
        return plain(self.short or self.said)
