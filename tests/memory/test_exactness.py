"""Traces against real runs where they once were apart: each case was wrong, and is equal to the byte now."""

import gc

import pytest
import torch
from tools import problem, really
from torch import Tensor, nn
from torch.nn import functional as F

from helpers.memory import max_batch, trace, watch

pytestmark = pytest.mark.filterwarnings("error")


def equal(network, sample_shape, batch_size=None, **how) -> None:
    """The trace on the CPU is the real run's, operation by operation."""
    ours = trace(network, sample_shape, batch_size, device="cpu", **how)
    real = really(network, sample_shape, batch_size, **how)
    assert (ours.peak, ours.peaks) == (real.peak, real.peaks)
    assert ours == real


# ------------------------------------------------------------------------- what an operation keeps of its own result


class TwoHeads(nn.Module):
    """Its second output is not used by the loss, so backward never comes there."""

    def __init__(self, last):
        super().__init__()
        self.hidden, self.head, self.other = nn.Linear(20, 100), nn.Linear(100, 5), nn.Linear(100, 1000)
        self.last = last

    def forward(self, x):
        hidden = self.hidden(x)
        return self.head(hidden), self.last(self.other(hidden))


def first_head(output, target):
    return F.cross_entropy(output[0], target)


KEEP_THEIR_RESULT = {
    "sigmoid": torch.sigmoid, "relu": torch.relu, "softmax": lambda x: x.softmax(1), "exp": torch.exp,
    "norm": lambda x: x.norm(dim=1), "in place": lambda x: (x * 2).relu_(),
    "attention": lambda x: F.scaled_dot_product_attention(*[x.view(-1, 2, 50, 10)] * 3),
}  # fmt: skip


def plain_peak(network, batch_size: int) -> int:
    """The most bytes of a real step with SGD, counted without any hook of autograd."""
    x, target = torch.zeros(batch_size, 20), torch.zeros(batch_size, dtype=torch.int64)
    with watch() as book:
        x, target = x.clone(), target.clone()
        output = network(x)
        loss = first_head(output, target)
        loss.backward()
        torch.optim.SGD(network.parameters()).step()
    network.zero_grad()
    return book.peak + sum(parameter.nbytes for parameter in network.parameters())


@pytest.fixture
def without_the_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def tensors() -> int:
    return sum(issubclass(type(each), Tensor) for each in gc.get_objects())


@pytest.mark.parametrize("name", KEEP_THEIR_RESULT)
def test_an_output_that_the_loss_does_not_use_goes_with_the_step(name, without_the_collector):
    network, how = TwoHeads(KEEP_THEIR_RESULT[name]), {"loss": first_head, "optimizer": "sgd"}
    ours = trace(network, (20,), 64, device="cpu", **how)
    assert ours.notes == () and ours.peak == plain_peak(network, 64)
    equal(network, (20,), 64, **how)


def test_neither_a_trace_nor_a_real_run_leaves_tensors(without_the_collector):
    network = TwoHeads(torch.sigmoid)
    for run in (trace, really):
        run(network, (20,), 64, loss=first_head)
        before = tensors()
        run(network, (20,), 64, loss=first_head)
        assert tensors() == before


def test_the_largest_batch_of_a_model_with_an_unused_output():
    network, capacity = TwoHeads(torch.sigmoid), 2**24
    found = max_batch(network, capacity, (20,), loss=first_head, optimizer="sgd", device="cpu").exact
    assert plain_peak(network, found) <= capacity < plain_peak(network, found + 1)


def test_what_is_kept_can_be_differentiated_twice():
    class Penalised(nn.Sequential):
        def forward(self, x):
            out = super().forward(x)
            return torch.autograd.grad(out.sum(), self[0].weight, create_graph=True)[0].sigmoid()

    network = Penalised(nn.Linear(4, 8), nn.Sigmoid(), nn.Linear(8, 3))
    equal(network, None, example=(torch.zeros(6, 4), None), loss=lambda output: output.sum())
