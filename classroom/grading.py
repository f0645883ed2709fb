"""nbgrader's autograder for the assignments that `course assign` builds: `configure` puts it in nbgrader's place.

nbgrader runs a whole submission in one kernel and reads points from what its cells print. Here only the answers are
taken out of a submission, everything else comes from the teacher's copy; each answer is judged apart
(`classroom.judge`), and the verdict is written into the check's cell, from which nbgrader takes the points. Before the
first submission of an assignment, the lesson's own solutions are graded in the same way: without full points, nothing
else is.
"""

import ast
import copy
import hashlib
from functools import cache
from pathlib import Path

import nbformat
from nbconvert.preprocessors import ClearMetadataPreprocessor, CSSHTMLHeaderPreprocessor
from nbformat import NotebookNode
from nbgrader import preprocessors, utils
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Float

from classroom.judge import Asked, Judge
from helpers.authoring import lessons
from helpers.check import Verdict
from helpers.folders import lessons_folder
from helpers.problems import Problem

LESSON = "course_lesson"  #: in the metadata of an assignment's notebook: the lesson that it was built from
SECONDS = 60.0  #: that an answer may take


def configure(c) -> None:
    """Set nbgrader's configuration ``c`` so that it releases and grades the course's assignments."""
    c.CourseDirectory.course_id = "shape-of-a-batch"
    # The stubs are what learners get: ClearSolutions would put its own in their place.
    c.GenerateAssignment.preprocessors = [
        preprocessors.IncludeHeaderFooter,
        preprocessors.LockCells,
        preprocessors.ClearOutput,
        preprocessors.CheckCellMetadata,
        preprocessors.ComputeChecksums,
        preprocessors.SaveCells,
        preprocessors.CheckCellMetadata,
    ]
    c.Autograde.sanitize_preprocessors = [
        TakeAnswers,
        preprocessors.DeduplicateIds,
        preprocessors.OverwriteKernelspec,
        preprocessors.OverwriteCells,
        preprocessors.CheckCellMetadata,
    ]
    c.Autograde.autograde_preprocessors = [
        JudgeAnswers,
        ClearMetadataPreprocessor,
        preprocessors.SaveAutoGrades,
        preprocessors.AssignLatePenalties,
        preprocessors.CheckCellMetadata,
    ]
    c.GenerateFeedback.preprocessors = [preprocessors.GetGrades, OnlyExercises, CSSHTMLHeaderPreprocessor]


def grade_id(cell: NotebookNode) -> str:
    """What nbgrader calls this cell, "" if nothing."""
    own = cell.metadata.get("nbgrader")
    name = own.get("grade_id") if isinstance(own, dict) else None
    return name if isinstance(name, str) else ""


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def only_answers(submission: NotebookNode, source: NotebookNode) -> NotebookNode:
    """The teacher's copy of a notebook with a submission's answers and ungraded cells, without outputs and metadata.

    An answer that is there twice counts as it stands last; one that is missing is the stub.
    """
    known = {grade_id(cell): cell for cell in source.cells if grade_id(cell)}
    by_place = {cell.id: name for name, cell in known.items()}  # for a tool that drops metadata
    found: list[tuple[str, str, str]] = []  # nbgrader's name or "", kind of cell, text
    for cell in submission.cells:
        name = grade_id(cell) or by_place.get(cell.get("id"), "")
        kind = cell.cell_type if cell.cell_type in ("code", "markdown") else "raw"
        found.append((name if name in known else "", kind, _text(cell.source)))
    last = {name: place for place, (name, _, _) in enumerate(found)}
    cells, placed = [], set()

    def put(name: str, text: str | None) -> None:
        cell = copy.deepcopy(known[name])
        if text is not None and utils.is_solution(cell):
            cell.source = text
        cells.append(cell)
        placed.add(name)

    for place, (name, kind, text) in enumerate(found):
        if name and last[name] == place:
            put(name, text)
        elif not name:
            cells.append(getattr(nbformat.v4, f"new_{kind}_cell")(text))
    for name in known:
        if name not in placed:
            put(name, None)
    made = copy.deepcopy(source)
    made.cells = _answers_before_checks(cells)
    return made


def _answers_before_checks(cells: list[NotebookNode]) -> list[NotebookNode]:
    """Each check directly behind its answer, wherever a submission has them."""
    checks = {answer_of(cell): cell for cell in cells if utils.is_grade(cell)}
    ordered = []
    for cell in cells:
        if not utils.is_grade(cell):
            ordered.append(cell)
            if utils.is_solution(cell) and grade_id(cell) in checks:
                ordered.append(checks[grade_id(cell)])
    return ordered


def answer_of(check: NotebookNode) -> str:
    """The name of the answer's cell that a check's cell belongs to."""
    return grade_id(check).removesuffix("-check")


