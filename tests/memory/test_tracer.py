"""The tracer on its own ground: against PyTorch's tracker, against real runs, against arithmetic by hand."""

import copy
import gc
import json
import logging
import random
import subprocess
import sys
import tracemalloc
import warnings
from functools import cache
from inspect import Parameter, signature

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from tools import cnn, problem, really
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.nn import functional as F

from helpers import memory, models
from helpers.folders import ROOT
from helpers.memory import CATEGORIES, GPUS, any_batch, crossover, limits, max_batch, measure, trace, tracer, watch
from helpers.memory.as_cuda import as_on_cuda
from helpers.memory.gpus import rounded
from helpers.memory.records import Category
from helpers.memory.step import OPTIMIZERS, SETTINGS

pytestmark = pytest.mark.filterwarnings("error")  # a trace warns of nothing

BATCH = 2


def wide() -> nn.Sequential:
    """The course's example of two regimes: 784-512-512-10."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )


def from_torchvision(name: str, **how):
    return lambda: getattr(torchvision.models, name)(**how)


MODELS = {
    "mlp": (models.mlp, (1, 28, 28)),
    "mlp for colour": (lambda: models.mlp((3, 32, 32)), (3, 32, 32)),
    "course cnn": (models.cnn, (1, 28, 28)),
    "cnn": (cnn, (3, 32, 32)),
    "resnet18": (from_torchvision("resnet18"), (3, 64, 64)),
    "resnet50": (from_torchvision("resnet50"), (3, 64, 64)),
    "vgg11": (from_torchvision("vgg11", init_weights=False), (3, 64, 64)),
    "mobilenet_v2": (from_torchvision("mobilenet_v2"), (3, 64, 64)),
    "densenet121": (from_torchvision("densenet121"), (3, 64, 64)),
    "vit_b_16": (from_torchvision("vit_b_16", image_size=32), (3, 32, 32)),
    "swin_t": (from_torchvision("swin_t"), (3, 64, 64)),
}
SMALL = ["mlp", "course cnn", "cnn"]


@cache
def model(name: str) -> nn.Module:
    return MODELS[name][0]()


@cache
def traced(name: str, optimizer: str = "adam", device: str = "cpu"):
    return trace(model(name), MODELS[name][1], BATCH, optimizer=optimizer, device=device)


def size_of(tensors) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


# ------------------------------------------------------------------------------- against PyTorch's own tracker


def memtracker(network, sample_shape, optimizer: str, modules: bool = False) -> dict[str, int]:
    """The peak of two steps as `MemTracker` books it.

    modules: whether it also keeps its record of each module, which takes most of its time and is not compared.
    """
    tools = pytest.importorskip("torch.distributed._tools.mem_tracker", reason="a build without torch.distributed")

    class WholeModel(tools.MemTracker):
        def _update_peak_stats(self, peak_state):
            per_module, self.memory_tracking = self.memory_tracking, {}
            super()._update_peak_stats(peak_state)
            self.memory_tracking = per_module

    fake = FakeTensorMode(allow_non_fake_inputs=True)
    twin = tracer.fake_copy(network, fake)
    with fake:
        optimizer = OPTIMIZERS[optimizer](twin.parameters(), foreach=False)
        tracker = tools.MemTracker() if modules else WholeModel()
        tracker.track_external(twin, optimizer)
        with tracker:
            for _ in range(2):
                tracker.reset_mod_stats()  # it refuses a second step otherwise
                inputs, target = torch.zeros(BATCH, *sample_shape), torch.zeros(BATCH, dtype=torch.int64)
                tracker.track_external(inputs, target)
                output = twin(inputs)
                loss = F.cross_entropy(output, target)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                del inputs, target, output, loss
        (peak,) = tracker.get_tracker_snapshot("peak").values()
    return {str(getattr(kind, "value", kind)): size for kind, size in peak.items()}


# One optimizer is enough where a step takes long: what step() does is the same for each layer.
SLOW = {"densenet121": "sgd"}
PAIRS = [
    (name, optimizer)
    for name in MODELS
    for optimizer in ("sgd", "momentum", "adam")
    if SLOW.get(name, optimizer) == optimizer
]
REAL = [(name, optimizer) for name, optimizer in PAIRS if name != "vgg11" or optimizer == "momentum"]


@pytest.mark.parametrize(("name", "optimizer"), PAIRS)
def test_total_equals_memtracker(name, optimizer):
    assert traced(name, optimizer).peak == memtracker(model(name), MODELS[name][1], optimizer)["Total"]


@pytest.mark.parametrize("name", [*SMALL, "resnet18"])
def test_memtracker_says_the_same_with_its_record_of_modules(name):
    with_modules = memtracker(model(name), MODELS[name][1], "adam", modules=True)
    assert with_modules == memtracker(model(name), MODELS[name][1], "adam")


def test_memtracker_books_temporaries_of_adam_as_state():
    """Adam's state is 2 x P; MemTracker books what step() borrows for its largest layer as state as well."""
    book, ours = memtracker(model("mlp"), (1, 28, 28), "adam"), traced("mlp", "adam")
    parameters, first_weight, counters = 407_080, 784 * 128 * 4, 4 * 4
    assert ours.peak_phase == "step" and ours.peak == book["Total"] == 2_437_524
    assert ours.at_peak["optimizer state"] == 2 * parameters + counters == 814_176
    assert book["Optstate"] == 2 * parameters + counters + 2 * first_weight == 1_616_992
    held = BATCH * 10 * 4 + 4  # output and loss, which the loop's names hold
    assert ours.at_peak["temporaries"] == 2 * first_weight + held
    assert book["Activation"] == held and book["Temp"] == 0


def test_memtracker_books_new_gradients_as_temporaries():
    """The first layer's gradient is there and fills 401,408 bytes; MemTracker renames it only when it is put away."""
    book, ours = memtracker(model("mlp"), (1, 28, 28), "sgd"), traced("mlp", "sgd")
    assert ours.peak_phase == "backward" and ours.peak == book["Total"] == 821_560
    assert ours.at_peak["gradients"] == 407_080
    last_layer = (128 * 10 + 10) * 4
    assert book["Gradient"] == last_layer == 5_160
    first_layer = (784 * 128 + 128) * 4
    relu_gradient = BATCH * 128 * 4
    assert book["Temp"] == first_layer + relu_gradient


# ------------------------------------------------------------------------------------------- against a real run


@pytest.mark.parametrize(("name", "optimizer"), REAL)
def test_peak_and_timeline_equal_a_real_run(name, optimizer):
    ours, real = traced(name, optimizer), really(model(name), MODELS[name][1], BATCH, optimizer=optimizer)
    assert (ours.peak, ours.at_peak, ours.peak_phase) == (real.peak, real.at_peak, real.peak_phase)
    assert (ours.peak_layer, ours.peak_op) == (real.peak_layer, real.peak_op)
    assert ours == real


