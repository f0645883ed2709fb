import numpy as np


def unchanged(picture):
    """came back as it was"""
    return picture.copy()


def upside_down(picture):
    """you turned it upside down"""
    return picture[::-1]


def mirrored(picture):
    """mirrored it from left to right"""
    return picture[:, ::-1]


def everything(picture):
    """all three axes round"""
    return np.flip(picture)


def moved_on(picture):
    """moved on by one place"""
    return picture[..., [1, 2, 0]]


def in_place(picture):
    """changed the NumPy array"""
    picture[..., [0, 2]] = picture[..., [2, 0]]
    return picture
