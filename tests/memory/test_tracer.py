"""The tracer on its own ground: against PyTorch's tracker, against real runs, against arithmetic by hand."""

import copy
import json
import logging
import random
import warnings
from functools import cache

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from tools import STATE, blocks, cnn, problem, really, size_of, wide
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from helpers import models
from helpers.memory import CATEGORIES, trace, tracer
from helpers.memory.as_cuda import as_on_cuda
from helpers.memory.gpus import rounded
from helpers.memory.records import Category
from helpers.memory.step import OPTIMIZERS

pytestmark = pytest.mark.filterwarnings("error")  # a trace warns of nothing

BATCH = 2


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


# -------------------------------------------------------------------------------------- against PyTorch's own tracker


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
# The real run is compared for all of them; the tracker, which counts the same, with one optimizer for each large model.
TRACKED = [(name, optimizer) for name, optimizer in PAIRS if name in SMALL or optimizer == SLOW.get(name, "adam")]


@pytest.mark.parametrize(("name", "optimizer"), TRACKED)
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


# ------------------------------------------------------------------------------------------------- against a real run


@pytest.mark.parametrize(("name", "optimizer"), REAL)
def test_peak_and_timeline_equal_a_real_run(name, optimizer):
    ours, real = traced(name, optimizer), really(model(name), MODELS[name][1], BATCH, optimizer=optimizer)
    assert (ours.peak, ours.at_peak, ours.peak_phase) == (real.peak, real.at_peak, real.peak_phase)
    assert (ours.peak_layer, ours.peak_op) == (real.peak_layer, real.peak_op)
    assert ours == real


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


# ---------------------------------------------------------------------------------------------------- the bookkeeping


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


# ---------------------------------------------------------------------------------------------- random small networks

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


# ------------------------------------------------------------------------------------------------- nothing is touched


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
