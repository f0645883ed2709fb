"""`any_batch`: the traces of all batch sizes for the price of three."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import repeat

from torch import nn

from helpers.memory.records import Observation, Trace
from helpers.memory.reductions import Sum
from helpers.memory.report import report
from helpers.memory.step import checked, make_plan, takes_settings
from helpers.memory.tracer import fake_run, trace
from helpers.problems import Problem, whole_number

_MICRO = (2, 3, 64)  # samples in a micro-batch: two for the line, a third to see that it is one
Line = tuple[int, int]  # the value at 0, and the slope


@takes_settings
def any_batch(
    model: nn.Module, sample_shape: Sequence[int] | None = None, **settings: object
) -> Callable[[int], Trace]:
    """A function of the batch size that gives what `trace` gives, in about a millisecond.

    Every storage of a step has a size of the form a + b x B. Observations of B = 2, 3 and 64 show a and b of each; with
    them the step is reported for any other B. Where the sizes are not on a line, or the operations are not the same, or
    the model does not take these batches, the function traces every batch size by itself. A model that takes another
    way for larger batches only is not noticed.

    sample_shape and settings: those of `trace`, without batch_size. Raises `Problem` as `trace` does.
    """
    how = checked(settings, without=("batch_size",), why="is what the function that any_batch gives is called with")
    plans = [make_plan(model, sample_shape, micro * how.accumulate, **settings) for micro in _MICRO]

    def directly(batch_size: int) -> Trace:
        return trace(model, sample_shape, batch_size, **settings)

    try:
        observations = [fake_run(model, plan) for plan in plans]
    except Problem:
        return directly
    first = _way(observations[0])
    if any(_way(each) != first for each in observations[1:]):
        return directly
    sizes = {number: _line([each.sizes[number] for each in observations]) for number in first.sizes}
    shapes = [
        tuple(_line(axis) for axis in zip(*shapes, strict=True))
        for shapes in zip(*([kept.shape for kept in each.saved] for each in observations), strict=True)
    ]
    sums = {place: _lines_of([each.sums[place] for each in observations]) for place in first.sums}
    if None in sizes.values() or any(None in shape for shape in [*shapes, *sums.values()]):
        return directly
    every = how.accumulate

    def replayed(batch_size: int) -> Trace:
        micro, rest = divmod(whole_number("batch_size", batch_size, 1), every)
        if rest or micro < min(_MICRO):  # not allowed, or a batch of 1, which some layers refuse
            return directly(batch_size)

        def at(line: Line) -> int:
            return line[0] + line[1] * micro

        saved = [replace(kept, shape=tuple(map(at, shape))) for kept, shape in zip(first.saved, shapes, strict=True)]
        now = replace(
            first,
            sizes={number: at(line) for number, line in sizes.items()},
            saved=tuple(saved),
            sums={place: _with_numbers(first.sums[place], map(at, lines)) for place, lines in sums.items()},
        )
        return report(now, batch_size, how.on_gpu, how.torch_version)

    return replayed


def _way(seen: Observation) -> Observation:
    """What a step did, without what may depend on the batch size."""
    saved = tuple(replace(kept, shape=(0,) * len(kept.shape)) for kept in seen.saved)
    sums = {place: _with_numbers(what, repeat(0)) for place, what in seen.sums.items()}
    return replace(seen, sizes=dict.fromkeys(seen.sizes, 0), saved=saved, sums=sums)


def _lines_of(sums: Sequence[Sum]) -> tuple[Line | None, ...]:
    """The line of each size and stride, in the order in which `_with_numbers` takes them."""
    numbers = ([number for axis in (*each.kept, *each.summed) for number in axis] for each in sums)
    return tuple(_line(values) for values in zip(*numbers, strict=True))


def _with_numbers(what: Sum, numbers: Iterable[int]) -> Sum:
    """The sum with other sizes and strides."""
    numbers = iter(numbers)
    kept, summed = (tuple((next(numbers), next(numbers)) for _ in axes) for axes in (what.kept, what.summed))
    return Sum(kept, summed, what.accumulated)


def _line(values: Sequence[int]) -> Line | None:
    """The line through three values at `_MICRO`; None if there is no such line."""
    slope, rest = divmod(values[1] - values[0], _MICRO[1] - _MICRO[0])
    at_zero = values[0] - slope * _MICRO[0]
    return (at_zero, slope) if not rest and values[2] == at_zero + slope * _MICRO[2] else None
