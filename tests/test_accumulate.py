"""The record behind the accumulation panel, against PyTorch's own `.grad`."""

import pytest
import torch
from tools import refused
from torch.nn import functional as F

from helpers import accumulate as room
from helpers.accumulate import NETWORKS, SCALES, accumulate


def by_hand(micro_batch: int, scale: str, network: str) -> float:
    """The relative error, with backward() and `.grad`."""
    model, images, labels = room._given(network)

    def gradients(size):
        model.zero_grad()
        for x, y in zip(images.split(size), labels.split(size), strict=True):
            factor = {"divided by k": size and 1 / -(-64 // size), "weighted by its size": len(y) / 64}.get(scale, 1)
            (F.cross_entropy(model(x), y) * factor).backward()
        return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])

    whole, added = gradients(64), gradients(micro_batch)
    model.zero_grad()
    return float((added - whole).norm() / whole.norm())


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("micro_batch", [2, 16, 24, 63 - 1, 64])
def test_its_error_is_that_of_a_training_loop(micro_batch, scale, network):
    record = accumulate(micro_batch, scale, network)
    assert record.error == pytest.approx(by_hand(micro_batch, scale, network), abs=1e-12)
    assert sum(record.sizes) == 64 and len(record.factors) == len(record.sizes)
    assert record.equal == (not record.reasons) and record.verdict in record.sentence


def test_mistakes_have_the_size_that_the_lesson_says():
    assert accumulate(16).error < 1e-15
    assert [accumulate(size, "as it is").error for size in (32, 16, 8)] == pytest.approx([1, 3, 7])
    assert accumulate(24).error > 0.1 > 1e-15 > accumulate(24, "weighted by its size").error
    assert accumulate(16, network="with BatchNorm").error > 0.1


def test_it_leaves_random_numbers_alone_and_refuses():
    before = torch.get_rng_state()
    room._given.cache_clear()
    accumulate()
    assert torch.equal(torch.get_rng_state(), before)
    refused(lambda: accumulate(65))
    refused(lambda: accumulate(16, "halved"))
    refused(lambda: accumulate(9, network="with BatchNorm"))
