"""Which code of a notebook an answer needs: its own cell, and what that names of the cells above it."""

import ast
import builtins
from dataclasses import dataclass

from IPython.core.inputtransformer2 import TransformerManager

from helpers.progress.names import given, table_of, taken


@dataclass(frozen=True)
class _Statement:
    """A statement at the left margin of a cell. own: whether it stands in the answer's cell."""

    node: ast.stmt
    own: bool

    def binds(self) -> set[str]:
        """The names that it gives."""
        return given(table_of(ast.unparse(self.node)))

    def wants(self) -> set[str]:
        """The names that it takes from around it, in its functions too."""
        return taken(table_of(ast.unparse(self.node)))

    def only(self, name: str) -> ast.stmt:
        """The statement; of an import, only the part that gives this name."""
        if not isinstance(self.node, ast.Import | ast.ImportFrom):
            return self.node
        parts = [part for part in self.node.names if (part.asname or part.name.partition(".")[0]) == name]
        kept = ast.Import(parts) if isinstance(self.node, ast.Import) else None
        return kept or ast.ImportFrom(self.node.module, parts, self.node.level)


def _statements(source: str, own: bool) -> list[_Statement]:
    return [_Statement(node, own) for node in ast.parse(TransformerManager().transform_cell(source)).body]


def _without_check(node: ast.stmt) -> ast.stmt | None:
    """An import without the checks: an answer that calls its check in its own cell still counts."""
    if isinstance(node, ast.ImportFrom) and node.module == "helpers":
        kept = [part for part in node.names if part.name != "check"]
        return ast.copy_location(ast.ImportFrom(node.module, kept, 0), node) if kept else None
    return node


def needed_code(above: list[str], answer: str) -> tuple[list[str], str]:
    """What the answer's cell takes from the cells above it, statement by statement and in order, and the cell itself.

    above, answer: sources of code cells. A cell above that is no Python is left out. Raises SyntaxError if the answer
    is none.
    """
    own = _statements(answer, own=True)
    known: list[_Statement] = []
    for cell in above:
        try:
            known += _statements(cell, own=False)
        except (SyntaxError, ValueError, RecursionError):  # somebody tried something there
            continue
    known += own
    gives = [one.binds() for one in known]
    chosen: dict[int, list[ast.stmt]] = {}
    seen: set[tuple[int, str]] = set()
    open_names = [(place, name) for place, one in enumerate(known) if one.own for name in one.wants()]
    while open_names:
        place, name = open_names.pop()
        before = [other for other in range(place) if name in gives[other]]
        after = [other for other in range(place + 1, len(known)) if name in gives[other]]
        found = (before[-1:] or after[:1] or [None])[0]  # a function may use what is defined below it
        if found is None or known[found].own or (found, name) in seen or (not before and hasattr(builtins, name)):
            continue
        seen.add((found, name))
        part = _without_check(known[found].only(name))
        if part is not None and all(ast.dump(part) != ast.dump(old) for old in chosen.get(found, [])):
            chosen.setdefault(found, []).append(part)
        if not isinstance(known[found].node, ast.Import | ast.ImportFrom):
            open_names += [(found, other) for other in known[found].wants()]
    pieces = [ast.unparse(part) for place in sorted(chosen) for part in chosen[place]]
    return pieces, _answer_text(answer)


def _answer_text(answer: str) -> str:
    """The answer's cell as Python; an import of the checks is taken out where it stands, so that lines stay."""
    text = TransformerManager().transform_cell(answer)
    lines = text.splitlines()
    for node in ast.parse(text).body:
        kept = _without_check(node)
        if kept is not node:
            first = node.lineno - 1
            lines[first : node.end_lineno] = [ast.unparse(kept) if kept else "pass"] + [""] * (
                node.end_lineno - first - 1
            )
    return "\n".join(lines) + "\n"
