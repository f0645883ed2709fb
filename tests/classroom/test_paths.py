"""Paths: their minutes fit, what they take is there and runs without what they leave out, and nothing is stale."""

import re
from types import SimpleNamespace
from urllib.parse import unquote

import nbformat
import pytest
from nbformat import NotebookNode

from classroom import outline, paths
from classroom.paths import PATHS, Pause, Take
from helpers.authoring import lessons

#: The parts of lessons that a path takes, without those that only send an exercise home.
CUTS = {(take.lesson, take.sections): take for path in PATHS for take in path.takes if take.sections}


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
        assert sorted(held) == sorted(
            "".join(re.sub(r"\n+(?=## )", "", cell.source).strip() for cell in notebook.cells)
        )
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


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.title)
def test_nobody_sits_longer_than_95_minutes_without_a_break(path):
    for sitting in path.sittings:
        stretch = 0
        for block in sitting.blocks:
            is_break = isinstance(block, Pause) and re.match("Break|Lunch", block.what)
            stretch = 0 if is_break else stretch + block.minutes
            assert stretch <= 95


def test_the_workshop_follows_one_error_from_its_first_sight():
    titles = " ".join(unit.section.title for unit in PATHS[0].takes[0].taken)
    assert "Is everything here?" in titles and "Move a panel" in titles and "Read this error" in titles
    for number in ("00", "05"):
        taken = [cell for take in PATHS[0].takes if take.lesson == number for unit in take.taken for cell in unit.cells]
        assert any("1792x28" in cell.source for cell in taken)


def test_the_term_has_every_section_and_exercise():
    assert not paths.left_out(PATHS[-1]) and not paths.missing_words(PATHS[-1])


def test_the_advice_to_swap_lessons_holds():
    swaps = zip(PATHS[2].sittings, ("06", "11"), (Take("04"), Take("10", home=(1,))), strict=True)
    for sitting, old, new in swaps:
        (out,) = (take.minutes for take in sitting.blocks if isinstance(take, Take) and take.lesson == old)
        assert (
            sitting.used - out + new.minutes <= sitting.minutes and f"{new.lesson} in place of {old}" in PATHS[2].advice
        )


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
    assert "04, section 1" not in {unit.name for unit in uses["view"]} and any(
        unit.lesson == "05" for unit in uses["view"]
    )
    for word in outline.WORDS:
        assert f"**{word}" in outline.explained(word) and len(outline.explained(word)) < 300
        assert not re.search(r"\]\(|\n", outline.explained(word))


def reduced(takes: list[Take]) -> NotebookNode:
    """One lesson after the other, with the code cells that a path takes of it, and no others; names go in between."""
    cells = []
    for take in takes:
        lesson = lessons.read(outline.course()[take.lesson].path)
        wanted = {cell.id for unit in take.taken for cell in unit.cells}
        cells.append(nbformat.v4.new_code_cell("%reset -f"))
        cells += [cell for cell in lessons.code_cells(lesson) if cell.id in wanted]
    return nbformat.v4.new_notebook(cells=[NotebookNode(cell | {"id": f"cell-{n}"}) for n, cell in enumerate(cells)])


def said(cell: NotebookNode) -> list[str]:
    """What a cell's outputs say, where it is the same on every machine."""
    if "nbval-ignore-output" in lessons.tags(cell):
        return []
    plain = [output.get("data", {}).get("text/plain", output.get("text", "")) for output in cell.outputs]
    return [*plain, *(output.evalue for output in cell.outputs if output.output_type == "error")]


def run_cuts(takes: list[Take], folder) -> None:
    """Run what paths take of lessons in one kernel, and compare with what the whole lessons say."""
    parts = reduced(takes)
    for before, after in zip(parts.cells, lessons.run(parts, folder).cells, strict=True):
        assert said(after) == said(before), before.source


def test_a_cut_lesson_runs_and_says_what_the_whole_lesson_says(tmp_path):
    """Of the shortest path, which leaves out most, the last lesson. `python tests/classroom/test_paths.py` runs the
    cuts of all paths, which takes minutes."""
    last = PATHS[0].takes[-1].lesson
    run_cuts([take for take in PATHS[0].takes if take.lesson == last], tmp_path)


def test_the_document_is_what_the_lessons_say():
    assert paths.DOCUMENT.read_text(encoding="utf-8") == paths.document(), "run: uv run python -m classroom.paths"


def test_links_lead_to_headings():
    text = paths.DOCUMENT.read_text(encoding="utf-8")
    headings = {
        path.name: set(re.findall(r"^#+ (.+)", lessons.prose(lessons.read(path)), re.M)) for path in lessons.LESSONS
    }
    found = re.findall(r"\]\(\.\./notebooks/([\w.]+)(?:#([^)\s]+))?\)", text)
    assert len(found) > 100
    for name, place in found:
        assert not place or unquote(place) in {heading.replace(" ", "-") for heading in headings[name]}, place


if __name__ == "__main__":
    import os
    import tempfile

    with tempfile.TemporaryDirectory() as work:
        os.environ.update(OMP_NUM_THREADS="1", COURSE_WORK=work)
        for cut in CUTS.values():
            run_cuts([cut], work)
            print(cut, "runs", flush=True)
