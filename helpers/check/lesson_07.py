"""The checks of lesson 07: bytes of a model, the fixed part, bytes a sample."""

from torch import nn

from helpers import models
from helpers.check.core import exercise, seeded
from helpers.check.lesson_05 import mlp_parameters, weights


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


def _fixed(parameter: int, sgd: int, momentum: int, adam: int):
    """fixed_bytes with so many numbers for each parameter, and for each trainable one on top, by the optimizer."""
    kept = {"sgd": sgd, "momentum": momentum, "adam": adam}
    return lambda parameters, trainable, optimizer: 4 * (parameter * parameters + kept[optimizer] * trainable)


_COUNTS = ((203_530, 203_530), (11_689_512, 513_000), (1, 1), (1_578_506, 0))


@exercise(
    cases=[(*counts, name) for counts in _COUNTS for name in ("sgd", "momentum", "adam")],
    praise="Adam against SGD, all trainable: 16 against 8, so 2 times.",
    slips={
        "that is how many numbers there are. Each takes 4 bytes.": lambda *given: fixed_bytes.right(*given) // 4,
        "gradients and states take 4 bytes a number too.": lambda parameters, trainable, optimizer: (
            4 * parameters + fixed_bytes.right(0, trainable, optimizer) // 4
        ),
        "a frozen parameter has no gradient and no state: take trainable for those.": [
            _fixed(2, 0, 1, 2),
            lambda parameters, _, optimizer: fixed_bytes.right(parameters, parameters, optimizer),
            lambda parameters, trainable, optimizer: (
                fixed_bytes.right(parameters, parameters, optimizer) - 4 * (parameters - trainable)
            ),
        ],
        "a frozen parameter takes memory as well: 4 bytes for each of parameters, trainable or not.": _fixed(
            0, 2, 3, 4
        ),
        "one part is missing: parameters, gradients, and each state of the optimizer count.": [
            _fixed(1, 0, 1, 2),
            _fixed(0, 1, 2, 3),
        ],
        "that is the state alone. Parameters and gradients are there too.": [
            _fixed(0, 0, 1, 2),
            _fixed(0, 2, 1, 2),
            _fixed(0, 2, 3, 2),
        ],
        "that is three times what SGD needs. Count: parameters, gradients and two states.": _fixed(1, 1, 2, 5),
        "plain SGD keeps no state.": _fixed(1, 2, 2, 3),
        "that is a little more. The tracer rounds up to 512 bytes; here nobody does.": lambda *given: (
            -(-fixed_bytes.right(*given) // 512) * 512
        ),
        "Adam keeps two numbers for each trainable parameter, and momentum one.": [
            _fixed(1, 1, 3, 3),
            _fixed(1, 1, 2, 4),
        ],
    },
    crashes={"KeyError": "The names are 'sgd', 'momentum' and 'adam', in lower case."},
)
def fixed_bytes(parameters, trainable, optimizer):
    """How many float32 parameters, how many of them trainable, and an optimizer in; bytes of all that is fixed out."""
    return _fixed(1, 1, 2, 3)(parameters, trainable, optimizer)


SIZES = [((784, 256, 10),), ((3072, 512, 10),), ((784, 512, 512, 10),), ((5, 3),), ((8, 8, 8),)]


@exercise(
    cases=SIZES,
    praise="this is the slope of the memory in B.",
    slips={
        "each hidden layer counts twice here. ReLU's result is the next Linear's input: count it once.": [
            lambda sizes: 4 * (sum(sizes) + sum(sizes[1:-1])),
            lambda sizes: 4 * (sum(sizes) + sum(sizes[1:-1])) + 8,
        ],
        "there may be more sizes than three. Your sum takes the first three.": lambda sizes: 4 * sum(sizes[:3]) + 8,
        "the logarithm of the softmax counts once. The loss sees it twice, but holds the same bytes.": [
            lambda sizes: 4 * (sum(sizes) + sizes[-1]) + 8,
            lambda sizes: 4 * (sum(sizes) + sizes[-1]),
        ],
        "one number of the loss is for the whole batch. One more image adds nothing to it.": [
            lambda sizes: 4 * sum(sizes) + 8 + 4,
            lambda sizes: 4 * sum(sizes) + 8 + 8,
        ],
        "an image has one label of 8 bytes, and not one for each class.": lambda sizes: 4 * sum(sizes) + 8 * sizes[-1],
        "the label is missing, an int64 of 8 bytes.": lambda sizes: 4 * sum(sizes),
        "a label is int64, 8 bytes and not 4.": lambda sizes: 4 * sum(sizes) + 4,
        "the pixels themselves are missing. The batch is kept as well.": lambda sizes: 4 * sum(sizes[1:]) + 8,
        "the loss keeps the logarithm of the softmax, 4 bytes for each of the last size.": lambda sizes: (
            4 * sum(sizes[:-1]) + 8
        ),
        "a float32 number takes 4 bytes.": [sum, lambda sizes: sum(sizes) + 1, lambda sizes: sum(sizes) + 8],
        "weights do not grow with the batch. Count what one sample adds.": [
            lambda sizes: 4 * (sum(sizes) + weights(sizes)) + 8,
            lambda sizes: 4 * (sum(sizes) + mlp_parameters.right(sizes)) + 8,
        ],
    },
)
def kept_per_sample(sizes):
    """The sizes of an MLP in; bytes of batch and activations that one sample adds out."""
    return 4 * sum(sizes) + 8
