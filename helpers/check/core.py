"""Exercises as records, and the one way in which all of them judge an answer.

A check always returns a `Verdict`. It never raises for what a learner gives it, never changes the learner's objects and
never prints (only that it still waits, after some seconds). It tries an answer on several inputs (odd batch sizes,
sizes that are equal by accident, non-contiguous tensors). Mistakes that it knows are **slips**: wrong functions with
their message. An answer that agrees further with a slip than with the right result gets the slip's message.
"""

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isclose, prod

import numpy as np
import torch
from torch import Tensor, nn

from helpers.check.guard import Foreign, Outcome, attempt, plain
from helpers.check.verdict import Verdict, beside

#: An error in the course's own code: raise it (tests set this), instead of telling the learner in a sentence.
STRICT = False

#: Hints for errors that beginners meet in any exercise: a part of the error's text to the hint.
_CRASHES = {
    "for ^": "In Python a power is written **, as in 2**20.",
    "for +=": "Is one of the two still None, or a list?",
    "positional argument": "The check calls your function with the arguments that the task names.",
    "is invalid for input of size": "The check uses other sizes too: do not write sizes into your code.",
    "index out of range": "A place ran past the end: the last one is len(...) - 1. The check uses other lengths too.",
    "Boolean value of Tensor": "if, min and max compare one number; .clamp works on every number of a tensor.",
    "is not defined": "A name is spelt differently, or the cell that defines it has not run.",
}

_MOST_LAYERS = 6  # of a model that a message names one by one


class _NotYet(Exception):
    """Ends a check with a message, and the result that it is about beside the expected one."""

    def __init__(self, message: str, got: object = None, want: object = None):
        super().__init__(message)
        self.drawing = beside(got, want)


@dataclass(frozen=True)
class Tried:
    """One call of an answer, for a coach."""

    arguments: tuple  # as the check made them
    after: tuple  # as the answer left them
    got: object
    want: object
    answer: Callable  # the answer itself, to be called through `attempt`


@dataclass(frozen=True)
class Check:
    """What all exercises share: called on the learner's object, it returns a Verdict, whatever that object does."""

    name: str
    right: object
    praise: str
    slips: Mapping[str, object] = field(default_factory=dict)

    def each_slip(self) -> Iterator[tuple[str, object]]:
        """Every slip with its message."""
        for message, slips in self.slips.items():
            for slip in slips if isinstance(slips, list) else [slips]:
                yield message, slip

    def __call__(self, answer: object) -> Verdict:
        try:
            self._judge(answer)
        except _NotYet as stop:
            return Verdict(False, str(stop), stop.drawing)
        except Exception as error:
            if STRICT:
                raise
            return Verdict(
                False,
                f"the check of {self.name} stopped with {type(error).__name__}. That is a mistake of the course, not "
                "of yours. Compare your answer with the solution, and tell us about it.",
            )
        return Verdict(True, self.praise)