def blocks() -> nn.Sequential:
    """Flatten, then six blocks of Linear, GELU, Linear."""
    block = [nn.Sequential(nn.Linear(48, 96), nn.GELU(), nn.Linear(96, 48)) for _ in range(6)]
    return nn.Sequential(nn.Flatten(), *block, nn.Linear(48, 10))


VARIANTS = {
    "accumulate": (cnn, (3, 32, 32), {"accumulate": 4}),
    "bf16": (cnn, (3, 32, 32), {"precision": "bf16"}),
    "fp16": (cnn, (3, 32, 32), {"precision": "fp16"}),
    "fp16, accumulate": (cnn, (3, 32, 32), {"precision": "fp16", "accumulate": 2}),
    "inference": (cnn, (3, 32, 32), {"inference": True}),
    "bf16 inference": (cnn, (3, 32, 32), {"inference": True, "precision": "bf16"}),
    "checkpoint": (blocks, (3, 4, 4), {"checkpoint": True}),
    "checkpoint by name": (blocks, (3, 4, 4), {"checkpoint": ["1", "3"]}),
    "checkpoint, accumulate": (blocks, (3, 4, 4), {"checkpoint": True, "accumulate": 2}),
    "adamw": (wide, (1, 28, 28), {"optimizer": "adamw"}),
    "rmsprop": (wide, (1, 28, 28), {"optimizer": torch.optim.RMSprop}),
    "foreach": (wide, (1, 28, 28), {"optimizer": lambda p: torch.optim.Adam(p, foreach=True)}),
    "fused": (wide, (1, 28, 28), {"optimizer": lambda p: torch.optim.Adam(p, fused=True)}),
    "recurrent": (
        lambda: nn.Sequential(nn.Flatten(1, 2), nn.RNN(8, 16, batch_first=True)), (2, 3, 8),
        {"loss": lambda output, target: output[0].sum()},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", VARIANTS)
def test_every_setting_equals_a_real_run(name):
    build, sample_shape, how = VARIANTS[name]
    network = build()
    ours, real = trace(network, sample_shape, 8, device="cpu", **how), really(network, sample_shape, 8, **how)
    assert ours.peak == real.peak and ours.peaks == real.peaks
    assert ours.saved == real.saved
    if name != "foreach":  # a number that is written out lives a moment longer on fake tensors: 4 bytes
        assert ours.timeline == real.timeline


# ---------------------------------------------------------------------------------------------- the bookkeeping


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("name", [*SMALL, "resnet18", "vgg11", "vit_b_16"])
def test_categories_add_up(name, device):
    """`requested` is added up on its own, storage by storage; on the CPU, where nothing is rounded, it is the peak."""
    t = traced(name, device=device)
    for event in t.timeline:
        assert tuple(event.live) == CATEGORIES
        assert min(event.live.values()) >= 0
    assert sum(t.at_peak.values()) == t.peak == max(sum(event.live.values()) for event in t.timeline)
    if device == "cpu":
        assert t.requested == t.peak
    else:
        assert 0 < t.peak - t.requested < 512 * 8 * len(list(model(name).parameters()))
    assert [phase for phase in t.peaks] == ["forward", "backward", "step"]


STATE = {"sgd": 0, "momentum": 1, "adam": 2}


@pytest.mark.parametrize("optimizer", STATE)
@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet18"])
def test_what_the_model_brings_is_exact(name, optimizer):
    """Parameters, gradients and state by arithmetic: numbers x bytes, 0, 1 or 2 times; on CUDA in blocks of 512."""
    parameters, buffers = list(model(name).parameters()), list(model(name).buffers())
    counters = 4 * len(parameters) if optimizer == "adam" else 0  # one step counter each, on the CPU only
    for device, count in (("cpu", size_of), ("cuda", lambda each: sum(rounded(size_of([one])) for one in each))):
        t = traced(name, optimizer, device)
        state = STATE[optimizer] * count(parameters) + (counters if device == "cpu" else 0)
        assert {event.live["parameters"] for event in t.timeline} == {count(parameters)}
        assert {event.live["buffers"] for event in t.timeline} == {count(buffers)}
        assert {event.live["optimizer state"] for event in t.timeline} == {state}
        assert t.timeline[0].live["gradients"] == 0
        assert max(event.live["gradients"] for event in t.timeline) == count(parameters)
        assert {e.live["gradients"] for e in t.timeline if e.phase == "step" and e.op != "zero_grad"} == {
            count(parameters)
        }
        inputs, target = BATCH * 4 * torch.Size(MODELS[name][1]).numel(), BATCH * 8
        batch = rounded(inputs) + rounded(target) if device == "cuda" else inputs + target
        assert t.most["batch"] == t.at_peak["batch"] == batch


@pytest.mark.parametrize("name", [name for name in MODELS if name != "vgg11"])
def test_saved_bytes_equal_the_hooks_of_a_real_run(name):
    network, sample_shape = copy.deepcopy(model(name)), MODELS[name][1]
    inputs, target = torch.zeros(BATCH, *sample_shape), torch.zeros(BATCH, dtype=torch.int64)
    known = {t.untyped_storage()._cdata for t in (*network.parameters(), *network.buffers(), inputs, target)}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage._cdata not in known:
            kept[storage._cdata] = storage  # holds it, so that no other gets its address
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        F.cross_entropy(network(inputs), target)
    rows = [row for row in traced(name, "sgd").saved if not row.shared_with]
    assert sum(row.bytes for row in rows) == sum(storage.nbytes() for storage in kept.values())
    assert len(rows) == len(kept)


@pytest.mark.parametrize("how", [{}, {"optimizer": "momentum"}, {"precision": "fp16"}, {"accumulate": 2}])
def test_further_steps_equal_the_one_that_is_reported(how, monkeypatch):
    """The step is a steady one: three more change nothing, and its end is its beginning."""
    reported, end = trace(cnn(), (3, 32, 32), 8, **how), tracer.Observer.step_ends

    def go_on(self):
        end(self)
        self.steady = False

    assert reported.timeline[0].live["optimizer state"] == reported.timeline[-1].live["optimizer state"] > 0
    with monkeypatch.context() as patch:
        patch.setattr(tracer.Observer, "step_ends", go_on)
        later = trace(cnn(), (3, 32, 32), 8, **how)
    assert (later.timeline, later.saved, later.requested) == (reported.timeline, reported.saved, reported.requested)
    with monkeypatch.context() as patch:  # a first step without state is seen not to be steady
        patch.setattr(tracer, "first_state", lambda model, optimizer: [])
        assert trace(cnn(), (3, 32, 32), 8, **how) == reported
        patch.setattr(tracer, "STEPS", 1)
        assert trace(cnn(), (3, 32, 32), 8, **how).timeline != reported.timeline


def test_categories_print_as_their_names_and_are_found_by_them():
    t = traced("mlp")
    parameters = size_of(model("mlp").parameters())
    assert repr(t.at_peak).startswith(f"{{'parameters': {parameters}, 'buffers': 0, 'gradients': {parameters}, ")
    assert t.most["optimizer state"] == t.most[Category.OPTIMIZER_STATE] > 0
    assert f"{t.largest}" == str(t.largest) == "optimizer state" and repr(t.largest) == "'optimizer state'"
    assert json.loads(json.dumps(t.at_peak)) == t.at_peak == dict(zip(CATEGORIES, t.at_peak.values(), strict=True))


def test_layers_and_what_they_keep():
    """The table of the lesson: what each layer keeps, and which of it is there already."""
    t = trace(cnn(), (3, 32, 32), 4, device="cpu")
    kept = {row.layer: [] for row in t.saved}
    for row in t.saved:
        kept[row.layer].append((row.tensor, row.dtype, row.bytes, row.shared_with))
    image, pooled = 4 * 8 * 32 * 32 * 4, 4 * 8 * 16 * 16 * 4
    assert kept["0 (Conv2d)"] == [
        ("input", "float32", 4 * 3 * 32 * 32 * 4, "batch"), ("weight", "float32", 8 * 3 * 9 * 4, "parameters"),
    ]  # fmt: skip
    assert [row for row in kept["1 (BatchNorm2d)"] if not row[3]] == [
        ("input", "float32", image, ""), ("computed inside", "float32", 32, ""), ("computed inside", "float32", 32, ""),
    ]  # fmt: skip
    assert kept["2 (ReLU)"] == [("output", "float32", image, "")]
    assert kept["3 (MaxPool2d)"] == [
        ("input", "float32", image, "2 (ReLU)"), ("indices", "int64", 2 * pooled, ""),
    ]  # fmt: skip
    assert kept["4 (Dropout)"] == [("computed inside", "float32", pooled, "")]
    assert "5 (Flatten)" not in kept
    assert kept["6 (Linear)"][0] == ("input", "float32", pooled, "")
    assert [row for row in kept["loss"] if not row[3]] == [
        ("computed inside", "float32", 4 * 10 * 4, ""), ("computed inside", "float32", 4, ""),
    ]  # fmt: skip


# ---------------------------------------------------------------------------------------------- the two regimes


def test_the_peak_moves_from_step_to_backward():
    few, many = trace(wide(), (1, 28, 28), 64), trace(wide(), (1, 28, 28), 8192)
    assert (few.peak_phase, f"{few.peak / 2**20:.2f}") == ("step", "12.97")
    assert (many.peak_phase, f"{many.peak / 2**20:.2f}") == ("backward", "96.56")


def test_the_slope_is_the_sum_by_hand():
    one_more = trace(wide(), (1, 28, 28), 8193).requested - trace(wide(), (1, 28, 28), 8192).requested
    image, label, logits, hidden = 784 * 4, 8, 10 * 4, 512 * 4
    kept_for_backward, gradients_around_relu = 2 * hidden, 2 * hidden
    assert one_more == image + label + logits + kept_for_backward + gradients_around_relu == 11_376


def outweighs(network, sample_shape, batch_size: int, **how) -> bool:
    most = trace(network, sample_shape, batch_size, **how).most
    fixed = sum(most[name] for name in ("parameters", "buffers", "gradients", "optimizer state"))
    return most["batch"] + most["activations"] >= fixed


@pytest.mark.parametrize(
    ("network", "sample_shape", "how", "expected"),
    [
        (models.mlp((1, 28, 28), 256), (1, 28, 28), {}, 774),
        (models.mlp((3, 32, 32), 512), (3, 32, 32), {}, 1_756),
        (models.mlp((1, 28, 28), 256), (1, 28, 28), {"optimizer": "sgd"}, None),
        (cnn(), (3, 32, 32), {}, None),
        (blocks(), (3, 4, 4), {"accumulate": 2}, None),
    ],
    ids=["784-256-10", "3072-512-10", "SGD", "cnn", "accumulate"],
)
def test_crossover_is_the_first_batch_that_outweighs_the_model(network, sample_shape, how, expected):
    every = how.get("accumulate", 1)
    found = crossover(network, sample_shape, **how)
    assert expected is None or found == expected
    assert outweighs(network, sample_shape, found, **how)
    assert found == every or not outweighs(network, sample_shape, found - every, **how)


# ----------------------------------------------------------------------------------------- random small networks

ANYWHERE = ("linear", "relu", "gelu", "dropout", "layer norm", "batch norm", "sigmoid")
IMAGES = ("conv", "max pool", "flatten")


def layer(kind: str, size: tuple[int, ...], width: int) -> tuple[nn.Module, tuple[int, ...]]:
    """A layer for one sample of this size, and the size that it makes of it."""
    match kind:
        case "linear":
            return nn.Linear(size[-1], width), (*size[:-1], width)
        case "conv":
            return nn.Conv2d(size[0], width, 3, padding=1, bias=width % 2 == 0), (width, *size[1:])
        case "max pool":
            return nn.MaxPool2d(2, padding=1), (size[0], size[1] // 2 + 1, size[2] // 2 + 1)
        case "flatten":
            return nn.Flatten(), (torch.Size(size).numel(),)
        case "layer norm":
            return nn.LayerNorm(size[-1]), size
        case "batch norm":
            return (nn.BatchNorm2d if len(size) == 3 else nn.BatchNorm1d)(size[0]), size
    return {"relu": nn.ReLU, "gelu": nn.GELU, "dropout": nn.Dropout, "sigmoid": nn.Sigmoid}[kind](), size


@st.composite
def networks(draw) -> tuple[nn.Sequential, tuple[int, ...]]:
    """A random stack of layers, and the shape of one sample."""
    sizes = st.integers(2, 9)
    sample_shape = size = draw(st.one_of(st.tuples(sizes), st.tuples(st.integers(1, 4), sizes, sizes)))
    layers = []
    for _ in range(draw(st.integers(0, 7))):
        kind = draw(st.sampled_from(ANYWHERE + IMAGES if len(size) == 3 else ANYWHERE))
        new, size = layer(kind, size, draw(st.integers(1, 70)))
        layers.append(new)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(torch.Size(size).numel(), 5)), sample_shape


HOW = st.fixed_dictionaries(
    {
        "optimizer": st.sampled_from(sorted(OPTIMIZERS)),
        "precision": st.sampled_from(["fp32", "bf16"]),
        "accumulate": st.sampled_from([1, 2]),
    }
)


@settings(max_examples=25)
@given(networks(), st.integers(2, 40), HOW)
def test_random_networks_equal_their_real_run(drawn, batch_size, how):
    network, sample_shape = drawn
    batch_size *= how["accumulate"]  # BatchNorm wants two samples in each micro-batch
    ours = trace(network, sample_shape, batch_size, device="cpu", **how)
    assert ours == really(network, sample_shape, batch_size, **how)


@settings(max_examples=15)
@given(networks(), st.integers(2, 100), st.integers(1, 40), HOW, st.sampled_from(["cuda", "cpu"]))
def test_the_peak_never_falls_when_the_batch_grows(drawn, batch_size, more, how, device):
    network, sample_shape = drawn
    few, many = (
        trace(network, sample_shape, size * how["accumulate"], device=device, **how)
        for size in (batch_size, batch_size + more)
    )
    assert few.peak <= many.peak and few.requested < many.requested or few.peak_phase == "step"
    assert few.peak <= many.peak
    assert all(few.peaks[phase] <= many.peaks[phase] for phase in few.peaks)


# ---------------------------------------------------------------------------------------------- nothing is touched


def content(tensor) -> bytes:
    return b"" if tensor.is_meta else tensor.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes()


def picture(network: nn.Module) -> list:
    """Everything about a model that a trace might leave changed; objects themselves where identity counts."""
    tensors = [*network.named_parameters(), *network.named_buffers()]
    seen = [(name, id(t), t._version, t.requires_grad, content(t)) for name, t in tensors]
    seen += [(name, id(p.grad), p.grad is None or content(p.grad)) for name, p in network.named_parameters()]
    seen += [len(p._backward_hooks or ()) for p in network.parameters()]
    for name, module in network.named_modules():
        hooks = [len(value) for key, value in vars(module).items() if key.endswith("_hooks")]
        seen.append((name, id(module), module.training, sorted(vars(module)), hooks))
        assert "forward" not in vars(module)
    return seen


def modes() -> list:
    """Everything global that a trace might leave changed."""
    return [
        torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_cache_enabled(),
        *[f(kind) for kind in ("cpu", "cuda") for f in (torch.is_autocast_enabled, torch.get_autocast_dtype)],
        torch.get_default_dtype(), torch.get_default_device(), torch._C._len_torch_dispatch_stack(),
        torch.are_deterministic_algorithms_enabled(), torch.get_num_threads(),
        bytes(torch.get_rng_state().numpy()), random.getstate(),
        logging.getLogger("torch._subclasses.fake_tensor").level, list(warnings.filters),
    ]  # fmt: skip


def dispatched() -> list:
    """How real tensors go through the operations for which a trace takes CUDA's way."""
    x, q = torch.ones(4, 8, requires_grad=True), torch.ones(1, 1, 4, 8, requires_grad=True)
    target = torch.zeros(4, dtype=torch.int64)
    seen = [F.dropout(x), F.scaled_dot_product_attention(q, q, q), F.layer_norm(x, (8,)), F.cross_entropy(x, target)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = x.bfloat16()
        seen += [F.layer_norm(half, (8,)), half.softmax(1), half.sum(), half.exp(), F.cross_entropy(half, target)]
        seen += [half**2, F.linear(x, x)]
    return [(tensor.grad_fn.name(), tensor.dtype) for tensor in seen]


def with_gradients(network: nn.Module) -> nn.Module:
    for number, parameter in enumerate(network.parameters()):
        if number % 2:
            parameter.grad = torch.full_like(parameter, 0.5)
    return network


@settings(max_examples=25)
@given(networks(), HOW, st.booleans(), st.sampled_from(["cuda", "cpu"]), st.sampled_from([False, True]))
def test_random_networks_are_left_as_they_were(drawn, how, training, device, inference):
    network = with_gradients(drawn[0].train(training))
    before, state = picture(network), modes()
    trace(network, drawn[1], 4, device=device, inference=inference, **how)
    assert picture(network) == before
    assert modes() == state


@pytest.mark.parametrize("how", [{}, {"precision": "fp16"}, {"checkpoint": ["0"]}, {"gpu": "T4", "accumulate": 2}])
def test_the_next_random_numbers_are_the_same(how):
    network = cnn()
    torch.manual_seed(7)
    random.seed(7)
    expected = torch.rand(3).tolist(), random.random()
    torch.manual_seed(7)
    random.seed(7)
    trace(network, (3, 32, 32), 4, **how)
    assert (torch.rand(3).tolist(), random.random()) == expected


def test_real_tensors_take_their_own_way_again():
    """While the corrections hold, they are seen; afterwards, nothing of them is."""
    before = dispatched()
    with FakeTensorMode(), as_on_cuda():
        during = dispatched()
    changed = [a != b for a, b in zip(before, during, strict=True)]
    assert changed == [True, True, False, False] + [True] * 4 + [False, True, False]
    assert dispatched() == before
    trace(cnn(), (3, 32, 32), 4, precision="bf16")
    trace(nn.TransformerEncoderLayer(8, 2, batch_first=True), (4, 8), 4, loss=lambda output, target: output.sum())
    assert dispatched() == before


class Fails(nn.Module):
    """Stops in forward, or only in the run of checkpoint() during backward."""

    def __init__(self, runs: int = 0):
        super().__init__()
        self.runs, self.inner = runs, nn.Linear(10, 10)

    def forward(self, x):
        if self.runs == 0:
            raise KeyError("no such thing")
        self.runs -= 1
        return self.inner(x)


class FailingOptimizer(torch.optim.SGD):
    def step(self, closure=None):
        raise ArithmeticError("lost")


@pytest.mark.parametrize(
    ("last", "how", "told"),
    [
        (Fails(), {}, "layer 7 (Fails) stopped: KeyError"),
        (Fails(), {"precision": "bf16"}, "layer 7 (Fails)"),
        (Fails(runs=1), {"checkpoint": ["7"], "precision": "bf16"}, "layer 7 (Fails)"),
        (Fails(runs=1), {"accumulate": 2}, "layer 7 (Fails)"),
        (nn.Identity(), {"optimizer": FailingOptimizer}, "the optimizer stopped: ArithmeticError: lost."),
        (nn.Identity(), {"loss": lambda output, target: output.sum().item()}, "the loss looks at"),
    ],
    ids=["forward", "autocast", "run again", "second micro-batch", "optimizer", "loss"],
)
@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_nothing_is_touched_when_the_trace_fails(last, how, told, device):
    network = with_gradients(nn.Sequential(*cnn(), last))
    before, state, dispatch = picture(network), modes(), dispatched()
    state = modes()
    assert problem(lambda: trace(network, (3, 32, 32), 8, device=device, **how)).startswith(told)
    assert picture(network) == before
    assert modes() == state
    assert dispatched() == dispatch


@pytest.mark.parametrize(
    "around",
    [
        torch.no_grad,
        torch.inference_mode,
        lambda: torch.autocast("cpu", dtype=torch.bfloat16),
        lambda: torch.autocast("cpu", dtype=torch.float16, cache_enabled=False),
        lambda: torch.device("meta"),
    ],
    ids=["no_grad", "inference_mode", "autocast", "autocast fp16", "device"],
)
@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_it_works_alike_within_other_modes(around, device):
    network = with_gradients(cnn())
    before, plain = picture(network), trace(network, (3, 32, 32), 4, device=device)
    with around():
        state = modes()
        assert trace(network, (3, 32, 32), 4, device=device) == plain
        assert modes() == state
    assert picture(network) == before


def test_it_works_alike_with_another_default_device():
    network = cnn()
    plain = trace(network, (3, 32, 32), 4)
    torch.set_default_device("meta")
    try:
        state = modes()
        assert trace(network, (3, 32, 32), 4) == plain
        assert torch.get_default_device() == torch.device("meta") and modes() == state
    finally:
        torch.set_default_device(None)


def test_nothing_is_said(capfd, caplog):
    trace(cnn(), (3, 32, 32), 4, precision="fp16", checkpoint=["0"])
    problem(lambda: trace(nn.Sequential(Branch()), (4,), 8))
    problem(lambda: trace(nn.Sequential(OwnOperation()), (4,), 8))
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


# -------------------------------------------------------------------------------------------- accumulate, recompute


def test_accumulate_shrinks_what_depends_on_the_batch():
    one, four, small = (
        trace(wide(), (1, 28, 28), b, accumulate=k, device="cpu") for b, k in ((4096, 1), (4096, 4), (1024, 1))
    )
    for name in ("batch", "activations"):
        assert four.most[name] == small.most[name]
        assert one.most[name] == pytest.approx(4 * four.most[name], rel=1e-6)  # but for one number of the loss
    assert four.most["parameters"] == one.most["parameters"]
    assert small.peak <= four.peak < one.peak
    # From the second micro-batch on, forward runs beside the gradients of those before.
    assert max(event.live["gradients"] for event in one.timeline if event.phase == "forward") == 0
    assert max(event.live["gradients"] for event in four.timeline if event.phase == "forward") == 2_678_824
    assert [e.op for e in four.timeline].count("addmm") == 4 * [e.op for e in one.timeline].count("addmm") == 12


def test_a_single_micro_batch_is_the_whole_step():
    assert trace(cnn(), (3, 32, 32), 4, accumulate=1) == trace(cnn(), (3, 32, 32), 4)
    assert trace(cnn(), (3, 32, 32)).batch_size == 32


@pytest.mark.parametrize("names", [True, ["1", "2", "3", "4", "5", "6"]])
def test_checkpoint_keeps_less_and_computes_again(names):
    whole, less = trace(blocks(), (3, 4, 4), 4096), trace(blocks(), (3, 4, 4), 4096, checkpoint=names)

    def activations(t, phase):
        return [event.live["activations"] for event in t.timeline if event.phase == phase]

    assert less.peak < whole.peak
    hidden = 4096 * 96 * 4
    inside = 6 * 2 * hidden  # each block's GELU keeps its input, and the Linear after it the GELU's result
    assert max(activations(whole, "forward")) - max(activations(less, "forward")) == pytest.approx(inside, rel=0.02)
    assert max(activations(less, "backward")) >= max(activations(less, "forward")) + hidden
    again = {event.layer for event in less.timeline if event.phase == "backward" and event.op in ("gelu", "addmm")}
    assert {f"{block}.1 (GELU)" for block in range(1, 7)} <= again
    assert not {e.layer for e in whole.timeline if e.phase == "backward" and e.op in ("gelu", "addmm")}


def test_checkpoint_of_one_block_changes_that_block_alone():
    whole, one = trace(blocks(), (3, 4, 4), 64), trace(blocks(), (3, 4, 4), 64, checkpoint=["3"])
    kept = {row.layer for row in one.saved}
    assert not any(layer.startswith("3.1") for layer in kept) and "2.1 (GELU)" in kept
    assert one.most["activations"] < whole.most["activations"]


def test_inference_keeps_nothing():
    network = cnn()
    t = trace(network, (3, 32, 32), 4, inference=True)
    assert t.saved == () and list(t.peaks) == ["forward"]
    assert [t.most[name] for name in ("gradients", "optimizer state", "activations")] == [0, 0, 0]
    assert t.most["buffers"] == trace(network, (3, 32, 32), 4).most["buffers"] > 0
    assert network.training and network[4].training
    frozen = cnn().requires_grad_(False)
    assert trace(frozen, (3, 32, 32), 4, inference=True).peak == t.peak


def test_eval_mode_is_kept():
    """A model in eval mode is traced in eval mode: dropout keeps no mask."""
    training, evaluating = trace(cnn(), (3, 32, 32), 4), trace(cnn().eval(), (3, 32, 32), 4)
    assert "4 (Dropout)" in {row.layer for row in training.saved}
    assert "4 (Dropout)" not in {row.layer for row in evaluating.saved}


# ------------------------------------------------------------------------------------------- models of other forms


class Two(nn.Module):
    """Two inputs, a dict as output."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(4, 3), nn.Linear(5, 3)

    def forward(self, left, right):
        return {"logits": self.left(left) + self.right(right), "size": left.shape[0]}


def two_loss(output, target=None):
    return output["logits"].sum() if target is None else F.cross_entropy(output["logits"], target)


def test_several_inputs_as_tuple_and_dict():
    left, right, target = torch.zeros(6, 4), torch.zeros(6, 5), torch.zeros(6, dtype=torch.int64)
    as_tuple = trace(Two(), example=((left, right), target), loss=two_loss, device="cpu")
    as_dict = trace(Two(), example=({"left": left, "right": right}, target), loss=two_loss, device="cpu")
    assert as_tuple == as_dict == really(Two(), None, None, example=((left, right), target), loss=two_loss)
    assert as_tuple.batch_size == 6 and as_tuple.most["batch"] == 6 * (4 + 5) * 4 + 6 * 8
    more = trace(Two(), batch_size=60, example=((left, right), target), loss=two_loss, device="cpu")
    assert more.batch_size == 60 and more.most["batch"] == 10 * as_tuple.most["batch"]
    without = trace(Two(), example=((left, right), None), loss=two_loss, device="cpu")
    assert without.most["batch"] == 6 * (4 + 5) * 4


def test_an_example_gives_shapes_only():
    """Also on the meta device, where nothing has bytes; what has no batch axis is not cut."""
    meta = torch.zeros(8, 3, 32, 32, device="meta"), torch.zeros(8, dtype=torch.int64, device="meta")
    assert trace(cnn(), example=meta) == trace(cnn(), (3, 32, 32), 8)
    scale = nn.Bilinear(3, 4, 2)
    t = trace(scale, batch_size=10, example=((torch.zeros(5, 3), torch.zeros(5, 4)), torch.zeros(5, dtype=torch.long)))
    assert t.batch_size == 10


class Tied(nn.Module):
    """A language model in small: what reads the tokens also writes them."""

    def __init__(self, tied: bool = True):
        super().__init__()
        self.embed, self.write = nn.Embedding(50, 16), nn.Linear(16, 50, bias=False)
        if tied:
            self.write.weight = self.embed.weight

    def forward(self, tokens):
        return self.write(self.embed(tokens).mean(1))


@pytest.mark.parametrize("optimizer", STATE)
def test_a_shared_weight_counts_once(optimizer):
    tokens = torch.zeros(4, 7, dtype=torch.int64), torch.zeros(4, dtype=torch.int64)
    tied, apart = (trace(Tied(how), example=tokens, optimizer=optimizer, device="cuda") for how in (True, False))
    weight = rounded(50 * 16 * 4)
    assert (tied.most["parameters"], apart.most["parameters"]) == (weight, 2 * weight)
    assert tied.most["optimizer state"] == STATE[optimizer] * weight
    at_step = [event for event in tied.timeline if event.phase == "step"][0]
    assert at_step.live["gradients"] == weight
    assert trace(Tied(), example=tokens, device="cpu") == really(Tied(), None, None, example=tokens)


@pytest.mark.parametrize("optimizer", STATE)
def test_frozen_layers_have_no_gradient_and_no_state(optimizer):
    network = cnn()
    network[0].requires_grad_(False)
    network[1].requires_grad_(False)
    learning = size_of(network[6].parameters())
    t = trace(network, (3, 32, 32), 4, optimizer=optimizer, device="cpu")
    assert t.most["gradients"] == learning
    assert t.most["optimizer state"] == STATE[optimizer] * learning + (8 if optimizer == "adam" else 0)
    assert t == really(network, (3, 32, 32), 4, optimizer=optimizer)
    assert not [row for row in t.saved if row.layer in ("0 (Conv2d)", "2 (ReLU)")]


def test_a_model_on_the_meta_device_gives_the_same():
    with torch.device("meta"):
        empty = cnn()
    assert trace(empty, (3, 32, 32), 4, precision="bf16") == trace(cnn(), (3, 32, 32), 4, precision="bf16")
    assert all(parameter.is_meta for parameter in empty.parameters())


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_model_in_bf16_takes_two_bytes_a_number(device):
    network = wide().bfloat16()
    t = trace(network, (1, 28, 28), 64, device=device)
    parameters = 2 * sum(p.numel() for p in network.parameters())
    if device == "cuda":
        parameters = sum(rounded(2 * p.numel()) for p in network.parameters())
    assert t.most["parameters"] == t.most["gradients"] == parameters
    assert t.most["optimizer state"] == 2 * parameters + (6 * 4 if device == "cpu" else 0)
    assert t.most["batch"] == 64 * 784 * 2 + 64 * 8
    if device == "cpu":
        assert t.timeline == really(network, (1, 28, 28), 64).timeline


def test_strides_of_a_view_are_not_kept():
    """A weight that is a slice of something larger: a copy on a GPU has the slice's bytes alone."""
    network = nn.Linear(4, 3)
    network.weight = nn.Parameter(torch.zeros(300, 4)[:3])
    assert trace(network, (4,), 8, device="cpu").most["parameters"] == (3 * 4 + 3) * 4


# ---------------------------------------------------------------------------------------------- the largest batch


#: On the CPU with CUDA's optimizer: the bytes of tensors decide alone.
FOREACH = {"device": "cpu", "optimizer": lambda parameters: torch.optim.Adam(parameters, foreach=True)}


@pytest.mark.parametrize(
    "capacity, how",
    [(mib * 2**20, FOREACH) for mib in (13, 14, 64, 1024)] + [(64 * 2**20, {}), (2**30, {}), ("T4", {})],
)
def test_the_largest_batch_fits_and_the_next_does_not(capacity, how):
    found = max_batch(wide(), capacity, (1, 28, 28), **how)
    how = how | ({"gpu": capacity} if isinstance(capacity, str) else {})
    limit = GPUS[capacity].capacity if isinstance(capacity, str) else capacity
    own, more = (trace(wide(), (1, 28, 28), found.exact + more, **how) for more in (0, 1))
    assert own.fits(limit) and not more.fits(limit) and own.peak <= limit
    assert (found.fits, found.too_large, found.capacity) == (own, more, limit)
    if "device" in how:
        assert own.peak <= limit < more.peak and found.refused_by == "allocated"


def test_the_straight_line_is_right_above_the_kink_and_wrong_below():
    above, below = (max_batch(wide(), mib * 2**20, (1, 28, 28), **FOREACH) for mib in (64, 13))
    assert above.exact == above.formula == 5_190 and above.fits.peak_phase == "backward"
    assert above.per_sample == pytest.approx(11_376, rel=1e-5)
    assert below.formula > 6 * below.exact > 0 and below.fits.peak_phase == "step"
    assert "B = 5,190 fits into 64.00 MiB" in above.sentence and "line says 5,190" in above.sentence


def test_segments_cost_a_small_gpu_more_than_a_large_one():
    """PyTorch takes 20 MiB at once for what is below 10 MiB, so it refuses before the straight line does."""
    small, large = (max_batch(wide(), mib * 2**20, (1, 28, 28)) for mib in (64, 4096))
    assert small.exact < 0.9 * small.formula and small.refused_by == "reserved"
    assert "and more reserved than that" in small.sentence
    assert 0.95 * large.formula < large.exact <= large.formula


def test_nothing_fits():
    found = max_batch(wide(), 2**20, (1, 28, 28))
    assert (found.exact, found.formula, found.fits) == (0, 0, None)
    assert found.too_large.batch_size == 1 and found.too_large.peak > 2**20
    said = "Nothing fits into 1.00 MiB: B = 1 needs 12.78 MiB allocated during step."
    assert found.sentence.startswith(said) and found.refused_by == "allocated"


@pytest.mark.parametrize("every", [2, 4, 5])
def test_the_largest_batch_is_cut_into_equal_micro_batches(every):
    found = max_batch(wide(), 64 * 2**20, (1, 28, 28), accumulate=every)
    assert found.exact % every == found.formula % every == 0 and found.formula > 5_190
    own, more = (trace(wide(), (1, 28, 28), found.exact + more, accumulate=every) for more in (0, every))
    assert own.fits(64 * 2**20) and not more.fits(64 * 2**20)


def test_a_gpu_by_name_brings_its_workspace():
    """Until PyTorch 2.14 it stays for good; from 2.15 on it is gone again where this model has its peak."""
    how = {"torch_version": "2.14.0"}
    plain = max_batch(wide(), GPUS["T4"].capacity, (1, 28, 28), **how)
    named = max_batch(wide(), "T4", (1, 28, 28), **how)
    assert named.fits.at_peak["workspace"] > 0 == plain.fits.at_peak["workspace"]
    assert named.exact <= plain.exact and named.formula < plain.formula


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_the_search_finds_any_threshold_from_any_start(threshold, start):
    asked = []

    def fits(number: int) -> bool:
        asked.append(number)
        return number <= threshold

    assert limits._largest(fits, start) == threshold
    assert min(asked) >= 1 and len(asked) < 50


def test_crossover_of_refuses():
    at = any_batch(models.mlp((4,), 5, 3), (4,))
    assert limits.crossover_of(at) == crossover(models.mlp((4,), 5, 3), (4,))
    assert "every is 0" in problem(lambda: limits.crossover_of(at, 0))
    for other in (None, 3, int, at(8), models.mlp()):
        assert "give the function that any_batch" in problem(lambda other=other: limits.crossover_of(other))


def test_max_batch_refuses():
    network = models.mlp()
    assert "leave it out" in problem(lambda: max_batch(network, 2**20, (1, 28, 28), batch_size=4))
    assert "one of 'RTX 3070'" in problem(lambda: max_batch(network, "RTX 9999", (1, 28, 28)))
    for capacity in (0, -1, 1.5, True, None, 10**400):
        assert "capacity is" in problem(lambda capacity=capacity: max_batch(network, capacity, (1, 28, 28)))


# ------------------------------------------------------------------------------------------------- what is refused


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)


class Branch(Layer):
    def forward(self, x):
        return self.inner(x) if x.sum() > 0 else x


class Numbers(Layer):
    def forward(self, x):
        return torch.stack([self.inner(row) * row.tolist()[0] for row in x])


class Chosen(Layer):
    def forward(self, x):
        return self.inner(x[x[:, 0] > 0])


class ThroughNumpy(Layer):
    def forward(self, x):
        return self.inner(torch.from_numpy(x.detach().numpy()))


class ThroughSparse(Layer):
    def forward(self, x):
        return self.inner(x.to_sparse().to_dense())


@torch.library.custom_op("course_tests::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    return x * 2


class OwnOperation(Layer):
    def forward(self, x):
        return self.inner(twice(x))


CANNOT = {
    Branch: ("layer 1 (Branch) looks at the values of a tensor", ".item()", "or watch()"),
    Numbers: ("layer 1 (Numbers) looks at the values of a tensor", "_local_scalar_dense"),
    Chosen: ("in layer 1 (Chosen) the shape of a result depends on the values", "nonzero", "torch.where"),
    ThroughNumpy: ("layer 1 (ThroughNumpy) leaves PyTorch for NumPy", "Use torch functions"),
    ThroughSparse: ("layer 1 (ThroughSparse) makes a sparse tensor", "Use dense tensors"),
    OwnOperation: ("layer 1 (OwnOperation) uses an operation that does not run", "register_fake", "twice"),
}


@pytest.mark.parametrize("device", ["cuda", "cpu"])
@pytest.mark.parametrize("kind", CANNOT)
def test_what_cannot_be_traced_names_the_layer(kind, device):
    network = nn.Sequential(nn.Linear(4, 4), kind(), nn.Linear(4, 3))
    text = problem(lambda: trace(network, (4,), 8, device=device))
    first, *others = CANNOT[kind]
    assert text.startswith(first)
    assert all(part in text for part in others)
    assert "\n" not in text


def test_an_operation_of_your_own_works_with_register_fake():
    @torch.library.custom_op("course_tests::thrice", mutates_args=())
    def thrice(x: torch.Tensor) -> torch.Tensor:
        return x * 3

    thrice.register_fake(torch.empty_like)
    thrice.register_autograd(lambda ctx, grad: grad * 3)

    class Own(Layer):
        def forward(self, x):
            return self.inner(thrice(x))

    network = nn.Sequential(nn.Linear(4, 4), Own())
    assert trace(network, (4,), 8, device="cpu").peak == really(network, (4,), 8).peak


def script() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is on its way out
        return torch.jit.trace(nn.Linear(4, 4), torch.zeros(2, 4))


def quantized() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = nn.Linear(4, 4)
        network.register_buffer("table", torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.qint8))
    return network


def compiled() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # until 2.14 its import uses TorchScript
        return torch.compile(nn.Linear(4, 4))


def with_sparse_buffer() -> nn.Module:
    network = nn.Linear(4, 4)
    network.register_buffer("mask", torch.eye(4).to_sparse())
    return network


BEFOREHAND = {
    "lazy": (lambda: nn.LazyLinear(3), "1 (LazyLinear) does not know its sizes yet; run one batch"),
    "sparse gradient": (lambda: nn.Embedding(4, 3, sparse=True), "1 (Embedding) has sparse=True"),
    "sparse buffer": (with_sparse_buffer, "mask of 1 (Linear) is of layout torch.sparse_coo; only dense"),
    "quantized": (quantized, "table of 1 (Linear) is quantized; only dense"),
    "TorchScript": (script, "1 (TopLevelTracedModule) is TorchScript"),
    "compiled": (compiled, "1 (OptimizedModule) is compiled; give the model as it was"),
}


@pytest.mark.parametrize("name", BEFOREHAND)
def test_what_is_refused_beforehand(name):
    build, expected = BEFOREHAND[name]
    network = nn.Sequential(nn.Identity(), build())
    assert expected in problem(lambda: trace(network, (4,), 8))


BAD = {
    "no shape": ({"sample_shape": None}, "neither was given"),
    "both": ({"example": (torch.zeros(2, 4), None)}, "both were given"),
    "shape": ({"sample_shape": 4}, "sample_shape is 4; give one sample's shape"),
    "empty shape": ({"sample_shape": ()}, "sample_shape is ()"),
    "size": ({"sample_shape": (4, 0)}, "each size in sample_shape is 0"),
    "batch 0": ({"batch_size": 0}, "batch_size is 0"),
    "batch 2.5": ({"batch_size": 2.5}, "batch_size is 2.5 (float)"),
    "unknown": ({"colour": 3}, "there is no setting 'colour'; allowed are loss, optimizer, precision, accumulate, "),
    "no such size": (
        {"sample_shape": (2**40, 2**40)},
        "a batch of shape (32, 1099511627776, 1099511627776) has",
    ),
    "no such batch": (
        {"batch_size": 2**62},
        "a batch of shape (4611686018427387904, 4) has more bytes",
    ),
    "loss": ({"loss": 3}, "loss is 3; give a function"),
    "loss of many": ({"loss": lambda output, target: output}, "the loss is a tensor (32, 3); backward() needs one"),
    "loss of nothing": ({"loss": lambda output, target: None}, "the loss is a NoneType"),
    "loss apart": ({"loss": lambda output, target: target.sum()}, "that depends on the model"),
    "optimizer": ({"optimizer": "lion"}, "optimizer is 'lion'; allowed is one of 'sgd'"),
    "no optimizer": ({"optimizer": lambda parameters: 3}, "the function given as optimizer returned int"),
    "LBFGS": ({"optimizer": torch.optim.LBFGS}, "the optimizer wants a closure"),
    "precision": ({"precision": "fp8"}, "precision is 'fp8'"),
    "accumulate": ({"batch_size": 10, "accumulate": 4}, "cannot be cut into accumulate=4 equal micro-batches"),
    "accumulate 0": ({"accumulate": 0}, "accumulate is 0"),
    "accumulate without end": ({"accumulate": 2**40}, "allowed is a whole number from 1 to 1,024"),
    "inference": ({"inference": "no"}, "inference is 'no'; allowed is True or False"),
    "inference as a tensor": ({"inference": torch.ones(3)}, "allowed is True or False"),
    "checkpoint of numbers": ({"checkpoint": [3]}, "checkpoint is [3]; allowed is True, False or a list of names"),
    "checkpoint": ({"checkpoint": "1"}, "checkpoint is '1'; allowed is True, False or a list"),
    "no blocks": ({"checkpoint": True}, "checkpoint=True looks for blocks"),
    "no such block": ({"checkpoint": ["7"]}, "checkpoint names '7', which this model does not have"),
    "empty checkpoint": ({"checkpoint": [""]}, "checkpoint names ''"),
    "gpu": ({"gpu": "GTX"}, "gpu is 'GTX'; allowed is one of 'RTX 3070'"),
    "device": ({"device": "mps"}, "device is 'mps'; allowed is one of 'cuda', 'cpu'"),
    "example": ({"sample_shape": None, "example": torch.zeros(3)}, "example is a Tensor; give two things"),
    "example of numbers": ({"sample_shape": None, "example": (3, 4)}, "Given: int and int"),
    "wrong shape": ({"sample_shape": (5,)}, "layer 0 (Linear) stopped: RuntimeError"),
}


WITH_SETTINGS = {
    "trace": trace,
    "measure": measure,
    "any_batch": any_batch,
    "crossover": crossover,
    "max_batch": lambda network, sample_shape, **how: max_batch(network, 2**30, sample_shape, **how),
}


@pytest.mark.parametrize("name", WITH_SETTINGS)
def test_every_door_knows_the_same_settings_and_refuses_others(name):
    def ask(**how):
        return problem(lambda: WITH_SETTINGS[name](models.mlp((4,), 5, 3), (4,), **how))

    assert ask(colour=3).startswith("there is no setting 'colour'; allowed are loss, optimizer, precision, accumulate,")
    assert "optimizer is 'lion'" in ask(optimizer="lion")
    assert "accumulate is 1,099,511,627,776; allowed is a whole number from 1 to 1,024" in ask(accumulate=2**40)
    shown = signature(getattr(memory, name)).parameters
    assert [one for one in shown if shown[one].kind is Parameter.KEYWORD_ONLY] == list(SETTINGS)


@pytest.mark.parametrize("how", [{"gpu": "T4"}, {"device": "cpu"}])
def test_measure_takes_the_machine_as_it_is(how):
    assert "is what measure() runs on, the current CUDA GPU; leave it out" in problem(
        lambda: measure(models.mlp(), (1, 28, 28), **how)
    )


@pytest.mark.parametrize("name", BAD)
def test_bad_settings_are_refused(name):
    how, expected = BAD[name]
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3))
    assert expected in problem(lambda: trace(network, **({"sample_shape": (4,)} | how)))


