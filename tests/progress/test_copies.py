"""Copies as files: which there are, whose, what in them answers an exercise, and what is wrong. Nothing is run here."""

import csv
import io
import json
import os

import pytest
from tools import copy_of, problem, solved, stored

from helpers import folders, progress
from helpers.authoring import lessons as authored
from helpers.progress import report
from helpers.progress.answers import answers, names
from helpers.progress.copies import Copy, collected, copies_of
from helpers.progress.run import Result, Runs
from helpers.progress.tasks import lessons

LESSONS = lessons()
FIRST = "00_start_here.ipynb"


def answered(tmp_path, number, notebook):
    """What is found in this copy, by the exercise."""
    stored(tmp_path / "who" / "copy.ipynb", notebook)
    (copy,) = collected(tmp_path, LESSONS)
    assert (copy.damage, copy.lesson) == ("", number)
    return {answer.task.name: answer for answer in answers(copy, LESSONS[number])}


# what is shipped


def test_tasks_are_the_exercises_of_the_lessons():
    for path in authored.LESSONS:
        tasks = LESSONS[path.name[:2]].tasks
        found = authored.exercises(path)
        assert [(task.name, task.number, task.id) for task in tasks] == [(e.name, e.number, e.stub.id) for e in found]
    assert tuple(number for number, lesson in LESSONS.items() if lesson.tasks) == progress.LESSONS


@pytest.mark.parametrize("number", progress.LESSONS)
def test_nothing_is_begun_in_a_fresh_copy_and_all_in_a_solved_one(number, tmp_path):
    assert not any(one.begun for one in answered(tmp_path / "fresh", number, copy_of(number)).values())
    for answer in answered(tmp_path / "solved", number, copy_of(number, solved(number))).values():
        assert answer.begun and solved(number)[answer.task.id] in answer.sources
        assert set(answer.sources) <= {solved(number)[answer.task.id], LESSONS[number].imports}


# what answers an exercise

STUB = "00-ex-to-mib-stub"


def begun(tmp_path, notebook):
    return answered(tmp_path, "00", notebook)["to_mib"]


def test_a_comment_is_no_answer(tmp_path):
    source = "# I do not know yet\ndef to_mib(n_bytes):\n\n    return ...  # ?"
    assert not begun(tmp_path, copy_of("00", {STUB: source})).begun
    assert not begun(tmp_path, copy_of("00", {STUB: "  \n"})).begun


def test_an_answer_that_python_cannot_read_or_that_gives_no_name_is_begun(tmp_path):
    for source in ("def to_mib(n_bytes:\n  return", "print(2**20)", "(" * 5000, "%%time\nto_mib = abs"):
        answer = begun(tmp_path, copy_of("00", {STUB: source}))
        assert answer.begun and source in answer.sources


@pytest.mark.parametrize("place", ["above", "below"])
def test_an_answer_may_stand_in_a_cell_of_its_own(place, tmp_path):
    notebook = copy_of("00")
    at = [cell["id"] for cell in notebook["cells"]].index("00-ex-to-mib-check") + (place == "below")
    own = {"cell_type": "code", "metadata": {}, "source": "to_mib = lambda n: n / 2**20", "outputs": []}
    notebook["cells"].insert(at, own)
    assert begun(tmp_path, notebook).sources == (own["source"],)


def test_cells_that_an_answer_needs_come_along_and_no_others(tmp_path):
    more = {
        "00-units-run": "unit = 2\nunit = unit ** 20\nn_bytes = 1 / 0",
        "00-shape-run": "from math import floor\nstep = floor",
        "00-summary-code": "",
        STUB: "def to_mib(n_bytes):\n    unit_now = unit\n    return step(n_bytes) / unit_now",
    }
    answer = begun(tmp_path, copy_of("00", more))
    assert answer.sources == (more["00-shape-run"], more["00-units-run"], more[STUB])


def test_names_that_a_cell_gives_and_needs():
    def found(source):
        given, needed = names(source)
        return sorted(given), sorted(needed)

    assert found("x = x + 1") == (["x"], ["x"])
    assert found("y = 1\nx = y") == (["x", "y"], [])
    assert found("def f(a, b=c):\n    d = a + e\n    return [d for d in b]") == (["f"], ["c", "e"])
    assert found("total += 1") == (["total"], ["total"])
    assert found("for i in range(3):\n    print(i)") == (["i"], ["print", "range"])
    assert found("import torch.nn as nn, math\nnn.Linear(n, math.pi)") == (["math", "nn"], ["n"])
    assert found("def f():\n    global g\n    g = h") == (["f", "g"], ["h"])
    assert found("%time x = f(2)")[0] in (["x"], [])
    assert found("def broken(:\nx, y = 2") == (["broken", "x"], [])


