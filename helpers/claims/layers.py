"""B5 to B8: what a Linear layer takes, what Flatten keeps, and the two MLPs."""

import torch
from torch import nn

from helpers import models
from helpers.claims.records import Case, Claim, Figure, Measured
from helpers.claims.tools import accuracy, colours, digits, percent, seeded, taken

_DOCS = "https://docs.pytorch.org"


def measure_b5() -> Measured:
    """A Linear layer and shapes of one to four axes; the shape that is refused, and why."""
    layer, wide = nn.Linear(7, 5), nn.Linear(784, 128)
    shapes = ((64, 7), (64, 1, 7), (2, 3, 4, 7))
    takes = {shape: layer(torch.rand(shape)).shape == (*shape[:-1], 5) for shape in shapes}
    images = torch.rand(64, 1, 28, 28)
    refused = not taken(lambda: wide(images))
    cured = taken(lambda: wide(images.reshape(64, 1, 784)))
    return Measured(
        f"{sum(takes.values())} of {len(shapes)} shapes of 2 to 4 axes taken; (64, 1, 28, 28) refused: 28 is not 784",
        (
            Figure("shapes with several axes that are taken", sum(takes.values()), f"of {len(shapes)}"),
            Figure("(64, 1, 28, 28) into Linear(784, 128): refused", refused),
            Figure("(64, 1, 784) into it: taken", cured),
        ),
        tuple(Case(f"{shape} is refused", not true) for shape, true in takes.items())
        + (Case("(64, 1, 784) into Linear(784, 128) is refused", not cured),),
    )


def measure_b6() -> Measured:
    """Flatten for batches and for one image, and its cousins."""
    shapes = ((64, 1, 28, 28), (1, 3, 32, 32), (5, 2, 3))
    kept = sum(nn.Flatten()(torch.rand(shape)).shape == (shape[0], torch.Size(shape[1:]).numel()) for shape in shapes)
    alone = tuple(nn.Flatten()(torch.rand(3, 32, 32)).shape)
    eaten = tuple(torch.flatten(torch.rand(64, 1, 28, 28)).shape)
    return Measured(
        f"{kept} of {len(shapes)} batches keep B; one image (3, 32, 32) gives {alone}",
        (
            Figure("batches whose B is kept", kept, f"of {len(shapes)}"),
            Figure("rows that one image (3, 32, 32) gives", alone[0]),
            Figure("numbers in a row of torch.flatten of (64, 1, 28, 28)", eaten[0]),
        ),
        (
            Case("the first axis is the batch: (B, C*H*W) comes out", kept == len(shapes)),
            Case("an image without a batch comes out as one row", alone == (1, 3072), meant=False),
        ),
    )


def measure_b7() -> Measured:
    """The MLP for the digits, counted and trained."""
    return _mlp("digits", digits, (1, 28, 28), 15, (784, 100_480, 101_770), 0.85)


def measure_b8() -> Measured:
    """The MLP for the colour images, counted and trained."""
    return _mlp("colour patches", colours, (3, 32, 32), 10, (3072, 393_344, 394_634), 0.77)


def _mlp(name: str, part: object, shape: tuple, epochs: int, counts: tuple[int, int, int], least: float) -> Measured:
    model = seeded(models.mlp, shape)
    first = model[1]
    found = first.in_features, models.parameter_count(first), models.parameter_count(model)
    right = accuracy(model, part, epochs)
    return Measured(
        f"{found[0]:,} inputs; first layer {found[1]:,} parameters; {percent(right)} of the {name} right",
        (
            Figure("inputs", found[0]),
            Figure("parameters in the first layer", found[1]),
            Figure("parameters", found[2]),
            Figure(f"right after {epochs} epochs", 100 * right, "%"),
        ),
        (
            Case("inputs, first layer and all parameters are as counted by hand", found == counts),
            Case(f"it learns: {percent(least)} right or more", right > least),
        ),
    )


CLAIMS = (
    Claim(
        "B5",
        ("05",),
        "a Linear layer only takes one-dimensional vectors",
        "wrong as said",
        (("PyTorch: Linear", f"{_DOCS}/docs/stable/generated/torch.nn.Linear.html"),),
        measure_b5,
        verdict="wrong as said",
    ),
    Claim(
        "B6",
        ("05",),
        r"`nn.Flatten` makes [B, C\*H\*W] and keeps the batch",
        "holds if the first axis is the batch",
        (("PyTorch: Flatten", f"{_DOCS}/docs/stable/generated/torch.nn.Flatten.html"),),
        measure_b6,
    ),
    Claim(
        "B7",
        ("05",),
        r"MNIST MLP: 1\*28\*28 = 784 inputs, Linear(784, 128) …",
        "holds",
        (("PyTorch: Build the Neural Network", f"{_DOCS}/tutorials/beginner/basics/buildmodel_tutorial.html"),),
        measure_b7,
        verdict="holds",
    ),
    Claim(
        "B8",
        ("05",),
        r"CIFAR MLP: 3\*32\*32 = 3072 inputs, Linear(3072, 128) …",
        "holds",
        (("PyTorch: Training a Classifier", f"{_DOCS}/tutorials/beginner/blitz/cifar10_tutorial.html"),),
        measure_b8,
        verdict="holds",
    ),
)
