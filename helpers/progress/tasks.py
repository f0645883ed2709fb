"""The exercises of the lessons as they are shipped: what a copy is compared with, and what judges it."""

import ast
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from helpers import folders
from helpers.problems import Problem


@dataclass(frozen=True)
class Task:
    """One exercise of a lesson, as it is shipped."""

    lesson: str  #: "01"
    number: int  #: its place in the lesson, from 1
    name: str  #: of its check: `to_batch` for `check.to_batch(to_batch)`
    argument: str  #: what the check is called on, as code
    id: str  #: of the cell that waits for an answer
    stub: str  #: its source

    @property
    def roots(self) -> tuple[str, ...]:
        """The names that an answer gives: those in `argument`."""
        return tuple(node.id for node in ast.walk(ast.parse(self.argument)) if isinstance(node, ast.Name))


@dataclass(frozen=True)
class Lesson:
    """A lesson as it is shipped: its exercises, its cell of imports, and the code of all its cells."""

    number: str
    stem: str
    title: str
    tasks: tuple[Task, ...]
    imports: str
    sources: frozenset[str]


def lessons() -> dict[str, Lesson]:
    """Every lesson by its number. Raises `Problem` if the lessons are not there, or one cannot be read."""
    folder = folders.lessons_folder()
    return {name[:2]: _lesson(folder / name) for name in folders.lesson_names(folder)}


@lru_cache(maxsize=64)
def _lesson(path: Path) -> Lesson:
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        sources = ["".join(cell["source"]) for cell in cells]
        tasks = []
        for place, cell in enumerate(cells):
            if "exercise" in cell["metadata"].get("tags", []):
                name, argument = re.fullmatch(r"check\.(\w+)\((.*)\)", sources[place + 1], re.DOTALL).groups()
                tasks.append(Task(path.name[:2], len(tasks) + 1, name, argument, cell["id"], sources[place]))
        code = [
            (cell["id"], source) for cell, source in zip(cells, sources, strict=True) if cell["cell_type"] == "code"
        ]
        imports = next((source for name, source in code if name == f"{path.name[:2]}-imports"), "")
        title = re.sub(r"^# \d\d · ", "", sources[0].split("\n")[0])
        return Lesson(path.name[:2], path.stem, title, tuple(tasks), imports, frozenset(source for _, source in code))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise Problem(f"The lesson {path.name} cannot be read ({error}); get the course folder again.") from None
