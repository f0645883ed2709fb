"""What measuring several claims needs: the digits as floats, whether something is refused, ratios of times."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from helpers import data, training

RECORDED = "recorded on an H100"


@cache
def digits(train: bool = True) -> tuple[Tensor, Tensor]:
    """Images (N, 1, 28, 28) float32 in 0..1 and labels of the bundled digits."""
    found = data.digits(train=train)
    return found.images.float() / 255, found.labels


@cache
def colours(train: bool = True) -> tuple[Tensor, Tensor]:
    """Images (N, 3, 32, 32) float32 in 0..1 and labels of the bundled colour images."""
    found = data.colours(train=train)
    return found.images.float() / 255, found.labels


def taken(call: Callable[[], object]) -> bool:
    """Whether `call` works; False where it is refused with an error."""
    try:
        call()
    except (RuntimeError, TypeError, ValueError):
        return False
    return True


def off(one: Tensor, other: Tensor) -> float:
    """The largest difference of two tensors of one shape."""
    return (one - other).abs().max().item()


def bounded(value: float, limit: float) -> str:
    """Rounding differs from machine to machine: "less than 1e-12", or the value where it is not."""
    return f"less than {limit:.0e}" if value < limit else f"{value:.1e}"


def percent(share: float) -> str:
    """A share as a whole number of percent."""
    return f"{100 * share:.0f} %"


def fastest(*works: Callable[[], object], rounds: int = 4) -> list[float]:
    """Seconds of one call of each, the best of some rounds in which they take turns: whatever else runs, slows all."""
    found = [[training.seconds(work, 0.02) for work in works] for _ in range(rounds)]
    return [min(times) for times in zip(*found, strict=True)]


def accuracy(model: nn.Module, part: Callable[[bool], tuple[Tensor, Tensor]], epochs: int, seed: int = 0) -> float:
    """Train with Adam; the share of the test images that is right. The model's weights are drawn before."""
    training.fit(model, *part(True), epochs=epochs, seed=seed)
    return training.accuracy(model, *part(False))


def seeded(build: Callable[..., nn.Module], *arguments: object) -> nn.Module:
    """A model whose first weights are the same every time."""
    torch.manual_seed(0)
    return build(*arguments)
