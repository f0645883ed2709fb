"""The checks of lesson 11: a batch's noise, the noise scale, a plan for another batch size, power iteration."""

from math import ceil, sqrt

import torch

from helpers.check.core import exercise, normal, seeded
from helpers.check.guard import attempt


def _spread(gradients):
    """The mean squared distance of the rows from their mean."""
    return (gradients - gradients.mean(0)).square().sum(1).mean().item()


def _left(count, b):
    return (count - b) / (count - 1)


def _draws(tried):
    """A hint for who draws batches, with whatever random numbers: near the right number, and never the same."""
    with seeded(1):  # otherwise it would draw the same ones again
        again = attempt(tried.answer, *tried.arguments).result
    if isinstance(again, float | torch.Tensor) and again != tried.got:
        return "each call gives another number: do not draw batches. The formula gives the typical miss of all of them."
    return None


def _around_the_wrong_mean(gradients, b):
    away = gradients - gradients.mean(1, keepdim=True)
    return sqrt(away.square().sum(1).mean().item() / b * _left(len(gradients), b))


@exercise(
    cases=[
        (normal(10, 5, seed=1) + 1, 4),
        (normal(7, 3, seed=2) * 3, 1),
        (normal(5, 12, seed=3).T - 2, 5),
        (normal(6, 6, seed=4), 6),
        (normal(40, 2, seed=5), 16),
    ],
    praise="exact, and 0 at B = N.",
    slips={
        "N is the number of rows, len(gradients), and not always 1437.": lambda gradients, b: sqrt(
            _spread(gradients) / b * _left(1437, b)
        ),
        "gradients.mean(1) is one number for each image. The full gradient is the mean over the images: mean(0).": (
            _around_the_wrong_mean
        ),
        "that is for batches that may take an image twice. Under the root, multiply by (N - B) / (N - 1).": (
            lambda gradients, b: sqrt(_spread(gradients) / b)
        ),
        "that is the squared distance. Take the root.": lambda gradients, b: (
            _spread(gradients) / b * _left(len(gradients), b)
        ),
        "the root is around all of it, so noise falls as 1/√B, not as 1/B.": lambda gradients, b: (
            sqrt(_spread(gradients) * _left(len(gradients), b)) / b
        ),
        "gradients has N rows, one for each image: N is len(gradients), and a mean over images is over axis 0.": (
            lambda gradients, b: sqrt(
                max(_spread(gradients.T) / b * _left(gradients.shape[1], b), 0) if gradients.shape[1] > 1 else 0
            )
        ),
        "take the mean gradient off first: the distance is that from the full gradient, not from 0.": (
            lambda gradients, b: sqrt(gradients.square().sum(1).mean().item() / b * _left(len(gradients), b))
        ),
        "a distance adds the squares of all numbers of a gradient: sum(1), and then the mean over images.": [
            lambda gradients, b: sqrt(
                (gradients - gradients.mean(0)).square().mean().item() / b * _left(len(gradients), b)
            ),
            lambda gradients, b: sqrt(
                (gradients - gradients.mean(0)).square().sum().item() / b * _left(len(gradients), b)
            ),
        ],
        "square the distances before the mean, and take the root at the end.": lambda gradients, b: (
            (gradients - gradients.mean(0)).norm(dim=1).mean().item() * sqrt(_left(len(gradients), b) / b)
        ),
        "var and std divide by N - 1 unless you say correction=0. The formula here has the mean, by N.": (
            lambda gradients, b: sqrt(gradients.var(0).sum().item() / b * _left(len(gradients), b))
        ),
        "the factor is (N - B) / (N - 1), with the 1.": lambda gradients, b: sqrt(
            _spread(gradients) / b * (len(gradients) - b) / len(gradients)
        ),
    },
    crashes={
        "only one element tensors": "Add up over axis 1, then take the mean over the images.",
        "math domain": "Under the root stands a number below 0. N is len(gradients), the number of rows.",
        "must match the size": "The full gradient is gradients.mean(0): the mean over the images, one row of numbers.",
    },
    coach=_draws,
)
def batch_noise(gradients, b):
    """Gradients of N images (N, P) and a batch size in; the typical distance of a batch's gradient, a float, out."""
    return sqrt(_spread(gradients) / b * _left(len(gradients), b))


