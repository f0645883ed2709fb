"""A GPU that is not there: it takes a training step or refuses it, in the words of a real one."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from helpers.memory.allocator import OutOfMemory, Usage
from helpers.memory.gpus import GPUS
from helpers.memory.records import Trace
from helpers.memory.step import checked
from helpers.memory.tracer import trace
from helpers.problems import InWords, one_of, whole_number
from helpers.units import GIB, MIB


class SimulatedOutOfMemoryError(InWords, torch.OutOfMemoryError):
    """What a `SimulatedGpu` raises; ``except torch.OutOfMemoryError`` catches it like a real one.

    phase, layer, operation: of the step, where it stopped.
    """

    def __init__(self, text: str, phase: str, layer: str, operation: str):
        super().__init__(text)
        self.phase, self.layer, self.operation = phase, layer, operation


@dataclass(frozen=True)
class SimulatedGpu:
    """One of the GPUs in `GPUS`, as PyTorch's allocator would fill it: no GPU is needed, and nothing of that size.

    name: in `GPUS`. context: bytes that the CUDA context takes. It differs with GPU, driver and PyTorch: 128 MiB in a
    T4's error text, 771 MiB measured on an H100.
    """

    name: str
    context: int = 512 * MIB

    def __post_init__(self) -> None:
        one_of("name", self.name, tuple(GPUS))
        whole_number("context", self.context, 0, self.capacity - 1)

    @property
    def capacity(self) -> int:
        """Bytes in all."""
        return GPUS[self.name].capacity

    @property
    def room(self) -> int:
        """Bytes that PyTorch can have: all but the context."""
        return self.capacity - self.context

    def step(
        self, model: nn.Module, sample_shape: Sequence[int] | None = None, batch_size: int | None = None, **how: object
    ) -> Trace:
        """Some training steps from the start of a program: the trace of a steady one, if all find room.

        Arguments as for `trace`, without gpu and device. Raises `SimulatedOutOfMemoryError` if a step does not fit, in
        PyTorch's own words with the numbers of this simulation, and `Problem` as `trace` does.
        """
        checked(how, without=("gpu", "device"), why="is what this object stands for")
        predicted = trace(model, sample_shape, batch_size, gpu=self.name, **how)
        try:
            predicted.usage(capacity=self.room)
        except OutOfMemory as full:
            stopped = self._refuse(full)
        else:
            return predicted
        raise stopped

    def _refuse(self, full: OutOfMemory) -> SimulatedOutOfMemoryError:
        text = out_of_memory_text(full.tried, full.now, self.capacity, self.context)
        return SimulatedOutOfMemoryError(text, full.at.phase, full.at.layer, full.at.op)


def out_of_memory_text(tried: int, now: Usage, capacity: int, context: int) -> str:
    """What PyTorch says where CUDA has no more (c10/cuda/CUDACachingAllocator.cpp, malloc), in bytes given.

    tried: the segment that it asked CUDA for, which is larger than a small tensor. now: what it holds at that moment.
    """
    used = now.reserved + context
    return (
        f"CUDA out of memory. Tried to allocate {_size(tried)}. GPU 0 has a total capacity of {_size(capacity)} of "
        f"which {_size(capacity - used)} is free. Including non-PyTorch memory, this process has {_size(used)} memory "
        f"in use. Of the allocated memory {_size(now.allocated)} is allocated by PyTorch, and "
        f"{_size(now.reserved - now.allocated)} is reserved by PyTorch but unallocated. If reserved but unallocated "
        "memory is large try setting PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to avoid fragmentation.  See "
        "documentation for Memory Management  "
        "(https://docs.pytorch.org/docs/stable/notes/cuda.html#optimizing-memory-usage-with-pytorch-cuda-alloc-conf)"
    )


def _size(n_bytes: int) -> str:
    """As PyTorch writes it (format_size)."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (1024, "KiB")):
        if n_bytes > unit:
            return f"{n_bytes / unit:.2f} {name}"
    return f"{n_bytes} bytes"
