"""The lessons as a teacher plans them: units with their minutes, and what each needs of those before it.

A unit is a section without its exercises, or one exercise. All of it is read from the lesson files.
"""

import ast
import builtins
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

from nbformat import NotebookNode

from helpers.authoring import lessons
from helpers.progress.names import given, table_of, taken

#: The words that later lessons rely on, in the form in which they stand in bold where they are explained.
WORDS = (
    *("model", "parameters", "batch", "shape", "axis", "tensor", "byte"),
    *("batch axis", "layers", "scores", "BatchNorm", "standard deviation"),
    *("epoch", "normalise", "broadcasting", "Softmax", "logits", "loss", "weight", "gradient", "optimizer"),
    *("Dropout", "Accuracy", "overhead", "HWC", "CHW", "dtype", "BGR"),
    *("view", "in place", "stride", "offset", "contiguous", "storage"),
    *("bias", "features", "MLP", "hidden", "CNN", "filter", "Global pooling", "seed"),
    *("training step", "peak", "Buffers", "momentum", "Adam", "optimizer state", "fixed part", "activations"),
    *("temporaries", "bump", "crossover", "allocated", "CUDA context", "workspace", "fragmentation", "leak", "graph"),
    *("kink", "bf16", "fp16", "micro-batches", "Activation checkpointing", "torchrun", "rank", "shard"),
    *("global batch", "DDP", "buckets", "ZeRO-1", "FSDP", "full gradient", "gradient noise", "noise scale"),
    *("sharpness", "generalise", "Hessian", "eigenvalue", "power iteration", "default epochs", "tiers"),
)


@dataclass(frozen=True, eq=False)
class Unit:
    """A section without its exercises, or one exercise of it."""

    lesson: str  #: "01"
    section: lessons.Section
    exercise: lessons.Exercise | None
    cells: tuple[NotebookNode, ...]
    minutes: int  #: whole ones, of which those of a lesson add up to its own

    @property
    def name(self) -> str:
        """What messages and tables call it: `01, section 2`, `01, Exercise 3`."""
        return f"{self.lesson}, {self.title}"

    @property
    def title(self) -> str:
        """`section 2`, `Exercise 3`, `Summary`."""
        if self.exercise:
            return f"Exercise {self.exercise.number}"
        return f"section {self.section.number}" if self.section.number else self.section.title


@dataclass(frozen=True, eq=False)
class Lesson:
    """One lesson file, cut into units, in order."""

    path: Path
    title: str  #: "The batch dimension"
    units: tuple[Unit, ...]

    @property
    def number(self) -> str:
        """The two digits that its name begins with."""
        return self.path.name[:2]

    @property
    def minutes(self) -> int:
        """Those of all its units."""
        return sum(unit.minutes for unit in self.units)

    @property
    def sections(self) -> list[lessons.Section]:
        """Its sections, in order."""
        return list({id(unit.section): unit.section for unit in self.units}.values())

    def of(self, section: lessons.Section) -> list[Unit]:
        """The units of one of its sections."""
        return [unit for unit in self.units if unit.section is section]

    def link(self, section: lessons.Section | None = None) -> str:
        """The address of a section's heading in the lesson file, seen from this folder; that of the file without one.

        Jupyter names a heading by its text, with - for each space.
        """
        place = f"#{quote(section.title.replace(' ', '-'))}" if section and section.title != "Opening" else ""
        return f"../notebooks/{self.path.name}{place}"


@cache
def course() -> dict[str, Lesson]:
    """All lessons by their number."""
    return {path.name[:2]: lesson(path) for path in lessons.LESSONS}


def lesson(path: Path) -> Lesson:
    """The lesson in this file, cut into units."""
    notebook = lessons.read(path)
    by_stub = {one.stub.id: one for one in lessons.exercises(path)}
    pieces = [piece for section in lessons.sections(notebook) for piece in cut(section, by_stub)]
    exact = [lessons.minutes(SimpleNamespace(cells=cells)) for *_, cells in pieces]
    made = zip(pieces, whole(exact), strict=True)
    units = tuple(Unit(path.name[:2], *piece[:2], tuple(piece[2]), minutes) for piece, minutes in made)
    return Lesson(path, notebook.cells[0].source.split("\n")[0].split(" · ")[1], units)


def cut(section: lessons.Section, by_stub: dict[str, lessons.Exercise]) -> Iterator[tuple]:
    """A section without its exercises, then each of these: section, exercise or None, cells."""
    found = [one for cell in section.cells if (one := by_stub.get(cell.id))]
    theirs = {cell.id: one for one in found for cell in (one.task, one.stub, one.check, one.help)}
    yield section, None, [cell for cell in section.cells if cell.id not in theirs]
    for one in found:
        yield section, one, [cell for cell in section.cells if theirs.get(cell.id) is one]


