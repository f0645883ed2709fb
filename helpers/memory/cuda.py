"""What CUDA does otherwise than the CPU, each with its source: the corrections of `trace`, and the GPUs it knows.

`trace` runs a step on fake CPU tensors, so PyTorch takes the CPU's way through the operations. Where the CUDA way
leaves other bytes behind, this module puts it in its place, for as long as the trace runs, through the dispatcher's
own door, `torch.library`. None of this has been measured on a GPU yet: each source is a text, not a run.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from helpers.memory.records import Correction
from helpers.units import GIB, MIB

BLOCK = 512  #: bytes; kMinBlockSize in c10/core/AllocatorConfig.h

CORRECTIONS = {
    correction.name: correction
    for correction in (
        Correction(
            "rounding",
            "every storage is rounded up to a multiple of 512 bytes",
            "c10/cuda/CUDACachingAllocator.cpp: round_size, kMinBlockSize",
        ),
        Correction(
            "foreach optimizer",
            "step() works on all parameters at once, so its temporaries are as large as all of them together",
            "torch/optim/optimizer.py: _default_to_fused_or_foreach",
        ),
        Correction(
            "numbers on the host",
            "Adam's step counters and other numbers written out in Python stay in the computer's own memory",
            "torch/optim/adam.py: _init_group",
        ),
        Correction(
            "dropout mask",
            "dropout keeps a bool mask, 1 byte a number, where the CPU keeps one in the dtype of its input",
            "aten/src/ATen/native/Dropout.cpp: is_fused_kernel_acceptable",
        ),
        Correction(
            "attention kernel",
            "scaled_dot_product_attention takes a fused CUDA kernel and keeps what that one keeps",
            "aten/src/ATen/native/transformers/cuda/sdp_utils.cpp; tools/autograd/derivatives.yaml",
        ),
        Correction(
            "autocast lists",
            "autocast computes layer_norm, softmax, exp, pow, sum and others in float32, the CPU's autocast does not",
            "aten/src/ATen/autocast_mode.h: AT_FORALL_FP32, AT_FORALL_FP32_SET_OPT_DTYPE",
        ),
        Correction(
            "cuDNN BatchNorm",
            "its statistics are float32 also for a 16 bit input, and it keeps a reserve tensor, whose size cuDNN alone "
            "knows: counted as 0 bytes, not measured",
            "aten/src/ATen/native/cudnn/BatchNorm.cpp; tools/autograd/derivatives.yaml: cudnn_batch_norm",
        ),
        Correction(
            "cuBLAS workspace",
            "matrix products borrow a workspace: until PyTorch 2.14 for good, one for the thread of forward and one "
            "for that of backward; from 2.15 on for the length of each product",
            "aten/src/ATen/cuda/CublasHandlePool.cpp; pull request 194311",
        ),
    )
}
NOTES = {
    "convolution": "The workspaces that cuDNN takes inside a convolution are not predicted.",
    "recurrent": "LSTM, GRU and RNN layers are traced as PyTorch computes them itself; what cuDNN, or oneDNN on the "
    "CPU, keeps in their place is not predicted, and can be much more.",
    "mask": "Attention with a mask is traced as the CPU runs it.",
}


@dataclass(frozen=True)
class Gpu:
    """What `trace` and `max_batch` need to know of a GPU."""

    capacity: int  #: bytes; the total that PyTorch's out-of-memory texts name for this card under Linux
    compute_capability: float

    @property
    def workspace(self) -> int:
        """Bytes of one cuBLAS workspace: 32 MiB from Hopper on, else 4096 KiB x 2 + 16 KiB x 8."""
        return 32 * MIB if self.compute_capability >= 9 else 8_519_680


#: Read in out-of-memory texts; drivers differ by some hundredths of a GiB. On your machine:
#: ``torch.cuda.get_device_properties(0).total_memory``.
GPUS = {
    "RTX 3070": Gpu(int(7.78 * GIB), 8.6),
    "RTX 3060": Gpu(int(11.76 * GIB), 8.6),
    "T4": Gpu(int(14.56 * GIB), 7.5),
    "V100": Gpu(int(15.78 * GIB), 7.0),
    "RTX 3090": Gpu(int(23.68 * GIB), 8.6),
    "RTX 4090": Gpu(int(23.64 * GIB), 8.9),
    "A100 40 GB": Gpu(int(39.39 * GIB), 8.0),
    "A100 80 GB": Gpu(int(79.25 * GIB), 8.0),
    "H100": Gpu(int(79.11 * GIB), 9.0),
    "H200": Gpu(int(139.80 * GIB), 9.0),
}
_LT_WORKSPACE = MIB  # torch.backends.cuda.cublaslt_workspace_size() in 2.15
_PRODUCTS = {"mm", "bmm", "baddbmm", "addmm", "addbmm", "mv", "addmv"}


def rounded(size: int) -> int:
    """Bytes that CUDA's caching allocator hands out for a request: the next multiple of 512."""
    return -(-size // BLOCK) * BLOCK


def workspaces(gpu: str, steps: list[tuple[str, str]]) -> list[int]:
    """Bytes of cuBLAS workspace during each operation. steps: (phase, operation), as they ran.

    Until 2.14 a workspace stays from the first matrix product of its thread on, and backward has a thread of its own.
    From 2.15 on each product takes its own and gives it back; a product with a bias (addmm) goes through cuBLASLt.
    """
    size = GPUS[gpu].workspace
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 15):
        return [_LT_WORKSPACE if op == "addmm" else size if op in _PRODUCTS else 0 for _, op in steps]
    threads = {phase == "backward" for phase, op in steps if op in _PRODUCTS}
    return [size * len(threads)] * len(steps)  # a steady step: they are there from the step before


