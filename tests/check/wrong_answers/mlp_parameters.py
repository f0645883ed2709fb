import math
from itertools import pairwise


def no_bias(sizes):
    """these are the weights only"""
    return sum(a * b for a, b in pairwise(sizes))


def bias_of_inputs(sizes):
    """not for each input"""
    return sum(a * b + a for a, b in pairwise(sizes))


def bias_everywhere(sizes):
    """you gave the inputs biases too"""
    return sum(a * b for a, b in pairwise(sizes)) + sum(sizes)


def one_bias(sizes):
    """you counted one bias a layer"""
    return sum(a * b + 1 for a, b in pairwise(sizes))


def return_in_loop(sizes):
    """Is the return inside the loop"""
    for a, b in pairwise(sizes):
        return a * b + b


def last_layer(sizes):
    """only the last layer was counted"""
    return sizes[-2] * sizes[-1] + sizes[-1]


def three_sizes(sizes):
    """two numbers or more"""
    a, b, c = sizes
    return a * b + b + b * c + c


def multiplied(sizes):
    """you multiplied all sizes"""
    return math.prod(sizes)


def in_bytes(sizes):
    """these are bytes"""
    return 4 * sum(a * b + b for a, b in pairwise(sizes))
