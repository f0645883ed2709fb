"""One kind of error for the whole course: a sentence for a person, not a traceback."""

from __future__ import annotations  # the environment check must reach a Python that is too old


class Problem(ValueError):
    """Something that was given to a helper is not usable.

    The message says what was given, what is allowed and what to do. In a notebook only the message is
    shown: IPython asks an exception for ``_render_traceback_`` before it draws its own traceback.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"Problem: {self}"]


def whole_number(name: str, value: object, low: int, high: int | None = None) -> int:
    """Return ``value`` as an int if it is a whole number from ``low`` to ``high``; raise `Problem` otherwise.

    ``True`` and ``64.0`` are refused too: in shapes and batch sizes they are slips, not numbers.
    """
    allowed = f"a whole number from {low:,} to {high:,}" if high is not None else f"a whole number, {low:,} or more"
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise Problem(
            f"{name} is {value!r} ({type(value).__name__}); allowed is {allowed}. Give it as in {name}={low}."
        )
    number = int(value.__index__())
    if number < low or (high is not None and number > high):
        raise Problem(f"{name} is {number:,}; allowed is {allowed}. Give it as in {name}={max(low, 1)}.")
    return number


def one_of(name: str, value: object, allowed: list[str] | tuple[str, ...]) -> str:
    """Return ``value`` if it is one of the strings in ``allowed``; raise `Problem` otherwise."""
    if not isinstance(value, str) or value not in allowed:
        choices = ", ".join(repr(choice) for choice in allowed)
        raise Problem(f"{name} is {value!r}; allowed is one of {choices}. Give it as in {name}={allowed[0]!r}.")
    return value


def instance_of(name: str, value: object, kind: type | tuple[type, ...], example: str) -> object:
    """Return ``value`` if it is of this kind; raise `Problem` otherwise. example: how to get one, as code."""
    if not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        wanted = " or ".join(one.__name__ for one in kinds)
        raise Problem(f"{name} is a {type(value).__name__}; allowed is {wanted}. Give it as in {name}={example}.")
    return value
