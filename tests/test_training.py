"""Training and measuring."""

import pytest
import torch
from tools import problem
from torch import nn

from helpers import data, models, training


def test_training_learns_real_digits_and_repeats_itself():
    digits = data.digits()
    images = digits.images.float() / 255
    runs = []
    for _ in range(2):
        torch.manual_seed(0)
        model = models.mlp(hidden=32)
        runs.append(training.fit(model, images, digits.labels, epochs=3, learning_rate=5e-3))
    assert runs[0] == runs[1]
    assert runs[0][0] > 2 * runs[0][-1]
    model.eval()
    assert training.accuracy(model, images, digits.labels) > 0.8
    assert not model.training
    training.accuracy(model.train(), images, digits.labels)
    assert model.training


def test_training_leaves_the_global_random_numbers_alone():
    digits = data.digits()
    model, before = models.mlp(), torch.get_rng_state()
    training.fit(model, digits.images[:64].float(), digits.labels[:64], epochs=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_training_refuses():
    x, y = torch.rand(8, 1, 28, 28), torch.zeros(7, dtype=torch.int64)
    assert "8 rows and labels 7" in problem(lambda: training.fit(models.mlp(), x, y))
    problem(lambda: training.accuracy(models.mlp(), x, y))
    problem(lambda: training.accuracy(models.mlp(), x[:0], y[:0]))
    problem(lambda: training.fit(models.mlp(), x, y[:1], epochs=0))
    problem(lambda: training.fit(models.mlp(), x[:7], y, batch_size=0))
    problem(lambda: training.seconds(3))
    problem(lambda: training.seconds(lambda: None, at_least=0))


def test_seconds_tells_slow_from_fast():
    small, large = torch.rand(8, 8), torch.rand(512, 512)
    assert training.seconds(lambda: large @ large) > 5 * training.seconds(lambda: small @ small)


X, Y = torch.rand(8, 4), torch.tensor([0, 1] * 4)


def test_labels_in_a_column_are_refused_and_not_broadcast():
    for wrong in (Y[:, None], Y.float(), Y.int(), Y.tolist()):
        for work in (training.accuracy, training.fit):
            assert "give an int64 tensor (N)" in problem(lambda wrong=wrong, work=work: work(nn.Linear(4, 2), X, wrong))
    for wrong, words in ((Y - 1, "labels go down to -1"), (Y + 1, "labels go up to 2; the model has 2 classes")):
        for work in (training.accuracy, training.fit):
            assert words in problem(lambda wrong=wrong, work=work: work(nn.Linear(4, 2), X, wrong))


WRONG = {
    "epochs": (10**400, 2**40, 1.0),
    "batch_size": (True, 0),
    "learning_rate": (float("nan"), -1.0, "1"),
    "seed": ("0", None, -1),
}


@pytest.mark.parametrize("name", WRONG)
def test_fit_refuses_a_setting_before_it_touches_the_model(name):
    model = nn.Linear(4, 2).eval()
    before = model.weight.clone()
    for value in WRONG[name]:
        text = problem(lambda value=value: training.fit(model, X, Y, **{name: value}))
        assert text.startswith(f"{name} is ") and "allowed is a" in text
    assert not model.training and torch.equal(model.weight, before)


class Fails(nn.Module):
    """Raises in the run number `at`."""

    def __init__(self, at: int):
        super().__init__()
        self.layer, self.norm, self.left = nn.Linear(4, 2), nn.BatchNorm1d(2).eval(), at

    def forward(self, x):
        self.left -= 1
        if not self.left:
            raise RuntimeError("shapes do not fit")
        return self.norm(self.layer(x))


def test_a_model_that_fails_says_so_and_how_far_training_came():
    text = problem(lambda: training.fit(Fails(1), X, Y))
    assert text == "training stopped in epoch 1, before the first step: shapes do not fit"
    model = Fails(6).eval()
    text = problem(lambda: training.fit(model, X, Y, batch_size=2))
    assert text == "training stopped in epoch 2, after 5 steps, which the model keeps: shapes do not fit"
    assert not model.training
    assert "cannot be counted: shapes do not fit" in problem(lambda: training.accuracy(Fails(1), X, Y))


def test_every_layer_gets_its_own_mode_back():
    model = Fails(0).train()
    model.norm.eval()
    training.accuracy(model, X, Y)
    assert model.training and model.layer.training and not model.norm.training
    model.left = 1
    problem(lambda: training.accuracy(model, X, Y))
    assert model.training and not model.norm.training


@pytest.mark.parametrize(
    "output", [None, torch.zeros(8), torch.zeros(8, 2, 2), torch.zeros(4, 2), (torch.zeros(8, 2),)]
)
def test_a_model_that_returns_no_logits_is_refused(output):
    model = nn.Linear(4, 2)
    model.forward = lambda x: output
    for work in (training.accuracy, training.fit):
        assert "not logits (B, classes)" in problem(lambda work=work: work(model, X, Y))


def test_training_leaves_no_gradient_in_the_images():
    images = torch.rand(8, 4, requires_grad=True)
    training.fit(nn.Linear(4, 2), images, Y, epochs=1)
    assert images.grad is None


@pytest.mark.parametrize("at_least", [float("inf"), float("nan"), 10**400, -1, "1", None, True])
def test_seconds_refuses_a_time_that_never_ends(at_least):
    assert "allowed is a number from 1e-06 to 3600" in problem(lambda: training.seconds(lambda: None, at_least))


def test_seconds_says_why_the_work_stopped():
    assert "ZeroDivisionError: division by zero" in problem(lambda: training.seconds(lambda: 1 / 0))
