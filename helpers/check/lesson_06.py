"""The checks of lesson 06: odd batch sizes, a batch of one, in_features behind a convolution, and chance."""

from math import prod

import torch
from torch import Tensor, nn

from helpers.check.core import Tried, exercise, kind, normal, seeded


def _comes_out(layers, sample_shape, batch_size=1):
    with torch.no_grad():
        return layers(torch.zeros(batch_size, *sample_shape))


with seeded(3):
    _LAYERS = [
        (nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)), (1, 28, 28)),
        (nn.Sequential(nn.Conv2d(1, 8, 3)), (1, 28, 28)),
        (nn.Sequential(nn.Conv2d(3, 4, 5, stride=2), nn.BatchNorm2d(4)).eval(), (3, 32, 32)),
        (nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.MaxPool2d(3)), (3, 31, 20)),
        (nn.Sequential(nn.Conv2d(2, 4, 1), nn.Flatten()), (2, 5, 7)),
    ]


def _whole_number(tried: Tried) -> str | None:
    return f"returned a {kind(tried.got)}. Linear wants a Python int." if isinstance(tried.got, Tensor) else None


@exercise(
    cases=_LAYERS,
    praise="the layers told you themselves.",
    slips={
        "that is the sample before the layers. Ask for the shape that comes out of them.": lambda _, shape: prod(shape),
        "these are the channels only. Flatten joins channels, height and width.": lambda layers, shape: _comes_out(
            layers, shape
        ).shape[1],
        "that is height x width; the channels count too.": lambda layers, shape: _comes_out(layers, shape)[
            0, 0
        ].numel(),
        "that is the last axis only. Flatten joins channels, height and width.": lambda layers, shape: _comes_out(
            layers, shape
        ).shape[-1],
        "1568 fits one model only. Run a batch through the layers that are given.": lambda layers, shape: 1568,
        "that is too large: it counts the batch axis, or leaves out a pooling.": [
            lambda layers, shape: _comes_out(layers, shape, 2).numel(),
            lambda layers, shape: 4 * _comes_out(layers, shape).numel(),
        ],
        "that is a shape. Linear wants one number: multiply all sizes but B.": lambda layers, shape: tuple(
            _comes_out(layers, shape).shape
        ),
        "that is a tensor. Linear wants one whole number, a Python int.": lambda layers, shape: _comes_out(
            layers, shape
        ),
    },
    crashes={
        "to have": "The layers want (B, C, H, W). Which axis did your input lose or get?",
        "Expected 3D": "The layers want (B, C, H, W): torch.zeros(1, *sample_shape).",
        "no attribute 'out_channels'": "layers may be any module. Run a batch through it and look at the shape.",
        "failed to unpack": "A star is missing: torch.zeros(1, *sample_shape) takes the sizes one by one.",
        "an invalid combination of arguments": "layers want a tensor, not a shape: torch.zeros(1, *sample_shape).",
        "must be an iterable": "Call layers(...) as a whole.",
        "expected 4D": "The layers want (B, C, H, W): torch.zeros(1, *sample_shape).",
    },
    coach=_whole_number,
)
def inputs_needed(layers, sample_shape):
    """layers (a module) and the shape of one sample in; the in_features that a Linear behind Flatten needs out."""
    return _comes_out(layers, sample_shape).numel()


def _tried(sizes, fits=lambda out, b: out.ndim == 2 and len(out) == b):
    """A test of a layer that tries only these batch sizes and asks only this."""

    def takes(layer, features):
        try:
            return all(fits(layer(torch.rand(b, features)), b) for b in sizes or (1, 2, features + 1))
        except RuntimeError:
            return False

    return takes


_SQUARE, _WIDE, _JOINED, _NINE = normal(6, 6), normal(6, 4), normal(12, 4), normal(9, 2)


