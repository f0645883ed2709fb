"""Where a learner stands, in one record: as their copies were saved, and as one lesson runs now."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import shorten

from helpers import folders
from helpers.problems import folder_path, one_of
from helpers.progress.answers import PASSED, answers
from helpers.progress.copies import Copy, copies_of
from helpers.progress.run import Result, Runs
from helpers.progress.tasks import Lesson, lessons

#: What is known of an exercise without running it: not begun; begun, and its check never ran; what its check said.
SAVED = ("not begun", "answered", "not yet", "passed")
LESSONS = tuple(f"{number:02}" for number in range(13))  #: that have exercises; a test compares them with the files
NOTHING = "nothing"  #: what `overview` runs if nobody asks for more


@dataclass(frozen=True)
class Mark:
    """One exercise: its state, one of `SAVED` or of `helpers.progress.run.STATES`, and what its check said last."""

    number: int
    name: str
    state: str
    message: str = ""


@dataclass(frozen=True)
class Row:
    """One lesson: its exercises, whether there is a copy, whether that was run just now, and what is wrong with it."""

    lesson: str
    title: str
    marks: tuple[Mark, ...]
    there: bool = True
    is_run: bool = False
    damage: str = ""

    @property
    def passed(self) -> int:
        """How many exercises pass."""
        return sum(mark.state == "passed" for mark in self.marks)


@dataclass(frozen=True)
class Overview:
    """All lessons that have exercises, in order."""

    rows: tuple[Row, ...]

    @property
    def sentence(self) -> str:
        """How many pass, as saved; and of the lesson that was run, what its checks say now."""
        if not any(row.there for row in self.rows):
            return "There is no copy of a lesson in your work folder yet; the command course puts them there."
        marks = [mark for row in self.rows for mark in row.marks]
        states = [mark.state for mark in marks]
        passed = states.count("passed")
        more = len(marks) - states.count("not begun") - passed
        words = f"{passed} of {len(marks)} exercises pass, {more} more {'is' if more == 1 else 'are'} begun. "
        words += "The lessons are shown as you saved them last"
        row = next((row for row in self.rows if row.is_run), None)
        if row is None:
            return f"{words}."
        said = f"{words}; lesson {row.lesson} was run just now: {row.passed} of {len(row.marks)} pass."
        if row.damage:
            return f"{said} Your newest copy cannot be read: {row.damage}."
        first = next((mark for mark in row.marks if mark.state not in ("passed", "not begun")), None)
        if first is None:
            return said
        return f"{said} Exercise {first.number}, {first.name}: {shorten(first.message, 180, placeholder=' …')}"


def overview(folder: str | Path | None = None, run: str = NOTHING) -> Overview:
    """Where a learner stands in their copies, at once: nothing is run, the copies are read as they were saved.

    folder: with the copies; without one, the work folder. run: a lesson such as "01" whose answers are run anew, each
    copy in a kernel of its own, which takes some seconds. An exercise passes if it does in any copy of its lesson.
    Raises `Problem` for a folder that is none, or another lesson.
    """
    folder, known, copies = _found(folder, run)
    rows = []
    for number, lesson in known.items():
        own = [copy for copy in copies if copy.lesson == number]
        row = _as_saved(lesson, own)
        rows.append(_as_run(row, results(Runs(folder), own, known)) if number == run else row)
    return Overview(tuple(rows))


def is_slow(run: str, folder: str | Path | None = None) -> bool:
    """Whether `overview` has to run something, which takes seconds, since an answer to this lesson is begun.

    Raises `Problem` as `overview` does.
    """
    _, known, copies = _found(folder, run)
    return any(one.begun for copy in copies if copy.lesson == run for one in answers(copy, known[run]))


def _found(folder: str | Path | None, run: str) -> tuple[Path, dict[str, Lesson], list[Copy]]:
    folder = folders.work_folder() if folder is None else folder_path("folder", folder)
    known = {number: lesson for number, lesson in lessons().items() if lesson.tasks}
    one_of("run", run, (NOTHING, *known))
    return folder, known, copies_of(folder, known)


def results(runs: Runs, copies: Sequence[Copy], known: dict[str, Lesson]) -> list[Result]:
    """What the checks say to one lesson's copies, the newest first: an older one counts where it gets further."""
    found: dict[str, Result] = {}
    for copy in copies:
        passed = {name for name, result in found.items() if result.passed}
        first = not found
        for result in runs.one(copy, known, lambda one: one.task.name not in passed and (first or one.begun)):  # noqa: B023
            old = found.get(result.exercise)
            if old is None or result.passed or old.state == "not begun":
                found[result.exercise] = result
    return list(found.values())


def _as_saved(lesson: Lesson, copies: Sequence[Copy]) -> Row:
    best = {task.name: Mark(task.number, task.name, "not begun") for task in lesson.tasks}
    for copy in copies:
        for answer in answers(copy, lesson):
            state = "not begun" if not answer.begun else "answered"
            if answer.begun and answer.saved:
                state = "passed" if answer.saved.startswith(PASSED) else "not yet"
            old = best[answer.task.name]
            if state == "passed" or old.state == "not begun":
                best[answer.task.name] = replace(old, state=state, message=answer.saved.partition("] ")[2])
    damage = next((copy.damage for copy in copies), "")
    return Row(lesson.number, lesson.title, tuple(best.values()), bool(copies), damage=damage)


def _as_run(row: Row, found: Sequence[Result]) -> Row:
    by_name = {result.exercise: result for result in found}
    marks = [
        replace(mark, state=by_name[mark.name].state, message=by_name[mark.name].message)
        if mark.name in by_name
        else replace(mark, state="not begun", message="")
        for mark in row.marks
    ]
    return replace(row, marks=tuple(marks), is_run=True)
