"""Which attention kernel CUDA takes, branch by branch of sdp_utils.cpp, and what each keeps."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from helpers.memory import trace
from helpers.memory.attention import EFFICIENT, FLASH, MATH, kernel

FP32, FP16, BF16, FP64 = torch.float32, torch.float16, torch.bfloat16, torch.float64
T4, V100, A100, RTX_4090, H100, BLACKWELL = 7.5, 7.0, 8.0, 8.9, 9.0, 12.0


def choose(dtype, compute_capability, size=64, heads=(4, 4), rows=(8, 8), value_size=None, mask=None, **how):
    query = torch.empty(2, heads[0], rows[0], size, dtype=dtype, device="meta")
    key = torch.empty(2, heads[1], rows[1], size, dtype=dtype, device="meta")
    value = torch.empty(2, heads[1], rows[1], value_size or size, dtype=dtype, device="meta")
    return kernel(query, key, value, mask, compute_capability=compute_capability, **how)


MASK = torch.empty(8, 8, dtype=torch.bool, device="meta")
BRANCHES = [
    # check_dtypes_low_precision, less_than_sm80_mem_efficient_dtypes: what each generation takes
    (FP32, T4, {}, EFFICIENT), (FP16, T4, {}, EFFICIENT), (BF16, T4, {}, MATH),
    (FP32, V100, {}, EFFICIENT), (FP16, V100, {}, EFFICIENT), (BF16, V100, {}, MATH),
    (FP32, A100, {}, EFFICIENT), (FP16, A100, {}, FLASH), (BF16, A100, {}, FLASH),
    (FP32, H100, {}, EFFICIENT), (FP16, H100, {}, FLASH), (BF16, BLACKWELL, {}, FLASH),
    (FP64, A100, {}, MATH),
    # check_for_attn_mask: flash takes no mask, the memory-efficient kernel does
    (BF16, A100, {"mask": MASK}, EFFICIENT), (BF16, T4, {"mask": MASK}, MATH), (FP32, T4, {"mask": MASK}, EFFICIENT),
    (BF16, A100, {"mask": MASK.t()}, MATH),  # check_last_dim_stride_equals_1_dense
    # minimum_gemm_alignment: 16 bytes where there are tensor cores for the dtype; flash pads to 8
    (FP32, A100, {"size": 6}, MATH), (FP32, T4, {"size": 6}, EFFICIENT), (FP32, A100, {"size": 20}, EFFICIENT),
    (FP16, T4, {"size": 20}, MATH), (FP16, A100, {"size": 20}, FLASH), (BF16, A100, {"size": 20, "mask": MASK}, MATH),
    # check_head_dim_size_flash: one size for all, at most 256
    (BF16, A100, {"value_size": 32}, EFFICIENT),
    (BF16, A100, {"size": 264}, EFFICIENT), (BF16, A100, {"size": 256}, FLASH),
    # check_requires_grad_and_head_dim_gt192_constraints_on_sm86_89_or_120
    (BF16, RTX_4090, {"size": 200}, EFFICIENT), (BF16, RTX_4090, {"size": 192}, FLASH),
    (BF16, RTX_4090, {"size": 256}, FLASH), (BF16, RTX_4090, {"size": 256, "dropout": 0.1}, EFFICIENT),
    (BF16, RTX_4090, {"size": 200, "learns": False}, FLASH), (BF16, BLACKWELL, {"size": 200}, EFFICIENT),
    (BF16, H100, {"size": 200}, FLASH),
    # check_flash_causal_non_square_seqlens
    (BF16, A100, {"rows": (4, 8), "causal": True}, EFFICIENT), (BF16, A100, {"rows": (4, 8)}, FLASH),
    # check_batch_size_and_num_heads_dense, check_grouped_query_attention
    (BF16, A100, {"heads": (4, 2), "gqa": True}, FLASH), (BF16, A100, {"heads": (4, 3), "gqa": True}, MATH),
    (BF16, A100, {"heads": (4, 2)}, MATH), (FP32, A100, {"heads": (4, 2), "gqa": True}, EFFICIENT),
    # check_nonzero_sequence_lengths_dense
    (BF16, A100, {"rows": (0, 8)}, MATH),
]  # fmt: skip


@pytest.mark.parametrize("dtype, compute_capability, how, expected", BRANCHES, ids=str)
def test_each_branch(dtype, compute_capability, how, expected):
    assert choose(dtype, compute_capability, **how) is expected


def test_three_axes_or_two_dtypes_go_the_way_of_math():
    flat = torch.empty(2, 8, 64, dtype=BF16, device="meta")
    assert kernel(flat, flat, flat) is MATH
    query = torch.empty(2, 4, 8, 64, device="meta")
    assert kernel(query, query.to(BF16), query.to(BF16)) is MATH


class Attention(nn.Module):
    """Query, key and value from one batch of sequences, four heads of queries and some of keys."""

    def __init__(self, keys: int = 4, size: int = 8, mask: torch.Tensor | None = None, causal: bool = False):
        super().__init__()
        self.query, self.both = nn.Linear(32, 4 * size), nn.Linear(32, 2 * keys * size)
        self.keys, self.size, self.mask, self.causal = keys, size, mask, causal

    def forward(self, x):
        batch, rows, _ = x.shape
        query = self.query(x).view(batch, rows, 4, self.size).transpose(1, 2)
        key, value = self.both(x).view(batch, rows, 2, self.keys, self.size).permute(2, 0, 3, 1, 4)
        mask = None if self.mask is None else self.mask[:rows, :rows]
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=self.causal, enable_gqa=self.keys != 4
        )


def attend(rows: int = 48, precision: str = "fp32", gpu: str = "A100 40 GB", **model):
    batch = torch.empty(3, rows, 32, device="meta"), None
    return trace(Attention(**model), example=batch, loss=lambda out: out.sum(), precision=precision, gpu=gpu)


def operations(seen) -> set[str]:
    return {event.op for event in seen.timeline}


def test_bf16_before_ampere_keeps_the_scores_in_float32():
    """The math way makes float32 copies of query and key and keeps softmax's result, (B, heads, rows, rows) float32."""
    before, after = attend(precision="bf16", gpu="T4"), attend(precision="bf16")
    assert "_scaled_dot_product_flash_attention" in operations(after)
    assert not any("scaled_dot_product" in operation for operation in operations(before))
    scores = [row for row in before.saved if row.shape[-2:] == (48, 48)]
    assert scores and all(row.dtype == "float32" for row in scores)
    assert not any(row.shape[-2:] == (48, 48) for row in after.saved)
    assert before.allocated > after.allocated


def test_a_bool_mask_becomes_numbers_and_a_width_off_16_is_padded():
    """convert_boolean_attn_mask, pad_bias: 48 is a multiple of 16, 50 is padded to 64."""
    mask = torch.ones(64, 64, dtype=torch.bool)
    for rows, columns in ((48, 48), (50, 64)):
        kept = [row for row in attend(rows, mask=mask).saved if row.shape == (3, 4, rows, rows)]
        assert [row.bytes for row in kept] == [rows * columns * 4]


def test_grouped_heads_take_flash_and_keep_the_keys_as_they_are():
    seen = attend(precision="bf16", keys=2, causal=True)
    assert "_scaled_dot_product_flash_attention" in operations(seen)
    assert {row.shape for row in seen.saved if row.layer.startswith("Attention") and len(row.shape) == 4} == {
        (3, 4, 48, 8), (3, 2, 48, 8),
    }  # fmt: skip


def test_flash_pads_a_head_to_a_multiple_of_8():
    kept = {row.shape for row in attend(precision="bf16", size=20).saved if row.layer.startswith("Attention")}
    assert (3, 4, 48, 24) in kept and (3, 4, 48, 20) not in kept