@exercise(
    cases=[
        (lambda x: x @ _WIDE, 6),
        (lambda x: _SQUARE @ x, 6),
        (lambda x: _WIDE.T @ x.T, 6),
        (lambda x: x.reshape(-1, 12) @ _JOINED, 6),
        (lambda x: (x @ _WIDE).squeeze(), 6),
        (lambda x: (x @ _WIDE)[:, None], 6),
        (lambda x: x[:1] @ _WIDE, 6),
        (lambda x: x @ _SQUARE, 6),
        (lambda x: x @ _NINE, 9),
    ],
    praise="you now have a test of the shape. Lesson 01's rows_independent tests the values.",
    slips={
        "said False for x @ W, which takes every B. What did you compare with B?": lambda layer, features: False,
        "said True for W @ x, which runs for one B only, where B equals features. Try other batch sizes too.": [
            lambda layer, features: True,
            lambda layer, features: _tried([features])(layer, features),
        ],
        "said True for a layer that returns (4, B): it runs, but B is no longer first. Look at the shape.": _tried(
            None, lambda out, b: True
        ),
        "said True for a layer that makes one row of two samples: it runs for an even B. Compare rows with B.": _tried(
            [2, 8], lambda out, b: out.ndim == 2 and len(out) in (b, b / 2)
        ),
        "said True for a layer that squeezes: with B = 1 it loses the batch axis. Try B = 1.": _tried([2, 3, 5]),
        "said True for a layer that returns (B, 1, 4). Two axes are wanted: (B, something).": _tried(
            None, lambda out, b: len(out) == b
        ),
        "said True for a layer that keeps one row only. Does your loop go on after the first B?": _tried([1]),
        "said False for a layer that takes every B and returns (B, 6).": _tried(
            None, lambda out, b: out.ndim == 2 and len(out) == b and out.shape[1] != 6
        ),
        "said False for a layer with 9 features. features is not always 6.": lambda layer, _: _tried([1, 2, 3])(
            layer, 6
        ),
    },
    crashes={
        "cannot be multiplied": "An error of the layer is an answer here: catch it with try and except RuntimeError.",
        "is invalid for input of size": "An error of the layer is an answer here: catch it with try and except.",
    },
)
def takes_any_batch(layer, features):
    """A layer (any function) and its features in; True out if every (B, features) comes back as (B, something)."""
    return _tried(None)(layer, features)


with seeded(6):
    _CLASSIFIERS = [
        (nn.Sequential(nn.Flatten(), nn.Linear(36, 10)), normal(10, 1, 6, 6)),
        (nn.Sequential(nn.Flatten(), nn.Linear(36, 10)), normal(1, 1, 6, 6)),
        (nn.Sequential(nn.Flatten(), nn.Linear(60, 4)), normal(4, 5, 3, 7).permute(3, 0, 1, 2)),
        (nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), normal(1, 3, 2, 2)),
    ]


@exercise(
    cases=_CLASSIFIERS,
    praise="one class for each image, also for a batch of one.",
    slips={
        "argmax(0) goes down the batch: for each class the image with the most. With B = 10 and ten classes the shape "
        "is right by accident. Which axis holds the classes?": lambda model, batch: model(batch).argmax(0),
        "argmax without an axis looks through the whole batch. Name the axis of the classes.": (
            lambda model, batch: model(batch).argmax()
        ),
        "B = 10 went well, but with B = 1 the batch axis is gone. Leave squeeze out.": (
            lambda model, batch: model(batch).squeeze().argmax(-1)
        ),
        "these are the scores. The class is the place of the largest one in each row.": (
            lambda model, batch: model(batch)
        ),
        "this is the largest score of each row. argmax gives its place, the class.": (
            lambda model, batch: model(batch).max(1).values
        ),
        "that is the class of the smallest score: argmax, not argmin.": lambda model, batch: model(batch).argmin(1),
        "that is a list. argmax gives a tensor already; leave it as it is.": (
            lambda model, batch: model(batch).argmax(1).tolist()
        ),
        "the axis of the classes is still there, with size 1. Leave keepdim out.": (
            lambda model, batch: model(batch).argmax(1, keepdim=True)
        ),
        "that is the class of the first image only. All of them can go through the model at once.": [
            lambda model, batch: model(batch[:1]).argmax(1),
            lambda model, batch: model(batch)[0].argmax(),
        ],
    },
    crashes={
        "cannot be multiplied": "An image alone has no batch axis. All images can go through at once: model(batch).",
        "Dimension out of range": "With B = 1 squeeze makes (10,) of (1, 10), and there is no axis 1 any more.",
        "cannot be converted to Scalar": ".item() is for one number. The answer is a tensor (B,).",
    },
)
def class_of_each(model, batch):
    """A model and a batch (B, C, H, W) in; the class of each image out, (B,) int64, also for B = 1."""
    return model(batch).argmax(1)


