"""The guide and its boards: complete, in agreement with lessons and checks, with links that lead somewhere."""

import html
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from tools import legible, of

from classroom import boards, guide, notes, outline
from helpers import check, panels
from helpers.authoring import lessons
from helpers.figures import paper, shapes, svg
from helpers.folders import ROOT

TEXT = guide.DOCUMENT.read_text(encoding="utf-8")
PARTS = dict(zip(outline.course(), TEXT.split("\n## Lesson ")[1:], strict=True))
EXERCISES = [exercise for path in lessons.LESSONS for exercise in lessons.exercises(path)]


def test_the_guide_is_what_lessons_and_checks_say():
    assert guide.document() == TEXT, "run: uv run python -m classroom.guide"


def test_the_boards_are_what_is_drawn():
    stored = {path.name: path.read_text(encoding="utf-8") for path in guide.BOARDS.glob("*")}
    assert stored == boards.files(), "run: uv run python -m classroom.guide"


def github_anchors(text: str) -> set[str]:
    """As GitHub names headings: lower case, without punctuation, - for a space, a number for the second of a name."""
    found = Counter()
    names = set()
    for title in re.findall(r"^#{1,6} (.+)$", text, re.MULTILINE):
        name = "".join("-" if c == " " else c for c in title.strip().lower() if c.isalnum() or c in " -_")
        names.add(name if not found[name] else f"{name}-{found[name]}")
        found[name] += 1
    return names


@pytest.mark.parametrize("name", ["guide.md", "paths.md"])
def test_every_link_leads_somewhere(name):
    folder = guide.DOCUMENT.parent
    text = (folder / name).read_text(encoding="utf-8")
    found = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith("https://")]
    assert len(found) > 50
    for link in found:
        file, _, place = link.partition("#")
        there = folder / file if file else folder / name
        assert there.is_file(), link
        if place and there.suffix == ".md":
            assert place in github_anchors(there.read_text(encoding="utf-8")), link
        elif place:
            headings = re.findall(r"^#+ (.+)", lessons.prose(lessons.read(there)), re.MULTILINE)
            assert unquote(place) in {heading.replace(" ", "-") for heading in headings}, link


def test_the_contents_name_every_lesson():
    contents = TEXT.split("## Contents")[1].split("\n## ")[0]
    for lesson in outline.course().values():
        assert f"(#{guide.slug(guide.heading(lesson))}) ({lesson.minutes} min)" in contents


def test_jupyter_names_headings_as_the_links_do(tmp_path):
    """The remedy of the guide for a room without screens: one file with every output and picture in it."""
    path = outline.course()["01"].path
    told = "jupyter nbconvert --config classroom/html_config.py notebooks/01_batch_dimension.ipynb"
    assert told in guide.REMEDIES["all screens"]
    command = [sys.executable, "-m", *told.split(), "--output-dir", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, timeout=60, cwd=ROOT)
    page = (tmp_path / f"{path.stem}.html").read_text(encoding="utf-8")
    outputs = [output for cell in lessons.code_cells(lessons.read(path)) for output in cell.outputs]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert page.count('src="data:image/png;base64,') == len(pictures) > 5
    assert "one digit    (1, 28, 28) -&gt; an error" in page
    for section in outline.course()["01"].sections[1:]:
        assert f'id="{html.escape(section.title.replace(" ", "-"))}"' in page


@pytest.mark.parametrize("lesson", outline.course().values(), ids=lambda lesson: lesson.number)
def test_a_lesson_has_all_that_a_teacher_needs(lesson):
    part, notebook = PARTS[lesson.number], lessons.read(lesson.path)
    spent = re.findall(r"^\| \[.+?\]\(\.\./notebooks.+?\) \| (\d+|under 1) \|", part, re.MULTILINE)
    assert sum(int(minutes) for minutes in spent if minutes.isdigit()) == lesson.minutes
    assert len(spent) == len(lesson.sections)
    objectives = re.findall(r"^- (.+)", notebook.cells[3].source, re.MULTILINE)
    assert objectives and all(f"\n- {objective}\n" in part for objective in objectives)
    assert 1 <= len(boards.of(lesson.number)) <= 2
    for name, drawing in boards.of(lesson.number).items():
        assert f"![{drawing.sentence}](boards/{name}.svg)" in part
    asked = [one for one in notes.DISCUSSIONS if one.lesson == lesson.number]
    assert 2 <= len(asked) <= 3
    assert {one.section for one in asked} <= {section.number for section in lesson.sections}
    assert all(one.ask in part and one.listen in part and one.ask[-1] in "?." for one in asked)


