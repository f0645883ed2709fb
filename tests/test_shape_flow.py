"""The record behind the shape flow panel."""

import pytest
import torch
from tools import problem

from helpers import data, models
from helpers.shape_flow import shape_flow

DIGITS, COLOURS = data.digits().images, data.colours().images


def test_the_shapes_of_every_layer():
    flow = shape_flow(DIGITS[:64], 784)
    assert "Flatten (64, 784) → Linear (64, 128) → ReLU (64, 128) → Linear (64, 10)" in flow.sentence
    assert "100,480 + 1,290 = 101,770 parameters, 407,080 bytes (0.39 MiB)" in flow.sentence
    assert flow.error is None and flow.failed is None


@pytest.mark.parametrize(("images", "shape"), [(DIGITS, (1, 28, 28)), (COLOURS, (3, 32, 32))])
@pytest.mark.parametrize(("batch_size", "hidden"), [(1, 1), (7, 512), (256, 100)])
def test_it_counts_what_the_models_of_the_course_hold(images, shape, batch_size, hidden):
    model = models.mlp(shape, hidden)
    flow = shape_flow(images[:batch_size], model[1].in_features, hidden)
    assert flow.parameters == models.parameter_count(model)
    assert flow.stages[-1].shape == (batch_size, 10)


def test_the_error_is_the_one_that_pytorch_raises():
    flow = shape_flow(COLOURS[:32], 784, 100)
    with pytest.raises(RuntimeError) as caught:
        torch.nn.Linear(784, 100)(torch.rand(32, 3072))
    assert flow.error == f"RuntimeError: {caught.value}"
    assert flow.failed == 1 and [stage.shape for stage in flow.stages[1:]] == [None] * 3
    assert "(32x3072 and 784x100)" in flow.sentence and "in_features=3072 repairs it" in flow.sentence
    assert shape_flow(COLOURS[:32], 3072, 100).error is None


@pytest.mark.parametrize("images", [None, [1, 2], torch.rand(3), torch.rand(0, 1, 28, 28)])
def test_something_else_is_refused(images):
    assert "give a tensor" in problem(lambda: shape_flow(images, 784))


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
