"""What PyTorch's caching allocator for CUDA makes of a sequence of requests: blocks and segments, by its own rules.

PyTorch does not ask CUDA for every tensor. It takes segments from CUDA, cuts blocks from them, and keeps both when a
tensor goes. Three numbers come of it, each at least as large as the one before: *requested* (bytes that were asked
for), *allocated* (bytes of the blocks in use, ``torch.cuda.max_memory_allocated``) and *reserved* (bytes of all
segments, ``torch.cuda.max_memory_reserved``; with the CUDA context, what nvidia-smi shows).

The rules and the constants are those of c10/cuda/CUDACachingAllocator.cpp and c10/core/AllocatorConfig.h with default
settings and one stream; the name of the function there stands beside each. One thing is assumed: CUDA gives each new
segment a higher address than the one before (it decides only between free blocks of equal size).
"""

from bisect import bisect_left, insort
from collections.abc import Hashable
from dataclasses import astuple, dataclass, field

from helpers.units import MIB

BLOCK = 512  #: bytes; every request is rounded up to a multiple (kMinBlockSize)
SMALL = 1 * MIB  #: the largest request that goes to the pool of small blocks (kSmallSize)
SMALL_SEGMENT = 2 * MIB  #: (kSmallBuffer)
SHARED_SEGMENT = 20 * MIB  #: for a request above SMALL and below OWN_SEGMENT (large_segment_size)
OWN_SEGMENT = 10 * MIB  #: from here on, a request gets a segment of its own (kMinLargeAlloc) ...
SEGMENT_STEP = 2 * MIB  #: ... of a multiple of this size (kRoundLarge)


@dataclass
class Usage:
    """Bytes at one moment, or the most bytes at any moment."""

    requested: int = 0
    allocated: int = 0
    reserved: int = 0


@dataclass(slots=True, eq=False)
class _Block:
    """A piece of a segment."""

    pool: "_Pool"
    address: int
    size: int
    before: "_Block | None" = None  #: its neighbours in the segment
    after: "_Block | None" = None
    requested: int | None = None  #: None: the block is free


@dataclass(slots=True, eq=False)
class _Pool:
    """Blocks of one kind; the free ones in the order of size, then address."""

    least_rest: int  #: bytes; a smaller rest of a block is not split off (should_split)
    order: list[tuple[int, int]] = field(default_factory=list)
    free: dict[tuple[int, int], _Block] = field(default_factory=dict)

    def put(self, block: _Block) -> None:
        insort(self.order, (block.size, block.address))
        self.free[block.size, block.address] = block

    def take(self, place: int) -> _Block:
        return self.free.pop(self.order.pop(place))

    def remove(self, block: _Block) -> None:
        self.take(bisect_left(self.order, (block.size, block.address)))

    def best_fit(self, size: int) -> _Block | None:
        """The smallest free block that is large enough, at the lowest address (get_free_block)."""
        place = bisect_left(self.order, (size, 0))
        return self.take(place) if place < len(self.order) else None


class OutOfMemory(Exception):
    """CUDA has no room for another segment of `tried` bytes.

    now: what PyTorch holds at that moment. at: the moment of the step, where a step is played (`replay`).
    """

    def __init__(self, tried: int = 0, now: Usage | None = None):
        super().__init__("no room for another segment")
        self.tried, self.now = tried, now or Usage()
        self.at: object = None


class Allocator:
    """The state of the caching allocator, from an empty one on. A request is known by any key of yours.

    capacity: bytes that CUDA can give; None for no limit. Beyond it, segments without a block in use go back to CUDA,
    and if that is not enough, `allocate` raises `OutOfMemory`.
    """

    def __init__(self, capacity: int | None = None):
        self.capacity = capacity
        self.now, self.peak = Usage(), Usage()
        self._small, self._large = _Pool(least_rest=BLOCK), _Pool(least_rest=SMALL + 1)
        self._used: dict[Hashable, _Block] = {}
        self._end = 0  # of the addresses

    def allocate(self, key: Hashable, size: int) -> int:
        """Find room for `size` bytes; returns the bytes of the block (malloc). No bytes take no block."""
        if size == 0:
            return 0
        rounded = round_up(size, BLOCK)
        pool = self._small if rounded <= SMALL else self._large
        block = pool.best_fit(rounded) or self._new_segment(pool, rounded)
        rest = block.size - rounded
        if rest >= pool.least_rest:
            after = _Block(pool, block.address + rounded, rest, block, block.after)
            if after.after is not None:
                after.after.before = after
            block.size, block.after = rounded, after
            pool.put(after)
        block.requested = size
        self._used[key] = block
        self._count(size, block.size)
        return block.size

    def free(self, key: Hashable) -> None:
        """The block is free again and merges with free neighbours (free_block, try_merge_blocks)."""
        block = self._used.pop(key, None)
        if block is None:  # it had no bytes
            return
        self._count(-block.requested, -block.size)
        block.requested = None
        pool, before, after = block.pool, block.before, block.after
        if after is not None and after.requested is None:
            pool.remove(after)
            _join(block, after)
        if before is not None and before.requested is None:
            pool.remove(before)
            _join(before, block)
            block = before
        pool.put(block)

    def reset_peak(self) -> None:
        """As ``torch.cuda.reset_peak_memory_stats``: what is in use now is the new peak."""
        self.peak = Usage(*astuple(self.now))

    def release(self) -> None:
        """Give segments without a block in use back to CUDA (release_cached_blocks, ``torch.cuda.empty_cache``)."""
        for pool in (self._large, self._small):
            for block in [block for block in pool.free.values() if block.before is None and block.after is None]:
                pool.remove(block)
                self.now.reserved -= block.size

    def _new_segment(self, pool: _Pool, size: int) -> _Block:
        """A segment as one free block (get_allocation_size, alloc_block)."""
        if size <= SMALL:
            size = SMALL_SEGMENT
        else:
            size = SHARED_SEGMENT if size < OWN_SEGMENT else round_up(size, SEGMENT_STEP)
        if self.capacity is not None and self.now.reserved + size > self.capacity:
            self.release()
            if self.now.reserved + size > self.capacity:
                raise OutOfMemory(size, Usage(*astuple(self.now)))
        self.now.reserved += size
        self.peak.reserved = max(self.peak.reserved, self.now.reserved)
        self._end += size
        return _Block(pool, self._end - size, size)

    def _count(self, requested: int, allocated: int) -> None:
        now, peak = self.now, self.peak
        now.requested += requested
        now.allocated += allocated
        peak.requested = max(peak.requested, now.requested)
        peak.allocated = max(peak.allocated, now.allocated)


def round_up(size: int, step: int) -> int:
    """The next multiple of `step` (round_size)."""
    return -(-size // step) * step


def _join(block: _Block, after: _Block) -> None:
    block.size += after.size
    block.after = after.after
    if block.after is not None:
        block.after.before = block
