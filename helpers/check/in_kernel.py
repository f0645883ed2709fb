"""The part of `helpers.progress` that works inside the kernel in which a copy's answer runs.

An answer shares its kernel with the check that judges it, and Python hides nothing from it. So what judges is looked at
before the first line of the copy, and again afterwards; and the check must still refuse answers that are known to be
wrong. This finds who replaces a check, not everybody who sets out to deceive it.
"""

import builtins
import copy
import importlib
import json
import math
import sys
from collections.abc import Callable
from types import FunctionType

import numpy as np
import torch

from helpers import check
from helpers.check.core import Check
from helpers.check.guard import in_words

_BEFORE = {}
_INNER = ("__import__", "__eq__", "__bool__")
_THE_KERNELS = ("builtins.input", "builtins.get_ipython", "builtins.display")  # which the kernel replaces itself


def begin() -> None:
    """Note what all parts of the checks are, before anything of a copy has run."""
    importlib.import_module("torch._dynamo")  # torch loads it at the first optimizer, and it replaces torch.manual_seed
    _BEFORE.update(_parts())


def _parts() -> dict[str, object]:
    """Functions, methods and settings that a verdict rests on, by name."""
    found, sizes = {}, {}
    for name, module in sorted(sys.modules.items()):
        if name != "helpers.check" and not name.startswith("helpers.check."):
            continue
        for own, thing in vars(module).items():
            if own.startswith("__") or thing is _BEFORE:
                continue
            found[f"{name}.{own}"] = thing
            if isinstance(thing, Check):
                found |= {f"{name}.{own}.{part}": value for part, value in vars(thing).items()}
                sizes |= {f"the size of {name}.{own}.{part}": len(value) for part, value in vars(thing).items()
                          if isinstance(value, dict | list)}  # fmt: skip
            elif isinstance(thing, type) and thing.__module__ == name:
                found |= {f"{name}.{own}.{part}": value for part, value in vars(thing).items()}
    for module in (builtins, math, copy, torch, np, torch.Tensor):
        named = {own: thing for own, thing in vars(module).items() if callable(thing)}
        public = {own: thing for own, thing in named.items() if not own.startswith("_") or own in _INNER}
        found |= {f"{module.__name__}.{own}": thing for own, thing in public.items()}
    codes = {f"the code of {name}": thing.__code__ for name, thing in found.items() if isinstance(thing, FunctionType)}
    return found | codes | sizes


def _replaced(judge: Check) -> str:
    """What of the checks is no longer what it was, in words; empty if all is."""
    after = _parts()
    for name, old in _BEFORE.items():
        if name in _THE_KERNELS:
            continue
        new = after.get(name, _BEFORE)
        if new is not old and not (isinstance(old, int) and new == old):
            return f"it replaced {name}"
    wrong = [..., *(slip for _, slip in list(judge.each_slip())[:1])]
    return "it changed what the check accepts" if any(judge(one).passed for one in wrong) else ""


def verdict(name: str, answer: Callable[[], object]) -> str:
    """What the check of this name says to the answer, as JSON: passed, message, and what of the check was replaced."""
    judge = getattr(check, name)
    try:
        given = answer()
    except Exception as error:
        return json.dumps({"passed": False, "message": f"{name}{in_words(error)}", "replaced": ""})
    found = judge(given)
    return json.dumps({"passed": found.passed is True, "message": str(found.message), "replaced": _replaced(judge)})
