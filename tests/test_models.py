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
    deep = models.deep_cnn((3, 32, 32), 16, 3)
    assert models.parameter_count(deep) == 9 * 3 * 16 + 16 + 2 * (9 * 16 * 16 + 16) + 16 * 4 * 4 * 10 + 10
    assert models.deep_cnn((1, 9, 21), 4, 3, classes=5)(torch.rand(2, 1, 9, 21)).shape == (2, 5)


@pytest.mark.parametrize(("small", "deep"), [(models.mlp, models.deep_mlp), (models.cnn, models.deep_cnn)])
def test_a_depth_of_one_is_the_small_model(small, deep):
    torch.manual_seed(0)
    one = small((3, 8, 8), 5, classes=4)
    torch.manual_seed(0)
    two = deep((3, 8, 8), 5, 1, 4)
    assert str(one) == str(two) and all(
        torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True)
    )


def test_shared_parameters_count_once():
    layer = nn.Linear(5, 5)
    assert models.parameter_count(nn.Sequential(layer, layer)) == 30


@pytest.mark.parametrize("build", [models.mlp, models.deep_mlp, models.cnn, models.deep_cnn])
@pytest.mark.parametrize("shape", [(), None, 28, "1, 28, 28", (1, 0, 28), (1, -28, 28), (1, 28.0, 28)])
def test_models_refuse_what_is_no_shape(build, shape):
    problem(lambda: build(shape))


def test_models_refuse_other_slips():
    assert "no batch axis" in problem(lambda: models.cnn((64, 1, 28, 28)))
    problem(lambda: models.cnn((1, 1, 28)))
    problem(lambda: models.mlp(hidden=0))
    problem(lambda: models.mlp(classes=-1))
    problem(lambda: models.cnn(filters=1.5))
    assert "from 1 to 4" in problem(lambda: models.deep_cnn((3, 16, 32), depth=5))
    assert "2 or more" in problem(lambda: models.deep_cnn((3, 1, 32)))
    problem(lambda: models.deep_cnn(depth=0))
    problem(lambda: models.parameter_count("model"))


def test_deep_networks():
    assert models.parameter_count(models.deep_cnn((3, 32, 32), 16, 2)) == 9 * 3 * 16 + 16 + 9 * 256 + 16 + 10 * 1025
    assert models.deep_cnn((1, 9, 8), 2, 3)(torch.rand(4, 1, 9, 8)).shape == (4, 10)
    assert "depth is 4; allowed is a whole number from 1 to 3" in problem(lambda: models.deep_cnn((1, 9, 8), 2, 4))


HUGE = {"classes": 2**40}


@pytest.mark.parametrize(
    "build",
    [
        lambda: models.mlp((2**40, 2**40)),
        lambda: models.mlp((2**62,), hidden=2**62),
        lambda: models.mlp(**HUGE),
        lambda: models.mlp(hidden=10**400),
        lambda: models.deep_mlp(hidden=1, depth=10**9),
        lambda: models.deep_mlp(hidden=2**12, depth=1000),
        lambda: models.cnn(**HUGE),
        lambda: models.cnn((2**40, 2, 2)),
        lambda: models.cnn(filters=2**40),
        lambda: models.cnn((3, 2**40, 2**40)),
    ],
)
def test_sizes_that_no_computer_holds_are_refused(build):
    assert "allowed is a whole number" in problem(build)
