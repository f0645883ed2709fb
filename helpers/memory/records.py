"""The records of a training step: what is observed, and what `trace` and `measure` give back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, partial
from typing import NamedTuple

from helpers.memory.allocator import OutOfMemory, Usage
from helpers.memory.reductions import Sum
from helpers.problems import whole_number
from helpers.units import exact_and_readable, readable


class Category(StrEnum):
    """What a byte of training memory can belong to, in the order in which figures stack them."""

    PARAMETERS = "parameters"
    BUFFERS = "buffers"
    GRADIENTS = "gradients"
    OPTIMIZER_STATE = "optimizer state"
    ACTIVATIONS = "activations"
    BATCH = "batch"
    TEMPORARIES = "temporaries"
    WORKSPACE = "workspace"

    __repr__ = str.__repr__  # a dictionary by category prints like one by name, and each name finds its entry


CATEGORIES = tuple(Category)
PHASES = ("forward", "backward", "step")


class Moment(NamedTuple):
    """One operation of a step, and the storages that came and went since the one before, by their ids."""

    phase: str
    layer: str
    op: str
    born: tuple[int, ...]
    gone: tuple[int, ...]
    inner: tuple[int, ...] = ()  #: what CUDA's kernel takes and gives back inside the operation
    into: int | None = None  #: the storage that went, where the one that came is written in its place


@dataclass(frozen=True)
class Kept:
    """A tensor that autograd keeps for a layer."""

    layer: str
    what: str
    number: int  #: the id of its storage
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Observation:
    """What happened in one steady step, as plain facts: no model and no tensor stays alive through it."""

    on_cuda: bool  #: whether the bytes are those of a GPU, where each storage is rounded up
    sizes: dict[int, int]  #: bytes of each storage, by its id
    labels: dict[int, Category]  #: of the storages; those without one are temporary
    on_host: frozenset[int]  #: ids of what lies in the computer's own memory and takes none of the GPU's
    began_with: tuple[int, ...]  #: ids of what was alive when the step began
    moments: tuple[Moment, ...]
    saved: tuple[Kept, ...]  #: of one micro-batch
    sums: dict[int, Sum]  #: what CUDA adds up, by the place of the moment
    corrections: tuple["Correction", ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Event:
    """The bytes that are alive right after one operation."""

    phase: str  #: "forward", "backward" or "step"
    layer: str  #: "1 (Linear)"; in `step` empty
    op: str  #: PyTorch's name of the operation: "addmm", "threshold_backward", "_foreach_sqrt"
    live: dict[str, int]  #: bytes of every category

    @property
    def total(self) -> int:
        return sum(self.live.values())


@dataclass(frozen=True)
class Saved:
    """One tensor that a layer keeps for backward."""

    layer: str
    tensor: str  #: "input", "output", a parameter's name, "mask", "indices", "computed inside", "float16 copy of input"
    shape: tuple[int, ...]
    dtype: str
    bytes: int  #: of its storage
    shared_with: str  #: who holds the same storage already ("parameters", "batch", a layer); "" if it is counted here


@dataclass(frozen=True)
class Correction:
    """One thing that CUDA does otherwise than the CPU, put right in this record."""

    name: str
    what: str  #: in a sentence
    source: str  #: where PyTorch says so


def as_counted(usage: Usage, capacity: int | None = None) -> Usage:
    """What was counted, where no allocator has to be asked; raises `OutOfMemory` where more was reserved."""
    if capacity is not None and usage.reserved > capacity:
        raise OutOfMemory
    return usage


@dataclass(frozen=True)
class Trace:
    """The memory of one steady training step: what lives when, and what the most is."""

    batch_size: int
    timeline: tuple[Event, ...]
    saved: tuple[Saved, ...]
    requested: int  #: peak bytes as asked for, before the allocator rounds each up
    corrections: tuple[Correction, ...] = ()
    notes: tuple[str, ...] = ()  #: what this record leaves out, in sentences
    allocator: dict[str, int] = field(default_factory=dict)  #: filled by `measure`: CUDA's own counters, in bytes
    usage: Callable[..., Usage] = field(
        default=partial(as_counted, Usage()), compare=False, repr=False
    )  #: works out the two below, when asked

    @cached_property
    def _usage(self) -> Usage:
        return self.usage()

    @property
    def allocated(self) -> int:
        """The most bytes of blocks in use at once, as ``torch.cuda.max_memory_allocated`` shows for a steady step."""
        return self._usage.allocated

    @property
    def reserved(self) -> int:
        """The most bytes that PyTorch has taken from CUDA by then, as ``torch.cuda.max_memory_reserved`` shows."""
        return self._usage.reserved

    def fits(self, capacity: int) -> bool:
        """Whether PyTorch finds room for the step within so many bytes: it refuses when CUDA has no segment to give.

        Raises `Problem` if capacity is not a whole number of at least 1.
        """
        try:
            self.usage(capacity=whole_number("capacity", capacity, 1))
        except OutOfMemory:
            return False
        return True

    @property
    def _top(self) -> Event:
        return max(self.timeline, key=lambda event: event.total)  # the first, where several are equal

    @property
    def peak(self) -> int:
        """The most bytes alive at once."""
        return self._top.total

    @property
    def peak_phase(self) -> str:
        return self._top.phase

    @property
    def peak_layer(self) -> str:
        return self._top.layer

    @property
    def peak_op(self) -> str:
        return self._top.op

    @property
    def at_peak(self) -> dict[str, int]:
        """Bytes of every category at the peak; they add up to `peak`."""
        return dict(self._top.live)

    @property
    def peaks(self) -> dict[str, int]:
        """The most bytes alive at once in each phase that ran."""
        highest: dict[str, int] = {}
        for event in self.timeline:
            highest[event.phase] = max(highest.get(event.phase, 0), event.total)
        return highest

    @property
    def most(self) -> dict[str, int]:
        """The most bytes of each category at any moment of the step; not all at the same moment."""
        return {name: max(event.live[name] for event in self.timeline) for name in CATEGORIES}

    @property
    def largest(self) -> str:
        """The category with the most bytes at the peak."""
        return max(self.at_peak, key=self.at_peak.get)

    @property
    def sentence(self) -> str:
        where = f" in {self.peak_layer}" if self.peak_layer else ""
        parts = [f"{name} {readable(size)}" for name, size in self.at_peak.items() if size]
        return (
            f"B = {self.batch_size:,}: peak {exact_and_readable(self.peak)}, during {self.peak_phase}{where}, "
            f"operation {self.peak_op}. {', '.join(parts)}. Largest: {self.largest}."
            + "".join(f" {note}" for note in self.notes)
        )
