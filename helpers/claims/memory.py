"""B10 to B15: parameters, gradients, optimizer state, activations, and what is largest when."""

import copy
from functools import cache

import torch
from torch import nn
from torch.nn import functional as F

from helpers import memory, models
from helpers.claims.records import Case, Claim, Figure, Measured
from helpers.claims.tools import digits, percent
from helpers.step_memory import step_memory
from helpers.units import MIB

_DOCS = "https://docs.pytorch.org/docs/stable"
#: The two MLPs: one sample, and how many numbers it has in each layer.
MLPS = {"784-256-10": ((1, 28, 28), (784, 256, 10)), "3072-512-10": ((3, 32, 32), (3072, 512, 10))}


def measure_b10() -> Measured:
    """Bytes a parameter in float32 and bfloat16, at several batch sizes, and buffers."""
    model = models.mlp(hidden=256)
    count, shape = models.parameter_count(model), (1, 28, 28)
    single = {b: memory.trace(model, shape, b, device="cpu").most["parameters"] / count for b in (1, 64, 4096)}
    pure = copy.deepcopy(model).bfloat16()
    half = memory.trace(pure, shape, 64, device="cpu").most["parameters"] / count
    norm = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 30 * 30, 10))
    buffers = memory.trace(norm, (3, 32, 32), 4, device="cpu").most["buffers"]
    return Measured(
        f"{max(single.values()):.0f} bytes a parameter at B = 1, 64 and 4,096; {half:.0f} in bfloat16",
        (
            Figure("bytes a parameter, float32", max(single.values()), "bytes"),
            Figure("bytes a parameter, bfloat16", half, "bytes"),
            Figure("buffers of a BatchNorm2d(8)", buffers, "bytes"),
        ),
        (
            *(Case(f"float32, B = {b:,}: 4 bytes a parameter", each == 4) for b, each in single.items()),
            Case("bfloat16: 4 bytes a parameter", half == 4, meant=False),
        ),
    )


def measure_b11() -> Measured:
    """Gradients of a real MLP after each line of a step, and of a network of which only the last layer is trained."""
    images, labels = digits()
    model = models.mlp()
    parameters = _bytes(model.parameters())
    loss = F.cross_entropy(model(images[:64]), labels[:64])
    forward = _gradients(model)
    loss.backward()
    backward = _gradients(model)
    model.zero_grad()
    frozen = models.deep_cnn((3, 32, 32), 32, 3).requires_grad_(False)
    frozen[-1].requires_grad_(True)
    F.cross_entropy(frozen(torch.rand(2, 3, 32, 32)), torch.tensor([0, 1])).backward()
    share = _gradients(frozen) / _bytes(frozen.parameters())
    return Measured(
        f"bytes: {forward} after forward, {backward:,} after backward, {_gradients(model)} after zero_grad; "
        f"one layer trained: {percent(share)}",
        (
            Figure("parameters", parameters, "bytes"),
            Figure("gradients after forward", forward, "bytes"),
            Figure("gradients after backward", backward, "bytes"),
            Figure("gradients after zero_grad", _gradients(model), "bytes"),
            Figure("gradients over parameters, only the last layer trained", share),
        ),
        (
            Case("all trainable: as many as parameters, from backward on", forward == 0 and backward == parameters),
            Case("only the last layer trained: as many as parameters", share == 1, meant=False),
        ),
    )


def _bytes(tensors: object) -> int:
    return sum(tensor.nbytes for tensor in tensors)


def _gradients(model: nn.Module) -> int:
    return _bytes(p.grad for p in model.parameters() if p.grad is not None)


def _kept(make: object) -> float:
    """What a real optimizer keeps after its first step, as a multiple of the parameters."""
    images, labels = digits()
    model = models.mlp()
    optimizer = make(model.parameters())
    F.cross_entropy(model(images[:64]), labels[:64]).backward()
    optimizer.step()
    kept = [t for state in optimizer.state.values() for name, t in state.items() if name != "step" and t is not None]
    return _bytes(kept) / _bytes(model.parameters())


