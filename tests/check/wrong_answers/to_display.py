import numpy as np


def unchanged(image):
    """the channels are still first"""
    return image.numpy()


def reshaped(image):
    """scrambled"""
    channels, height, width = image.shape
    return image.reshape(height, width, channels).numpy()


def still_a_tensor(image):
    """.numpy() makes a NumPy array"""
    return image.permute(1, 2, 0)


def wrong_order(image):
    """height and width changed places"""
    return np.transpose(image.numpy(), (2, 1, 0))


def two_axes(image):
    """the new order of all three axes"""
    return np.transpose(image.numpy(), (1, 0))


def bgr(image):
    """red and blue changed places"""
    return image.permute(1, 2, 0).numpy()[..., ::-1]


def capital_t(image):
    """height and width changed places"""
    return image.numpy().T
