"""The checks of lesson 08: the crossover, an error, a leak."""

import copy
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers.check.core import Question, Tried, exercise, normal, seeded
from helpers.check.guard import attempt
from helpers.check.lesson_02 import dataset_mean
from helpers.check.lesson_05 import mlp_parameters, weights
from helpers.check.lesson_07 import SIZES, kept_per_sample
from helpers.memory import crossover, watch


def _whole_batches(fixed, a_sample=kept_per_sample.right):
    """A slip of the crossover with other bytes, rounded down and up."""
    return [lambda sizes: fixed(sizes) // a_sample(sizes), lambda sizes: -(-fixed(sizes) // a_sample(sizes))]


def _fixed(a_parameter: int):
    return lambda sizes: a_parameter * mlp_parameters.right(sizes)


def _traced(sizes):
    layers = [layer for a, b in pairwise(sizes) for layer in (nn.ReLU(), nn.Linear(a, b))]
    return crossover(nn.Sequential(*layers[1:]), sizes[:1])


@exercise(
    # In the second last, the fixed part is a whole number of samples; in the last, 4 bytes less for a label matter.
    cases=[*SIZES[::-1], ((2, 3, 12),), ((1000, 2, 10),)],
    praise="far below this B, a smaller batch saves next to nothing.",
    slips={
        "both are equal one sample earlier already. Round up only if there is a rest.": lambda sizes: (
            _fixed(16)(sizes) // kept_per_sample.right(sizes) + 1
        ),
        "at that B the batch is still the smaller part. Round up.": _whole_batches(_fixed(16))[0],
        "a batch has whole samples: round up to the next int.": lambda sizes: (
            _fixed(16)(sizes) / kept_per_sample.right(sizes)
        ),
        "that is the tracer's, which rounds each tensor up to 512 bytes. Count by hand, without rounding.": _traced,
        "that compares with the parameters alone. Gradients and Adam's two states count too: 16 bytes each.": (
            _whole_batches(_fixed(4))
        ),
        "that is SGD's fixed part. With Adam it is 16 bytes for each parameter.": _whole_batches(_fixed(8)),
        "one part of the fixed bytes is missing: parameters, gradients, and two states are four.": _whole_batches(
            _fixed(12)
        ),
        "that takes three times SGD's fixed part. Adam's is 16 bytes for each parameter.": _whole_batches(_fixed(24)),
        "the biases are missing, one for each output.": _whole_batches(lambda sizes: 16 * weights(sizes)),
        "one sample has a label too, an int64: 8 bytes.": [
            *_whole_batches(_fixed(16), lambda sizes: 4 * sum(sizes)),
            *_whole_batches(_fixed(16), lambda sizes: 4 * sum(sizes) + 4),
        ],
    },
    crashes={
        "ellipsis": "It calls a function that is still empty. Write the sums out, as the task gives them.",
        "values to unpack": "There may be more sizes than three, or fewer: zip(sizes, sizes[1:]) gives the pairs.",
    },
)
def crossover_batch(sizes):
    """The sizes of an MLP in; the smallest B whose batch and activations reach parameters, gradients, Adam's state."""
    return _whole_batches(_fixed(16))[1](sizes)


oom_numbers = Question(
    "context, missing",
    (256, 512),
    "so the advice about fragmentation would not have helped.",
    {
        "Right, but in GiB. The task asks for MiB: times 1,024.": (0.25, 0.5),
        "context: what is unallocated belongs to PyTorch too. Take off those 256 MiB as well.": (512, 512),
        "missing: the 256 MiB that are unallocated would help as well, if they were one piece.": (256, 768),
        "missing: how much too little there is, so a number above 0.": (256, -512),
        "1 GiB is 1,024 MiB, not 1,000.": (244, 494),
        "The right numbers in the wrong order: context first, then missing.": (512, 256),
        "context: 1.00 GiB is free, so nobody uses it. Start from the 14.50 GiB of this process.": (1024, 512),
    },
    "Each is one number of the text less two others; in MiB, with 1,024 MiB to a GiB.",
    "(context, missing) in MiB, read from the out-of-memory text of the lesson.",
)


def _batches(*sizes: int) -> list[tuple[Tensor, Tensor]]:
    return [(normal(size, 1, 8, 8, seed=place + size), torch.arange(size) % 10) for place, size in enumerate(sizes)]


with seeded(0):  # deep enough that kept activations outweigh the rest; BatchNorm tells train from eval mode
    _HIDDEN = [layer for _ in range(5) for layer in (nn.Linear(64, 64), nn.ReLU())]
    _DEEP = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), *_HIDDEN, nn.Linear(64, 10))
    for _layer in _DEEP[2::2]:
        nn.init.normal_(_layer.weight, std=0.2)  # larger than usual, so that losses differ


