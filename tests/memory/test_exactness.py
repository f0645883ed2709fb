"""Traces against real runs where they once were apart: each case was wrong, and is equal to the byte now."""

import gc

import pytest
import torch
from tools import problem, really
from torch import Tensor, nn
from torch.nn import functional as F

from helpers.memory import max_batch, trace, tracer, watch
from helpers.memory.step import make_plan

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


# --------------------------------------------------------------------------- losses whose one number keeps many


def copies() -> nn.Sequential:
    return nn.Sequential(nn.Linear(100, 10), nn.Linear(10, 100), nn.Sigmoid())


LOSSES = {
    "BCE": F.binary_cross_entropy,
    "BCE with weights": lambda output, target: F.binary_cross_entropy(output, target, torch.ones(100)),
    "soft margin": F.soft_margin_loss,
    "MSE, sum": lambda output, target: F.mse_loss(output, target, reduction="sum"),
    "multilabel": F.multilabel_soft_margin_loss,
    "hinge": F.hinge_embedding_loss,
    "margins": lambda output, target: F.multi_margin_loss(output, target[:, 0].long()),
    "triplets": lambda output, target: F.triplet_margin_loss(output, target, target),
}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_keeps_what_it_really_keeps(name, precision):
    x = torch.zeros(64, 100)
    equal(copies(), None, example=(x, x), loss=LOSSES[name], precision=precision)


def test_the_storage_of_a_loss_is_that_of_its_elements():
    """By hand: 64 x 100 float32 live on with the one number, until the step ends."""
    x = torch.zeros(64, 100)
    for loss in (F.binary_cross_entropy, F.soft_margin_loss):
        for device in ("cpu", "cuda"):
            t = trace(copies(), example=(x, x), loss=loss, device=device)
            rest = trace(copies(), example=(x, x), loss=F.huber_loss, device=device)
            held, other = (
                [e.live["temporaries"] for e in each.timeline if e.phase == "step"][-2] for each in (t, rest)
            )
            assert held - other == 64 * 100 * 4 - (4 if device == "cpu" else 512)


# --------------------------------------------------------------------------- strides and dtypes of real kernels


class Turned(nn.Module):
    """A layer that sees its input with two axes exchanged."""

    def __init__(self, layer, after=torch.relu, axes=(1, 2)):
        super().__init__()
        self.first, self.layer, self.last = nn.Linear(30, 40), layer, nn.Linear(50, 3)
        self.after, self.axes = after, axes

    def forward(self, x):
        return self.last(self.after(self.layer(self.first(x).transpose(*self.axes)))).mean(1)


LAYERS = {
    "BatchNorm1d": nn.BatchNorm1d(40), "LayerNorm": nn.LayerNorm(50), "GroupNorm": nn.GroupNorm(4, 40),
    "InstanceNorm": nn.InstanceNorm1d(40, affine=True), "ReLU6": nn.ReLU6(), "Hardswish": nn.Hardswish(),
    "LogSigmoid": nn.LogSigmoid(), "LogSoftmax": nn.LogSoftmax(1), "Dropout": nn.Dropout(0.5), "GELU": nn.GELU(),
}  # fmt: skip


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_with_a_transposed_input(name, precision, batch_size):
    equal(Turned(LAYERS[name]), (50, 30), batch_size, precision=precision)
    equal(Turned(nn.Identity(), LAYERS[name]), (50, 30), batch_size, precision=precision)


def normed(norm, memory_format=torch.contiguous_format) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), norm(), nn.ReLU(), nn.Conv2d(16, 16, 3), norm(), nn.ReLU6(), nn.Flatten(),
        nn.Linear(16 * 8 * 8, 5),
    ).to(memory_format=memory_format)  # fmt: skip


NORMS = {"GroupNorm": lambda: nn.GroupNorm(4, 16), "BatchNorm": lambda: nn.BatchNorm2d(16)}


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("norm", NORMS)
def test_norms_of_images(norm, batch_size, precision, memory_format):
    equal(normed(NORMS[norm], memory_format), (3, 12, 12), batch_size, precision=precision)


