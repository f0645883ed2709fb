"""Paths: their minutes fit, their sections are there, their cells run without those that are left out, nothing is stale."""

import re
from types import SimpleNamespace
from urllib.parse import unquote

import pytest
from nbformat import NotebookNode

from classroom import outline, paths
from classroom.paths import PATHS, Pause, Take
from helpers.authoring import lessons

CUTS = {
    (take.lesson, take.sections, take.home): take for path in PATHS for take in path.takes if take.sections
}  # of a lesson: not only an exercise that goes home
#: Run here, on each change; the others were run by `python tests/classroom/test_paths.py`.
QUICK = ("00", "01", "02", "05")


def test_the_sections_of_a_lesson_add_up_to_its_minutes():
    for path in lessons.LESSONS:
        lesson = lessons.read(path)
        assert sum(map(lessons.minutes, lessons.sections(lesson))) == pytest.approx(lessons.minutes(lesson))


def test_the_units_of_a_lesson_hold_all_its_cells_and_its_whole_minutes():
    for lesson in outline.course().values():
        notebook = lessons.read(lesson.path)
        assert lesson.minutes == round(lessons.minutes(notebook))
        for unit in lesson.units:
            assert abs(unit.minutes - lessons.minutes(SimpleNamespace(cells=unit.cells))) < 1
        held = "".join(cell.source.strip() for unit in lesson.units for cell in unit.cells)
        assert sorted(held) == sorted("".join(re.sub(r"\n+(?=## )", "", cell.source).strip() for cell in notebook.cells))
        assert [unit.exercise.number for unit in lesson.units if unit.exercise] == [
            exercise.number for exercise in lessons.exercises(lesson.path)
        ]


def test_a_heading_within_a_cell_begins_a_section():
    cells = [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": "one two\n\n## 1. Next\n\nthree"}]
    first, second = lessons.sections(SimpleNamespace(cells=[NotebookNode(cell) for cell in cells]))
    assert (first.title, first.number) == ("Opening", None) and first.cells[0].source == "one two\n\n"
    assert (second.title, second.number) == ("1. Next", 1) and second.cells[0].source == "## 1. Next\n\nthree"


@pytest.mark.parametrize(
    "minutes, found", [([1.4, 1.4, 1.4], [2, 1, 1]), ([0.4], [0]), ([2.0, 3.0], [2, 3]), ([0.5, 1.7, 2.6], [0, 2, 3])]
)
def test_whole_minutes_add_up(minutes, found):
    assert sorted(outline.whole(minutes)) == sorted(found) and sum(found) == round(sum(minutes))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.title)
def test_a_path_fits_its_time_and_takes_what_is_there(path):
    for sitting in path.sittings:
        spent = [minutes for _, minutes, *_ in paths.rows(sitting)]
        meals = [block.minutes for block in sitting.blocks if isinstance(block, Pause) and not block.is_class_time]
        assert sum(spent) - sum(meals) == sitting.used <= sitting.minutes
        begin = sitting.start
        for start, minutes, *_ in paths.rows(sitting):
            assert start == begin
            begin += minutes
    for take in path.takes:
        lesson = outline.course()[take.lesson]
        assert set(take.sections) <= {section.number for section in lesson.sections}
        assert set(take.home) <= {unit.exercise.number for unit in take.read if unit.exercise}
        assert take.minutes == sum(unit.minutes for unit in take.taken) and take.taken[0].title == "Opening"
    taken = [take.lesson for take in path.takes]
    assert taken == sorted(set(taken))


def test_the_term_has_every_section_and_exercise():
    assert not paths.left_out(PATHS[-1]) and not paths.missing_words(PATHS[-1])


def test_the_advice_to_swap_lessons_holds():
    for sitting, old, new in zip(PATHS[2].sittings, ("06", "11"), ("04", "10"), strict=True):
        (out,) = (take.minutes for take in sitting.blocks if isinstance(take, Take) and take.lesson == old)
        assert sitting.used - out + Take(new).minutes <= sitting.minutes and f"{new} in place of {old}" in PATHS[2].advice


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.title)
def test_no_section_uses_a_name_of_one_that_is_left_out(path):
    for take in path.takes:
        for units in (take.taken, take.read):
            for unit, names in outline.names_needed(outline.course()[take.lesson]).items():
                for name, home in names.items():
                    assert unit not in units or home in units, f"{unit.name} needs {name} of {home.name}"


