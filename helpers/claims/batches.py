"""A1, A2 and B9: the batch axis, and models that hold no batch size."""

import copy

import torch
from torch import nn
from torch.nn import functional as F

from helpers import models
from helpers.claims.records import Case, Claim, Figure, Measured
from helpers.claims.tools import digits, off, seeded, taken

_DOCS = "https://docs.pytorch.org/docs/stable/generated/torch.nn"


def measure_a1() -> Measured:
    """One model takes every B; a row in a batch against the same image alone, for layers that mix and that do not."""
    images, labels = digits()
    cnn = seeded(models.cnn)
    before = copy.deepcopy(cnn.state_dict())
    sizes = (1, 2, 3, 64, 1024)
    with torch.no_grad():
        fits = sum(cnn(images[:b]).shape == (b, 10) for b in sizes)
    unchanged = all(torch.equal(before[name], weight) for name, weight in cnn.state_dict().items())
    norm = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8))
    norm(images[:64])  # fills the running figures
    apart = {(name, train): _apart(net, train) for name, net in (("CNN", cnn), ("norm", norm)) for train in (0, 1)}
    F.cross_entropy(cnn(images[:64]), labels[:64]).backward()
    filled = all(weight.grad is not None for weight in cnn.parameters())
    same = {case: value < 1e-5 for case, value in apart.items()}
    mixed = apart["norm", 1]
    return Measured(
        f"{fits} of {len(sizes)} batch sizes fit; rows differ with BatchNorm in train mode: by {mixed:.1f}",
        (
            Figure("batch sizes that fit", fits),
            Figure("largest difference of a row, CNN", max(apart["CNN", 0], apart["CNN", 1])),
            Figure("largest difference of a row, BatchNorm in eval mode", apart["norm", 0]),
            Figure("largest difference of a row, BatchNorm in train mode", mixed),
        ),
        (
            Case("B from 1 to 1,024 goes forward, weights unchanged", fits == len(sizes) and unchanged),
            Case("64 images go backward at once", filled),
            Case("CNN: a row is what its image alone gives", same["CNN", 0] and same["CNN", 1]),
            Case("BatchNorm, eval mode: the same", same["norm", 0]),
            Case("BatchNorm, train mode: the same", same["norm", 1], meant=False),
        ),
    )


@torch.no_grad()
def _apart(net: nn.Module, train: int) -> float:
    net, images = copy.deepcopy(net).train(bool(train)), digits()[0]
    return off(net(images[:8]), torch.cat([net(images[i : i + 1]) for i in range(8)]))


def measure_a2() -> Measured:
    """One image with the batch axis and without it, into layers and models."""
    grey, colour = torch.rand(1, 28, 28), torch.rand(3, 32, 32)
    nets = {
        "Conv2d": (nn.Conv2d(1, 8, 3), grey),
        "BatchNorm2d": (nn.BatchNorm2d(1), grey),
        "CNN": (models.cnn(), grey),
        "MLP, grey": (models.mlp(), grey),
        "MLP, colour": (models.mlp((3, 32, 32)), colour),
    }
    axis = {name: taken(lambda net=net, image=image: net(image[None])) for name, (net, image) in nets.items()}
    none = {name: taken(lambda net=net, image=image: net(image)) for name, (net, image) in nets.items()}
    return Measured(
        f"one image: {sum(axis.values())} of {len(axis)} nets take it with the axis, {sum(none.values())} without",
        (Figure("nets that take one image, with the axis", sum(axis.values())),)
        + (Figure("nets that take one image, without the axis", sum(none.values())),),
        tuple(Case(f"{name} takes (1, …)", true) for name, true in axis.items())
        + tuple(Case(f"{name} takes the image alone", true, meant=False) for name, true in none.items()),
    )


def measure_b9() -> Measured:
    """Weights and several batch sizes; the bias; a wrong product that runs for one B only."""
    images, _ = digits()
    mlp = seeded(models.mlp)
    first, sizes = mlp[1], (1, 2, 7, 64, 128, 784, 1024)
    with torch.no_grad():
        fits = sum(mlp(images[:b]).shape == (b, 10) for b in sizes)
        rows = images[:64].flatten(1)
        product = off(rows @ first.weight.T + first.bias, first(rows))
    stride = first.bias.expand(64, 128).stride()
    square = torch.randn(8, 8)
    runs = [b for b in range(1, 33) if taken(lambda b=b: square @ torch.randn(b, 8))]
    dropped = mlp(images[:1]).squeeze().shape
    return Measured(
        f"{fits} of {len(sizes)} batch sizes fit; `weights @ x` with 8 features: only B = {runs[0]} of 32 runs",
        (
            Figure("batch sizes that fit", fits),
            Figure("product and broadcast bias against Linear, largest difference", product),
            Figure("step of the bias from row to row", stride[0], "numbers"),
            Figure("batch sizes from 1 to 32 for which weights @ x runs", len(runs)),
        ),
        (
            Case("every B fits the same weights", fits == len(sizes)),
            Case("one product and the broadcast bias are the layer", product < 1e-4 and not stride[0]),
            Case("adding up over the batch, weights @ x, takes every B", len(runs) == 32, meant=False),
            Case("squeeze() keeps the batch axis of one image", dropped == (1, 10), meant=False),
        ),
    )


CLAIMS = (
    Claim(
        "A1",
        ("01",),
        "models are designed for a batch axis; several samples go forward and backward at once",
        "holds if no layer mixes the batch",
        (("PyTorch: BatchNorm2d", f"{_DOCS}.BatchNorm2d.html"),),
        measure_a1,
        "models are made for a batch axis; several samples go through at once",
    ),
    Claim(
        "A2",
        ("01",),
        "the batch axis keeps input dimensions consistent, so a model needs no special case for one sample",
        "holds if the axis is always given",
        (("PyTorch: Conv2d", f"{_DOCS}.Conv2d.html"),),
        measure_a2,
        "with the batch axis, a model needs no special case for one sample",
    ),
    Claim(
        "B9",
        ("06",),
        "batch_size is no part of the model definition; weights have a fixed shape; PyTorch broadcasts over the batch",
        "holds if no line writes B down",
        (("PyTorch: Linear", f"{_DOCS}.Linear.html"),),
        measure_b9,
        "batch_size is no part of the model; PyTorch broadcasts over the batch",
    ),
)
