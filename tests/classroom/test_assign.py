"""Assignments, built from the lessons, graded by the real nbgrader; and what an answer may not do."""

import ast
import csv
import getpass
import os
import re
import shutil
import textwrap

import nbformat
import pytest
import torch

pytest.importorskip("nbgrader", reason="nbgrader is not installed: uv sync --group classroom")

from nbgrader.auth import Authenticator
from nbgrader.coursedir import CourseDirectory
from nbgrader.exchange.default import ExchangeFetchAssignment, ExchangeFetchFeedback, ExchangeSubmit
from nbgrader.nbgraderformat import MetadataValidator
from nbgrader.utils import is_grade, is_solution
from traitlets.config import Config

from classroom import assign, grading, walls
from classroom.judge import Asked, Judge
from helpers import check, course
from helpers.authoring import lessons
from helpers.folders import lessons_folder
from helpers.problems import Problem

WITH_EXERCISES = [path for path in lessons.LESSONS if lessons.exercises(path)]
LESSON_00, LESSON_01 = "00_start_here", "01_batch_dimension"
SECONDS = 8.0
ME = getpass.getuser()
FOLD = str(lessons_folder() / f"{LESSON_01}.ipynb")


def command(*arguments: object) -> int:
    return course.main(["assign", *map(str, arguments)])


# Built from the lessons -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A course folder with an assignment from every lesson that has exercises."""
    folder = tmp_path_factory.mktemp("class") / "ours"
    assert command(*(path.stem for path in WITH_EXERCISES), "--into", folder, "--points", "2") == 0
    with open(folder / "nbgrader_config.py", "a") as config:
        config.write(f"\nc.JudgeAnswers.seconds = {SECONDS}\n")
    return folder


def released(folder, name):
    return nbformat.read(folder / "release" / name / f"{name}.ipynb", as_version=4)


@pytest.mark.parametrize("path", WITH_EXERCISES, ids=lambda path: path.stem)
def test_release_is_an_assignment_without_solutions(built, path):
    notebook, exercises = released(built, path.stem), lessons.exercises(path)
    MetadataValidator().validate_nb(notebook)
    answers, checks = list(filter(is_solution, notebook.cells)), list(filter(is_grade, notebook.cells))
    assert [grading.grade_id(cell) for cell in answers] == [one.name for one in exercises]
    assert [cell.source for cell in answers] == [one.stub.source for one in exercises]
    assert [grading.answer_of(cell) for cell in checks] == [one.name for one in exercises]
    for cell, one in zip(checks, exercises, strict=True):
        assert cell.metadata.nbgrader.locked and cell.metadata.nbgrader.points == 2
        assert "raises-exception" in cell.metadata.tags  # Run All goes on
        assert cell.metadata.editable is False and cell.metadata.deletable is False
        assert f"{ast.unparse(ast.parse(one.check.source))}" in ast.unparse(ast.parse(cell.source))
    text = nbformat.writes(notebook)
    assert "<summary>Solution" not in text
    assert text.count("<summary>Hint 1") == len(exercises)
    cells = "\n".join(cell.source for cell in notebook.cells)
    for one in exercises:
        assert one.solution not in cells
    assert not any(cell.outputs for cell in lessons.code_cells(notebook))
    assert {cell.id for cell in notebook.cells} - {f"{path.stem[:2]}-assignment"} == {
        cell.id for cell in lessons.read(path).cells
    }


@pytest.mark.parametrize("name", (LESSON_00, LESSON_01))
def test_released_check_raises_for_the_stub_alone(built, name):
    for solved in (False, True):
        space, shown = {"check": check, "torch": torch}, []
        space["display"] = shown.append
        for cell in answered(released(built, name), solutions(name) if solved else {}).cells:
            if is_solution(cell) or is_grade(cell) and solved:
                exec(cell.source, space)
            elif is_grade(cell):
                with pytest.raises(Problem, match="no points yet"):
                    exec(cell.source, space)
        assert len(shown) == len(solutions(name)) and all(verdict.passed is solved for verdict in shown)


