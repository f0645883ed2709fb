import numpy as np
import torch


def still_hwc(photo):
    """the channels are still last"""
    return torch.from_numpy(np.array(photo)).float() / 255


def reshaped(photo):
    """scrambled"""
    return torch.from_numpy(np.array(photo)).reshape(photo.shape[2], *photo.shape[:2]).float() / 255


def not_scaled(photo):
    """Divide by 255"""
    return torch.from_numpy(np.array(photo)).permute(2, 0, 1).float()


def still_uint8(photo):
    """still uint8"""
    return torch.from_numpy(np.array(photo)).permute(2, 0, 1)


def double(photo):
    """NumPy divides in double precision"""
    return torch.from_numpy(photo / 255).permute(2, 0, 1)


def as_array(photo):
    """torch.from_numpy makes a tensor"""
    return (np.transpose(photo, (2, 0, 1)) / 255).astype(np.float32)


def batch(photo):
    """a batch of one"""
    return torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None].float() / 255


def by_256(photo):
    """you divided by 256"""
    return torch.from_numpy(np.array(photo)).permute(2, 0, 1).float() / 256


def lying(photo):
    """height and width changed places"""
    return torch.from_numpy(np.array(photo)).permute(2, 1, 0).float() / 255


def permuted_array(photo):
    """a method of tensors"""
    return photo.permute(2, 0, 1)


def half(photo):
    """the dtype is float16, expected float32"""
    return torch.from_numpy(np.array(photo)).permute(2, 0, 1).half() / 255