def test_other_refusals():
    assert problem(lambda: trace(3, (4,))).startswith("model is a int; give a torch.nn.Module")
    frozen = nn.Linear(4, 3).requires_grad_(False)
    assert "no parameter of the model asks for a gradient" in problem(lambda: trace(frozen, (4,)))
    locked = nn.Linear(4, 3)
    locked.generator = (number for number in range(3))
    assert "cannot be copied" in problem(lambda: trace(locked, (4,)))


# ------------------------------------------------------------------------------------- watch, measure, and no bytes


def test_watch_finds_a_list_of_losses_that_keeps_every_graph():
    network, x, y = models.mlp(), torch.zeros(64, 1, 28, 28), torch.zeros(64, dtype=torch.int64)
    with watch() as book:
        kept, after = [], []
        for _ in range(4):
            kept.append(F.cross_entropy(network(x), y))
            after.append(book.bytes)
        hidden, log_softmax, loss_and_weight = 64 * 128 * 4, 64 * 10 * 4, 4 + 4
        assert {b - a for a, b in zip(after, after[1:], strict=False)} == {hidden + log_softmax + loss_and_weight}
        kept.clear()
        assert book.bytes == 0  # what was there before, the model and the batch, is not counted


def test_watch_takes_no_more_room_however_many_steps_it_sees():
    network, x, y = models.mlp(), torch.zeros(64, 1, 28, 28), torch.zeros(64, dtype=torch.int64)

    def steps(count: int) -> None:
        for _ in range(count):
            F.cross_entropy(network(x), y).backward()
            network.zero_grad()

    with watch() as book:
        steps(20)
        tracemalloc.start()
        steps(200)
        gc.collect()
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert grown < 200 * 1000  # bytes; a log takes 13,600 a step
    assert book.bytes == 0 < book.peak


