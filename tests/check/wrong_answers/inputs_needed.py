import math

import torch


def before_the_layers(layers, sample_shape):
    """the sample before the layers"""
    return math.prod(sample_shape)


def channels_only(layers, sample_shape):
    """these are the channels only"""
    return layers(torch.zeros(1, *sample_shape)).shape[1]


def with_batch(layers, sample_shape):
    """2 times too many"""
    return layers(torch.zeros(2, *sample_shape)).numel()


def without_channels(layers, sample_shape):
    """channels count too"""
    return math.prod(layers(torch.zeros(1, *sample_shape)).shape[2:])


def last_axis(layers, sample_shape):
    """the last axis only"""
    return layers(torch.zeros(1, *sample_shape)).shape[-1]


def always_1568(layers, sample_shape):
    """1568 fits one model only"""
    return 1568


def a_shape(layers, sample_shape):
    """multiply all sizes but B"""
    return tuple(layers(torch.zeros(1, *sample_shape)).shape[1:])


def by_padding(layers, sample_shape):
    """layers may be any module"""
    return layers.out_channels * sample_shape[1] * sample_shape[2]


def by_index(layers, sample_shape):
    """Run a batch through it"""
    return layers[0].out_channels * (sample_shape[1] // 2) * (sample_shape[2] // 2)
