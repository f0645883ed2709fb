"""The small networks of the course, as plain `torch.nn.Sequential`, and their counts."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from math import prod

import torch
from torch import nn

from helpers.problems import Problem, instance_of, network, whole_number, whole_numbers

MOST_PARAMETERS = 2**30  #: 4 GiB as float32: more is a slip in a network that is called small


def mlp(sample_shape: tuple[int, ...] = (1, 28, 28), hidden: int = 128, classes: int = 10) -> nn.Sequential:
    """Flatten, Linear, ReLU, Linear. Input (B, *sample_shape) float32, output (B, classes) logits.

    Raises `Problem` if a size is not a whole number of at least 1, or there were more than `MOST_PARAMETERS`.
    """
    return deep_mlp(sample_shape, hidden, 1, classes)


def deep_mlp(
    sample_shape: tuple[int, ...] = (1, 28, 28), hidden: int = 128, depth: int = 1, classes: int = 10
) -> nn.Sequential:
    """Flatten, `depth` times Linear and ReLU, Linear. Input (B, *sample_shape) float32, output (B, classes) logits.

    With depth=1 it is `mlp`, and depth is at most 1000. Raises `Problem` as `mlp` does.
    """
    features, hidden = prod(_sizes(sample_shape, "at least one size", range(1, 64))), whole_number("hidden", hidden, 1)
    depth, classes = whole_number("depth", depth, 1, 1000), whole_number("classes", classes, 1)
    sizes = (features, *[hidden] * depth, classes)
    _refuse_too_many(sum(inputs * outputs for inputs, outputs in pairwise(sizes)))
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in pairwise(sizes[:-1]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(hidden, classes))


def cnn(sample_shape: tuple[int, int, int] = (1, 28, 28), filters: int = 8, classes: int = 10) -> nn.Sequential:
    """Conv 3x3, ReLU, MaxPool 2, Flatten, Linear. Input (B, C, H, W) float32, output (B, classes) logits.

    The Linear layer has filters x (H // 2) x (W // 2) inputs: the convolution keeps H and W, the pooling halves them.
    Raises `Problem` as `mlp` does, and if H or W is below 2.
    """
    return deep_cnn(sample_shape, filters, 1, classes)


def deep_cnn(
    sample_shape: tuple[int, int, int] = (3, 32, 32), filters: int = 8, depth: int = 2, classes: int = 10
) -> nn.Sequential:
    """`depth` times Conv 3x3, ReLU and MaxPool 2; Flatten, Linear. Input (B, C, H, W) float32, output (B, classes).

    With depth=1 it is `cnn`. Each pooling halves H and W, so the Linear layer has filters x (H // 2**depth) x
    (W // 2**depth) inputs. Raises `Problem` as `mlp` does, and if H or W cannot be halved so often.
    """
    channels, height, width = _sizes(sample_shape, "3 sizes", range(3, 4))
    filters, classes = whole_number("filters", filters, 1), whole_number("classes", classes, 1)
    if min(height, width) < 2:
        raise Problem(f"sample_shape is {tuple(sample_shape)}; height and width must be 2 or more to be halved once.")
    depth = whole_number("depth", depth, 1, min(height, width).bit_length() - 1)
    sizes = (channels, *[filters] * depth)
    features = filters * (height // 2**depth) * (width // 2**depth)
    _refuse_too_many(sum(9 * inputs * outputs for inputs, outputs in pairwise(sizes)) + features * classes)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Conv2d(inputs, outputs, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, classes))


def in_blocks(layers: nn.Sequential) -> nn.Sequential:
    """The same layers in inner `nn.Sequential`s, each from one Linear or convolution to the next.

    Checkpointing wants blocks. Raises `Problem` for what is no `nn.Sequential`.
    """
    network("layers", instance_of("layers", layers, nn.Sequential, "models.deep_cnn()"))
    groups: list[list[nn.Module]] = [[]]
    for layer in layers:
        if isinstance(layer, nn.Linear | nn.Conv2d) and groups[-1]:
            groups.append([])
        groups[-1].append(layer)
    return nn.Sequential(*(nn.Sequential(*group) for group in groups))


def parameter_count(model: nn.Module) -> int:
    """How many numbers the model learns. Each parameter counts once, also where two layers share it."""
    return sum(parameter.numel() for parameter in network("model", model).parameters())


@contextmanager
def without_bytes() -> Iterator[None]:
    """Models that are made meanwhile lie on the device "meta": they have shapes and no bytes, and draw no numbers."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        yield


@contextmanager
def kept_modes(model: nn.Module) -> Iterator[None]:
    """Afterwards each layer is in the mode, train or eval, in which it was before."""
    before = [(module, module.training) for module in network("model", model).modules()]
    try:
        yield
    finally:
        for module, mode in before:
            module.training = mode


def _sizes(sample_shape: object, axes: str, counts: range) -> tuple[int, ...]:
    wanted = f"a tuple with {axes} and no batch axis, for example (1, 28, 28)"
    return whole_numbers("sample_shape", sample_shape, 1, wanted, counts)


def _refuse_too_many(weights: int) -> None:
    whole_number("the number of weights that these sizes make", weights, 1, MOST_PARAMETERS)
