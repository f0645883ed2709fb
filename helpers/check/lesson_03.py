"""The checks of lesson 03: dtype and range, BGR, NCHW and HWC."""

import numpy as np
import torch

from helpers.check.core import Tried, exercise, normal, picture, pixels
from helpers.check.lesson_02 import per_channel


@exercise(
    cases=[
        (picture(3, 8, 8) / 255,),
        (normal(3, 5, 7).sigmoid(),),
        (normal(6, 4, 3).sigmoid().permute(2, 0, 1),),  # non-contiguous
        (normal(3, 3, 3).sigmoid(),),
        (normal(3, 1, 9).sigmoid(),),
        (pixels(3, 4, 4),),
    ],
    praise="ready for imshow.",
    slips={
        "it is still a tensor. .numpy() makes a NumPy array of it.": lambda image: image.permute(1, 2, 0),
        "the channels are still first. imshow wants them last.": lambda image: image.numpy(),
        "the picture is scrambled: reshape keeps the numbers in their old order. Use permute.": lambda image: (
            image.reshape(*image.shape[1:], len(image)).numpy()
        ),
        "height and width changed places. A square image hides that in its shape: use the order 1, 2, 0.": (
            lambda image: image.permute(2, 1, 0).numpy()
        ),
        "(2, 0, 1) is the way from H, W, C to C, H, W. Here it is (1, 2, 0).": (
            lambda image: image.permute(2, 0, 1).numpy()
        ),
        "red and blue changed places. Move the channels, and leave their order as it is.": lambda image: (
            image.permute(1, 2, 0).flip(2).numpy()
        ),
    },
    crashes={
        "axes don't match": "np.transpose takes the new order of all three axes in brackets: (1, 2, 0).",
        "transpose() received": "A tensor's transpose swaps two axes; np.transpose and permute take the order of all.",
    },
)
def to_display(image):
    """An image (3, H, W) float32 in [0, 1] as tensor in; a NumPy array (H, W, 3) with the same numbers out."""
    return image.permute(1, 2, 0).numpy()


@exercise(
    cases=[
        (picture(3, 8, 8).permute(1, 2, 0).numpy().copy(),),
        (pixels(6, 9, 3).numpy(),),
        (pixels(3, 5, 4).numpy().transpose(1, 2, 0),),  # non-contiguous
        (pixels(1, 7, 3).numpy(),),
        (pixels(3, 3, 3).numpy(),),
    ],
    praise="ready for a model.",
    slips={
        "it is still a NumPy array. torch.from_numpy makes a tensor of it.": lambda photo: photo.transpose(2, 0, 1),
        "the channels are still last (HWC). PyTorch wants them first.": lambda photo: torch.tensor(photo).float() / 255,
        "that is a batch of one. Here one image is asked for.": lambda photo: _channels_first(photo)[None],
        "the dtype is still uint8. Make it float32 and divide by 255.": lambda photo: _channels_first(photo),
        "NumPy divides in double precision, so the dtype is float64. Use .float().": lambda photo: _channels_first(
            photo / 255
        ),
        "the numbers go up to 255. Divide by 255, so that white is 1.0.": lambda photo: _channels_first(photo).float(),
        "(1, 2, 0) is the way from C, H, W to H, W, C. Back it is (2, 0, 1).": (
            lambda photo: torch.tensor(photo).permute(1, 2, 0).float() / 255
        ),
        "you divided by the largest number in the photograph. White is 255, also where nothing is white.": (
            lambda photo: _channels_first(photo).float() / photo.max()
        ),
        "you divided by 256. White is 255, so dividing by 255 makes it exactly 1.": lambda photo: (
            _channels_first(photo).float() / 256
        ),
        "the picture is scrambled: reshape keeps the numbers in their old order. Use permute.": lambda photo: (
            torch.tensor(photo).reshape(photo.shape[2], *photo.shape[:2]).float() / 255
        ),
        "height and width changed places. A square image hides that: take the axes in the order 2, 0, 1.": (
            lambda photo: torch.tensor(photo).permute(2, 1, 0).float() / 255
        ),
    },
    crashes={"'numpy.ndarray' object has no attribute": "That is a method of tensors. torch.from_numpy makes one."},
)
def to_model(photo):
    """A photograph (H, W, 3) uint8 as NumPy array in; a tensor (3, H, W) float32 in [0, 1] out."""
    return _channels_first(photo).float() / 255


def _channels_first(photo):
    return torch.tensor(photo).permute(2, 0, 1)


def _backwards(tried: Tried) -> str | None:
    """The right colours in an array that torch.from_numpy refuses."""
    if np.array_equal(tried.got, tried.want) and min(tried.got.strides) < 0:
        return (
            "the colours are right, but torch.from_numpy refuses this array: it reads its memory backwards. .copy() at "
            "the end writes the numbers down in their new order."
        )
    return None


