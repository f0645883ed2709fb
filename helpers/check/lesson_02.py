"""The checks of lesson 02: broadcasting, means, a step of training, and the recipe."""

import copy
from collections.abc import Callable, Sequence
from functools import cache
from math import isclose

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers.check.core import Tried, exercise, normal, pixels, seeded
from helpers.check.guard import attempt


def per_channel(work):
    """A slip whose mean and std, (C,), have the right shape, (C, 1, 1)."""
    return lambda batch, mean, std: work(batch, mean[:, None, None], std[:, None, None])


def _to_normalise(*shape: int) -> tuple[Tensor, Tensor, Tensor]:
    return normal(*shape), normal(shape[1], seed=5), normal(shape[1], seed=6).abs() + 0.5


@exercise(
    cases=[
        _to_normalise(4, 3, 6, 3),
        _to_normalise(3, 3, 3, 3),
        _to_normalise(1, 3, 8, 8),
        _to_normalise(5, 1, 4, 6),
        _to_normalise(3, 3, 5, 7),
        _to_normalise(2, 4, 4, 5),
        (normal(4, 5, 5, 3).permute(0, 3, 1, 2), *_to_normalise(4, 3, 6, 3)[1:]),  # non-contiguous
    ],
    praise="one mean and std a channel, for any batch.",
    slips={
        "the mean was taken off along the width, not the channels: a (C,) tensor lines up with the last axis. Give it "
        "the shape (1, C, 1, 1), and use what reshape returns: it makes a new tensor.": lambda batch, mean, std: (
            (batch - mean) / std
        ),
        "the mean was taken off along the batch axis. The channels are axis 1: shape (1, C, 1, 1).": per_channel(
            lambda batch, mean, std: (batch - mean[:, None]) / std[:, None]
        ),
        "the mean was taken off along the height. The channels are axis 1: shape (1, C, 1, 1).": (
            lambda batch, mean, std: (batch - mean[:, None]) / std[:, None]
        ),
        "the mean is right, but std lines up with the width. It needs the shape (1, C, 1, 1) too.": (
            lambda batch, mean, std: (batch - mean[:, None, None]) / std
        ),
        "std is right, but the mean lines up with the width. It needs the shape (1, C, 1, 1) too.": (
            lambda batch, mean, std: (batch - mean) / std[:, None, None]
        ),
        "you took off the mean, but did not divide by std.": per_channel(lambda batch, mean, std: batch - mean),
        "you divided by std, but did not take off the mean.": per_channel(lambda batch, mean, std: batch / std),
        "you divided first. Take off the mean, then divide.": per_channel(lambda batch, mean, std: batch / std - mean),
        "brackets are missing: / comes before -, so only the mean was divided.": per_channel(
            lambda batch, mean, std: batch - mean / std
        ),
        "you divided by 255 as well. Only mean and std are asked for.": per_channel(
            lambda batch, mean, std: (batch / 255 - mean) / std
        ),
        "you multiplied by std. Divide by it.": per_channel(lambda batch, mean, std: (batch - mean) * std),
        "you used the mean and std of this batch. Use the ones that are given.": lambda batch, mean, std: (
            (batch - batch.mean((0, 2, 3), keepdim=True)) / batch.std((0, 2, 3), keepdim=True)
        ),
    },
    crashes={
        "is invalid for input of size": "The number of channels is not always 3: with -1, PyTorch works it out.",
        "must match the size": "(C,) lines up with the last axis, the width. Which shape lines up with axis 1 of four?",
    },
)
def normalise(batch, mean, std):
    """batch (B, C, H, W), mean (C,), std (C,) in; (batch - mean) / std for each channel out."""
    return (batch - mean[:, None, None]) / std[:, None, None]


def _no_tensor(tried: Tried) -> str | None:
    return "that is a tensor; .item() makes a Python float of it." if isinstance(tried.got, Tensor) else None


def _weighed(losses, sizes):
    return sum(loss * size for loss, size in zip(losses, sizes, strict=True))


