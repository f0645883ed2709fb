"""Models as learners bring them: with lists of tensors, hooks, losses that learn, and wrappers."""

import threading

import numpy as np
import pytest
import torch
from tools import really
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn import functional as F

from helpers import models
from helpers.memory import any_batch, max_batch, trace, watch
from helpers.problems import Problem

pytestmark = pytest.mark.filterwarnings("error")


class KeepsTensors(nn.Module):
    """Tensors in a list, in a dictionary, and in an object that nobody knows."""

    class Box:
        pass

    def __init__(self):
        super().__init__()
        self.layer, self.box = nn.Linear(4, 3), self.Box()
        self.listed, self.named, self.box.tensor = [torch.ones(1000)], {"a": torch.ones(5)}, torch.ones(7)

    def forward(self, x):
        return self.layer(x) + self.listed[0][:3] + self.named["a"][:3] + self.box.tensor[:3]


def test_tensors_in_a_list_or_dictionary_are_buffers():
    model = KeepsTensors()
    assert trace(model, (4,), 8, device="cpu").most["buffers"] >= 4 * 1005
    assert not any(isinstance(t, FakeTensor) for t in (*model.listed, *model.named.values(), model.box.tensor))
    assert trace(model, (4,), 8, device="cpu").peak >= really(model, (4,), 8).peak


class KeepsResults(nn.Module):
    """The usual way to look at a hidden layer: a hook that writes onto the model itself."""

    def __init__(self):
        super().__init__()
        self.net, self.seen = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 5)), {}
        self.net[1].register_forward_hook(lambda module, inputs, output: self.seen.update(hidden=output.detach()))

    def forward(self, x):
        return self.net(x)


def test_a_hook_that_writes_onto_the_model_can_be_traced_again_and_again():
    model = KeepsResults()
    for _ in range(3):
        assert trace(model, (20,), 4).peak > 0


def test_a_loss_that_learns_keeps_its_own_gradients():
    judge = nn.Sequential(nn.Linear(100, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
    judge[0].weight.grad = torch.ones(32, 100)
    painter = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 100), nn.Tanh())

    def loss(painted):
        return F.binary_cross_entropy_with_logits(judge(painted), torch.ones(len(painted), 1))

    found = trace(painter, example=(torch.zeros(4, 16), None), loss=loss)
    assert type(judge[0].weight.grad) is torch.Tensor and judge[0].weight.grad.eq(1).all()
    assert all(parameter.grad is None for parameter in list(judge.parameters())[1:])
    assert any("4 parameters that are used are not the model's" in note for note in found.notes)
    assert found.notes[-1] in found.sentence


