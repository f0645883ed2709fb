"""What CUDA's sums borrow: where many numbers go into each result, several blocks of threads share the work.

Each block writes what it has added up so far into a buffer, and the last one adds those. The rules are those of
aten/src/ATen/native/cuda/Reduce.cuh (its functions are named beside them), the order of the axes that of
aten/src/ATen/TensorIterator.cpp. The buffer grows with the number of the GPU's multiprocessors. The largest sum of a
training step is often the gradient of a bias, over all rows of a batch. Measured on an H100, to the byte:
`benchmarks/gpu.py`.
"""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from torch import Tensor

from helpers.memory.gpus import Gpu

_MOST_THREADS = 512  # in a block (mnt_wrapper)
_WARP = 32  # threads that run in step
_LEAST_EACH, _MOST_EACH = 16, 256  # numbers that one thread adds up (min_values_per_thread, max_values_per_thread)
_VECTOR = 4  # numbers that are read at once
_SUMS = {"aten::sum", "aten::mean"}
Axes = tuple[tuple[int, int], ...]  # of each: its size, and its stride in numbers


class Sum(NamedTuple):
    """One sum, by the axes of what goes in."""

    kept: Axes
    summed: Axes
    accumulated: int  #: bytes of a number while it is added up


def sum_of(operation: str, args: tuple, out: object) -> Sum | None:
    """The sum that an operation computes on CUDA, None if it computes none. operation: "aten::..."."""
    if operation == "aten::convolution_backward":  # the gradient of the bias: over all axes but the channels
        return _sum(args[0], [0, *range(2, args[0].dim())]) if args[-1][2] else None
    if operation not in _SUMS or not isinstance(out, Tensor) or not args[0].is_floating_point():
        return None
    x = args[0]
    axes = next((given for given in args[1:2] if isinstance(given, list | tuple) and given), range(x.dim()))
    return _sum(x, [axis % max(x.dim(), 1) for axis in axes])


def _sum(x: Tensor, axes: Sequence[int]) -> Sum:
    every = list(zip(x.shape, x.stride(), strict=True))
    summed = tuple(each for place, each in enumerate(every) if place in axes)
    return Sum(tuple(each for place, each in enumerate(every) if place not in axes), summed, max(x.itemsize, 4))


def buffers(what: Sum, gpu: Gpu) -> tuple[int, ...]:
    """Bytes of the two blocks that the sum borrows at the same time: parts and counters. None if one block suffices."""
    outputs, inputs = (prod(size for size, _ in axes) for axes in (what.kept, what.summed))
    if gpu.multiprocessors is None or outputs * inputs == 0:
        return ()
    kept, summed = _joined(what.kept), _joined(what.summed)
    along = not kept or (bool(summed) and summed[0][1] < kept[0][1])  # what is added up lies side by side
    first, second = (inputs, outputs) if along else (outputs, inputs)
    fastest = ((summed if along else kept) or [(1, 1)])[0][1]
    vector = 1
    if fastest == 1 and along and first >= 128 and not kept and len(summed) == 1:
        first //= _VECTOR
    elif fastest == 1 and not along:
        vector = _vector(kept, summed)
        first //= vector
    width, height = _block(first, second, _MOST_THREADS // vector)
    each, outputs_of_block = (-(-inputs // width), 1) if along else (inputs, width)  # numbers for one thread
    if each < min(height * 16, _MOST_EACH):
        return ()
    each = -(-inputs // ((width if along else 1) * height))
    grid = -(-(outputs // vector) // outputs_of_block)
    target = gpu.multiprocessors * (gpu.threads // (width * height))
    if each < _MOST_EACH or grid > target:
        return ()
    share = max(min(-(-target // grid), -(-each // _LEAST_EACH)), -(-each // _MOST_EACH))  # blocks for one output
    if share <= 1:
        return ()
    parts = what.accumulated * outputs * share * (1 if along else width * vector)  # global_memory_size
    return parts, 4 * grid  # semaphore_size


def _joined(axes: Axes) -> list[tuple[int, int]]:
    """The axes from the smallest stride on, those that follow each other without a gap as one (coalesce_dimensions)."""
    joined: list[tuple[int, int]] = []
    for size, stride in sorted((axis for axis in axes if axis[0] != 1), key=lambda axis: axis[1]):
        if joined and stride == joined[-1][0] * joined[-1][1]:
            joined[-1] = joined[-1][0] * size, joined[-1][1]
        else:
            joined.append((size, stride))
    return joined


def _vector(kept: list[tuple[int, int]], summed: list[tuple[int, int]]) -> int:
    """How many results one thread works on (get_output_vec_size)."""
    vector = _VECTOR
    for number in (kept[0][0], *(stride for _, stride in (*kept[1:], *summed))):
        while number % vector:
            vector //= 2
    return vector


def _block(first: int, second: int, most: int) -> tuple[int, int]:
    """Threads of a block, side by side and above each other (set_block_dimension)."""
    first, second = (most if size >= most else 1 << (size.bit_length() - 1) if size else 1 for size in (first, second))
    height = min(second, most // min(first, _WARP))
    return min(first, most // height), height
