"""The checks of lesson 04: strides."""

from math import prod

from helpers.check.core import exercise


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
        "you counted from 1. Memory is counted from 0.": lambda index, strides: sum(_products(index, strides)) + 1,
    },
)
def offset_of(index, strides):
    """An index and strides (tuples of the same length) in; the place of that number in memory out."""
    return sum(_products(index, strides))
