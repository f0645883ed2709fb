"""Gradient noise: how far the gradient of a batch lies from that of all samples, and how that shrinks with B."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import sqrt

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from helpers import data, models
from helpers.problems import LARGEST, Problem, instance_of, labelled, network, one_of, said, whole_number

#: When in a training the gradients are looked at: the course's MLP on the digits, SGD with lr 0.1 and B = 64.
MOMENTS = ("at the start", "after 1 epoch", "after 30 epochs")
BATCHES = 100  #: that are drawn, where nobody says how many
_EPOCHS = dict(zip(MOMENTS, (0, 1, 30), strict=True))
_AT_ONCE = 2**21  # numbers in the gradients of the samples that are held at the same time
_ROUNDS = 5  # of the power iteration that finds the second axis


@dataclass(frozen=True, eq=False)
class SampleGradients:
    """The gradient of each sample on its own, seen from their mean, the full gradient.

    Of each gradient two numbers are kept, in units of the full gradient's length: how far it reaches `along` the full
    gradient (the mean of these is 1), and `across` it, in the direction at right angles in which the samples differ
    most (mean 0); and its squared distance from the full gradient in all directions together.
    """

    length: float  #: of the full gradient
    parameters: int  #: numbers in a gradient
    along: Tensor  #: (N,) float64
    across: Tensor  #: (N,) float64
    distances: Tensor  #: (N,) float64, squared, not in units of the length

    @property
    def count(self) -> int:
        """N, how many samples there are."""
        return len(self.distances)

    @property
    def trace(self) -> float:
        """Mean squared distance of a sample's gradient from the full one: the variances of all numbers, added up."""
        return self.distances.mean().item()

    @property
    def noise_scale(self) -> float:
        """Trace / length squared: the batch size at which noise and full gradient are about equally long.

        It is the simple noise scale of McCandlish et al., "An Empirical Model of Large-Batch Training" (2018),
        arXiv:1812.06162, equation 2.9, with these N samples for all there are.
        """
        return self.trace / self.length**2

    def noise(self, batch_size: int) -> float:
        """The typical distance of a batch's gradient from the full one: the root of its mean square, exact.

        Batches are drawn without replacement, so trace / B is multiplied by (N - B) / (N - 1), the correction for a
        finite population (Cochran, "Sampling Techniques", 3rd edition, theorem 2.2): nothing is left at B = N.
        Raises `Problem` if batch_size is not from 1 to N.
        """
        b = whole_number("batch_size", batch_size, 1, self.count)
        return sqrt(self.trace / b * (self.count - b) / max(self.count - 1, 1))


@dataclass(frozen=True, eq=False)
class GradientNoise:
    """The gradients of some random batches of one size, on the two axes of `SampleGradients`."""

    samples: SampleGradients
    batch_size: int
    moment: str  #: of `MOMENTS`, or whatever says where the gradients come from
    along: tuple[float, ...]
    across: tuple[float, ...]

    @property
    def relative(self) -> float:
        """The noise as a multiple of the full gradient's length."""
        return self.samples.noise(self.batch_size) / self.samples.length

    @property
    def downhill(self) -> int:
        """How many batches have `along` > 0: with them a step that is small enough lowers the loss of all samples."""
        return sum(value > 0 for value in self.along)

    @property
    def sentence(self) -> str:
        b, n, scale = self.batch_size, self.samples.count, self.samples.noise_scale
        if b == n:
            what = "Each is the full gradient: no noise is left."
        else:
            what = (
                f"Typically each misses the full gradient by {self.relative:.2g} of its lengths. With {self.downhill} "
                f"of the {len(self.along)} (right of the upright line), a small enough step lowers the loss of all "
                "images."
            )
        even = f"Noise and full gradient are equally long near B = {max(scale, 1):,.0f}, the noise scale."
        return f"Gradients of {len(self.along)} batches of {b:,} of {n:,} images, {self.moment}. {what} {even}"


def per_sample(model: nn.Module, images: Tensor, labels: Tensor) -> SampleGradients:
    """The gradient of the cross-entropy for each sample on its own, against the mean of all.

    model: (N, ...) float in, (N, classes) logits out; it is put into eval mode meanwhile, so that no sample's gradient
    depends on another's or on chance. images: (N, ...) float. labels: (N,) int64, N at least 2. The gradients are made
    some at a time by `torch.func` and let go again. Raises `Problem` for arguments that do not fit, for a model that
    fails, and where the full gradient is 0 or not finite.
    """
    network("model", model)
    labelled(images, labels)
    if len(images) < 2:
        raise Problem("images has 1 row; give 2 samples or more, or there is nothing to compare.")
    try:
        with models.kept_modes(model), torch.no_grad():
            model.eval()
            return _measured(_Losses(model, images.detach(), labels))
    except Problem:
        raise
    except Exception as error:
        raise Problem(f"the gradients of the samples cannot be made: {said(error)}") from error


def gradient_noise(
    samples: SampleGradients, batch_size: int, batches: int = BATCHES, seed: int = 0, moment: str = "as given"
) -> GradientNoise:
    """The gradients of random batches, each drawn without replacement.

    A batch's gradient is the mean of its samples' gradients (lesson 02), so no model is run. batch_size: 1 to N;
    batches: 1 to 1000. Raises `Problem` for anything else.
    """
    instance_of("samples", samples, SampleGradients, "noise.per_sample(model, images, labels)")
    b, batches = whole_number("batch_size", batch_size, 1, samples.count), whole_number("batches", batches, 1, 1000)
    generator = torch.Generator().manual_seed(whole_number("seed", seed, 0))
    instance_of("moment", moment, str, '"after 1 epoch"')
    points = torch.stack((samples.along, samples.across), 1)
    rows = (torch.randperm(samples.count, generator=generator)[:b] for _ in range(batches))
    along, across = torch.stack([points[some].mean(0) for some in rows]).T.tolist()
    return GradientNoise(samples, b, moment, tuple(along), tuple(across))


