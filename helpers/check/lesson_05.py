"""The checks of lesson 05: flattening that keeps B, parameters by hand, an MLP."""

from itertools import pairwise
from math import prod

import torch
from torch import nn

from helpers.check.core import Tried, exercise, kind, normal
from helpers.check.guard import attempt, shorten


@exercise(
    cases=[
        (normal(32, 1, 28, 28),),
        (normal(5, 3, 8, 6),),
        (normal(1, 3, 4, 4),),
        (normal(4, 4, 4, 4),),  # B = C = H = W
        (normal(6, 4, 5, 3).permute(0, 3, 1, 2),),  # non-contiguous
        (normal(7, 9, 2),),
        (normal(3, 2, 4, 3, 2),),
        (normal(6, 5),),
    ],
    praise="B stays, the rest is one axis.",
    slips={
        "you flattened the batch too.": lambda x: x.flatten(),
        "nn.Flatten makes a layer and calls nothing. Make it first, then call it: nn.Flatten()(x).": lambda x: (
            nn.Flatten()
        ),
        "one batch size is written into your code. x.reshape(len(x), -1) asks each batch for its own.": lambda x: (
            x.reshape(64, -1)
        ),
        "x came back as it was. Join all axes but the first.": lambda x: x,
        "that is one row with everything in it. There must be B rows, one a sample.": lambda x: x.reshape(1, -1),
        "rows and columns are the wrong way round. B comes first.": lambda x: x.reshape(len(x), -1).T,
        "some axes are still apart. All axes behind B become one.": [lambda x: x.flatten(2), lambda x: x.flatten(1, 2)],
        "samples were joined. Each of the B samples keeps its own row.": [
            lambda x: x.flatten(0, -2),
        ],
        "the numbers are right, their order is not. Join the axes in the order in which they come.": [
            lambda x: x.movedim(1, -1).reshape(len(x), -1),
            lambda x: x.transpose(-1, -2).reshape(len(x), -1),
        ],
        "rows got numbers of other samples. B must stay the first axis.": [
            lambda x: x.movedim(0, -1).reshape(len(x), -1),
            lambda x: x.transpose(0, 1).reshape(len(x), -1),
        ],
    },
    crashes={
        "view size is not compatible": "view needs neighbours in memory; reshape copies where it must.",
        "not enough values to unpack": "x may have any number of axes; use len(x) and -1.",
        "too many values to unpack": "x may have any number of axes; use len(x) and -1.",
        "is invalid for input of size": "Sizes differ from call to call: len(x) is B, and -1 lets PyTorch work the "
        "features out.",
        "Dimension out of range": "x may have any number of axes, from two on.",
    },
)
def flatten_batch(x):
    """x (B, ...) in, (B, n) out: the same numbers in the same order."""
    return x.reshape(len(x), -1)


def weights(sizes):
    """The weights of the Linear layers between these sizes."""
    return sum(inputs * outputs for inputs, outputs in pairwise(sizes))


@exercise(
    cases=[((784, 128, 10),), ((3072, 128, 10),), ((784, 10),), ((5, 4, 3, 2),), ((1, 1),), ((784, 256, 64, 10),)],
    praise="inputs x outputs + outputs, for every layer.",
    slips={
        "these are the weights only. Each of a layer's outputs has one bias as well.": weights,
        "you gave the inputs biases too. Only the outputs of a layer have them.": lambda sizes: (
            weights(sizes) + sum(sizes)
        ),
        "a layer has one bias for each output, not for each input.": lambda sizes: weights(sizes) + sum(sizes[:-1]),
        "you counted one bias a layer. There is one for each output.": lambda sizes: weights(sizes) + len(sizes) - 1,
        "only the last layer got biases. Every layer has them.": lambda sizes: weights(sizes) + sizes[-1],
        "only the first layer was counted. Is the return inside the loop?": lambda sizes: (sizes[0] + 1) * sizes[1],
        "only the last layer was counted. Add the layers up.": lambda sizes: (sizes[-2] + 1) * sizes[-1],
        "you multiplied all sizes. Each layer has inputs x outputs weights; layers are added.": prod,
        "you added the sizes. A layer has inputs x outputs weights.": sum,
        "these are bytes. The question asks for the number of parameters.": lambda sizes: (
            4 * (weights(sizes) + sum(sizes[1:]))
        ),
    },
    crashes={
        "values to unpack": "sizes may hold two numbers or more: go through neighbours in a loop.",
        "out of range": "sizes may hold two numbers or more: there is one layer less than sizes.",
    },
)
def mlp_parameters(sizes):
    """sizes such as (784, 128, 10) in, the number of weights and biases of the Linear layers between them out."""
    return weights(sizes) + sum(sizes[1:])


