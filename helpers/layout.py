"""How the numbers of an image lie in memory: shapes, strides, views and copies, as records."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from helpers.problems import Problem, one_of, whole_number

#: What the layout lab can do to an image (C, H, W), by the code that a learner would write.
OPERATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "image": lambda image: image,
    "image.permute(1, 2, 0)": lambda image: image.permute(1, 2, 0),
    "image.permute(2, 1, 0)": lambda image: image.permute(2, 1, 0),
    "image.reshape(H, W, C)": lambda image: image.reshape(image.shape[1], image.shape[2], image.shape[0]),
    "image.permute(1, 2, 0).flip(2)": lambda image: image.permute(1, 2, 0).flip(2),
    "image.permute(1, 2, 0).flip(1)": lambda image: image.permute(1, 2, 0).flip(1),
    "image.permute(1, 2, 0).contiguous()": lambda image: image.permute(1, 2, 0).contiguous(),
    "image.flip(1)": lambda image: image.flip(1),
}


@dataclass(frozen=True)
class Layout:
    """What one operation made of one image."""

    code: str
    result: Tensor
    shares_memory: bool  #: the result's numbers are the image's numbers, not copies

    @property
    def contiguous(self) -> bool:
        return self.result.is_contiguous()

    @cached_property
    def imshow_error(self) -> str:
        """What Matplotlib's imshow says to this result; empty if it shows a picture."""
        from matplotlib.figure import Figure

        try:
            Figure().subplots().imshow(self.result.numpy())
        except TypeError as error:
            return f"{type(error).__name__}: {error}"
        return ""

    @property
    def sentence(self) -> str:
        shows = "an error" if self.imshow_error else "a picture"
        return (
            f"{self.code}: shape {tuple(self.result.shape)}, strides {self.result.stride()}, "
            f"{'contiguous' if self.contiguous else 'not contiguous'}, "
            f"{'the same memory as the image' if self.shares_memory else 'a copy'}. imshow makes {shows} of it."
        )


def layout(image: Tensor, code: str) -> Layout:
    """Do one of `OPERATIONS` to an image (C, H, W) and note what became of its layout.

    Raises `Problem` if the image has not three axes or the operation is not in the list.
    """
    if not isinstance(image, Tensor) or image.ndim != 3:
        given = tuple(image.shape) if isinstance(image, Tensor) else type(image).__name__
        raise Problem(f"image is {given}; give one tensor (C, H, W), for example data.colours().images[0].")
    result = OPERATIONS[one_of("operation", code, tuple(OPERATIONS))](image)
    shares = result.untyped_storage().data_ptr() == image.untyped_storage().data_ptr()
    return Layout(code, result, shares)


def offset(index: Sequence[int], strides: Sequence[int]) -> int:
    """The place in memory, counted from the tensor's first number: the sum of index x stride over all axes."""
    return sum(place * stride for place, stride in zip(index, strides, strict=True))


@dataclass(frozen=True)
class Walk:
    """One place in a batch (N, C, H, W): its index, and the way through the strides to its number in memory."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    index: tuple[int, ...]
    memory_format: str

    @property
    def offset(self) -> int:
        return offset(self.index, self.strides)

    @property
    def sum(self) -> str:
        """`1*60 + 2*20 + 3*5 + 4*1`, the sum that gives the offset."""
        return " + ".join(f"{place}*{stride}" for place, stride in zip(self.index, self.strides, strict=True))

    @property
    def sentence(self) -> str:
        return (
            f"Index {self.index} in a batch {self.shape}, {self.memory_format}: strides {self.strides}, "
            f"offset {self.sum} = {self.offset}."
        )


def walk(shape: tuple[int, int, int, int], index: tuple[int, int, int, int], memory_format: str = "contiguous") -> Walk:
    """Where the number at `index` lies in a batch of this shape: "contiguous" (NCHW) or "channels_last".

    The strides are those of a real tensor. Raises `Problem` for an index outside the shape.
    """
    one_of("memory_format", memory_format, ("contiguous", "channels_last"))
    kind = torch.contiguous_format if memory_format == "contiguous" else torch.channels_last
    shape = tuple(whole_number("each size in shape", size, 1) for size in shape)
    if len(shape) != 4 or len(index) != 4:
        raise Problem(f"shape is {shape} and index {tuple(index)}; both need four numbers: n, c, h, w.")
    index = tuple(whole_number(name, at, 0, size - 1) for name, at, size in zip("nchw", index, shape, strict=True))
    strides = torch.empty(shape, dtype=torch.uint8).to(memory_format=kind).stride()
    return Walk(shape, strides, index, memory_format)
