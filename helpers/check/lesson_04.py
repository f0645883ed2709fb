"""The checks of lesson 04: bytes of a model, the fixed part, bytes a sample, the crossover, an error, a leak."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers import models
from helpers.check.core import Verdict, judge, judge_value, normal
from helpers.check.lesson_03 import parameters_of_mlp
from helpers.memory import watch

_EVEN = (2, 3, 12)  # 16 bytes a parameter are a whole number of samples here
_SIZES = [((784, 256, 10),), ((3072, 512, 10),), ((784, 512, 512, 10),), ((5, 3),), ((8, 8, 8),)]


def model_bytes(answer: object) -> Verdict:
    """A model in; the bytes of its parameters and buffers out, each once, whatever the dtype."""
    with torch.random.fork_rng(devices=[]):
        tied = nn.Sequential(nn.Linear(6, 6, bias=False), nn.ReLU(), nn.Linear(6, 6, bias=False))
        tied[2].weight = tied[0].weight
        norm = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))
        frozen = models.mlp((4,), 2, 3)
        frozen[1].requires_grad_(False)
        in_half = models.mlp((7,), 2, 3).bfloat16()
        cases = [(models.mlp((4,), 5, 3),), (in_half,), (norm,), (tied,), (frozen,), (nn.Flatten(),)]

    def right(model: nn.Module) -> int:
        return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))

    def coach(arguments: tuple, got: object, want: int) -> str | None:
        (model,) = arguments
        parameters, buffers = list(model.parameters()), list(model.buffers())
        count = sum(tensor.numel() for tensor in parameters)
        if got == want or isinstance(got, bool) or not isinstance(got, int | float):
            return None
        if got == sum(-(-tensor.nbytes // 512) * 512 for tensor in (*parameters, *buffers)):
            return "that is rounded up to 512 bytes a tensor. The task asks for the bytes themselves."
        if got == sum(tensor.nbytes for tensor in model.state_dict().values()):
            return "two layers share one weight here, and you counted it twice: state_dict() lists it under both names."
        if buffers and got == sum(tensor.nbytes for tensor in parameters):
            return "the buffers are missing: BatchNorm keeps running_mean, running_var and a counter."
        if got == sum(tensor.nbytes for tensor in parameters if tensor.requires_grad):
            return "a layer is frozen here (requires_grad is False). Its parameters take memory as well."
        if got == count + sum(tensor.numel() for tensor in buffers) or got == count:
            return f"{got:,} is how many numbers there are. Each takes some bytes: nbytes knows."
        if got == 4 * (count + sum(tensor.numel() for tensor in buffers)) or got == 4 * count:
            return "4 bytes a number is right for float32. Here a tensor has another dtype: nbytes knows each."
        return None

    crashes = {"no attribute 'nbytes'": "model.parameters() gives tensors; a tensor has nbytes, a model has not."}
    return judge("model_bytes", answer, cases, right, "every tensor once, every dtype.", coach, crashes)


def fixed_bytes(answer: object) -> Verdict:
    """A number of float32 parameters and an optimizer's name in; bytes of parameters, gradients and state out."""
    states = {"sgd": 0, "momentum": 1, "adam": 2}
    cases = [(count, name) for count in (203_530, 1, 1_578_506) for name in states]

    def right(parameters: int, optimizer: str) -> int:
        return 4 * parameters * (2 + states[optimizer])

    def coach(arguments: tuple, got: object, want: int) -> str | None:
        count, name = arguments
        given = f"fixed_bytes({count:,}, {name!r}): "
        if got == want or isinstance(got, bool) or not isinstance(got, int | float):
            return None
        if got == want // 4:
            return f"{given}{got:,} is how many numbers there are. Each takes 4 bytes."
        if got == want - 4 * count:
            count_to = 2 + states[name]
            return f"{given}got {got:,}: one part is missing. Count {count_to} numbers a parameter, not {count_to - 1}."
        if got == 4 * count * states[name]:
            return f"{given}got {got:,}, which is the state alone. Parameters and gradients are there too."
        if got == 4 * count * 3 * 2:
            return f"{given}got {got:,}, three times what SGD needs. Count: 1 + 1 + {states[name]} numbers a parameter."
        if name == "sgd" and got == 4 * count * 3:
            return f"{given}got {got:,}: plain SGD keeps no state."
        if 0 < got - want < 4 * 512 * 4:
            return (
                f"{given}got {got:,}, a little more than {want:,}. The tracer rounds up to 512 bytes; here nobody does."
            )
        if got > want:
            return (
                f"{given}got {got:,}, expected {want:,}. Numbers that {name} keeps for each parameter: {states[name]}."
            )
        return None

    crashes = {"'sgd'": "The names are 'sgd', 'momentum' and 'adam'."}
    return judge("fixed_bytes", answer, cases, right, "Adam against SGD: 16 against 8, so 2 times.", coach, crashes)


