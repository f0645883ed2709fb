"""All claims in order, measured once each, and filtered."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from helpers.claims import batches, fitting, images, layers, memory, training, working
from helpers.claims.records import SIGNS, VERDICTS, Claim, Measured, plain
from helpers.problems import one_of, whole_number

_MODULES = (batches, working, images, layers, memory, fitting, training)
#: Every claim by its name, from A1 to the last B.
CLAIMS: dict[str, Claim] = {
    claim.name: claim
    for claim in sorted((claim for module in _MODULES for claim in module.CLAIMS), key=lambda claim: claim.order)
}
ALL = "all"
LESSONS = (ALL, *sorted({lesson for claim in CLAIMS.values() for lesson in claim.lessons}))
PAGE = 6  #: rows that a panel shows at once
PAGES = -(-len(CLAIMS) // PAGE)


@dataclass(frozen=True)
class Row:
    """One claim with what was measured."""

    claim: Claim
    measured: Measured

    @property
    def borne(self) -> bool:
        """Whether the figures bear the verdict of the lesson."""
        return self.measured.verdict == self.claim.verdict

    @property
    def sign(self) -> str:
        """The sign of the verdict that the figures bear."""
        return SIGNS[self.measured.verdict]

    @property
    def verdict(self) -> str:
        """The verdict with its condition; where the figures do not bear it, that."""
        if self.borne:
            return self.claim.settled
        return f"{self.measured.verdict}, by these figures: they do not bear the lesson's “{self.claim.verdict}”"

    @property
    def sentence(self) -> str:
        """Claim, verdict and figure."""
        return f"{self.claim.name}, “{self.claim.brief}”: {plain(self.verdict)} ({plain(self.measured.words)})"


@dataclass(frozen=True, repr=False)
class Table:
    """Claims with their verdicts and figures: those of one lesson, with one verdict, or all."""

    rows: tuple[Row, ...]
    lesson: str  #: "all" or its number
    verdict: str  #: "all" or one of `VERDICTS`
    page: int  #: of what a panel shows, from 1

    @property
    def pages(self) -> int:
        """How many pages the rows fill."""
        return _pages(self.rows)

    @property
    def shown(self) -> tuple[Row, ...]:
        """The rows of this page."""
        return self.rows[PAGE * (self.page - 1) : PAGE * self.page]

    @property
    def counts(self) -> dict[str, int]:
        """How many rows have which verdict, by the figures."""
        found = Counter(row.measured.verdict for row in self.rows)
        return {verdict: found[verdict] for verdict in VERDICTS}

    @property
    def heading(self) -> str:
        """What is shown: `Lesson 07, all verdicts: 5 claims, page 1 of 1`."""
        lesson = "All lessons" if self.lesson == ALL else f"Lesson {self.lesson}"
        verdict = "all verdicts" if self.verdict == ALL else f"verdict “{self.verdict}”"
        claims = f"{len(self.rows)} claim{'s' * (len(self.rows) != 1)}"
        return f"{lesson}, {verdict}: {claims}, page {self.page} of {self.pages}"

    @property
    def sentence(self) -> str:
        """What is shown and the verdicts on this page."""
        said = ", ".join(f"{row.claim.name} {row.measured.verdict}" for row in self.shown)
        strays = [row.claim.name for row in self.rows if not row.borne]
        told = f" The figures do not bear the lessons' verdicts on {', '.join(strays)}." if strays else ""
        return f"{self.heading}. {said or 'No claim'}.{told}"

    def __repr__(self) -> str:
        return f"<claims: {self.sentence}>"

    def _repr_markdown_(self) -> str:
        """All rows as a table, with links to where people say it."""
        lines = ["| | as people say it | verdict | measured | lesson |", "|---|---|---|---|---|"]
        for row in self.rows:
            claim = row.claim
            links = ", ".join(f"[{title}]({address})" for title, address in claim.links)
            cells = (f"**{claim.name}**", f"{claim.said} ({links})", f"{row.sign} {row.verdict}", row.measured.words)
            lines.append(f"| {' | '.join((*cells, ', '.join(claim.lessons)))} |")
        return "\n".join(lines)


def measure(name: str) -> Measured:
    """What measuring this claim gives, as in ``measure("B13")``: figures, cases, and the verdict that they bear.

    It is measured once, with one thread and random numbers of its own, and kept. Raises `Problem` for another name,
    and where a stored table that it needs is not there.
    """
    if one_of("name", name, tuple(CLAIMS)) not in _measured:
        _measured[name] = _alone(CLAIMS[name].measure)
    return _measured[name]


def table(lesson: str = ALL, verdict: str = ALL, page: int = 1) -> Table:
    """The claims of one lesson, "01" to the last, or of "all"; with one verdict, or "all"; measured.

    page: of what a panel shows; past the last one it is the last one. The verdict is the one that the figures bear.
    Raises `Problem` for a value that is not allowed.
    """
    one_of("lesson", lesson, LESSONS)
    one_of("verdict", verdict, (ALL, *VERDICTS))
    page = whole_number("page", page, 1, PAGES)
    rows = [Row(claim, measure(claim.name)) for claim in _of(lesson)]
    rows = [row for row in rows if verdict in (ALL, row.measured.verdict)]
    return Table(tuple(rows), lesson, verdict, min(page, _pages(rows)))


def is_slow(lesson: str = ALL) -> bool:
    """Whether `table` has something to measure still for this lesson, and takes longer than a moment."""
    return any(claim.name not in _measured for claim in _of(one_of("lesson", lesson, LESSONS)))


def _pages(rows: Sequence[Row]) -> int:
    return max(-(-len(rows) // PAGE), 1)


def _of(lesson: str) -> list[Claim]:
    return [claim for claim in CLAIMS.values() if lesson in (ALL, *claim.lessons)]


_measured: dict[str, Measured] = {}  # by claim, what `measure` gave


def _alone(work: Callable[[], Measured]) -> Measured:
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.set_num_threads(1)
        torch.manual_seed(0)
        try:
            return work()
        finally:
            torch.set_num_threads(threads)