def _losses(model, batches, train=False):
    model.train(train)
    with torch.no_grad():
        return [F.cross_entropy(model(images), labels).item() for images, labels in batches]


def _sizes(batches):
    return [len(labels) for _, labels in batches]


def _weighted(losses, batches):
    return dataset_mean.right(losses, _sizes(batches))


def _peak(work, count: int, keeps_graphs: bool = True) -> int:
    """Bytes at the peak with so many batches."""
    model, batches = copy.deepcopy(_DEEP), _batches(*[16] * count)

    def watched() -> int:
        with torch.set_grad_enabled(keeps_graphs), watch() as live:
            work(model, batches)
        return live.peak

    return attempt(watched).result or 0


def _fills_grad(work) -> bool:
    model = copy.deepcopy(_DEEP)
    attempt(work, model, _batches(16))
    return any(parameter.grad is not None for parameter in model.parameters())


def _needs_one_batch(tried: Tried) -> str | None:
    if isinstance(tried.got, Tensor):
        return "the result is a tensor" + (
            " and still holds the graph behind it. Use .item() and torch.no_grad()."
            if tried.got.requires_grad
            else ". .item() makes a plain number of it."
        )
    if abs(tried.got - tried.want) > 1e-5:
        return None
    if not all(parameter.requires_grad for parameter in tried.after[0].parameters()):
        return "the number is right, but the model came back frozen. torch.no_grad() keeps nothing and changes nothing."
    if _fills_grad(tried.answer):
        return "the number is right, but backward() has filled .grad. Nobody trains here: leave backward() out."
    one, six, right = _peak(tried.answer, 1), _peak(tried.answer, 6), _peak(mean_loss.right, 1)
    if six > 1.2 * one:
        cause = (
            "Batches or results of all of them are there at once, in a list or by torch.cat: take one after the other."
            if _peak(tried.answer, 6, keeps_graphs=False) > 1.2 * right
            else "The graph of the old batch lives on: use torch.no_grad()."
        )
        return f"the number is right, but 1 batch needs {one:,} bytes at the peak and 6 batches {six:,}. {cause}"
    if one > 1.2 * right:
        return "the number is right, but activations are kept for a backward() that never comes: torch.no_grad()."
    return None


@exercise(
    cases=[(_DEEP, _batches(*sizes)) for sizes in ((16, 16, 5), (7,), (1, 30, 4))],
    praise="every image counts the same, and however many batches there are, the memory of one.",
    slips={
        "that is the mean of the batches' means, where an image of a small batch counts more. Weight each loss by "
        "len(labels), and divide by the number of images.": lambda *given: sum(_losses(*given)) / len(given[1]),
        "that is the loss in train mode: BatchNorm mixes the batch. model.eval() first.": [
            lambda *given: _weighted(_losses(*given, train=True), given[1]),
            lambda *given: sum(_losses(*given, train=True)) / len(given[1]),
        ],
        "that is the sum. Divide by how many images there are.": lambda *given: (
            _weighted(_losses(*given), given[1]) * sum(_sizes(given[1]))
        ),
        "that is the sum of the batches' means. Weight each by len(labels), and divide by the number of images.": (
            lambda *given: sum(_losses(*given))
        ),
        "that is the last batch's loss. Add all up.": lambda *given: _losses(*given)[-1],
        "that is the first batch's loss alone. Does return stand inside the loop?": [
            lambda *given: _losses(*given)[0],
            lambda *given: _losses(*given)[0] * _sizes(given[1])[0] / sum(_sizes(given[1])),
        ],
        "cross_entropy is a mean already: before you divide by the number of images, weight each by len(labels).": (
            lambda *given: sum(_losses(*given)) / sum(_sizes(given[1]))
        ),
        "the losses are weighted: divide by the number of images, not of batches.": lambda *given: (
            _weighted(_losses(*given), given[1]) * sum(_sizes(given[1])) / len(given[1])
        ),
    },
    crashes={
        "does not require grad": "Nobody trains here: leave backward() out.",
        "second time": "Nobody trains here: leave backward() out.",
        "must be tuple": "Each element of batches is a pair: for images, labels in batches.",
    },
    coach=_needs_one_batch,
)
def mean_loss(model, batches):
    """A model and batches of any sizes in; the mean loss of an image in eval mode out, with one batch's memory."""
    model.eval()
    total = 0.0
    with torch.no_grad():
        for images, labels in batches:
            total += F.cross_entropy(model(images), labels).item() * len(labels)
    return total / sum(_sizes(batches))
