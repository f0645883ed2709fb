"""The checks of lesson 02: NCHW and HWC, dtype and range, BGR, and strides."""

import numpy as np
import torch
from torch import Tensor

from helpers.check.core import Verdict, judge, normal, pixels


def to_display(answer: object) -> Verdict:
    """An image (3, H, W) float32 in [0, 1] as tensor in; a NumPy array (H, W, 3) with the same numbers out."""

    def coach(arguments: tuple, got: object, want: np.ndarray) -> str | None:
        (image,) = arguments
        channels, height, width = image.shape
        if isinstance(got, Tensor) and tuple(got.shape) == want.shape:
            return "the order is right, but it is still a tensor. .numpy() makes a NumPy array of it."
        if not isinstance(got, np.ndarray):
            return None
        if got.shape == (channels, height, width) and got.shape != want.shape:
            return f"got {got.shape}: the channels are still first. imshow wants them last: {want.shape}."
        if got.shape == (width, height, channels) and got.shape != want.shape:
            return f"got {got.shape}: height and width changed places. Take the axes in the order 1, 2, 0."
        if got.shape == want.shape and got.dtype == want.dtype and not np.allclose(got, want):
            if np.allclose(got, image.numpy().reshape(want.shape)):
                return "the shape is right, the picture is scrambled: reshape keeps the numbers in their old order."
            if np.allclose(got, image.permute(2, 1, 0).numpy()):
                return "height and width changed places. A square image hides that in its shape: use the order 1, 2, 0."
            if np.allclose(got, want[..., ::-1]):
                return "red and blue changed places. Move the channels, and leave their order as it is."
        return None

    def case(*shape: int) -> tuple[Tensor]:
        return (normal(*shape).sigmoid(),)

    cases = [case(3, 8, 8), case(3, 5, 7), (normal(6, 4, 3).sigmoid().permute(2, 0, 1),), case(3, 3, 3), case(3, 1, 9)]
    cases.append((pixels(3, 4, 4),))
    crashes = {
        "axes don't match": "np.transpose takes the new order of all three axes in brackets: (1, 2, 0).",
        "transpose() received": "torch's transpose swaps two axes; np.transpose and permute take the order of all.",
    }

    def right(image: Tensor) -> np.ndarray:
        return image.permute(1, 2, 0).numpy()

    return judge("to_display", answer, cases, right, "ready for imshow.", coach, crashes)


def to_model(answer: object) -> Verdict:
    """A photograph (H, W, 3) uint8 as NumPy array in; a tensor (3, H, W) float32 in [0, 1] out."""

    def coach(arguments: tuple, got: object, want: Tensor) -> str | None:
        (photo,) = arguments
        if isinstance(got, np.ndarray):
            return f"got a NumPy array of shape {got.shape}. torch.from_numpy makes a tensor of it."
        if not isinstance(got, Tensor):
            return None
        shape = tuple(got.shape)
        if shape == photo.shape and shape != tuple(want.shape):
            return f"got {shape}: the channels are still last (HWC). PyTorch wants {tuple(want.shape)}."
        if shape == (photo.shape[2], photo.shape[1], photo.shape[0]) and shape != tuple(want.shape):
            return f"got {shape}: height and width changed places. Take the axes in the order 2, 0, 1."
        if shape == (1, *want.shape):
            return f"got {shape}: that is a batch of one. Here one image is asked for: {tuple(want.shape)}."
        if shape != tuple(want.shape):
            return None
        if got.dtype == torch.uint8:
            return "the dtype is still uint8. Make it float32 and divide by 255."
        if got.dtype == torch.float64:
            return "the dtype is float64: NumPy divides in double precision. Use .float()."
        if got.max() > 1.5:
            return f"the numbers go up to {got.max():.0f}. Divide by 255, so that white is 1.0."
        if torch.allclose(got * 256 / 255, want, atol=1e-5):
            return "you divided by 256. White is 255, so dividing by 255 makes it exactly 1."
        if torch.allclose(got, torch.from_numpy(photo).reshape(want.shape).float() / 255, atol=1e-5):
            return "the shape is right, the picture is scrambled: reshape keeps the old order. Use permute."
        if torch.allclose(got, want.transpose(1, 2), atol=1e-5) if want.shape[1] == want.shape[2] else False:
            return "height and width changed places. A square image hides that: take the axes in the order 2, 0, 1."
        return None

    def case(*shape: int, seed: int = 0) -> tuple[np.ndarray]:
        return (pixels(*shape, seed=seed).numpy(),)

    def right(photo: np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(photo)).permute(2, 0, 1).float() / 255

    cases = [case(8, 8, 3), case(6, 9, 3), (pixels(3, 5, 4).numpy().transpose(1, 2, 0),), case(1, 7, 3), case(3, 3, 3)]
    crashes = {"'numpy.ndarray' object has no attribute": "That is a method of tensors. torch.from_numpy makes one."}
    return judge("to_model", answer, cases, right, "ready for a model.", coach, crashes)