class Draws(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        return self.layer(x) * float(np.random.rand())


class Copies(nn.Module):
    """An autoencoder: its target is its input."""

    def __init__(self):
        super().__init__()
        self.inwards, self.outwards = nn.Linear(100, 10), nn.Linear(10, 100)

    def forward(self, x):
        return self.outwards(torch.tanh(self.inwards(x)))


@pytest.mark.parametrize("loss", [F.mse_loss, F.smooth_l1_loss, F.l1_loss, F.huber_loss])
def test_an_autoencoder_equals_its_real_run(loss):
    x = torch.zeros(64, 100)
    found = trace(Copies(), example=(x, x), loss=loss, device="cpu")
    assert found.most["batch"] == 64 * 100 * 4  # the same tensor counts once
    real = really(Copies(), None, 64, loss=loss, example=(x, x))
    assert found.timeline == real.timeline
    assert found == any_batch(Copies(), example=(x, x), loss=loss, device="cpu")(64)


class GivesItsLoss(Copies):
    def forward(self, x):
        return F.mse_loss(super().forward(x), x)


def test_a_model_that_gives_its_loss_equals_its_real_run():
    how = {"example": (torch.zeros(64, 100), None), "loss": lambda output: output.view(1).sum()}
    found = trace(GivesItsLoss(), device="cpu", **how)
    assert found.timeline == really(GivesItsLoss(), None, 64, **how).timeline


def test_numpys_random_numbers_go_on_as_if_nothing_had_happened():
    np.random.seed(3)
    wanted = np.random.rand()
    np.random.seed(3)
    trace(Draws(), (4,))
    assert np.random.rand() == wanted


def test_a_target_may_be_a_dictionary():
    target = {"boxes": torch.zeros(4, 3), "classes": [torch.zeros(4, dtype=torch.int64)]}

    def loss(output, target):
        return (output - target["boxes"]).square().mean() + F.cross_entropy(output, target["classes"][0])

    found = trace(nn.Linear(4, 3), example=(torch.zeros(4, 4), target), batch_size=64, loss=loss, device="cpu")
    assert found.most["batch"] == 64 * (4 * 4 + 4 * 3 + 8)


def wrapped() -> nn.Module:
    model = models.mlp((4,), 5, 3)
    forward = model.forward
    model.forward = lambda x: forward(x) * 2
    return model


def steps_in_backward() -> nn.Module:
    model = models.mlp((4,), 5, 3)
    model[1].weight.register_post_accumulate_grad_hook(lambda parameter: None)
    return model


own = models.mlp((4,), 5, 3)
OWN_PEAK = trace(own, (4,), 8).peak
REFUSED = {
    "a forward on the object": (wrapped, {}, "Sequential has a forward that was put onto the object"),
    "steps in backward": (steps_in_backward, {}, "1 (Linear) has hooks on its parameters"),
    "a ready optimizer": (lambda: own, {"optimizer": torch.optim.SGD(own.parameters())}, "optimizer is a ready SGD"),
    "parameters of its own": (
        lambda: own, {"optimizer": lambda parameters: torch.optim.SGD(own.parameters())}, "must use the parameters",
    ),
    "a class for a loss": (lambda: own, {"loss": nn.CrossEntropyLoss}, "loss=CrossEntropyLoss()"),
    "a tuple for the loss": (lambda: nn.LSTM(4, 3), {"sample_shape": (2, 4)}, "takes what the model returns"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_give_a_wrong_number_is_refused(name):
    build, how, told = REFUSED[name]
    with pytest.raises(Problem) as caught:
        trace(build(), **({"sample_shape": (4,), "batch_size": 8} | how))
    assert told in str(caught.value)


@pytest.mark.skipif(
    tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 13),
    reason="older fake kernels take floats for indices",
)
def test_floats_in_place_of_word_numbers_are_refused_with_the_way_out():
    with pytest.raises(Problem, match="Give example=.inputs, target. with int64"):
        trace(nn.Embedding(10, 4), (4,), 8)


def test_a_trace_within_a_watch_is_not_counted():
    with watch() as live:
        trace(own, (4,), 1024)
    assert live.peak == 0


class Asks(nn.Module):
    """Traces another model while it is traced itself."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        assert trace(own, (4,), 8).peak == OWN_PEAK
        return self.layer(x)


def test_a_trace_within_a_trace_changes_neither():
    assert trace(Asks(), (4,), 8).peak == trace(nn.Sequential(nn.Linear(4, 3)), (4,), 8).peak


def test_traces_in_several_threads_are_those_of_one():
    wanted = [trace(models.mlp(hidden=h), (1, 28, 28), 64, precision="bf16") for h in (32, 64, 96)]
    found = [None] * 3

    def work(place: int, hidden: int) -> None:
        found[place] = trace(models.mlp(hidden=hidden), (1, 28, 28), 64, precision="bf16")

    threads = [threading.Thread(target=work, args=pair) for pair in enumerate((32, 64, 96))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == wanted


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cells, self.last = nn.LSTM(16, 32, 2, batch_first=True), nn.Linear(32, 10)

    def forward(self, x):
        return self.last(self.cells(x)[0][:, -1])


def test_recurrent_layers_keep_what_every_step_needs_and_say_what_is_left_out():
    found = trace(Recurrent(), (12, 16), 64)
    gates = 64 * 12 * 2 * 4 * 32 * 4  # samples, steps, layers, gates, width, bytes
    assert found.most["activations"] > gates
    assert any("LSTM" in note for note in found.notes)
    assert torch._C._get_mkldnn_enabled()
    assert any_batch(Recurrent(), (12, 16))(100) == trace(Recurrent(), (12, 16), 100)


class ForThirtyTwo(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.bias = nn.Linear(4, 3), nn.Parameter(torch.zeros(32, 3))

    def forward(self, x):
        return self.layer(x) + self.bias


def test_a_model_for_one_batch_size_is_traced_at_that():
    assert any_batch(ForThirtyTwo(), (4,))(32) == trace(ForThirtyTwo(), (4,), 32)


def test_batch_size_is_not_for_those_that_look_for_it():
    for ask in (lambda **how: any_batch(own, (4,), **how), lambda **how: max_batch(own, 1000, (4,), **how)):
        with pytest.raises(Problem, match="leave it out"):
            ask(batch_size=4)


def test_too_little_for_anything_is_said_so():
    assert "Nothing fits" in max_batch(models.mlp((20,), 8, 5), 1000, (20,)).sentence


def test_a_learning_rate_in_a_tensor_works():
    made = trace(own, (4,), 8, optimizer=lambda p: torch.optim.Adam(p, lr=torch.tensor(0.1)))
    assert made.most["optimizer state"] == trace(own, (4,), 8).most["optimizer state"]
