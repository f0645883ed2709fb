"""What the tracer corrects for CUDA: each correction has a test that fails without it, none needs a GPU."""

import json
import subprocess
import sys
import warnings

import pytest
import torch
from tools import problem
from torch import nn
from torch.nn import functional as F

from helpers.folders import ROOT
from helpers.memory import trace
from helpers.memory.as_cuda import CORRECTIONS, as_on_cuda
from helpers.memory.gpus import rounded

pytestmark = pytest.mark.filterwarnings("error")


def mlp() -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )


def kept(t, layer: str) -> list[tuple]:
    """What a layer keeps on its own account: shape, dtype, bytes."""
    return [(row.shape, row.dtype, row.bytes) for row in t.saved if row.layer == layer and not row.shared_with]


def steps(t, category: str) -> int:
    """The most bytes of a category during step()."""
    return max(event.live[category] for event in t.timeline if event.phase == "step")


# ------------------------------------------------------------------------------------------------------- rounding


def test_every_storage_is_rounded_on_its_own():
    network = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2))  # 60, 20, 40 and 8 bytes
    on_cuda, on_cpu = trace(network, (3,), 4), trace(network, (3,), 4, device="cpu")
    assert (on_cuda.most["parameters"], on_cpu.most["parameters"]) == (4 * 512, 128)
    assert on_cuda.most["optimizer state"] == 2 * 4 * 512
    assert all(size % 512 == 0 for event in on_cuda.timeline for size in event.live.values())
    assert on_cuda.requested < 2 * on_cpu.peak < on_cuda.peak


# ------------------------------------------------------------------------------------------------------ optimizers


def test_foreach_borrows_one_parameter_set_and_the_loop_two_of_the_largest_layer():
    how = {"default": "adam", "foreach": True, "loop": False}
    t = {
        name: trace(mlp(), (1, 28, 28), 2, optimizer=value if value == "adam" else
                    lambda p, value=value: torch.optim.Adam(p, foreach=value))
        for name, value in how.items()
    }  # fmt: skip
    fused = trace(mlp(), (1, 28, 28), 2, optimizer=lambda p: torch.optim.Adam(p, fused=True))
    held = 2 * 512  # logits and loss
    parameters = t["default"].most["parameters"]
    assert steps(t["default"], "temporaries") == steps(t["foreach"], "temporaries") == parameters + held
    assert steps(t["loop"], "temporaries") == 2 * rounded(784 * 512 * 4) + held
    assert steps(fused, "temporaries") == held
    assert any(event.op.startswith("_foreach") for event in t["default"].timeline)
    assert not any(event.op.startswith("_foreach") for event in t["loop"].timeline)
    names = {name: {c.name for c in each.corrections} for name, each in t.items()}
    assert "foreach optimizer" in names["default"] and "foreach optimizer" not in names["loop"]


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "adamw", torch.optim.RMSprop, torch.optim.Adagrad])
def test_the_choice_of_foreach_is_made_for_every_optimizer_that_has_one(optimizer):
    assert any(e.op.startswith("_foreach") for e in trace(mlp(), (1, 28, 28), 2, optimizer=optimizer).timeline)
    on_cpu = trace(mlp(), (1, 28, 28), 2, optimizer=optimizer, device="cpu")
    assert not any(event.op.startswith("_foreach") for event in on_cpu.timeline)


def test_step_counters_stay_on_the_host_unless_fused_or_capturable():
    parameters = trace(mlp(), (1, 28, 28), 2).most["parameters"]
    assert trace(mlp(), (1, 28, 28), 2).most["optimizer state"] == 2 * parameters
    assert trace(mlp(), (1, 28, 28), 2, device="cpu").most["optimizer state"] == 2 * 4 * 669_706 + 6 * 4
    for how in ({"fused": True}, {"fused": True, "amsgrad": True}):
        t = trace(mlp(), (1, 28, 28), 2, optimizer=lambda p, how=how: torch.optim.Adam(p, **how))
        assert t.most["optimizer state"] == (2 + how.get("amsgrad", 0)) * parameters + 6 * 512


