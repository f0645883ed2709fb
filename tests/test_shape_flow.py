"""The record of a batch on its way through an MLP."""

import pytest
import torch
from tools import problem

from helpers.shape_flow import shape_flow


@pytest.mark.parametrize("images, given", [
    (torch.zeros(2, 4).to_sparse(), "torch.sparse_coo; give a tensor (B, ...)"),
    (torch.empty(2, 4, device="meta"), "meta; give a tensor (B, ...) with numbers in it"),
    (torch.zeros(2, 4, dtype=torch.complex64), "complex64; give a tensor (B, ...)"),
    (torch.empty(2, 0), "Tensor (2, 0) torch.float32; give a tensor (B, ...) with numbers in it"),
    (torch.zeros(1).expand(2**20, 2**20), "with numbers in it, from 1 to 268,435,456"),
])  # fmt: skip
def test_images_without_numbers_are_refused(images, given):
    """On "meta" the flow blamed in_features for a device that did not fit."""
    assert given in problem(lambda: shape_flow(images, 4))


@pytest.mark.parametrize("sizes", [(10**400, 1, 1), (2**62, 2**62, 1), (4, 2**40, 1), (4, 1, 2**40), (4, 2**20, 2**20)])
def test_sizes_that_no_computer_holds_are_refused(sizes):
    assert "allowed is a whole number" in problem(lambda: shape_flow(torch.zeros(2, 4), *sizes))


def test_a_wrong_in_features_is_still_a_record():
    flow = shape_flow(torch.zeros(2, 1, 2, 2, requires_grad=True), 5)
    assert flow.failed == 1 and "in_features=4 repairs it" in flow.sentence