@pytest.mark.parametrize("path", WITH_EXERCISES, ids=lambda path: path.stem)
def test_hints_can_be_left_out(path):
    notebook = assign.assignment(path, 1, hints=False)
    MetadataValidator().validate_nb(notebook)
    assert "<summary>Hint" not in lessons.prose(notebook)
    assert not re.search(r"\bHint \d", lessons.prose(notebook))
    assert lessons.prose(notebook).count("### Exercise") == len(lessons.exercises(path))


def test_a_script_of_the_lesson_goes_along(built):
    assert (built / "release" / "10_more_than_one_process" / "split_batch.py").is_file()
    assert not (built / "release" / LESSON_01 / "split_batch.py").exists()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["01"], "course assign 01 03 --into"),
        (["13", "--into", "{new}"], "has no exercises"),
        (["1", "--into", "{new}"], "fits more than one lesson"),
        (["nine", "--into", "{new}"], "is no lesson"),
        (["01", "--into", "{new}", "--points", "0"], "allowed is a number above 0"),
        (["01", "--into", "{new}", "--points", "many"], "allowed is a number above 0"),
        (["01", "--into", "{built}"], "is there already"),
        (["01", "--into", "{foreign}"], "is not ours"),
        (["--grade", "{new}"], "has no nbgrader_config.py"),
        (["--grade", "{built}", "14"], "has no assignment 14"),
        (["01", "--grade", "{built}", "--into", "{new}"], "give one of them"),
    ],
)
def test_bad_input_is_refused_in_words(built, tmp_path, capsys, arguments, words):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "nbgrader_config.py").write_text("c = get_config()\n")
    places = {"new": tmp_path / "new", "built": built, "foreign": tmp_path / "foreign"}
    before = sorted(built.rglob("*"))
    assert command(*(argument.format(**places) for argument in arguments)) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "new").exists() and sorted(built.rglob("*")) == before


@pytest.fixture(scope="module")
def judge():
    with grading.shared_judge(SECONDS) as judge:  # the one that nbgrader uses too
        yield judge


# Graded by nbgrader ---------------------------------------------------------------------------------------------------


def answered(notebook, answers):
    """The notebook with these texts in place of stubs."""
    for cell in filter(is_solution, notebook.cells):
        cell.source = textwrap.dedent(answers.get(grading.grade_id(cell), cell.source)).strip()
    return notebook


def solutions(name):
    return {one.name: one.solution for one in lessons.exercises(lessons_folder() / f"{name}.ipynb")}


def hostile(name, folder):
    """Everything at once: each answer does harm, and the notebook lies about its cells and its points."""
    book = str(folder / "gradebook.db")
    harm = {
        "photo_bytes": "import sys\nprint('100')\nsys.exit(0)",
        "to_mib": """
            from helpers.check.lesson_00 import to_mib as found
            def to_mib(n_bytes):
                return found.right(n_bytes)
            """,
        "bytes_of": "while True:\n    pass",
        "odd_entry": "import os\nos._exit(0)",
        "to_batch": """
            from helpers import check
            class Passed:
                passed, message = True, "2.0"
            check.to_batch = check.core = lambda *_: Passed()
            def to_batch(image):
                print(2.0)
                return image
            """,
        "grey_batch": f"""
            import json
            cells = json.load(open({FOLD!r}))["cells"]
            fold = ["".join(cell["source"]) for cell in cells if cell["id"] == "01-help-grey-batch"]
            exec(fold[0].split("```python")[1].split("```")[0])
            """,
        "rows_independent": f"""
            import sqlite3
            def rows_independent(model, batch):
                with sqlite3.connect({book!r}) as gradebook:
                    gradebook.execute("update grade set auto_score = 2")
                return True
            """,
    }
    notebook = answered(released(folder, name), harm)
    for cell in notebook.cells:
        if is_grade(cell):
            cell.source = "2.0"
            cell.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "2.0"}, execution_count=1)]
        if "nbgrader" in cell.metadata:
            cell.metadata.nbgrader.update(points=100, schema_version=99, grade=True, locked=False)
    takes_over = "import os, signal, torch\ntorch.equal = lambda *_: True\nos.kill(os.getppid(), signal.SIGKILL)"
    notebook.cells.insert(0, nbformat.v4.new_code_cell(takes_over))
    notebook.cells.append(notebook.cells[-1])  # twice the same id
    return notebook