def _same_way(before, after):
    """How many seeds fell, and how many rose."""
    pairs = list(zip(before, after, strict=True))
    return sum(new < old for old, new in pairs), sum(new > old for old, new in pairs)


def _enough(before, after, part=None):
    """The rule, for at least ten seeds: nine in ten of all, or of `part`, the same way."""
    return len(before) >= 10 and max(_same_way(before, after)) >= 0.9 * (part or len(before))


def _mean(numbers):
    return sum(numbers) / len(numbers)


_SEEDS = [90.5, 88.0, 93.0, 91.0, 86.5, 89.0, 92.0, 87.5, 90.0, 94.0]


def _changed(*by):
    before = (2 * _SEEDS)[: len(by)]
    return before, [seed + change for seed, change in zip(before, by, strict=True)]


@exercise(
    cases=[
        _changed(*[-20.0] * 10),
        _changed(*[-3.0] * 10),
        _changed(*[-0.25] * 10),
        _changed(-3.0, -2.0, -1.0, -3.0, -2.0, 0.5, -1.0, -2.0, -4.0, -2.0),
        _changed(3.0, 2.0, 1.0, 3.0, 2.0, -0.5, 1.0, 2.0, 4.0, 2.0),
        _changed(-4.0, -3.0, -2.0, -5.0, -3.0),
        _changed(-6.0, 1.0, -7.0, -8.0, 0.5, -6.0, -9.0, 0.5, -5.0, -6.0),
        _changed(-4.0, -3.0, 0.0, -2.0, -5.0, 0.5, -1.0, -3.0, -4.0, -2.0),
        _changed(-4.0, -3.0, 1.0, -5.0, -3.0),
        _changed(*[-2.0] * 17, *[1.0] * 3),
        _changed(*[0.0] * 10),
        _changed(-2.0, *[0.0] * 9),
    ],
    praise="one rule for every difference, also for one that you hoped for.",
    slips={
        "the two rows overlap, and yet all ten seeds fell. Compare seed by seed, not row by row.": (
            lambda before, after: max(after) < min(before) or max(before) < min(after)
        ),
        "all ten seeds fell, each by a little. Count the seeds; how far they fell does not matter.": (
            lambda before, after: abs(_mean(after) - _mean(before)) > 1
        ),
        "9 of 10 are enough: nine in ten *or more*, so >= and not > (and count in Python: the mean of a float32 tensor "
        "is a little below 0.9).": (
            lambda before, after: len(before) >= 10 and max(_same_way(before, after)) > 0.9 * len(before)
        ),
        "9 of 10 rose. That is the same way too: count down and up, and take the larger.": (
            lambda before, after: len(before) >= 10 and _same_way(before, after)[0] >= 0.9 * len(before)
        ),
        "five coins fall alike 1 time in 16. With fewer than ten seeds the answer is False.": (
            lambda before, after: max(_same_way(before, after)) >= 0.9 * len(before)
        ),
        "17 of 20 are fewer than nine in ten. Do not write 9 into the code: compare with 0.9 * len(before).": (
            lambda before, after: max(_same_way(before, after)) >= 9
        ),
        "7 of 10 are fewer than nine in ten: that may be chance.": (
            lambda before, after: len(before) >= 10 and max(_same_way(before, after)) > len(before) / 2
        ),
        "one seed did not change at all. It went neither down nor up.": (
            lambda before, after: (
                len(before) >= 10 and max(len(before) - up for up in _same_way(before, after)) >= 0.9 * len(before)
            )
        ),
        "most seeds did not change. Compare with nine in ten of all seeds, not of those that changed.": (
            lambda before, after: _enough(before, after, sum(_same_way(before, after)) or 99)
        ),
        "that is the count. Compare it with 0.9 * len(before), and return True or False.": (
            lambda before, after: max(_same_way(before, after))
        ),
    },
    crashes={
        "not iterable": "Lists are not compared number by number. zip(before, after) gives the pairs, seed by seed.",
        "unsupported operand": "Lists have no minus. zip(before, after) gives the pairs, seed by seed.",
    },
)
def more_than_chance(before, after):
    """Two lists, one accuracy a seed, in; True out if there are ten, and nine in ten went the same way."""
    return _enough(before, after)
