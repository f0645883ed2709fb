import math


def added(shape, bytes_per_number):
    """you added the sizes"""
    return sum(shape) * bytes_per_number


def only_counted(shape, bytes_per_number):
    """not that each takes 4 bytes"""
    return math.prod(shape)


def without_batch(shape, bytes_per_number):
    """The batch axis counts too"""
    return math.prod(shape[1:]) * bytes_per_number


def three_axes(shape, bytes_per_number):
    """any number of axes"""
    return math.prod(shape[:3]) * bytes_per_number


def always_float32(shape, bytes_per_number):
    """you took 4 bytes a number"""
    return math.prod(shape) * 4


def four_names(shape, bytes_per_number):
    """stopped in its line 'b, c, h, w = shape' with ValueError"""
    b, c, h, w = shape
    return b * c * h * w * bytes_per_number
