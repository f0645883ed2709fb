import torch


def along_the_width(batch, mean, std):
    """taken off along the width"""
    return (batch - mean) / std


def along_the_batch(batch, mean, std):
    """with RuntimeError"""
    return (batch - mean.view(-1, 1, 1, 1)) / std.view(-1, 1, 1, 1)


def along_the_batch_if_it_fits(batch, mean, std):
    """taken off along the batch axis"""
    if batch.shape[0] == batch.shape[1]:
        return (batch - mean.view(-1, 1, 1, 1)) / std.view(-1, 1, 1, 1)
    return (batch - mean.view(1, -1, 1, 1)) / std.view(1, -1, 1, 1)


def along_the_height_if_it_fits(batch, mean, std):
    """taken off along the height"""
    if batch.shape[2] == batch.shape[1]:
        return (batch - mean.view(-1, 1)) / std.view(-1, 1)
    return (batch - mean.view(1, -1, 1, 1)) / std.view(1, -1, 1, 1)


def mean_only(batch, mean, std):
    """did not divide by std"""
    return batch - mean.view(1, -1, 1, 1)


def std_only(batch, mean, std):
    """did not take off the mean"""
    return batch / std.view(1, -1, 1, 1)


def divided_first(batch, mean, std):
    """you divided first"""
    return batch / std.view(1, -1, 1, 1) - mean.view(1, -1, 1, 1)


def multiplied(batch, mean, std):
    """you multiplied by std"""
    return (batch - mean.view(1, -1, 1, 1)) * std.view(1, -1, 1, 1)


def own_figures(batch, mean, std):
    """Use the ones that are given"""
    return (batch - batch.mean((0, 2, 3), keepdim=True)) / batch.std((0, 2, 3), keepdim=True)


def in_place(batch, mean, std):
    """changed the tensor of shape (4, 3, 6, 3) that it was given"""
    return batch.sub_(mean.view(1, -1, 1, 1)).div_(std.view(1, -1, 1, 1))


def as_list(batch, mean, std):
    """returned list, expected a torch tensor"""
    return [(image - mean.view(-1, 1, 1)) / std.view(-1, 1, 1) for image in batch]


def one_image(batch, mean, std):
    """got shape (3, 6, 3), expected (4, 3, 6, 3)"""
    return torch.squeeze((batch[:1] - mean.view(1, -1, 1, 1)) / std.view(1, -1, 1, 1), 0)


def no_brackets(batch, mean, std):
    """brackets are missing"""
    return batch - mean.view(1, -1, 1, 1) / std.view(1, -1, 1, 1)


def always_three(batch, mean, std):
    """not always 3"""
    return (batch - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)


def divided_by_255(batch, mean, std):
    """divided by 255 as well"""
    return (batch / 255 - mean.view(1, -1, 1, 1)) / std.view(1, -1, 1, 1)