def test_layer_norm_with_a_gradient_that_is_transposed():
    class Reads(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.norm, self.last = nn.Linear(30, 40), nn.LayerNorm(40), nn.Linear(50, 3)

        def forward(self, x):
            return self.last(self.norm(self.first(x)).transpose(1, 2)).mean(1)

    equal(Reads(), (50, 30), 8)


# ------------------------------------------------------------------------------------- storages that start empty


def test_watch_counts_what_grows_from_nothing():
    with watch() as book:
        grown = torch.empty(0)
        grown.resize_(1000)
        assert book.bytes == 4000
        filled = torch.empty(0)
        torch.add(torch.ones(10), 1, out=filled)
        assert book.bytes == 4040
        del grown, filled
        assert book.bytes == 0 and not book.alive


class Grows(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(30, 40)

    def forward(self, x):
        with torch.no_grad():
            doubled = torch.mul(x, 2, out=torch.empty(0))
            ones = torch.empty(0).resize_(x.shape).fill_(1)
        return self.layer(x + doubled + ones)


def test_a_model_whose_tensors_grow_from_nothing():
    events = trace(Grows(), (30,), 8, device="cpu").timeline
    one = 8 * 30 * 4
    assert [event.live["temporaries"] for event in events if event.op in ("mul", "resize_")] == [one, 2 * one]
    equal(Grows(), (30,), 8)


# ----------------------------------------------------------------------------------- steps that look at numbers


def small(*more: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), *more, nn.ReLU(), nn.Linear(8, 3))


def clips(parameters):
    """Adam, whose step() first looks at each gradient's size, as Adafactor does."""

    class Clips(torch.optim.Adam):
        def step(self, closure=None):
            for parameter in self.param_groups[0]["params"]:
                parameter.grad.mul_(min(1.0, 1.0 / (parameter.grad.norm().item() + 1e-6)))
            super().step(closure)

    return Clips(parameters)


OPTIMIZERS = [torch.optim.Adafactor, torch.optim.ASGD, torch.optim.Rprop, torch.optim.NAdam, torch.optim.RAdam, clips]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_optimizer_that_looks_at_numbers(optimizer):
    network = small()
    ours, real = (
        trace(network, (4,), 8, device="cpu", optimizer=optimizer),
        really(network, (4,), 8, optimizer=optimizer),
    )
    assert (ours.peak, ours.most["optimizer state"]) == (real.peak, real.most["optimizer state"])
    written_out = 12 if optimizer is torch.optim.ASGD else 0  # bytes of numbers that live a moment longer when fake
    assert 0 <= ours.peaks["step"] - real.peaks["step"] <= written_out
    guesses = any("it was told 1.0" in note for note in ours.notes)
    assert guesses is (optimizer in (torch.optim.Adafactor, clips))
    assert trace(network, (4,), 8, optimizer=optimizer).peak > 0


def test_counters_keep_their_values():
    equal(small(nn.BatchNorm1d(8, momentum=None)), (4,), 8)

    class WarmsUp(nn.Module):
        def __init__(self, step: int):
            super().__init__()
            self.layer = nn.Linear(4, 3)
            self.register_buffer("step", torch.tensor(step))

        def forward(self, x):
            return self.layer(x) if self.step < 10 else self.layer(x).sigmoid()

    for step in (3, 30):
        equal(WarmsUp(step), (4,), 8)


# --------------------------------------------------------------------------------- dtypes as real kernels take them


def images() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(3 * 36, 3))


def like(shape, dtype, target=torch.int64):
    return torch.zeros(8, *shape, dtype=dtype), torch.zeros(8, dtype=target)


REFUSED = {
    "float64": (small, like((4,), torch.float64), "must have the same dtype, but got Double and Float"),
    "int64": (small, like((4,), torch.int64), "must have the same dtype, but got Long and Float"),
    "float16": (small, like((4,), torch.float16), "must have the same dtype, but got Half and Float"),
    "uint8 image": (images, like((1, 8, 8), torch.uint8), "Input type (unsigned char) and bias type (float)"),
    "LayerNorm": (lambda: nn.Sequential(nn.LayerNorm(4)), like((4,), torch.float64), "must share same datatype"),
    "int32 target": (small, like((4,), torch.float32, torch.int32), "target dtype to be Long or Byte, but got Int"),
    "bool target": (small, like((4,), torch.float32, torch.bool), "target dtype to be Long or Byte, but got Bool"),
}  # fmt: skip


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("name", REFUSED)
def test_dtypes_that_the_model_refuses(name, device):
    build, example, told = REFUSED[name]
    text = problem(lambda: trace(build(), example=example, device=device))
    assert told in text
    if device == "cpu":
        assert text == problem(lambda: really(build(), None, None, example=example))


