"""How the numbers of an image lie, one after the other: shapes, strides, views and copies, as records."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from helpers.problems import Problem, one_of, said, tensor_of, whole_number, whole_numbers
from helpers.units import bytes_of

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
        """What Matplotlib's imshow, or PyTorch on the way there, says to this result; empty if it shows a picture."""
        from matplotlib.image import BboxImage
        from matplotlib.transforms import Bbox

        try:
            BboxImage(Bbox.unit()).set_data(self.result.numpy())  # as imshow does, without a figure, which takes long
        except Exception as error:
            return f"{type(error).__name__}: {said(error)}"
        return ""

    @property
    def sentence(self) -> str:
        drawn = "refuses" if self.imshow_error else "draws"
        return (
            f"{self.code}: shape {tuple(self.result.shape)}, strides {self.result.stride()}, "
            f"{'contiguous' if self.contiguous else 'not contiguous'}, "
            f"{'the same memory as the image' if self.shares_memory else 'a copy'}. imshow {drawn} it."
        )


def layout(image: Tensor, code: str) -> Layout:
    """Do one of `OPERATIONS` to an image (C, H, W) and note what became of its layout.

    Raises `Problem` if the image has not three axes, has no numbers (empty, sparse, on "meta", complex) or more than
    2**24 of them, or if the operation is not in the list.
    """
    tensor_of("image", image, "C, H, W", "data.colours().images[0]", most=2**24)
    result = OPERATIONS[one_of("operation", code, tuple(OPERATIONS))](image)
    shares = result.untyped_storage().data_ptr() == image.untyped_storage().data_ptr()
    return Layout(code, result, shares)


def offset(index: Sequence[int], strides: Sequence[int]) -> int:
    """The place of a number, counted from the tensor's first one: the sum of index x stride over all axes.

    Raises `Problem` for what is no index, for negative numbers, and for lengths that differ.
    """
    index = whole_numbers("index", index, 0, "a tuple of places, for example (0, 2, 5, 9)")
    strides = whole_numbers("strides", strides, 0, "a tuple of strides, for example batch.stride()")
    if len(index) != len(strides):
        raise Problem(f"index has {len(index)} numbers and strides {len(strides)}; give one of each for every axis.")
    return sum(place * stride for place, stride in zip(index, strides, strict=True))


@dataclass(frozen=True)
class Walk:
    """One place in a batch (N, C, H, W): its index, and the way through the strides to its number."""

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

    The strides are those that PyTorch gives to a tensor. Raises `Problem` for what is no shape, or too large for one,
    and for an index outside the shape.
    """
    one_of("memory_format", memory_format, ("contiguous", "channels_last"))
    kind = torch.contiguous_format if memory_format == "contiguous" else torch.channels_last
    shape = whole_numbers("shape", shape, 1, "four sizes n, c, h, w, for example (2, 3, 4, 5)", range(4, 5))
    bytes_of(shape, torch.uint8)
    index = whole_numbers("index", index, 0, "four places n, c, h, w, for example (1, 2, 3, 4)", range(4, 5))
    index = tuple(whole_number(name, at, 0, size - 1) for name, at, size in zip("nchw", index, shape, strict=True))
    strides = torch.empty(shape, dtype=torch.uint8, device="meta").to(memory_format=kind).stride()
    return Walk(shape, strides, index, memory_format)
