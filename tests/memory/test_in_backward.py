"""An optimizer that steps during backward, as a setting of the loop."""

import copy

import pytest
import torch
from tools import problem, really
from torch import nn
from torch.nn import functional as F

from helpers import models
from helpers.memory import Loop, any_batch, trace, watch

IN_BACKWARD = Loop(step_in_backward=True)
NET = models.deep_mlp((1, 28, 28), 128, 3)
OPTIMIZERS = {
    "sgd": torch.optim.SGD,
    "momentum": lambda parameters: torch.optim.SGD(parameters, momentum=0.9),
    "adam": torch.optim.Adam,
    "adam foreach": lambda parameters: torch.optim.Adam(parameters, foreach=True),
    "adam fused": lambda parameters: torch.optim.Adam(parameters, fused=True),
}


def by_hand(make) -> int:
    """The peak of three real steps, written as PyTorch's tutorial writes them."""
    with watch() as live:
        model = copy.deepcopy(NET)
        each = {parameter: make([parameter]) for parameter in model.parameters()}

        def use(parameter: nn.Parameter) -> None:
            each[parameter].step()
            each[parameter].zero_grad()

        for parameter in model.parameters():
            parameter.register_post_accumulate_grad_hook(use)
        for _ in range(3):
            images, labels = torch.zeros(64, 1, 28, 28), torch.zeros(64, dtype=torch.int64)
            output = model(images)
            loss = F.cross_entropy(output, labels)
            loss.backward()
            del images, labels, output, loss
    return live.peak


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_the_trace_is_the_real_step(make):
    how = {"loop": IN_BACKWARD, "optimizer": make}
    predicted = trace(NET, (1, 28, 28), 64, device="cpu", **how)
    real = really(NET, (1, 28, 28), 64, **how)
    assert (predicted.peak, predicted.peak_phase, predicted.at_peak) == (real.peak, real.peak_phase, real.at_peak)
    assert predicted.peak == pytest.approx(by_hand(make), abs=64)  # some counters of 4 bytes


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam"])
def test_one_gradient_lives_at_a_time(name):
    usual, quick = (trace(NET, (1, 28, 28), 8, optimizer=name, loop=loop) for loop in (Loop(), IN_BACKWARD))
    largest = max(parameter.nbytes for parameter in NET.parameters())
    for part in ("parameters", "optimizer state", "activations", "batch"):
        assert quick.most[part] == usual.most[part], part
    assert largest <= quick.most["gradients"] < largest + 1024 < usual.most["gradients"]
    assert quick.peak_phase == "backward" and quick.peak < usual.peak


def test_what_gets_no_gradient_has_no_state():
    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(16, 10), nn.Linear(16, 10)

        def forward(self, x):
            return self.used(x)

    states = [trace(Half(), (16,), 8, loop=loop).most["optimizer state"] for loop in (Loop(), IN_BACKWARD)]
    assert states[0] == states[1] > 0


def test_every_batch_size_and_a_frozen_part():
    frozen = copy.deepcopy(NET)
    frozen[1].requires_grad_(False)
    at = any_batch(frozen, (1, 28, 28), loop=IN_BACKWARD)
    assert at(100) == trace(frozen, (1, 28, 28), 100, loop=IN_BACKWARD)
    assert not NET[1].weight._post_accumulate_grad_hooks


@pytest.mark.parametrize("how", [{"accumulate": 2}, {"precision": "fp16"}])
def test_what_needs_the_whole_gradient_is_refused(how):
    assert "allowed is one of them" in problem(lambda: trace(NET, (1, 28, 28), 8, loop=IN_BACKWARD, **how))
