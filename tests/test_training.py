"""Training and measuring."""

import torch
from tools import problem

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
