"""`any_batch`: the traces of all batch sizes for the price of three."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import nn

from helpers.memory.records import Saved, Trace
from helpers.memory.step import make_plan
from helpers.memory.tracer import Bookkeeper, fake_run, trace
from helpers.problems import Problem, whole_number

_MICRO = (2, 3, 64)  # samples in a micro-batch: two for the line, a third to see that it is one


def any_batch(
    model: nn.Module, sample_shape: Sequence[int] | None = None, **settings: object
) -> Callable[[int], Trace]:
    """A function of the batch size that gives what `trace` gives, in about a millisecond.

    Every storage of a step has a size of the form a + b x B. Traces of B = 2, 3 and 64 show a and b of each; with them
    the log of the step is replayed for any other B. Where the sizes are not on a line, or the operations are not the
    same, or the model does not take these batches, the function traces every batch size by itself. A model that takes
    another way for larger batches only is not noticed.

    sample_shape and settings: those of `trace`, without batch_size. Raises `Problem` as `trace` does.
    """
    every = whole_number("accumulate", settings.get("accumulate", 1), 1)

    def directly(batch_size: int) -> Trace:
        return trace(model, sample_shape, batch_size, **settings)

    if "batch_size" in settings:
        raise Problem("batch_size is what the function that any_batch gives is called with; leave it out.")
    try:
        runs = [_run(model, sample_shape, micro * every, settings) for micro in _MICRO]
    except Problem:
        return directly
    written = [run.write() for run in runs]
    sizes = [_line(of_one) for of_one in zip(*(run.sizes for run in runs), strict=False)]
    if any(_way(run) != _way(runs[0]) for run in runs) or None in sizes:
        return directly
    saved = list(zip(*(trace_.saved for trace_ in written), strict=True))

    def replayed(batch_size: int) -> Trace:
        micro, rest = divmod(whole_number("batch_size", batch_size, 1), every)
        if rest or micro < min(_MICRO):  # not allowed, or a batch of 1, which some layers refuse
            return directly(batch_size)
        run = copy.copy(runs[0])
        run.plan = replace(run.plan, batch_size=batch_size)
        run.sizes = [at_zero + slope * micro for at_zero, slope in sizes]
        return replace(run.write(), saved=tuple(_saved_at(rows, micro) for rows in saved))

    return replayed


def _run(model: nn.Module, sample_shape: object, batch_size: int, settings: dict[str, object]) -> Bookkeeper:
    return fake_run(model, make_plan(model, sample_shape, batch_size, **settings))


def _way(run: Bookkeeper) -> tuple:
    """What a step did, without the sizes: operations in order, what was born and gone before each, and what it is."""
    operations, since = [], []
    for entry in run.log:
        if entry[0] == "op":
            operations.append((entry[1:], sorted(since)))
            since = []
        else:
            since.append(entry)
    saved = [(call.layer, number, dtype) for call, number, _, dtype in run.saved]
    return run.alive, operations, run.labels, run.ledger.on_host, run.widened, saved


def _line(values: tuple[int, ...]) -> tuple[int, int] | None:
    """The value at 0 and the slope of the line through three values at `_MICRO`; None if there is no such line."""
    slope, rest = divmod(values[1] - values[0], _MICRO[1] - _MICRO[0])
    at_zero = values[0] - slope * _MICRO[0]
    return (at_zero, slope) if not rest and values[2] == at_zero + slope * _MICRO[2] else None


def _saved_at(rows: tuple[Saved, ...], micro: int) -> Saved:
    """A line of the table of saved tensors, at another micro-batch."""

    def at(values: tuple[int, ...]) -> int:
        line = _line(values)
        return line[0] + line[1] * micro

    shape = tuple(at(sizes) for sizes in zip(*(row.shape for row in rows), strict=True))
    return replace(rows[0], shape=shape, bytes=at(tuple(row.bytes for row in rows)))
