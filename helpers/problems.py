"""One kind of error for the whole course, a sentence for a person, and the guards that stand at its public doors."""

from __future__ import annotations  # `course` must come far enough to say that a Python is too old, or torch missing

import operator
import os
import reprlib
from math import nan
from pathlib import Path
from textwrap import wrap

LARGEST = 2**63 - 1  #: PyTorch counts sizes and bytes with 64 bits
_WIDE = 92  # letters on a line where an error is shown


class InWords:
    """An exception of this kind shows no traceback in a notebook, only its name and what it says.

    IPython asks an exception for ``_render_traceback_`` before it draws its own traceback.
    """

    def _render_traceback_(self) -> list[str]:
        lines = f"{type(self).__name__}: {self}".split("\n")  # JupyterLab would break a long one inside a word
        return [part for line in lines for part in wrap(line, _WIDE, break_long_words=False, break_on_hyphens=False)]


class Problem(InWords, ValueError):
    """Something that was given to a helper is not usable.

    The message says what was given, what is allowed and what to do. In a notebook only the message is shown.
    """


# What a message says of a value and of an error: short, whatever it is -----------------------------------------------

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80
_short.maxtuple = _short.maxlist = 10


def shown(value: object) -> str:
    """`value` in at most about 200 characters: its repr, but shape and dtype of an array. Never raises."""
    try:
        if isinstance(value, type):
            return f"the class {_cut(value.__name__, 80)}"
        if getattr(value, "shape", ()):
            special = {str(getattr(value, name, "")) for name in ("device", "layout")} - {"", "cpu", "torch.strided"}
            return " ".join([type(value).__name__, str(tuple(value.shape)), str(value.dtype), *sorted(special)])
        return _cut(" ".join(_short.repr(value).split()), 200)
    except Exception:  # a repr that somebody else wrote may raise anything
        return f"an object of type {_cut(type(value).__name__, 80)}"


def said(error: BaseException) -> str:
    """What an exception says, on one line of at most 400 characters; its type where it says nothing. Never raises."""
    return _cut(" ".join(words_of(error).split()) or type(error).__name__, 400)


def words_of(error: BaseException) -> str:
    """All that an exception says, "" where its own __str__ fails."""
    try:
        return str(error)
    except Exception:
        return ""


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[:room]} …"


# Guards: each gives the value back, in the type that the caller wants, or raises -------------------------------------


def whole_number(name: str, value: object, low: int, high: int = LARGEST) -> int:
    """Return ``value`` as an int if it is a whole number from ``low`` to ``high``; raise `Problem` otherwise.

    ``True`` and ``64.0`` are refused too: in shapes and batch sizes they are slips, not numbers.
    """
    try:
        number = None if _is_truth(value) else int(operator.index(value))
    except Exception:  # what holds no whole number says so in many ways
        number = None
    if number is not None and low <= number <= high:
        return number
    allowed, example = f"a whole number from {low:,} to {high:,}", low if number is None else max(low, 1)
    if high == LARGEST and (number is None or number < low):
        allowed = f"a whole number, {low:,} or more"
    if number is None:
        given = f"{shown(value)} ({_cut(type(value).__name__, 80)})"
    else:
        given = f"{number:,}" if abs(number) < 10**60 else f"a number of {number.bit_length():,} bits"
    remedy = f" Give it as in {name}={example}." if name.isidentifier() else ""
    raise Problem(f"{name} is {given}; allowed is {allowed}.{remedy}")


def whole_numbers(name: str, value: object, low: int, wanted: str, counts: range = range(65)) -> tuple[int, ...]:
    """Return ``value`` as ints if it is a tuple or list of whole numbers from ``low`` on; raise `Problem` otherwise.

    wanted: what to give, in words and with an example. counts: how many there may be; a tensor has at most 64 axes.
    """
    numbers = tuple(value) if isinstance(value, (tuple, list)) else None
    if numbers is None or len(numbers) not in counts:
        raise Problem(f"{name} is {shown(value)}; give {wanted}.")
    return tuple(whole_number(f"{name}[{place}]", one, low) for place, one in enumerate(numbers))


def number(name: str, value: object, low: float, high: float, example: float) -> float:
    """Return ``value`` as a float if it is a number from ``low`` to ``high``, not NaN; raise `Problem` otherwise."""
    try:
        found = nan if _is_truth(value) or isinstance(value, (str, bytes, bytearray)) else float(value)
    except Exception:  # what holds no number says so in many ways
        found = nan
    if low <= found <= high:
        return found
    raise Problem(f"{name} is {shown(value)}; allowed is a number from {low:g} to {high:g}, as in {name}={example}.")


def _is_truth(value: object) -> bool:
    """Whether it is True, False or an array of them, which Python takes for numbers."""
    return isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool")


