from math import prod

from torch import nn


def no_flatten(sample_shape, hidden, classes):
    """No Flatten joins the axes"""
    return nn.Sequential(nn.Linear(prod(sample_shape), hidden), nn.ReLU(), nn.Linear(hidden, classes))


def always_784(sample_shape, hidden, classes):
    """needs in_features = 3072 here"""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, classes))


def always_128(sample_shape, hidden, classes):
    """parameters, expected"""
    return nn.Sequential(nn.Flatten(), nn.Linear(prod(sample_shape), 128), nn.ReLU(), nn.Linear(128, classes))


def ten_classes(sample_shape, hidden, classes):
    """expected shape (2, 3)"""
    return nn.Sequential(nn.Flatten(), nn.Linear(prod(sample_shape), hidden), nn.ReLU(), nn.Linear(hidden, 10))


def no_relu(sample_shape, hidden, classes):
    """no ReLU between"""
    return nn.Sequential(nn.Flatten(), nn.Linear(prod(sample_shape), hidden), nn.Linear(hidden, classes))


def softmax(sample_shape, hidden, classes):
    """the last layer is Softmax"""
    first = nn.Linear(prod(sample_shape), hidden)
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), nn.Linear(hidden, classes), nn.Softmax(dim=1))


def no_bias(sample_shape, hidden, classes):
    """A bias is missing"""
    first = nn.Linear(prod(sample_shape), hidden, bias=False)
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), nn.Linear(hidden, classes))


def flatten_all(sample_shape, hidden, classes):
    """a batch of 2 fails"""
    first = nn.Linear(prod(sample_shape), hidden)
    return nn.Sequential(nn.Flatten(0), first, nn.ReLU(), nn.Linear(hidden, classes))


def a_list(sample_shape, hidden, classes):
    """returned list, expected a model"""
    return [nn.Flatten(), nn.Linear(prod(sample_shape), hidden), nn.ReLU(), nn.Linear(hidden, classes)]


def shape_as_size(sample_shape, hidden, classes):
    """math.prod multiplies"""
    c, h, w = sample_shape
    return nn.Sequential(nn.Flatten(), nn.Linear(c * h * w, hidden), nn.ReLU(), nn.Linear(hidden, classes))
