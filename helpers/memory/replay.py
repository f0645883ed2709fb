"""The births and deaths of a step, put through CUDA's caching allocator: what is allocated and reserved at most."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from helpers.memory.allocator import Allocator, OutOfMemory, Usage
from helpers.memory.gpus import borrows, kept_by
from helpers.memory.records import Category, Moment, Observation

STEPS = 4  #: played at most until a step reserves nothing more


def replay(seen: Observation, workspace: int, torch_version: str, capacity: int | None = None) -> Usage:
    """The most bytes requested and allocated in a steady step, and reserved by then, from the start of the program on.

    The program is the usual one: the model goes to the GPU, then come steps; in the first one the optimizer makes its
    state. workspace: bytes that cuBLAS borrows. capacity: what PyTorch can have of the GPU; raises `OutOfMemory` where
    that is not enough.
    """
    program = Program(seen, Allocator(capacity), workspace, torch_version)
    state = [number for number in seen.began_with if seen.labels.get(number) is Category.OPTIMIZER_STATE]
    program.begin([number for number in seen.began_with if number not in set(state)])
    try:
        program.step(makes=state)
        for _ in range(STEPS - 1):
            reserved = program.allocator.peak.reserved
            program.step()
            if program.allocator.peak.reserved == reserved:
                break
    except OutOfMemory as full:
        full.at = program.at
        raise
    return program.allocator.peak


@dataclass
class Program:
    """A program that repeats one step, on an allocator."""

    seen: Observation
    allocator: Allocator
    workspace: int
    torch_version: str
    keys: dict[int, tuple[int, int]] = field(default_factory=dict)  # under which a storage is known to the allocator
    steps: int = 0
    kept: set[tuple[bool, str]] = field(default_factory=set)  # workspaces that a thread has for good
    at: Moment | None = None  # what runs now

    def begin(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._born(number)

    def step(self, makes: Sequence[int] = ()) -> None:
        """One step. makes: what it makes at the beginning of step(), the optimizer's state, which stays."""
        self.steps += 1
        self.allocator.reset_peak()
        begun = set(self.keys)
        for moment in self.seen.moments:
            self.at = moment
            now = makes if moment.phase == "step" else ()
            self._moment(moment, now)
            if now:
                begun.update(makes)
                makes = ()
        self._stand_in(begun)

    def give_workspaces(self, operation: str, thread: bool) -> None:
        """A thread takes its workspaces for good, at its first matrix product, and its first one with a bias."""
        for name, size in kept_by(operation, self.workspace, self.torch_version).items():
            if (thread, name) not in self.kept:
                self.kept.add((thread, name))
                self.allocator.allocate((name, thread), size)

    def _moment(self, moment: Moment, makes: Sequence[int]) -> None:
        at_once = {number for number in moment.gone if number in moment.born}
        for number in moment.gone:  # the storages that went since the operation before
            if number not in at_once and number != moment.into:
                self._gone(number)
        self.begin(makes)
        for number in moment.born:
            if moment.into in self.keys:
                self.keys[number] = self.keys.pop(moment.into)
            else:
                self._born(number)
        self.give_workspaces(moment.op, moment.phase == "backward")  # backward has a thread of its own
        product = borrows(moment.op, self.workspace, self.torch_version)
        inner = [*moment.inner]
        for number in inner:
            self._born(number)
        self.allocator.allocate("workspace", product)
        self.allocator.free("workspace")
        for number in (*inner, *at_once):
            self._gone(number)

    def _stand_in(self, begun: set[int]) -> None:
        """What a step leaves alive takes the part of what it began with and let go, buffer for buffer."""
        missing = [number for number in sorted(begun) if number not in self.keys]
        for number in [number for number in self.keys if number not in begun]:
            like = (self.seen.labels.get(number), self.seen.sizes[number])
            same = [old for old in missing if (self.seen.labels.get(old), self.seen.sizes[old]) == like]
            if same:
                missing.remove(same[0])
                self.keys[same[0]] = self.keys.pop(number)
            else:
                self._gone(number)

    def _born(self, number: int) -> None:
        if number not in self.seen.on_host:
            self.keys[number] = key = (self.steps, number)
            self.allocator.allocate(key, self.seen.sizes[number])

    def _gone(self, number: int) -> None:
        key = self.keys.pop(number, None)
        if key is not None:
            self.allocator.free(key)