def asked(check: NotebookNode) -> Asked:
    """What a check's cell asks: ``check.NAME(EXPRESSION)``, wherever it stands in the cell."""
    for node in ast.walk(ast.parse(check.source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("check."):
            return Asked(node.func.attr, ast.unparse(node.args[0]))
    raise Problem(f"The cell {grade_id(check)} calls no check; build the assignment anew with `course assign`.")


def judge_notebook(notebook: NotebookNode, judge: Judge) -> dict[str, Verdict]:
    """A verdict for each check's cell of a notebook, by its name."""
    verdicts, above, answers = {}, [], {}
    for cell in notebook.cells:
        if utils.is_grade(cell):
            before, answer = answers.get(answer_of(cell), (above, ""))
            verdicts[grade_id(cell)] = judge.mark(asked(cell), before, answer)
        elif cell.cell_type == "code":
            if utils.is_solution(cell):
                answers[grade_id(cell)] = (list(above), cell.source)
            above.append(cell.source)
    return verdicts


def with_solutions(source: NotebookNode) -> NotebookNode:
    """The teacher's copy with the lesson's solutions in place of the stubs. Raises `Problem` if they do not belong."""
    name = str(source.metadata.get(LESSON, ""))
    path = lessons_folder() / f"{name}.ipynb"
    if not name or not path.is_file():
        raise Problem(
            f"The notebook says that it was built from the lesson {name!r}, which is not there; build it with "
            "`course assign`, and grade where the course is installed with its lessons."
        )
    solutions = {one.name: one.solution for one in lessons.exercises(path)}
    notebook = copy.deepcopy(source)
    for cell in notebook.cells:
        if utils.is_solution(cell):
            if grade_id(cell) not in solutions:
                raise Problem(
                    f"The lesson {name} has no exercise {grade_id(cell)} any more; build the assignment anew with "
                    "`course assign`."
                )
            cell.source = solutions[grade_id(cell)]
    return notebook


_FULL: dict[str, float] = {}  # the points of official solutions, by what the assignment holds; full ones only


def official_points(source: NotebookNode, judge: Judge) -> float:
    """Grade the lesson's own solutions; return their points. Raises `Problem` unless they are all that there are.

    What had full points in this process is not graded again.
    """
    content = hashlib.sha256(nbformat.writes(source).encode()).hexdigest()
    if content in _FULL:
        return _FULL[content]
    notebook = with_solutions(source)
    write_verdicts(notebook, judge_notebook(notebook, judge))
    points = most = 0.0
    failed = []
    for cell in filter(utils.is_grade, notebook.cells):
        score, full = utils.determine_grade(cell)
        points, most = points + (score or 0), most + full
        if score != full:
            failed.append(f"{answer_of(cell)}: {cell.outputs[0].data['text/plain']}")
    if failed or not most:
        what = "; ".join(failed) or "there is nothing to grade"
        raise Problem(
            f"The official solutions of {source.metadata[LESSON]} get {points:g} of {most:g} points ({what}), so "
            "nothing is graded. Run `course --check`; if it is content, tell us about it."
        )
    return _FULL.setdefault(content, points)


def write_verdicts(notebook: NotebookNode, verdicts: dict[str, Verdict]) -> None:
    """Write the verdicts into the outputs of their cells, as nbgrader reads points: none for an error, else all."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
        if (verdict := verdicts.get(grade_id(cell))) is None:
            continue
        shown = {"text/plain": repr(verdict), "text/html": verdict._repr_html_()}
        cell.outputs = [nbformat.v4.new_output("display_data", data=shown)]
        if not verdict.passed:
            error = nbformat.v4.new_output(
                "error", ename="NotYet", evalue=verdict.message, traceback=["no points: see above"]
            )
            cell.outputs.append(error)


def only_exercises(notebook: NotebookNode) -> list[NotebookNode]:
    """What feedback shows: of each exercise its task, the answer, and the check with what it says."""
    cells, task = [], None
    for cell in notebook.cells:
        if utils.is_solution(cell) or utils.is_grade(cell):
            if utils.is_grade(cell):
                check = asked(cell)
                cell.source = f"check.{check.name}({check.expression})"
            cells += [one for one in (task, cell) if one is not None]
            task = None
        elif cell.cell_type == "markdown" and cell.source.startswith("### Exercise"):
            task = cell
    return cells


@cache
def shared_judge(seconds: float) -> Judge:
    """The one judge of this process: its processes stay warm, and end with it."""
    return Judge(seconds)


class _OfTheCourse(NbGraderPreprocessor):
    """What both preprocessors need: the teacher's copy of the notebook that is being graded."""

    def source(self, resources: dict) -> NotebookNode:
        course, names = self.parent.parent.coursedir, resources["nbgrader"]
        folder = course.format_path(course.source_directory, ".", names["assignment"])
        return nbformat.read(Path(folder) / f"{names['notebook']}.ipynb", as_version=4)


class TakeAnswers(_OfTheCourse):
    """Takes the answers out of a submission; the rest, and what nbgrader knows of it, comes from the teacher's copy."""

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """The notebook to be graded. Nothing that the submission claims about points, cells or outputs is in it."""
        return only_answers(nb, self.source(resources)), resources


class OnlyExercises(NbGraderPreprocessor):
    """Leaves the lesson itself out of a page of feedback, which is there for the answers."""

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """The notebook without the cells between its exercises."""
        nb.cells = only_exercises(nb)
        return nb, resources


class JudgeAnswers(_OfTheCourse):
    """Judges each answer apart, and writes the verdicts where nbgrader looks for points. Runs no cell."""

    seconds = Float(SECONDS, help="How many seconds an answer may take.").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """The notebook with verdicts. Raises `Problem` if the official solutions do not get full points."""
        judge, source = shared_judge(self.seconds), self.source(resources)
        official_points(source, judge)
        write_verdicts(nb, judge_notebook(nb, judge))
        return nb, resources
