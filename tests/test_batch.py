"""The record behind the batch panel."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tools import problem
from torch import nn

from helpers import data, models
from helpers.batch import batch_facts


def test_batch_facts_are_measured_and_leave_the_model_as_it_was():
    images = data.digits().images
    for training_mode in (True, False):
        model = nn.Sequential(models.cnn(), nn.BatchNorm1d(10), nn.Dropout(0.5)).train(training_mode)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        facts = batch_facts(images, model, 64, torch.float16)
        assert (facts.shape, facts.output_shape, facts.n_bytes) == ((64, 1, 28, 28), (64, 10), 64 * 784 * 2)
        assert "stored as float16 in 100,352 bytes (0.10 MiB)" in facts.sentence
        assert model.training is training_mode
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@settings(max_examples=20)
@given(st.integers(1, 256))
def test_batch_facts_for_any_batch_size(b):
    facts = batch_facts(data.digits().images, models.cnn(), b)
    assert facts.output_shape == (b, 10)
    assert facts.n_bytes == b * 784 * 4


@pytest.mark.parametrize("b", [0, -1, 361, 1.0, True, None, "8"])
def test_batch_facts_refuse_a_batch_size(b):
    images = data.digits(train=False).images
    assert "1 to 360" in problem(lambda: batch_facts(images, models.cnn(), b))


def test_batch_facts_refuse_images_and_models():
    images = data.digits().images
    for wrong in (images[0], images.float(), images.numpy(), None, "digits"):
        assert "uint8 tensor (N, C, H, W)" in problem(lambda wrong=wrong: batch_facts(wrong, models.cnn(), 1))
    problem(lambda: batch_facts(images, "cnn", 1))
    model = models.cnn((3, 32, 32)).train()
    assert "PyTorch says: Given groups=1" in problem(lambda: batch_facts(images, model, 1))
    assert model.training


def test_batch_facts_refuse_what_has_no_pixels_and_what_is_no_dtype():
    images = data.digits().images[:4]
    for wrong in (images.to("meta"), images[:, :, :0], images.to_sparse()):
        assert "uint8 tensor (N, C, H, W)" in problem(lambda wrong=wrong: batch_facts(wrong, models.cnn(), 1))
    for dtype in ("uint8", None, float):
        assert "dtype is" in problem(lambda dtype=dtype: batch_facts(images, models.cnn(), 1, dtype))


def test_batch_facts_of_a_model_that_returns_no_tensor():
    model = models.mlp()
    model.forward = lambda x: (x, x)
    assert "it must return one tensor" in problem(lambda: batch_facts(data.digits().images, model, 1))
    assert "the class Linear" in problem(lambda: batch_facts(data.digits().images, nn.Linear, 1))


def test_batch_facts_give_every_layer_its_own_mode_back():
    model = nn.Sequential(models.cnn(), nn.BatchNorm1d(10).eval())
    batch_facts(data.digits().images, model, 2)
    assert model.training and model[0].training and not model[1].training