@dataclass(frozen=True)
class Exercise(Check):
    """An exercise whose answer is a function; `exercise` makes one from the right function.

    `cases`: the arguments of each call, of which an answer gets copies. `slips`: a message to the wrong function (or to
    several) that makes this mistake. `crashes`: a part of an error's text to a hint. `coach`: for what no slip can
    show; it sees results of the right kind only, and returns a message or nothing. `trains`: the answer is meant to
    change the models that it is given.
    """

    cases: Sequence[tuple] = ()
    crashes: Mapping[str, str] = field(default_factory=dict)
    coach: Callable[[Tried], str | None] | None = None
    trains: bool = False

    def __post_init__(self):
        object.__setattr__(self, "__doc__", self.right.__doc__)

    def _judge(self, answer: object) -> None:
        self._refuse(answer)
        for place, arguments in enumerate(self.cases):
            given = f"{self.name}({', '.join(map(_given, arguments))})"
            after = copy.deepcopy(arguments)
            outcome = attempt(answer, *after, waiting_for=given)
            if outcome.error:
                hints = {**_CRASHES, **self.crashes}
                hint = next((f" {hints[part]}" for part in hints if part in outcome.error), "")
                raise _NotYet(f"{self.name} stopped{outcome.error}.{hint}")
            if outcome.changed:
                raise _NotYet(f"{self.name} changed {outcome.changed}")
            if outcome.result is None or outcome.result is ...:
                raise _NotYet(
                    f"{given} returned nothing, others did. Every way through it needs a return."
                    if place
                    else f"{self.name} returned nothing. Put your code in place of ... and end it with return."
                )
            for old, new in zip(arguments, after, strict=True):
                if self.trains and isinstance(old, nn.Module):
                    continue
                if attempt(_same, new, old).result is not True:  # nobody knows what became of the new one
                    raise _NotYet(
                        f"{self.name} changed the {'list' if isinstance(old, list) else kind(old)} that it was given. "
                        "Make a new one: an operation whose name ends in _ , an assignment to x[...] or += works in "
                        "place."
                    )
            self._compare(place, given, Tried(arguments, after, outcome.result, self._right(arguments), answer))

    def _refuse(self, answer: object) -> None:
        if answer is None or answer is ...:
            raise _NotYet(f"{self.name} is still empty. Put your code in place of ... in the cell above and run it.")
        if not callable(answer) or issubclass(type(answer), type):
            raise _NotYet(
                f"the check needs the function itself, but got {kind(attempt(lambda: answer).result)}. "
                f"Write check.{self.name}({self.name}), without a call and without quotes."
            )

    def _right(self, arguments: tuple) -> object:
        with torch.random.fork_rng(devices=[]):
            return plain(self.right(*copy.deepcopy(arguments)))

    def _compare(self, place: int, given: str, tried: Tried) -> None:
        got, want = tried.got, tried.want
        if isinstance(want, nn.Module | Foreign) and not self.coach:
            raise TypeError(f"{self.name} needs a coach: a {kind(want)} cannot be compared with another")
        if isinstance(got, Tensor) and got.ndim == 0 and _family(want) in ("number", "bool"):
            got = got.item()
        message = _nan(got)
        if not message and self.coach and _family(got) == _family(want):
            message = self.coach(tried)
        reached = _agreement(got, want)
        right_but_float = isinstance(want, int) and isinstance(got, float) and reached == _ALL
        if not message and (reached < _ALL or right_but_float):
            slip = "" if right_but_float else self._slip(place, got, reached)
            message = f"{slip}{_difference(given, got, want)}"
        if message:
            raise _NotYet(message, got, want)

    def _slip(self, place: int, got: object, reached: int) -> str:
        """The message of the slip that `got` agrees with further than `reached`, and that is right on earlier cases."""
        found = ""
        for message, slip in self.each_slip():
            here = _agreement(got, self._tried(slip, place).result)
            if here > reached and all(self._fits(slip, earlier) for earlier in range(place)):
                found, reached = f"{message} ", here
        return found

    def _tried(self, slip: Callable, place: int) -> Outcome:
        return attempt(slip, *copy.deepcopy(self.cases[place]))

    def _fits(self, slip: Callable, place: int) -> bool:
        """Whether a slip is right on a case, or does not run there: an axis that fits by accident fits nowhere else."""
        outcome = self._tried(slip, place)
        return bool(outcome.error) or _all_agrees(outcome.result, self._right(self.cases[place]))


def exercise(**parts: object) -> Callable[[Callable], Exercise]:
    """Make an Exercise of the right function below it: its name, its docstring, its results."""
    return lambda right: Exercise(right.__name__, right, **parts)


@dataclass(frozen=True)
class Question(Check):
    """An exercise whose answer is a number or a tuple of numbers; `name` is what the learner sees, "height, width".

    `slips`: a message to the wrong value; `advice`: what to say to any other; `__doc__`: what is asked.
    """

    advice: str = ""
    asks: str = ""

    def __post_init__(self):
        object.__setattr__(self, "__doc__", self.asks)

    def _judge(self, answer: object) -> None:
        if callable(answer):
            raise _NotYet(f"{self.name} is a function; give the value itself, plain numbers.")
        value = attempt(lambda: answer).result
        parts = list(value) if isinstance(value, tuple | list) else [value]
        names, empty = self.name.split(", "), [part is None or part is ... for part in parts]
        if not parts or any(empty):
            some = len(parts) == len(names) and not all(empty)
            which = " and ".join(name for name, is_empty in zip(names, empty, strict=True) if is_empty) if some else ""
            raise _NotYet(
                f"{which or self.name} is still empty. Put your answer in place of ... in the cell above and run it."
            )
        for part in parts:
            if _family(part) != "number":
                raise _NotYet(f"{self.name} holds a {kind(part)}; expected plain numbers without quotes or units.")
            if part != part:
                raise _NotYet(f"{self.name} is NaN (not a number). Start again from whole numbers.")
        wanted = self.right if isinstance(self.right, tuple) else (self.right,)
        if len(parts) != len(wanted):
            raise _NotYet(f"{self.name}: got {len(parts)} number{'s' * (len(parts) != 1)}, expected {len(wanted)}.")
        if tuple(parts) == wanted:
            return
        value = tuple(parts) if isinstance(self.right, tuple) else parts[0]
        for message, slip in self.each_slip():
            if value == slip:
                raise _NotYet(message)
        named = zip(self.name.split(", "), parts, wanted, strict=True)
        right = "".join(f"{name} is right. " for name, part, want in named if part == want)
        raise _NotYet(f"{_given(value)} is not it. {right}{self.advice}")


