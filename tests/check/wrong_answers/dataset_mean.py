def mean_of_means(losses, sizes):
    """mean of the batch means"""
    return sum(losses) / len(losses)


def sum_over_samples(losses, sizes):
    """Divide by the number of samples"""
    return sum(loss * size for loss, size in zip(losses, sizes, strict=True))


def by_number_of_batches(losses, sizes):
    """divided by the number of batches"""
    return sum(loss * size for loss, size in zip(losses, sizes, strict=True)) / len(sizes)


def plain_sum_by_samples(losses, sizes):
    """plain sum of the losses"""
    return sum(losses) / sum(sizes)


def plain_sum(losses, sizes):
    """the sum of the losses"""
    return sum(losses)


def last_left_out(losses, sizes):
    """the last batch was left out"""
    return sum(loss * size for loss, size in zip(losses[:-1], sizes[:-1], strict=True)) / sum(sizes[:-1])


def lists_multiplied(losses, sizes):
    """with TypeError"""
    return losses * sizes / sum(sizes)


def used_up(losses, sizes):
    """changed the list that it was given"""
    total, count = 0.0, sum(sizes)
    while losses:
        total += losses.pop() * sizes.pop()
    return total / count


def return_inside_the_loop(losses, sizes):
    """Is the return inside the loop?"""
    for loss, size in zip(losses, sizes, strict=True):
        return loss * size / sum(sizes)


def loop_in_a_loop(losses, sizes):
    """a loop in a loop"""
    return sum(loss * size for loss in losses for size in sizes) / sum(sizes)


def whole_number(losses, sizes):
    """// cuts off"""
    return sum(loss * size for loss, size in zip(losses, sizes, strict=True)) // sum(sizes)
