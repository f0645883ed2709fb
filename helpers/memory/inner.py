"""What CUDA's kernels take and give back inside one operation: bytes that no tensor of the program ever shows.

Each entry follows the allocations in the kernel's own source. The peaks that Liger-Kernel published for GroupNorm, on
a B200, and for softmax, on an RTX 3090, show those two to the byte (`benchmarks/published.py`); attention's
are read and not measured. What sums borrow is in `reductions`; what depends on values, or on what cuDNN chooses, is
left out.
"""

from collections.abc import Callable
from math import prod

from torch import Tensor

from helpers.memory.allocator import round_up


def inner_bytes(operation: str, args: tuple) -> tuple[int, ...]:
    """Bytes of each block that the kernel of an operation borrows, all at the same time. operation: "aten::..."."""
    sizes = _INNER.get(operation)
    return tuple(size for size in sizes(*args) if size) if sizes else ()


def _softmax_backward(grad: Tensor, output: Tensor, *_) -> list[int]:
    """softmax_backward_cuda_out in aten/src/ATen/native/cuda/SoftMax.cu: grad * output."""
    return [grad.numel() * max(grad.itemsize, output.itemsize)]


def _group_norm(x: Tensor, weight, bias, samples: int, channels: int, pixels: int, groups: int, *_) -> list[int]:
    """GroupNormKernelImplInternal in aten/src/ATen/native/cuda/group_norm_kernel.cu: a and b; mean and rstd if half."""
    if not samples:
        return []
    number = max(x.itemsize, 4)
    statistics = [samples * groups * number] * 2 if x.itemsize == 2 else []
    if pixels == 1 or (weight is None and bias is None):
        return statistics
    return [*statistics, *[samples * channels * number] * 2]


def _group_norm_backward(
    grad: Tensor, x: Tensor, mean, rstd, weight, samples: int, channels: int, pixels: int, groups: int, wanted
) -> list[int]:
    """GroupNormBackwardKernelImplInternal, in the same file: ds and db, c2 and c3, c1."""
    number = max(x.itemsize, 4)
    each_channel, each_group = samples * channels * number, samples * groups * number
    if pixels == 1:
        return [each_group] * 2 if wanted[0] else []
    for_input = [each_group, each_group, *([each_channel] if weight is not None else [])] if wanted[0] else []
    return [each_channel, each_channel, *for_input]


def _flash_attention_backward(grad: Tensor, query: Tensor, key: Tensor, *_) -> list[int]:
    """mha_bwd in aten/src/ATen/native/transformers/cuda/flash_attn/flash_api.cpp: softmax_d, dq_accum, dk and dv.

    Queries count in rows of 128, the numbers of a head in 32, from 128 on in 64; dk and dv are expanded where several
    heads of queries share one of keys.
    """
    batch, heads, rows, size = query.shape
    rows = round_up(rows, 128)
    accumulated = batch * rows * heads * round_up(size, 32 if size <= 128 else 64) * 4
    expanded = batch * key.shape[2] * heads * size * query.itemsize if key.shape[1] != heads else 0
    return [_copied(grad.transpose(1, 2)), batch * heads * rows * 4, accumulated, expanded, expanded]


def _efficient_attention_backward(grad: Tensor, query: Tensor, *_) -> list[int]:
    """_efficient_attention_backward in aten/src/ATen/native/transformers/cuda/attention_backward.cu: delta, workspace.

    In the workspace the gradient of the queries is added up in float32, in tiles with 16 bytes each for a lock
    (kernel_backward.h: workspace_elements_gq, from compute capability 7.0 on). Heads of more than 128 numbers borrow
    more, for keys and values.
    """
    batch, heads, rows, size = query.shape
    tile = 64 if size <= 64 else 128  # rows; the kernels that come first in kernels/cutlassB.h
    tiles = (round_up(rows, tile) // tile) * (round_up(size, 64) // 64)
    return [_copied(grad.transpose(1, 2)), batch * heads * rows * 4, batch * heads * tiles * (tile * 64 * 4 + 16)]


def _layer_norm(x: Tensor, *_) -> list[int]:
    """layer_norm_cuda in aten/src/ATen/native/cuda/layer_norm_kernel.cu: X, contiguous. Measured on an H100."""
    return [_copied(x)]


def _layer_norm_backward(grad: Tensor, x: Tensor, *_) -> list[int]:
    """layer_norm_backward_cuda, in the same file: dY and X, contiguous."""
    return [_copied(grad), _copied(x)]


def _copied(tensor: Tensor) -> int:
    """These kernels want the numbers of a tensor next to each other."""
    return 0 if tensor.is_contiguous() else prod(tensor.shape) * tensor.itemsize


_INNER: dict[str, Callable[..., list[int]]] = {
    "aten::_softmax_backward_data": _softmax_backward,
    "aten::native_layer_norm": _layer_norm,
    "aten::native_layer_norm_backward": _layer_norm_backward,
    "aten::native_group_norm": _group_norm,
    "aten::native_group_norm_backward": _group_norm_backward,
    "aten::_scaled_dot_product_flash_attention_backward": _flash_attention_backward,
    "aten::_scaled_dot_product_efficient_attention_backward": _efficient_attention_backward,
}
