"""Training and measuring, small enough to read: what several lessons and tests do again and again."""

import timeit
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers.models import kept_modes
from helpers.problems import Problem, labelled, network, number, said, shown, whole_number


def fit(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epochs: int = 5,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> list[float]:
    """Train with Adam and cross-entropy; return the mean loss of each epoch.

    images: (N, ...) float; labels: (N,) int64. The order of the samples comes from `seed`, not from the global
    generator. The model is left in train mode. Raises `Problem` for arguments that do not fit, and where training
    stops on the way: then it says after how many steps, which the model keeps, and the modes are put back.
    """
    _given(model, images, labels)
    epochs, batch_size = whole_number("epochs", epochs, 1, 1_000_000), whole_number("batch_size", batch_size, 1)
    learning_rate = number("learning_rate", learning_rate, 0, 1e6, 1e-3)
    images = images.detach()  # the caller's tensor gets no gradient
    generator = torch.Generator().manual_seed(whole_number("seed", seed, 0))
    means: list[float] = []
    steps = 0
    try:
        optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
        optimizer.zero_grad()  # the model may come with gradients
        with kept_modes(model):
            model.train()
            for _ in range(epochs):
                total = 0.0
                for rows in torch.randperm(len(images), generator=generator).split(batch_size):
                    loss = F.cross_entropy(_logits(model, images[rows], labels), labels[rows])
                    loss.backward()
                    optimizer.step()
                    optimizer.zero_grad()
                    steps += 1
                    total += loss.item() * len(rows)
                means.append(total / len(images))
        model.train()
    except Exception as error:
        kept = f"after {steps:,} steps, which the model keeps" if steps else "before the first step"
        raise Problem(f"training stopped in epoch {len(means) + 1}, {kept}: {said(error)}") from error
    return means


@torch.no_grad()
def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The share of rows whose largest logit is at the label, from 0 to 1. The modes are put back afterwards.

    images: (N, ...); labels: (N,) int64. Raises `Problem` for arguments that do not fit and for a model that fails.
    """
    _given(model, images, labels)
    try:
        with kept_modes(model):
            model.eval()
            return (_logits(model, images, labels).argmax(1) == labels).float().mean().item()
    except Exception as error:
        raise Problem(f"the accuracy cannot be counted: {said(error)}") from error


def seconds(work: Callable[[], object], at_least: float = 0.1) -> float:
    """Time of one call of `work`, in seconds: the best of five runs of about `at_least` / 5 seconds each.

    The best, because everything else on the machine can only add time. Compare such times as ratios.
    Raises `Problem` if `work` cannot be called or fails, or `at_least` is not above 0 or more than an hour.
    """
    if not callable(work):
        raise Problem(f"work is {shown(work)}; give a function without arguments, for example lambda: model(batch).")
    at_least = number("at_least", at_least, 1e-6, 3600, 0.1)
    calls = 1
    try:
        while timeit.timeit(work, number=calls) < at_least / 5:
            calls *= 2
        return min(timeit.repeat(work, number=calls, repeat=5)) / calls
    except Exception as error:
        raise Problem(f"work stopped with {type(error).__name__}: {said(error)}") from error


def _given(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    network("model", model)
    labelled(images, labels)
    if labels.min() < 0:
        raise Problem(f"labels go down to {labels.min()}; classes count from 0.")


def _logits(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """What the model returns for a batch: (B, classes), with a class for each label of the whole set."""
    logits = model(images)
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(images):
        raise Problem(f"the model returns {shown(logits)} for {len(images)} images, not logits (B, classes).")
    if labels.max() >= logits.shape[1]:
        raise Problem(f"labels go up to {labels.max()}; the model has {logits.shape[1]} classes, counted from 0.")
    return logits
