"""`course progress`: a learner sees which exercises pass; a teacher sees the same of collected copies."""

import argparse
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

from helpers import folders
from helpers.problems import Problem, shown
from helpers.progress import report
from helpers.progress.copies import Copy, collected, copies_of
from helpers.progress.run import LIMIT, Result, Runs
from helpers.progress.standing import results
from helpers.progress.tasks import Lesson, lessons

_MEMORY = 1.5 * 2**30  # bytes for one copy, as long as it does nothing strange
_SAFETY = """
Without FOLDER it tells you which exercises pass in your own copies, in work/. Only what you have begun is run, with the
cells whose names it uses, in a kernel of its own; your copies are read and never changed. Of several copies of a lesson
the best answer counts. What JupyterLab has not saved yet is not seen.

With FOLDER it tells a teacher the same of every copy below it. Whose a copy is, is the first folder in its path
(FOLDER/anna/01_batch_dimension.ipynb, nbgrader's submitted/anna/..., Moodle's folders), or what stands before the
lesson in its name (anna_01_batch_dimension.ipynb).

THIS RUNS THE CODE IN THE COPIES, AS YOU. Each copy runs in an empty folder, without your settings, and with limits of
time, memory and processes. Where Linux allows it, it also has no network, sees no process but its own, and can write
nowhere but into that folder; the first line of the output says whether this is so. It can still read what you can
read. On a machine that holds grades, keys or anything else that matters, run it in a virtual machine, a
container, or an account of its own. A check shares Python with the answer that it judges: a copy that replaces a check
is found out, one that sets out to deceive it may not be. The solutions stand in the lessons: this is no examination.
"""


def main(arguments: list[str]) -> int:
    """Run the command; return its exit code, 0 when all copies were looked at. Raises `Problem`."""
    chosen = _options(arguments)
    known = {number: lesson for number, lesson in lessons().items() if lesson.tasks}
    if chosen.lesson is not None and chosen.lesson not in known:
        raise Problem(f"--lesson is {shown(chosen.lesson)}; allowed is one of {', '.join(known)}.")
    limit = _number("--limit", chosen.limit, 1, 3600, LIMIT)
    jobs = int(_number("--jobs", chosen.jobs, 1, 64, _jobs()))
    if chosen.folder is None:
        if chosen.csv is not None:
            raise Problem("--csv needs the folder with the copies, as in `course progress FOLDER --csv FILE`.")
        return _learner(known, chosen.lesson, limit)
    return _teacher(chosen, known, limit, jobs)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="course progress",
        description="Which exercises pass, in your own copies or in those that you collected.",
        epilog=_SAFETY,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="FOLDER", nargs="?", help="collected copies, in any layout")
    parser.add_argument("--lesson", metavar="NN", help="only this lesson, such as 01")
    parser.add_argument("--csv", metavar="FILE", help="also write a table for a spreadsheet; FILE must be new")
    parser.add_argument("--limit", metavar="SECONDS", help=f"for one exercise (without it: {LIMIT:.0f})")
    jobs = "copies that run at the same time (without it: as many as fit). Lesson 12 measures times: give it 1"
    parser.add_argument("--jobs", metavar="N", help=jobs)
    return parser.parse_args(arguments)


def _number(name: str, given: str | None, low: float, high: float, usual: float) -> float:
    if given is None:
        return usual
    try:
        number = float(given)
    except ValueError:
        number = -1
    if not low <= number <= high or name == "--jobs" and number != int(number):
        what = "a whole number" if name == "--jobs" else "a number"
        raise Problem(f"{name} is {shown(given)}; allowed is {what} from {low} to {high}, as in {name} {usual:.0f}.")
    return number


