from itertools import pairwise

from helpers.check.lesson_03 import parameters_of_mlp


def down(sizes):
    """Round up"""
    return 16 * parameters_of_mlp(sizes) // (4 * sum(sizes) + 8)


def exact(sizes):
    """whole samples"""
    return 16 * parameters_of_mlp(sizes) / (4 * sum(sizes) + 8)


def parameters_alone(sizes):
    """the parameters alone"""
    return -(-4 * parameters_of_mlp(sizes) // (4 * sum(sizes) + 8))


def for_sgd(sizes):
    """SGD's fixed part"""
    return -(-8 * parameters_of_mlp(sizes) // (4 * sum(sizes) + 8))


def three_parts(sizes):
    """one part of the fixed bytes is missing"""
    return -(-12 * parameters_of_mlp(sizes) // (4 * sum(sizes) + 8))


def three_times(sizes):
    """three times SGD"""
    return -(-24 * parameters_of_mlp(sizes) // (4 * sum(sizes) + 8))


def no_biases(sizes):
    """the biases are missing"""
    return -(-16 * sum(a * b for a, b in pairwise(sizes)) // (4 * sum(sizes) + 8))


def always_one_more(sizes):
    """only if there is a rest"""
    return 16 * parameters_of_mlp(sizes) // (4 * sum(sizes) + 8) + 1
