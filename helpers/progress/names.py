"""The names that a piece of code gives at its outermost level, and those that it takes from around it."""

import symtable
from collections.abc import Iterator


def table_of(code: str) -> symtable.SymbolTable:
    """Python's own table of the names in this code. Raises SyntaxError."""
    return symtable.symtable(code, "cell", "exec")


def scopes(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    """A table, and those of its functions, classes and comprehensions."""
    waiting = [table]
    while waiting:  # code that was made to do harm may nest them deeply
        scope = waiting.pop()
        waiting += scope.get_children()
        yield scope


def given(table: symtable.SymbolTable) -> set[str]:
    """What the code gives: functions, classes, imports and variables."""
    return {one.get_name() for one in table.get_symbols() if one.is_assigned() or one.is_imported()}


def taken(table: symtable.SymbolTable) -> set[str]:
    """What it uses at its outermost level or, in functions, of that level; also what it gives itself."""
    return {
        one.get_name()
        for scope in scopes(table)
        for one in scope.get_symbols()
        if one.is_referenced() and (scope is table or one.is_global())
    }
