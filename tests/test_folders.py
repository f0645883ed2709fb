"""Where the learner's files go."""

from helpers import folders


def test_work_folder_is_the_one_that_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_WORK", str(tmp_path / "new" / "place"))
    assert folders.work_folder() == tmp_path / "new" / "place"
    assert folders.work_folder().is_dir()
