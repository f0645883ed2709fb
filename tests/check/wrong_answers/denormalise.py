def not_clamped(batch, mean, std):
    """Clamp at the end"""
    return batch * std.view(1, -1, 1, 1) + mean.view(1, -1, 1, 1)


def once_more(batch, mean, std):
    """you normalised once more"""
    return ((batch - mean.view(1, -1, 1, 1)) / std.view(1, -1, 1, 1)).clamp(0, 1)


def mean_first(batch, mean, std):
    """you added the mean first"""
    return ((batch + mean.view(1, -1, 1, 1)) * std.view(1, -1, 1, 1)).clamp(0, 1)


def no_mean(batch, mean, std):
    """did not add the mean"""
    return (batch * std.view(1, -1, 1, 1)).clamp(0, 1)


def no_std(batch, mean, std):
    """did not multiply by std"""
    return (batch + mean.view(1, -1, 1, 1)).clamp(0, 1)


def along_the_width(batch, mean, std):
    """lined up with the width"""
    return (batch * std + mean).clamp(0, 1)


def stretched(batch, mean, std):
    """you stretched each batch"""
    return (batch - batch.min()) / (batch.max() - batch.min())


def clamped_below(batch, mean, std):
    """numbers above 1 are left"""
    return (batch * std.view(1, -1, 1, 1) + mean.view(1, -1, 1, 1)).clamp(min=0)


def clamped_above(batch, mean, std):
    """numbers below 0 are left"""
    return (batch * std.view(1, -1, 1, 1) + mean.view(1, -1, 1, 1)).clamp(max=1)


def along_the_batch(batch, mean, std):
    """C on axis 1 of four"""
    return (batch * std.view(-1, 1, 1, 1) + mean.view(-1, 1, 1, 1)).clamp(0, 1)