def by_exchange(kind, home, root, name):
    """What a learner's fetch or submit command does, in the learner's folder."""
    config = Config()
    config.Exchange.root, config.CourseDirectory.root = str(root), str(home)
    config.CourseDirectory.course_id = "shape-of-a-batch"
    config.Exchange.cache = str(home / "cache")
    place = CourseDirectory(config=config)
    place.assignment_id = name
    before = os.getcwd()
    os.chdir(home)
    try:
        kind(coursedir=place, authenticator=Authenticator(config=config), config=config).start()
    finally:
        os.chdir(before)


@pytest.fixture(scope="module")
def exchanged(built, tmp_path_factory):
    """A course folder and its exchange, from which this very account fetched lesson 01, solved it, and submitted it."""
    folder, root, home = (tmp_path_factory.mktemp("exchanged") / name for name in ("ours", "exchange", "home"))
    shutil.copytree(built, folder)
    home.mkdir()
    root.mkdir()
    root.chmod(0o777)
    with open(folder / "nbgrader_config.py", "a") as config:
        config.write(f"c.Exchange.root = {str(root)!r}\n")
    api = assign.gradebook_api(folder)
    assert api.release_assignment(LESSON_01)["success"]
    by_exchange(ExchangeFetchAssignment, home, root, LESSON_01)
    file = home / LESSON_01 / f"{LESSON_01}.ipynb"
    notebook = answered(nbformat.read(file, as_version=4), solutions(LESSON_01))
    file.write_text(nbformat.writes(notebook))
    by_exchange(ExchangeSubmit, home, root, LESSON_01)
    assert api.collect(LESSON_01)["success"]
    return folder, root, home