def choose_foreach(optimizer: torch.optim.Optimizer) -> int:
    """Choose as the optimizer itself would with parameters on a GPU: foreach, unless something else was asked for.

    Returns how many groups of parameters were changed.
    """
    changed = 0
    for group in optimizer.param_groups:
        free = group.get("foreach", False) is None and not group.get("fused") and not group.get("differentiable")
        if free and not isinstance(group.get("lr"), Tensor):
            group["foreach"] = True
            changed += 1
    return changed


def remarks(used: Counter, model: nn.Module, on_cuda: bool) -> tuple[tuple[Correction, ...], tuple[str, ...]]:
    """The corrections that a trace needed, and the notes on what it leaves out."""
    modules = list(model.modules())
    used["recurrent"] += sum(isinstance(module, nn.RNNBase) for module in modules)
    if on_cuda:
        used["rounding"] += 1
        used["cuDNN BatchNorm"] += sum(isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training for m in modules)
        used["convolution"] += sum(isinstance(module, nn.modules.conv._ConvNd) for module in modules)
    corrections = tuple(correction for name, correction in CORRECTIONS.items() if on_cuda and used[name])
    return corrections, tuple(note for name, note in NOTES.items() if used[name])


@contextmanager
def as_on_cuda(model: nn.Module, gpu: str | None = None) -> Iterator[Counter]:
    """While this lasts, CPU tensors go through PyTorch as CUDA tensors do, where that changes what stays in memory.

    Gives a counter of the corrections and notes that were needed. A trace within a trace, from a hook, say, has its own
    counter and finds the operations in place already.
    """
    used: Counter[str] = Counter()
    _entered.append((used, gpu))
    onednn = torch._C._get_mkldnn_enabled()
    libraries = _take_cudas_way() if len(_entered) == 1 else []
    try:
        if any(isinstance(module, nn.RNNBase) for module in model.modules()):  # oneDNN's layers are the CPU's alone
            torch._C._set_mkldnn_enabled(False)
        yield used
    finally:
        _entered.pop()
        torch._C._set_mkldnn_enabled(onednn)
        for library in libraries:
            library._destroy()


_entered: list[tuple[Counter[str], str | None]] = []  # the counter and the GPU of each trace that runs, innermost last


def _take_cudas_way() -> list[torch.library.Library]:
    """Put the operations in place; `_destroy` of what this gives takes them out again."""
    autograd = torch.library.Library("aten", "IMPL", "AutogradCPU")
    autocast = torch.library.Library("aten", "IMPL", "AutocastCPU")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 2.11 and 2.12 tell once that a kernel is overridden
        autograd.impl("dropout", _dropout)
        autograd.impl("scaled_dot_product_attention", _attention)
        for names, cast in ((_FLOAT32, _to_float32), (_FLOAT32_RESULT, _ask_for_float32)):
            for name in filter(_exists, names):
                autocast.impl(name, _autocast(name, cast))
        for name in filter(_exists, _UNTOUCHED):
            autocast.impl(name, torch.library.fallthrough_kernel, allow_override=True)
    return [autograd, autocast]


