"""Calling what a learner wrote: nothing that it raises, returns or leaves behind reaches the course.

Whatever comes out of `attempt` is of a type that PyTorch, NumPy or Python define, so that errors in the code that
judges it are our own.
"""

import os
import random
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from helpers.memory.torch_private import as_plain_tensors

_NUMBERS = {
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16,
    torch.float32, torch.float64, torch.complex64, torch.complex128,
}  # fmt: skip
_TORCH = os.path.dirname(torch.__file__)
WAIT = 10.0  # seconds after which the check says what it waits for


@dataclass(frozen=True)
class Foreign:
    """A result that only a coach can judge; `name` says what it is, as in 'tensor on meta'."""

    name: str
    thing: object = field(compare=False, repr=False)


@dataclass(frozen=True)
class Outcome:
    """How a call ended: with a result or with an error; and what it left changed. The last two in words, or empty."""

    result: object = None
    error: str = ""
    changed: str = ""


class _State(NamedTuple):
    """A switch of the process that outlives the call that sets it."""

    name: str
    get: Callable[[], object]
    put: Callable[[object], object]
    hint: str = ""


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was deleted
        return None


def _put_folder(folder: str | None) -> None:
    if folder is not None:
        with suppress(OSError):  # the answer deleted it
            os.chdir(folder)


def _autocast() -> tuple:
    devices = ("cpu", "cuda")
    depth = torch.autocast_increment_nesting() - 1
    torch.autocast_decrement_nesting()
    return depth, *((name, torch.is_autocast_enabled(name), torch.get_autocast_dtype(name)) for name in devices)


def _put_autocast(state: tuple) -> None:
    depth, *switches = state
    for name, on, dtype in switches:
        torch.set_autocast_enabled(name, on)
        torch.set_autocast_dtype(name, dtype)
    torch.clear_autocast_cache()
    while _autocast()[0] > depth:
        torch.autocast_decrement_nesting()


_ENTERED = []


def _put_inference_mode(on: bool) -> None:
    _ENTERED.append(torch.inference_mode(on))  # it would end with its last reference
    _ENTERED[-1].__enter__()


# Inference mode first: to leave it also switches gradients.
_STATES = (
    _State(
        "inference mode",
        torch.is_inference_mode_enabled,
        _put_inference_mode,
        " Use with torch.inference_mode():.",
    ),
    _State(
        "the recording of gradients",
        torch.is_grad_enabled,
        torch.set_grad_enabled,
        " Use with torch.no_grad():.",
    ),
    _State("autocast", _autocast, _put_autocast, " Use with torch.autocast(...):."),
    _State("the default dtype", torch.get_default_dtype, torch.set_default_dtype),
    _State(
        "the default device",
        torch.get_default_device,
        lambda device: torch.set_default_device(None if device.type == "cpu" else device),
    ),
    _State("the number of threads", torch.get_num_threads, torch.set_num_threads),
    _State("deterministic algorithms", torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    _State("the working folder", _folder, _put_folder),
)
# An answer may draw random numbers, so these are put back without a word.
_GENERATORS = (
    (random.getstate, random.setstate),
    (np.random.get_state, np.random.set_state),
    (torch.get_rng_state, torch.set_rng_state),
)


def attempt(function: Callable, *arguments: object, waiting_for: str = "an answer") -> Outcome:
    """Call it with everything guarded. Only a KeyboardInterrupt goes through: it is the learner's own."""
    before = [state.get() for state in _STATES]
    generators = [get() for get, _ in _GENERATORS]
    text = f"The check still waits for {waiting_for}. To stop it, interrupt the kernel (■ in the toolbar)."
    waiting = threading.Timer(WAIT, print, [text])
    waiting.daemon = True
    result, error = None, ""
    waiting.start()
    try:
        result = plain(function(*arguments))
    except KeyboardInterrupt:
        raise
    except BaseException as raised:  # SystemExit, GeneratorExit, a class of the learner's own
        error = in_words(raised)
    finally:
        waiting.cancel()
        left = [(state, old) for state, old in zip(_STATES, before, strict=True) if state.get() != old]
        for state, old in left:
            state.put(old)
        for (_, put), old in zip(_GENERATORS, generators, strict=True):
            put(old)
    names = " and ".join(state.name for state, _ in left)
    changed = names and f"{names} for everything that comes after it; that is put back now.{left[0][0].hint}"
    return Outcome(result, error, changed)


def in_words(error: BaseException) -> str:
    """The line of the learner's own code that failed (not one inside PyTorch) and the error's first line."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    frames = [frame for frame in frames if not frame.filename.startswith(_TORCH)]  # a model may hold no line of theirs
    place = f" in its line {shorten(frames[0].line, 100)!r}" if frames and frames[0].line else ""
    try:
        text = shorten(str(error).strip().split("\n")[0].rstrip("."), 250)
    except KeyboardInterrupt:
        raise
    except BaseException:  # an exception that cannot even be printed
        text = ""
    return f"{place} with {type(error).__name__}{text and ': '}{text}"


def shorten(text: str, length: int) -> str:
    """At most so many characters, and none that a notebook cannot store."""
    text = text if len(text) <= length else text[: length - 1] + "…"
    return text.encode("utf-8", "replace").decode()


def plain(thing: object) -> object:
    """The same value in a type of PyTorch, NumPy or Python itself, or a `Foreign`. Runs code of the learner's types."""
    of = type(thing)
    if of in (type(None), type(...), bool, float, str):
        return thing
    if issubclass(of, np.generic):  # a single number out of NumPy is as good as Python's
        return plain(thing.item())
    if issubclass(of, int):  # longer ones can neither be written nor compared with a float
        return (
            int.__pos__(thing)
            if int.bit_length(thing) < 1000
            else Foreign(f"int of {int.bit_length(thing)} bits", thing)
        )
    if issubclass(of, float):
        return float.__pos__(thing)
    if issubclass(of, tuple | list):
        return (list if issubclass(of, list) else tuple)(plain(part) for part in thing[:1000])
    if issubclass(of, np.ndarray):
        array = np.asarray(thing)
        return array if array.dtype.kind in "biufc" else Foreign(f"array of {array.dtype}", thing)
    if issubclass(of, Tensor):
        return _plain_tensor(thing)
    return thing if issubclass(of, nn.Module) else Foreign(of.__name__, thing)


def _plain_tensor(tensor: Tensor) -> Tensor | Foreign:
    if tensor.layout != torch.strided:
        return Foreign(f"{str(tensor.layout).removeprefix('torch.')} tensor", tensor)
    if tensor.device.type != "cpu":
        return Foreign(f"tensor on {tensor.device}", tensor)
    if tensor.dtype not in _NUMBERS:  # float8, quantized: hardly any operation takes them
        return Foreign(f"tensor of {tensor.dtype}", tensor)
    with as_plain_tensors():
        return tensor.as_subclass(Tensor)