def test_names_are_found_where_they_are_used():
    code = """
import math as m
def f(x):
    return x + later + m.pi
for i in range(n):
    total = total + i
with open(p) as file, q:
    [i for i in rows if i < limit]
try:
    a.b[c] = d
except Wrong as error:
    e = error
"""
    found = list(outline.steps(__import__("ast").parse(code).body))
    used = [name for name, is_use in found if is_use]
    assert {"later", "m", "n", "total", "p", "q", "rows", "limit", "a", "c", "d"} <= set(used)
    assert not {"range", "open", "x"} & set(used)
    assert {"m", "f", "i", "total", "file", "e"} == {name for name, is_use in found if not is_use}
    assert found.index(("total", True)) < found.index(("total", False))


def test_needs_are_seen():
    """By hand: in lesson 07, section 6 uses what section 2 froze, and section 5 the images of section 2."""
    needs = {unit.title: names for unit, names in outline.names_needed(outline.course()["07"]).items()}
    assert needs["section 6"]["frozen_step"].title == "section 2" == needs["section 5"]["images"].title


def test_every_word_has_a_home_and_a_sentence():
    assert set(outline.word_homes()) == set(outline.WORDS)
    homes, uses = outline.word_homes(), outline.word_uses()
    assert homes["epoch"].name == "02, section 1" and homes["peak"].name == "07, Opening"
    assert "04, section 1" not in {unit.name for unit in uses["view"]} and any(unit.lesson == "05" for unit in uses["view"])
    for word in outline.WORDS:
        assert f"**{word}" in outline.explained(word) and len(outline.explained(word)) < 300
        assert not re.search(r"\]\(|\n", outline.explained(word))


def reduced(take: Take) -> NotebookNode:
    """The lesson with the code cells that a path takes, and no others."""
    lesson = lessons.read(outline.course()[take.lesson].path)
    wanted = {cell.id for unit in take.taken for cell in unit.cells}
    lesson.cells = [cell for cell in lessons.code_cells(lesson) if cell.id in wanted]
    return lesson


def said(cell: NotebookNode) -> list[str]:
    """What a cell's outputs say, where it is the same on every machine."""
    if "nbval-ignore-output" in lessons.tags(cell):
        return []
    plain = [output.get("data", {}).get("text/plain", output.get("text", "")) for output in cell.outputs]
    return [*plain, *(output.evalue for output in cell.outputs if output.output_type == "error")]


def run_cut(take: Take, folder) -> None:
    """Run what a path takes of a lesson, and compare with what the whole lesson says."""
    lesson = reduced(take)
    done = lessons.run(lesson, folder)
    for before, after in zip(lesson.cells, done.cells, strict=True):
        assert said(after) == said(before), before.id


@pytest.mark.parametrize("take", [take for take in CUTS.values() if take.lesson in QUICK], ids=lambda t: t.lesson)
def test_a_cut_lesson_runs_and_says_what_the_whole_one_says(take, tmp_path):
    run_cut(take, tmp_path)


def test_the_document_is_what_the_lessons_say():
    assert paths.DOCUMENT.read_text(encoding="utf-8") == paths.document(), "run: uv run python -m classroom.paths"


def test_links_lead_to_headings():
    text = paths.DOCUMENT.read_text(encoding="utf-8")
    headings = {path.name: set(re.findall(r"^#+ (.+)", lessons.prose(lessons.read(path)), re.M)) for path in lessons.LESSONS}
    found = re.findall(r"\]\(\.\./notebooks/([\w.]+)(?:#([^)\s]+))?\)", text)
    assert len(found) > 100
    for name, place in found:
        assert not place or unquote(place) in {heading.replace(" ", "-") for heading in headings[name]}, place


if __name__ == "__main__":
    import os
    import tempfile
    import time

    os.environ.update(OMP_NUM_THREADS="1", COURSE_PROCESSES="stored")
    with tempfile.TemporaryDirectory() as work:
        os.environ["COURSE_WORK"] = work
        for place, cut in enumerate(CUTS.values()):
            start = time.perf_counter()
            try:
                run_cut(cut, work)
                print(cut, f"runs, {time.perf_counter() - start:.0f} s", flush=True)
            except Exception as error:
                print(cut, "DOES NOT RUN", str(error)[-1500:], flush=True)
