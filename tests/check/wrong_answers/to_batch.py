import numpy as np
import torch


def unchanged(image):
    """came back as it was"""
    return image


def axis_last(image):
    """the new axis is the last one"""
    return image.unsqueeze(-1)


def axis_behind_channels(image):
    """stands behind the channels"""
    return torch.stack([image], dim=1) if image.shape[0] > 1 else image.unsqueeze(0)


def flattened(image):
    """you flattened the image too"""
    return image.reshape(1, -1)


def one_long_row(image):
    """flattened everything into one row"""
    return image.flatten()


def two_axes(image):
    """two axes were added"""
    return image[None, None]


def twice(image):
    """holds the image twice"""
    return torch.stack([image, image])


def viewed(image):
    """stopped in its line 'return image.view(-1).view(1, *image.shape)' with RuntimeError: view size"""
    return image.view(-1).view(1, *image.shape)


def as_numpy(image):
    """returned NumPy array of shape (1, 3, 32, 32), expected a torch tensor"""
    return np.asarray(image)[None]


def as_float(image):
    """the dtype is float32, expected uint8"""
    return image.unsqueeze(0).float()


def squeezed(image):
    """squeeze takes one away"""
    return image[0] if image.shape[0] == 1 else image.unsqueeze(0)


def channels_last(image):
    """the channels went to the end"""
    return image.unsqueeze(0).permute(0, 2, 3, 1)
