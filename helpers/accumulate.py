"""Gradient accumulation: the gradients of several micro-batches, added up, against that of the whole batch."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers import data, models
from helpers.problems import Problem, one_of, whole_number

BATCH = 64  #: images in the whole batch, the first of the digits
#: What each micro-batch's loss is multiplied by before backward().
SCALES = ("divided by k", "weighted by its size", "as it is")
NETWORKS = ("without BatchNorm", "with BatchNorm")
_EXACT = 1e-12  # relative: below it, only rounding differs


@dataclass(frozen=True)
class Accumulated:
    """Both gradients of one batch, and what was done to get the second."""

    sizes: tuple[int, ...]  #: images in each micro-batch
    factors: tuple[float, ...]  #: what each one's mean loss is multiplied by
    scale: str  #: one of `SCALES`
    network: str  #: one of `NETWORKS`
    whole: tuple[float, ...]  #: the gradients of the ten biases of the last layer, from the whole batch
    parts: tuple[float, ...]  #: the same, added up over the micro-batches
    error: float  #: over all parameters: length of the difference, as a share of the length of the whole gradient

    @property
    def equal(self) -> bool:
        """Whether only rounding differs."""
        return self.error < _EXACT

    @property
    def reasons(self) -> list[str]:
        """Why the two differ, in words."""
        found = []
        if self.scale == "as it is" and len(self.sizes) > 1:
            found.append("each loss is a mean: divide or weight it")
        if self.scale == "divided by k" and len(set(self.sizes)) > 1:
            found.append("uneven micro-batches must be weighted")
        if self.network == "with BatchNorm" and len(self.sizes) > 1:
            found.append("BatchNorm takes mean and spread of each micro-batch")
        return found

    @property
    def verdict(self) -> str:
        """Equal or not, by how much, and why."""
        if self.equal:
            return f"Equal: the relative error is {self.error:.0e}, rounding in float64."
        return f"Not equal: the relative error is {self.error:.2f}; {' and '.join(self.reasons)}."

    @property
    def sentence(self) -> str:
        """All of it."""
        cut = f"{BATCH} digits in {len(self.sizes)} micro-batch{'es' * (len(self.sizes) > 1)}"
        alike = len(set(self.sizes)) == 1
        sizes = f"of {self.sizes[0]}" if alike else f"of {self.sizes[0]}, the last of {self.sizes[-1]}"
        return f"{cut} {sizes}, each loss {self.scale}, {self.network}. {self.verdict}"


def accumulate(micro_batch: int = 16, scale: str = "divided by k", network: str = "without BatchNorm") -> Accumulated:
    """The gradient of 64 digits at once, and in micro-batches of at most `micro_batch`, in float64.

    scale: what each loss, the mean of its micro-batch, is multiplied by: 1 / k for k of them, its share of the images,
    or nothing. network: an MLP with 128 hidden features, in train mode. Raises `Problem` for a value that is not
    allowed, and where BatchNorm would get a single image.
    """
    micro_batch = whole_number("micro_batch", micro_batch, 1, BATCH)
    one_of("scale", scale, SCALES)
    one_of("network", network, NETWORKS)
    model, images, labels = _given(network)
    parts = list(zip(images.split(micro_batch), labels.split(micro_batch), strict=True))
    sizes = tuple(len(part) for _, part in parts)
    if network == "with BatchNorm" and min(sizes) == 1:
        raise Problem(
            f"with micro_batch={micro_batch} a micro-batch has one image, and BatchNorm in train mode needs more than "
            "one; give another micro_batch."
        )
    factors = tuple({SCALES[0]: 1 / len(sizes), SCALES[1]: size / BATCH}.get(scale, 1.0) for size in sizes)
    whole = _gradients(model, [(images, labels)], [1.0])
    added = _gradients(model, parts, factors)
    error = float((added - whole).norm() / whole.norm())
    last = model[-1].bias.numel()
    return Accumulated(sizes, factors, scale, network, _ends(whole, last), _ends(added, last), error)


def _ends(gradients: Tensor, count: int) -> tuple[float, ...]:
    return tuple(gradients[-count:].tolist())


@lru_cache(maxsize=2)
def _given(network: str) -> tuple[nn.Sequential, Tensor, Tensor]:
    digits = data.digits()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = models.mlp()
        if network == "with BatchNorm":
            model.insert(2, nn.BatchNorm1d(128))
    return model.double(), digits.images[:BATCH].double() / 255, digits.labels[:BATCH]


def _gradients(model: nn.Module, parts: list[tuple[Tensor, Tensor]], factors: list[float]) -> Tensor:
    """The gradients of all parameters in a row, added up over the parts."""
    parameters = list(model.parameters())
    total = torch.zeros(sum(p.numel() for p in parameters), dtype=torch.float64)
    with torch.enable_grad():
        for (images, labels), factor in zip(parts, factors, strict=True):
            loss = F.cross_entropy(model(images), labels) * factor
            total += torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, parameters)])
    return total
