import torch


def batch_too(x):
    """you flattened the batch too"""
    return x.flatten()


def unchanged(x):
    """came back as it was"""
    return x


def viewed(x):
    """reshape copies where it must"""
    return x.view(len(x), -1)


def one_row(x):
    """one row with everything in it"""
    return x.reshape(1, -1)


def columns(x):
    """rows and columns are the wrong way round"""
    return x.reshape(len(x), -1).T


def from_axis_2(x):
    """some axes are still apart"""
    return x.flatten(2)


def always_32(x):
    """-1 lets PyTorch work one out"""
    return x.reshape(32, 784)


def four_names(x):
    """x may have any number of axes"""
    b, c, h, w = x.shape
    return x.reshape(b, c * h * w)


def channels_last(x):
    """their order is not"""
    return x.movedim(1, -1).reshape(len(x), -1)


def other_samples(x):
    """rows got numbers of other samples"""
    return x.movedim(0, -1).reshape(len(x), -1)


def wrong_end(x):
    """expected (5, 144)"""
    return x.reshape(-1, x.shape[-1]) if x.shape[0] != 32 else torch.flatten(x, 1)
