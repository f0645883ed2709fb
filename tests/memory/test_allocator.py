"""The replay of CUDA's caching allocator: its own rules on a hand-made example, and what holds for every sequence."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.memory.allocator import BLOCK, SMALL, Allocator, OutOfMemory, Usage
from helpers.units import MIB


def blocks(allocator: Allocator) -> list[list]:
    """All blocks of each segment, in the order of their addresses: walked from the blocks that have none before."""
    known = {*allocator._used.values(), *allocator._small.free.values(), *allocator._large.free.values()}
    segments = []
    for first in sorted((block for block in known if block.before is None), key=lambda block: block.address):
        chain = [first]
        while chain[-1].after is not None:
            chain.append(chain[-1].after)
        segments.append(chain)
    assert sum(map(len, segments)) == len(known), "a block is in no segment"
    return segments


def test_a_hand_made_example():
    """Each figure from the rules in c10/cuda/CUDACachingAllocator.cpp, with the function's name."""
    allocator = Allocator()

    # 100 bytes: round_size makes 512, at most 1 MiB, so the small pool; get_allocation_size takes a 2 MiB segment.
    assert allocator.allocate("a", 100) == 512
    assert allocator.now == Usage(100, 512, 2 * MIB)

    # 3 MiB + 1: rounds up to 3 MiB + 512, more than 1 MiB: the large pool; below 10 MiB a segment of 20 MiB is taken.
    assert allocator.allocate("b", 3 * MIB + 1) == 3 * MIB + 512
    assert allocator.now == Usage(100 + 3 * MIB + 1, 512 + 3 * MIB + 512, 22 * MIB)

    # 16 MiB fits into the rest of that segment, 17 MiB - 512. What is left, 1 MiB - 512, is not more than 1 MiB, so
    # should_split says no, and the block is the whole rest.
    assert allocator.allocate("c", 16 * MIB) == 17 * MIB - 512
    assert allocator.now == Usage(100 + 19 * MIB + 1, 512 + 20 * MIB, 22 * MIB)

    # 10 MiB: kMinLargeAlloc and above get a segment of their own, a multiple of 2 MiB: here 10 MiB exactly.
    assert allocator.allocate("d", 10 * MIB) == 10 * MIB
    assert allocator.now.reserved == 32 * MIB
    # 11 MiB + 1 is rounded up to a segment of 12 MiB; its rest of 1 MiB - 512 is not split off.
    assert allocator.allocate("e", 11 * MIB + 1) == 12 * MIB
    assert allocator.now.reserved == 44 * MIB

    # Freed blocks stay reserved. Best fit: 9 MiB takes the smallest free block that is large enough, d's 10 MiB, not
    # the 17 MiB at the lower address; the rest of 1 MiB is not *more* than 1 MiB: not split.
    allocator.free("c")
    allocator.free("d")
    assert allocator.allocate("f", 9 * MIB) == 10 * MIB
    # 15 MiB: the 17 MiB - 512 of c; its rest of 2 MiB - 512 is split off, and serves 1 MiB + 512 whole.
    assert allocator.allocate("g", 15 * MIB) == 15 * MIB
    assert allocator.allocate("h", 1 * MIB + 512) == 2 * MIB - 512
    assert allocator.now.reserved == 44 * MIB

    # b, g and h are neighbours: freed in any order, they are one block of 20 MiB again (try_merge_blocks).
    for key in "bhg":
        allocator.free(key)
    assert allocator.allocate("i", 20 * MIB) == 20 * MIB
    assert allocator.now == Usage(100 + 11 * MIB + 1 + 29 * MIB, 512 + 42 * MIB, 44 * MIB)

    # The most at any moment. After e: 100 + (3 MiB + 1) + 16 MiB + 10 MiB + (11 MiB + 1) were asked for; the blocks
    # were 512, the whole 20 MiB of b and c, 10 MiB and 12 MiB.
    assert allocator.peak == Usage(40 * MIB + 102, 42 * MIB + 512, 44 * MIB)

    # reset_peak_memory_stats: the peak starts again from what is in use.
    allocator.free("i")
    allocator.reset_peak()
    assert allocator.peak == allocator.now == Usage(100 + 20 * MIB + 1, 512 + 22 * MIB, 44 * MIB)


def test_the_lowest_address_wins_between_equal_blocks():
    allocator = Allocator()
    for key in "abc":
        allocator.allocate(key, 10 * MIB)
    for key in "cab":
        allocator.free(key)
    allocator.allocate("d", 10 * MIB)
    assert allocator._used["d"].address == 0


