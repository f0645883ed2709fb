"""What every lesson file must be: canonical, in order, tagged, within its limits, and without anything of a machine."""

import json
import re
import subprocess
import sys
from collections import Counter
from urllib.parse import urlsplit

from helpers import check, course
from helpers.authoring import lessons
from helpers.folders import ROOT

KNOWN_TAGS = {"exercise", "check", "raises-exception", "nbval-ignore-output"}
THREADS = "torch.set_num_threads(1)  # small models: steadier times, and fair on a shared server"
NO_EXERCISES = {"13_the_claims"}  # it looks back, and its last section is a task of the reader's own
REASONS = {"varies:time", "varies:machine", "varies:rounding"}
WORDS_OF_A_PANEL = re.compile(r"<[a-z ]+: .+ .+\.>$", re.DOTALL)  # `<batch panel: 8 grey images … .>`


def pytest_generate_tests(metafunc):
    if "path" in metafunc.fixturenames:
        metafunc.parametrize("path", lessons.LESSONS, ids=lambda path: path.stem)


def markdown(path) -> list:
    return lessons.markdown_cells(lessons.read(path))


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
    """The cell after a panel moves it, and shows what it shows then: a picture with its sentence."""
    cells = lessons.read(path).cells
    panels = [n for n, cell in enumerate(cells) if cell.cell_type == "code" and "panels." in cell.source]
    assert panels, "every lesson has a panel"
    for place in panels:
        following = next(cell for cell in cells[place + 1 :] if cell.cell_type == "code").source
        assert re.search(r"\.set\(.+\)\n\w+\.picture\(\)$", following), following
    assert not re.search(r"\binteract(ive)?(_output)?\(|widgets\.Output\(", path.read_text(encoding="utf-8"))


def test_lesson_opens_with_a_reason_to_care(path):
    """Title, imports, and then at once a picture, a failure or a number; what it is about comes after that."""
    cells = lessons.read(path).cells
    assert [cell.id for cell in cells[:4]] == [
        f"{path.name[:2]}-{name}" for name in ("open", "imports", "why", "about")
    ]
    assert re.match(r"# \d\d · .+\n\n.+", cells[0].source) and len(cells[0].source.split()) <= 90
    assert cells[1].source.endswith(THREADS)
    assert cells[2].cell_type == "code" and cells[2].outputs


def test_lesson_has_the_same_frame_as_all_others(path):
    cells = lessons.read(path).cells
    for heading in (r"^\*\*You will be able to\*\*", r"^\*\*Before you start\*\*: ", r"^\*\*Minutes\*\*: \d+$"):
        assert re.search(heading, cells[3].source, re.MULTILINE)
    close = next(cell.source for cell in markdown(path) if cell.source.startswith("## Summary"))
    assert len(re.findall(r"^- ", close, re.MULTILINE)) == 5
    assert "**Claims settled here**" in close
    sections = re.findall(r"^## (.+)", lessons.prose(lessons.read(path)), re.MULTILINE)
    assert sections == sorted(sections, key=lambda name: (name == "Summary", name.startswith("For the curious")))


def test_lesson_fits_a_class_hour_and_says_its_minutes(path):
    lesson = lessons.read(path)
    assert lessons.stated_minutes(lesson) == round(lessons.minutes(lesson) / 5) * 5 <= 60


def test_readme_says_the_same_minutes(path):
    row = re.search(rf"^\| {path.name[:2]} .+? \| (\d+) \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    assert int(row[1]) == lessons.stated_minutes(lessons.read(path))


def test_code_cells_keep_their_limits(path):
    for cell in lessons.code_cells(lessons.read(path)):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        assert 1 <= len(lines) <= 8, cell.id
        assert max(map(len, lines)) <= 100, f"{cell.id} is too wide for a window of JupyterLab"


def test_lines_of_output_do_not_break(path):
    for cell in lessons.code_cells(lessons.read(path)):
        for output in cell.outputs:
            for line in output.get("text", "").splitlines():
                assert len(line) <= 92, f"{cell.id}: {line}"


def test_three_figures_beside_the_panels(path):
    cells = [cell for cell in lessons.code_cells(lessons.read(path)) if not re.search(r"panels\.|\.set\(", cell.source)]
    pictures = [cell for cell in cells if any("image/png" in output.get("data", {}) for output in cell.outputs)]
    assert len(pictures) >= 3, [cell.id for cell in pictures]


def options(question: str) -> list[tuple[str, bool]]:
    """What may be chosen, and whether it is right."""
    found = re.findall(r"<summary>(.+?)</summary>\s+(Yes|No)\b", question.split("**Predict.**")[1])
    return [(words, verdict == "Yes") for words, verdict in found]


def questions(path) -> list[str]:
    return [cell.source for cell in markdown(path) if "**Predict.**" in cell.source]


def test_predict_questions_have_one_right_option_that_its_length_does_not_tell(path):
    assert questions(path)
    for question in questions(path):
        found = options(question)
        assert len(found) >= 3 and sum(right for _, right in found) == 1, question
        assert not any("`" in words or "**" in words for words, _ in found), "a fold's title is no Markdown"
        (right,) = [len(words) for words, right in found if right]
        wrong = [len(words) for words, right in found if not right]
        assert 0.7 * min(wrong) <= right <= 1.4 * max(wrong), question


def test_the_right_option_stands_everywhere_about_as_often():
    places = Counter()
    for path in lessons.LESSONS:
        for question in questions(path):
            found = options(question)
            places[[right for _, right in found].index(True)] += 1
    assert all(0.22 <= places[place] / places.total() <= 0.45 for place in range(3)), places


def test_every_claim_has_an_id_a_verdict_a_link_and_a_test(path):
    """Where PyTorch's own documentation, or a public text, says it; and a test of its own."""
    tests = (ROOT / "tests" / "test_claims.py").read_text(encoding="utf-8")
    text = lessons.prose(lessons.read(path))
    settled = text.split("**Claims settled here**")[1].split("\n")[0]
    claims = re.findall(r"^> \*\*Claim (\w+)\*\* · (.+)$", text, re.MULTILINE)
    for name, said in claims:
        assert re.search(r'^".+" · \*\*(holds|holds if|wrong as said|imprecise)\*\*', said), said
        assert re.search(r"\[[^\]]+\]\(https://", said), f"{name} links to nothing"
        assert re.search(rf"\b{name}\b", settled)
        assert re.search(rf"^def test_(\w\d+_)*{name}_", tests, re.MULTILINE), f"{name} has no test"


def test_links_have_the_form_of_a_link(path):
    """Whether somebody answers there is for a person to see: `python -m helpers.authoring.links` lists them."""
    for link in lessons.links(lessons.read(path)):
        parts = urlsplit(link)
        assert parts.scheme == "https" and re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", parts.netloc), link
        assert re.fullmatch(r"/[\w./~%+-]*", parts.path) and not parts.query, link


def test_exercises_are_complete(path):
    found = lessons.exercises(path)
    assert 3 <= len(found) <= 5 or (path.stem in NO_EXERCISES and not found)
    assert [exercise.number for exercise in found] == list(range(1, len(found) + 1))
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
