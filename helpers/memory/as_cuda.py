"""What CUDA does otherwise than the CPU, each with its source: the corrections of `trace`.

`trace` runs a step on fake CPU tensors, so PyTorch takes the CPU's way through the operations. Where the CUDA way
leaves other bytes behind, this module puts it in its place, for the thread that traces, through the dispatcher's own
door, `torch.library`. The sources are texts. An H100 confirms what dropout, attention, autocast, BatchNorm, workspaces
and sums leave behind (`benchmarks/gpu.py`); so do peaks that others measured (`benchmarks/published.py`).
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.library import Library, fallthrough_kernel
from torch.nn import functional as F

from helpers.memory.attention import attend
from helpers.memory.gpus import Gpu
from helpers.memory.records import Correction
from helpers.memory.torch_private import (
    AUTOCAST_OF_CPU,
    BatchNorm,
    Convolution,
    DispatchKeySet,
    Operation,
    all_operations,
    dispatch_key,
    give_thread_key,
    has_kernel,
    keys_below,
    schema,
    thread_has_key,
    thread_leaves_key_out,
    tree_leaves,
    tree_map_only,
    without_dispatch_keys,
)
from helpers.problems import Problem

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
            "knows: counted as 0 bytes, as on an H100 with cuDNN 9.19",
            "aten/src/ATen/native/cudnn/BatchNorm.cpp; tools/autograd/derivatives.yaml: cudnn_batch_norm",
        ),
        Correction(
            "cuBLAS workspace",
            "matrix products borrow a workspace: until PyTorch 2.14 for good, one for the thread of forward and one "
            "for that of backward, and from 2.9 to 2.11 one more of 1 MiB for products with a bias; from 2.15 on for "
            "the length of each product",
            "aten/src/ATen/cuda/CublasHandlePool.cpp; pull requests 156495, 168175 and 194311",
        ),
        Correction(
            "inner blocks",
            "some kernels take memory and give it back within one operation: softmax, GroupNorm, LayerNorm where its "
            "input is not contiguous, and attention's backward",
            "helpers/memory/inner.py names the kernel's own file for each",
        ),
        Correction(
            "buffers of sums",
            "a sum over many numbers, such as the gradient of a bias over a large batch, is shared between blocks of "
            "threads, which leave their parts in a buffer",
            "aten/src/ATen/native/cuda/Reduce.cuh: setReduceConfig, global_memory_size",
        ),
        Correction(
            "sums in place",
            "where two gradients of one tensor meet, the second is added to the first, and no third one is made",
            "torch/csrc/autograd/input_buffer.cpp: accumulate",
        ),
    )
}
NOTES = {
    "convolution": "The workspaces that cuDNN takes inside a convolution are not predicted ({layers}): they depend on "
    "what cuDNN chooses. A ResNet-50 needed none on a T4; a network like VGG may need several percent more.",
    "recurrent": "LSTM, GRU and RNN layers are traced as PyTorch computes them itself; what cuDNN, or oneDNN on the "
    "CPU, keeps in their place is not predicted, and can be much more.",
}


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
    modules, layers = list(model.modules()), []
    used["recurrent"] += sum(isinstance(module, nn.RNNBase) for module in modules)
    if on_cuda:
        used["rounding"] += 1
        used["cuDNN BatchNorm"] += sum(isinstance(m, BatchNorm) and m.training for m in modules)
        layers = [name or type(m).__name__ for name, m in model.named_modules() if isinstance(m, Convolution)]
        used["convolution"] += len(layers)
    corrections = tuple(correction for name, correction in CORRECTIONS.items() if on_cuda and used[name])
    some = ", ".join(layers[:2]) + (f" and {len(layers) - 2} more" if len(layers) > 2 else "")
    return corrections, tuple(note.format(layers=some) for name, note in NOTES.items() if used[name])


class _Here(threading.local):
    """What the trace that runs in this thread counts, and the GPU that it is for."""

    used: Counter[str] = Counter()
    gpu: Gpu | None = None


_here = _Here()


@contextmanager
def as_on_cuda(gpu: Gpu | None = None, really: bool = True) -> Iterator[Counter]:
    """While this lasts, CPU tensors go through PyTorch as CUDA tensors do, where that changes what stays in memory.

    It holds for this thread alone, and for what its backward passes run. Gives a counter of the corrections and notes
    that were needed. A trace within a trace, from a hook, say, has its own. really: False lets everything go as it
    does on the CPU, within such a trace too.
    """
    before, included = (_here.used, _here.gpu), thread_has_key(_MODE)
    _here.used, _here.gpu = Counter(), gpu
    give_thread_key(_MODE, really)
    try:
        yield _here.used
    finally:
        give_thread_key(_MODE, included)
        _here.used, _here.gpu = before


# ------------------------------------------------------------------------------- in the place of PyTorch's own kernels
# Each stands at a dispatch key that no tensor carries and that PyTorch keeps for tests. Only a thread that asks for the
# key comes by, before everything else (autocast, autograd, fake tensors), so no other thread meets or pays for any of
# this, and it can stay in place for good. `keys & _BELOW` is the way on to what PyTorch itself does.

_MODE_NAME = "TESTING_ONLY_GenericMode"
_MODE = dispatch_key(_MODE_NAME)
_BELOW = keys_below(_MODE)
_ONLY_AUTOCAST = DispatchKeySet(AUTOCAST_OF_CPU)
_pass_by, _kernels = Library("_", "IMPL"), Library("aten", "IMPL", _MODE_NAME)
_pass_by.fallback(fallthrough_kernel, _MODE_NAME)


def _autocasts() -> bool:
    """Whether autocast is on, and not one of its own kernels is running."""
    return not thread_leaves_key_out(AUTOCAST_OF_CPU)


def _instead(name: str) -> Callable[[Callable], Callable]:
    """Let a function stand in for an operation."""

    def put(kernel: Callable) -> Callable:
        _kernels.impl(name, kernel, with_keyset=True)
        return kernel

    return put


@_instead("dropout")
def _dropout(_keys: DispatchKeySet, input: Tensor, p: float, train: bool) -> Tensor:
    if not train or p == 0 or not input.numel():
        return input
    if p == 1:
        return input * torch.zeros((), dtype=input.dtype)
    _here.used["dropout mask"] += 1
    return torch.native_dropout(input, p, train)[0]


@_instead("scaled_dot_product_attention")
def _attention(
    keys, query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, *, scale=None, enable_gqa=False
):  # fmt: skip
    if _autocasts():  # it comes back here, in 16 bit
        return torch.ops.aten.scaled_dot_product_attention.default.redispatch(
            keys & _BELOW, query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
        )
    _here.used["attention kernel"] += 1
    return attend(
        query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa,
        compute_capability=8.0 if _here.gpu is None else _here.gpu.compute_capability,
    )  # fmt: skip


@_instead("lstm.input")
def _lstm(_keys, inputs, state, weights, has_biases, layers, dropout, train, bidirectional, batch_first):
    """As in aten/src/ATen/native/RNN.cpp, operation by operation: with oneDNN, the CPU never gets that far."""
    output = inputs.transpose(0, 1) if batch_first else inputs
    starts = zip(state[0].unbind(0), state[1].unbind(0), strict=True)
    each, ends = len(weights) // len(state[0]), []
    for layer in range(layers):
        if layer and dropout and train:
            output = torch.dropout(output, dropout, train)
        outputs = []
        for backwards in (False, True)[: 1 + bidirectional]:
            place = len(ends) * each
            out, *end = _one_way(output, *next(starts), *weights[place : place + each], has_biases, backwards)
            outputs.append(out)
            ends.append(end)
        output = torch.cat(outputs, -1) if bidirectional else out
    hidden, cell = (torch.stack(tensors) for tensors in zip(*ends, strict=True))
    return output.transpose_(0, 1) if batch_first else output, hidden, cell


def _one_way(inputs, hidden, cell, of_input, of_state, *others):
    """One layer of an LSTM in one direction: its output in the order of time, and the state after its last step."""
    *others, has_biases, backwards = others
    bias, state_bias = others[:2] if has_biases else (None, None)
    steps, outputs = F.linear(inputs, of_input, bias).unbind(0), []
    for step in reversed(steps) if backwards else steps:
        gates = F.linear(hidden, of_state, state_bias).add_(step).unsafe_chunk(4, 1)
        take, keep, new, show = (activate(gate) for activate, gate in zip(_GATES, gates, strict=True))
        cell = (keep * cell).add_(take * new)
        hidden = show * cell.tanh()
        if len(others) % 2:  # proj_size
            hidden = hidden.matmul(others[-1].t())
        outputs.append(hidden)
    return torch.stack(outputs[::-1] if backwards else outputs), hidden, cell


_GATES = (torch.sigmoid_, torch.sigmoid_, torch.tanh_, torch.sigmoid_)


# What autocast casts, and to what. Which operations it touches, the dispatcher says; what it does with them, only
# aten/src/ATen/autocast_mode.h. Those of CUDA's that are not named here become float32, or are asked for a float32
# result where they take a dtype.
_SIXTEEN_BIT = {
    "_convolution", "_scaled_dot_product_flash_attention", "addmv", "addr", "chain_matmul", "convolution", "einsum",
    "gru_cell", "linalg_multi_dot", "lstm_cell", "mv", "rnn_relu_cell", "rnn_tanh_cell",
}  # fmt: skip
_WIDEST = {
    "addcdiv", "addcmul", "atan2", "bilinear", "cross", "dot", "grid_sampler", "index_put", "scatter_add", "tensordot",
    "vdot",
}  # fmt: skip
_NEEDS_FLOAT32 = ("fft_", "stft")  # the CPU has no other kernels
_FLOATS = (torch.float16, torch.bfloat16, torch.float32)


def _put_cudas_autocast() -> None:
    """Where the autocast of CUDA does otherwise than that of the CPU, let CUDA's hold."""
    for name in all_operations():
        on_cuda, on_cpu = has_kernel(name, "AutocastCUDA"), has_kernel(name, "AutocastCPU")
        if name.startswith("aten::") and (on_cuda or on_cpu):
            base, _, overload = name.removeprefix("aten::").partition(".")
            operation = getattr(getattr(torch.ops.aten, base), overload or "default", None)
            if operation is None:  # older PyTorch: one with named axes, which Python cannot call
                continue
            change = _cudas_way(base, operation, on_cpu) if on_cuda else None
            if change or not (on_cuda or base.startswith(_NEEDS_FLOAT32)):
                _instead(name)(_autocast(operation, change))


