"""What every lesson file must be: canonical, in order, tagged, within its limits, and without anything of a machine."""

import json
import re
import subprocess
import sys

import pytest

from helpers import check, course
from helpers.authoring import lessons
from helpers.folders import ROOT

KNOWN_TAGS = {"exercise", "check", "raises-exception", "nbval-ignore-output"}
REASONS = {"varies:time", "varies:machine", "varies:rounding"}
WORDS_OF_A_PANEL = re.compile(r"<[a-z ]+: .+ .+\.>$", re.DOTALL)  # `<batch panel: 8 grey images … .>`
pytestmark = pytest.mark.parametrize("path", lessons.LESSONS, ids=lambda path: path.stem)


def markdown(path) -> list:
    return [cell for cell in lessons.read(path).cells if cell.cell_type == "markdown"]


def visible_words(text: str) -> int:
    """Words that are seen before a fold is opened; tables, headings and claims count too."""
    return len(re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL).split())


def test_file_is_stored_in_canonical_form(path, tmp_path):
    lessons.write(lessons.canonical(lessons.read(path)), again := tmp_path / path.name)
    assert path.read_bytes() == again.read_bytes(), "run: uv run python -m helpers.authoring.refresh"


def test_cells_were_run_once_in_order_and_all(path):
    counts = [cell.execution_count for cell in lessons.code_cells(lessons.read(path))]
    assert counts == list(range(1, len(counts) + 1))


def test_cell_ids_are_stable_and_speak(path):
    ids = [cell.id for cell in lessons.read(path).cells]
    assert len(ids) == len(set(ids))
    for name in ids:
        assert re.fullmatch(rf"{path.name[:2]}-[a-z0-9]+(-[a-z0-9]+)*", name)


def test_tags_are_known_and_a_cell_that_is_not_compared_says_why(path):
    for cell in lessons.read(path).cells:
        tags = set(lessons.tags(cell))
        assert tags <= KNOWN_TAGS | REASONS, cell.id
        assert ("nbval-ignore-output" in tags) == bool(tags & REASONS), cell.id


def test_more_than_85_percent_of_code_cells_are_compared(path):
    cells = lessons.code_cells(lessons.read(path))
    compared = [cell for cell in cells if "nbval-ignore-output" not in lessons.tags(cell)]
    assert len(compared) / len(cells) > 0.85


def test_errors_on_purpose_raise_and_no_others(path):
    for cell in lessons.code_cells(lessons.read(path)):
        raised = any(output.output_type == "error" for output in cell.outputs)
        assert raised == ("raises-exception" in lessons.tags(cell)), cell.id
    assert re.search(r"[Rr]ead this error", path.read_text(encoding="utf-8"))


def test_no_warning_no_widget_state_no_path_of_a_machine(path):
    lesson = lessons.read(path)
    assert set(lesson.metadata) == {"kernelspec", "language_info"}
    text = path.read_text(encoding="utf-8")
    assert lessons.WIDGET_VIEW not in text
    assert not re.search(r"/(home|root|tmp|usr|Users)/|[A-Z]:\\\\|site-packages", text)
    assert str(ROOT) not in text
    for cell in lessons.code_cells(lesson):
        assert not [output for output in cell.outputs if output.get("name") == "stderr"], cell.id


def test_every_picture_has_its_sentence(path):
    for cell in lessons.code_cells(lessons.read(path)):
        for place, output in enumerate(cell.outputs):
            data = output.get("data", {})
            words = data.get("text/plain", "")
            if "image/png" not in data or WORDS_OF_A_PANEL.match(words) and not words.startswith("<picture: "):
                continue
            if data["text/plain"].startswith("<picture: "):
                sentence = cell.outputs[place + 1]["data"]["text/plain"]
                assert data["text/plain"] == f"<picture: {sentence}>"
            else:  # a plain PIL image: the Markdown cell below it says what is seen
                cells = lessons.read(path).cells
                below = cells[[c.id for c in cells].index(cell.id) + 1]
                assert below.cell_type == "markdown" and below.source.startswith("*"), cell.id


def test_no_interact_and_every_panel_is_driven_from_code(path):
    cells = lessons.read(path).cells
    panels = [n for n, cell in enumerate(cells) if cell.cell_type == "code" and "panels." in cell.source]
    assert panels, "every lesson has a panel"
    for place in panels:
        following = next(cell for cell in cells[place + 1 :] if cell.cell_type == "code").source
        assert re.search(r"\.set\(.+\)", following) and "print(" in following and ".text)" in following
    assert not re.search(r"\binteract(ive)?(_output)?\(|widgets\.Output\(", path.read_text(encoding="utf-8"))


def test_lesson_opens_and_closes_like_all_others(path):
    cells = markdown(path)
    for heading in (
        r"^# \d\d · ",
        r"\*\*You will be able to\*\*",
        r"\*\*Before you start\*\*",
        r"\*\*Minutes\*\*: \d+",
    ):
        assert re.search(heading, cells[0].source)
    close = next(cell.source for cell in cells if cell.source.startswith("## Summary"))
    assert len(re.findall(r"^- ", close, re.MULTILINE)) == 5
    assert "**Claims settled here**" in close


def test_prose_and_cells_keep_their_limits(path):
    assert sum(visible_words(cell.source) for cell in markdown(path)) <= 2000
    for cell in lessons.code_cells(lessons.read(path)):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        assert 1 <= len(lines) <= 8, cell.id
        assert max(map(len, lines)) <= 100, f"{cell.id} is too wide for a window of JupyterLab"


def test_predict_questions_have_one_right_option(path):
    questions = [cell.source for cell in markdown(path) if "**Predict.**" in cell.source]
    assert questions
    for question in questions:
        answers = re.findall(r"</summary>\s+(Yes|No)\b", question.split("**Predict.**")[1])
        assert len(answers) >= 3 and answers.count("Yes") == 1, question


def test_exercises_are_complete(path):
    found = lessons.exercises(path)
    cells = lessons.read(path).cells
    assert len(found) == sum("exercise" in lessons.tags(cell) for cell in cells)
    assert len(found) == sum("check" in lessons.tags(cell) for cell in cells)
    for exercise in found:
        assert re.search(r"^### Exercise \d+ · .+\n\n.+\(.+\d minutes?\)", exercise.task.source, re.DOTALL)
        assert "..." in exercise.stub.source and lessons.tags(exercise.check) == ["check"]
        assert callable(getattr(check, exercise.name))
        folds = re.findall(r"<summary>(.+?)</summary>", exercise.help.source)
        assert folds == ["Hint 1", "Hint 2", "Solution"]
        assert not re.search(r"(return|=)\s*\.\.\.\s*$", exercise.solution, re.MULTILINE)
        verdict = exercise.check.outputs[0].data["text/plain"]
        assert verdict.startswith("[not yet]"), "the shipped lesson holds the stub, not an answer"


def test_learners_copy_has_everything_but_outputs(path):
    lesson, copy = lessons.read(path), json.loads(course.without_outputs(path))
    assert [cell.source for cell in lesson.cells] == ["".join(cell["source"]) for cell in copy["cells"]]
    assert not any(cell.get("outputs") for cell in copy["cells"])


def test_ruff_is_content(path):
    for arguments in (["check"], ["format", "--check"]):
        done = subprocess.run([sys.executable, "-m", "ruff", *arguments, str(path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