def _kept(sizes: tuple[int, ...]) -> int:
    return 4 * sum(sizes) + 8


def kept_per_sample(answer: object) -> Verdict:
    """The sizes of an MLP in; bytes of batch and activations that one sample adds out."""

    def coach(arguments: tuple, got: object, want: int) -> str | None:
        (sizes,) = arguments
        given = f"kept_per_sample({sizes}): "
        if got == want or isinstance(got, bool) or not isinstance(got, int | float):
            return None
        outputs = 4 * (sum(sizes) + sum(sizes[1:-1]))
        if len(sizes) > 2 and got in (outputs, outputs + 8):
            return f"{given}got {got:,}: each hidden layer counts twice. ReLU's result is the next Linear's input."
        if len(sizes) > 3 and got == 4 * sum(sizes[:3]) + 8:
            return f"{given}got {got:,}: here are {len(sizes)} sizes. Does your sum take all of them?"
        if got == want + 4 * sizes[-1]:
            return f"{given}got {got:,}: the log-probabilities count once. Both lines of the table show the same bytes."
        if got == want - 8:
            return f"{given}got {got:,}: the label is missing, an int64 of 8 bytes."
        if got == want - 4:
            return f"{given}got {got:,}: a label is int64, 8 bytes and not 4."
        if got == want - 4 * sizes[0]:
            return f"{given}got {got:,}: the pixels themselves are missing. The batch is kept as well."
        if got == want - 4 * sizes[-1]:
            return f"{given}got {got:,}: the loss keeps the log-probabilities, {sizes[-1]} numbers of 4 bytes."
        if got in (sum(sizes), sum(sizes) + 1, sum(sizes) + 8):
            return f"{given}got {got:,}: a float32 number takes 4 bytes."
        if got > 4 * sizes[0] * sizes[1]:
            return f"{given}got {got:,}: weights do not grow with the batch. Count what one sample adds."
        return None

    praise = "this is the slope of the memory in B."
    return judge("kept_per_sample", answer, _SIZES, _kept, praise, coach)