def measure_b12() -> Measured:
    """What SGD keeps after a real step, without momentum and with it."""
    plain, momentum = _kept(torch.optim.SGD), _kept(lambda p: torch.optim.SGD(p, momentum=0.9))
    return Measured(
        f"state / parameters: {plain:.0f} without momentum, {momentum:.0f} with it",
        (Figure("state / parameters", plain), Figure("state / parameters, momentum", momentum)),
        (
            Case("no momentum: no state", plain == 0),
            Case("momentum: no state", momentum == 0, meant=False),
        ),
    )


def measure_b13() -> Measured:
    """Adam against SGD: state after a real step, the fixed part of both MLPs, and the peak by batch size."""
    kept = _kept(torch.optim.Adam)
    fixed = {}
    for name in MLPS:
        most = [_every_batch(name, optimizer)(64).most for optimizer in ("adam", "sgd")]
        fixed[name] = _fixed(most[0]) / _fixed(most[1])
    peak = {b: _every_batch("784-256-10", "adam")(b).peak / _every_batch("784-256-10", "sgd")(b).peak for b in PEAKS}
    return Measured(
        f"Adam / SGD: {fixed['784-256-10']:.2f} for the fixed part; at the peak {peak[1]:.2f} at B = 1, "
        f"{peak[4096]:.2f} at 4,096",
        (
            Figure("state / parameters", kept),
            *(Figure(f"fixed part, Adam / SGD, {name}", factor, "times") for name, factor in fixed.items()),
            *(Figure(f"peak, Adam / SGD, B = {b}", factor, "times") for b, factor in peak.items()),
        ),
        (
            Case("state is twice the parameters", kept == 2, main=False),
            *(Case(f"{name}, fixed part: 3 times (to 10 %)", abs(factor - 3) < 0.3) for name, factor in fixed.items()),
            *(Case(f"peak at B = {b:,}: 3 times (to 10 %)", abs(factor - 3) < 0.3) for b, factor in peak.items()),
        ),
    )


PEAKS = (1, 64, 4096)


@cache
def _every_batch(name: str, optimizer: str) -> object:
    shape, sizes = MLPS[name]
    return memory.any_batch(models.mlp(shape, sizes[1]), shape, optimizer=optimizer)


def _fixed(most: dict[str, int]) -> int:
    return most["parameters"] + most["gradients"] + most["optimizer state"]


def measure_b14() -> Measured:
    """What a sample adds to batch and activations, against the sum of all outputs; what pooling keeps."""
    over, straight = {}, {}
    for name, (shape, sizes) in MLPS.items():
        at = _every_batch(name, "adam")
        one, two, four = (sum(at(b).most[part] for part in ("batch", "activations")) for b in (1024, 2048, 4096))
        straight[name] = (four - two) == 2 * (two - one)
        needed = (two - one) / 1024 - 8  # the label is an int64
        outputs: list[int] = []
        model = models.mlp(shape, sizes[1])
        for layer in model:
            layer.register_forward_hook(lambda _, __, out: outputs.append(out[0].nbytes))  # noqa: B023
        model(torch.zeros(1, *shape))
        over[name] = sum(outputs) / needed - 1
    pool = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10))
    rows = memory.trace(pool, (1, 8, 8), 16).saved
    places = sum(row.bytes for row in rows if row.dtype == "int64" and row.layer != "loss" and not row.shared_with)
    return Measured(
        f"proportional to B; all outputs: {percent(over['784-256-10'])} too much for 784-256-10, "
        f"{percent(over['3072-512-10'])} for 3072-512-10",
        (
            *(Figure(f"outputs over what is kept, {name}", 100 * share, "% too much") for name, share in over.items()),
            Figure("places that max-pooling keeps, over its output", places / (16 * 4 * 4 * 4 * 4), "times"),
        ),
        (
            *(Case(f"{name}: proportional to B", true) for name, true in straight.items()),
            *(Case(f"{name}: every output (to 5 %)", abs(share) < 0.05) for name, share in over.items()),
        ),
    )


