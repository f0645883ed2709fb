"""Copies of lessons, as learners have them or as a teacher collected them: which there are, whose, and what is in them.

Nothing of a copy is run here. Whatever lies in a folder may be damaged, or made to do harm.
"""

import json
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from helpers.progress.tasks import Lesson

MOST_BYTES = 50_000_000  # of a copy: with every output in it, the largest lesson has 2 MB
MOST_CODE = 100_000  # characters of code in one cell
_MOODLE = re.compile(r"^(.+?)_(\d+)_assignsubmission_(?:file|onlinetext)_?")
_KINDS = (
    (stat.S_ISDIR, "a folder, or one that cannot be opened"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
)


class Damaged(ValueError):
    """Why a file is no copy of a lesson, in words."""


@dataclass(frozen=True)
class Cell:
    """A code cell of a copy. `saved`: the words of its last output, where it is stored with one."""

    id: str
    source: str
    saved: str = ""


@dataclass(frozen=True)
class Copy:
    """One file: whose it is, of which lesson, and its code cells; `damage` says why there are none."""

    path: Path
    who: str
    lesson: str = ""  #: "01"; empty where nothing in it tells
    cells: tuple[Cell, ...] = ()
    damage: str = ""
    changed: float = field(default=0.0, compare=False)  #: when the file was stored last


def copies_of(work: Path, all_lessons: dict[str, Lesson]) -> list[Copy]:
    """A learner's copies of all lessons in their folder, of each lesson the one stored last first."""
    stems = {lesson.stem: number for number, lesson in all_lessons.items() if lesson.tasks}
    found = []
    for path in sorted(work.glob("[0-9][0-9]_*.ipynb")):
        number = next((number for stem, number in stems.items() if path.stem == stem or
                       path.stem.startswith(f"{stem}_fresh_")), "")  # fmt: skip
        if number:
            found.append(_copy(path, "", all_lessons, number))
    return sorted(found, key=lambda copy: (copy.lesson, -copy.changed))


def collected(folder: Path, all_lessons: dict[str, Lesson]) -> Iterator[Copy]:
    """Every copy below a teacher's folder. The first folder in its path, or what stands before the lesson in its name,
    says whose it is."""
    top = _top(folder)
    for path in sorted(_notebooks(top)):
        yield _copy(path, _who(path, top, all_lessons), all_lessons)


def _notebooks(top: Path) -> Iterator[Path]:
    closed: list[OSError] = []
    for place, inner, files in os.walk(top, onerror=closed.append):  # it does not follow links
        inner[:] = [name for name in inner if not name.startswith((".", "__MACOSX"))]
        for name in [*files, *inner]:
            if name.lower().endswith(".ipynb") and not name.startswith("."):
                yield Path(place) / name
    yield from (Path(error.filename) for error in closed)


def _top(folder: Path) -> Path:
    """Where the learners' folders lie: in nbgrader's `submitted`, or in the one folder that a zip was packed with."""
    if (folder / "submitted").is_dir():
        return folder / "submitted"
    inner = [path for path in folder.iterdir() if not path.name.startswith((".", "__MACOSX"))]
    if len(inner) == 1 and inner[0].is_dir() and not inner[0].is_symlink() and inner[0].suffix != ".ipynb":
        below = [path.name for path in inner[0].iterdir() if path.is_dir() and not path.name.startswith(".")]
        if len(below) > 1 and not any(re.match(r"\d\d_", name) for name in below):
            return inner[0]
    return folder


def _who(path: Path, top: Path, all_lessons: dict[str, Lesson]) -> str:
    parts = path.relative_to(top).parts
    name = parts[0]
    if moodle := _MOODLE.match(name):
        return f"{moodle[1]} ({moodle[2]})"
    if len(parts) == 1:
        name = path.stem
        for lesson in all_lessons.values():
            name = name.split(lesson.stem)[0]
        name = name.rstrip("_- ") or top.resolve().name
    return name


def _copy(path: Path, who: str, all_lessons: dict[str, Lesson], number: str = "") -> Copy:
    by_name = number or next((one.number for one in all_lessons.values() if one.stem in path.stem), "")
    changed = 0.0
    try:
        found = path.lstat()
        changed = found.st_mtime
        cells = _cells(path, found.st_mode, (found.st_mtime_ns, found.st_size))
    except Damaged as damage:
        return Copy(path, who, by_name, (), str(damage), changed)
    except OSError as error:
        return Copy(path, who, by_name, (), f"cannot be read: {error.strerror or error}", changed)
    return Copy(path, who, number or _lesson_in(cells, all_lessons) or by_name, cells, "", changed)


def _lesson_in(cells: Sequence[Cell], all_lessons: dict[str, Lesson]) -> str:
    """The lesson whose checks most of these cells call; "" if none does. A file may have any name."""
    called = {name for cell in cells for name in re.findall(r"^check\.(\w+)\(", cell.source, re.MULTILINE)}
    counts = {number: len(called & {task.name for task in lesson.tasks}) for number, lesson in all_lessons.items()}
    best = max(counts, key=counts.get, default="")
    return best if best and counts[best] else ""


@lru_cache(maxsize=64)
def _cells(path: Path, mode: int, version: tuple[int, int]) -> tuple[Cell, ...]:
    """The code cells in this file, read once for each version of it. Raises `Damaged` if it is none, and OSError."""
    if stat.S_ISLNK(mode):
        raise Damaged("a link to another file, which is not followed")
    for is_kind, name in _KINDS:
        if is_kind(mode):
            raise Damaged(f"{name}, no file")
    # Between the look and the opening it may have become a pipe, which would not answer.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with open(handle, "rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise Damaged(f"more than {MOST_BYTES // 10**6} MB: clear the outputs, then save it again")
    if not content.strip():
        raise Damaged("the file is empty")
    try:
        notebook = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise Damaged("it is no text in UTF-8") from None
    except RecursionError:
        raise Damaged("brackets within brackets without end") from None
    except ValueError as error:
        cut = content.rstrip()[-1:] != b"}"
        raise Damaged("its end is missing" if cut else f"no notebook can be read from it ({error})"[:200]) from None
    if not isinstance(notebook, dict):
        raise Damaged("JSON, but no notebook")
    if "cells" not in notebook and "worksheets" in notebook:
        raise Damaged("a notebook of an old format: open it in JupyterLab and save it again")
    if not isinstance(notebook.get("cells"), list) or not notebook["cells"]:
        raise Damaged("a notebook without cells")
    return tuple(cell for place, one in enumerate(notebook["cells"]) for cell in _cell(place, one))


def _cell(place: int, cell: object) -> Iterator[Cell]:
    if not isinstance(cell, dict) or not isinstance(cell.get("cell_type"), str):
        raise Damaged(f"cell {place + 1} is no cell")
    if cell["cell_type"] != "code":
        return
    source = _text(cell.get("source"))
    if source is None:
        raise Damaged(f"cell {place + 1} has no code")
    if len(source) > MOST_CODE:
        raise Damaged(f"cell {place + 1} holds {len(source):,} characters of code; at most {MOST_CODE:,} are read")
    outputs = cell.get("outputs") if isinstance(cell.get("outputs"), list) else []
    data = [one.get("data") for one in outputs if isinstance(one, dict)]
    saved = [_text(one.get("text/plain")) or "" for one in data if isinstance(one, dict)]
    yield Cell(str(cell.get("id", "")), source, saved[-1][:1000] if saved else "")


def _text(value: object) -> str | None:
    """A text of a notebook, which may be a list of lines, with nothing in it that cannot be written."""
    lines = value if isinstance(value, list) else [value]
    if not all(isinstance(line, str) for line in lines):
        return None
    return "".join(lines).encode("utf-8", "replace").decode()