# -------------------------------------------------------------------------------------------------------- dropout


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_dropout_keeps_one_byte_a_number(precision):
    network = nn.Sequential(nn.Linear(20, 100), nn.Dropout(0.3), nn.Linear(100, 10))
    on_cuda = trace(network, (20,), 8, precision=precision)
    assert kept(on_cuda, "1 (Dropout)") == [((8, 100), "bool", 800)]
    (mask,) = [row for row in on_cuda.saved if row.layer == "1 (Dropout)"]
    assert mask.tensor == "mask"
    on_cpu = kept(trace(network, (20,), 8, precision=precision, device="cpu"), "1 (Dropout)")
    assert [size for _, _, size in on_cpu] == [3200 if precision == "fp32" else 1600]


@pytest.mark.parametrize(("chance", "mode"), [(0.0, True), (0.5, False), (1.0, True)])
def test_dropout_that_drops_nothing_or_all_keeps_no_mask(chance, mode):
    network = nn.Sequential(nn.Linear(20, 100), nn.Dropout(chance), nn.Linear(100, 10)).train(mode)
    t = trace(network, (20,), 8)
    assert not any(row.dtype == "bool" for row in t.saved)
    assert "dropout mask" not in {correction.name for correction in t.corrections}


# ------------------------------------------------------------------------------------------------------ BatchNorm


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_batchnorm_keeps_its_statistics_in_float32(precision):
    network = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.Flatten(), nn.Linear(16 * 36, 10))
    rows = kept(trace(network, (3, 8, 8), 4, precision=precision), "1 (BatchNorm2d)")
    assert [size for shape, _, size in rows if shape == (16,)] == [16 * 4, 16 * 4]
    half = network.bfloat16()
    rows = kept(trace(half, (3, 8, 8), 4), "1 (BatchNorm2d)")
    assert [size for shape, _, size in rows if shape == (16,)] == [16 * 4, 16 * 4]
    rows = kept(trace(half, (3, 8, 8), 4, device="cpu"), "1 (BatchNorm2d)")
    assert [size for shape, _, size in rows if shape == (16,)] == [16 * 2, 16 * 2]


# ------------------------------------------------------------------------------------------------------- autocast


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", "bfloat16"), ("fp16", "float16")])
def test_autocast_computes_layer_norm_and_the_loss_in_float32(precision, dtype):
    network = nn.Sequential(nn.Linear(20, 64), nn.LayerNorm(64), nn.Linear(64, 10))
    on_cuda = trace(network, (20,), 8, precision=precision)
    assert kept(on_cuda, "1 (LayerNorm)") == [
        ((8, 64), "float32", 2048), ((8, 1), "float32", 32), ((8, 1), "float32", 32),
    ]  # fmt: skip
    # cross_entropy is not on a list of CUDA's: log_softmax makes float32 of 16 bit, nll_loss a float32 copy.
    loss = kept(on_cuda, "loss")
    assert {size for shape, _, size in loss if shape == (8, 10)} <= {160, 320}
    assert ((8, 10), "float32", 320) in loss
    assert {row.tensor for row in on_cuda.saved if row.layer == "2 (Linear)"} == {
        f"{dtype} copy of input", f"{dtype} copy of weight",
    }  # fmt: skip
    on_cpu = trace(network, (20,), 8, precision=precision, device="cpu")
    assert kept(on_cpu, "1 (LayerNorm)")[0] != kept(on_cuda, "1 (LayerNorm)")[0]
    assert kept(on_cpu, "loss") != loss


class Does(nn.Module):
    """Linear, then one operation."""

    def __init__(self, operation):
        super().__init__()
        self.inner, self.operation = nn.Linear(16, 16), operation

    def forward(self, x):
        return {"result": self.operation(self.inner(x))}


