"""A function of a notebook as a script that runs elsewhere: its source, and that of all it uses."""

import builtins
import dis
import importlib
import inspect
import sys
import textwrap
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

from helpers.problems import Problem, shown


class Script:
    """The parts of the script around one function. Raises `Problem` for a function that cannot leave the notebook."""

    def __init__(self, function: FunctionType):
        self.name = function.__name__
        self.imports: dict[str, str] = {}
        self.values: dict[str, object] = {}
        self.sources: dict[str, str] = {}
        self._add(function)

    @property
    def text(self) -> str:
        """The whole script."""
        taken = [f'{name} = _values["{name}"]' for name in self.values]
        head = [
            "from __future__ import annotations",
            "from helpers.processes import worker as _worker",
            *self.imports.values(),
        ]
        head += ["_values = _worker.values(__file__)", *taken] if taken else []
        return "\n".join([*head, "", *self.sources.values(), f"_worker.work(__file__, {self.name})", ""])

    def write(self, folder: Path) -> Path:
        """Put the script, and the values that it reads, into a folder; return its path."""
        import torch

        script = folder / f"{self.name}.py"
        script.write_text(self.text, encoding="utf-8")
        if self.values:
            torch.save(self.values, script.with_suffix(".pt"))
        return script

    def _add(self, function: FunctionType) -> None:
        if function.__closure__:
            names = ", ".join(function.__code__.co_freevars)
            raise Problem(
                f"{function.__name__} uses {names} of a function around it, which other processes do not see; "
                "write it as a function of its own and give it all that it needs."
            )
        try:
            source = textwrap.dedent(inspect.getsource(function))
        except (OSError, TypeError):
            raise Problem(
                f"{function.__name__} has no source that can be read; give a function that a cell defines with def."
            ) from None
        self.sources[function.__name__] = source
        for name in _names(function.__code__):
            if name in function.__globals__:
                self._need(function.__name__, name, function.__globals__[name])

    def _need(self, who: str, name: str, thing: object) -> None:
        if name in self.imports or name in self.values or name in self.sources:
            return
        home, known_as = getattr(thing, "__module__", None), getattr(thing, "__qualname__", "")
        if isinstance(thing, ModuleType):
            self.imports[name] = f"import {thing.__name__} as {name}"
        elif isinstance(home, str) and _finds(home, known_as, thing):
            self.imports[name] = f"from {home} import {known_as} as {name}"
        elif isinstance(thing, FunctionType) and thing.__name__ == name:
            self._add(thing)
        elif can_be_sent(thing):
            self.values[name] = thing
        else:
            raise Problem(
                f"{who} uses {name}, which is {shown(thing)} in your notebook. Processes share nothing: give them "
                f"tensors, numbers and text only, and make {name} inside {who}."
            )


def can_be_sent(thing: object) -> bool:
    """Whether it is a tensor on the CPU, a number, text, nothing, or a list, tuple or dictionary of these."""
    from torch import Tensor

    if isinstance(thing, list | tuple | dict):
        parts = [*thing, *thing.values()] if isinstance(thing, dict) else thing
        return type(thing) in (list, tuple, dict) and all(map(can_be_sent, parts))
    if isinstance(thing, Tensor):
        return type(thing) is Tensor and thing.device.type == "cpu" and not thing.requires_grad
    return thing is None or type(thing) in (bool, int, float, str)


def _finds(home: str, known_as: str, thing: object) -> bool:
    """Whether `from home import known_as` gives this very thing in another process, which has our `sys.path`."""
    try:
        top = home.partition(".")[0]
        there = top in sys.builtin_module_names or PathFinder.find_spec(top) is not None
        return there and known_as.isidentifier() and getattr(importlib.import_module(home), known_as) is thing
    except Exception:
        return False


def _names(code: CodeType) -> Iterator[str]:
    """The global names that this code reads, and the functions in it."""
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and not hasattr(builtins, str(step.argval)):
            yield step.argval
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _names(part)
