def every_output(sizes):
    """counts twice"""
    return 4 * (sum(sizes) + sum(sizes[1:-1]))


def every_output_and_label(sizes):
    """counts twice"""
    return 4 * (sum(sizes) + sum(sizes[1:-1])) + 8


def no_label(sizes):
    """the label is missing"""
    return 4 * sum(sizes)


def short_label(sizes):
    """8 bytes and not 4"""
    return 4 * sum(sizes) + 4


def no_pixels(sizes):
    """the pixels themselves are missing"""
    return 4 * sum(sizes[1:]) + 8


def no_logits(sizes):
    """the log-probabilities"""
    return 4 * sum(sizes[:-1]) + 8


def numbers(sizes):
    """takes 4 bytes"""
    return sum(sizes) + 1


def with_weights(sizes):
    """weights do not grow"""
    return 4 * sum(sizes) + 8 + 4 * sum(a * b for a, b in zip(sizes, sizes[1:], strict=False))


def three_sizes(sizes):
    """take all of them"""
    return 4 * sum(sizes[:3]) + 8


def loss_twice(sizes):
    """count once"""
    return 4 * (sum(sizes) + sizes[-1]) + 8