def widened(operation, device: str) -> bool:
    """Whether the operation's result is float32 under autocast in bf16."""
    seen = []

    def loss(output):
        seen.append(output["result"].dtype)
        return output["result"].sum()

    trace(Does(operation), example=(torch.zeros(4, 16), None), loss=loss, precision="bf16", device=device)
    return seen[-1] is torch.float32


@pytest.mark.parametrize(
    "operation",
    [
        torch.exp, torch.expm1, torch.rsqrt, torch.reciprocal, torch.log1p, F.softplus,
        lambda x: x.softmax(-1), lambda x: F.log_softmax(x, -1), lambda x: x**2, lambda x: 2**x, lambda x: x.sum(),
        lambda x: x.sum(1), lambda x: x.cumsum(1), lambda x: x.norm(), lambda x: x.logsumexp(1),
        lambda x: F.layer_norm(x, (16,)), lambda x: F.group_norm(x, 4),
        lambda x: F.interpolate(x.reshape(1, 4, 4, 4), scale_factor=2.0),
    ],
    ids=["exp", "expm1", "rsqrt", "reciprocal", "log1p", "softplus", "softmax", "log_softmax", "pow", "rpow", "sum",
         "sum of an axis", "cumsum", "norm", "logsumexp", "layer_norm", "group_norm", "interpolate"],
)  # fmt: skip
def test_operations_that_cuda_computes_in_float32(operation):
    assert widened(operation, "cuda")
    assert not widened(operation, "cpu")


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: x.relu(), F.gelu, lambda x: x + x, lambda x: x.mean(), lambda x: F.dropout(x, 0.5),
        lambda x: F.adaptive_avg_pool3d(x.reshape(1, 4, 4, 4), 2), lambda x: F.pad(x, (1, 1), mode="reflect"),
        lambda x: x.softmax(-1, dtype=torch.bfloat16),
    ],
    ids=["relu", "gelu", "add", "mean", "dropout", "adaptive pooling", "reflect", "softmax with a dtype"],
)  # fmt: skip
def test_operations_that_cuda_leaves_in_16_bit(operation):
    assert not widened(operation, "cuda")


UNPROBED = {
    "are for tensors on CUDA only, which a trace has not": {
        "_cudnn_rnn", "_thnn_fused_gru_cell", "_thnn_fused_lstm_cell", "cudnn_convolution",
        "cudnn_convolution_transpose",
    },
    "ask for a driver": {"fake_quantize_per_tensor_affine", "geqrf", "polar", "view_as_complex"},
    "have a shape that depends on values, so no trace": {"ctc_loss.IntList", "ctc_loss.Tensor", "linalg_lstsq"},
}  # fmt: skip