def test_targets_of_one_byte():
    equal(small(), None, example=like((4,), torch.float32, torch.uint8))
    equal(images(), None, example=like((1, 8, 8), torch.float32, torch.uint8), precision="bf16")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sixteen_bits_are_not_refused_for_cuda(dtype):
    """Where the CPU's kernels lack them, CUDA's do not."""
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.ReLU6(), nn.Flatten(), nn.LayerNorm(144),
        nn.Linear(144, 3), nn.LogSigmoid(), nn.Hardswish(),
    ).to(dtype)  # fmt: skip
    x, target = torch.zeros(8, 1, 8, 8, dtype=dtype), torch.zeros(8, 3, dtype=dtype)
    for loss in (F.mse_loss, F.smooth_l1_loss, F.soft_margin_loss, F.binary_cross_entropy_with_logits):
        assert trace(network, example=(x, target), loss=loss).peak > 0


# ------------------------------------------------------------------------------------------- limits, said rightly


class ForEach(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.layer, self.how = nn.Linear(4, 3), how

    def forward(self, x):
        return self.how(self.layer, x)


def test_vmap():
    equal(ForEach(lambda layer, x: torch.vmap(layer)(x)), (4,), 8)


def packs(layer, x):
    packed = nn.utils.rnn.pack_padded_sequence(layer(x), [5] * len(x), batch_first=True)
    return nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)[0].sum(1)


def test_what_is_refused_says_why():
    gradients = ForEach(lambda layer, x: torch.func.grad(lambda y: layer(y).sum())(x))
    assert "layer ForEach uses torch.func" in problem(lambda: trace(gradients, (4,), 8))
    assert "layer ForEach packs sequences" in problem(lambda: trace(ForEach(packs), (5, 4), 8))
    assert "runs as often as the values demand" in problem(lambda: trace(small(), (4,), 8, optimizer=torch.optim.LBFGS))


def test_a_model_for_several_processes_is_refused():
    several = nn.parallel.DistributedDataParallel.__new__(nn.parallel.DistributedDataParallel)
    nn.Module.__init__(several)
    several.module = small()
    text = problem(lambda: trace(several, (4,), 8))
    assert text.startswith("DistributedDataParallel wraps a model") and "model.module" in text


def test_a_loss_that_holds_the_model_is_refused():
    network = small()
    network[0].weight.grad = torch.ones(8, 4)

    def penalised(output, target):
        return F.cross_entropy(output, target) + sum(p.square().sum() for p in network.parameters())

    for loss in (penalised, lambda output, target: F.cross_entropy(network(torch.ones(8, 4)) + output, target)):
        assert "holds the model itself" in problem(lambda loss=loss: trace(network, (4,), 8, loss=loss))
        assert type(network[0].weight.grad) is Tensor and network[0].bias.grad is None


# ------------------------------------------------------------------------------------------------ hooks on parameters


def test_hooks_on_parameters_run_in_the_trace_as_on_the_model():
    """A copy of a parameter has no hooks, so the real run is the model's own."""
    network = nn.Sequential(nn.Linear(500, 500), nn.ReLU(), nn.Linear(500, 10))
    without = trace(network, (500,), 8, device="cpu", optimizer="sgd")
    network[0].weight.register_hook(lambda gradient: (gradient.double() * 2).float())
    ours = trace(network, (500,), 8, device="cpu", optimizer="sgd")
    with tracer.as_found():
        real = tracer.record(network, make_plan(network, (500,), 8, optimizer="sgd", device="cpu"))
    assert ours.peak == real.peak > 2 * without.peak