def true_or_false(name: str, value: object, what: str = "") -> bool:
    """Return ``value`` if it is True or False; raise `Problem` otherwise. what: what each means, in words."""
    if not isinstance(value, bool):
        raise Problem(f"{name} is {shown(value)}; allowed is {what or 'True or False'}.")
    return value


def one_of(name: str, value: object, allowed: list[str] | tuple[str, ...]) -> str:
    """Return ``value`` if it is one of the strings in ``allowed``; raise `Problem` otherwise."""
    if not isinstance(value, str) or value not in allowed:
        choices = ", ".join(repr(choice) for choice in allowed)
        raise Problem(f"{name} is {shown(value)}; allowed is one of {choices}. Give it as in {name}={allowed[0]!r}.")
    return value


def instance_of(name: str, value: object, kind: type | tuple[type, ...], example: str) -> object:
    """Return ``value`` if it is of this kind; raise `Problem` otherwise. example: how to get one, as code."""
    if not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        wanted = " or ".join(one.__name__ for one in kinds)
        raise Problem(f"{name} is {_kind(value)}; allowed is {wanted}. Give it as in {name}={example}.")
    return value


def folder_path(name: str, value: object) -> Path:
    """Return ``value`` as a path, ``~`` replaced, if it can be that of a folder; raise `Problem` otherwise."""
    try:
        path = os.path.expanduser(os.fspath(value))
        if not isinstance(path, str) or "\0" in path or not 1 <= len(path) <= 1000:
            raise ValueError
    except Exception:  # an object's own __fspath__ may raise anything
        raise Problem(f"{name} is {shown(value)}; give the path of a folder, as in {name}='data'.") from None
    if os.path.isfile(path):
        raise Problem(f"{name} is {shown(path)}, which is a file; give the path of a folder, as in {name}='data'.")
    return Path(path)


def tensor_of(name: str, value: object, axes: str, example: str, dtype: object = None, most: int = LARGEST) -> object:
    """Return ``value`` if it is a tensor whose numbers can be read, with at least one; raise `Problem` otherwise.

    axes: their names, as in "N, C, H, W"; "..." stands for one axis or more. dtype: the only one that is allowed; None
    allows all but complex ones. most: how many numbers it may hold. example: how to get one, as code.
    """
    import torch

    names = axes.split(", ")
    wanted = f"{str(dtype).removeprefix('torch.') + ' ' if dtype else ''}tensor ({axes})"
    if (
        isinstance(value, torch.Tensor)
        and value.layout == torch.strided
        and not (value.is_nested or value.is_quantized)
    ):
        as_wanted = value.ndim >= len(names) if names[-1] == "..." else value.ndim == len(names)
        as_wanted &= value.dtype == dtype if dtype else not value.is_complex()
        if as_wanted and not value.is_meta and 1 <= value.numel() <= most:
            return value
        if as_wanted:
            wanted += f" with numbers in it, from 1 to {most:,}" if most < LARGEST else " with numbers in it"
    article = "an" if wanted.startswith("int") else "a"
    raise Problem(f"{name} is {shown(value)}; give {article} {wanted}, for example {example}.")


def labelled(images: object, labels: object) -> None:
    """Raise `Problem` unless images is a tensor (N, ...) and labels one of int64, (N,)."""
    import torch

    tensor_of("images", images, "N, ...", "data.digits().images.float() / 255")
    tensor_of("labels", labels, "N", "data.digits().labels", torch.int64)
    if len(images) != len(labels):
        raise Problem(f"images has {len(images)} rows and labels {len(labels)}; both need the same number.")


def layer_name(name: str, module: object) -> str:
    """What messages and records call a module of a network: `features.0 (Conv2d)`. name: "" for the whole network."""
    return f"{name} ({type(module).__name__})" if name else type(module).__name__


def network(name: str, value: object) -> object:
    """Return ``value`` if it is a `torch.nn.Module` that is ready to run; raise `Problem` otherwise."""
    from torch import nn
    from torch.nn.parameter import is_lazy

    if not isinstance(value, nn.Module):
        raise Problem(f"{name} is {_kind(value)}; give a torch.nn.Module, for example models.mlp().")
    for place, module in value.named_modules():
        layer = layer_name(place, module)
        if not hasattr(module, "_parameters"):
            raise Problem(f"{layer} is not ready: its __init__ must begin with super().__init__().")
        if any(map(is_lazy, (*module.parameters(recurse=False), *module.buffers(recurse=False)))):
            raise Problem(f"{layer} does not know its sizes yet; run one batch through the model first.")
    return value


def _kind(value: object) -> str:
    """`a list`, or `the class Linear`, which needs another remedy: an object of it."""
    return f"the class {_cut(value.__name__, 80)}" if isinstance(value, type) else f"a {_cut(type(value).__name__, 80)}"