def _parts(small, large):
    """Length squared and the trace, of: mean square = length squared + trace / B."""
    (b, square), (more, other) = small, large
    trace = (square - other) / (1 / b - 1 / more)
    return square - trace / b, trace


def _scale(small, large):
    length, trace = _parts(small, large)
    return trace / length


def _line_in_b(small, large):
    (b, square), (more, other) = small, large
    slope = (other - square) / (more - b)
    return slope / (square - slope * b)


def _slope_in_b(small, large):
    return (large[1] - small[1]) / (large[0] - small[0])


def _trace_in_b(small, large):
    trace = -_slope_in_b(small, large)
    return trace / (small[1] - trace / small[0])


def _turned_round(small, large):
    trace = -_parts(small, large)[1]
    return trace / (small[1] - trace / small[0])


def _steep(small, large):
    """The difference of the squares times that of 1 / B, where it has to be divided by it."""
    trace = (small[1] - large[1]) * (1 / small[0] - 1 / large[0])
    return trace / (small[1] - trace / small[0])


def _by_the_largest(small, large):
    return _parts(small, large)[1] / max(small, large)[1]


@exercise(
    cases=[
        ((1, 11.0), (4, 5.0)),
        ((64, 0.53), (8, 2.4)),  # in any order
        ((16, 1.25), (1024, 0.75)),
        ((2, 3.5), (3, 3.0)),
    ],
    praise="two lengths that every training can measure say from about which B on a larger one buys less.",
    slips={
        "that is the trace. The noise scale is the trace divided by length².": lambda *two: _parts(*two)[1],
        "that is length². The noise scale is the trace divided by it.": lambda *two: _parts(*two)[0],
        "that is upside down: trace / length².": lambda *two: 1 / _scale(*two),
        "the line is straight in 1/B, not in B: divide the difference by 1/b1 - 1/b2, not by b1 - b2.": [
            _line_in_b,
            lambda *two: -_line_in_b(*two),
            _slope_in_b,
            lambda *two: -_slope_in_b(*two),
            _trace_in_b,
        ],
        "divide the difference of the squares by 1/b1 - 1/b2, do not multiply by it.": _steep,
        "the larger batch is not all images: its square has noise too. length² is square1 - trace / b1.": [
            _by_the_largest,
            lambda small, large: _parts(small, large)[1] / large[1],
        ],
        "with + you add the noise once more: length² is square1 - trace / b1.": lambda small, large: (
            _parts(small, large)[1] / (small[1] + _parts(small, large)[1] / small[0])
        ),
        "the signs differ: a small batch has the larger square, and 1/b is larger too.": [
            lambda *two: -_scale(*two),
            _turned_round,
        ],
        "the squares are given already: do not square them again.": lambda small, large: _scale(
            (small[0], small[1] ** 2), (large[0], large[1] ** 2)
        ),
        "divide by length², not by the length.": lambda *two: _parts(*two)[1] / sqrt(_parts(*two)[0]),
        "length² is a mean square without its noise: take trace / b off.": [
            lambda small, large: _parts(small, large)[1] / min(small, large)[1],
            lambda small, large: _parts(small, large)[1] / small[1],
        ],
        "the noise in a mean square is trace / b, not the whole trace.": lambda small, large: (
            _parts(small, large)[1] / (small[1] - _parts(small, large)[1])
        ),
    },
    crashes={
        "division by zero": "Divide by 1/b1 - 1/b2.",
        "object is not subscriptable": "small and large are pairs: (b, square) = small.",
    },
)
def noise_scale(small, large):
    """Two pairs (B, mean squared length of such a batch's gradient) in; the noise scale, a float, out."""
    return _scale(small, large)


