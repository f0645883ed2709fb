"""The sharpness against the exact matrix of second derivatives of a tiny network."""

import pytest
import torch
from tools import problem
from torch import nn
from torch.func import functional_call, hessian
from torch.nn import functional as F

from helpers.sharpness import sharpness

IMAGES = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
LABELS = IMAGES.abs().argmax(1) % 3


def tiny(seed: int, scale: float = 1.0) -> nn.Module:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= scale
    return model


def eigenvalues(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """All of them, in rising order, of the Hessian as `torch.func` makes it."""
    names = dict(model.named_parameters())
    sizes = [one.numel() for one in names.values()]

    def loss(flat: torch.Tensor) -> torch.Tensor:
        parts = flat.split(sizes)
        given = {name: part.view_as(one) for (name, one), part in zip(names.items(), parts, strict=True)}
        return F.cross_entropy(functional_call(model, given, (images,)), labels)

    flat = torch.cat([one.detach().flatten() for one in names.values()])
    return torch.linalg.eigvalsh(hessian(loss)(flat))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
def test_it_is_the_largest_eigenvalue(seed, scale):
    model, images = tiny(seed, scale), IMAGES.double()
    exact = eigenvalues(model, images, LABELS)
    found = sharpness(model, images, LABELS, tolerance=1e-3, most=5000)
    assert found.converged and found.error <= 1e-3 * found.value
    assert found.value == pytest.approx(exact[-1].item(), rel=2e-3)
    assert sharpness(model, images, LABELS, 1e-3, 5000, seed=7).value == pytest.approx(found.value, rel=4e-3)


def test_a_negative_eigenvalue_that_is_larger_in_size_is_not_taken():
    """Labels that the network denies with certainty: the loss bends down more than up."""
    for seed in range(5):
        model, images = tiny(seed, 3.0), IMAGES.double()
        labels = model(images).argmin(1)
        exact = eigenvalues(model, images, labels)
        found = sharpness(model, images, labels, tolerance=1e-3, most=5000)
        assert found.value == pytest.approx(exact[-1].item(), rel=5e-3)
        assert found.converged
        if -exact[0] > 1.1 * exact[-1]:
            assert found.shifted
            break
    else:
        pytest.fail("no seed has a negative eigenvalue that rules")


def test_it_says_when_it_has_not_converged():
    found = sharpness(tiny(0), IMAGES.double(), LABELS, tolerance=1e-6, most=1)
    assert not found.converged and found.error > 0 and "not converged" in found.sentence
    assert "within" in sharpness(tiny(0), IMAGES.double(), LABELS).sentence


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3))
    model[0].weight.requires_grad_(False)
    model[3].weight.grad = torch.ones_like(model[3].weight)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        first = sharpness(model, IMAGES, LABELS)
    assert first == sharpness(model, IMAGES, LABELS)  # no dropout
    assert model.training and all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert torch.equal(model[3].weight.grad, torch.ones_like(model[3].weight)) and model[0].bias.grad is None


def test_a_network_in_which_nothing_moves_has_none():
    dead = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    for parameter in dead.parameters():
        nn.init.zeros_(parameter)
    dead[2].requires_grad_(False)
    found = sharpness(dead, IMAGES, LABELS)
    assert found.value == 0 and found.converged


def test_bad_input_is_answered():
    frozen = tiny(0).requires_grad_(False)
    assert "no parameters" in problem(lambda: sharpness(frozen, IMAGES.double(), LABELS))
    assert "40 rows" in problem(lambda: sharpness(tiny(0), IMAGES, LABELS[:3]))
    assert "cannot be found" in problem(lambda: sharpness(tiny(0), IMAGES, LABELS))  # float32 into float64
    assert "tolerance" in problem(lambda: sharpness(tiny(0), IMAGES, LABELS, tolerance=0))