def _cudas_way(base: str, operation: Operation, on_cpu: bool) -> Callable | None:
    """How CUDA's autocast changes the arguments of an operation; None where the CPU's does the same."""
    if base == "binary_cross_entropy":
        return _refuse
    if base in _WIDEST:
        return _to(_widest)
    if any(argument.name == "dtype" for argument in schema(operation).arguments):
        return _ask_for_float32
    if on_cpu:
        return None
    return _to(_sixteen_bit if base in _SIXTEEN_BIT else _float32)


def _autocast(operation: Operation, change: Callable | None) -> Callable:
    """The operation under autocast, with arguments changed; without `change`, as if it were not on autocast's list."""

    def kernel(keys, *args, **kwargs):
        if not _autocasts():
            return operation.redispatch(keys & _BELOW, *args, **kwargs)
        if change is None:
            return operation.redispatch((keys & _BELOW).remove(AUTOCAST_OF_CPU), *args, **kwargs)
        _here.used["autocast lists"] += 1
        with without_dispatch_keys(_ONLY_AUTOCAST):
            args, kwargs = change(operation, args, kwargs)
            return operation(*args, **kwargs)

    return kernel


def _to(dtype_for: Callable[[list[Tensor]], torch.dtype]) -> Callable:
    """Cast every float16, bfloat16 and float32 tensor."""

    def change(_operation, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        dtype = dtype_for(tensors)
        return tree_map_only(Tensor, lambda t: t.to(dtype) if t.dtype in _FLOATS else t, (args, kwargs))

    return change


def _float32(_tensors: list[Tensor]) -> torch.dtype:
    return torch.float32


def _sixteen_bit(_tensors: list[Tensor]) -> torch.dtype:
    return torch.get_autocast_dtype("cpu")


def _widest(tensors: list[Tensor]) -> torch.dtype:
    return torch.float32 if any(tensor.dtype is torch.float32 for tensor in tensors) else _sixteen_bit(tensors)


def _ask_for_float32(operation: Operation, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """Give dtype=torch.float32 where the caller gave no dtype; it is the last that has a place, or named."""
    names = [argument.name for argument in schema(operation).arguments]
    place = names.index("dtype")
    given = args[place] if place < len(args) else kwargs.get("dtype")
    if given is None and args[0].dtype in _FLOATS:
        args, kwargs = args[:place], kwargs | {"dtype": torch.float32}
    return args, kwargs


def _refuse(_operation, _args, _kwargs):
    raise Problem(
        "CUDA's autocast refuses F.binary_cross_entropy and nn.BCELoss. Let the model give logits, without a sigmoid "
        "at the end, and take F.binary_cross_entropy_with_logits."
    )


_put_cudas_autocast()