def _rate(b, rule, base=0.1, at=64):
    return base * {"fixed": 1, "linear": b / at, "sqrt": sqrt(b / at)}[rule]


def _upside_down(b, rule):
    return 0.1 * {"fixed": 1, "linear": 64 / b, "sqrt": sqrt(64 / b)}[rule]


@exercise(
    cases=[
        (1437, 5, 150, "linear"),
        (1437, 5, 100, "sqrt"),
        (1437, 3, 1437, "fixed"),
        (1000, 2, 250, "linear"),
        (1437, 10, 1, "sqrt"),
        (50, 4, 64, "linear"),  # one short batch an epoch
    ],
    praise="a plan for any batch size. Whether it trains, only a run can tell.",
    slips={
        "the last, short batch of each epoch is a step too: round up.": lambda count, epochs, b, rule: (
            epochs * (count // b),
            _rate(b, rule),
        ),
        "each epoch ends with its own short batch: round up first, then multiply by the epochs.": [
            lambda count, epochs, b, rule: (ceil(count * epochs / b), _rate(b, rule)),
            lambda count, epochs, b, rule: (count * epochs // b, _rate(b, rule)),
        ],
        "steps are a whole number: round up.": lambda count, epochs, b, rule: (epochs * count / b, _rate(b, rule)),
        "those are the steps of one epoch.": lambda count, epochs, b, rule: (ceil(count / b), _rate(b, rule)),
        "that is upside down: a larger batch gets a larger rate.": lambda count, epochs, b, rule: (
            epochs * ceil(count / b),
            _upside_down(b, rule),
        ),
        "k is b / 64, with its fraction: // drops it, and gives 0 below 64.": lambda count, epochs, b, rule: (
            epochs * ceil(count / b),
            0.1 * {"fixed": 1, "linear": b // 64, "sqrt": (b // 64) ** 0.5}[rule],
        ),
        "sqrt is the root of k, k**0.5. k**2 is its square.": lambda count, epochs, b, rule: (
            epochs * ceil(count / b),
            0.1 * {"fixed": 1, "linear": b / 64, "sqrt": (b / 64) ** 2}[rule],
        ),
        "count // b + 1 is one step too many where b divides count. Round up: -(-count // b).": (
            lambda count, epochs, b, rule: (epochs * (count // b + 1), _rate(b, rule))
        ),
        "linear and sqrt are the other way round.": lambda count, epochs, b, rule: (
            epochs * ceil(count / b),
            _rate(b, {"linear": "sqrt", "sqrt": "linear"}.get(rule, rule)),
        ),
        "with sqrt the rate grows with the root of B / 64.": lambda count, epochs, b, rule: (
            epochs * ceil(count / b),
            _rate(b, rule.replace("sqrt", "linear")),
        ),
        "the rate stays at 0.1 only if the rule is fixed.": lambda count, epochs, b, rule: (
            epochs * ceil(count / b),
            0.1,
        ),
        "that is the factor. Multiply it by 0.1.": lambda count, epochs, b, rule: (
            epochs * ceil(count / b),
            _rate(b, rule, base=1),
        ),
        "0.1 belongs to B = 64: the factor is B / 64, or its root.": lambda count, epochs, b, rule: (
            epochs * ceil(count / b),
            _rate(b, rule, at=1),
        ),
        "steps first, then the learning rate.": lambda count, epochs, b, rule: (
            _rate(b, rule),
            epochs * ceil(count / b),
        ),
    },
    crashes={"KeyError": "The rules are 'fixed', 'linear' and 'sqrt'."},
)
def plan(count, epochs, b, rule):
    """How many images, epochs, a batch size and a rule in; (steps, learning rate) out, for lr 0.1 at B = 64."""
    return epochs * ceil(count / b), _rate(b, rule)


_TABLES = {
    "long": torch.diag(torch.tensor([1.0, 5.0, 2.0])),
    "mixed": torch.tensor([[2.0, 1.0], [1.0, 3.0]]),
    "downwards": torch.diag(torch.tensor([-4.0, 1.0, 2.0, 0.5])),
    "one": torch.tensor([[7.0]]),
}


def _times_long(v):
    return _TABLES["long"] @ v


def _times_mixed(v):
    return _TABLES["mixed"] @ v


def _times_downwards(v):
    return _TABLES["downwards"] @ v


def _times_one(v):
    return _TABLES["one"] @ v


def _turned(times, v, rounds):
    for _ in range(rounds):
        v = times(v)
        v = v / v.norm()
    return v


def _never_shortened(times, v, rounds):
    for _ in range(rounds):
        v = times(v)
    return (v @ times(v)).item()


def _stretch_of(times, v, rounds, shorten):
    for _ in range(rounds):
        v = shorten(times(v))
    return (v @ times(v)).item()


@exercise(
    cases=[
        (_times_long, torch.tensor([1.0, 1.0, 1.0]), 3),  # not there yet
        (_times_mixed, torch.tensor([3.0, 0.5]), 30),
        (_times_downwards, torch.tensor([1.0, 1.0, 1.0, 1.0]), 30),
        (_times_one, torch.tensor([0.5]), 5),
        (_times_long, torch.tensor([2.0, 1.0, 4.0]), 3),
    ],
    praise="P numbers at a time, however large the table would be.",
    slips={
        "shorten v to length 1 in every round, or it grows without end: v = v / v.norm().": _never_shortened,
        "v must have the length 1 before you take v @ times(v).": lambda times, v, rounds: (
            lambda w: (w @ times(w)).item()
        )(times(_turned(times, v, rounds - 1))),
        "that is the start, not turned at all: put times(v) back into v in each round.": [
            lambda times, v, rounds: (v @ times(v)).item(),
            lambda times, v, rounds: ((v / v.norm()) @ times(v / v.norm())).item(),
        ],
        "a length has no sign, and here the loss bends down: v @ times(v) knows.": lambda times, v, rounds: (
            times(_turned(times, v, rounds)).norm().item()
        ),
        "that is the direction. Return how much it is stretched: v @ times(v).": _turned,
        "that is one number of H v. How much v is stretched is v @ times(v).": lambda times, v, rounds: times(
            _turned(times, v, rounds)
        )[0].item(),
        "v and v make 1. The stretch is v @ times(v).": lambda times, v, rounds: (
            _turned(times, v, rounds) @ _turned(times, v, rounds)
        ).item(),
        "one round less than asked for.": lambda times, v, rounds: (lambda w: (w @ times(w)).item())(
            _turned(times, v, rounds - 1)
        ),
        "one round more than asked for: range(rounds) has them all.": lambda times, v, rounds: (
            lambda w: (w @ times(w)).item()
        )(_turned(times, v, rounds + 1)),
        "that is after one round: return stands inside the loop. Put it below, as far left as for.": (
            lambda times, v, rounds: (lambda w: (w @ times(w)).item())(_turned(times, v, 1))
        ),
        "v.sum() is no length. Divide by v.norm(), the root of the sum of squares.": lambda times, v, rounds: (
            _stretch_of(times, v, rounds, lambda w: w / w.sum())
        ),
        "v.max() is no length. Divide by v.norm(), the root of the sum of squares.": lambda times, v, rounds: (
            _stretch_of(times, v, rounds, lambda w: w / w.max())
        ),
    },
    crashes={
        "missing 1 required positional": "times takes the direction: times(v).",
        "not callable": "times is the function that multiplies by H: times(v). v and rounds are no functions.",
        "not iterable": "range(rounds) counts the rounds.",
    },
)
def stretch(times, v, rounds):
    """A function that multiplies by a table, a start v (P,) and rounds in; the stretch of the direction found, out."""
    found = _turned(times, v, rounds)
    return (found @ times(found)).item()
