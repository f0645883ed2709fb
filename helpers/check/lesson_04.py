"""The checks of lesson 04: bytes of a model, the fixed part, bytes a sample, the crossover, an error, a leak."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers import models
from helpers.check.core import Question, Tried, exercise, normal, seeded
from helpers.check.guard import attempt
from helpers.check.lesson_03 import mlp_parameters
from helpers.memory import watch


def _models() -> list[nn.Module]:
    """Ordinary, bfloat16, with buffers, with a shared weight, with a frozen layer, and empty."""
    tied = nn.Sequential(nn.Linear(6, 6, bias=False), nn.ReLU(), nn.Linear(6, 6, bias=False))
    tied[2].weight = tied[0].weight
    norm = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))
    frozen = models.mlp((4,), 2, 3)
    frozen[1].requires_grad_(False)
    return [models.mlp((4,), 5, 3), models.mlp((7,), 2, 3).bfloat16(), norm, tied, frozen, nn.Flatten()]


def _tensors(model):
    return [*model.parameters(), *model.buffers()]


with seeded(0):
    _MODELS = _models()


@exercise(
    cases=[(model,) for model in _MODELS],
    praise="every tensor once, every dtype.",
    slips={
        "that is rounded up to 512 bytes a tensor. The task asks for the bytes themselves.": lambda model: sum(
            -(-tensor.nbytes // 512) * 512 for tensor in _tensors(model)
        ),
        "two layers share one weight here, and you counted it twice: state_dict() lists it under both names.": (
            lambda model: sum(tensor.nbytes for tensor in model.state_dict().values())
        ),
        "the buffers are missing: BatchNorm keeps running_mean, running_var and a counter.": lambda model: sum(
            tensor.nbytes for tensor in model.parameters()
        ),
        "a layer is frozen here (requires_grad is False). Its parameters take memory as well.": lambda model: sum(
            tensor.nbytes for tensor in _tensors(model) if tensor.requires_grad or tensor in set(model.buffers())
        ),
        "that is how many numbers there are. Each takes some bytes: nbytes knows.": [
            lambda model: sum(tensor.numel() for tensor in _tensors(model)),
            lambda model: sum(tensor.numel() for tensor in model.parameters()),
        ],
        "4 bytes a number is right for float32. Here a tensor has another dtype: nbytes knows each.": [
            lambda model: 4 * sum(tensor.numel() for tensor in _tensors(model)),
            lambda model: 4 * sum(tensor.numel() for tensor in model.parameters()),
        ],
    },
    crashes={"no attribute 'nbytes'": "model.parameters() gives tensors; a tensor has nbytes, a model has not."},
)
def model_bytes(model):
    """A model in; the bytes of its parameters and buffers out, each once, whatever the dtype."""
    return sum(tensor.nbytes for tensor in _tensors(model))


def _numbers_kept(sgd: int, momentum: int, adam: int):
    """fixed_bytes with so many numbers kept for each parameter."""
    return lambda parameters, optimizer: 4 * parameters * {"sgd": sgd, "momentum": momentum, "adam": adam}[optimizer]


@exercise(
    cases=[(count, name) for count in (203_530, 1, 1_578_506) for name in ("sgd", "momentum", "adam")],
    praise="Adam against SGD: 16 against 8, so 2 times.",
    slips={
        "that is how many numbers there are. Each takes 4 bytes.": lambda *given: fixed_bytes.right(*given) // 4,
        "one part is missing: parameters, gradients, and each state of the optimizer count.": _numbers_kept(1, 2, 3),
        "that is the state alone. Parameters and gradients are there too.": [
            _numbers_kept(0, 1, 2),
            _numbers_kept(2, 1, 2),
            _numbers_kept(2, 3, 2),
        ],
        "that is three times what SGD needs. Count: parameters, gradients and two states.": _numbers_kept(2, 3, 6),
        "plain SGD keeps no state.": _numbers_kept(3, 3, 4),
        "that is a little more. The tracer rounds up to 512 bytes; here nobody does.": lambda parameters, optimizer: (
            -(-4 * parameters // 512) * 512 * {"sgd": 2, "momentum": 3, "adam": 4}[optimizer]
        ),
        "Adam keeps two numbers for each parameter, and momentum one.": [
            _numbers_kept(2, 4, 4),
            _numbers_kept(2, 3, 5),
        ],
    },
    crashes={"'sgd'": "The names are 'sgd', 'momentum' and 'adam'."},
)
def fixed_bytes(parameters, optimizer):
    """A number of float32 parameters and an optimizer's name in; bytes of parameters, gradients and state out."""
    return _numbers_kept(2, 3, 4)(parameters, optimizer)


_SIZES = [((784, 256, 10),), ((3072, 512, 10),), ((784, 512, 512, 10),), ((5, 3),), ((8, 8, 8),)]


