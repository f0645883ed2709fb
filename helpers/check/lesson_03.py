"""The checks of lesson 03: flattening that keeps B, parameters by hand, in_features, an MLP, and odd batch sizes."""

from collections.abc import Callable
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from helpers.check.core import COACHED, Verdict, judge, kind, normal


def flatten_batch(answer: object) -> Verdict:
    """x (B, ...) in, (B, n) out: the same numbers in the same order."""

    def coach(arguments: tuple, got: object, want: Tensor) -> str | None:
        (x,) = arguments
        if not isinstance(got, Tensor):
            return None
        b, shape = len(x), tuple(got.shape)
        given = f"for x of shape {tuple(x.shape)}: "
        if shape == (x.numel(),):
            return f"{given}you flattened the batch too: got {shape}, expected {tuple(want.shape)}."
        if shape == tuple(x.shape) and x.ndim > 2:
            return f"{given}x came back as it was. Join all axes but the first: {tuple(want.shape)}."
        if shape == (1, x.numel()) and b > 1:
            return f"{given}got {shape}: one row with everything in it. There must be {b} rows, one a sample."
        if shape == (want.shape[1], b) and shape != tuple(want.shape):
            return f"{given}got {shape}: rows and columns are the wrong way round. B comes first."
        if x.ndim > 3 and got.ndim > 2 and shape[0] == b and got.numel() == x.numel():
            return f"{given}got {shape}: some axes are still apart. All axes behind B become one."
        if x.ndim == 3 and got.ndim == 2 and got.numel() == x.numel() and shape != tuple(want.shape):
            return f"{given}got {shape}: samples were joined. Each of the {b} samples keeps its own row."
        if shape == tuple(want.shape) and got.dtype == want.dtype and not torch.equal(got, want):
            if torch.equal(got.sort(1).values, want.sort(1).values):
                return f"{given}the numbers are right, their order is not. Leave out permute, and leave the axes alone."
            return f"{given}shape is right, but rows got numbers of other samples. B must stay the first axis."
        return None

    cases = [
        (normal(32, 1, 28, 28),),
        (normal(5, 3, 8, 6),),
        (normal(1, 3, 4, 4),),
        (normal(4, 4, 4, 4),),  # B = C = H = W
        (normal(6, 4, 5, 3).permute(0, 3, 1, 2),),  # non-contiguous
        (normal(7, 9, 2),),
        (normal(3, 2, 4, 3, 2),),
        (normal(6, 5),),
    ]
    crashes = {
        "view size is not compatible": "view needs neighbours in memory; reshape copies where it must.",
        "not enough values to unpack": "x may have any number of axes; use len(x) and -1.",
        "too many values to unpack": "x may have any number of axes; use len(x) and -1.",
        "is invalid for input of size": "Sizes differ from call to call; -1 lets PyTorch work one out.",
        "Dimension out of range": "x may have any number of axes, from two on.",
    }
    return judge(
        "flatten_batch",
        answer,
        cases,
        lambda x: x.reshape(len(x), -1),
        "B stays, the rest is one axis.",
        coach,
        crashes,
    )


def parameters_of_mlp(sizes: tuple[int, ...]) -> int:
    """Weights and biases of the Linear layers between these sizes."""
    return sum(inputs * outputs + outputs for inputs, outputs in pairwise(sizes))


def mlp_parameters(answer: object) -> Verdict:
    """sizes such as (784, 128, 10) in, the number of weights and biases of the Linear layers between them out."""

    def coach(arguments: tuple, got: object, want: int) -> str | None:
        (sizes,) = arguments
        if isinstance(got, bool) or not isinstance(got, int | float) or got == want:
            return None
        pairs = list(pairwise(sizes))
        weights = sum(a * b for a, b in pairs)
        slips = {
            weights: "these are the weights only. Each of a layer's outputs has one bias as well",
            weights + sum(sizes): "you gave the inputs biases too. Only the outputs of a layer have them",
            weights + sum(sizes[:-1]): "a layer has one bias for each output, not for each input",
            weights + len(pairs): "you counted one bias a layer. There is one for each output",
            weights + sizes[-1]: "only the last layer got biases. Every layer has them",
            parameters_of_mlp(sizes[:2]): "only the first layer was counted. Is the return inside the loop",
            pairs[-1][0] * pairs[-1][1] + pairs[-1][1]: "only the last layer was counted. Add the layers up",
            prod(sizes): "you multiplied all sizes. Each layer has inputs x outputs weights; layers are added",
            sum(sizes): "you added the sizes. A layer has inputs x outputs weights",
            4 * want: "these are bytes. The question asks for the number of parameters",
        }
        text = slips.get(got)
        return f"mlp_parameters({sizes}): got {got:,}; {text}." if text else None

    cases = [((784, 128, 10),), ((3072, 128, 10),), ((784, 10),), ((5, 4, 3, 2),), ((1, 1),), ((784, 256, 64, 10),)]
    crashes = {
        "values to unpack": "sizes may hold two numbers or more: go through neighbours in a loop.",
        "out of range": "sizes may hold two numbers or more: there is one layer less than sizes.",
    }
    praise = "inputs x outputs + outputs, for every layer."
    return judge("mlp_parameters", answer, cases, parameters_of_mlp, praise, coach, crashes)


