"""A batch that is split over several processes: what lies on each rank, predicted, and what is held there, counted."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import torch
from torch import nn

from helpers import models
from helpers.memory import Trace, any_batch
from helpers.problems import Problem, instance_of, network, one_of, shown, whole_number, whole_numbers
from helpers.step_memory import LARGEST_B, SAMPLE_SHAPES
from helpers.units import readable

MOST_RANKS = 8
MOST_STEPS = 16
#: What is dealt out over the ranks beside the batch: nothing, Adam's state by whole tensors, or rows of everything.
SHARDINGS = ("DDP", "ZeRO-1", "FSDP")
#: What lies on a rank, in the order in which it is stacked. Buckets are DDP's own copy of the gradients, to be sent.
PARTS = ("parameters", "buffers", "gradients", "buckets", "optimizer state", "activations", "batch")
_SHARDED = {
    "DDP": "every rank keeps all of the model",
    "ZeRO-1": "each rank keeps Adam's state of some tensors",
    "FSDP": "each rank keeps some rows of each tensor",
}
MODELS = ("digits MLP", "ResNet-18")


@dataclass(frozen=True)
class Rank:
    """What one process does and holds in one training step."""

    rank: int
    micro_batches: tuple[int, ...]  #: images, in each of its steps
    held: dict[str, int]  #: bytes, by `PARTS`; each at its most, so together they may be more than the peak

    @property
    def bytes(self) -> int:
        return sum(self.held.values())


@dataclass(frozen=True)
class Split:
    """One global batch over several ranks, and the same in one process."""

    model: str
    global_batch: int
    steps: int  #: micro-batches on each rank, before `optimizer.step()`
    sharding: str
    ranks: tuple[Rank, ...]
    alone: Rank  #: one process with the whole batch at once, without DDP

    @property
    def world_size(self) -> int:
        return len(self.ranks)

    @property
    def is_even(self) -> bool:
        """Whether all micro-batches have the same size: then the plain mean of the gradients is right."""
        return len({size for rank in self.ranks for size in rank.micro_batches}) == 1

    @property
    def heading(self) -> tuple[str, str]:
        """Two lines: how the batch is split, and what else is."""
        parts = f"{_count(self.world_size, 'rank')} x {_count(self.steps, 'step')}"
        sizes = sorted({size for rank in self.ranks for size in rank.micro_batches}, reverse=True)
        if self.is_even:
            batch = f"global batch {self.global_batch:,} = {parts} x micro-batch {sizes[0]:,}"
        else:
            words = " and ".join(f"{size:,}" for size in sizes)
            batch = f"global batch {self.global_batch:,}: {parts}, micro-batches of {words} (weigh by size)"
        return batch, f"{self.model}, Adam, {self.sharding}: {_SHARDED[self.sharding]}"

    @property
    def sentence(self) -> str:
        batch, model = self.heading
        most, least = (choose(self.ranks, key=lambda rank: rank.bytes) for choose in (max, min))
        parts = ", ".join(f"{name} {readable(size)}" for name, size in most.held.items() if size)
        who = "Each rank holds" if most.bytes == least.bytes else f"Rank {most.rank} holds the most,"
        other = "" if most.bytes == least.bytes else f" Rank {least.rank} holds the least, {readable(least.bytes)}."
        empty = " Some micro-batches are empty." if any(0 in rank.micro_batches for rank in self.ranks) else ""
        return (
            f"{model}. {batch[0].upper()}{batch[1:]}. {who} {readable(most.bytes)}: {parts}.{other} "
            f"One process with the whole batch: {readable(self.alone.bytes)}.{empty}"
        )


def split(model: str, global_batch: int, ranks: int = 2, steps: int = 1, sharding: str = "DDP") -> Split:
    """What lies on each rank in a training step with Adam, in bytes, each part at its most; no process is started.

    model: "digits MLP" (784-256-10) or "ResNet-18". Rank r takes every `ranks`-th image from r on, in `steps`
    micro-batches that are as equal as can be. sharding: one of `SHARDINGS`. Bytes are those of the CPU, exact, without
    a GPU's rounding; what FSDP gathers for a moment is not in them. Raises `Problem` for what is not allowed.
    """
    one_of("model", model, MODELS)
    global_batch = whole_number("global_batch", global_batch, 1, LARGEST_B)
    ranks, steps = whole_number("ranks", ranks, 1, MOST_RANKS), whole_number("steps", steps, 1, MOST_STEPS)
    one_of("sharding", sharding, SHARDINGS)
    shapes, at = _known(model)
    found = []
    for rank in range(ranks):
        own = len(range(rank, global_batch, ranks))
        sizes = tuple(len(range(step, own, steps)) for step in range(steps))
        found.append(Rank(rank, sizes, _fixed(shapes, rank, ranks, sharding) | _moving(at, max(sizes))))
    whole = _fixed(shapes, 0, 1, "DDP") | {"buckets": 0} | _moving(at, global_batch)
    return Split(model, global_batch, steps, sharding, tuple(found), Rank(0, (global_batch,), whole))


def is_slow(model: str) -> bool:
    """Whether `split` has not met this model yet, and it takes longer than a moment."""
    return one_of("model", model, MODELS) == "ResNet-18" and model not in _models


def shard_bytes(shapes: list[tuple[int, ...]], rank: int, ranks: int, sharding: str) -> dict[str, int]:
    """Bytes of parameters, gradients and Adam's state on one rank, for float32 parameters of these shapes.

    ZeRO-1 is as `torch.distributed.optim.ZeroRedundancyOptimizer` does it: the largest tensor first, each to the rank
    that has the least. FSDP is as `torch.distributed.fsdp.fully_shard` does it: axis 0 is cut into equal parts, the
    last ones shorter or empty; its parameters and gradients take the room of a whole part all the same.
    Raises `Problem` for what is no shape.
    """
    whole_number("ranks", ranks, 1)
    whole_number("rank", rank, 0, ranks - 1)
    one_of("sharding", sharding, SHARDINGS)
    if not isinstance(shapes, list | tuple):
        raise Problem(f"shapes is {shown(shapes)}; give a list of shapes, for example [(256, 784), (256,)].")
    shapes = [whole_numbers("a shape", shape, 1, "sizes, as in (256, 784)", range(1, 65)) for shape in shapes]
    sizes = [4 * prod(shape) for shape in shapes]
    everything = sum(sizes)
    if sharding == "FSDP":
        room = own = 0
        for size, (rows, *_) in zip(sizes, shapes, strict=True):
            each = -(-rows // ranks)
            room += size // rows * each
            own += size // rows * min(max(rows - rank * each, 0), each)
        return {"parameters": room, "gradients": room, "optimizer state": 2 * own}
    state = everything if sharding == "DDP" else _dealt(sizes, ranks)[rank]
    return {"parameters": everything, "gradients": everything, "optimizer state": 2 * state}


def held(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, int]:
    """Bytes of parameters, gradients and optimizer state that this process holds now, counted tensor by tensor.

    Of a tensor that is sharded only the shard that lies here counts, and what shares one storage counts once. Counters
    such as Adam's `step` do not count. Works in one process as well as in many, for DDP, ZeroRedundancyOptimizer and
    fully_shard. Raises `Problem` for what is no model and no optimizer.
    """
    network("model", model)
    instance_of("optimizer", optimizer, torch.optim.Optimizer, "torch.optim.Adam(model.parameters())")
    inner = getattr(optimizer, "optim", optimizer)  # ZeroRedundancyOptimizer has one for its own share
    states = [value for state in inner.state.values() for value in state.values()]
    parts = {
        "parameters": list(model.parameters()),
        "gradients": [parameter.grad for parameter in model.parameters()],
        "optimizer state": [value for value in states if isinstance(value, torch.Tensor) and value.ndim],
    }
    return {name: _bytes(tensors) for name, tensors in parts.items()}


def _bytes(tensors: list) -> int:
    local = [tensor.to_local() if hasattr(tensor, "to_local") else tensor for tensor in tensors if tensor is not None]
    storages = [tensor.untyped_storage() for tensor in local]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'s' * (number != 1)}"


def _dealt(sizes: list[int], ranks: int) -> list[int]:
    """Whole tensors, the largest first, each to the rank that has the least so far."""
    loads = [0] * ranks
    for size in sorted(sizes, reverse=True):
        loads[loads.index(min(loads))] += size
    return loads


def _fixed(shapes: tuple, rank: int, ranks: int, sharding: str) -> dict[str, int]:
    parameters, buffers = shapes
    found = shard_bytes(list(parameters), rank, ranks, sharding)
    found |= {"buffers": buffers, "buckets": 0 if sharding == "FSDP" else found["gradients"]}
    return {name: found[name] for name in PARTS if name in found}


def _moving(at: Callable[[int], Trace], batch_size: int) -> dict[str, int]:
    most = at(batch_size).most if batch_size else {"activations": 0, "batch": 0}
    return {name: most[name] for name in ("activations", "batch")}


_Known = tuple[tuple, Callable[[int], Trace]]
_models: dict[str, _Known] = {}  # by name, what was found of it


def _known(model: str) -> _Known:
    """Shapes of the parameters and bytes of the buffers; the training step for any batch size."""
    if model not in _models:
        _models[model] = _looked_at(model)
    return _models[model]


def _looked_at(model: str) -> _Known:
    with models.without_bytes():
        if model == "ResNet-18":
            from torchvision.models import resnet18

            net = resnet18()
        else:
            net = models.mlp(hidden=256)
    shapes = tuple(tuple(parameter.shape) for parameter in net.parameters())
    buffers = sum(buffer.nbytes for buffer in net.buffers())
    return (shapes, buffers), any_batch(net, SAMPLE_SHAPES[model], device="cpu")