@pytest.fixture(scope="module")
def probed():
    """In a process of its own: on some builds, fake CUDA tensors without a GPU end the process."""
    probe = ROOT / "tests" / "memory" / "autocast_probe.py"
    done = subprocess.run([sys.executable, probe], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(not torch.backends.cuda.is_built(), reason="a build of PyTorch without CUDA has no CUDA dispatch")
def test_every_operation_that_autocast_touches_gives_the_dtypes_of_cudas_own(probed):
    """All that have a kernel for one of the two autocasts, so that a new PyTorch cannot drift away unseen."""
    found, unknown = probed
    excused = set().union(*UNPROBED.values())
    assert set(unknown) <= excused
    different = {
        name: (theirs, ours)
        for name, (theirs, ours) in found.items()
        if theirs != ours and name.partition(" ")[0] not in {*excused, "binary_cross_entropy"}
    }
    assert different == {}
    answered = {name.partition(" ")[0] for name, (theirs, _) in found.items() if isinstance(theirs, list)}
    assert len(answered) > 180
    assert answered >= {"_upsample_nearest_exact2d", "_upsample_bilinear2d_aa", "grid_sampler", "max_unpool2d"}
    banned = [theirs for name, (theirs, _) in found.items() if name.startswith("binary_cross_entropy (")]
    assert banned and all("unsafe to autocast" in theirs for theirs in banned)


@pytest.mark.parametrize(
    ("operation", "dtype"),
    [
        (lambda x: F.interpolate(x.reshape(1, 4, 4, 4), scale_factor=2.0, mode="nearest-exact"), torch.float32),
        (lambda x: F.interpolate(x.reshape(1, 4, 4, 4), scale_factor=2.0, mode="bilinear", antialias=True),
         torch.float32),
        (lambda x: F.grid_sample(x.reshape(1, 4, 4, 4), x.reshape(1, 4, 8, 2), align_corners=False), torch.bfloat16),
        (lambda x: F.grid_sample(x.reshape(1, 4, 4, 4), torch.zeros(1, 4, 8, 2), align_corners=False), torch.float32),
        (lambda x: F.max_unpool2d(*F.max_pool2d(x.reshape(1, 4, 4, 4), 2, return_indices=True), 2), torch.bfloat16),
        (lambda x: F.fractional_max_pool2d(x.reshape(1, 4, 4, 4), 2, 2), torch.bfloat16),
    ],
    ids=["nearest-exact", "antialias", "grid_sample", "grid_sample to the widest", "max_unpool2d",
         "fractional_max_pool2d"],
)  # fmt: skip
def test_operations_of_vision_that_only_one_autocast_touches(operation, dtype):
    assert widened(operation, "cuda") == (dtype is torch.float32)


def test_binary_cross_entropy_is_refused_under_autocast_as_cuda_does():
    network, example = nn.Sequential(nn.Linear(8, 1), nn.Sigmoid()), (torch.zeros(4, 8), torch.zeros(4, 1))
    said = problem(lambda: trace(network, example=example, loss=nn.BCELoss(), precision="bf16"))
    assert "binary_cross_entropy_with_logits" in said
    assert trace(network, example=example, loss=nn.BCELoss()).peak
    assert trace(network, example=example, loss=nn.BCELoss(), precision="bf16", device="cpu").peak


# ------------------------------------------------------------------------------------------------------ attention


class Attention(nn.Module):
    """Query, key and value from one batch of sequences."""

    def __init__(self, heads: int = 2, width: int = 8, mask: bool = False):
        super().__init__()
        self.heads, self.width, self.mask = heads, width, mask
        self.project = nn.Linear(heads * width, 3 * heads * width)

    def forward(self, x):
        B, L, _ = x.shape
        q, k, v = self.project(x).view(B, L, 3, self.heads, self.width).permute(2, 0, 3, 1, 4)
        mask = torch.ones(L, L, dtype=torch.bool) if self.mask else None
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def attend(length: int = 50, width: int = 8, mask: bool = False, **how):
    network = nn.Sequential(Attention(2, width, mask))
    batch = torch.zeros(3, length, 2 * width), None
    return trace(network, example=batch, loss=lambda output: output.sum(), **how)


def logsumexps(t) -> list[tuple]:
    return [(row.shape, row.dtype) for row in t.saved if len(row.shape) == 3 and row.shape[:2] == (3, 2)]


def names(t) -> set[str]:
    return {correction.name for correction in t.corrections}


def test_attention_in_float32_takes_the_memory_efficient_kernel():
    """Its logsumexp is padded to a multiple of 32; nothing of size length x length is kept."""
    t = attend(50)
    assert logsumexps(t) == [((3, 2, 64), "float32")]
    assert logsumexps(attend(64)) == [((3, 2, 64), "float32")]
    assert not any(row.shape[-2:] == (50, 50) for row in t.saved if len(row.shape) > 1)
    assert "attention kernel" in names(t) and "attention kernel" not in names(attend(50, device="cpu"))
    assert "_scaled_dot_product_efficient_attention" in {event.op for event in t.timeline}


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_attention_in_16_bit_takes_flash_from_ampere_on(precision):
    for gpu in (None, "A100 40 GB", "H100"):
        assert logsumexps(attend(50, precision=precision, gpu=gpu)) == [((3, 2, 50), "float32")]
    before_ampere = {"fp16": [((3, 2, 64), "float32")], "bf16": []}  # the memory-efficient kernel; none takes bfloat16
    assert logsumexps(attend(50, precision=precision, gpu="T4")) == before_ampere[precision]


def test_attention_that_the_fused_kernels_refuse():
    """A width that is no multiple of 4: the scores, length x length, are kept. A mask is none of the reasons."""
    odd, masked = attend(50, width=6), attend(50, mask=True)
    assert any(row.shape[-2:] == (50, 50) for row in odd.saved) and not logsumexps(odd)
    assert logsumexps(masked) == [((3, 2, 64), "float32")]
    assert "attention kernel" in names(odd) & names(masked)


def test_the_layers_of_torch_take_the_kernel_too():
    network = nn.TransformerEncoderLayer(16, 2, batch_first=True, dropout=0.0)
    batch = torch.zeros(3, 50, 16), None
    t = trace(network, example=batch, loss=lambda output: output.sum())
    assert "attention kernel" in names(t) and logsumexps(t) == [((3, 2, 64), "float32")]


# ----------------------------------------------------------------------------------------------------------- LSTM


@pytest.mark.parametrize(
    "how",
    [{}, {"batch_first": True}, {"bias": False}, {"num_layers": 3}, {"bidirectional": True, "num_layers": 2},
     {"proj_size": 3, "batch_first": True}, {"proj_size": 3, "bias": False, "bidirectional": True}],
    ids=str,
)  # fmt: skip
def test_an_lstm_without_onednn_computes_what_pytorchs_does(how):
    """In numbers, for the state that it starts from too; and no step is hidden in a kernel of the CPU's."""
    network = nn.LSTM(6, 5, **how)
    x = torch.randn(4, 7, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch tells once that oneDNN knows no projections
        output, state = network(x)
        again = network(x, state)
    with as_on_cuda():
        torch.testing.assert_close(network(x), (output, state))
        torch.testing.assert_close(network(x, state), again)
    ops = {event.op for event in trace(network, (7, 6), 4, loss=lambda output, target: output[0].sum()).timeline}
    assert "mul" in ops and "mkldnn_rnn_layer" not in ops


# ---------------------------------------------------------------------------------------------- what is reported

DROPS = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Dropout())
NORMS = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 26 * 26, 10))