@exercise(
    cases=[
        ([0.5, 0.7, 2.0], [64, 64, 8]),
        ([1.0, 3.0], [32, 32]),
        ([0.25], [7]),
        ([2.0, 1.0, 4.0, 0.5], [16, 16, 16, 1]),
    ],
    praise="short batches weigh what they hold.",
    slips={
        "that is the mean of the batch means. The short last batch then weighs as much as a full one. Weigh each loss "
        "with its batch size.": lambda losses, sizes: sum(losses) / len(losses),
        "that is the sum over all samples. Divide by the number of samples.": _weighed,
        "you weighed the losses, but divided by the number of batches. Divide by the number of samples.": (
            lambda losses, sizes: _weighed(losses, sizes) / len(sizes)
        ),
        "you divided the plain sum of the losses by the number of samples.": lambda losses, sizes: (
            sum(losses) / sum(sizes)
        ),
        "that is the sum of the losses (a loop in a loop gives it too).": lambda losses, sizes: sum(losses),
        "only the first batch was counted. Is the return inside the loop?": lambda losses, sizes: (
            losses[0] * sizes[0] / sum(sizes)
        ),
        "what is behind the point is gone. Divide with /, and leave int(...) and round(...) out.": [
            lambda losses, sizes: _weighed(losses, sizes) // sum(sizes),
            lambda losses, sizes: int(_weighed(losses, sizes) / sum(sizes)),
            lambda losses, sizes: round(_weighed(losses, sizes) / sum(sizes)),
        ],
        "the last batch was left out. It is short, but it counts.": lambda losses, sizes: (
            _weighed(losses[:-1], sizes[:-1]) / sum(sizes[:-1])
        ),
    },
    crashes={
        "can't multiply sequence": "losses and sizes are lists, and lists do not multiply: take pairs with zip(...).",
        "unsupported operand": "losses and sizes are lists: go through their pairs with zip(losses, sizes).",
    },
    coach=_no_tensor,
)
def dataset_mean(losses, sizes):
    """Batch losses (means) and batch sizes in; the mean over all samples out."""
    return _weighed(losses, sizes) / sum(sizes)


def _loss(model, images, labels, **how):
    return F.cross_entropy(model(images), labels, **how)


def _stepped(model, optimizer, images, labels):
    loss = _loss(model, images, labels)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss


def _same_weights(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.allclose(mine, right, atol=1e-6) for mine, right in pairs)


def _trained(tried: Tried) -> str | None:
    """What no number shows: where the weights went. A second call shows whether old gradients are still there."""
    if (message := _no_tensor(tried)) or not isclose(tried.got, tried.want, rel_tol=1e-4):
        return message
    model, twin = tried.after[0], copy.deepcopy(tried.arguments)
    _stepped(*twin)
    if not _same_weights(model, twin[0]):
        if not _same_weights(model, tried.arguments[0]):
            return (
                "the loss is right, but the weights went elsewhere. One backward() of this loss and one step() of the "
                "given optimizer is all."
            )
        return (
            "the loss is right, but no weight moved. The order is backward(), step(), zero_grad(): without backward() "
            "before it, step() has no gradient."
        )
    attempt(tried.answer, *tried.after)
    _stepped(*twin)
    if not _same_weights(model, twin[0]):
        return (
            "one call is right, but at the next one the old gradients are still in .grad: backward() adds to them. "
            "Call optimizer.zero_grad() after step()."
        )
    return None


class _Late(Sequence):
    """Cases that are made when the check is first called: the first optimizer in a process loads torch's compiler."""

    def __init__(self, make: Callable[[], list[tuple]]):
        self._make = cache(make)

    def __len__(self) -> int:
        return len(self._make())

    def __getitem__(self, place: int) -> tuple:
        return self._make()[place]


