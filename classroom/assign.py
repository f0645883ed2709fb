"""`course assign`: nbgrader assignments built from the lessons, and graded.

course assign 01 03 --into FOLDER     builds and releases them
course assign --grade FOLDER          grades what lies in FOLDER/submitted
"""

import argparse
import copy
import importlib.util
import json
import os
import re
import shutil
import time
import warnings
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from helpers import folders
from helpers.authoring import lessons
from helpers.course import lesson_named
from helpers.problems import Problem, folder_path, said

CONFIG = """\
# Made by `course assign`. Add your own settings below, such as c.Exchange.root; keep the two lines.
from classroom import grading

c = get_config()
grading.configure(c)
"""
#: An error is what nbgrader takes for "no points", in its Validate too; this one shows no traceback.
_CHECK = """\
from helpers.problems import Problem

verdict = {call}
display(verdict)
if not verdict.passed:
    raise Problem("no points yet; the check says above what is missing.")
"""
_NOTE = (
    "> **This copy of the lesson is an assignment**: {count} exercises, {points} each.\n"
    ">\n"
    "> - Graded is what stands in the cell of an exercise, together with what it uses of the cells above it: imports, "
    "functions, values. Nothing else of the notebook is run.\n"
    "> - An answer may take {seconds:g} seconds. It runs in an empty folder; it may not start programs, use the "
    "network, or read other files.\n"
    "> - The check below each exercise tells you, as often as you like, what is still missing. {hints}\n"
    "> - Save the notebook under its own name before you hand it in."
)


# Building ------------------------------------------------------------------------------------------------------------


def nbgrader_cell(cell: NotebookNode, name: str, points: float | None = None) -> NotebookNode:
    """The cell with nbgrader's metadata: an answer, or with points a check, which learners cannot change."""
    cell = copy.deepcopy(cell)
    graded = points is not None
    cell.metadata.nbgrader = {
        "schema_version": 3, "grade_id": name, "cell_type": "code", "grade": graded, "solution": not graded,
        "locked": graded, "task": False,
    }  # fmt: skip
    if graded:
        cell.metadata.nbgrader["points"] = points
    return cell


def without_solution(help_text: str) -> str:
    """The help of an exercise without its fold named Solution."""
    return re.sub(r"<details><summary>Solution</summary>.*?</details>\s*", "", help_text, flags=re.DOTALL).rstrip()


def assignment(path: Path, points: float, hints: bool) -> NotebookNode:
    """The notebook of an assignment. Raises `Problem` if the lesson has no exercises.

    points: for each exercise. hints: whether the hints stay; solutions never do.
    """
    from classroom.grading import LESSON, SECONDS

    found = lessons.exercises(path)
    if not found:
        raise Problem(f"The lesson {path.stem} has no exercises; give another one.")
    notebook = lessons.read(path)
    new: dict[str, NotebookNode | None] = {}
    for one in found:
        new[one.stub.id] = nbgrader_cell(one.stub, one.name)
        new[one.check.id] = nbgrader_cell(one.check, f"{one.name}-check", points)
        new[one.check.id].source = _CHECK.format(call=one.check.source).rstrip()
        new[one.check.id].metadata.tags = sorted([*lessons.tags(one.check), "raises-exception"])  # Run All goes on
        new[one.help.id] = copy.deepcopy(one.help) if hints else None
        if hints:
            new[one.help.id].source = without_solution(one.help.source)
        else:
            new[one.task.id] = copy.deepcopy(one.task)
            new[one.task.id].source = re.sub(r" [^.\n]*\bHint \d\.", "", one.task.source)
    cells = [new.get(cell.id, cell) for cell in notebook.cells]
    note = _NOTE.format(
        count=len(found),
        points=f"{points:g} point{'s' * (points != 1)}",
        seconds=SECONDS,
        hints="Hints are folded below it; solutions are not in this copy."
        if hints
        else "Hints and solutions are not in this copy.",
    )
    number = path.stem[:2]
    about = [cell.id for cell in notebook.cells].index(f"{number}-about")
    cells.insert(about + 1, nbformat.v4.new_markdown_cell(note, id=f"{number}-assignment"))
    notebook.cells = [cell for cell in cells if cell is not None]
    for cell in lessons.code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    notebook.metadata[LESSON] = path.stem
    return notebook


