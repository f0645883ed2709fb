"""`max_batch`: the largest batch that fits, found by search, and the straight line's answer beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from types import FunctionType

from torch import nn

from helpers.memory.any_batch import any_batch
from helpers.memory.gpus import GPUS, MOST_CAPACITY
from helpers.memory.records import Category, Trace
from helpers.memory.step import MOST_MICRO_BATCHES, checked, takes_settings
from helpers.memory.tracer import trace
from helpers.problems import Problem, instance_of, one_of, said, whole_number
from helpers.units import readable

_MOST = 2**31
#: What is the same for every batch size.
FIXED = (Category.PARAMETERS, Category.BUFFERS, Category.GRADIENTS, Category.OPTIMIZER_STATE)


@dataclass(frozen=True)
class MaxBatch:
    """How many samples one training step can see within `capacity` bytes."""

    capacity: int
    exact: int  #: the largest batch size for which PyTorch finds room; 0 if there is none
    formula: int  #: (capacity - fixed) / per_sample, as a straight line says
    fixed: int  #: bytes: where the line through the peaks of two batch sizes, step() left out, meets B = 0
    per_sample: float  #: bytes: the slope of that line
    fits: Trace | None  #: the trace at `exact`
    too_large: Trace  #: the trace of the next batch size

    @property
    def refused_by(self) -> str:
        """What is too much for the next batch size.

        "allocated": its blocks alone; "reserved": they would fit, but not the segments that PyTorch cuts them from.
        """
        return "allocated" if self.too_large.allocated > self.capacity else "reserved"

    @property
    def sentence(self) -> str:
        large, room = self.too_large, readable(self.capacity)
        needs = f"B = {large.batch_size:,} needs {readable(large.allocated)} allocated during {large.peak_phase}"
        if self.refused_by == "reserved":
            needs += ", and more reserved than that"
        line = f"The straight line says {self.formula:,}."
        if self.fits is None:
            return f"Nothing fits into {room}: {needs}. {line}"
        has = f"{readable(self.fits.allocated)} allocated, during {self.fits.peak_phase}"
        return f"B = {self.exact:,} fits into {room} with {has}; {needs}. {line}"


@takes_settings
def max_batch(
    model: nn.Module, capacity: int | str, sample_shape: Sequence[int] | None = None, **settings: object
) -> MaxBatch:
    """The largest batch size whose training step fits into `capacity` bytes.

    capacity: bytes, or the name of a GPU in `GPUS` for all its bytes (then its workspace is counted too). Leave room
    for the CUDA context, some hundred MiB, which is not PyTorch's. sample_shape and settings: those of `trace`, without
    batch_size. With accumulate=k the answer is a multiple of k.

    PyTorch refuses when CUDA has no segment left to give, after all that is cached and free went back: `replay` plays
    the step with that capacity. Two neighbours settle the answer: `any_batch` finds them, and each is traced by itself.
    Near the limit blocks may fall so that a larger batch fits again; the first that does not is the end here. Raises
    `Problem` as `trace` does.
    """
    if isinstance(capacity, str):
        settings = {"gpu": one_of("capacity", capacity, tuple(GPUS))} | settings
        capacity = GPUS[capacity].capacity
    capacity = whole_number("capacity", capacity, 1, MOST_CAPACITY)
    every = checked(settings, without=("batch_size",), why="is what max_batch looks for").accumulate
    quickly = any_batch(model, sample_shape, **settings)

    @cache
    def at(micro: int) -> Trace:
        return quickly(micro * every)

    @cache
    def surely(micro: int) -> Trace:
        return trace(model, sample_shape, micro * every, **settings)

    formula, fixed, slope = _straight_line(at, capacity)
    near = _largest(lambda micro: at(micro).fits(capacity), start=max(formula, 1))
    exact = _largest(lambda micro: surely(micro).fits(capacity), start=max(near, 1))
    return MaxBatch(
        capacity,
        exact * every,
        formula * every,
        fixed,
        slope / every,
        surely(exact) if exact else None,
        surely(exact + 1),
    )


def max_batch_of(at: Callable[[int], Trace], capacity: int, every: int = 1) -> int:
    """The largest batch size that fits, where the traces are at hand; 0 if there is none. See `max_batch`.

    at: what `any_batch` gives; every: its accumulate.
    """
    capacity = whole_number("capacity", capacity, 1, MOST_CAPACITY)
    micro_batch = _by_micro_batch(at, every)
    start = max(_straight_line(micro_batch, capacity)[0], 1)
    return _largest(lambda micro: micro_batch(micro).fits(capacity), start) * every


def _straight_line(at: Callable[[int], Trace], capacity: int) -> tuple[int, int, float]:
    """Where the line through two peaks, step() left out, reaches the capacity; its value at 0, and its slope."""
    formula = 128  # samples in one micro-batch, to begin with
    for _ in range(2):  # first roughly, then with two batch sizes near the answer, as the slope may change on the way
        low = max(formula // 2, 2)
        high = max(formula, low + 64)  # far enough apart that rounding to 512 bytes does not hide the slope
        slope = (_outside_step(at(high)) - _outside_step(at(low))) / (high - low)
        if slope <= 0:
            raise Problem("the model's memory does not grow with the batch, so no batch is the largest.")
        fixed = round(_outside_step(at(low)) - slope * low)
        formula = max(int((capacity - fixed) // slope), 0)
    return formula, fixed, slope


def _by_micro_batch(at: object, every: object) -> Callable[[int], Trace]:
    """The traces by the size of a micro-batch; what does not give any is refused."""
    if not isinstance(at, FunctionType):
        raise Problem(f"at is a {type(at).__name__}; give the function that any_batch(model, sample_shape) gives.")
    every = whole_number("every", every, 1, MOST_MICRO_BATCHES)

    def traced(micro: int) -> Trace:
        try:
            return instance_of("what at gives", at(micro * every), Trace, "any_batch(model, sample_shape)")
        except Problem:
            raise
        except Exception as error:
            raise Problem(f"at gives no trace of B = {micro * every:,}: {said(error)}") from error

    return traced


@takes_settings
def crossover(model: nn.Module, sample_shape: Sequence[int] | None = None, **settings: object) -> int:
    """The smallest batch size whose batch and activations weigh as much as parameters, gradients and optimizer state.

    Below it, what does not depend on the batch is the larger part; above it, the batch is. Each category counts with
    the most that it has during the step. sample_shape and settings: those of `trace`, without batch_size.
    """
    every = checked(settings, without=("batch_size",), why="is what crossover looks for").accumulate
    return crossover_of(any_batch(model, sample_shape, **settings), every)


def crossover_of(at: Callable[[int], Trace], every: int = 1) -> int:
    """The crossover where the traces are at hand. at: what `any_batch` gives; every: its accumulate."""
    traced = _by_micro_batch(at, every)

    def below(micro: int) -> bool:
        most = traced(micro).most
        fixed = sum(most[name] for name in FIXED)
        return most[Category.BATCH] + most[Category.ACTIVATIONS] < fixed

    return (_largest(below, start=64) + 1) * every


def _outside_step(trace_: Trace) -> int:
    return max(size for phase, size in trace_.peaks.items() if phase != "step")


def _largest(fits: Callable[[int], bool], start: int) -> int:
    """The largest whole number that fits, 0 if 1 does not: away from `start` in doubling steps, then by halving."""
    stride = 1
    if fits(start):
        below, above = start, start + 1
        while fits(above):
            if above > _MOST:
                raise Problem(f"a batch of {above:,} samples still fits; the capacity is not the limit here.")
            stride *= 2
            below, above = above, above + stride
    else:
        below, above = start - 1, start
        while below > 0 and not fits(below):
            stride *= 2
            below, above = max(below - stride, 0), below
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (middle, above) if fits(middle) else (below, middle)
    return below
