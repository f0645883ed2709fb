"""The checks of lesson 09: the largest batch by a line, a batch in parts, the peak after a lever."""

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


def _with_whole_bytes(capacity, first, second):
    """The line whose slope was rounded down."""
    (b, peak), slope = first, int(_line(first, second)[0])
    return max((capacity - (peak - slope * b)) // slope, 0)


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
        "bytes for a sample need not be whole: divide with /, and round down at the end.": _with_whole_bytes,
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


def _less(peaks, saved):
    """What is left in each phase."""
    return {phase: size - saved.get(phase, 0) for phase, size in peaks.items()}


def _top(peaks):
    """The phase that has the peak."""
    return max(peaks, key=peaks.get)


_WIDE = {"forward": 209, "backward": 562, "step()": 702}


@exercise(
    cases=[
        (_WIDE, {"step()": 100}),
        (_WIDE, {"step()": 421, "backward": 281}),
        (_WIDE, {"step()": 400}),  # backward is the floor
        ({"forward": 799, "backward": 817, "step()": 814}, {"backward": 300, "forward": 280}),  # step() is the floor
        ({"forward": 811, "backward": 833, "step()": 242}, {"backward": 90, "forward": 89}),
        ({"forward": 259}, {"forward": 59}),  # inference
        (_WIDE, {}),
    ],
    praise="a lever lowers its phases; the highest of what is left is the new peak.",
    slips={
        "that takes the saving off the old peak. Another phase may be higher now: look at all of them again.": (
            lambda peaks, saved: peaks[_top(peaks)] - saved.get(_top(peaks), 0)
        ),
        "each phase has a saving of its own: do not add them up.": lambda peaks, saved: (
            max(peaks.values()) - sum(saved.values())
        ),
        "that is the lowest phase. The peak is the highest.": lambda peaks, saved: min(_less(peaks, saved).values()),
        "phases do not live at the same time: take the highest, not the sum.": lambda peaks, saved: sum(
            _less(peaks, saved).values()
        ),
        "return how much it is, in MiB.": lambda peaks, saved: _top(_less(peaks, saved)),
    },
    crashes={"KeyError": "A phase without a saving is not in saved: saved.get(phase, 0) is 0 then."},
)
def peak_after(peaks, saved):
    """MiB by phase, and what a lever saves in some of them, in; the peak afterwards, in MiB, out."""
    return max(_less(peaks, saved).values())


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


def _by_the_wanted_size(model, images, labels, size):
    """Each loss divided by how many parts there would be if all had the wanted size."""
    for x, y in zip(images.split(size), labels.split(size), strict=True):
        (F.cross_entropy(model(x), y) * size / len(images)).backward()
    return model[-1].weight.grad


def _seen_sizes(work) -> list[int]:
    """How many images the model sees at once, of 10 with size 4."""
    model, seen = copy.deepcopy(_SMALL), []
    model.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    attempt(lambda: work(model, *_given(10, 4, 2)))
    return seen


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
    sizes = _seen_sizes(tried.answer)
    if max(sizes, default=9) <= 4 and sorted(sizes) != [2, 4, 4]:
        return (
            f"the gradient is right, but of 10 images with size=4 the model saw {sizes}, not [4, 4, 2]. "
            "images.split(size) cuts parts of that size; chunk(n) makes n parts."
        )
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
        "not by 1 / k.": [_added_up(lambda size, total, parts: 1 / parts), _by_the_wanted_size],
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