def crossover_batch(answer: object) -> Verdict:
    """The sizes of an MLP in; the smallest B whose batch and activations reach parameters, gradients, Adam's state."""

    def right(sizes: tuple[int, ...]) -> int:
        return -(-16 * parameters_of_mlp(sizes) // _kept(sizes))

    def coach(arguments: tuple, got: object, want: int) -> str | None:
        (sizes,) = arguments
        given = f"crossover_batch({sizes}): "
        fixed, a_sample = 16 * parameters_of_mlp(sizes), _kept(sizes)
        if got == want + 1 and fixed % a_sample == 0:
            return f"{given}got {got:,}, but at {want:,} both are equal already. Round up only if there is a rest."
        if got == want or isinstance(got, bool) or not isinstance(got, int | float):
            return None
        if got == fixed // a_sample:
            return f"{given}got {got:,}, and at that B the batch is still the smaller part. Round up."
        if isinstance(got, float) and abs(got - fixed / a_sample) < 1e-6:
            return f"{given}got {got:g}. A batch has whole samples: round up to the next int."
        for part, words in (
            (4, "that compares with the parameters alone. Gradients and Adam's two states count too: 16 bytes each."),
            (8, "that is SGD's fixed part. With Adam it is 16 bytes for each parameter."),
            (12, "one part of the fixed bytes is missing: parameters, gradients, and two states are four."),
            (24, "that takes three times SGD's fixed part. Adam's is 16 bytes for each parameter."),
        ):
            if got in (part * parameters_of_mlp(sizes) // a_sample, -(-part * parameters_of_mlp(sizes) // a_sample)):
                return f"{given}got {got:,}: {words}"
        weights = 16 * sum(inputs * outputs for inputs, outputs in pairwise(sizes))
        if got in (weights // a_sample, -(-weights // a_sample)):
            return f"{given}got {got:,}: the biases are missing, one for each output."
        if got in (fixed // (a_sample - 8), -(-fixed // (a_sample - 8))):
            return f"{given}got {got:,}: one sample has a label too, 8 bytes."
        return None

    praise = "far below this B, a smaller batch saves next to nothing."
    crashes = {"ellipsis": "It calls one of your functions that is still empty: exercises 2 and 3 first."}
    return judge("crossover_batch", answer, [*_SIZES[::-1], (_EVEN,)], right, praise, coach, crashes)


def oom_numbers(answer: object) -> Verdict:
    """(context, missing) in MiB, read from the out-of-memory text of the lesson."""
    coaching = {
        (0.25, 0.5): "Right, but in GiB. The task asks for MiB: times 1,024.",
        (512, 512): "context: what is unallocated belongs to PyTorch too. Take off those 256 MiB as well.",
        (256, 768): "missing: the 256 MiB that are unallocated would help as well, if they were one piece.",
        (256, -512): "missing: how much too little there is, so a number above 0.",
        (244, 494): "1 GiB is 1,024 MiB, not 1,000.",
        (512, 256): "The right numbers in the wrong order: context first, then missing.",
        (1024, 512): "context: 1.00 GiB is free, so nobody uses it. Start from the 14.50 GiB of this process.",
    }
    advice = "Each is one number of the text less two others; in MiB, with 1,024 MiB to a GiB."
    if isinstance(answer, tuple | list) and len(answer) == 2 and 256 in answer[:1]:
        advice = "context is right. missing starts from the request, and two kinds of memory could help."
    praise = "so the advice about fragmentation would not have helped."
    return judge_value("context, missing", answer, (256, 512), praise, coaching, advice)


def mean_loss(answer: object) -> Verdict:
    """A model and batches in; the mean loss as a number out, with one batch's memory at most."""

    def batches(count: int, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
        return [(normal(16, 1, 8, 8, seed=seed + n), torch.arange(16) % 10) for n in range(count)]

    model = _deep_mlp()
    cases = [(model, batches(count, 10 * count)) for count in (3, 1, 5)]

    def right(model: nn.Module, pairs: list) -> float:
        with torch.no_grad():
            return sum(F.cross_entropy(model(images), labels).item() for images, labels in pairs) / len(pairs)

    def coach(arguments: tuple, got: object, want: float) -> str | None:
        model, pairs = arguments
        given = f"with {len(pairs)} batches: "
        if isinstance(got, Tensor) and got.requires_grad:
            return f"{given}the result still holds the graph behind it. Use .item() and torch.no_grad()."
        if isinstance(got, Tensor):
            return f"{given}the result is a tensor. .item() makes a plain number of it."
        if isinstance(got, bool) or not isinstance(got, int | float):
            return None
        with torch.no_grad():
            losses = [F.cross_entropy(model(images), labels).item() for images, labels in pairs]
        if abs(got - want) > 1e-5:
            for value, words in (
                (sum(losses), "that is the sum. Divide by how many batches there are."),
                (losses[-1], "that is the last batch's loss. Add all up."),
                (losses[0] / len(pairs), "that is the first batch's loss, divided. Does return stand inside the loop?"),
                (losses[0], "that is the first batch's loss. Does return stand inside the loop?"),
                (sum(losses) / sum(len(labels) for _, labels in pairs), "cross_entropy is a mean already: divide by "
                 "the number of batches."),
            ):  # fmt: skip
                if abs(got - value) < 1e-5:
                    return f"{given}got {got:.4f}: {words}"
            return None
        one, six = _peak(answer, model, batches(1)), _peak(answer, model, batches(6))
        if six > 1.2 * one:
            return (
                f"the number is right, but 1 batch needs {one:,} bytes at the peak and 6 batches {six:,}. Something of "
                "the old batch lives on: a graph (use torch.no_grad()), or a list of tensors."
            )
        if one > 1.2 * _peak(right, model, batches(1)):
            return "the number is right, but activations are kept for a backward() that never comes: torch.no_grad()."
        return None

    crashes = {
        "does not require grad": "Nobody trains here: leave backward() out.",
        "second time": "Nobody trains here: leave backward() out.",
        "must be tuple": "Each element of batches is a pair: for images, labels in batches.",
    }
    return judge("mean_loss", answer, cases, right, "however many batches, the memory of one.", coach, crashes)


def _deep_mlp() -> nn.Module:
    """Deep enough that kept activations outweigh the rest; the same numbers in every run."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        hidden = [layer for _ in range(5) for layer in (nn.Linear(64, 64), nn.ReLU())]
        return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(64, 10))


def _peak(work: Callable, *arguments: object) -> int:
    with torch.random.fork_rng(devices=[]), watch() as live:
        work(*arguments)
    return live.peak
