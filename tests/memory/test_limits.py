"""The largest batch, and the crossover."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tools import blocks, cnn, problem, wide

from helpers import models
from helpers.memory import GPUS, any_batch, crossover, limits, max_batch, trace

pytestmark = pytest.mark.filterwarnings("error")  # a trace warns of nothing


def test_the_peak_moves_from_step_to_backward():
    few, many = trace(wide(), (1, 28, 28), 64), trace(wide(), (1, 28, 28), 8192)
    assert (few.peak_phase, f"{few.peak / 2**20:.2f}") == ("step", "12.97")
    assert (many.peak_phase, f"{many.peak / 2**20:.2f}") == ("backward", "96.56")


def test_the_slope_is_the_sum_by_hand():
    one_more = trace(wide(), (1, 28, 28), 8193).requested - trace(wide(), (1, 28, 28), 8192).requested
    image, label, logits, hidden = 784 * 4, 8, 10 * 4, 512 * 4
    kept_for_backward, gradients_around_relu = 2 * hidden, 2 * hidden
    assert one_more == image + label + logits + kept_for_backward + gradients_around_relu == 11_376


def outweighs(network, sample_shape, batch_size: int, **how) -> bool:
    most = trace(network, sample_shape, batch_size, **how).most
    fixed = sum(most[name] for name in ("parameters", "buffers", "gradients", "optimizer state"))
    return most["batch"] + most["activations"] >= fixed


@pytest.mark.parametrize(
    ("network", "sample_shape", "how", "expected"),
    [
        (models.mlp((1, 28, 28), 256), (1, 28, 28), {}, 774),
        (models.mlp((3, 32, 32), 512), (3, 32, 32), {}, 1_756),
        (models.mlp((1, 28, 28), 256), (1, 28, 28), {"optimizer": "sgd"}, None),
        (cnn(), (3, 32, 32), {}, None),
        (blocks(), (3, 4, 4), {"accumulate": 2}, None),
    ],
    ids=["784-256-10", "3072-512-10", "SGD", "cnn", "accumulate"],
)
def test_crossover_is_the_first_batch_that_outweighs_the_model(network, sample_shape, how, expected):
    every = how.get("accumulate", 1)
    found = crossover(network, sample_shape, **how)
    assert expected is None or found == expected
    assert outweighs(network, sample_shape, found, **how)
    assert found == every or not outweighs(network, sample_shape, found - every, **how)


#: On the CPU with CUDA's optimizer: the bytes of tensors decide alone.
FOREACH = {"device": "cpu", "optimizer": lambda parameters: torch.optim.Adam(parameters, foreach=True)}


@pytest.mark.parametrize(
    "capacity, how",
    [(mib * 2**20, FOREACH) for mib in (13, 14, 64, 1024)] + [(64 * 2**20, {}), (2**30, {}), ("T4", {})],
)
def test_the_largest_batch_fits_and_the_next_does_not(capacity, how):
    found = max_batch(wide(), capacity, (1, 28, 28), **how)
    how = how | ({"gpu": capacity} if isinstance(capacity, str) else {})
    limit = GPUS[capacity].capacity if isinstance(capacity, str) else capacity
    own, more = (trace(wide(), (1, 28, 28), found.exact + more, **how) for more in (0, 1))
    assert own.fits(limit) and not more.fits(limit) and own.peak <= limit
    assert (found.fits, found.too_large, found.capacity) == (own, more, limit)
    if "device" in how:
        assert own.peak <= limit < more.peak and found.refused_by == "allocated"


def test_the_straight_line_is_right_above_the_kink_and_wrong_below():
    above, below = (max_batch(wide(), mib * 2**20, (1, 28, 28), **FOREACH) for mib in (64, 13))
    assert above.exact == above.formula == 5_190 and above.fits.peak_phase == "backward"
    assert above.per_sample == pytest.approx(11_376, rel=1e-5)
    assert below.formula > 6 * below.exact > 0 and below.fits.peak_phase == "step"
    assert "B = 5,190 fits into 64.00 MiB" in above.sentence and "line says 5,190" in above.sentence


def test_segments_cost_a_small_gpu_more_than_a_large_one():
    """PyTorch takes 20 MiB at once for what is below 10 MiB, so it refuses before the straight line does."""
    small, large = (max_batch(wide(), mib * 2**20, (1, 28, 28)) for mib in (64, 4096))
    assert small.exact < 0.9 * small.formula and small.refused_by == "reserved"
    assert "and more reserved than that" in small.sentence
    assert 0.95 * large.formula < large.exact <= large.formula


def test_nothing_fits():
    found = max_batch(wide(), 2**20, (1, 28, 28))
    assert (found.exact, found.formula, found.fits) == (0, 0, None)
    assert found.too_large.batch_size == 1 and found.too_large.peak > 2**20
    said = "Nothing fits into 1.00 MiB: B = 1 needs 12.78 MiB allocated during step."
    assert found.sentence.startswith(said) and found.refused_by == "allocated"


@pytest.mark.parametrize("every", [2, 4, 5])
def test_the_largest_batch_is_cut_into_equal_micro_batches(every):
    found = max_batch(wide(), 64 * 2**20, (1, 28, 28), accumulate=every)
    assert found.exact % every == found.formula % every == 0 and found.formula > 5_190
    own, more = (trace(wide(), (1, 28, 28), found.exact + more, accumulate=every) for more in (0, every))
    assert own.fits(64 * 2**20) and not more.fits(64 * 2**20)


def test_a_gpu_by_name_brings_its_workspace():
    """Until PyTorch 2.14 it stays for good; from 2.15 on it is gone again where this model has its peak."""
    how = {"torch_version": "2.14.0"}
    plain = max_batch(wide(), GPUS["T4"].capacity, (1, 28, 28), **how)
    named = max_batch(wide(), "T4", (1, 28, 28), **how)
    assert named.fits.at_peak["workspace"] > 0 == plain.fits.at_peak["workspace"]
    assert named.exact <= plain.exact and named.formula < plain.formula


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_the_search_finds_any_threshold_from_any_start(threshold, start):
    asked = []

    def fits(number: int) -> bool:
        asked.append(number)
        return number <= threshold

    assert limits._largest(fits, start) == threshold
    assert min(asked) >= 1 and len(asked) < 50


def test_crossover_of_refuses():
    at = any_batch(models.mlp((4,), 5, 3), (4,))
    assert limits.crossover_of(at) == crossover(models.mlp((4,), 5, 3), (4,))
    assert "every is 0" in problem(lambda: limits.crossover_of(at, 0))
    for other in (None, 3, int, at(8), models.mlp()):
        assert "give the function that any_batch" in problem(lambda other=other: limits.crossover_of(other))


def test_max_batch_refuses():
    network = models.mlp()
    assert "leave it out" in problem(lambda: max_batch(network, 2**20, (1, 28, 28), batch_size=4))
    assert "one of 'RTX 3070'" in problem(lambda: max_batch(network, "RTX 9999", (1, 28, 28)))
    for capacity in (0, -1, 1.5, True, None, 10**400):
        assert "capacity is" in problem(lambda capacity=capacity: max_batch(network, capacity, (1, 28, 28)))