def build(names: list[str], folder: Path, points: float, hints: bool) -> list[str]:
    """Build and release assignments; return their names. Raises `Problem` for what cannot be built.

    names: of lessons. folder: nbgrader's course folder, made if it is not there. What is there is never overwritten.
    """
    shipped = folders.lessons_folder()
    paths = [shipped / lesson_named(name, shipped) for name in names]
    made = {path.stem: assignment(path, points, hints) for path in paths}
    for name in made:
        if (there := folder / "source" / name).exists():
            raise Problem(
                f"{there} is there already; move it away to build this assignment anew, or name another folder."
            )
    config = folder / "nbgrader_config.py"
    if config.exists() and "grading.configure(c)" not in config.read_text(encoding="utf-8"):
        raise Problem(f"{config} is not ours; name another folder with --into, or add these lines to it:\n{CONFIG}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not config.exists():
            config.write_text(CONFIG, encoding="utf-8")
        for name, notebook in made.items():
            target = folder / "source" / name
            target.mkdir(parents=True)
            lessons.write(notebook, target / f"{name}.ipynb")
            for script in folders.script_names(shipped):
                if script in json.dumps(notebook):
                    shutil.copy(shipped / script, target / script)
    except OSError as error:
        raise Problem(f"{folder} cannot be written ({error}); name another folder with --into.") from None
    api = gradebook_api(folder)
    for name in made:
        done = api.generate_assignment(name, force=True)
        if not done["success"]:
            raise Problem(f"nbgrader did not release {name}: {_last_words(done)}")
    return list(made)


# Grading -------------------------------------------------------------------------------------------------------------


def gradebook_api(folder: Path):
    """nbgrader's own API on this course folder, as its nbgrader_config.py sets it."""
    from nbgrader.apps import NbGraderAPI
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config import PyFileConfigLoader

    if not (folder / "nbgrader_config.py").is_file():
        raise Problem(f"{folder} has no nbgrader_config.py; give a folder that `course assign … --into` made.")
    try:
        config = PyFileConfigLoader("nbgrader_config.py", path=str(folder)).load_config()
    except Exception as error:
        raise Problem(f"{folder / 'nbgrader_config.py'} cannot be read ({said(error)}); mend it.") from None
    config.CourseDirectory.root = str(folder.resolve())
    return NbGraderAPI(coursedir=CourseDirectory(config=config), config=config)


def _last_words(done: dict) -> str:
    lines = [line for line in f"{done.get('error') or ''}\n{done.get('log') or ''}".splitlines() if line.strip()]
    told = [line for line in lines if "Problem" in line or "Error" in line] or lines
    return told[-1].strip()[:400] if told else "it did not say why"


def grade(folder: Path, names: list[str]) -> int:
    """Grade, write feedback and a table of grades; say what was done. Returns the exit code.

    The official solutions come first. Raises `Problem` if they do not get full points, before anything is graded.
    """
    from nbformat.warnings import DuplicateCellId
    from sqlalchemy.exc import SAWarning

    from classroom import grading

    api = gradebook_api(folder)
    built = sorted(path.parent.name for path in (folder / "source").glob("*/*.ipynb"))
    chosen = [name for name in built if not names or any(name.startswith(one) for one in names)]
    if not chosen:
        raise Problem(
            f"{folder / 'source'} has no assignment {' '.join(names)}; there are: {', '.join(built) or 'none'}."
        )
    seconds = api.config.JudgeAnswers.get("seconds", grading.SECONDS)
    for name in chosen:
        source = nbformat.read(folder / "source" / name / f"{name}.ipynb", as_version=4)
        points = grading.official_points(source, grading.shared_judge(float(seconds)))
        print(f"{name}: the official solutions get all {points:g} points.")
    bad = 0
    for name in chosen:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)  # nbgrader 0.9.6 asks for what it has not stored yet
            warnings.simplefilter("ignore", DuplicateCellId)  # somebody copied a cell; the last one counts
            bad += _grade_one(api, folder, name)
    table = folder / f"grades-{time.strftime('%Y-%m-%d-%H%M%S')}.csv"
    _export(api, table)
    print(f"Feedback is in {folder / 'feedback'}, the grades are in {table}.")
    return 1 if bad else 0