def whole(minutes: list[float]) -> list[int]:
    """Whole numbers as near as possible to these, that add up to their rounded sum."""
    found = [int(number) for number in minutes]
    rest = round(sum(minutes)) - sum(found)
    for place in sorted(range(len(found)), key=lambda n: found[n] - minutes[n])[:rest]:
        found[place] += 1
    return found


# What a unit needs ----------------------------------------------------------------------------------------------------


def names_needed(found: Lesson) -> dict[Unit, dict[str, Unit]]:
    """For each unit the names that its code uses, with the unit of the same lesson whose code defined them last."""
    home, needed = {}, {}
    in_order = {cell.id: unit for unit in found.units for cell in unit.cells if cell.cell_type == "code"}
    for cell in lessons.code_cells(lessons.read(found.path)):
        unit = in_order[cell.id]
        for name, is_use in steps(ast.parse(cell.source).body):
            if not is_use:
                home[name] = unit
            elif name in home and home[name] is not unit:
                needed.setdefault(unit, {})[name] = home[name]
    return needed


def steps(statements: list[ast.stmt]) -> Iterator[tuple[str, bool]]:
    """The names of the outermost level that these statements use (True) or define (False), in the order of running."""
    for statement in statements:
        blocks = [getattr(statement, field, []) for field in ("body", "handlers", "orelse", "finalbody")]
        if isinstance(statement, ast.For | ast.While | ast.If | ast.With | ast.Try):
            heads = [getattr(statement, field, None) for field in ("iter", "test", "target")]
            heads += [
                part for item in getattr(statement, "items", []) for part in (item.context_expr, item.optional_vars)
            ]
            for head in filter(None, heads):
                yield from names_of(head)
            for block in blocks:
                for inner in block:
                    yield from steps(inner.body if isinstance(inner, ast.ExceptHandler) else [inner])
        else:
            yield from names_of(statement)


def names_of(node: ast.AST) -> Iterator[tuple[str, bool]]:
    """Those of one statement without blocks of its own level, or of one expression: first what it uses."""
    if isinstance(node, ast.expr) and isinstance(getattr(node, "ctx", None), ast.Store):
        yield from ((one.id, not isinstance(one.ctx, ast.Store)) for one in ast.walk(node) if isinstance(one, ast.Name))
        return
    table = table_of(ast.unparse(node))
    own = {node.name} if isinstance(node, ast.FunctionDef | ast.ClassDef) else set()  # it may call itself
    yield from ((name, True) for name in sorted(taken(table) - own) if not hasattr(builtins, name))
    yield from ((name, False) for name in sorted(given(table)))


@cache
def word_homes() -> dict[str, Unit]:
    """For each of `WORDS` the unit that explains it: where it stands in bold first."""
    homes = {}
    for found in course().values():
        for unit in found.units:
            text = said(unit)
            homes |= {word: unit for word in WORDS if word not in homes and f"**{word}" in text}
    return homes


@cache
def word_uses() -> dict[str, tuple[Unit, ...]]:
    """For each of `WORDS` the later sections and exercises that use it; openings and summaries do not count."""
    order = [unit for found in course().values() for unit in found.units]
    uses = {}
    for word, home in word_homes().items():
        stem = re.escape(re.sub(r"(?<![ais])s$", "", word))  # not of axis, bias, loss
        pattern = re.compile(rf"\b{stem}(?:s|es|d)?\b(?!-| of)", 0 if word.isupper() else re.IGNORECASE)
        later = order[order.index(home) + 1 :]
        uses[word] = tuple(unit for unit in later if is_body(unit) and pattern.search(said(unit)))
    return uses


def mentions(unit: Unit) -> set[str]:
    """The lessons that its text sends the reader to: `02` for "(lesson 02)"."""
    return set(re.findall(r"\blessons? (\d\d)\b", said(unit)))


def claims(unit: Unit) -> list[str]:
    """The claims that are settled in it."""
    return re.findall(r"^> \*\*Claim (\w+)\*\*", said(unit), re.MULTILINE)


def is_body(unit: Unit) -> bool:
    """Whether it belongs to a section with a number."""
    return unit.section.number is not None


def said(unit: Unit) -> str:
    """The text of a unit that is seen before a fold is opened."""
    return lessons.visible(SimpleNamespace(cells=list(unit.cells)))


def explained(word: str) -> str:
    """The sentence of its home that explains a word, on one line, without its links; a short one with the next."""
    paragraph = next(part for part in said(word_homes()[word]).split("\n") if f"**{word}" in part)
    plain = re.sub(r"\[([^\]]*)\]\(http[^)]*\)", r"\1", paragraph.removeprefix("- ")).strip()
    sentences = re.split(r"(?<=[.?!])\s+(?=[A-Z*`\"(])", plain)
    place = next(n for n, one in enumerate(sentences) if f"**{word}" in one)
    return " ".join(sentences[place : place + (2 if len(sentences[place].split()) < 8 else 1)])