def measure_b15() -> Measured:
    """The largest part of the peak: a deep network beyond its crossover, and both MLPs beyond theirs."""
    deep = step_memory("ResNet-18", 32, with_crossover=True)
    step = deep.trace
    at = {name: _every_batch(name, "adam") for name in MLPS}
    crossover = {name: memory.crossover_of(one) for name, one in at.items()}
    largest = {(name, b): at[name](b).largest for name in MLPS for b in (crossover[name], 8192)}
    low = step_memory("ResNet-18", 1).trace.largest
    small = {name: 1 - at[name](32).peak / at[name](64).peak for name in MLPS}
    return Measured(
        f"{step.largest} {step.at_peak['activations'] / MIB:.0f} of {step.peak / MIB:.0f} MiB in ResNet-18 at B = 32; "
        f"in the MLPs the {largest['784-256-10', 8192]}",
        (
            Figure("activations of ResNet-18 at B = 32", step.at_peak["activations"] / MIB, "MiB"),
            Figure("peak of ResNet-18 at B = 32", step.peak / MIB, "MiB"),
            Figure("crossover of ResNet-18", deep.crossover),
            *(Figure(f"crossover of {name}", b) for name, b in crossover.items()),
            *(Figure(f"saved by half of B = 64, {name}", 100 * share, "%") for name, share in small.items()),
        ),
        (
            Case("ResNet-18, B = 32: activations are the largest part", step.largest == "activations"),
            Case("ResNet-18, B = 1: activations", low == "activations", meant=False),
            *(
                Case(f"{name}, B = {b:,}: activations", part == "activations", meant=False)
                for (name, b), part in largest.items()
            ),
        ),
    )


CLAIMS = (
    Claim(
        "B10",
        ("07",),
        "parameters: count x 4 bytes, there as soon as the model is loaded, whatever the batch",
        "holds if float32",
        (("PyTorch: dtypes", f"{_DOCS}/tensor_attributes.html"),),
        measure_b10,
        "parameters: count x 4 bytes, whatever the batch",
    ),
    Claim(
        "B11",
        ("07",),
        "gradients: as many bytes as parameters, there from backward on",
        "holds if all is trainable",
        (("PyTorch: zero_grad", f"{_DOCS}/generated/torch.optim.Optimizer.zero_grad.html"),),
        measure_b11,
    ),
    Claim(
        "B12",
        ("07",),
        "SGD keeps no state",
        "holds without momentum",
        (("PyTorch: SGD", f"{_DOCS}/generated/torch.optim.SGD.html"),),
        measure_b12,
    ),
    Claim(
        "B13",
        ("07",),
        "Adam keeps 2 values a parameter and needs 3 times what SGD needs",
        "wrong: 2, not 3, for the fixed part",
        (("PyTorch: Adam", f"{_DOCS}/generated/torch.optim.Adam.html"),),
        measure_b13,
        verdict="wrong as said",
    ),
    Claim(
        "B14",
        ("07",),
        "activations: B x every layer's output x 4 bytes, proportional to layers and batch",
        "imprecise",
        (("PyTorch: saved tensors", f"{_DOCS}/notes/autograd.html"),),
        measure_b14,
        "activations: B x every layer's output x 4 bytes",
        "imprecise",
    ),
    Claim(
        "B15",
        ("08",),
        "activations are the memory killer",
        "holds if a sample's activations outweigh the sample, beyond the crossover",
        (("PyTorch: Understanding GPU Memory", "https://pytorch.org/blog/understanding-gpu-memory-1/"),),
        measure_b15,
    ),
)
