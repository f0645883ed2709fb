"""The checks of lesson 04: copies, strides, who shares memory with whom."""

from math import prod

import numpy as np
import torch

from helpers.check.core import exercise, normal, picture, pixels


def _blackened(image, *where):
    made = image.clone()
    made[where] = 0
    return made


def _square(top, left, size):
    return slice(None), slice(top, top + size), slice(left, left + size)


def _outside(image, top, left, size):
    made = torch.zeros_like(image)
    made[_square(top, left, size)] = image[_square(top, left, size)]
    return made


@exercise(
    cases=[
        (picture(3, 12, 12) // 2 + 100, 1, 2, 4),
        (pixels(3, 8, 9) // 2 + 9, 1, 6, 2),
        (pixels(7, 5, 3).permute(2, 0, 1) // 2 + 9, 2, 0, 3),  # non-contiguous
        (pixels(1, 6, 6) // 2 + 9, 0, 1, 5),
        (pixels(3, 4, 4) // 2 + 9, 0, 0, 4),
    ],
    praise="a hole in the copy, none in the caller's image.",
    slips={
        "the image came back as it was. Write 0 into the square of your copy.": lambda image, *_: image,
        "the square is white. Black is 0.": lambda image, top, left, size: torch.where(
            _blackened(image, *_square(top, left, size)) == 0, 255, image
        ).to(torch.uint8),
        "top and left changed places. The axes are C, H, W: rows (top) come before columns (left).": (
            lambda image, top, left, size: _blackened(image, *_square(left, top, size))
        ),
        "only one channel has the square. A : in front takes all channels.": (
            lambda image, top, left, size: _blackened(image, 0, *_square(top, left, size)[1:])
        ),
        "axis 0 is the channels, not the rows. A : in front takes all channels.": lambda image, top, left, size: (
            _blackened(image, *_square(top, left, size)[1:])
        ),
        "a slice ends before its second number: from top to top + size, not to size.": lambda image, top, left, size: (
            _blackened(image, slice(None), slice(top, size), slice(left, size))
        ),
        "the square has one row and one column too many. A slice ends before its second number.": (
            lambda image, top, left, size: _blackened(image, *_square(top, left, size + 1))
        ),
        "everything but the square is black.": _outside,
        "only the square came back. The whole image is asked for.": [
            lambda image, top, left, size: image[_square(top, left, size)],
            lambda image, top, left, size: torch.zeros_like(image[_square(top, left, size)]),
        ],
    },
    crashes={"no attribute 'copy'": "copy() is NumPy's word. A tensor copies itself with clone()."},
)
def cut_out(image, top, left, size):
    """An image (C, H, W) uint8 and three whole numbers in; a copy with a black square of size x size pixels out."""
    return _blackened(image, *_square(top, left, size))


def _products(index, strides):
    return [place * stride for place, stride in zip(index, strides, strict=True)]


@exercise(
    cases=[
        ((1, 2, 3, 4), (60, 20, 5, 1)),
        ((1, 2, 3, 4), (60, 1, 15, 3)),
        ((7, 5), (28, 1)),
        ((3,), (2,)),
        ((0, 0), (9, 1)),
    ],
    praise="this is how every tensor finds its numbers.",
    slips={
        "you added the index alone. Each place is multiplied by its stride first.": lambda index, strides: sum(index),
        "you added the strides. Each is multiplied by its place in the index first.": lambda index, strides: sum(
            strides
        ),
        "you multiplied the products. Add them.": lambda index, strides: prod(_products(index, strides)),
        "the strides were read backwards. The first stride belongs to the first axis.": lambda index, strides: sum(
            _products(index, strides[::-1])
        ),
        "the first axis was left out.": lambda index, strides: sum(_products(index[1:], strides[1:])),
        "the last axis was left out.": lambda index, strides: sum(_products(index[:-1], strides[:-1])),
        "a list or tuple came back. Multiply in pairs, then add the products up: sum(...).": [
            _products,
            lambda index, strides: tuple(_products(index, strides)),
        ],
        "you counted from 1. Memory is counted from 0.": lambda index, strides: sum(_products(index, strides)) + 1,
    },
)
def offset_of(index, strides):
    """An index and strides (tuples of the same length) in; the offset of that number out."""
    return sum(_products(index, strides))


def _behind(shape):
    """For each axis the sizes of the axes behind it."""
    return [shape[axis + 1 :] for axis in range(len(shape))]


@exercise(
    cases=[((2, 3, 4, 5),), ((3, 28, 28),), ((7,),), ((5, 1, 2),), ((64, 784),), ((2, 2, 2, 2, 2),)],
    praise="you know how any contiguous tensor lies.",
    slips={
        "the strides are right, but in the wrong order. The first axis has the longest way to walk.": lambda shape: (
            tuple(prod(sizes) for sizes in _behind(shape)[::-1])
        ),
        "you multiplied the axes in front. One step along an axis walks past all axes behind it.": lambda shape: tuple(
            prod(shape[:axis]) for axis in range(len(shape))
        ),
        "you multiplied with the axis itself too. Only the axes behind it count.": lambda shape: tuple(
            prod(shape[axis:]) for axis in range(len(shape))
        ),
        "the last axis is missing. One step along it walks to the next number: 1.": lambda shape: tuple(
            prod(sizes) for sizes in _behind(shape)[:-1]
        ),
        "you took only the next axis. All axes behind it count, multiplied.": lambda shape: (*shape[1:], 1),
        "you added the sizes. Multiply them.": [
            lambda shape: tuple(sum(sizes) for sizes in _behind(shape)),
            lambda shape: tuple(sum(sizes) or 1 for sizes in _behind(shape)),
        ],
        "you counted bytes, as NumPy does. PyTorch counts numbers.": [
            lambda shape, size=size: tuple(size * prod(sizes) for sizes in _behind(shape)) for size in (4, 8)
        ],
        "that is the shape.": lambda shape: shape,
        "a list came back. tuple(...) makes a tuple of it.": lambda shape: [prod(sizes) for sizes in _behind(shape)],
    },
)
def strides_of(shape):
    """The shape of a contiguous tensor, a tuple, in; its strides, a tuple of as many numbers, out."""
    return tuple(prod(sizes) for sizes in _behind(shape))


_ROW, _IMAGE = torch.arange(6.0), normal(3, 4, 5)
_HWC = _IMAGE.permute(1, 2, 0)


@exercise(
    cases=[
        (_ROW, _ROW[:6]),
        (_ROW, _ROW + 1),
        (_ROW, _ROW.clone()),
        (_ROW, _ROW[2:]),
        (_ROW[3:], _ROW[2:]),
        (_ROW, _ROW.reshape(2, 3)),
        (_IMAGE, _HWC),
        (_HWC, _HWC.reshape(4, 5, 3)),
        (_HWC, _HWC.reshape(-1)),
        (_ROW[None, :3].expand(4, 3), _ROW),
        (_ROW[:2], _ROW[4:]),  # no place in common
        (_ROW[1::2], _ROW[::2]),
    ],
    praise="you can now ask two tensors whether they lie on one row of memory.",
    slips={
        "said False for two tensors that share one memory. They may, without being one object.": [
            lambda a, b: a is b,
            lambda a, b: False,
        ],
        "said True for two tensors with memories of their own. Shapes do not tell it: compare addresses.": [
            lambda a, b: True,
            lambda a, b: a.shape == b.shape,
            lambda a, b: a.numel() == b.numel(),
        ],
        "said True for a copy: equal numbers may lie in two places. Compare addresses, not numbers.": torch.equal,
        "said False for two names of one memory, because the second begins later: data_ptr is the address of the first "
        "number. Compare where the storage begins.": lambda a, b: a.data_ptr() == b.data_ptr(),
        "said False for two slices that read no place in common, and still have one storage. np.shares_memory asks for "
        "such a place; here the storage is asked for.": [
            lambda a, b: np.shares_memory(a, b),
            lambda a, b: abs(a.data_ptr() - b.data_ptr()) < a.nbytes,
        ],
    },
)
def shares_memory(a, b):
    """Two tensors in; True out if they have the same storage, False if each has its own."""
    return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()