def bgr_to_rgb(answer: object) -> Verdict:
    """A picture (H, W, 3) uint8 in the order blue, green, red in; the same picture in red, green, blue out."""

    def coach(arguments: tuple, got: object, want: np.ndarray) -> str | None:
        (picture,) = arguments
        if not isinstance(got, np.ndarray) or got.shape != want.shape or np.array_equal(got, want):
            return None
        slips = {
            "the picture came back as it was. Turn the order of the last axis round": picture,
            "you turned it upside down: [::-1] works on axis 0, the rows. The channels are the last axis": picture[
                ::-1
            ],
            "you mirrored it from left to right. The channels are the last axis, [..., ::-1]": picture[:, ::-1],
            "you turned all three axes round. Only the last one is asked for": picture[::-1, ::-1, ::-1],
            "the channels moved on by one place. Blue and red change places, green stays": np.roll(picture, 1, axis=2),
            "the channels moved on by one place: blue and red change places, green stays": np.roll(picture, -1, axis=2),
        }
        return next((f"{text}." for text, slip in slips.items() if np.array_equal(got, slip)), None)

    cases = [(pixels(5, 7, 3).numpy(),), (pixels(3, 3, 3).numpy(),), (pixels(1, 4, 3).numpy(),)]
    praise = "red is red again."
    return judge("bgr_to_rgb", answer, cases, lambda picture: picture[..., ::-1], praise, coach)


def brighten(answer: object) -> Verdict:
    """An image uint8 and a whole number 0..255 in; the image made brighter by it, uint8, at most 255, out."""

    def coach(arguments: tuple, got: object, want: Tensor) -> str | None:
        image, more = arguments
        if not isinstance(got, Tensor) or got.shape != want.shape:
            return None
        wide, top = image.int() + more, int(image.max())
        if got.dtype != torch.uint8:
            return f"the dtype is {got.dtype}; give uint8 back: .to(torch.uint8) after the clamp."
        if torch.equal(got, want):
            return None
        if torch.equal(got, wide.to(torch.uint8)):
            return (
                f"bright pixels became dark: {top} + {more} wrapped around to {(top + more) % 256}. "
                "Calculate in a wider dtype, clamp to 255, and go back to uint8."
            )
        if torch.equal(got, wide.clamp(max=256).to(torch.uint8)):
            return "you clamped to 256. The largest uint8 is 255, and 256 wraps around to 0."
        if torch.equal(got, wide.clamp(255).to(torch.uint8)):
            return "everything is white: clamp(255) sets the smallest value. Write clamp(max=255)."
        if torch.equal(got, image):
            return "the image came back as it was."
        return None

    cases = [
        (torch.tensor([[200, 10], [255, 0]], dtype=torch.uint8), 100),
        (pixels(3, 5, 7), 60),
        (pixels(2, 3, 4, 4), 0),
        (pixels(4, 6).T, 255),
        (pixels(1, 4, 1), 30),
    ]

    def right(image: Tensor, more: int) -> Tensor:
        return (image.int() + more).clamp(max=255).to(torch.uint8)

    return judge("brighten", answer, cases, right, "white stays white.", coach)


