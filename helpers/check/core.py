"""The exercise checks: one function an exercise, each called on the learner's own object.

A check always returns a `Verdict`. It never raises for what a learner gives it, never changes the learner's objects and
never prints. It tries an answer on several inputs from a fixed seed (odd batch sizes, sizes that are equal by accident,
non-contiguous tensors), and it says which mistake it recognises before it says what differs.
"""

import contextlib
import copy
import html
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isclose, prod

import numpy as np
import torch
from torch import Tensor, nn

Coach = Callable[[tuple, object, object], str | None]


@dataclass(frozen=True)
class Verdict:
    """What a check found. `passed` is for graded assignments, `message` for the learner."""

    passed: bool
    message: str

    def __repr__(self) -> str:
        return f"{'[passed]' if self.passed else '[not yet]'} {self.message}"

    def _repr_html_(self) -> str:
        mark, colour = ("✓ passed", "#009E73") if self.passed else ("✗ not yet", "#D55E00")
        return (
            f'<div role="status" style="border-left:5px solid {colour};padding:4px 10px">'
            f"<b>{mark}</b> &nbsp; {html.escape(self.message)}</div>"
        )


#: Hints for errors that beginners meet in any exercise.
_CRASHES = {
    "for ^": "In Python a power is written **, as in 2**20.",
    "for +=": "Is one of the two still None, or a list?",
    "positional argument": "The check calls your function with the arguments that the task names.",
    "is invalid for input of size": "The check uses other sizes too: do not write sizes into your code.",
    "index out of range": "A place ran past the end: the last one is len(...) - 1. The check uses other lengths too.",
    "Boolean value of Tensor": "if, min and max compare one number; .clamp works on every number of a tensor.",
    "is not defined": "A name is spelt differently, or the cell that defines it has not run.",
}


#: What `right` returns where there is no single right object (a model, say): then `coach` alone decides.
COACHED = object()


class _NotYet(Exception):
    """Ends a check with a message."""


def judge(
    name: str,
    answer: object,
    cases: Iterable[tuple],
    right: Callable[..., object],
    praise: str,
    coach: Coach = lambda arguments, got, want: None,
    crashes: Mapping[str, str] | None = None,
) -> Verdict:
    """Try `answer` on every case against `right`; `coach` may name a mistake before the general comparison does.

    `crashes`: a part of an error's text to the hint that is added to it.
    """
    try:
        _callable(name, answer)
        for place, arguments in enumerate(cases):
            want = right(*copy.deepcopy(arguments))
            got, changed = _call(name, answer, arguments, {**_CRASHES, **(crashes or {})})
            if got is None or got is ...:
                if place:
                    given = ", ".join(kind(argument) for argument in arguments)
                    raise _NotYet(f"{name}({given}) returned nothing, others did. Every way through it needs a return.")
                raise _NotYet(f"{name} returned nothing. Put your code in place of ... and end it with return.")
            if changed:
                raise _NotYet(
                    f"{name} changed {changed} that it was given. Make a new one: an operation whose name ends "
                    "in _ , an assignment to x[...] or += works in place."
                )
            if message := _mistake(name, arguments, got, want, coach):
                raise _NotYet(message)
    except _NotYet as stop:
        return Verdict(False, str(stop))
    return Verdict(True, praise)


def _mistake(name: str, arguments: tuple, got: object, want: object, coach: Coach) -> str | None:
    if isinstance(got, np.generic):  # a single number out of NumPy is as good as Python's
        got = got.item()
    try:
        if want is COACHED:
            return coach(arguments, got, want)
        same_kind = not isinstance(want, Tensor) or not isinstance(got, Tensor) or got.dtype == want.dtype
        named = _nan(got, want)
        with contextlib.suppress(*(() if same_kind else (RuntimeError,))):  # Half against Float: the dtype is the point
            named = named or coach(arguments, got, want)
        return named or _difference(name, arguments, got, want)
    except Exception as error:  # 10**400, an empty tensor, a quantized one, one without data
        return f"{name} returned a {type(got).__name__} that cannot be compared ({_last_line(error)})."


def _callable(name: str, answer: object) -> None:
    if answer is None or answer is ...:
        raise _NotYet(f"{name} is still empty. Put your code in place of ... in the cell above and run it.")
    if not callable(answer) or isinstance(answer, type):
        raise _NotYet(
            f"the check needs the function itself, but got {kind(answer)}. Write check.{name}({name}), "
            "without a call and without quotes."
        )


def _call(name: str, answer: Callable, arguments: tuple, crashes: Mapping[str, str]) -> tuple[object, str | None]:
    """Call with everything guarded; return the result and the name of an argument that it changed, if any."""
    before, recording = copy.deepcopy(arguments), torch.is_grad_enabled()
    try:
        with torch.random.fork_rng(devices=[]):
            got = answer(*arguments)
    except (Exception, SystemExit) as error:
        hint = next((f" {text}" for part, text in crashes.items() if part in str(error)), "")
        raise _NotYet(f"{name} stopped{_place(error)} with {_last_line(error)}.{hint}") from None
    finally:
        still = torch.is_grad_enabled()
        torch.set_grad_enabled(recording)
    if still != recording:
        raise _NotYet(f"{name} switched gradients off for everything that comes after it. Use with torch.no_grad():.")
    for argument, old in zip(arguments, before, strict=True):
        if not _same(argument, old):
            return got, f"the {type(argument).__name__ if isinstance(argument, list) else kind(argument)}"
    return got, None