@dataclass(frozen=True)
class Goal(Check):
    """An exercise with many right answers: `right` gives what an answer still lacks, in a sentence, or nothing.

    `kinds`: what an answer may be; `example`: one as code, for who gives something else; `__doc__`: what is asked.
    """

    kinds: tuple[type, ...] = ()
    example: str = ""
    asks: str = ""

    def __post_init__(self):
        object.__setattr__(self, "__doc__", self.asks)

    def _judge(self, answer: object) -> None:
        if answer is None or answer is ...:
            raise _NotYet(f"{self.name} is still empty. Put your code in place of ... in the cell above and run it.")
        if type(answer) not in self.kinds:
            given = kind(attempt(lambda: answer).result)
            raise _NotYet(f"{self.name} is a {given}; expected {self.kinds[0].__name__}, as in {self.example}.")
        if message := self.right(answer):
            raise _NotYet(message)


def kind(thing: object) -> str:
    """What a message calls an object: a tensor with its shape, a small value with itself, anything else by its type."""
    if isinstance(thing, Tensor):
        return f"tensor of shape {tuple(thing.shape)}"
    if isinstance(thing, np.ndarray):
        return f"NumPy array of shape {thing.shape}"
    if isinstance(thing, nn.Module):
        return "model"
    if isinstance(thing, tuple | list) and len(thing) < 20 and all(_family(part) == "number" for part in thing):
        return f"{thing!r:.60}"
    if isinstance(thing, str | bool | int | float):
        return f"{type(thing).__name__} {thing!r:.60}"
    return thing.name if isinstance(thing, Foreign) else type(thing).__name__


def _given(thing: object) -> str:
    """How a call is written in a message: numbers and text as they are, a model by its layers, else by its kind."""
    if isinstance(thing, list) and kind(thing) == "list":
        return f"list of {len(thing)}"
    if isinstance(thing, nn.Module) and 0 < len(list(thing.children())) <= _MOST_LAYERS:
        return f"model of {', '.join(type(layer).__name__ for layer in thing.children())}"
    if isinstance(thing, dict) and len(repr(thing)) <= 60:
        return repr(thing)
    return f"{thing!r:.60}" if isinstance(thing, str | bool | int | float) else kind(thing)


def _same(new: object, old: object) -> bool:
    """Equal, for everything that a check hands out. Train and eval mode of a model is for the coaches to judge."""
    if isinstance(old, Tensor):
        return new.shape == old.shape and new.dtype == old.dtype and torch.equal(new, old)
    if isinstance(old, np.ndarray):
        return new.dtype == old.dtype and np.array_equal(new, old)
    if isinstance(old, nn.Module):
        layers = [[type(layer) for layer in model.modules()] for model in (new, old)]
        return layers[0] == layers[1] and _same(list(new.parameters()), list(old.parameters()))
    if isinstance(old, torch.optim.Optimizer):  # equal to itself alone; its settings are what an answer could change
        return type(new) is type(old) and new.defaults == old.defaults
    if isinstance(old, list | tuple):
        return len(new) == len(old) and all(map(_same, new, old))
    return new == old


_KIND, _SHAPE, _DTYPE, _ALL = 1, 2, 3, 4  # how far two results agree; each includes those before it


def _family(thing: object) -> str:
    names = {bool: "bool", (int, float): "number", Tensor: "tensor", np.ndarray: "array", nn.Module: "model"}
    other = thing.name if isinstance(thing, Foreign) else type(thing).__name__
    return next((name for types, name in names.items() if isinstance(thing, types)), other)


