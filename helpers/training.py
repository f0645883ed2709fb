"""Training and measuring, small enough to read: what several lessons and tests do again and again."""

import timeit
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers.problems import Problem, whole_number


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
    generator. The model is left in train mode. Raises `Problem` for lengths that differ or sizes below 1.
    """
    epochs, batch_size = whole_number("epochs", epochs, 1), whole_number("batch_size", batch_size, 1)
    _same_length(images, labels)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    generator = torch.Generator().manual_seed(seed)
    means = []
    model.train()
    for _ in range(epochs):
        total = 0.0
        for rows in torch.randperm(len(images), generator=generator).split(batch_size):
            loss = F.cross_entropy(model(images[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        means.append(total / len(images))
    return means


@torch.no_grad()
def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The share of rows whose largest logit is at the label, from 0 to 1. The model's mode is put back afterwards."""
    _same_length(images, labels)
    was_training = model.training
    model.eval()
    right = (model(images).argmax(1) == labels).float().mean().item()
    model.train(was_training)
    return right


def seconds(work: Callable[[], object], at_least: float = 0.1) -> float:
    """Time of one call of `work`, in seconds: the best of five runs of about `at_least` / 5 seconds each.

    The best, because everything else on the machine can only add time. Compare such times as ratios.
    Raises `Problem` if `work` cannot be called or `at_least` is not above 0.
    """
    if not callable(work):
        raise Problem(f"work is {work!r}; give a function without arguments, for example lambda: model(batch).")
    if not at_least > 0:
        raise Problem(f"at_least is {at_least!r}; give a time above 0 in seconds, for example at_least=0.1.")
    calls = 1
    while timeit.timeit(work, number=calls) < at_least / 5:
        calls *= 2
    return min(timeit.repeat(work, number=calls, repeat=5)) / calls


def _same_length(images: Tensor, labels: Tensor) -> None:
    if len(images) != len(labels) or len(images) == 0:
        raise Problem(f"images has {len(images)} rows and labels {len(labels)}; both need the same number, at least 1.")