def denormalise(answer: object) -> Verdict:
    """batch (B, C, H, W) normalised with mean (C,) and std (C,) in; the batch as it was, clamped to [0, 1], out."""

    def back(batch: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        return batch * std[:, None, None] + mean[:, None, None]

    def coach(arguments: tuple, got: object, want: Tensor) -> str | None:
        batch, mean, std = arguments
        if not isinstance(got, Tensor) or got.shape != want.shape or torch.allclose(got, want, atol=1e-5):
            return None
        m, s = mean[:, None, None], std[:, None, None]
        slips = {
            "numbers outside 0..1 are left. Clamp at the end": lambda: back(batch, mean, std),
            "numbers above 1 are left. Clamp to both ends: .clamp(0, 1)": lambda: back(batch, mean, std).clamp(min=0),
            "numbers below 0 are left. Clamp to both ends: .clamp(0, 1)": lambda: back(batch, mean, std).clamp(max=1),
            "you normalised once more. Go the way back: times std, then plus mean": lambda: (batch - m) / s,
            "you added the mean first. The way back is: times std, then plus mean": lambda: (batch + m) * s,
            "you multiplied by std, but did not add the mean": lambda: batch * s,
            "you added the mean, but did not multiply by std": lambda: batch + m,
            "the numbers were lined up with the width. The channels are axis 1: shape (1, C, 1, 1)": lambda: (
                batch * std + mean
            ),
            "you stretched each batch to 0..1. Use the mean and std that are given": lambda: (
                (batch - batch.min()) / (batch.max() - batch.min())
            ),
        }
        for message, slip in slips.items():
            try:
                clamped = slip().clamp(0, 1)
                if torch.allclose(got, slip(), atol=1e-4) or (
                    torch.allclose(got, clamped, atol=1e-4) and not torch.equal(clamped, want)
                ):
                    return f"{message}."
            except RuntimeError:  # does not broadcast for this shape
                continue
        return None

    mean, std = torch.tensor([0.4, 0.5, 0.3]), torch.tensor([0.2, 0.3, 0.25])
    cases = [(normal(4, 3, 6, 3), mean, std), (normal(3, 3, 3, 3), mean, std), (normal(1, 1, 5, 4), mean[:1], std[:1])]
    cases.append((normal(2, 4, 5, 3).permute(0, 3, 1, 2), mean, std))
    crashes = {"must match the size": "mean and std need C on axis 1 of four: shape (1, C, 1, 1)."}

    def right(*arguments: Tensor) -> Tensor:
        return back(*arguments).clamp(0, 1)

    return judge("denormalise", answer, cases, right, "what you see is what was there.", coach, crashes)


def offset_of(answer: object) -> Verdict:
    """An index and strides (tuples of the same length) in; the place of that number in memory out."""

    def coach(arguments: tuple, got: object, want: int) -> str | None:
        index, strides = arguments
        got = got.item() if isinstance(got, Tensor) and got.ndim == 0 else got
        if isinstance(got, bool) or not isinstance(got, int | float) or got == want:
            return None
        pairs = list(zip(index, strides, strict=True))
        slips = {
            "you added the index alone. Each place is multiplied by its stride first": sum(index),
            "you added the strides. Each is multiplied by its place in the index first": sum(strides),
            "you multiplied the products. Add them": int(np.prod([place * stride for place, stride in pairs])),
            "the strides were read backwards. The first stride belongs to the first axis": sum(
                place * stride for place, stride in zip(index, reversed(strides), strict=True)
            ),
            "the first axis was left out": sum(place * stride for place, stride in pairs[1:]),
            "the last axis was left out": sum(place * stride for place, stride in pairs[:-1]),
            "you counted from 1. Memory is counted from 0": want + 1,
        }
        return next((f"for {index} and {strides}: {text}." for text, slip in slips.items() if got == slip), None)

    cases = [
        ((1, 2, 3, 4), (60, 20, 5, 1)),
        ((1, 2, 3, 4), (60, 1, 15, 3)),
        ((7, 5), (28, 1)),
        ((3,), (2,)),
        ((0, 0), (9, 1)),
    ]

    def right(index: tuple[int, ...], strides: tuple[int, ...]) -> int:
        return sum(place * stride for place, stride in zip(index, strides, strict=True))

    return judge("offset_of", answer, cases, right, "this is how every tensor finds its numbers.", coach)