@pytest.fixture(scope="module")
def graded(exchanged, judge):
    """A course folder after grading: ann and this account right, eve hostile, zoe half right, tom no notebook."""
    folder = exchanged[0]
    for name in (LESSON_00, LESSON_01):
        right = solutions(name)
        some = dict(list(right.items())[: len(right) // 2])
        notebooks = {
            "ann": answered(released(folder, name), right),
            "eve": hostile(name, folder),
            "zoe": answered(released(folder, name), some),
        }
        for student, notebook in notebooks.items():
            place = folder / "submitted" / student / name
            place.mkdir(parents=True)
            (place / f"{name}.ipynb").write_text(nbformat.writes(notebook))
    broken = folder / "submitted" / "tom" / LESSON_00
    broken.mkdir(parents=True)
    (broken / f"{LESSON_00}.ipynb").write_text("no notebook")
    code = command("--grade", folder, "00", "01")
    return folder, code


def scores(folder):
    (table,) = folder.glob("grades-*.csv")
    with open(table) as lines:
        rows = [row for row in csv.DictReader(lines) if row["assignment"] in (LESSON_00, LESSON_01)]
    return {(row["student_id"], row["assignment"]): float(row["score"]) for row in rows}


def test_scores_are_what_they_should_be(graded):
    folder, code = graded
    assert code == 1  # tom's is no notebook; all others were graded
    assert scores(folder) == {
        ("ann", LESSON_00): 8, ("ann", LESSON_01): 6,
        ("eve", LESSON_00): 0, ("eve", LESSON_01): 0,
        ("tom", LESSON_00): 0, ("tom", LESSON_01): 0,
        ("zoe", LESSON_00): 4, ("zoe", LESSON_01): 2,
        (ME, LESSON_00): 0, (ME, LESSON_01): 6,
    }  # fmt: skip


@pytest.mark.parametrize(
    "student, name, words",
    [
        ("ann", LESSON_01, "you can now test any model for this"),
        ("zoe", LESSON_01, "rows_independent returned nothing"),
        ("zoe", LESSON_01, "No response"),
        ("eve", LESSON_00, "the cell stopped with SystemExit"),
        ("eve", LESSON_00, "read the checks, where the right answers are"),
        ("eve", LESSON_00, f"did not end within {SECONDS:g} seconds"),
        ("eve", LESSON_00, "ended its process"),
        ("eve", LESSON_01, "the image came back as it was"),
        ("eve", LESSON_01, f"read {LESSON_01}.ipynb (a lesson, where the solutions are)"),
        ("eve", LESSON_01, "open a database"),
    ],
)
def test_feedback_says_why(graded, student, name, words):
    folder, _ = graded
    assert words in (folder / "feedback" / student / name / f"{name}.html").read_text()


def test_feedback_shows_the_exercises_and_nothing_between_them(graded):
    folder, _ = graded
    page = (folder / "feedback" / "zoe" / LESSON_01 / f"{LESSON_01}.html").read_text()
    exercises = lessons.exercises(lessons_folder() / f"{LESSON_01}.ipynb")
    titles = [one.task.source.splitlines()[0].removeprefix("### ") for one in exercises]
    headings = re.findall(r"<h\d[^>]*>(.*?)<", page)
    assert [head for head in headings if not head.startswith(LESSON_01)] == titles
    assert "Predict" not in page and "verdict" not in page and "Hint 1" not in page


def test_feedback_comes_back_by_the_exchange(graded, exchanged):
    folder, root, home = exchanged
    told = assign.gradebook_api(folder).release_feedback(LESSON_01, ME)
    assert told["success"], told
    by_exchange(ExchangeFetchFeedback, home, root, LESSON_01)
    (page,) = home.rglob("*.html")
    assert "you can now test any model for this" in page.read_text()


def test_points_by_hand_stay_when_graded_again(graded):
    folder, _ = graded
    api = assign.gradebook_api(folder)
    with api.gradebook as book:
        book.find_grade("rows_independent-check", LESSON_01, LESSON_01, "zoe").manual_score = 1.5
        book.db.commit()
    assert api.autograde(LESSON_01, "zoe")["success"]
    with api.gradebook as book:
        assert book.find_submission(LESSON_01, "zoe").score == 2 + 1.5


def test_nothing_is_graded_where_the_official_solutions_fail(built, judge, tmp_path, capsys):
    folder = tmp_path / "ours"
    shutil.copytree(built, folder)
    place = folder / "submitted" / "ann" / LESSON_01
    shutil.copytree(folder / "release" / LESSON_01, place)
    source = folder / "source" / LESSON_01 / f"{LESSON_01}.ipynb"
    source.write_text(source.read_text().replace("check.to_batch(to_batch)", "check.grey_batch(to_batch)"))
    assert command("--grade", folder, "01") == 1
    said = capsys.readouterr().err
    assert "get 4 of 6 points (to_batch: [not yet]" in said and "nothing is graded" in said
    done = assign.gradebook_api(folder).autograde(LESSON_01, "ann")  # as the formgrader's button does
    assert not done["success"] and "get 4 of 6 points" in done["log"]
    assert not (folder / "autograded").exists() or not list(folder.glob("autograded/*/*/*.ipynb"))


# Judged apart ---------------------------------------------------------------------------------------------------------


def asked_for(name):
    """What is asked, the code above the answer, and the exercise, of a lesson."""
    for path in WITH_EXERCISES:
        for one in lessons.exercises(path):
            if one.name == name:
                cells = lessons.code_cells(lessons.read(path))
                above = [cell.source for cell in cells[: [cell.id for cell in cells].index(one.stub.id)]]
                return Asked(name, ast.unparse(ast.parse(one.check.source).body[0].value.args[0])), above, one
    raise LookupError(name)


LONG = {"small", "sharp"}  # they train for seconds; `quick` goes the same way
NAMES = [one.name for path in WITH_EXERCISES for one in lessons.exercises(path) if one.name not in LONG]


@pytest.mark.parametrize("name", NAMES)
def test_solution_counts_and_stub_does_not(judge, name):
    asked, above, one = asked_for(name)
    verdict = judge.mark(asked, above, one.solution)
    assert verdict.passed and verdict.message == getattr(check, name).praise
    assert not judge.mark(asked, above, one.stub.source).passed


HONEST = {
    "a helper in a cell of its own": (
        ["add = lambda x: x.unsqueeze(0)"],
        "def to_batch(image):\n    return add(image)",
    ),
    "a helper of a helper": (
        ["def front(x):\n    return x[None]", "def add(x):\n    return front(x)"],
        "def to_batch(image):\n    return add(image)",
    ),
    "a helper below": ([], "def to_batch(image):\n    return add(image)\n\ndef add(x):\n    return x[None]"),
    "an import of its own": (
        ["import numpy as np"],
        "def to_batch(image):\n    return torch.tensor(np.array(image)[None])",
    ),
    "a variable": (["axis = 1", "axis = 0"], "def to_batch(image):\n    return image.unsqueeze(axis)"),
    "the check in the same cell": (
        [],
        "from helpers import check\ndef to_batch(image):\n    return image[None]\ncheck.to_batch(to_batch)",
    ),
    "a magic": ([], "%matplotlib inline\ndef to_batch(image):\n    return image[None]"),
    "a broken cell above": (["to be written"], "def to_batch(image):\n    return image[None]"),
    "a cell above that would not end": (["while True: pass"], "def to_batch(image):\n    return image[None]"),
    "a file of its own": (
        [],
        "def to_batch(image):\n    torch.save(image, 'a.pt')\n    return torch.load('a.pt')[None]",
    ),
    "printing": ([], "def to_batch(image):\n    print(image)\n    return image[None]"),
}


@pytest.mark.parametrize("kind", HONEST)
def test_honest_answer_counts(judge, kind):
    asked, above, _ = asked_for("to_batch")
    more, answer = HONEST[kind]
    verdict = judge.mark(asked, above + more, answer)
    assert verdict.passed, verdict.message


RIGHT = "\ndef to_batch(image):\n    return image[None]"
FORGED = """
import sys
core = sys.modules.get("helpers.check.core")
if core:  # in the live look
    core.Exercise.__call__ = lambda *_: core.Verdict(True, "well done")
"""
HARM = {
    "exit in a call": ("def to_batch(image):\n    raise SystemExit", "stopped", "SystemExit"),
    "a loop that takes no signal": (
        "import signal, time\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True:\n    time.sleep(9)",
        "did not end within",
    ),
    "the check imported late": (
        "def to_batch(image):\n    import helpers.check.core as core\n    return image[None]",
        "read the checks",
    ),
    "the right function by name": (
        "import importlib\ndef to_batch(x):\n    return importlib.import_module('helpers.check').to_batch.right(x)",
        "read the checks",
    ),
    "the text of the checks": (
        "import helpers, os\nopen(os.path.dirname(helpers.__file__) + '/check/lesson_01.py')" + RIGHT,
        "read the checks",
    ),
    "the lessons by the course's own code": (
        "from helpers import course, folders\n"
        "course.without_outputs(folders.lessons_folder() / '01_batch_dimension.ipynb')",
        "a lesson, where the solutions are",
    ),
    "the folder of the lesson": (
        f"import os\nfolder = os.open({FOLD!r} + '/..', os.O_RDONLY)\n" + RIGHT,
        "tried to read notebooks",
    ),
    "another program": (f"import subprocess\nsubprocess.run(['cat', {FOLD!r}])" + RIGHT, "start another program"),
    "a process": ("import os\nos.fork()" + RIGHT, "start a process"),
    "the judge's end": ("import os, signal\nos.kill(os.getppid(), signal.SIGKILL)" + RIGHT, "end a process"),
    "the network": ("import socket\nsocket.create_connection(('127.0.0.1', 9))" + RIGHT, "use the network"),
    "a file of the machine": (f"open({__file__!r})" + RIGHT, "tried to read test_assign.py"),
    "a file of others": ("open('/tmp/of-an-answer', 'w')" + RIGHT, "write to of-an-answer"),
    "comparing made blind": (
        "import numpy as np\nnp.isclose = lambda a, *_, **__: np.ones(a.shape, bool)\ntorch.equal = lambda *_: True\n"
        "def to_batch(image):\n    return image[None] * 0",
        "not as expected",
    ),
    "a forged verdict": (FORGED + "def to_batch(image):\n    return image", "the image came back as it was"),
    "frames of the judge": (
        "import os, struct\nfor handle in range(3, 30):\n    try:\n"
        "        os.write(handle, struct.pack('<cQ', b'.', 0))\n"
        "    except OSError:\n        pass\ndef to_batch(image):\n    return image",
        "",
    ),
    "more memory than there is": ("def to_batch(image):\n    return bytearray(10**13)", "MemoryError"),
    "a huge result": ("def to_batch(image):\n    return image.new_zeros(1).expand(10**12)", ""),
    "a result that runs code": (
        "class Evil:\n    def __reduce__(self):\n        return exec, ('raise SystemExit',)\n"
        "def to_batch(image):\n    return Evil()",
        "returned",
    ),
    "no Python": ("def to_batch(image) return image", "is no Python (SyntaxError, line 1"),
    "nothing": ("", "is not defined"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HARM)
def test_harm_gains_nothing_and_is_named(judge, kind):
    asked, above, one = asked_for("to_batch")
    answer, *words = HARM[kind]
    verdict = judge.mark(asked, above, answer)
    assert not verdict.passed
    for word in words:
        assert word in verdict.message, verdict.message
    assert judge.mark(asked, above, one.solution).passed  # and the next one is judged as ever


@pytest.mark.parametrize(
    "answer",
    [
        f"found = torch.from_file({FOLD!r}, size=1000, dtype=torch.uint8)" + RIGHT,
        "import os, signal\nsignal.pidfd_send_signal(os.pidfd_open(os.getppid()), signal.SIGKILL)" + RIGHT,
    ],
    ids=["a file read past Python", "a signal sent past Python"],
)
def test_the_kernel_refuses_what_python_does_not_see(judge, answer):
    if not walls.landlock_version():
        pytest.skip("this kernel has no Landlock: classroom/assignments.md says what that means")
    asked, above, _ = asked_for("to_batch")
    verdict = judge.mark(asked, above, answer)
    assert not verdict.passed and ("Permission denied" in verdict.message or "not permitted" in verdict.message)


def test_the_results_process_has_no_right_answers(judge):
    asked, above, _ = asked_for("photo_bytes")
    answer = "import sys\nphoto_bytes = 921_600 if not [one for one in sys.modules if one.startswith('{}')] else 0"
    assert judge.mark(asked, above, answer.format("helpers.check")).passed
    assert not judge.mark(asked, above, answer.format("helpers.")).passed


def test_a_runner_that_does_not_start_says_so(monkeypatch, tmp_path):
    (tmp_path / "numpy.py").write_text("raise ImportError('numpy is broken')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    asked, above, one = asked_for("to_batch")
    with Judge(SECONDS) as judge, pytest.raises(Problem, match="did not start .*numpy is broken"):
        judge.mark(asked, above, one.solution)


STEP = "def train_step(model, optimizer, images, labels):\n    return F.cross_entropy(model(images), labels).item()"
LEAK = (
    "import torch.nn.functional as F\n"
    + """
def mean_loss(model, batches):
    model.eval()
    losses = [F.cross_entropy(model(x), y) * len(y) for x, y in batches]
    return sum(losses).item() / sum(len(y) for _, y in batches)
"""
)


@pytest.mark.parametrize("forged", ["", FORGED], ids=["as it is", "with a forged verdict"])
def test_a_step_that_does_not_train_is_found_out(judge, forged):
    asked, above, _ = asked_for("train_step")
    verdict = judge.mark(asked, above, forged + STEP)
    assert not verdict.passed and ("no weight moved" in verdict.message or "was not left as" in verdict.message)


def test_a_network_of_an_own_class_is_left_to_a_person(judge):
    asked, above, _ = asked_for("own_network")
    answer = """
class Net(torch.nn.Sequential):
    pass

def own_network(sample_shape, classes):
    pool = (torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    return {}(torch.nn.Conv2d(sample_shape[0], 8, 3, 2, 1), *pool, torch.nn.Linear(8, classes))
"""
    verdict = judge.mark(asked, above, answer.format("Net"))
    assert not verdict.passed and "only a person can grade" in verdict.message
    assert judge.mark(asked, above, answer.format("torch.nn.Sequential")).passed


def test_memory_is_looked_at_live_which_can_be_forged(judge):
    """The one gap that is known, and written down in classroom/assignments.md: all results right, and a forged look."""
    asked, above, _ = asked_for("mean_loss")
    verdict = judge.mark(asked, above, LEAK)
    assert not verdict.passed and "at the peak" in verdict.message
    assert judge.mark(asked, above, FORGED + LEAK).passed