# files that are none


def deep(levels):
    return '{"cells": ' + "[" * levels


DAMAGES = {
    "": "the file is empty",
    "{": "its end is missing",
    json.dumps(copy_of("00"))[:3000]: "its end is missing",
    "<html></html>}": "no notebook can be read from it",
    "[1]": "JSON, but no notebook",
    '{"cells": []}': "without cells",
    '{"cells": 3}': "without cells",
    '{"worksheets": [], "nbformat": 3}': "old format",
    '{"cells": ["x"]}': "cell 1 is no cell",
    '{"cells": [{"cell_type": "code", "source": 3}]}': "cell 1 has no code",
    '{"cells": [{"cell_type": "code", "source": "%s"}]}' % ("x" * 200_000): "200,000 characters",
    deep(200_000): "brackets within brackets",
}


@pytest.mark.parametrize("text, words", DAMAGES.items(), ids=range(len(DAMAGES)))
def test_a_damaged_copy_is_a_row_that_says_so(text, words, tmp_path):
    stored(tmp_path / "anna" / FIRST, text)
    (copy,) = collected(tmp_path, LESSONS)
    assert words in copy.damage and len(copy.damage) <= 200 and (copy.who, copy.lesson) == ("anna", "00")
    (result,) = Runs(tmp_path).one(copy, LESSONS)
    assert (result.state, result.passed, result.message) == ("damaged", False, copy.damage)


def test_what_is_no_file_is_neither_followed_nor_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("helpers.progress.copies.MOST_BYTES", 100)
    stored(tmp_path / "a" / FIRST, copy_of("00"))
    (tmp_path / "b" / FIRST).mkdir(parents=True)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / FIRST).symlink_to(tmp_path / "a" / FIRST)
    (tmp_path / "d").mkdir()
    os.mkfifo(tmp_path / "d" / FIRST)
    stored(tmp_path / "e" / FIRST, "{}").write_bytes(b"\xff\xfe{}")
    found = [copy.damage for copy in collected(tmp_path, LESSONS)]
    for damage, words in zip(found, ["more than", "a folder", "a link", "a pipe", "UTF-8"], strict=True):
        assert words in damage


# whose


@pytest.mark.parametrize(
    "path, who",
    [
        (f"anna/{FIRST}", "anna"),
        (f"anna/deep/er/{FIRST}", "anna"),
        (f"submitted/anna/00_start_here/{FIRST}", "anna"),
        (f"Anna Größe_123_assignsubmission_file_/{FIRST}", "Anna Größe (123)"),
        (f"Anna_123_assignsubmission_file_{FIRST}", "Anna (123)"),
        (f"annas_LATE_99_{FIRST}", "annas_LATE_99"),
        (f"王小明_{FIRST}", "王小明"),
        (FIRST, "class"),
        ("anna.ipynb", "anna"),
    ],
)
def test_whose_a_copy_is(path, who, tmp_path):
    stored(tmp_path / "class" / path, copy_of("00"))
    (copy,) = collected(tmp_path / "class", LESSONS)
    assert (copy.who, copy.lesson) == (who, "00")


def test_the_one_folder_of_a_zip_and_hidden_ones_are_nobody(tmp_path):
    for who in ("anna", "ben"):
        stored(tmp_path / "3b" / who / FIRST, copy_of("00"))
        stored(tmp_path / "3b" / who / ".ipynb_checkpoints" / FIRST, copy_of("00"))
    stored(tmp_path / "__MACOSX" / "3b" / FIRST, "{")
    assert [copy.who for copy in collected(tmp_path, LESSONS)] == ["anna", "ben"]


def test_a_file_of_another_kind_is_said_to_be_none(tmp_path):
    stored(tmp_path / "anna" / "mine.ipynb", {"cells": [{"cell_type": "code", "source": "1 + 1"}]})
    (copy,) = collected(tmp_path, LESSONS)
    (result,) = Runs(tmp_path).one(copy, LESSONS)
    assert result.state == "no lesson"


# a learner's own