def _place(error: BaseException) -> str:
    """The line of the learner's own code (a notebook cell or a test) that failed, not the line inside a library."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    return f" in its line {frames[0].line!r}" if frames and frames[0].line else ""


def _last_line(error: BaseException) -> str:
    text = str(error).strip().split("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def kind(thing: object) -> str:
    """What a message calls an object: a tensor with its shape, a small value with itself, anything else by its type."""
    if isinstance(thing, Tensor):
        return f"tensor of shape {tuple(thing.shape)}"
    if isinstance(thing, np.ndarray):
        return f"NumPy array of shape {thing.shape}"
    if isinstance(thing, nn.Module):
        return "model"
    if isinstance(thing, tuple | list) and all(isinstance(part, int | float) for part in thing):
        return repr(thing)[:60]
    if isinstance(thing, str | bool | int | float):
        return f"{type(thing).__name__} {thing!r:.60}"
    return type(thing).__name__


def _same(one: object, other: object) -> bool:
    """Equal, for everything that a check hands out. Train and eval mode of a module is for the checks to judge."""
    if isinstance(one, Tensor):
        return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, nn.Module):
        return all(_same(mine, yours) for mine, yours in zip(one.parameters(), other.parameters(), strict=True))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(_same(mine, yours) for mine, yours in zip(one, other, strict=True))
    return one == other


def _nan(got: object, want: object) -> str | None:
    in_tensor = isinstance(got, Tensor) and got.is_floating_point() and bool(got.isnan().any())
    if in_tensor or (isinstance(got, np.ndarray) and got.dtype.kind == "f" and bool(np.isnan(got).any())):
        return (
            "the result holds NaN (not a number). Look for 0 / 0, a root or logarithm of a negative, or empty memory."
        )
    if isinstance(got, float) and got != got and isinstance(want, int | float):
        return "the result is NaN (not a number). Look for 0 / 0, or for a calculation with a NaN in it."
    return None


def _difference(name: str, arguments: tuple, got: object, want: object) -> str | None:
    """What differs, in the order in which a learner should repair it: type, shape, dtype, values."""
    given = f"{name}({', '.join(kind(argument) for argument in arguments)})"
    if isinstance(want, np.ndarray):
        if not isinstance(got, np.ndarray):
            return f"{given} returned {kind(got)}, expected a NumPy array of shape {want.shape}."
        if got.dtype.kind not in "biuf":
            return f"{given} returned an array of {got.dtype}, expected {want.dtype}."
        got, want = torch.from_numpy(np.ascontiguousarray(got)), torch.from_numpy(np.ascontiguousarray(want))
    if isinstance(want, Tensor):
        if not isinstance(got, Tensor):
            return f"{given} returned {kind(got)}, expected a torch tensor of shape {tuple(want.shape)}."
        if got.shape != want.shape:
            return f"{given}: got shape {tuple(got.shape)}, expected {tuple(want.shape)}."
        if got.dtype != want.dtype:
            return f"{given}: the shape is right, the dtype is {_plain(got.dtype)}, expected {_plain(want.dtype)}."
        if not torch.allclose(got.double(), want.double(), rtol=1e-4, atol=1e-6):
            share = (~torch.isclose(got.double(), want.double(), rtol=1e-4, atol=1e-6)).double().mean().item()
            return f"{given}: shape and dtype are right, but {max(share, 0.01):.0%} of the numbers are not as expected."
        return None
    if isinstance(want, bool):
        if not isinstance(got, bool):
            return f"{given} returned {kind(got)}, expected True or False (bool(...) makes one)."
        return None if got == want else f"{given}: got {got}, expected {want}."
    if isinstance(got, Tensor) and got.ndim == 0 and isinstance(want, int | float):
        got = got.item()
    if isinstance(got, bool) or not isinstance(got, int | float):
        return f"{given} returned {kind(got)}, expected a Python number such as {want}."
    if isinstance(want, int) and not isinstance(got, int):
        return f"{given}: got the float {got}, expected the whole number {want}."
    return (
        None
        if isclose(got, want, rel_tol=1e-4, abs_tol=1e-9)
        else f"{given}: got {_number(got)}, expected {_number(want)}."
    )


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def judge_value(
    name: str, answer: object, want: object, praise: str, coaching: Mapping[object, str], advice: str
) -> Verdict:
    """Judge an answer that is a number or a tuple of numbers.

    `name`: what the learner sees, such as "entry, height, width"; `coaching`: wrong answers to their mistakes;
    `advice`: what to say to any other number.
    """
    try:
        if callable(answer):
            raise _NotYet(f"{name} is a function; give the value itself, plain numbers.")
        parts = list(answer) if isinstance(answer, tuple | list) else [answer]
        if not parts or any(part is None or part is ... for part in parts):
            raise _NotYet(f"{name} is still empty. Put your answer in place of ... in the cell above and run it.")
        if any(isinstance(part, bool | str) or not isinstance(part, int | float) for part in parts):
            wrong = next(part for part in parts if isinstance(part, bool | str) or not isinstance(part, int | float))
            raise _NotYet(f"{name} holds a {kind(wrong)}; expected plain numbers without quotes or units.")
        if any(part != part for part in parts):
            raise _NotYet(f"{name} is NaN (not a number). Start again from whole numbers.")
        count = len(want) if isinstance(want, tuple) else 1
        if len(parts) != count:
            raise _NotYet(f"{name}: got {len(parts)} numbers, expected {count}.")
        plain = tuple(parts) if isinstance(want, tuple) else parts[0]
        if plain != want:
            raise _NotYet(coaching.get(plain) or f"{plain} is not it. {advice}")
    except _NotYet as stop:
        return Verdict(False, str(stop))
    return Verdict(True, praise)


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers from a generator of its own, so that the learner's random numbers stay as they are."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + 1000 * prod(shape)))


def pixels(*shape: int, seed: int = 0) -> Tensor:
    """Uniform uint8 numbers from a generator of their own."""
    generator = torch.Generator().manual_seed(seed + 1000 * prod(shape))
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