def _grade_one(api, folder: Path, name: str) -> int:
    """Grade all submissions of an assignment; return how many could not be."""
    students = sorted(path.parent.name for path in (folder / "submitted").glob(f"*/{name}") if path.is_dir())
    if not students:
        print(f"{name}: nothing to grade. Submissions belong into {folder / 'submitted' / 'NAME' / name}.")
    bad = 0
    for student in students:
        file = folder / "submitted" / student / name / f"{name}.ipynb"
        if not file.is_file():
            trouble = f"{file.name} is not in {file.parent}"
        else:
            done = api.autograde(name, student, force=True)
            trouble = "" if done["success"] else _last_words(done)
        if trouble:
            bad += 1
            print(f"  {student}: NOT graded. {trouble}")
            continue
        told = api.generate_feedback(name, student, force=True)
        with api.gradebook as gradebook:
            found = gradebook.find_submission(name, student)
            print(f"  {student}: {found.score:g} of {found.max_score:g}")
        if not told["success"]:
            bad += 1
            print(f"  {student}: no feedback was written. {_last_words(told)}")
    return bad


def _export(api, table: Path) -> None:
    from nbgrader.plugins import CsvExportPlugin

    plugin = CsvExportPlugin(to=str(table))
    with api.gradebook as gradebook:
        plugin.export(gradebook)


# The command ---------------------------------------------------------------------------------------------------------


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="course assign", description="Build nbgrader assignments from the lessons, and grade what comes back."
    )
    parser.add_argument("names", nargs="*", metavar="LESSON", help="such as 01; with --grade: only these assignments")
    parser.add_argument("--into", metavar="FOLDER", help="build them here: nbgrader's course folder")
    parser.add_argument("--points", metavar="N", default="1", help="for each exercise (without it: 1)")
    parser.add_argument("--no-hints", action="store_true", help="leave the hints out; solutions always are")
    parser.add_argument("--grade", metavar="FOLDER", help="grade the submissions in this course folder")
    return parser.parse_args(arguments)


def _points(given: str) -> float:
    try:
        points = float(given)
    except ValueError:
        points = 0.0
    if not 0 < points <= 1000:
        raise Problem(f"--points is {given}; allowed is a number above 0 and up to 1000, as in --points 2.")
    return points


def main(arguments: list[str]) -> int:
    """Run the command; return the exit code. Raises `Problem` for what cannot be done."""
    chosen = _options(arguments)
    if not importlib.util.find_spec("nbgrader") or not importlib.util.find_spec("cloudpickle"):
        raise Problem("nbgrader is not installed; `uv sync --group classroom` brings it.")
    if chosen.grade is not None:
        if chosen.into is not None:
            raise Problem("--into builds and --grade grades; give one of them.")
        if not hasattr(os, "fork"):
            raise Problem("Grading needs Linux or macOS: each answer runs in a process of its own, made by fork.")
        return grade(folder_path("--grade", chosen.grade), chosen.names)
    if chosen.into is None or not chosen.names:
        raise Problem("Say what to build and where, as in `course assign 01 03 --into our_class`.")
    folder = folder_path("--into", chosen.into)
    for name in build(chosen.names, folder, _points(chosen.points), not chosen.no_hints):
        print(f"{name}: built, and released into {folder / 'release' / name}")
    print(f"Hand out what lies in {folder / 'release'}; grade with `course assign --grade {folder}`.")
    return 0