HERE, THERE = torch.device("cpu"), torch.device("cuda", 1)
DEVICES = {
    None: (HERE, THERE), "cpu": (HERE,), "cpu:0": (HERE,), HERE: (HERE,), "cuda": (THERE,), "cuda:1": (THERE,),
    THERE: (THERE,), "cuda:0": (),
}  # fmt: skip


@pytest.mark.parametrize("device", DEVICES, ids=repr)
def test_watch_counts_the_device_that_is_named(device):
    with watch(device) as book:
        tensor = torch.zeros(100)
    assert book.bytes == (tensor.nbytes if HERE in DEVICES[device] else 0)
    mode, book = FakeTensorMode(), watch(device)
    fakes = [FakeTensor(mode, torch.empty(25, device="meta"), at) for at in (HERE, THERE)]
    for fake in fakes:
        book.see(fake)
    assert book.bytes == 100 * len(DEVICES[device])


@pytest.mark.parametrize("device", ["gpu", "", "cuda:x", "cuda:-1", 0, 3.5, True, [], torch.zeros(3)], ids=repr)
def test_watch_refuses_what_is_no_device(device):
    assert "allowed is the name of a device" in problem(lambda: watch(device))


def test_watch_counts_back_to_nothing():
    network = models.mlp()
    with watch() as book:
        for _ in range(3):
            loss = F.cross_entropy(network(torch.zeros(64, 1, 28, 28)), torch.zeros(64, dtype=torch.int64))
            numbers = [loss.item()]
            assert book.bytes > 64 * 784 * 4
            del loss
            assert book.bytes == 0 and numbers
        view = torch.zeros(100)[:3]
        assert book.bytes == 400  # a view keeps all that it looks at
        view.untyped_storage().resize_(12)
        view.add_(1)
        assert book.bytes == 12
        del view
    assert book.bytes == 0 and len(book.alive) == 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_measure_says_that_it_needs_a_gpu():
    text = problem(lambda: measure(models.mlp(), (1, 28, 28)))
    assert "measure() needs a CUDA GPU" in text and "trace() predicts the same record" in text


@pytest.mark.parametrize(
    ("build", "sample_shape", "parameters"),
    [
        ("nn.Sequential(*[nn.Linear(50_000, 50_000) for _ in range(4)])", (50_000,), 4 * (50_000**2 + 50_000)),
        ("torchvision.models.resnet152()", (3, 224, 224), 60_192_808),
    ],
    ids=["10 billion parameters", "resnet152"],
)
def test_nothing_of_the_models_size_is_allocated(build, sample_shape, parameters):
    pytest.importorskip("resource", reason="only on Linux and macOS")
    code = f"""
import resource, sys, torch, torchvision
from torch import nn
from helpers.memory import trace
def most():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
with torch.device("meta"):
    model = {build}
trace(nn.Linear(3, 3), (3,))
before = most()
t = trace(model, {sample_shape}, 4096)
print(t.most["parameters"], t.peak, most() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    predicted, peak, grown = (int(number) for number in done.stdout.split())
    assert 0 <= predicted - 4 * parameters < 512 * 1000
    assert peak > 160 * 2**30
    assert grown < 300 * 2**20