def _jobs() -> int:
    """As many copies at a time as there are processors, and room in memory for."""
    import psutil

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, int(psutil.virtual_memory().available // _MEMORY), 64))


def _learner(known: dict[str, Lesson], only: str | None, limit: float) -> int:
    work = folders.work_folder()
    copies = [copy for copy in copies_of(work, known) if only in (None, copy.lesson)]
    if not copies:
        which = f"of lesson {only} " if only else ""
        raise Problem(f"There is no copy {which}in {work}; `course` puts the lessons there.")
    runs, untouched, passed, count = Runs(work, limit), [], 0, 0
    for number, lesson in known.items():
        own = [copy for copy in copies if copy.lesson == number]
        if not own:
            continue
        _say(f"\rlesson {number} …")
        found = results(runs, own, known)
        _say("\r" + " " * 30 + "\r")
        good = sum(result.passed for result in found)
        passed, count = passed + good, count + len(lesson.tasks)
        if all(result.state == "not begun" for result in found):
            untouched.append(number)
            continue
        print(f"{number} {lesson.title}: {good} of {len(lesson.tasks)} pass")
        for result in found:
            print(_line(result, own), flush=True)
    if untouched:
        print(f"Not begun: {', '.join(untouched)}")
    print(f"All together: {passed} of {count} exercises pass.")
    return 0


def _line(result: Result, own: Sequence[Copy]) -> str:
    where = f" (in {result.copy.path.name})" if len(own) > 1 and result.state != "not begun" else ""
    what = f"{result.number} {result.exercise}" if result.exercise else result.copy.path.name
    said = report.plain(f"{result.message}{where}" if not result.passed else where)
    head, columns = f"    {what:20} {result.state:10} ", shutil.get_terminal_size().columns
    return (
        textwrap.fill(said, max(columns, 60), initial_indent=head, subsequent_indent=" " * 36).rstrip() or head.rstrip()
    )


def _teacher(chosen: argparse.Namespace, known: dict[str, Lesson], limit: float, jobs: int) -> int:
    folder = Path(chosen.folder).expanduser()
    if not folder.is_dir():
        raise Problem(f"FOLDER is {shown(chosen.folder)}, which is no folder; give the one with the collected copies.")
    target = None if chosen.csv is None else _new_file(chosen.csv)
    copies = [copy for copy in collected(folder, lessons()) if chosen.lesson in (None, copy.lesson)]
    if not copies:
        which = f"copy of lesson {chosen.lesson}" if chosen.lesson else "notebook (*.ipynb)"
        raise Problem(f"There is no {which} below {folder}; give the folder with the copies. Unpack a zip first.")
    runs = Runs(folder, limit, jobs)
    fence = (
        "it has no network, sees no other process, writes nowhere else"
        if runs.fenced
        else "NOT fenced off from your files and processes: see --help"
    )
    print(f"Copies: {len(copies)}. Each runs in a kernel and a folder of its own: {fence}.", flush=True)
    start, done = time.monotonic(), []
    for one in runs.all(copies, known):
        done.append(one)
        _say(f"\r{len(done)} of {len(copies)} copies")
    _say("\r" + " " * 30 + "\r")
    columns = shutil.get_terminal_size(fallback=(120, 24)).columns  # where the output goes into a file, 120
    print(report.table(done, max(columns, 60)))
    print(f"\n{report.counts(done, known)}\n\n{len(copies)} copies in {time.monotonic() - start:.0f} s.")
    if target:
        _write(target, report.as_csv(done, folder))
        print(f"Written: {target}")
    return 0


def _say(words: str) -> None:
    if sys.stderr.isatty():
        print(words, end="", file=sys.stderr, flush=True)


def _new_file(name: str) -> Path:
    """A path where a file can be made and none is. Raises `Problem`."""
    target = Path(name).expanduser().absolute()
    if os.path.lexists(target):
        raise Problem(f"--csv is {shown(name)}, which is there already; give a new name, or move the old file away.")
    if not target.parent.is_dir():
        raise Problem(f"--csv is {shown(name)}, whose folder is not there; make it first, or give another name.")
    return target


def _write(target: Path, text: str) -> None:
    try:
        with open(target, "x", encoding="utf-8-sig", newline="") as file:  # with its mark Excel takes it for UTF-8
            file.write(text)
    except OSError as error:
        raise Problem(f"{target} cannot be written ({error.strerror}); give another name with --csv.") from None
