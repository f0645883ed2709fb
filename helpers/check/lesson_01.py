"""The checks of lesson 01: the batch axis, grey images, independent rows."""

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
        "the channel axis is last. It belongs behind the batch axis: (B, 1, H, W).": lambda images: (
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


class _Mixing(nn.Module):
    """Puts a little of another row in place of a row: of the one before it, or of its partner in a pair.

    All rows, or those that are named. One row alone, and the sum over all rows, stay as they are.
    """

    def __init__(self, share: float, rows: slice = slice(None), pairs: bool = False):
        super().__init__()
        self.share, self.rows, self.pairs = share, rows, pairs

    def forward(self, batch: Tensor) -> Tensor:
        flat, last = batch.flatten(1), len(batch) - 1
        others = [min(row ^ 1, last) if self.pairs else row - 1 for row in range(len(batch))]
        mixed = flat.clone()
        mixed[self.rows] += self.share * (flat[others] - flat)[self.rows]
        return mixed


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
        (_Mixing(0.01).eval(), normal(3, 1, 8, 8)),
        (_Mixing(0.01, slice(0, 1)).eval(), normal(4, 1, 8, 8)),
        (_Mixing(0.01, slice(2, 3)).eval(), normal(5, 1, 8, 8)),
        (_Mixing(0.01, pairs=True).eval(), normal(4, 1, 8, 8)),
        (_Mixing(0.01, slice(11, None)).eval(), normal(12, 1, 8, 8)),
        (_Mixing(2e-4).eval(), normal(3, 1, 8, 8)),
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
        "said True for a model that mixes rows. Compare every row, to the last, and closely: atol=1e-5.": [
            lambda model, batch: torch.allclose(_both(model, batch)[0][:1], _both(model, batch)[1][:1], atol=1e-5),
            lambda model, batch: torch.allclose(_both(model, batch)[0][:8], _both(model, batch)[1][:8], atol=1e-5),
            lambda model, batch: torch.allclose(_both(model, batch)[0][-1], _both(model, batch)[1][-1], atol=1e-5),
            lambda model, batch: torch.allclose(*(rows[[0, -1]] for rows in _both(model, batch)), atol=1e-5),
            lambda model, batch: torch.allclose(*(rows.sum() for rows in _both(model, batch)), atol=1e-4),
            lambda model, batch: torch.allclose(
                _both(model, batch)[0], torch.cat([model(pair) for pair in batch.split(2)]), atol=1e-5
            ),
            lambda model, batch: torch.allclose(*_both(model, batch), atol=0.2),
            lambda model, batch: torch.allclose(*_both(model, batch), atol=1e-3),
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