@exercise(
    cases=_SIZES,
    praise="this is the slope of the memory in B.",
    slips={
        "each hidden layer counts twice here. ReLU's result is the next Linear's input: count it once.": [
            lambda sizes: 4 * (sum(sizes) + sum(sizes[1:-1])),
            lambda sizes: 4 * (sum(sizes) + sum(sizes[1:-1])) + 8,
        ],
        "there may be more sizes than three. Your sum takes the first three.": lambda sizes: 4 * sum(sizes[:3]) + 8,
        "the log-probabilities count once. Both lines of the table show the same bytes.": lambda sizes: (
            4 * (sum(sizes) + sizes[-1]) + 8
        ),
        "the label is missing, an int64 of 8 bytes.": lambda sizes: 4 * sum(sizes),
        "a label is int64, 8 bytes and not 4.": lambda sizes: 4 * sum(sizes) + 4,
        "the pixels themselves are missing. The batch is kept as well.": lambda sizes: 4 * sum(sizes[1:]) + 8,
        "the loss keeps the log-probabilities, 4 bytes for each of the last size.": lambda sizes: (
            4 * sum(sizes[:-1]) + 8
        ),
        "a float32 number takes 4 bytes.": [sum, lambda sizes: sum(sizes) + 1, lambda sizes: sum(sizes) + 8],
        "weights do not grow with the batch. Count what one sample adds.": [
            lambda sizes: 4 * (sum(sizes) + sum(a * b for a, b in pairwise(sizes))) + 8,
            lambda sizes: 4 * (sum(sizes) + mlp_parameters.right(sizes)) + 8,
        ],
    },
)
def kept_per_sample(sizes):
    """The sizes of an MLP in; bytes of batch and activations that one sample adds out."""
    return 4 * sum(sizes) + 8


def _whole_batches(fixed, a_sample=kept_per_sample.right):
    """A slip of the crossover with other bytes, rounded down and up."""
    return [lambda sizes: fixed(sizes) // a_sample(sizes), lambda sizes: -(-fixed(sizes) // a_sample(sizes))]


def _fixed(a_parameter: int):
    return lambda sizes: a_parameter * mlp_parameters.right(sizes)


@exercise(
    cases=[*_SIZES[::-1], ((2, 3, 12),)],  # in the last, the fixed part is a whole number of samples
    praise="far below this B, a smaller batch saves next to nothing.",
    slips={
        "both are equal one sample earlier already. Round up only if there is a rest.": lambda sizes: (
            _fixed(16)(sizes) // kept_per_sample.right(sizes) + 1
        ),
        "at that B the batch is still the smaller part. Round up.": _whole_batches(_fixed(16))[0],
        "a batch has whole samples: round up to the next int.": lambda sizes: (
            _fixed(16)(sizes) / kept_per_sample.right(sizes)
        ),
        "that compares with the parameters alone. Gradients and Adam's two states count too: 16 bytes each.": (
            _whole_batches(_fixed(4))
        ),
        "that is SGD's fixed part. With Adam it is 16 bytes for each parameter.": _whole_batches(_fixed(8)),
        "one part of the fixed bytes is missing: parameters, gradients, and two states are four.": _whole_batches(
            _fixed(12)
        ),
        "that takes three times SGD's fixed part. Adam's is 16 bytes for each parameter.": _whole_batches(_fixed(24)),
        "the biases are missing, one for each output.": _whole_batches(
            lambda sizes: 16 * sum(a * b for a, b in pairwise(sizes))
        ),
        "one sample has a label too, 8 bytes.": _whole_batches(_fixed(16), lambda sizes: 4 * sum(sizes)),
    },
    crashes={"ellipsis": "It calls one of your functions that is still empty: exercises 2 and 3 first."},
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


def _batches(count: int, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    return [(normal(16, 1, 8, 8, seed=seed + n), torch.arange(16) % 10) for n in range(count)]


with seeded(0):  # deep enough that kept activations outweigh the rest
    _HIDDEN = [layer for _ in range(5) for layer in (nn.Linear(64, 64), nn.ReLU())]
    _DEEP = nn.Sequential(nn.Flatten(), *_HIDDEN, nn.Linear(64, 10))


def _losses(model, batches):
    with torch.no_grad():
        return [F.cross_entropy(model(images), labels).item() for images, labels in batches]


def _peak(work, count: int) -> int:
    """Bytes at the peak with so many batches."""
    batches = _batches(count)

    def watched() -> int:
        with watch() as live:
            work(_DEEP, batches)
        return live.peak

    return attempt(watched).result or 0


def _needs_one_batch(tried: Tried) -> str | None:
    if isinstance(tried.got, Tensor):
        return "the result is a tensor" + (
            " and still holds the graph behind it. Use .item() and torch.no_grad()."
            if tried.got.requires_grad
            else ". .item() makes a plain number of it."
        )
    if abs(tried.got - tried.want) > 1e-5:
        return None
    one, six = _peak(tried.answer, 1), _peak(tried.answer, 6)
    if six > 1.2 * one:
        return (
            f"the number is right, but 1 batch needs {one:,} bytes at the peak and 6 batches {six:,}. Something of "
            "the old batch lives on: a graph (use torch.no_grad()), or a list of tensors."
        )
    if one > 1.2 * _peak(mean_loss.right, 1):
        return "the number is right, but activations are kept for a backward() that never comes: torch.no_grad()."
    return None


@exercise(
    cases=[(_DEEP, _batches(count, 10 * count)) for count in (3, 1, 5)],
    praise="however many batches, the memory of one.",
    slips={
        "that is the sum. Divide by how many batches there are.": lambda *given: sum(_losses(*given)),
        "that is the last batch's loss. Add all up.": lambda *given: _losses(*given)[-1],
        "that is the first batch's loss, divided. Does return stand inside the loop?": lambda *given: (
            _losses(*given)[0] / len(given[1])
        ),
        "that is the first batch's loss. Does return stand inside the loop?": lambda *given: _losses(*given)[0],
        "cross_entropy is a mean already: divide by the number of batches.": lambda model, batches: (
            sum(_losses(model, batches)) / sum(len(labels) for _, labels in batches)
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
    """A model and batches in; the mean loss as a number out, with one batch's memory at most."""
    total = 0.0
    with torch.no_grad():
        for images, labels in batches:
            total += F.cross_entropy(model(images), labels).item()
    return total / len(batches)
