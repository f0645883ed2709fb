"""Gradient noise: against gradients that are made one by one, and against every batch that there is."""

from itertools import combinations

import pytest
import torch
from tools import problem
from torch import nn
from torch.nn import functional as F

from helpers import data, models, noise


def tiny(count: int = 6):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    return model, torch.randn(count, 4, dtype=torch.float64), torch.arange(count) % 3


def gradient(model, images, labels) -> torch.Tensor:
    learning = [one for one in model.parameters() if one.requires_grad]
    made = torch.autograd.grad(F.cross_entropy(model(images), labels), learning)
    return torch.cat([one.flatten() for one in made])


def one_by_one(model, images, labels) -> torch.Tensor:
    return torch.stack([gradient(model, images[i : i + 1], labels[i : i + 1]) for i in range(len(labels))])


@pytest.mark.parametrize("at_once", [1, 100, 10**6])
def test_what_is_kept_of_each_gradient_is_that_of_the_gradient_itself(at_once, monkeypatch):
    monkeypatch.setattr(noise, "_AT_ONCE", at_once)
    given = tiny()
    rows, found = one_by_one(*given), noise.per_sample(*given)
    full = rows.mean(0)
    assert found.parameters == rows.shape[1] and found.count == 6
    assert found.length == pytest.approx(full.norm().item())
    assert torch.allclose(found.along, rows @ full / full.norm() ** 2)
    assert torch.allclose(found.distances, (rows - full).square().sum(1))
    assert found.trace == pytest.approx(rows.var(0, correction=0).sum().item())
    assert found.noise_scale == pytest.approx(found.trace / found.length**2)


def test_the_second_axis_is_at_right_angles_and_the_one_in_which_the_samples_differ_most(monkeypatch):
    monkeypatch.setattr(noise, "_ROUNDS", 300)
    given = tiny(9)
    rows, found = one_by_one(*given), noise.per_sample(*given)
    ahead = rows.mean(0) / rows.mean(0).norm()
    rest = rows - torch.outer(rows @ ahead, ahead)
    largest = torch.linalg.svdvals(rest)[0] / found.length
    assert found.across.norm().item() == pytest.approx(largest.item(), rel=1e-6)
    assert abs(found.across.mean()) < 1e-12 and found.across.max() == found.across.abs().max()


@pytest.mark.parametrize("size", range(1, 7))
def test_over_every_batch_that_can_be_drawn_the_formula_is_exact(size):
    given = tiny()
    rows, found = one_by_one(*given), noise.per_sample(*given)
    every = torch.stack([rows[list(some)].mean(0) - rows.mean(0) for some in combinations(range(6), size)])
    assert found.noise(size) ** 2 == pytest.approx(every.square().sum(1).mean().item(), rel=1e-9, abs=1e-20)
    assert (found.noise(size) == 0) == (size == 6)


def test_batches_are_means_of_rows_and_at_n_all_are_the_full_gradient():
    model, images, labels = tiny()
    found = noise.per_sample(model, images, labels)
    one = noise.gradient_noise(found, 2, 7, seed=3)
    generator = torch.Generator().manual_seed(3)
    full = gradient(model, images, labels)
    for along in one.along:
        rows = torch.randperm(6, generator=generator)[:2]
        assert along == pytest.approx((gradient(model, images[rows], labels[rows]) @ full / full.norm() ** 2).item())
    assert one.downhill == sum(along > 0 for along in one.along) and one.relative == found.noise(2) / found.length
    every = noise.gradient_noise(found, 6)
    assert every.along == pytest.approx([1] * 100) and every.across == pytest.approx([0] * 100, abs=1e-12)
    assert every.relative == 0 and "no noise is left" in every.sentence


def test_only_what_learns_counts_and_modes_gradients_and_random_numbers_stay():
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 10))
    model[1].requires_grad_(False)
    model[2].eval()
    digits, state = data.digits(), torch.get_rng_state()
    images, labels = digits.images[:6].float() / 255, digits.labels[:6]
    found = noise.per_sample(model, images.requires_grad_(), labels)
    assert found.parameters == 16 + 90 and [layer.training for layer in model] == [True, True, False, True, True]
    assert torch.equal(torch.get_rng_state(), state) and images.grad is None
    assert all(one.grad is None for one in model.parameters())
    rows = one_by_one(model.eval(), images.detach(), labels)
    assert found.trace == pytest.approx(rows.var(0, correction=0).sum().item(), rel=1e-4)


def test_a_convolution_with_pooling_works_too():
    digits = data.digits()
    images, labels = digits.images[:6].float() / 255, digits.labels[:6]
    model = models.cnn()
    rows, found = one_by_one(model, images, labels), noise.per_sample(model, images, labels)
    assert found.trace == pytest.approx(rows.var(0, correction=0).sum().item(), rel=1e-4)


def test_moments_are_trained_once_and_are_slow_until_then():
    for moment in noise.MOMENTS:
        assert noise.samples_at(moment) is noise.samples_at(moment) and not noise.is_slow(moment)
    start, *later = (noise.samples_at(moment) for moment in noise.MOMENTS)
    assert {one.parameters for one in (start, *later)} == {101_770} and start.count == 1437
    with torch.random.fork_rng():
        torch.manual_seed(0)
        fresh = models.mlp()
    assert torch.equal(fresh[1].weight, noise.trained(noise.MOMENTS[0])[1].weight)


def test_the_scale_after_some_epochs_is_that_of_all_gradients():
    for moment, epochs in zip(noise.MOMENTS[:2], (0, 1), strict=True):
        assert noise.scale_after(epochs) == pytest.approx(noise.samples_at(moment).noise_scale, rel=1e-5)


def test_bad_values_are_refused():
    model, images, labels = tiny()
    found = noise.per_sample(model, images, labels)
    for call in (
        lambda: noise.per_sample(model, images, labels[:3]),
        lambda: noise.per_sample(model, images[:1], labels[:1]),
        lambda: noise.per_sample(nn.Flatten(), images, labels),
        lambda: noise.per_sample(model, images[:, :2], labels),
        lambda: noise.per_sample(model, images, labels + 7),
        lambda: noise.per_sample(model, images * float("nan"), labels),
        lambda: noise.gradient_noise(found, 7),
        lambda: noise.gradient_noise(found, 0),
        lambda: noise.gradient_noise(found, 2, 1001),
        lambda: noise.gradient_noise("found", 2),
        lambda: found.noise(7),
        lambda: noise.samples_at("later"),
        lambda: noise.scale_after(31),
        lambda: noise.scale_after(1, -1),
    ):
        assert problem(call)
