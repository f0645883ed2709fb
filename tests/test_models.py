"""The small networks of the course."""

import pytest
import torch
from tools import problem
from torch import nn

from helpers import models


def test_models_have_the_parameters_that_a_hand_counts():
    assert models.parameter_count(models.mlp()) == 784 * 128 + 128 + 128 * 10 + 10
    assert models.parameter_count(models.cnn()) == 9 * 8 + 8 + 1568 * 10 + 10
    assert models.mlp((3, 32, 32))[1].in_features == 3072
    assert models.cnn((3, 5, 7), filters=2)(torch.rand(4, 3, 5, 7)).shape == (4, 10)


def test_shared_parameters_count_once():
    layer = nn.Linear(5, 5)
    assert models.parameter_count(nn.Sequential(layer, layer)) == 30


@pytest.mark.parametrize("build", [models.mlp, models.cnn])
@pytest.mark.parametrize("shape", [(), None, 28, "1, 28, 28", (1, 0, 28), (1, -28, 28), (1, 28.0, 28)])
def test_models_refuse_what_is_no_shape(build, shape):
    problem(lambda: build(shape))


def test_models_refuse_other_slips():
    assert "no batch axis" in problem(lambda: models.cnn((64, 1, 28, 28)))
    problem(lambda: models.cnn((1, 1, 28)))
    problem(lambda: models.mlp(hidden=0))
    problem(lambda: models.mlp(classes=-1))
    problem(lambda: models.cnn(filters=1.5))
    problem(lambda: models.parameter_count("model"))
