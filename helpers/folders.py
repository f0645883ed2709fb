"""Where things lie: the lessons as we ship them, and the folder that belongs to the learner."""

from __future__ import annotations  # the report on the environment must reach a Python that is too old

import os
from pathlib import Path

from helpers.problems import Problem, instance_of, shown

FIRST_LESSON = "00_start_here.ipynb"
ROOT = Path(__file__).resolve().parent.parent


def lessons_folder() -> Path:
    """The folder with the lessons as they are shipped. Nothing in the course writes there."""
    return ROOT / "notebooks"


def work_folder() -> Path:
    """The learner's folder: copies of the lessons, saved models, downloads. Made when first asked for.

    It is the folder named in the environment variable ``COURSE_WORK``, else ``work`` beside ``notebooks``
    (or in the current folder, if the helpers were installed without the lessons).
    Raises `Problem` if it cannot be made, or lies among the lessons as they are shipped.
    """
    beside = ROOT if lessons_folder().is_dir() else Path()
    folder = Path(os.environ.get("COURSE_WORK") or beside / "work")
    try:
        folder = folder.expanduser().absolute()
        shipped, resolved = lessons_folder().resolve(), folder.resolve()
        if shipped == resolved or shipped in resolved.parents:
            raise RuntimeError("the lessons as shipped lie there, and stay as they are")
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:  # RuntimeError also: the home of nobody, a circle of links
        why = getattr(error, "strerror", None) or error
        remedy = "name a folder of your own in the environment variable COURSE_WORK"
        raise Problem(f"The work folder {folder} cannot be used ({why}); {remedy}.") from None
    return folder


def lesson_names(folder: str | Path) -> list[str]:
    """The file names of the lessons in a folder, in their order. Raises `Problem` for what is no folder."""
    instance_of("folder", folder, (str, Path), "lessons_folder()")
    if not os.path.isdir(folder):
        raise Problem(
            f"There is no folder {shown(str(folder))}; give one that is there, as in folder=lessons_folder()."
        )
    return sorted(path.name for path in Path(folder).glob("[0-9][0-9]_*.ipynb"))


def script_names(folder: str | Path) -> list[str]:
    """The file names of the scripts that lessons run, in a folder. Raises `Problem` for what is no folder."""
    lesson_names(folder)
    return sorted(path.name for path in Path(folder).glob("[a-z]*.py"))


def lesson_file(name: str | os.PathLike) -> Path:
    """The path of a script: the one in the current folder, which is the learner's, or else the one that is shipped.

    Raises `Problem` if there is neither.
    """
    try:
        own = Path(os.path.expanduser(os.fspath(name)))
        found = [path for path in (own.absolute(), lessons_folder() / own) if path.suffix == ".py" and path.is_file()]
    except Exception:  # no path at all, or one that the system refuses
        found = []
    if not found:
        raise Problem(f"script is {shown(name)}; give the name of a Python file that is there, as in 'split_batch.py'.")
    return found[0]