def _agreement(one: object, other: object) -> int:
    """How far two results agree: in kind, shape, dtype, or all numbers (then `_ALL`). What needs a coach agrees."""
    family = _family(one)
    if family != _family(other):
        return 0
    if family == "number":
        close = one == other if isinstance(one, int) and isinstance(other, int) else isclose(one, other, rel_tol=1e-4)
        return _ALL if close or abs(one - other) < 1e-9 else _DTYPE
    if isinstance(one, tuple | list):
        return _ALL if len(one) == len(other) and all(map(_all_agrees, one, other)) else _KIND
    if family not in ("tensor", "array"):
        return _ALL if isinstance(one, nn.Module | Foreign) or one == other else _KIND
    if one.shape != other.shape:
        return _KIND
    if one.dtype != other.dtype:
        return _SHAPE
    return _ALL if _close(one, other).all() else _DTYPE


def _all_agrees(one: object, other: object) -> bool:
    return _agreement(one, other) == _ALL


def _close(one: Tensor | np.ndarray, other: Tensor | np.ndarray) -> np.ndarray:
    """For each number whether it is as expected, for the same shape and dtype."""
    one, other = (part.detach().double().numpy() if isinstance(part, Tensor) else part for part in (one, other))
    return np.isclose(one, other, rtol=1e-4, atol=1e-6)


def _nan(got: object) -> str | None:
    if isinstance(got, float) and got != got:
        return "the result is NaN (not a number). Look for 0 / 0, or for a calculation with a NaN in it."
    if isinstance(got, Tensor | np.ndarray) and bool((got != got).any()):
        return (
            "the result holds NaN (not a number). Look for 0 / 0, a root or logarithm of a negative, or empty memory."
        )
    return None


def _difference(given: str, got: object, want: object) -> str:
    """What differs, in the order in which a learner should repair it: type, shape, dtype, values."""
    if _family(got) != _family(want):
        expected = {
            "tensor": f"a torch {kind(want)}",
            "array": f"a {kind(want)}",
            "bool": "True or False (bool(...) makes one)",
            "number": f"a Python number such as {want}",
            "model": "a model such as nn.Sequential(...)",
        }
        return f"{given} returned {kind(got)}, expected {expected.get(_family(want), kind(want))}."
    if isinstance(want, int | float):
        if isinstance(want, int) and isinstance(got, float):
            return f"{given}: got the float {got}, expected the whole number {want}."
        return f"{given}: got {_number(got)}, expected {_number(want)}."
    if not isinstance(want, Tensor | np.ndarray):
        return f"{given}: got {kind(got)}, expected {kind(want)}."
    if got.shape != want.shape:
        return f"{given}: got shape {tuple(got.shape)}, expected {tuple(want.shape)}."
    if got.dtype != want.dtype:
        return f"{given}: the shape is right, the dtype is {_plain(got.dtype)}, expected {_plain(want.dtype)}."
    share = max(1 - _close(got, want).mean(), 0.01)
    return f"{given}: shape and dtype are right, but {share:.0%} of the numbers are not as expected."


def _number(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{value:,}" if not isinstance(value, bool) else str(value)


def _plain(dtype: object) -> str:
    return str(dtype).removeprefix("torch.")


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers from a generator of its own, so that the learner's random numbers stay as they are."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + 1000 * prod(shape)))


def pixels(*shape: int, seed: int = 0) -> Tensor:
    """Uniform uint8 numbers from a generator of their own."""
    generator = torch.Generator().manual_seed(seed + 1000 * prod(shape))
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def picture(channels: int, height: int, width: int) -> Tensor:
    """uint8 (C, H, W) that shows a wrong axis: red grows downwards, green to the right, and blue is the letter F."""
    rows, columns = torch.arange(height)[:, None], torch.arange(width)[None]
    stroke = 1 + min(height, width) // 10
    letter = 255 * (
        (columns < stroke) | (rows < stroke) | (abs(rows - height // 2) < stroke) & (columns < width * 2 // 3)
    )
    layers = torch.broadcast_tensors(255 * rows // (height - 1), 255 * columns // (width - 1), letter)
    return torch.stack(layers[:channels]).to(torch.uint8)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Models made in this block are the same in every run, and random numbers after it as if it were not there."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