def test_no_bytes_take_no_block():
    allocator = Allocator()
    assert allocator.allocate("nothing", 0) == 0
    allocator.free("nothing")
    assert allocator.peak == Usage()


def test_a_full_gpu_first_gives_back_what_is_cached():
    """malloc: when CUDA refuses, segments without a block in use are released, and the request is tried once more."""
    allocator = Allocator(capacity=40 * MIB)
    allocator.allocate("a", 20 * MIB)
    allocator.allocate("b", 10 * MIB)
    allocator.free("a")
    allocator.allocate("c", 30 * MIB)  # 30 + 30 MiB would be too much; without a's segment it fits
    assert allocator.now == Usage(40 * MIB, 40 * MIB, 40 * MIB)
    with pytest.raises(OutOfMemory):
        allocator.allocate("d", 1)
    allocator.free("c")
    allocator.allocate("e", 1)
    assert allocator.now == Usage(10 * MIB + 1, 10 * MIB + 512, 12 * MIB)


def test_a_segment_with_one_block_in_use_cannot_be_given_back():
    allocator = Allocator(capacity=21 * MIB)
    allocator.allocate("a", 2 * MIB)
    allocator.allocate("b", 2 * MIB)
    allocator.free("a")
    allocator.release()
    assert allocator.now.reserved == 20 * MIB
    with pytest.raises(OutOfMemory):
        allocator.allocate("c", 19 * MIB)


SIZES = st.one_of(
    st.integers(0, 4 * BLOCK),
    st.integers(SMALL - 2 * BLOCK, SMALL + 2 * BLOCK),
    st.integers(1, 12 * MIB),
    st.integers(9 * MIB, 64 * MIB),
)
#: A size is a birth; None is the death of the one that a number picks among those alive.
SEQUENCES = st.lists(st.tuples(st.one_of(SIZES, SIZES, st.none()), st.integers(0, 10**6)), max_size=120)


def play(allocator: Allocator, sequence) -> dict[int, tuple[int, int]]:
    """Plays the births and deaths; what is alive at the end: key -> (bytes, bytes of the block)."""
    alive: dict[int, tuple[int, int]] = {}
    for key, (size, pick) in enumerate(sequence):
        if size is not None:
            alive[key] = size, allocator.allocate(key, size)
        elif alive:
            gone = sorted(alive)[pick % len(alive)]
            allocator.free(gone)
            del alive[gone]
    return alive


@settings(deadline=None, max_examples=200)
@given(SEQUENCES)
def test_blocks_tile_their_segments_and_the_three_numbers_are_nested(sequence):
    allocator = Allocator()
    alive = play(allocator, sequence)
    now, peak = allocator.now, allocator.peak
    assert now.requested == sum(size for size, _ in alive.values())
    assert now.allocated == sum(block for _, block in alive.values())
    assert now.requested <= now.allocated <= now.reserved
    assert peak.requested <= peak.allocated <= peak.reserved == now.reserved
    segments = blocks(allocator)
    assert sum(block.size for chain in segments for block in chain) == now.reserved
    end = 0
    for chain in segments:
        assert chain[0].address == end  # segments follow each other ...
        for before, after in zip(chain, chain[1:], strict=False):
            assert before.address + before.size == after.address  # ... and so do the blocks in them
            assert after.before is before
            assert before.requested is not None or after.requested is not None, "two free neighbours were not merged"
        end = chain[-1].address + chain[-1].size
    for block in allocator._used.values():
        assert block.requested <= block.size
        assert block.size % BLOCK == 0
        assert block.pool is (allocator._small if block.requested <= SMALL else allocator._large)


@settings(deadline=None, max_examples=100)
@given(SEQUENCES)
def test_all_that_is_freed_merges_back_and_can_be_given_back(sequence):
    allocator = Allocator()
    for key in play(allocator, sequence):
        allocator.free(key)
    assert allocator.now == Usage(0, 0, allocator.peak.reserved)
    assert all(len(chain) == 1 for chain in blocks(allocator))
    allocator.release()
    assert allocator.now == Usage()
    assert blocks(allocator) == []


@settings(deadline=None, max_examples=50)
@given(SEQUENCES)
def test_the_same_sequence_gives_the_same_bytes_and_runs_in_what_it_reserved(sequence):
    first, second = Allocator(), Allocator()
    assert play(first, sequence) == play(second, sequence)
    assert first.peak == second.peak
    limited = Allocator(capacity=first.peak.reserved)
    play(limited, sequence)
    assert limited.peak == first.peak