def _dropout(input: Tensor, p: float, train: bool) -> Tensor:
    if not train or p == 0 or not input.numel():
        return input
    if p == 1:
        return input * torch.zeros((), dtype=input.dtype)
    _entered[-1][0]["dropout mask"] += 1
    return torch.native_dropout(input, p, train)[0]


def _attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, *, scale=None, enable_gqa=False
):  # fmt: skip
    """float32 takes the memory-efficient kernel, float16 and bfloat16 flash; both need a multiple of 4 or 8 numbers.

    On Hopper cuDNN's kernel comes first for 16 bit; it keeps the same bytes as flash. Before Ampere there is no flash.
    """
    aten = torch.ops.aten
    used, gpu = _entered[-1]
    learns = torch.is_grad_enabled() and any(t.requires_grad for t in (query, key, value))
    half = query.dtype in (torch.float16, torch.bfloat16)
    aligned = query.shape[-1] % (8 if half else 4) == 0 and value.shape[-1] == query.shape[-1]
    if attn_mask is not None or enable_gqa or query.dim() != 4 or not aligned:
        used["mask"] += attn_mask is not None
        choice = torch._fused_sdp_choice(
            query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
        )
        if choice == 1:  # the CPU's own flash kernel
            return aten._scaled_dot_product_flash_attention_for_cpu(
                query, key, value, dropout_p, is_causal, attn_mask=attn_mask, scale=scale
            )[0]
        return aten._scaled_dot_product_attention_math(
            query, key, value, attn_mask, dropout_p, is_causal, None, scale=scale, enable_gqa=enable_gqa
        )[0]
    used["attention kernel"] += 1
    if half and (gpu is None or GPUS[gpu].compute_capability >= 8):
        return aten._scaled_dot_product_flash_attention(
            query, key, value, dropout_p, is_causal, return_debug_mask=False, scale=scale
        )[0]
    return aten._scaled_dot_product_efficient_attention(
        query, key, value, None, learns, dropout_p, is_causal, scale=scale
    )[0]


# The differences between the lists of CUDA's autocast and the CPU's that a training step can meet.
_FLOAT32 = (
    "layer_norm", "native_layer_norm", "rms_norm", "group_norm", "exp", "expm1", "log", "log10", "log2", "log1p",
    "pow.Tensor_Scalar", "pow.Tensor_Tensor", "pow.Scalar", "rsqrt", "reciprocal", "tan", "sinh", "cosh", "acos",
    "asin", "erfinv", "softplus", "logsumexp", "cosine_similarity", "dist", "pdist", "renorm", "upsample_nearest1d",
    "upsample_nearest2d", "upsample_nearest3d", "upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d",
    "upsample_bicubic2d",
)  # fmt: skip
_FLOAT32_RESULT = (
    "softmax.int", "log_softmax.int", "cumprod", "cumsum", "linalg_vector_norm", "sum", "sum.dim_IntList",
)  # fmt: skip
_UNTOUCHED = (  # the CPU's autocast computes them in float32, CUDA's leaves them alone
    "cross_entropy_loss", "avg_pool3d", "max_pool3d", "adaptive_avg_pool3d", "adaptive_max_pool3d",
    "reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d", "replication_pad3d",
)  # fmt: skip


def _overload(name: str):
    packet, _, overload = name.partition(".")
    return getattr(getattr(torch.ops.aten, packet), overload or "default")


def _exists(name: str) -> bool:
    try:
        _overload(name)
    except AttributeError:  # older or newer than the list
        return False
    return True


def _autocast(name: str, cast: Callable) -> Callable:
    operation = _overload(name)
    keys = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCPU)

    def run(*args, **kwargs):
        _entered[-1][0]["autocast lists"] += 1
        with torch._C._ExcludeDispatchKeyGuard(keys):
            args, kwargs = cast(operation, args, kwargs)
            return operation(*args, **kwargs)

    return run


def _to_float32(_operation, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    def cast(tensor: Tensor) -> Tensor:
        return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor

    return tree_map_only(Tensor, cast, (args, kwargs))


def _ask_for_float32(operation, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """Give dtype=torch.float32 where the caller gave no dtype; it is the fourth or a later argument, or named."""
    names = [argument.name for argument in operation._schema.arguments]
    place = names.index("dtype")
    given = args[place] if place < len(args) else kwargs.get("dtype")
    if given is None and args[0].dtype in (torch.float16, torch.bfloat16):
        kwargs = kwargs | {"dtype": torch.float32}
        args = args[:place]
    return args, kwargs
