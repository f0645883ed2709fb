"""What a trace leaves outside the model: tensors without numbers, in caches, lists and variables."""

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import clear_frames
from types import FrameType

from torch import nn

from helpers.memory.observer import Observer
from helpers.memory.torch_private import FakeTensor, FakeTensorMode
from helpers.problems import Problem


@contextmanager
def nothing_left_outside(model: nn.Module, fake: FakeTensorMode, observer: Observer) -> Iterator[None]:
    """Afterwards nobody holds a tensor of `fake`, so that nothing real meets one later.

    A cache is emptied; entries of dictionaries, lists and sets go; attributes of `model` get back what they are now.
    Of any other variable the old value is not known: it becomes None, and `Problem` is raised.

    observer: of a copy of the model, which goes here.
    """
    attributes = {id(vars(module)): vars(module).copy() for module in model.modules()}
    copies = [weakref.ref(module) for module in observer.model.modules()]

    def take_out() -> set[str]:
        observer.let_go()
        if not observer.has_leftovers:
            return set()
        if any(copy() is not None for copy in copies):
            gc.collect()  # it holds itself
        return _take_out(fake, attributes)

    try:
        yield
    except BaseException as error:
        while error is not None:
            clear_frames(error.__traceback__)  # they hold the copy
            error = error.__context__
        take_out()
        raise
    if lost := take_out():
        raise Problem(
            f"the model keeps tensors outside itself, in {' and in '.join(sorted(lost))}. Those of a trace have no "
            "numbers, and what was there before is not known: it is None now. Keep them in the model, with "
            "register_buffer; or run the model once before the trace."
        )


def _take_out(fake: FakeTensorMode, attributes: dict[int, dict]) -> set[str]:
    """Take the tensors of `fake` out of all that holds them; the names of variables that could not be put back."""
    # Not isinstance: it wakes objects that only stand for something that is not there yet.
    held = [each for each in gc.get_objects() if type(each) is FakeTensor and each.fake_mode is fake]
    lost: set[str] = set()
    ours = {id(each) for each in attributes.values()}
    while held:
        ids, outer = {id(each) for each in held}, []
        ours |= {id(held), id(outer)}
        for holder in _holders(held, ours):
            if isinstance(holder, tuple) or _is_a_value(holder, ours):
                outer.append(holder)  # not this, but its place in what holds it
            else:
                lost.update(_empty(holder, ids, attributes))
        held = outer
    return lost


def _holders(held: list, ours: set[int]) -> list:
    return [each for each in gc.get_referrers(*held) if id(each) not in ours and not isinstance(each, FrameType)]


def _is_a_value(holder: object, ours: set[int]) -> bool:
    """Whether this dictionary is nothing that somebody named, but an entry of a cache or of another dictionary."""
    if type(holder) is not dict or _owner(holder):
        return False
    return any(
        hasattr(each, "cache_clear") or isinstance(each, tuple) or type(each) is dict and not _owner(each)
        for each in _holders([holder], ours)
    )


def _empty(holder: object, ids: set[int], attributes: dict[int, dict]) -> Iterator[str]:
    """Take the objects with these ids out of `holder`; gives the names of variables that could not be put back."""
    if isinstance(holder, list):
        holder[:] = [each for each in holder if id(each) not in ids]
    elif isinstance(holder, set):
        holder.difference_update([each for each in holder if id(each) in ids])
    elif hasattr(holder, "cache_clear"):
        holder.cache_clear()
    elif id(holder) in attributes:
        holder.clear()
        holder.update(attributes[id(holder)])
    elif isinstance(holder, dict):
        owner = _owner(holder)
        for name in [name for name, value in holder.items() if id(value) in ids]:
            if owner is None:
                del holder[name]
            else:
                setattr(owner, name, None)
                yield f"{getattr(owner, '__name__', type(owner).__name__)}.{name}"
    elif hasattr(holder, "cell_contents"):
        holder.cell_contents = None
        yield "a variable of a function around it"
    elif hasattr(holder, "__dict__"):  # an object whose attributes Python has not put into a dictionary yet
        yield from _empty(vars(holder), ids, attributes)


def _owner(variables: dict) -> object:
    """The module, class or object whose variables these are, if it is one's."""
    for each in gc.get_referrers(variables):
        own = getattr(each, "__dict__", None)
        if own is variables or isinstance(each, type) and all(own.get(name) is variables[name] for name in variables):
            return each
    return None
