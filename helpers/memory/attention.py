"""Which kernel CUDA takes for `scaled_dot_product_attention`, and what is done to the mask before.

The rules are those of aten/src/ATen/native/transformers/cuda/sdp_utils.cpp (its functions are named beside them) and
attention.cpp, for tensors that are not nested and with nothing switched off. The order is flash, memory-efficient,
math. On Hopper, PyTorch from 2.10 on prefers cuDNN's kernel, which keeps what flash keeps; what it borrows is cuDNN's
to know.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from helpers.memory.torch_private import attention_in_steps, efficient_attention, flash_attention

FLASH, EFFICIENT, MATH = "flash", "efficient", "math"
_HALF = (torch.float16, torch.bfloat16)


def kernel(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    causal: bool = False,
    gqa: bool = False,
    learns: bool = True,
    compute_capability: float = 8.0,
) -> str:
    """The kernel for these tensors (B, heads, rows, numbers of a head). learns: whether a gradient is wanted."""
    given = query, key, value
    if any(each.dim() != 4 for each in given) or not _heads_match(query, key, value, gqa):  # check_tensor_shapes
        return MATH
    if query.shape[2] == 0 or key.shape[2] == 0:  # check_nonzero_sequence_lengths_dense
        return MATH
    strides = [each.stride(-1) for each in given] + ([] if mask is None else [mask.stride(-1)])
    if any(each.dtype is not query.dtype for each in given):  # check_tensor_dtype
        return MATH
    one = all(stride == 1 for stride in strides)  # check_last_dim_stride_equals_1_dense
    if mask is None and one and _flash(query, key, value, dropout, causal, learns, compute_capability):
        return FLASH
    return EFFICIENT if one and _efficient(query, key, value, compute_capability) else MATH


def _heads_match(query: Tensor, key: Tensor, value: Tensor, gqa: bool) -> bool:
    """check_batch_size_and_num_heads_dense."""
    if not len(query) == len(key) == len(value) or key.shape[1] != value.shape[1]:
        return False
    return key.shape[1] == query.shape[1] or (gqa and query.shape[1] % key.shape[1] == 0)


def _flash(
    query: Tensor, key: Tensor, value: Tensor, dropout: float, causal: bool, learns: bool, compute_capability: float
) -> bool:
    """can_use_flash_attention."""
    size = query.shape[-1]
    if compute_capability < 8 or query.dtype not in _HALF:
        return False
    if not size == key.shape[-1] == value.shape[-1] or size > 256:
        return False
    if causal and query.shape[2] != key.shape[2]:
        return False
    small_chip = 8.6 <= compute_capability <= 8.9 or compute_capability >= 12
    return not (learns and small_chip and size > 192) or (not dropout and size > 224)


def _efficient(query: Tensor, key: Tensor, value: Tensor, compute_capability: float) -> bool:
    """can_use_mem_efficient_attention; below 8.0 it takes no bfloat16."""
    half = query.dtype in _HALF
    if query.dtype is torch.bfloat16 and compute_capability < 8 or not (half or query.dtype is torch.float32):
        return False
    tensor_cores_from, wanted = (7, 8) if half else (8, 4)
    multiple = wanted if compute_capability >= tensor_cores_from else 1  # minimum_gemm_alignment
    sizes = query.shape[-1], value.shape[-1]
    return query.shape[-1] == key.shape[-1] and all(size and size % multiple == 0 for size in sizes)


def attend(
    query, key, value, mask=None, dropout=0.0, causal=False, *, scale=None, enable_gqa=False, compute_capability=8.0
):  # fmt: skip
    """`scaled_dot_product_attention` as CUDA runs it."""
    learns = torch.is_grad_enabled() and any(each.requires_grad for each in (query, key, value))
    choice = kernel(query, key, value, mask, dropout, causal, enable_gqa, learns, compute_capability)
    if mask is not None and mask.dtype is torch.bool:  # convert_boolean_attn_mask
        mask = torch.where(mask, 0.0, torch.full((), -torch.inf, dtype=query.dtype, device=query.device))
    if choice is FLASH:
        size = query.shape[-1]
        if size % 8:  # pad_last_dim
            scale = size**-0.5 if scale is None else scale
            query, key, value = (F.pad(each, (0, -size % 8)) for each in (query, key, value))
        out = flash_attention(query, key, value, dropout, causal, return_debug_mask=False, scale=scale)[0]
        return out[..., :size] if size % 8 else out
    if choice is EFFICIENT:
        if mask is not None:  # preprocess_mask, pad_bias
            if mask.shape[-1] % 16:
                mask = F.pad(mask, (0, -mask.shape[-1] % 16))[..., : mask.shape[-1]]
            mask = mask.expand(len(query), query.shape[1], query.shape[2], key.shape[2])
        return efficient_attention(query, key, value, mask, learns, dropout, causal, scale=scale)[0]
    return attention_in_steps(
        query, key, value, mask, dropout, causal, None, scale=scale, enable_gqa=enable_gqa
    )[0]  # fmt: skip