@pytest.mark.parametrize(
    ("network", "how", "expected"),
    [
        (mlp(), {"optimizer": "sgd"}, {"rounding", "foreach optimizer"}),
        (mlp(), {}, {"rounding", "foreach optimizer", "numbers on the host"}),
        (mlp(), {"inference": True}, {"rounding"}),
        (mlp(), {"optimizer": lambda p: torch.optim.SGD(p, foreach=False)}, {"rounding"}),
        (mlp(), {"inference": True, "gpu": "T4"}, {"rounding", "cuBLAS workspace"}),
        (DROPS, {"optimizer": "sgd"}, {"rounding", "foreach optimizer", "dropout mask"}),
        (DROPS, {"inference": True}, {"rounding"}),
        (NORMS, {"optimizer": "sgd"}, {"rounding", "foreach optimizer", "cuDNN BatchNorm"}),
        (NORMS, {"inference": True}, {"rounding"}),
        (mlp(), {"optimizer": "sgd", "precision": "bf16"}, {"rounding", "foreach optimizer", "autocast lists"}),
        (mlp(), {"device": "cpu"}, set()),
        (DROPS, {"device": "cpu", "precision": "bf16"}, set()),
    ],
    ids=["sgd", "adam", "inference", "loop", "workspace", "dropout", "dropout off", "batchnorm", "batchnorm off",
         "autocast", "cpu", "cpu autocast"],
)  # fmt: skip
def test_the_record_lists_the_corrections_it_needed(network, how, expected):
    t = trace(network, (1, 28, 28), 4, **how)
    assert names(t) == expected
    assert all(CORRECTIONS[c.name] is c and c.source and c.what for c in t.corrections)


