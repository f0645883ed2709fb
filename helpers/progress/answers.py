"""What in a copy answers an exercise: the cells that its check needs, found without running anything."""

import ast
import re
from dataclasses import dataclass
from functools import lru_cache

from helpers.progress.copies import Cell, Copy
from helpers.progress.names import given, scopes, table_of, taken
from helpers.progress.tasks import Lesson, Task

PASSED = "[passed] "  # how the words of a check begin that is content, where a copy was saved with them


@dataclass(frozen=True)
class Answer:
    """An exercise in one copy. `sources`: the cells to run before its check, in order; none where it is not begun.

    saved: what the check said when the copy was stored; empty where it had not run.
    """

    task: Task
    begun: bool
    sources: tuple[str, ...] = ()
    saved: str = ""


def answers(copy: Copy, lesson: Lesson) -> list[Answer]:
    """Every exercise of the lesson, in order, as it stands in this copy."""
    return [_answer(task, copy.cells, lesson) for task in lesson.tasks]


def _answer(task: Task, cells: tuple[Cell, ...], lesson: Lesson) -> Answer:
    checks = [place for place, cell in enumerate(cells) if re.search(rf"^check\.{task.name}\(", cell.source, re.M)]
    here = checks[-1] if checks else len(cells)
    roots = set(task.roots)
    own = [
        place
        for place, cell in enumerate(cells)
        if (roots & names(cell.source)[0] or cell.id == task.id and cell.source.strip())
        and not _is_shipped(cell.source, task, lesson)
    ]
    if not own:
        return Answer(task, False)
    wanted = {place for place in own if cells[place].id == task.id}
    for root in roots:
        places = [place for place in own if root in names(cells[place].source)[0]]
        before = [place for place in places if place < here]
        if before or places:
            wanted.add((before or places)[-1])
        else:  # one of several names still stands in the stub
            wanted |= set(_last(root, cells, here))
    needed = sorted(_with_what_they_need(wanted, cells))
    saved = cells[here].saved if checks else ""
    return Answer(task, True, tuple(cells[place].source for place in needed), saved if saved.startswith("[") else "")


def _is_shipped(source: str, task: Task, lesson: Lesson) -> bool:
    return source.rstrip() in lesson.sources or _tree(source) == _tree(task.stub)


@lru_cache(maxsize=256)
def _tree(source: str) -> str:
    """The same for cells that differ in comments and blanks only."""
    try:
        return ast.dump(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source.strip()


def _with_what_they_need(places: set[int], cells: tuple[Cell, ...]) -> set[int]:
    found, todo = set(places), list(places)
    while todo:
        place = todo.pop()
        for name in names(cells[place].source)[1]:
            new = set(_last(name, cells, place)) - found
            found |= new
            todo += new
    return found


def _last(name: str, cells: tuple[Cell, ...], before: int) -> list[int]:
    """The cell that a name comes from: the last one before this place, else the first one after it, else none."""
    giving = [place for place, cell in enumerate(cells) if name in names(cell.source)[0]]
    return [place for place in giving if place < before][-1:] or [place for place in giving if place > before][:1]


@lru_cache(maxsize=4096)
def names(source: str) -> tuple[frozenset[str], frozenset[str]]:
    """The names that a cell gives, and those that it needs from other cells."""
    try:
        code = _plain_python(source)
        tree, table = ast.parse(code), table_of(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # it will say so itself when it is run
        found = re.findall(r"^(?:async +)?(?:def|class) +(\w+)|^(\w+)(?: *, *\w+)* *=(?!=)", source, re.MULTILINE)
        return frozenset(name for pair in found for name in pair if name), frozenset()
    declared = {
        symbol.get_name()
        for scope in scopes(table)
        for symbol in scope.get_symbols()
        if symbol.is_declared_global() and symbol.is_assigned()
    }
    gives = given(table) | declared
    return frozenset(gives), frozenset(taken(table) - gives | _read_before_they_are_given(tree, gives))


def _read_before_they_are_given(tree: ast.Module, gives: set[str]) -> set[str]:
    """Names such as x in `x = x + 1`, which come from another cell although this one gives them."""
    found, so_far = set(), set()
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            so_far.add(statement.name)
            continue
        inside = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
        stored = {node.id for node in inside if isinstance(node.ctx, ast.Store)}
        read = {node.id for node in inside if isinstance(node.ctx, ast.Load)}
        if isinstance(statement, ast.AugAssign):
            read |= stored
        inner = isinstance(statement, ast.For | ast.With | ast.AsyncFor | ast.AsyncWith)  # they give names first
        found |= (read & gives) - so_far - (stored if inner else set())
        so_far |= stored | {
            (alias.asname or alias.name).partition(".")[0]
            for node in ast.walk(statement)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
    return found


def _plain_python(source: str) -> str:
    """A cell with its magic commands (`%time`, `!ls`) as Python, where there are any."""
    try:
        ast.parse(source)
    except SyntaxError:
        from IPython.core.inputtransformer2 import TransformerManager

        return TransformerManager().transform_cell(source)
    return source