def _to_train(rows: int, features: int, classes: int) -> tuple[nn.Module, torch.optim.Optimizer, Tensor, Tensor]:
    with seeded(rows):
        norm = [nn.BatchNorm1d(features)] if rows > 1 else []  # notices eval mode, and refuses one row
        model = nn.Sequential(nn.Flatten(), *norm, nn.Linear(features, classes))
        labels = torch.randint(classes, (rows,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    return model, optimizer, normal(rows, 1, 2, features // 2), labels


@exercise(
    cases=_Late(lambda: [_to_train(8, 6, 3), _to_train(1, 4, 3), _to_train(10, 10, 10)]),
    praise="loss, backward, step, zero_grad: a step of training.",
    slips={
        "the model was in eval mode. It is to learn: leave eval() out.": (
            lambda model, optimizer, images, labels: _loss(model.eval(), images, labels).item()
        ),
        "that is the sum over the batch. cross_entropy gives the mean by itself.": (
            lambda model, optimizer, images, labels: _loss(model, images, labels, reduction="sum").item()
        ),
        "softmax came first, but cross_entropy has one inside. Give it the logits.": (
            lambda model, optimizer, images, labels: F.cross_entropy(model(images).softmax(1), labels).item()
        ),
        "that is the loss after the step. Keep the one from before it.": (
            lambda model, optimizer, images, labels: (
                _stepped(model, optimizer, images, labels),
                _loss(model, images, labels).item(),
            )[1]
        ),
        "what is behind the point is gone. .item() makes a Python float.": (
            lambda model, optimizer, images, labels: int(_loss(model, images, labels).item())
        ),
        "that is the share of right answers. Return the loss.": (
            lambda model, optimizer, images, labels: (model(images).argmax(1) == labels).float().mean().item()
        ),
    },
    crashes={
        "cannot be multiplied": "Use images and labels, which are one batch: write no for, leave the loader out.",
        "running_mean should": "Use images and labels, which are one batch: write no for, leave the loader out.",
        "to unpack": "Write no for: images and labels are one batch.",
        "UnboundLocalError": "Write no for: images and labels are one batch.",
        "log_softmax": "cross_entropy takes the logits first, model(images), then the labels.",
        "spatial targets": "cross_entropy takes the logits, model(images), not the images.",
        "does not require grad": "Without gradients there is no backward(): leave torch.no_grad() out.",
        "has no attribute 'backward'": "backward() belongs to the loss as a tensor: call .item() at the end only.",
    },
    coach=_trained,
    trains=True,
)
def train_step(model, optimizer, images, labels):
    """A model, its optimizer and a batch in; after one step of training, the loss from before it as a float out."""
    return _stepped(model, optimizer, images, labels).item()


class _Witness(nn.Module):
    """A classifier that notes how it was called: shape, dtype, range, mode and whether gradients were recorded."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(28 * 28, 10))
        self.seen: list[tuple[tuple[int, ...], torch.dtype, float, bool, bool]] = []

    def forward(self, batch: Tensor) -> Tensor:
        top = float(batch.max()) if batch.numel() else 0.0
        self.seen.append((tuple(batch.shape), batch.dtype, top, self.training, torch.is_grad_enabled()))
        return self.net(batch.float())


def _recipe(tried: Tried) -> str | None:
    (model, image), got = tried.after, tried.got
    if not model.seen:
        return "your function never called the model."
    shape, dtype, top, training, recording = model.seen[-1]
    white = image.max().item() / 255
    if len(shape) > 4:
        return f"the model got shape {shape}: one axis too many. Only the batch axis is missing."
    if shape != (1, 1, 28, 28):
        return f"the model got shape {shape}; one digit as a batch is (1, 1, 28, 28). Which step adds the batch axis?"
    if dtype != torch.float32:
        return f"the model got {dtype}; the pixels must become float32 first."
    if top > 1.5:
        return f"the model got numbers up to {top:.0f}; it was trained on 0..1. Divide by 255."
    if abs(top - white) > 1e-4:
        return f"the model got numbers up to {top:.4f}; dividing by 255 gives {white:.4f}."
    if training:
        return "the model ran in train mode, so dropout threw numbers away. Call model.eval() first."
    if recording:
        return "the model ran with gradients on. Put the call inside with torch.no_grad():."
    if isinstance(got, Tensor) and (got.is_floating_point() or got.item() == tried.want):
        return "that is a tensor; .item() makes a Python int of it."
    if isinstance(got, float):
        return f"got {got:.3f}: that is a logit. max gives the value, argmax gives its place, the class."
    return None


def _logits(model, image):
    model.eval()
    with torch.no_grad():
        return model(image[None].float() / 255)


with seeded(2):
    _DIGITS = [(_Witness(), pixels(1, 28, 28, seed=seed)) for seed in range(6)]


@exercise(
    cases=_DIGITS,
    praise="the whole recipe, each step for a reason.",
    slips={
        "these are ten numbers. argmax(1) picks the largest in each row; argmax(0) compares rows.": [
            lambda model, image: _logits(model, image),
            lambda model, image: _logits(model, image).argmax(0),
        ],
        "that is a tensor; .item() makes a Python int of it.": lambda model, image: _logits(model, image).argmax(1),
        "argmax(0) compares rows, and there is one, so every place is 0. argmax(1) compares the ten logits of a row.": (
            lambda model, image: _logits(model, image).argmax(0)[0].item()
        ),
        "that is the class of the smallest logit: argmax, not argmin.": lambda model, image: (
            _logits(model, image).argmin(1).item()
        ),
    },
    crashes={
        "should be PIL Image": "The image is a tensor already: instead of ToTensor, .float() / 255.",
        "cannot be converted to Scalar": "argmax(0) compares rows and gives ten places. argmax(1) compares in a row.",
    },
    coach=_recipe,
)
def predict_one(model, image):
    """A model and one digit (1, 28, 28) uint8 in; the class as an int out, by the recipe."""
    return _logits(model, image).argmax(1).item()
