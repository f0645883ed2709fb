"""`measure` on a real GPU, where there is one."""

import pytest
import torch
from tools import cnn

from helpers import models
from helpers.memory import measure, trace
from helpers.memory.measure import COUNTERS


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU that PyTorch can use")
@pytest.mark.parametrize(("build", "sample_shape"), [(models.mlp, (1, 28, 28)), (cnn, (3, 32, 32))], ids=["mlp", "cnn"])
@pytest.mark.parametrize("how", [{}, {"precision": "bf16"}, {"accumulate": 2}], ids=str)
def test_on_a_gpu_the_ledger_finds_what_cuda_counts_and_trace_predicts(build, sample_shape, how):
    model = build()
    measured, predicted = (work(model, sample_shape, 64, **how) for work in (measure, trace))
    counted = measured.allocator
    assert set(COUNTERS) <= set(counted)
    assert 0 < counted["requested"] <= counted["allocated"] <= counted["reserved"]
    for category in ("parameters", "gradients", "optimizer state"):  # known to the byte, tensor by tensor
        assert counted[category] == measured.most[category] == predicted.most[category]
    assert list(measured.peaks) == list(predicted.peaks) == ["forward", "backward", "step"]
    assert measured.peak <= counted["allocated"]  # the counter holds the workspaces of kernels as well