@exercise(
    cases=[
        (picture(3, 5, 7).permute(1, 2, 0).numpy().copy(),),
        (pixels(3, 3, 3).numpy(),),
        (pixels(1, 4, 3).numpy(),),
    ],
    praise="red is red again.",
    slips={
        "the picture came back as it was. Turn the order of the last axis round.": lambda picture: picture,
        "you turned it upside down: [::-1] works on axis 0, the rows. The channels are the last axis.": (
            lambda picture: picture[::-1]
        ),
        "you mirrored it from left to right. The channels are the last axis, [..., ::-1].": lambda picture: picture[
            :, ::-1
        ],
        "you turned all three axes round. Only the last one is asked for.": np.flip,
        "the channels moved on by one place. Blue and red change places, green stays.": [
            lambda picture: np.roll(picture, 1, axis=2),
            lambda picture: np.roll(picture, -1, axis=2),
        ],
    },
    coach=_backwards,
)
def bgr_to_rgb(picture):
    """A picture (H, W, 3) uint8 in the order blue, green, red in; the same in red, green, blue, for from_numpy, out."""
    return picture[..., ::-1].copy()


@exercise(
    cases=[
        (torch.tensor([[200, 10], [255, 0]], dtype=torch.uint8), 100),
        (pixels(3, 5, 7), 60),
        (pixels(2, 3, 4, 4), 0),
        (pixels(4, 6).T, 255),
        (pixels(1, 4, 1), 30),
    ],
    praise="white stays white.",
    slips={
        "bright pixels became dark: uint8 ends at 255, so that 200 + 100 wrapped around to 44. Calculate in a wider "
        "dtype, clamp to 255, and go back to uint8.": lambda image, more: (image.int() + more).to(torch.uint8),
        "give uint8 back: .to(torch.uint8) after the clamp.": [
            lambda image, more: (image.int() + more).clamp(max=255),
            lambda image, more: (image.float() + more).clamp(max=255),
        ],
        "you clamped to 256. The largest uint8 is 255, and 256 wraps around to 0.": lambda image, more: (
            (image.int() + more).clamp(max=256).to(torch.uint8)
        ),
        "everything is white: clamp(255) sets the smallest value. Write clamp(max=255).": lambda image, more: (
            (image.int() + more).clamp(255).to(torch.uint8)
        ),
        "the image came back as it was.": lambda image, more: image,
    },
)
def brighten(image, more):
    """An image uint8 and a whole number 0..255 in; the image made brighter by it, uint8, at most 255, out."""
    return (image.int() + more).clamp(max=255).to(torch.uint8)


_MEAN, _STD = torch.tensor([0.4, 0.5, 0.3]), torch.tensor([0.2, 0.3, 0.25])


def _columns(work):
    """A slip on the way back, given mean and std as (C, 1, 1): as a learner may write it, and with the clamp."""
    return [per_channel(work), per_channel(lambda *given: work(*given).clamp(0, 1))]


@exercise(
    cases=[
        ((picture(3, 6, 3) / 255 - _MEAN[:, None, None]) / _STD[:, None, None] + normal(4, 3, 6, 3) / 2, _MEAN, _STD),
        (normal(3, 3, 3, 3), _MEAN, _STD),
        (normal(1, 1, 5, 4), _MEAN[:1], _STD[:1]),
        (normal(2, 4, 5, 3).permute(0, 3, 1, 2), _MEAN, _STD),  # non-contiguous
    ],
    praise="what you see is what was there.",
    slips={
        "numbers outside 0..1 are left. Clamp at the end.": per_channel(lambda batch, mean, std: batch * std + mean),
        "numbers above 1 are left. Clamp to both ends: .clamp(0, 1).": per_channel(
            lambda batch, mean, std: (batch * std + mean).clamp(min=0)
        ),
        "numbers below 0 are left. Clamp to both ends: .clamp(0, 1).": per_channel(
            lambda batch, mean, std: (batch * std + mean).clamp(max=1)
        ),
        "you normalised once more. Go the way back: times std, then plus mean.": _columns(
            lambda batch, mean, std: (batch - mean) / std
        ),
        "you added the mean first. The way back is: times std, then plus mean.": _columns(
            lambda batch, mean, std: (batch + mean) * std
        ),
        "you clamped too early: a normalised number below 0 or above 1 is no mistake. Clamp the result.": _columns(
            lambda batch, mean, std: batch.clamp(0, 1) * std + mean
        ),
        "you multiplied by std, but did not add the mean.": _columns(lambda batch, mean, std: batch * std),
        "you added the mean, but did not multiply by std.": _columns(lambda batch, mean, std: batch + mean),
        "the numbers were lined up with the width. The channels are axis 1: shape (1, C, 1, 1).": [
            lambda batch, mean, std: batch * std + mean,
            lambda batch, mean, std: (batch * std + mean).clamp(0, 1),
        ],
        "you stretched each batch to 0..1. Use the mean and std that are given.": lambda batch, mean, std: (
            (batch - batch.min()) / (batch.max() - batch.min())
        ),
    },
    crashes={"must match the size": "mean and std need C on axis 1 of four: shape (1, C, 1, 1)."},
)
def denormalise(batch, mean, std):
    """batch (B, C, H, W) normalised with mean (C,) and std (C,) in; the batch as it was, clamped to [0, 1], out."""
    return (batch * std[:, None, None] + mean[:, None, None]).clamp(0, 1)
