"""Where things lie: the lessons as we ship them, and the folder that belongs to the learner."""

import os
from pathlib import Path

FIRST_LESSON = "00_start_here.ipynb"
ROOT = Path(__file__).resolve().parent.parent


def lessons_folder() -> Path:
    """The folder with the lessons as they are shipped. Nothing in the course writes there."""
    return ROOT / "notebooks"


def work_folder() -> Path:
    """The learner's folder: copies of the lessons, saved models, downloads. Made when first asked for.

    It is the folder named in the environment variable ``COURSE_WORK``, else ``work`` beside ``notebooks``
    (or in the current folder, if the helpers were installed without the lessons).
    """
    beside = ROOT if lessons_folder().is_dir() else Path.cwd()
    folder = Path(os.environ.get("COURSE_WORK") or beside / "work")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def lesson_names(folder: Path) -> list:
    """The file names of the lessons in a folder, in their order."""
    return sorted(path.name for path in folder.glob("[0-9][0-9]_*.ipynb"))
