"""Where the learner's files go."""

import os

import pytest
from tools import problem

from helpers import folders


def test_work_folder_is_the_one_that_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_WORK", str(tmp_path / "new" / "place"))
    assert folders.work_folder() == tmp_path / "new" / "place"
    assert folders.work_folder().is_dir()


def test_work_folder_below_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.setenv("COURSE_WORK", "~/my work")
    monkeypatch.chdir(tmp_path)
    assert folders.work_folder() == tmp_path / "home" / "my work"
    assert os.listdir(tmp_path) == ["home"]


def test_work_folder_that_is_relative_stays_where_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_WORK", "würk")
    monkeypatch.chdir(tmp_path)
    assert folders.work_folder() == tmp_path / "würk"


@pytest.mark.parametrize("named", ["file", "file/x", "dangling", "circle", "circle/x", "x" * 5000, "~nobody at all/x"])
def test_work_folder_that_cannot_be_made(named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    before = sorted(os.listdir(tmp_path))
    monkeypatch.setenv("COURSE_WORK", named)
    said = problem(folders.work_folder)
    assert named in said and "COURSE_WORK" in said
    assert sorted(os.listdir(tmp_path)) == before and (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("below", ["", "mine"])
def test_work_folder_among_the_lessons_as_shipped(below, tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "lessons_folder", lambda: tmp_path)
    monkeypatch.setenv("COURSE_WORK", str(tmp_path / below))
    assert "stay as they are" in problem(folders.work_folder)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "given", [None, 3, b"notebooks", int, ["notebooks"], "", "no such folder", "\0", "x" * 5000, __file__]
)
def test_lesson_names_of_what_is_no_folder(given):
    assert "lessons_folder()" in problem(lambda: folders.lesson_names(given))


def test_lesson_names_in_order(tmp_path):
    for name in ("02_b.ipynb", "00_a.ipynb", "2_c.ipynb", "02_b.txt", "notes.ipynb"):
        (tmp_path / name).write_text("")
    assert folders.lesson_names(tmp_path) == folders.lesson_names(str(tmp_path)) == ["00_a.ipynb", "02_b.ipynb"]
