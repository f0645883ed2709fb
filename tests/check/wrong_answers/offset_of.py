import math


def index_only(index, strides):
    """you added the index alone"""
    return sum(index)


def strides_only(index, strides):
    """you added the strides"""
    return sum(strides)


def multiplied(index, strides):
    """you multiplied the products"""
    return math.prod(place * stride for place, stride in zip(index, strides, strict=True))


def backwards(index, strides):
    """read backwards"""
    return sum(place * stride for place, stride in zip(index, strides[::-1], strict=True))


def from_one(index, strides):
    """you counted from 1"""
    return sum(place * stride for place, stride in zip(index, strides, strict=True)) + 1


def without_the_first(index, strides):
    """the first axis was left out"""
    return sum(place * stride for place, stride in zip(index[1:], strides[1:], strict=True))


def four_axes(index, strides):
    """not enough values to unpack"""
    n, c, h, w = index
    a, b, d, e = strides
    return n * a + c * b + h * d + w * e
