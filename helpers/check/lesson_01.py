"""The checks of lesson 01: the batch axis, independent rows, broadcasting, means, and the recipe."""

import copy
from collections.abc import Sequence
from math import isclose

import torch
from torch import Tensor, nn

from helpers import models
from helpers.check.core import Verdict, judge, kind, normal, pixels


def to_batch(answer: object) -> Verdict:
    """One image (C, H, W) in, a batch of one (1, C, H, W) out, same numbers, same dtype."""

    def coach(arguments: tuple, got: object, want: Tensor) -> str | None:
        (image,) = arguments
        if not isinstance(got, Tensor) or got.shape == want.shape:
            return None
        shape = tuple(got.shape)
        if shape == tuple(image.shape):
            return f"the image came back as it was, {shape}. A batch of one has one axis more: {tuple(want.shape)}."
        if shape == tuple(image.shape[1:]):
            return f"got {shape}: an axis is gone. squeeze takes one away, unsqueeze adds one."
        if shape == (1, *image.shape[1:], image.shape[0]):
            return f"got {shape}: the batch axis is right, but the channels went to the end. Leave them at their place."
        if shape == (*image.shape, 1):
            return f"got {shape}: the new axis is the last one. The batch axis comes first, so count from 0."
        if got.ndim == 4 and shape[0] == image.shape[0]:
            return f"got {shape}: the new axis stands behind the channels. The batch axis comes first: axis 0."
        if got.ndim == 2 and got.numel() == image.numel():
            return f"got {shape}: you flattened the image too. Keep C, H and W, and only add an axis of size 1."
        if got.ndim == 5:
            return f"got {shape}: two axes were added. One is enough."
        if got.ndim == 4 and shape[0] == 2:
            return f"got {shape}: the batch holds the image twice. One image makes a batch of one."
        if got.ndim == 1:
            return f"got {shape}: you flattened everything into one row. Keep C, H and W, and add an axis in front."
        return None

    cases = [
        (pixels(3, 32, 32),),
        (normal(1, 28, 28),),
        (normal(2, 5, 7),),
        (normal(6, 4, 3).permute(2, 1, 0),),  # non-contiguous
        (normal(1, 1, 1),),
    ]
    return judge("to_batch", answer, cases, lambda image: image[None], "one image, one batch: (1, C, H, W).", coach)


def grey_batch(answer: object) -> Verdict:
    """A list of B grey images (H, W) uint8 in, a batch (B, 1, H, W) float32 in [0, 1] out."""

    def coach(arguments: tuple, got: object, want: Tensor) -> str | None:
        (images,) = arguments
        b, (height, width) = len(images), tuple(images[0].shape)
        if not isinstance(got, Tensor):
            return None
        shape = tuple(got.shape)
        if shape == (b, height, width):
            return f"got {shape}: the channel axis is missing. Grey images have one channel: {tuple(want.shape)}."
        if shape == (1, b, height, width) and b > 1:
            return f"got {shape}: this says one image with {b} channels. The batch axis comes first, then the channel."
        if shape == (b, height, width, 1) and shape != tuple(want.shape):
            return f"got {shape}: the channel axis is last (NHWC). PyTorch wants it behind the batch axis: NCHW."
        if shape == (b, height * width):
            return f"got {shape}: you flattened each image. Keep height and width."
        if got.ndim == 2 and b > 1:
            return f"got {shape}: cat glued the images into one tall picture. stack makes a new axis."
        if got.ndim == 4 and shape[0] == 1 and b > 1:
            return f"got {shape}: only one image is in the batch; {b} were given."
        if shape == tuple(want.shape) and got.dtype == torch.uint8:
            return "shape is right, dtype is still uint8. Make it float32 in 0..1: .float() / 255."
        if shape == tuple(want.shape) and got.is_floating_point() and got.max() > 1.5:
            return f"shape is right, but the numbers go up to {got.max():.0f}. Divide by 255, so that white is 1.0."
        if shape != tuple(want.shape) or got.dtype != want.dtype or torch.allclose(got, want, atol=1e-5):
            return None
        if torch.allclose(got * 256 / 255, want, atol=1e-5):
            return "you divided by 256. White is 255, so dividing by 255 makes it exactly 1."
        if torch.allclose(got * want.max(), want, atol=1e-5):
            return "you divided by the largest number of this batch. Divide by 255, or a dark batch becomes brighter."
        return None

    cases = [
        ([pixels(28, 28, seed=seed) for seed in range(5)],),
        ([pixels(7, 9)],),
        ([pixels(6, 4, seed=seed).T for seed in range(3)],),  # non-contiguous
        ([pixels(3, 3, seed=seed) for seed in range(3)],),  # B = H = W
    ]
    return judge(
        "grey_batch",
        answer,
        cases,
        lambda images: torch.stack(images)[:, None].float() / 255,
        "B grey images, one batch (B, 1, H, W), 0 to 1.",
        coach,
    )


