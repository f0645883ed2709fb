"""Random numbers that all threads share go on as if a trace had drawn none."""

import random
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import TypeVar

import numpy as np
import torch

T = TypeVar("T")


def put_back_what_it_drew(run: Callable[[], T]) -> T:
    """Do `run()`; if it drew from the generators of Python or NumPy, or seeded PyTorch's, give them back their states.

    Fake tensors draw nothing, but a model may, in Python code of its own. A generator that has moved may also have been
    moved by another thread, whose numbers must not come again: then `run` is done once more, and Python tells what this
    thread calls.
    """
    before, torchs_before = _states(), torch.get_rng_state()
    try:
        return run()
    finally:
        now = _states()
        if now != before and _draws(run):
            random.setstate(before[0])
            np.random.set_state(before[1])
            if now[2] != before[2]:
                torch.set_rng_state(torchs_before)


def _states() -> tuple:
    name, key, *rest = np.random.get_state()
    return random.getstate(), (name, tuple(key), *rest), torch.initial_seed()


def _draws(run: Callable[[], object]) -> bool:
    """Whether `run` calls one of the generators; for NumPy's, which Python does not report, whether code names them."""
    found: list[bool] = []

    def watch(frame: FrameType, event: str, called: object) -> None:
        if event == "c_call":
            found.append(_shared(called) and called.__name__ != "get_state")
        elif event == "call" and not frame.f_globals.get("__name__", "").startswith("torch."):
            names = frame.f_code.co_names
            found.append("random" in names or any(_shared(frame.f_globals.get(name)) for name in names))

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        with suppress(Exception):
            run()
    finally:
        sys.setprofile(before)
    return any(found)


def _shared(function: object) -> bool:
    """Whether it is a method of a generator that all threads share."""
    owner = getattr(function, "__self__", None)
    return owner is random.random.__self__ or owner is np.random.rand.__self__ or owner is torch.default_generator
