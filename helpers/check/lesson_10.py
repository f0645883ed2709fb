"""The checks of lesson 10: the weight of an unequal shard, a rank's images, a rank's bytes."""

from helpers.check.core import exercise


@exercise(
    cases=[
        ([30, 5, 3, 4], 1),
        ([3, 30, 5, 4], 2),
        ([40, 24], 0),
        ([40, 24], 1),
        ([1, 30, 4], 2),
        ([16, 16, 16, 15], 3),
        ([8, 8], 1),
        ([7], 0),
    ],
    praise="every image counts the same, wherever it lies.",
    slips={
        "that is the rank's share of all images. DDP divides by the number of ranks after that: times ranks.": (
            lambda sizes, rank: sizes[rank] / sum(sizes)
        ),
        "that is upside down: the larger a shard, the more its loss must count.": lambda sizes, rank: (
            sum(sizes) / (len(sizes) * sizes[rank])
        ),
        "with no weight at all, an image of a small shard counts more.": lambda sizes, rank: 1.0,
        "divide by the number of all images, not by the largest shard.": lambda sizes, rank: sizes[rank] / max(sizes),
        "divide by the number of all images: sum(sizes).": [
            lambda sizes, rank: len(sizes) * sizes[rank],
            lambda sizes, rank: sizes[rank] / len(sizes),
        ],
        "that divides by the ranks, as DDP does once more. Multiply by them.": lambda sizes, rank: (
            sizes[rank] / sum(sizes) / len(sizes)
        ),
        "that is rank 0's weight, whatever rank is.": lambda sizes, rank: len(sizes) * sizes[0] / sum(sizes),
        "that takes the ranks from the end: sizes[rank] is this rank's shard.": lambda sizes, rank: (
            len(sizes) * sizes[-1 - rank] / sum(sizes)
        ),
        "2 is right for two ranks. len(sizes) knows how many there are.": lambda sizes, rank: (
            2 * sizes[rank] / sum(sizes)
        ),
        "that is upside down, and the ranks are missing: ranks x own images / all images.": lambda sizes, rank: (
            sum(sizes) / sizes[rank]
        ),
    },
    crashes={"unsupported operand": "sizes is a list: sizes[rank] is this rank's shard, sum(sizes) all images."},
)
def loss_weight(sizes, rank):
    """The sizes of all shards and a rank in; what this rank must multiply its mean loss by under DDP, out."""
    return len(sizes) * sizes[rank] / sum(sizes)