class _Neighbours(nn.Module):
    """Each row gets something of the row before it: row 0 is innocent, all others are not."""

    def forward(self, batch: Tensor) -> Tensor:
        flat = batch.flatten(1)
        return flat + 0.01 * torch.cat([torch.zeros_like(flat[:1]), flat[:-1]])


class _Rounding(nn.Module):
    """Adds up each row, one image alone from the other end than several: independent rows, other last digits."""

    def forward(self, batch: Tensor) -> Tensor:
        flat = batch.flatten(1)
        return (flat.flip(1) if len(batch) == 1 else flat).cumsum(1)[:, -1:]


def rows_independent(answer: object) -> Verdict:
    """A model and a batch (B, C, H, W) in; True out if every row of model(batch) is what the row alone would give."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        norm = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(10))
        norm(normal(4, 1, 8, 8))
        plain, single = models.cnn((1, 8, 8)), nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    cases = [
        (plain.eval(), normal(12, 1, 8, 8)),
        (_Rounding().eval(), normal(5, 1, 8, 8)),
        (copy.deepcopy(norm).train(), normal(6, 1, 8, 8)),
        (_Neighbours().eval(), normal(3, 1, 8, 8)),
        (copy.deepcopy(norm).eval(), normal(5, 1, 8, 8)),
        (single.eval(), normal(1, 1, 8, 8)),
    ]
    modes = [[module.training for module in model.modules()] for model, _ in cases]

    def right(model: nn.Module, batch: Tensor) -> bool:
        with torch.no_grad():
            alone = torch.cat([model(batch[row : row + 1]) for row in range(len(batch))])
            return torch.allclose(model(batch), alone, atol=1e-5)

    def coach(arguments: tuple, got: object, want: bool) -> str | None:
        model, batch = arguments
        before = next(mode for (other, _), mode in zip(cases, modes, strict=True) if other is model)
        if [module.training for module in model.modules()] != before:
            return "the model came back in another mode. Test it in the mode it is in: leave eval() and train() out."
        if isinstance(got, Tensor) and got.ndim:
            return f"returned a {kind(got)}; ask whether all numbers agree, and return one True or False."
        if isinstance(got, bool) and got != want:
            if isinstance(model, _Neighbours):
                return "said True for a model that mixes each row with the one before it. Compare every row, closely."
            if want:
                return (
                    "said False for a model whose rows agree up to rounding. Sums in another order differ in the last "
                    "digits: compare with torch.allclose(…, atol=1e-5), not with ==. Do both sides have the same "
                    "shape? torch.cat keeps the axes, torch.stack adds one."
                )
            return "said True for BatchNorm in train mode, where each row sees the others. Compare the values."
        return None

    crashes = {
        "mat1 and mat2": "batch[i] loses the batch axis; batch[i : i + 1] keeps it.",
        "expected 4D input": "batch[i] loses the batch axis; batch[i : i + 1] keeps it.",
        "must match the size": "A batch may have any number of rows: use len(batch).",
    }
    return judge("rows_independent", answer, cases, right, "you can now test any model for this.", coach, crashes)


def normalise(answer: object) -> Verdict:
    """batch (B, C, H, W), mean (C,), std (C,) in; (batch - mean) / std for each channel out."""

    def right(batch: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        return (batch - mean[:, None, None]) / std[:, None, None]

    def coach(arguments: tuple, got: object, want: Tensor) -> str | None:
        batch, mean, std = arguments
        if not isinstance(got, Tensor) or got.shape != want.shape or torch.allclose(got, want, atol=1e-5):
            return None
        slips = {
            "the mean was taken off along the width, not the channels: a (C,) tensor lines up with the last axis. "
            "Give it the shape (1, C, 1, 1)": lambda: (batch - mean) / std,
            "the mean was taken off along the batch axis. The channels are axis 1: shape (1, C, 1, 1)": lambda: (
                (batch - mean[:, None, None, None]) / std[:, None, None, None]
            ),
            "the mean was taken off along the height. The channels are axis 1: shape (1, C, 1, 1)": lambda: (
                (batch - mean[:, None]) / std[:, None]
            ),
            "you took off the mean, but did not divide by std": lambda: batch - mean[:, None, None],
            "you divided by std, but did not take off the mean": lambda: batch / std[:, None, None],
            "you divided first. Take off the mean, then divide": lambda: (
                batch / std[:, None, None] - mean[:, None, None]
            ),
            "brackets are missing: / comes before -, so only the mean was divided": lambda: (
                batch - mean[:, None, None] / std[:, None, None]
            ),
            "you divided by 255 as well. Only mean and std are asked for": lambda: (
                (batch / 255 - mean[:, None, None]) / std[:, None, None]
            ),
            "you multiplied by std. Divide by it": lambda: (batch - mean[:, None, None]) * std[:, None, None],
            "you used the mean and std of this batch. Use the ones that are given": lambda: (
                (batch - batch.mean((0, 2, 3), keepdim=True)) / batch.std((0, 2, 3), keepdim=True)
            ),
        }
        for message, slip in slips.items():
            try:
                if torch.allclose(got, slip(), atol=1e-4):
                    return f"for a batch {tuple(batch.shape)}: {message}."
            except RuntimeError:  # this slip does not even broadcast for this shape
                continue
        return None

    def case(*shape: int) -> tuple[Tensor, Tensor, Tensor]:
        channels = shape[1]
        return normal(*shape), normal(channels, seed=5), normal(channels, seed=6).abs() + 0.5

    wide = case(4, 3, 6, 3)
    cases = [wide, case(3, 3, 3, 3), case(1, 3, 8, 8), case(5, 1, 4, 6), case(3, 3, 5, 7), case(2, 4, 4, 5)]
    cases.append((normal(4, 5, 5, 3).permute(0, 3, 1, 2), *wide[1:]))  # non-contiguous
    crashes = {
        "is invalid for input of size": "The number of channels is not always 3: -1 lets view work it out.",
        "must match the size": "(C,) lines up with the last axis, the width. Which shape lines up with axis 1 of four?",
    }
    return judge("normalise", answer, cases, right, "one mean and std a channel, for any batch.", coach, crashes)


def dataset_mean(answer: object) -> Verdict:
    """Batch losses (means) and batch sizes in; the mean over all samples out."""

    def coach(arguments: tuple, got: object, want: float) -> str | None:
        losses, sizes = arguments
        if isinstance(got, Tensor) and got.ndim == 0:
            got = got.item()
        if isinstance(got, bool) or not isinstance(got, int | float) or isclose(got, want, rel_tol=1e-6):
            return None
        slips = {
            "that is the mean of the batch means. The short last batch then weighs as much as a full one. "
            "Weigh each loss with its batch size": sum(losses) / len(losses),
            "that is the sum over all samples. Divide by the number of samples": want * sum(sizes),
            "you weighed the losses, but divided by the number of batches. Divide by the number of samples": (
                want * sum(sizes) / len(sizes)
            ),
            "you divided the plain sum of the losses by the number of samples": sum(losses) / sum(sizes),
            "that is the sum of the losses (a loop in a loop gives it too)": sum(losses),
            "only the first batch was counted. Is the return inside the loop?": losses[0] * sizes[0] / sum(sizes),
            "// cuts off what is behind the point. Use /": want * sum(sizes) // sum(sizes),
            "the last batch was left out. It is short, but it counts": (
                sum(loss * size for loss, size in zip(losses[:-1], sizes[:-1], strict=True)) / max(sum(sizes[:-1]), 1)
            ),
        }
        return next((f"{text}: got {got:g}." for text, slip in slips.items() if isclose(got, slip, rel_tol=1e-6)), None)

    cases = [
        ([0.5, 0.7, 2.0], [64, 64, 8]),
        ([1.0, 3.0], [32, 32]),
        ([0.25], [7]),
        ([2.0, 1.0, 4.0, 0.5], [16, 16, 16, 1]),
    ]

    def right(losses: Sequence[float], sizes: Sequence[int]) -> float:
        return sum(loss * size for loss, size in zip(losses, sizes, strict=True)) / sum(sizes)

    return judge("dataset_mean", answer, cases, right, "short batches weigh what they hold.", coach)


class _Witness(nn.Module):
    """A classifier that notes how it was called: shape, dtype, range, mode and whether gradients were recorded."""

    def __init__(self, dropped: float = 0.5):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Dropout(dropped), nn.Linear(28 * 28, 10))
        self.seen: list[tuple[tuple[int, ...], torch.dtype, float, bool, bool]] = []

    def forward(self, batch: Tensor) -> Tensor:
        top = float(batch.max()) if batch.numel() else 0.0
        self.seen.append((tuple(batch.shape), batch.dtype, top, self.training, torch.is_grad_enabled()))
        return self.net(batch.float())


def predict_one(answer: object) -> Verdict:
    """A model and one digit (1, 28, 28) uint8 in; the class as an int out, by the recipe."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        cases = [(_Witness().train(), pixels(1, 28, 28, seed=seed)) for seed in range(6)]

    def right(model: _Witness, image: Tensor) -> int:
        model.eval()
        with torch.no_grad():
            return model(image[None].float() / 255).argmax(1).item()

    def coach(arguments: tuple, got: object, want: int) -> str | None:
        model, image = arguments
        if not model.seen:
            return "your function never called the model."
        shape, dtype, top, training, recording = model.seen[-1]
        if shape != (1, 1, 28, 28):
            return (
                f"the model got shape {shape}; one digit as a batch is (1, 1, 28, 28). Which step adds the batch axis?"
            )
        if dtype != torch.float32:
            return f"the model got {dtype}; the pixels must become float32 first."
        if top > 1.5:
            return f"the model got numbers up to {top:.0f}; it was trained on 0..1. Divide by 255."
        if abs(top - image.max().item() / 255) > 1e-4:
            return f"the model got numbers up to {top:.4f}; dividing by 255 gives {image.max().item() / 255:.4f}."
        if training:
            return "the model ran in train mode, so dropout threw numbers away. Call model.eval() first."
        if recording:
            return "the model ran with gradients on. Put the call inside with torch.no_grad():."
        if isinstance(got, Tensor) and got.numel() == 10:
            return f"got a {kind(got)}: ten numbers. argmax(1) picks the largest in each row; argmax(0) compares rows."
        if isinstance(got, Tensor):
            return f"got a {kind(got)}; .item() makes a Python int of it."
        if isinstance(got, float):
            return f"got {got:.3f}: that is a logit. max gives the value, argmax gives its place, the class."
        return None

    return judge("predict_one", answer, cases, right, "the whole recipe, each step for a reason.", coach)