def _affine(model: nn.Module, sample_shape: tuple[int, ...]) -> bool:
    """Whether f(x) + f(-x) = 2 f(0): so it is without anything between the Linear layers, and not with a ReLU."""
    x = normal(16, *sample_shape)
    with torch.no_grad():
        return torch.allclose(model(x) + model(-x), 2 * model(torch.zeros_like(x)), atol=1e-4)


def _runs(tried: Tried) -> str | None:
    """What goes wrong when batches run through the model."""
    sample_shape, hidden, classes = tried.arguments
    features = prod(sample_shape)
    for b in (2, 1, features, hidden, 64):
        outcome = attempt(torch.no_grad()(tried.got), normal(b, *sample_shape), waiting_for="the model")
        if "mat1 and mat2" in outcome.error:
            starts = [layer.start_dim for layer in tried.got.modules() if isinstance(layer, nn.Flatten)]
            hint = f"The first Linear needs in_features = {features} here, each Linear what the one before makes."
            if not starts:
                hint = "No Flatten joins the axes of a sample before the first Linear."
            elif starts[0] != 1:
                hint = "Flatten must start at axis 1, as nn.Flatten() does."
            return f"a batch of {b} fails{outcome.error}. {hint}"
        if outcome.error:
            return f"a batch of {b} fails{outcome.error}."
        if kind(outcome.result) != f"tensor of shape {(b, classes)}":
            return f"a batch of {b} comes out as {kind(outcome.result)}, expected shape {(b, classes)}."
    return None


def _is_the_mlp(tried: Tried) -> str | None:
    """What differs from Flatten, Linear, ReLU, Linear, in a model that runs."""
    sample_shape, hidden, classes = tried.arguments
    layers = list(tried.got.modules())
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    count = sum(parameter.numel() for parameter in tried.got.parameters())
    if count != (wanted := mlp_parameters.right((prod(sample_shape), hidden, classes))):
        hint = f"Its Linear layers are {[(layer.in_features, layer.out_features) for layer in linear]}."
        if len(linear) == 2 and any(layer.bias is None for layer in linear):
            hint = "A bias is missing: leave bias as it is."
        return f"{count:,} parameters, expected {wanted:,}. {hint}"
    if attempt(_affine, tried.got, sample_shape).result is True:
        return "no ReLU between the two Linear layers. Without it, two of them do no more than one can."
    if isinstance(layers[-1], nn.ReLU | nn.Softmax | nn.LogSoftmax):
        return f"the last layer is {type(layers[-1]).__name__}. cross_entropy wants the plain logits of Linear."
    order = [type(layer) for layer in layers if isinstance(layer, nn.ReLU | nn.Linear)]
    if order == [nn.ReLU, nn.Linear, nn.Linear]:
        return "ReLU stands before the first Linear. It belongs between the two."
    return None


def _other_layers(model: nn.Module) -> str | None:
    """What else the model is made of, where it does what it should."""
    if not isinstance(model, nn.Sequential):
        return f"the result is a {shorten(type(model).__name__, 60)}. Put the four layers into an nn.Sequential."
    names = [type(layer).__name__ for layer in model.modules() if not isinstance(layer, nn.Sequential)]
    if names != ["Flatten", "Linear", "ReLU", "Linear"]:
        return f"the layers are {shorten(', '.join(names), 200)}. The task asks for Flatten, Linear, ReLU, Linear."
    return None


def _coach_mlp(tried: Tried) -> str | None:
    if any(isinstance(layer, nn.LazyLinear) for layer in tried.got.modules()):  # it turns into a Linear when it runs
        message = "LazyLinear waits for a batch to learn its in_features. Compute the number here, from sample_shape."
    else:
        message = _runs(tried) or _is_the_mlp(tried) or _other_layers(tried.got)
    return message and f"build_mlp{tried.arguments}: {message}"


@exercise(
    cases=[((1, 28, 28), 128, 10), ((3, 32, 32), 128, 10), ((2, 4, 8), 8, 3), ((5,), 7, 2)],
    praise="any sample shape, any batch size.",
    crashes={
        "type must be tuple of ints": "sample_shape is a tuple; math.prod multiplies its sizes.",
        "unsupported operand": "sample_shape is a tuple; math.prod multiplies its sizes.",
        "is not a Module subclass": "Make every layer with brackets, as in nn.ReLU(); commas between them, no list.",
        "out of range": "sample_shape may have one size or more; math.prod multiplies them all.",
        "values to unpack": "sample_shape may have one size or more; math.prod multiplies them all.",
    },
    coach=_coach_mlp,
)
def build_mlp(sample_shape, hidden, classes):
    """sample_shape, hidden and classes in; a model out that takes (B, *sample_shape) and returns (B, classes)."""
    first, last = nn.Linear(prod(sample_shape), hidden), nn.Linear(hidden, classes)
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), last)
