"""What kernels borrow inside one operation: by hand from their source, and in a trace."""

import pytest
import torch
from torch import nn

from helpers.memory import observer, trace
from helpers.memory.inner import inner_bytes


def empty(*shape: int, dtype=torch.float32) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


GRAD = empty(2, 4, 100, 64)


@pytest.mark.parametrize(
    ("operation", "args", "expected"),
    [
        # grad * output
        ("aten::_softmax_backward_data", (empty(3, 5), empty(3, 5), -1, torch.float32), [60]),
        # N = 2, C = 8, G = 4: a and b are N x C float32; for 16 bit also mean and rstd, N x G float32
        ("aten::native_group_norm", (empty(2, 8, 9), empty(8), empty(8), 2, 8, 9, 4, 1e-5), [64, 64]),
        ("aten::native_group_norm",
         (empty(2, 8, 9, dtype=torch.bfloat16), empty(8), empty(8), 2, 8, 9, 4, 1e-5), [32, 32, 64, 64]),
        ("aten::native_group_norm", (empty(2, 8, 9), None, None, 2, 8, 9, 4, 1e-5), []),
        ("aten::native_group_norm", (empty(2, 8, 1), empty(8), empty(8), 2, 8, 1, 4, 1e-5), []),
        # ds and db are N x C, c2 and c3 N x G, c1 N x C: (3NC + 2NG) x 4 bytes
        ("aten::native_layer_norm", (empty(2, 3, 8), [8], empty(8), empty(8), 1e-5), []),
        ("aten::native_layer_norm", (empty(3, 2, 8).transpose(0, 1), [8], empty(8), empty(8), 1e-5), [192]),
        ("aten::native_layer_norm_backward", (empty(2, 3, 8), empty(3, 2, 8).transpose(0, 1)), [192]),
        ("aten::native_group_norm_backward",
         (empty(2, 8, 9), empty(2, 8, 9), None, None, empty(8), 2, 8, 9, 4, [True] * 3), [64, 64, 32, 32, 64]),
        ("aten::native_group_norm_backward",
         (empty(2, 8, 9), empty(2, 8, 9), None, None, None, 2, 8, 9, 4, [True, False, False]), [64, 64, 32, 32]),
        ("aten::native_group_norm_backward",
         (empty(2, 8, 9), empty(2, 8, 9), None, None, empty(8), 2, 8, 9, 4, [False, True, True]), [64, 64]),
        # rows count as 128, a head of 64 as 64: softmax_d 2 x 4 x 128 float32, dq_accum that times 64
        ("aten::_scaled_dot_product_flash_attention_backward",
         (GRAD.transpose(1, 2).contiguous().transpose(1, 2), GRAD.bfloat16(), GRAD.bfloat16()), [4096, 262_144]),
        # ... and dk and dv for every head of queries where the keys have two: 2 x 100 x 4 x 64 bfloat16 each
        ("aten::_scaled_dot_product_flash_attention_backward",
         (GRAD.transpose(1, 2).contiguous().transpose(1, 2), GRAD.bfloat16(), GRAD[:, :2].bfloat16()),
         [4096, 262_144, 102_400, 102_400]),
        # a gradient whose heads come before its rows is copied; delta 2 x 4 x 100 float32; two tiles of 64 rows a head
        ("aten::_scaled_dot_product_efficient_attention_backward", (GRAD, GRAD), [204_800, 3200, 262_400]),
        ("aten::relu", (GRAD,), []),
    ],
)  # fmt: skip
def test_by_hand(operation, args, expected):
    assert list(inner_bytes(operation, args)) == expected


def test_a_trace_counts_them_as_temporaries_while_the_operation_runs(monkeypatch):
    """Three of N x C and two of N x G float32 for N = 64, C = 16, G = 4; the next operation finds them gone."""
    model = nn.Sequential(nn.Conv2d(16, 16, 1), nn.GroupNorm(4, 16), nn.Flatten(), nn.Linear(16 * 9, 10))

    def around() -> list[int]:
        timeline = trace(model, (16, 3, 3), 64, optimizer="sgd").timeline
        place = next(n for n, event in enumerate(timeline) if event.op == "native_group_norm_backward")
        return [event.live["temporaries"] for event in timeline[place : place + 2]]

    with_them = around()
    monkeypatch.setattr(observer, "inner_bytes", lambda *_: ())
    during, after = (a - b for a, b in zip(with_them, around(), strict=True))
    assert (during, after) == (3 * 64 * 16 * 4 + 2 * 64 * 4 * 4, 0)