def _each(count, ranks):
    return -(-count // ranks)


def _block(count, rank, ranks):
    each = _each(count, ranks)
    return [place % count for place in range(rank * each, (rank + 1) * each)]


def _repeat_last(count, rank, ranks):
    return [min(place, count - 1) for place in range(rank, _each(count, ranks) * ranks, ranks)]


@exercise(
    cases=[(10, 0, 3), (10, 2, 3), (12, 1, 4), (1437, 1, 2), (7, 0, 1), (11, 3, 4), (3, 4, 5), (1, 2, 4), (2, 4, 5)],
    praise="all ranks get equally many, so nobody waits.",
    slips={
        "that is one block. DistributedSampler deals the images out like cards: every ranks-th one.": [
            _block,
            lambda count, rank, ranks: list(range(rank * (count // ranks), (rank + 1) * (count // ranks))),
            lambda count, rank, ranks: list(
                range(rank * _each(count, ranks), min((rank + 1) * _each(count, ranks), count))
            ),
        ],
        "the ranks would get different numbers of images. Fill up from the start: all get equally many.": (
            lambda count, rank, ranks: list(range(rank, count, ranks))
        ),
        "that is drop_last=True. Here nothing is dropped: fill up from the start.": lambda count, rank, ranks: list(
            range(rank, count // ranks * ranks, ranks)
        ),
        "the last image is repeated. DistributedSampler fills up with the first ones: place % count.": _repeat_last,
        "ranks count from 0, and so do images.": [
            lambda count, rank, ranks: [
                place % count for place in range(rank - 1, _each(count, ranks) * ranks - 1, ranks)
            ],
            lambda count, rank, ranks: [
                place % count for place in range(rank + 1, _each(count, ranks) * ranks + 1, ranks)
            ],
        ],
        "one round too many: with a count that the ranks divide, nothing is filled up.": lambda count, rank, ranks: [
            place % count for place in range(rank, (count // ranks + 1) * ranks, ranks)
        ],
        "range takes start, end and step: the step is ranks.": lambda count, rank, ranks: list(
            range(rank, count, max(rank, 1))
        ),
    },
    crashes={"must not be zero": "The step of range is ranks: rank may be 0."},
)
def my_images(count, rank, ranks):
    """How many images there are, a rank and the number of ranks in; the list of its images, unshuffled, out."""
    return [place % count for place in range(rank, _each(count, ranks) * ranks, ranks)]


def _bytes(kept):
    """bytes_on_rank from the bytes of a parameter that are kept whole, and of those that are sharded."""

    def given(parameters, ranks, sharding):
        whole, sharded = kept[sharding]
        return whole * parameters + sharded * parameters // ranks

    return given


_KINDS = ("DDP", "ZeRO-1", "FSDP")
_COUNTS = ((1_000_000, 2), (3_000_001, 3), (203_520, 8), (64, 1), (11_689_512, 4))


@exercise(
    cases=[(*counts, kind) for counts in _COUNTS for kind in _KINDS],
    praise="with FSDP, N ranks hold one model together.",
    slips={
        "that is how many numbers there are. Each takes 4 bytes.": _bytes(
            {"DDP": (4, 0), "ZeRO-1": (2, 2), "FSDP": (0, 4)}
        ),
        "one part is missing: 4 bytes of parameter, 4 of gradient, 8 of Adam's two states.": [
            _bytes({"DDP": (12, 0), "ZeRO-1": (8, 4), "FSDP": (0, 12)}),
            _bytes({"DDP": (12, 0), "ZeRO-1": (4, 8), "FSDP": (0, 12)}),
        ],
        "ZeRO-1 shards the optimizer state alone. Parameters and gradients stay whole on every rank.": [
            _bytes({"DDP": (16, 0), "ZeRO-1": (4, 12), "FSDP": (0, 16)}),
            _bytes({"DDP": (16, 0), "ZeRO-1": (0, 16), "FSDP": (0, 16)}),
        ],
        "DDP shards the batch alone. The model is whole on every rank.": _bytes(
            {"DDP": (0, 16), "ZeRO-1": (8, 8), "FSDP": (0, 16)}
        ),
        "FSDP shards parameters, gradients and state, all of them.": [
            _bytes({"DDP": (16, 0), "ZeRO-1": (8, 8), "FSDP": (4, 12)}),
            _bytes({"DDP": (16, 0), "ZeRO-1": (8, 8), "FSDP": (8, 8)}),
        ],
        "nothing is sharded there. ZeRO-1 shards the state, FSDP everything.": [
            _bytes(dict.fromkeys(_KINDS, (16, 0))),
            _bytes({"DDP": (16, 0), "ZeRO-1": (16, 0), "FSDP": (0, 16)}),
        ],
        "ZeRO-1 shards both of Adam's states, 8 bytes.": _bytes({"DDP": (16, 0), "ZeRO-1": (12, 4), "FSDP": (0, 16)}),
        "that is with DDP's buckets, 4 bytes more. The task leaves them out.": _bytes(
            {"DDP": (20, 0), "ZeRO-1": (12, 8), "FSDP": (0, 16)}
        ),
    },
    crashes={"KeyError": "The names are 'DDP', 'ZeRO-1' and 'FSDP'."},
)
def bytes_on_rank(parameters, ranks, sharding):
    """How many float32 parameters, ranks, and a sharding in; bytes of parameters, gradients and Adam's state out."""
    return _bytes({"DDP": (16, 0), "ZeRO-1": (8, 8), "FSDP": (0, 16)})(parameters, ranks, sharding)
