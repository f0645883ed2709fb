"""The checks of lesson 01: the batch axis, independent rows, broadcasting, means, and the recipe."""

import torch
from torch import Tensor, nn

from helpers import models
from helpers.check.core import Tried, exercise, normal, picture, pixels, seeded


@exercise(
    cases=[
        (picture(3, 32, 32),),
        (normal(1, 28, 28),),
        (normal(2, 5, 7),),
        (normal(6, 4, 3).permute(2, 1, 0),),  # non-contiguous
        (normal(1, 1, 1),),
    ],
    praise="one image, one batch: (1, C, H, W).",
    slips={
        "the image came back as it was. A batch of one has one axis more.": lambda image: image,
        "an axis is gone. squeeze takes one away, unsqueeze adds one.": [
            lambda image: image[0],
            lambda image: image[0] if len(image) == 1 else image[None],
        ],
        "the batch axis is right, but the channels went to the end. Leave them at their place.": lambda image: image[
            None
        ].movedim(1, -1),
        "the new axis is the last one. The batch axis comes first, so count from 0.": lambda image: image[..., None],
        "the new axis stands behind the channels. The batch axis comes first: axis 0.": [
            lambda image: image[:, None],
            lambda image: image[:, :, None],
        ],
        "you flattened the image too. Keep C, H and W, add an axis of size 1.": lambda image: image.reshape(1, -1),
        "two axes were added. One is enough.": lambda image: image[None, None],
        "the batch holds the image twice. One image makes a batch of one.": lambda image: torch.stack([image, image]),
        "you flattened everything. Keep C, H and W, and add an axis in front of them.": lambda image: image.flatten(),
    },
)
def to_batch(image):
    """One image (C, H, W) in, a batch of one (1, C, H, W) out, same numbers, same dtype."""
    return image[None]


def _stacked(images):
    return torch.stack(images)[:, None].float()


@exercise(
    cases=[
        ([picture(3, 28, 28)[2] // 4 * (3 - seed // 2) for seed in range(5)],),
        ([pixels(7, 9)],),
        ([pixels(6, 4, seed=seed).T for seed in range(3)],),  # non-contiguous
        ([pixels(3, 3, seed=seed) for seed in range(3)],),  # B = H = W
    ],
    praise="B grey images, one batch (B, 1, H, W), 0 to 1.",
    slips={
        "the channel axis is missing. Grey images have one channel: (B, 1, H, W).": lambda images: (
            torch.stack(images).float() / 255
        ),
        "this says one image with B channels. The batch axis comes first, then the channel.": lambda images: (
            torch.stack(images)[None].float() / 255
        ),
        "the channel axis is last (NHWC). PyTorch wants it behind the batch axis: NCHW.": lambda images: (
            torch.stack(images)[..., None].float() / 255
        ),
        "you flattened each image. Keep height and width.": lambda images: torch.stack(images).flatten(1).float() / 255,
        "cat glued the images into one picture. stack makes a new axis.": [
            lambda images: torch.cat(images).float() / 255,
            lambda images: torch.cat(images, dim=1).float() / 255,
        ],
        "only one image is in the batch. All are asked for.": lambda images: images[0][None, None].float() / 255,
        "the dtype is still uint8. Make it float32 in 0..1: .float() / 255.": lambda images: _stacked(images).byte(),
        "the numbers are still 0 to 255. Divide by 255, so that white is 1.0.": lambda images: _stacked(images),
        "you divided by 256. White is 255, so dividing by 255 makes it exactly 1.": lambda images: (
            _stacked(images) / 256
        ),
        "you divided by the largest number of this batch, so a dark one becomes brighter. Divide by 255.": (
            lambda images: _stacked(images) / _stacked(images).max()
        ),
    },
)
def grey_batch(images):
    """A list of B grey images (H, W) uint8 in, a batch (B, 1, H, W) float32 in [0, 1] out."""
    return _stacked(images) / 255


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


def _two_models() -> tuple[nn.Module, nn.Module]:
    norm = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 10))
    norm(normal(4, 1, 8, 8))
    return models.cnn((1, 8, 8)), norm


with seeded(1):
    (_PLAIN, _TRAINING), (_, _EVALUATING) = _two_models(), _two_models()


def _both(model, batch):
    """What the model makes of a batch, and of its rows one by one, (B, n) each."""
    with torch.no_grad():
        return model(batch), torch.cat([model(batch[row : row + 1]) for row in range(len(batch))])


def _mode_changed(tried: Tried) -> str | None:
    before, after = ([module.training for module in made[0].modules()] for made in (tried.arguments, tried.after))
    if before != after:
        return "the model came back in another mode. Test it in the mode it is in: leave eval() and train() out."
    return None


