"""The checks of lesson 09: the largest batch by a line, bytes under mixed precision, a batch in parts."""

import copy

import torch
from torch import nn
from torch.nn import functional as F

from helpers.check.core import Tried, exercise, normal, seeded
from helpers.check.guard import attempt
from helpers.memory import watch


def _line(first, second):
    """Bytes for each sample, and the fixed ones, of the line through two peaks."""
    (b, peak), (more, higher) = first, second
    slope = (higher - peak) / (more - b)
    return slope, peak - slope * b


def _by_line(capacity, first, second):
    slope, fixed = _line(first, second)
    return int((capacity - fixed) // slope)


@exercise(
    cases=[
        (7_050, (10, 1_500), (20, 2_500)),
        (7_000, (10, 1_500), (20, 2_500)),  # a whole number of samples
        (1_000, (4, 130), (8, 191)),
        (8_000_000_000, (64, 1_577_943_040), (32, 872_955_392)),
        (400, (10, 1_500), (20, 2_500)),  # the fixed part alone is too large
    ],
    praise="right as long as the peak lies where the two traces have it.",
    slips={
        "the fixed part is missing: take it off the capacity first. It is a peak, less its samples.": [
            lambda capacity, first, second: int(capacity // _line(first, second)[0]),
            lambda capacity, first, second: capacity / _line(first, second)[0],
        ],
        "that divides a whole peak by its batch size. One more sample costs the difference of the peaks over the "
        "difference of the batch sizes.": [
            lambda capacity, first, _: int(capacity // (first[1] / first[0])),
            lambda capacity, _, second: int(capacity // (second[1] / second[0])),
        ],
        "that takes a whole peak for the fixed part. The fixed part is what is left of it without its samples.": [
            lambda capacity, first, second: max(int((capacity - first[1]) // _line(first, second)[0]), 0),
            lambda capacity, first, second: max(int((capacity - second[1]) // _line(first, second)[0]), 0),
        ],
        "a batch has whole samples: round down to an int.": lambda *given: (
            (given[0] - _line(*given[1:])[1]) / _line(*given[1:])[0]
        ),
        "rounded up, the last sample does not fit any more. Round down.": lambda *given: (
            -int(-(given[0] - _line(*given[1:])[1]) // _line(*given[1:])[0])
        ),
        "what fits exactly does fit: with >= in place of >, or without the - 1.": lambda *given: max(
            _by_line(given[0] - 1, *given[1:]), 0
        ),
        "no batch is smaller than 0: where the fixed part alone is too large, the answer is 0.": _by_line,
    },
    crashes={
        "division by zero": "Divide by the difference of the two batch sizes, b2 - b1.",
        "int' object is not subscriptable": "capacity is a number; first and second are pairs.",
    },
)
def largest_batch(capacity, first, second):
    """A capacity and two pairs (B, peak) in; the largest B of the straight line through them, 0 if none, out."""
    return max(_by_line(capacity, first, second), 0)


def _bytes(fp32: int, autocast: int, pure: int):
    kept = {"fp32": fp32, "autocast": autocast, "pure bf16": pure}
    return lambda parameters, how: kept[how] * parameters


@exercise(
    cases=[(count, how) for count in (1, 36_818_954) for how in ("fp32", "autocast", "pure bf16")],
    praise="so autocast alone makes nothing of the fixed part smaller.",
    slips={
        "autocast keeps parameters, gradients and states in float32. Only the copies have 2 bytes.": [
            _bytes(16, 8, 8),
            _bytes(16, 14, 8),
            _bytes(16, 12, 8),
            _bytes(16, 10, 8),
        ],
        "under autocast there is a copy in bf16 beside each parameter: 2 bytes more.": _bytes(16, 16, 8),
        "a copy in bf16 takes 2 bytes, not 4.": _bytes(16, 20, 8),
        "pure bf16 is a model of bf16 parameters, so gradients and both states are bf16 too.": [
            _bytes(16, 18, 14),
            _bytes(16, 18, 12),
            _bytes(16, 18, 10),
            _bytes(16, 18, 16),
        ],
        "Adam keeps two states: with parameters and gradients that is four numbers for each parameter.": [
            _bytes(12, 14, 6),
            _bytes(12, 18, 8),
            _bytes(12, 12, 6),
        ],
        "that is how many numbers there are. Each takes 4 bytes, in bf16 2.": _bytes(4, 5, 4),
    },
    crashes={"KeyError": "The names are 'fp32', 'autocast' and 'pure bf16'."},
)
def fixed_under(parameters, how):
    """How many parameters, and a precision, in; bytes of parameters, gradients, Adam's states and 16-bit copies out."""
    return _bytes(16, 18, 8)(parameters, how)


def _given(count: int, size: int, seed: int):
    labels = torch.arange(count) % 3
    return normal(count, 6, seed=seed) * (1 + labels[:, None]), labels, size


with seeded(0):
    _SMALL = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    _DEEP = nn.Sequential(*[layer for _ in range(6) for layer in (nn.Linear(64, 64), nn.Tanh())], nn.Linear(64, 3))


def _added_up(factor, keep=True):
    """The gradient of the last layer's weight, each loss times factor(images in it, all images, parts)."""

    def work(model, images, labels, size):
        parts = list(zip(images.split(size), labels.split(size), strict=True))
        for x, y in parts:
            if not keep:
                model.zero_grad()
            (F.cross_entropy(model(x), y) * factor(len(y), len(images), len(parts))).backward()
        return model[-1].weight.grad

    return work


def _peak(work) -> int:
    """Bytes at the peak: 96 images in parts of 8, where a part's activations outweigh the rest."""
    model, labels = copy.deepcopy(_DEEP), torch.arange(96) % 3
    images = normal(96, 64)

    def watched() -> int:
        with watch() as live:
            work(model, images, labels, 8)
        return live.peak

    return attempt(watched).result or 0


def _takes_parts(tried: Tried) -> str | None:
    if tried.got.shape != tried.want.shape or not torch.allclose(tried.got, tried.want, rtol=1e-3, atol=1e-5):
        return None
    if any(parameter.grad is None for parameter in tried.after[0].parameters()):
        return "that gradient is right, but some parameters have none. backward() makes all of them."
    mine, right = _peak(tried.answer), _peak(gradient_in_parts.right)
    if mine > 1.2 * right:
        return (
            f"the gradient is right, but the peak is {mine:,} bytes, and with micro-batches {right:,}. Call backward() "
            "for each micro-batch at once, so that its activations go before the next one comes."
        )
    return None


@exercise(
    cases=[(_SMALL, *_given(*sizes)) for sizes in ((8, 4, 1), (10, 4, 2), (7, 7, 3), (7, 3, 4), (5, 2, 5))],
    praise="the gradient of the whole batch, with the memory of a micro-batch.",
    trains=True,
    slips={
        "each loss is a mean already, so the sum of them is too large. Multiply each by its share of the images.": (
            _added_up(lambda size, total, parts: 1)
        ),
        "the last micro-batch is smaller, and its images count more here. Multiply each loss by len(y) / len(images), "
        "not by 1 / k.": _added_up(lambda size, total, parts: 1 / parts),
        "that is the last micro-batch's gradient alone. Does zero_grad() stand inside the loop?": [
            _added_up(lambda size, total, parts: size / total, keep=False),
            _added_up(lambda size, total, parts: 1, keep=False),
            _added_up(lambda size, total, parts: 1 / parts, keep=False),
        ],
        "that is the sum over the images. Divide by how many images there are.": _added_up(
            lambda size, total, parts: size
        ),
        "cross_entropy is a mean already: multiply it by len(y) before you divide by len(images).": _added_up(
            lambda size, total, parts: 1 / total
        ),
        "that divides by the size of a micro-batch. The share is len(y) / len(images).": _added_up(
            lambda size, total, parts: 1 / size
        ),
    },
    crashes={
        "second time": "One backward() for each forward: call model(x) inside the loop.",
        "does not require grad": "The gradients are needed here: leave torch.no_grad() out.",
        "'NoneType' object has no attribute": "The gradients are there after backward(), and gone after zero_grad().",
    },
    coach=_takes_parts,
)
def gradient_in_parts(model, images, labels, size):
    """A model, a batch and a size in; .grad filled as by the whole batch, in micro-batches; the last weight's out."""
    return _added_up(lambda part, total, parts: part / total)(model, images, labels, size)