def inputs_needed(answer: object) -> Verdict:
    """layers (a module) and the shape of one sample in; the in_features that a Linear behind Flatten needs out."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        pooled = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        cases = [
            (pooled, (1, 28, 28)),
            (nn.Conv2d(1, 8, 3), (1, 28, 28)),
            (nn.Sequential(nn.Conv2d(3, 4, 5, stride=2), nn.BatchNorm2d(4)).eval(), (3, 32, 32)),
            (nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.MaxPool2d(3)), (3, 31, 20)),
            (nn.Sequential(nn.Conv2d(2, 4, 1), nn.Flatten()), (2, 5, 7)),
        ]

    def shape_of(layers: nn.Module, sample_shape: tuple[int, ...]) -> tuple[int, ...]:
        with torch.no_grad():
            return tuple(layers(torch.zeros(1, *sample_shape)).shape)

    def coach(arguments: tuple, got: object, want: int) -> str | None:
        layers, sample_shape = arguments
        shape = shape_of(layers, sample_shape)
        if isinstance(got, tuple | torch.Size):
            return f"returned the shape {tuple(got)}. Linear wants one number: multiply all sizes but B."
        if isinstance(got, Tensor):
            return f"returned a {kind(got)}. Linear wants one whole number, a Python int."
        if isinstance(got, bool) or not isinstance(got, int | float) or got == want:
            return None
        given = f"for a sample {sample_shape}: got {got}; "
        if got == prod(sample_shape):
            return f"{given}that is the sample before the layers. Ask for the shape that comes out of them."
        if len(shape) == 4 and got == shape[1]:
            return f"{given}these are the channels only. Flatten joins channels, height and width."
        if len(shape) == 4 and got == shape[2] * shape[3]:
            return f"{given}that is height x width; the {shape[1]} channels count too."
        if got == shape[-1]:
            return f"{given}that is the last axis only. Flatten joins channels, height and width."
        if got == 1568:
            return f"{given}1568 fits one model only. Run a batch through the layers that are given."
        if want and got % want == 0:
            return f"{given}that is {got // want} times too many. Does it count the batch axis, or leave out a pooling?"
        return None

    crashes = {
        "to have": "The layers want (B, C, H, W). Which axis did your input lose or get?",
        "Expected 3D": "The layers want (B, C, H, W): torch.zeros(2, *sample_shape).",
        "no attribute 'out_channels'": "layers may be any module. Run a batch through it and look at the shape.",
        "not subscriptable": "layers may be any module. Run a batch through it and look at the shape.",
        "expected 4D": "The layers want (B, C, H, W): torch.zeros(2, *sample_shape).",
    }

    def right(layers: nn.Module, sample_shape: tuple[int, ...]) -> int:
        return prod(shape_of(layers, sample_shape)[1:])

    return judge("inputs_needed", answer, cases, right, "the layers told you themselves.", coach, crashes)


def _affine(model: nn.Module, sample_shape: tuple[int, ...]) -> bool:
    """Whether f(x) + f(-x) = 2 f(0): so it is without anything between the Linear layers, and not with a ReLU."""
    x = normal(16, *sample_shape)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        return torch.allclose(model(x) + model(-x), 2 * model(torch.zeros_like(x)), atol=1e-4)


def build_mlp(answer: object) -> Verdict:
    """sample_shape, hidden and classes in; a model out that takes (B, *sample_shape) and returns (B, classes)."""
    cases = [((1, 28, 28), 128, 10), ((3, 32, 32), 128, 10), ((2, 4, 8), 8, 3), ((5,), 7, 2)]

    def coach(arguments: tuple, got: object, want: object) -> str | None:
        sample_shape, hidden, classes = arguments
        given = f"build_mlp({sample_shape}, {hidden}, {classes}): "
        if isinstance(got, type) or not isinstance(got, nn.Module):
            return f"{given}returned {kind(got)}, expected a model such as nn.Sequential(...)."
        features = prod(sample_shape)
        for b in (2, 1, features, hidden, 64):
            try:
                with torch.random.fork_rng(devices=[]), torch.no_grad():
                    out = got(normal(b, *sample_shape))
            except Exception as error:
                text = str(error).split("\n")[0]
                hint = ""
                if "mat1 and mat2" in text:
                    flat = any(isinstance(layer, nn.Flatten) for layer in got.modules())
                    fits = (
                        f"The first Linear needs in_features = {features} here, each Linear what the one before makes."
                    )
                    hint = fits if flat else "No Flatten joins the axes of a sample before the first Linear."
                return f"{given}a batch of {b} fails with {type(error).__name__}: {text}. {hint}".rstrip()
            if not isinstance(out, Tensor) or tuple(out.shape) != (b, classes):
                return f"{given}a batch of {b} comes out as {kind(out)}, expected shape {(b, classes)}."
        count = sum(parameter.numel() for parameter in got.parameters())
        if count != (wanted := parameters_of_mlp((features, hidden, classes))):
            parts = [(layer.in_features, layer.out_features) for layer in got.modules() if isinstance(layer, nn.Linear)]
            if len(parts) == 2 and any(layer.bias is None for layer in got.modules() if isinstance(layer, nn.Linear)):
                return f"{given}{count:,} parameters, expected {wanted:,}. A bias is missing: leave bias as it is."
            return f"{given}{count:,} parameters, expected {wanted:,}. Its Linear layers are {parts}."
        if _affine(got, sample_shape):
            return f"{given}no ReLU between the two Linear layers. Without it, two of them do no more than one can."
        layers = list(got)[:-1] if isinstance(got, nn.Sequential) else []
        if isinstance(got, nn.Sequential) and isinstance(got[-1], nn.ReLU | nn.Softmax | nn.LogSoftmax):
            return f"{given}the last layer is {type(got[-1]).__name__}. cross_entropy wants the plain logits of Linear."
        if layers and sum(isinstance(layer, nn.Linear) for layer in layers) == 1:
            order = [type(layer).__name__ for layer in layers if isinstance(layer, nn.ReLU | nn.Linear)]
            if order == ["ReLU", "Linear"]:
                return f"{given}ReLU stands before the first Linear. It belongs between the two."
        return None

    crashes = {
        "type must be tuple of ints": "sample_shape is a tuple; math.prod multiplies its sizes.",
        "unsupported operand": "sample_shape is a tuple; math.prod multiplies its sizes.",
        "is not a Module subclass": "Make every layer with brackets, as in nn.ReLU(); commas between them, no list.",
        "out of range": "sample_shape may have one size or more; math.prod multiplies them all.",
        "values to unpack": "sample_shape may have one size or more; math.prod multiplies them all.",
    }
    praise = "any sample shape, any batch size."
    return judge("build_mlp", answer, cases, lambda *_: COACHED, praise, coach, crashes)


def takes_any_batch(answer: object) -> Verdict:
    """A layer (any function) and its features in; True out if every (B, features) comes back as (B, something)."""
    square, wide, narrow = normal(6, 6), normal(6, 4), normal(12, 4)
    layers: list[tuple[Callable, int, bool, str]] = [
        (lambda x: x @ wide, 6, True, "said False for x @ W, which takes every B. What did you compare with B?"),
        (
            lambda x: square @ x,
            6,
            False,
            "said True for W @ x, which runs for one B only, where B equals features. Try other batch sizes too.",
        ),
        (
            lambda x: wide.T @ x.T,
            6,
            False,
            "said True for a layer that returns (4, B): it runs, but B is no longer first. Look at the shape.",
        ),
        (
            lambda x: x.reshape(-1, 12) @ narrow,
            6,
            False,
            "said True for a layer that makes one row of two samples: for an even B it runs. Compare the rows with B.",
        ),
        (
            lambda x: (x @ wide).squeeze(),
            6,
            False,
            "said True for a layer that squeezes: with B = 1 it loses the batch axis. Try B = 1.",
        ),
        (
            lambda x: (x @ wide)[:, None],
            6,
            False,
            "said True for a layer that returns (B, 1, 4). Two axes are wanted: (B, something).",
        ),
        (
            lambda x: x[:1] @ wide,
            6,
            False,
            "said True for a layer that keeps one row only: right for B = 1. Does your loop go on after the first B?",
        ),
        (lambda x: x @ square, 6, True, "said False for a layer that takes every B and returns (B, 6)."),
        (lambda x: x @ normal(9, 2), 9, True, "said False for a layer with 9 features. features is not always 6."),
    ]

    def case(layer: Callable) -> tuple[Callable, int, bool, str]:
        return next(one for one in layers if one[0] is layer)

    def coach(arguments: tuple, got: object, want: bool) -> str | None:
        return case(arguments[0])[3] if isinstance(got, bool) and got != want else None

    crashes = {
        "cannot be multiplied": "An error of the layer is an answer here: catch it with try and except RuntimeError.",
        "is invalid for input of size": "An error of the layer is an answer here: catch it with try and except.",
    }
    cases = [(layer, features) for layer, features, _, _ in layers]
    praise = "you now have a test of the shape. Lesson 01's rows_independent tests the values."
    return judge("takes_any_batch", answer, cases, lambda layer, _: case(layer)[2], praise, coach, crashes)