@exercise(
    cases=[
        (nn.Flatten().eval(), normal(12, 1, 8, 8)),
        (_PLAIN.eval(), normal(12, 1, 8, 8)),
        (_Rounding().eval(), normal(5, 1, 8, 8)),
        (_TRAINING.train(), normal(6, 1, 8, 8)),
        (_Neighbours().eval(), normal(3, 1, 8, 8)),
        (_EVALUATING.eval(), normal(5, 1, 8, 8)),
        (nn.Flatten().train(), normal(1, 1, 8, 8)),
    ],
    praise="you can now test any model for this.",
    slips={
        "said False for a model whose rows agree. Do both sides have the same shape? torch.cat keeps the axes, "
        "torch.stack adds one.": lambda model, batch: False,
        "said False for a model whose rows agree up to rounding. Sums in another order differ in the last digits: "
        "compare with torch.allclose(…, atol=1e-5), not with ==.": lambda model, batch: torch.equal(
            *_both(model, batch)
        ),
        "said True for BatchNorm in train mode, where each row sees the others. Compare the values.": lambda *_: True,
        "said True for a model that mixes each row with the one before it. Compare every row, closely.": [
            lambda model, batch: torch.allclose(_both(model, batch)[0][:1], _both(model, batch)[1][:1], atol=1e-5),
            lambda model, batch: torch.allclose(*_both(model, batch), atol=0.2),
        ],
        "ask whether all numbers agree, and return one True or False.": lambda model, batch: torch.isclose(
            *_both(model, batch), atol=1e-5
        ),
    },
    crashes={
        "mat1 and mat2": "batch[i] loses the batch axis; batch[i : i + 1] keeps it.",
        "expected 4D input": "batch[i] loses the batch axis; batch[i : i + 1] keeps it.",
        "must match the size": "A batch may have any number of rows: use len(batch).",
    },
    coach=_mode_changed,
)
def rows_independent(model, batch):
    """A model and a batch (B, C, H, W) in; True out if every row of model(batch) is what the row alone would give."""
    return torch.allclose(*_both(model, batch), atol=1e-5)


def _per_channel(work):
    """A slip whose mean and std have the right shape, (C, 1, 1)."""
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
        "the shape (1, C, 1, 1).": lambda batch, mean, std: (batch - mean) / std,
        "the mean was taken off along the batch axis. The channels are axis 1: shape (1, C, 1, 1).": _per_channel(
            lambda batch, mean, std: (batch - mean[:, None]) / std[:, None]
        ),
        "the mean was taken off along the height. The channels are axis 1: shape (1, C, 1, 1).": (
            lambda batch, mean, std: (batch - mean[:, None]) / std[:, None]
        ),
        "you took off the mean, but did not divide by std.": _per_channel(lambda batch, mean, std: batch - mean),
        "you divided by std, but did not take off the mean.": _per_channel(lambda batch, mean, std: batch / std),
        "you divided first. Take off the mean, then divide.": _per_channel(lambda batch, mean, std: batch / std - mean),
        "brackets are missing: / comes before -, so only the mean was divided.": _per_channel(
            lambda batch, mean, std: batch - mean / std
        ),
        "you divided by 255 as well. Only mean and std are asked for.": _per_channel(
            lambda batch, mean, std: (batch / 255 - mean) / std
        ),
        "you multiplied by std. Divide by it.": _per_channel(lambda batch, mean, std: (batch - mean) * std),
        "you used the mean and std of this batch. Use the ones that are given.": lambda batch, mean, std: (
            (batch - batch.mean((0, 2, 3), keepdim=True)) / batch.std((0, 2, 3), keepdim=True)
        ),
    },
    crashes={
        "is invalid for input of size": "The number of channels is not always 3: -1 lets view work it out.",
        "must match the size": "(C,) lines up with the last axis, the width. Which shape lines up with axis 1 of four?",
    },
)
def normalise(batch, mean, std):
    """batch (B, C, H, W), mean (C,), std (C,) in; (batch - mean) / std for each channel out."""
    return (batch - mean[:, None, None]) / std[:, None, None]


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
        "// cuts off what is behind the point. Use /.": lambda losses, sizes: _weighed(losses, sizes) // sum(sizes),
        "the last batch was left out. It is short, but it counts.": lambda losses, sizes: (
            _weighed(losses[:-1], sizes[:-1]) / sum(sizes[:-1])
        ),
    },
)
def dataset_mean(losses, sizes):
    """Batch losses (means) and batch sizes in; the mean over all samples out."""
    return _weighed(losses, sizes) / sum(sizes)


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
    if isinstance(got, Tensor):
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
        "that is the class of the smallest logit: argmax, not argmin.": lambda model, image: (
            _logits(model, image).argmin(1).item()
        ),
    },
    coach=_recipe,
)
def predict_one(model, image):
    """A model and one digit (1, 28, 28) uint8 in; the class as an int out, by the recipe."""
    return _logits(model, image).argmax(1).item()