def test_the_overview_is_as_saved_and_takes_the_best_copy(tmp_path):
    notebook = copy_of("00", solved("00"))
    for cell in notebook["cells"]:
        if cell["id"] == "00-ex-to-mib-check":
            said = "[not yet] you divided by 1,000,000."
        elif cell["id"] == "00-ex-photo-bytes-check":
            said = "[passed] 921,600 bytes."
        else:
            continue
        cell["outputs"] = [{"output_type": "execute_result", "data": {"text/plain": [said]}, "metadata": {}}]
    older = stored(tmp_path / FIRST, notebook)
    stored(tmp_path / "00_start_here_fresh_1.ipynb", copy_of("00"))
    stored(tmp_path / "01_batch_dimension.ipynb", "{")
    os.utime(older, (1, 1))
    found = progress.overview(tmp_path)
    first, second, third = found.rows[:3]
    assert [mark.state for mark in first.marks] == ["passed", "not yet", "answered", "answered"]
    assert first.passed == 1 and first.marks[1].message == "you divided by 1,000,000."
    assert second.damage and second.there and not third.there
    assert found.sentence.startswith("1 of 47 exercises pass, 3 more are begun.")
    assert [copy.path.name for copy in copies_of(tmp_path, LESSONS)][1] == FIRST  # the newest stands first


def test_the_overview_shows_a_run_in_place_of_what_was_saved(tmp_path, monkeypatch):
    path = stored(tmp_path / FIRST, copy_of("00", solved("00")))
    copy = Copy(path, "", "00")
    run = [Result(copy, "photo_bytes", "passed", "good", 1), Result(copy, "to_mib", "hung", "not done after 120 s", 2)]
    monkeypatch.setattr("helpers.progress.standing.results", lambda *_: run)
    found = progress.overview(tmp_path, "00")
    assert [mark.state for mark in found.rows[0].marks] == ["passed", "hung", "not begun", "not begun"]
    assert [row.is_run for row in found.rows] == [True] + [False] * 12
    assert "lesson 00 was run just now: 1 of 4 pass. Exercise 2, to_mib: not done after" in found.sentence


def test_what_is_not_begun_starts_no_process(tmp_path, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", None)
    stored(tmp_path / FIRST, copy_of("00"))
    runs = Runs(tmp_path, fenced=False)
    (copy,) = copies_of(tmp_path, LESSONS)
    assert [result.state for result in runs.one(copy, LESSONS)] == ["not begun"] * 4


def test_the_overview_refuses(tmp_path):
    assert "allowed is one of" in problem(lambda: progress.overview(tmp_path, "13"))
    assert "folder" in problem(lambda: progress.overview(3))
    assert "There is no copy" in progress.overview(tmp_path, "00").sentence


# tables


def results(who, message="well", state="not yet"):
    copy = Copy(folders.ROOT / "x" / FIRST, who, "00")
    return [Result(copy, "photo_bytes", "passed", "good", 1), Result(copy, "to_mib", state, message, 2)]


def test_a_spreadsheet_finds_no_formula_and_no_second_line():
    evil = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1", " =1", "a\n=1"]
    text = report.as_csv([results(word, word) for word in evil], folders.ROOT)
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == list(report.COLUMNS) and len(rows) == 1 + 2 * len(evil)
    for row in rows[1:]:
        assert not any(cell.startswith(("=", "+", "-", "@", "＝")) for cell in row) and "\n" not in "".join(row)
    assert rows[1][7] == "x/00_start_here.ipynb"


def test_a_terminal_is_not_steered_and_lines_keep_their_width():
    names_ = ["Anna", "王小明" * 20, "e\u0301" * 40, "\x1b[31mred\u202e", "x" * 300]
    text = report.table([results(name, "word " * 50) for name in names_], 80)
    assert "\x1b" not in text and "\u202e" not in text
    lines = text.split("\n")
    assert len(lines) == 2 + 3 * len(names_) and all(report.width(line) <= 80 for line in lines)  # no more than three
    firsts = lines[2::3]
    assert len({report.width(line[: line.index(" of ")]) for line in firsts}) == 1  # in one column
    assert all(line.startswith(" " * 20) and "word" in line for place in (3, 4) for line in lines[place::3])
    assert all(line.endswith("…") for line in lines[4::3])


def test_the_first_that_does_not_pass_has_its_message_and_the_others_their_names():
    first, second = results("anna", state="hung", message="It had no end.")[1], results("anna", state="not begun")[1]
    assert report.table([[first, second]], 120).endswith("0 of 2   to_mib hung: It had no end; also to_mib not begun")
    assert report.table([[second, second]], 120).endswith("to_mib not begun: well; also to_mib not begun")


def test_two_copies_of_one_learner_are_told_apart_and_exercises_counted():
    text = report.table([results("anna"), results("anna", state="passed")], 120)
    assert text.count("anna: 00_start_here") == 2 and "2 of 2" in text
    assert "00  2 to_mib              1 of 2 pass, 2 begun" in report.counts(
        [results("anna"), results("anna", state="passed")], LESSONS
    )