def samples_at(moment: str) -> SampleGradients:
    """The gradients of the 1,437 digits at one of `MOMENTS` in the training of the course's MLP (784-128-10).

    Raises `Problem` for another moment.
    """
    if one_of("moment", moment, MOMENTS) not in _samples:
        _samples[moment] = per_sample(trained(moment), *_digits())
    return _samples[moment]


def is_slow(moment: str) -> bool:
    """Whether `samples_at` has not met this moment yet, and takes longer than a blink."""
    return one_of("moment", moment, MOMENTS) not in _samples


class _Losses:
    """The losses of all samples as functions of the parameters that learn, laid out in one row of numbers."""

    def __init__(self, model: nn.Module, images: Tensor, labels: Tensor):
        self.model, self.images, self.labels = model, images, labels
        learning = {name: one for name, one in model.named_parameters() if one.requires_grad}
        if not learning:
            raise Problem("the model has no parameter that learns; set requires_grad_(True) on some of them.")
        self.shapes = {name: one.shape for name, one in learning.items()}
        self.point = torch.cat([one.detach().flatten() for one in learning.values()])

    def __call__(self, numbers: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        """(P,), (B, ...), (B,) in; the loss of each sample (B,) out."""
        parts = numbers.split([shape.numel() for shape in self.shapes.values()])
        named = {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}
        return F.cross_entropy(functional_call(self.model, named, (images,)), labels, reduction="none")

    def added(self, weights: Tensor) -> Tensor:
        """The gradients of all samples, each times its weight, added up: (N,) in, (P,) out."""
        return grad(lambda numbers: self(numbers, self.images, self.labels) @ weights)(self.point)

    def along(self, direction: Tensor) -> Tensor:
        """How far each sample's gradient reaches in a direction: (P,) in, (N,) out.

        A sample's gradient is how `added` changes with that sample's weight, so backward goes through `added` once.
        """
        return grad(lambda weights: self.added(weights) @ direction)(direction.new_zeros(len(self.labels)))

    def each(self) -> Iterator[Tensor]:
        """The gradients of the samples, some at a time, (b, P)."""
        one = vmap(grad(lambda numbers, image, label: self(numbers, image[None], label[None])[0]), in_dims=(None, 0, 0))
        b = max(_AT_ONCE // len(self.point), 1)
        for images, labels in zip(self.images.split(b), self.labels.split(b), strict=True):
            yield one(self.point, images, labels)


def _measured(losses: _Losses) -> SampleGradients:
    full, length, distances = _from_the_mean(losses)
    ahead = full / length
    along, across = losses.along(ahead), losses.along(_second_axis(losses, ahead))
    return SampleGradients(length, len(full), along.double() / length, across.double() / length, distances)


def _from_the_mean(losses: _Losses) -> tuple[Tensor, float, Tensor]:
    """The full gradient (P,), its length, and each sample's squared distance from it (N,)."""
    count = len(losses.labels)
    full = losses.added(losses.point.new_full((count,), 1 / count))
    length = full.norm().item()
    if not 0 < length < float("inf"):
        raise Problem(f"the full gradient has the length {length:g}; there is no direction to compare with.")
    return full, length, torch.cat([(each - full).square().sum(1) for each in losses.each()]).double()


def _second_axis(losses: _Losses, ahead: Tensor) -> Tensor:
    """The direction at right angles to `ahead` in which the gradients differ most, by power iteration."""
    axis = torch.randn(len(ahead), generator=torch.Generator().manual_seed(0), dtype=ahead.dtype)
    for _ in range(_ROUNDS):
        axis = axis - ahead * (ahead @ axis)
        axis = losses.added(losses.along(axis / axis.norm().clamp_min(1e-30)))
    axis = axis - ahead * (ahead @ axis)
    axis = axis / axis.norm().clamp_min(1e-30)
    reach = losses.along(axis)
    return axis if reach.max() >= -reach.min() else -axis  # the longer side points up


_samples: dict[str, SampleGradients] = {}  # by moment, what `samples_at` gave


@cache
def _digits() -> tuple[Tensor, Tensor]:
    digits = data.digits()
    return digits.images.float() / 255, digits.labels


def trained(moment: str) -> nn.Sequential:
    """The course's MLP (784-128-10) at one of `MOMENTS`; SGD with lr 0.1, B = 64, seed 0. `Problem` for another one."""
    return _trained(_EPOCHS[one_of("moment", moment, MOMENTS)], 0)


def scale_after(epochs: int, seed: int = 0) -> float:
    """The noise scale of the course's MLP on the 1,437 digits after so many epochs; SGD with lr 0.1 and B = 64.

    epochs: 0 to 30. Weights and order come from `seed`. Raises `Problem` for anything else.
    """
    epochs, seed = whole_number("epochs", epochs, 0, 30), whole_number("seed", seed, 0, LARGEST)
    with torch.no_grad():
        losses = _Losses(_trained(epochs, seed), *_digits())
        length, distances = _from_the_mean(losses)[1:]
    return distances.mean().item() / length**2


def _trained(epochs: int, seed: int) -> nn.Sequential:
    images, labels = _digits()
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        model = models.mlp()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(epochs):
            for rows in torch.randperm(len(images)).split(64):
                F.cross_entropy(model(images[rows]), labels[rows]).backward()
                optimizer.step()
                optimizer.zero_grad()
    return model