def test_notes_say_what_is_left_out():
    assert "inside a convolution" in trace(NORMS, (1, 28, 28), 4).notes[0]
    assert trace(mlp(), (1, 28, 28), 4).notes == ()
    recurrent = nn.Sequential(nn.Flatten(1, 2), nn.LSTM(28, 8, batch_first=True))
    t = trace(recurrent, (1, 28, 28), 4, loss=lambda output, target: output[0].sum())
    assert any("LSTM" in note for note in t.notes)


# ---------------------------------------------------------------------- against CUDA's own dispatch, without a GPU

DISPATCH = '''
import copy, json, sys, torch, torchvision
from collections import Counter
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F
from helpers.memory import trace

def on_cuda(model, sample_shape, batch_size, dtype):
    """Bytes that autograd keeps of a forward pass on fake CUDA tensors: PyTorch's own CUDA dispatch, no GPU."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        twins = {}
        for tensor in (*model.parameters(), *model.buffers()):
            twin = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cuda")
            twins[id(tensor)] = nn.Parameter(twin) if isinstance(tensor, nn.Parameter) else twin
        twin = copy.deepcopy(model, twins)
        x = torch.zeros(batch_size, *sample_shape, device="cuda")
        y = torch.zeros(batch_size, dtype=torch.int64, device="cuda")
        known = {t.untyped_storage()._cdata for t in (*twin.parameters(), *twin.buffers(), x, y)}
        kept = {}
        def pack(tensor):
            storage = tensor.untyped_storage()
            if tensor.device.type == "cuda" and storage._cdata not in known:
                kept[storage._cdata] = storage
            return tensor
        if dtype:  # torch.autocast("cuda") turns itself off where there is no GPU
            torch.set_autocast_enabled("cuda", True)
            torch.set_autocast_dtype("cuda", dtype)
            torch.autocast_increment_nesting()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = F.cross_entropy(twin(x), y)
        if dtype:
            torch.autocast_decrement_nesting()
            torch.clear_autocast_cache()
            torch.set_autocast_enabled("cuda", False)
        return sorted(storage.nbytes() for storage in kept.values() if storage.nbytes())

cnn = nn.Sequential(
    nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.2), nn.Flatten(),
    nn.Linear(8 * 15 * 15, 16), nn.LayerNorm(16), nn.GELU(), nn.Softmax(-1), nn.Linear(16, 10),
)
models = {"cnn": (cnn, (3, 32, 32))}
for name in ("resnet18", "mobilenet_v2", "swin_t"):
    models[name] = getattr(torchvision.models, name)(), (3, 64, 64)
found = {}
for name, precision in json.loads(sys.argv[1]):
    for (model, shape), dtype in [(models[name], {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision))]:
        ours = {
            device: sorted(r.bytes for r in trace(model, shape, 2, precision=precision, device=device).saved
                           if not r.shared_with)
            for device in (("cuda", "cpu") if name == "cnn" else ("cuda",))
        }
        found[name + " " + precision] = [on_cuda(model, shape, 2, dtype), ours["cuda"], ours.get("cpu")]
print(json.dumps(found))
'''

CASES = [(name, precision) for name in ("cnn", "resnet18") for precision in ("fp32", "bf16", "fp16")]
CASES += [("mobilenet_v2", "fp32"), ("mobilenet_v2", "bf16"), ("swin_t", "fp32"), ("swin_t", "bf16")]


@pytest.fixture(scope="module")
def dispatched():
    """In a process of its own: on some builds, fake CUDA tensors without a GPU end the process."""
    done = subprocess.run([sys.executable, "-c", DISPATCH, json.dumps(CASES)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(not torch.backends.cuda.is_built(), reason="a build of PyTorch without CUDA has no CUDA dispatch")
@pytest.mark.parametrize(("name", "precision"), CASES)
def test_what_is_kept_equals_cudas_own_dispatch(name, precision, dispatched):
    """Storage by storage; without the corrections, as on the CPU, it does not."""
    theirs, ours, uncorrected = dispatched[f"{name} {precision}"]
    assert ours == theirs
    if name == "cnn":
        assert uncorrected != theirs