def test_every_wrong_option_is_there_with_what_it_gives_away():
    for number, lesson in outline.course().items():
        text = lessons.prose(lessons.read(lesson.path))
        options = re.findall(r"<summary>([^<]+)</summary>\s+(Yes|No)\b[.,:]? *(.+)", text)
        assert len(options) >= 3
        for words, verdict, why in options:
            shown = guide.plain(html.unescape(words))
            assert (f"Right: *{shown}*." if verdict == "Yes" else f"  - *{shown}*: {why.strip()}") in PARTS[number]


@pytest.mark.parametrize("exercise", EXERCISES, ids=[exercise.name for exercise in EXERCISES])
def test_every_exercise_has_wrong_answers_that_its_check_names(exercise):
    title = html.escape(exercise.task.source.split("\n")[0].removeprefix("### "))
    (fold,) = re.findall(
        rf"<summary>{re.escape(title)}: (\d+) wrong.+?</summary>\n\n(.+?)\n\n</details>", TEXT, re.DOTALL
    )
    lines = fold[1].split("\n")
    assert int(fold[0]) == len(lines) >= 2 and all(line.startswith("- ") for line in lines)
    messages = dict(getattr(check, exercise.name).each_slip())
    assert messages or exercise.name in notes.MISTAKES
    assert all(guide.plain(message) in fold[1] for message in messages)


@pytest.mark.parametrize("name", notes.MISTAKES)
def test_a_written_mistake_is_one_and_is_not_trained(name):
    (exercise,) = (exercise for exercise in EXERCISES if exercise.name == name)
    for code in notes.MISTAKES[name]:
        verdict = getattr(check, name)(guide.built(exercise, code))
        assert not verdict.passed and "mistake of the course" not in verdict.message
        assert "default epochs" not in verdict.message, "a time is not the same on every machine"


def test_numbers_end_where_machines_begin_to_differ():
    assert guide.short("f(2): got 1.51518, expected 2.") == "f(2): got 1.51…, expected 2."
    assert guide.short("f(model of A, 3) returned model, expected 2.") == "f(…) returned model, expected 2."
    assert guide.short("") == guide.short("f(2): shape and dtype are right, but 2% are not.") == ""
    assert guide.cut("got 1.51518, expected 12.5 of 3.25") == "got 1.51…, expected 12.5 of 3.25"
    cases = re.findall(r"`([^`\n]*: got [^`\n]*)`\n", TEXT)
    assert len(cases) > 100 and not [case for case in cases if re.search(r"\d\.\d{3}", case)]


def test_the_code_of_a_wrong_answer_is_that_of_its_message():
    """By hand, from lesson 01."""
    found = dict(guide.answers(next(exercise for exercise in EXERCISES if exercise.name == "to_batch")))
    assert found["image[..., None]"].startswith("the new axis is the last one.")
    assert found["image[None, None]"].startswith("two axes were added.")
    assert found["image"].endswith("`to_batch(…): got shape (3, 32, 32), expected (1, 3, 32, 32).`")


# boards


@pytest.mark.parametrize("name", boards.all_boards())
def test_a_board_can_be_read(name):
    drawing = boards.all_boards()[name]
    legible(paper.picture(drawing))
    root = ElementTree.fromstring(svg.alone(drawing))
    assert root.get("aria-label") == drawing.sentence and root.get("width") == "740"
    assert drawing.sentence.endswith(".") and not re.search(r"[\[\]]\(|\n", drawing.sentence)
    assert len(of(drawing, shapes.Text)) < 60, "nobody copies that on a whiteboard"


def test_a_board_has_no_photographs():
    drawing = shapes.Drawing(10, (shapes.Image(0, 0, 5, 5, None),), "An image.")
    with pytest.raises(TypeError):
        svg.alone(drawing)


# when something fails


def test_a_panel_is_moved_and_shown_without_a_projector():
    line = "panel.set(batch_size=64)"
    assert f"`{line}`" in guide.REMEDIES["the projector"]
    panel = panels.BatchPanel()
    exec(line)
    assert panel.picture().png()[:4] == b"\x89PNG" and "64" in panel.picture().sentence


def test_every_line_that_moves_a_panel_is_in_its_lesson():
    for number, part in PARTS.items():
        code = "\n".join(cell.source for cell in lessons.code_cells(lessons.read(outline.course()[number].path)))
        for line in re.findall(r"`(\w+\.set\([^`]*\))`", part.split("**On the board**")[0]):
            assert line in code


def test_what_the_remedies_name_is_there():
    names = re.findall(r"`(?:work|notebooks)/(\w+\.ipynb)`", " ".join(guide.REMEDIES.values()))
    assert names and all((Path(lessons.LESSONS[0]).parent / name).is_file() for name in names)
