"""The loop, the GPU and PyTorch's version as settings: what each moves, and against a real step on the CPU."""

import pytest
from tools import cnn, problem, really
from torch import nn

from helpers import models
from helpers.memory import GPUS, Gpu, Loop, any_batch, max_batch, trace
from helpers.memory.allocator import OutOfMemory
from helpers.units import GIB

MLP = models.mlp()
SHAPE = (1, 28, 28)
LOOPS = [
    Loop(zero_grad="before forward"), Loop(zero_grad="before backward"), Loop(zero_grad="never"),
    Loop(set_to_none=False), Loop(zero_grad="before forward", set_to_none=False),
    Loop(holds_output=False), Loop(holds_batch=False), Loop(holds_batch=False, holds_output=False),
]  # fmt: skip


@pytest.mark.parametrize("loop", LOOPS, ids=str)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_every_loop_equals_a_real_step(loop, accumulate):
    how = {"loop": loop, "accumulate": accumulate}
    assert trace(cnn(), (3, 32, 32), 8, device="cpu", **how).timeline == really(cnn(), (3, 32, 32), 8, **how).timeline


@pytest.mark.parametrize("loop", LOOPS, ids=str)
def test_any_batch_knows_every_loop(loop):
    assert any_batch(MLP, SHAPE, loop=loop)(100) == trace(MLP, SHAPE, 100, loop=loop)


def gradients(loop: Loop, phase: str) -> list[int]:
    """Bytes of gradients in a phase: the least and the most."""
    live = [event.live["gradients"] for event in trace(MLP, SHAPE, 64, loop=loop).timeline if event.phase == phase]
    return [min(live), max(live)]


def test_where_zero_grad_stands_says_how_long_the_gradients_live():
    full = trace(MLP, SHAPE, 64).most["gradients"]
    assert gradients(Loop(), "forward") == [0, 0]
    assert gradients(Loop(zero_grad="before forward"), "forward") == [0, 0]
    assert gradients(Loop(zero_grad="before backward"), "forward") == [0, full]
    assert gradients(Loop(zero_grad="never"), "forward") == [full, full]
    assert gradients(Loop(set_to_none=False), "forward") == [full, full]
    assert gradients(Loop(zero_grad="before backward"), "backward")[0] == 0


def test_a_name_that_holds_the_output_keeps_the_logits_to_the_end():
    """4,096 x 10 float32 and the batch, 4,096 x 784 float32 and as many int64 labels, at the first look at step()."""

    def in_step(**how) -> int:
        seen = trace(MLP, SHAPE, 4096, optimizer="sgd", loop=Loop(**how))
        return next(event.total for event in seen.timeline if event.phase == "step")

    assert in_step() - in_step(holds_output=False) == 4096 * 10 * 4
    assert in_step() - in_step(holds_batch=False) == 4096 * 784 * 4 + 4096 * 8


def test_a_gpu_by_hand_counts_like_one_of_the_table():
    by_hand = Gpu(capacity=int(14.56 * GIB), compute_capability=7.5, multiprocessors=40)
    assert by_hand == GPUS["T4"]
    for how in ({}, {"torch_version": "2.11"}):
        assert trace(MLP, SHAPE, 64, gpu=by_hand, **how) == trace(MLP, SHAPE, 64, gpu="T4", **how)


@pytest.mark.parametrize(("version", "at_peak"), [("2.8", 2), ("2.14.1+cu130", 2), ("2.15.0", 0), ("3.0", 0)])
def test_the_version_there_and_not_the_one_here_rules_the_workspace(version, at_peak):
    workspace = GPUS["T4"].workspace
    plain, seen = trace(MLP, SHAPE, 64), trace(MLP, SHAPE, 64, gpu="T4", torch_version=version)
    assert seen.timeline[-1].live["workspace"] == at_peak * workspace
    if at_peak:
        assert seen.at_peak == plain.at_peak | {"workspace": 2 * workspace}


def test_bad_settings_are_said():
    assert "before forward" in problem(lambda: Loop(zero_grad="sometimes"))
    assert "holds_batch is 1" in problem(lambda: Loop(holds_batch=1))
    assert 'loop=Loop(zero_grad="before forward")' in problem(lambda: trace(MLP, SHAPE, 4, loop="before forward"))
    assert 'torch_version="2.11"' in problem(lambda: trace(MLP, SHAPE, 4, torch_version=2.11))
    assert "RTX 4090" in problem(lambda: trace(MLP, SHAPE, 4, gpu="RTX 9999"))
    assert "compute_capability" in problem(lambda: Gpu(GIB, "8.6"))
    assert "capacity" in problem(lambda: Gpu(0, 8.6))
    assert "multiprocessors" in problem(lambda: Gpu(GIB, 8.6, 0))


# --------------------------------------------------------------------------------------------- what max_batch refuses


def wide() -> nn.Module:
    """On an 8 GiB card, some hundred samples."""
    return nn.Sequential(nn.Flatten(), *(nn.Linear(4096, 4096) for _ in range(4)), nn.Linear(4096, 10))


def test_max_batch_decides_by_what_pytorch_would_refuse():
    """The answer runs within the capacity, the next does not, by the allocator with that capacity."""
    card = Gpu(capacity=2 * GIB, compute_capability=8.0)
    found = max_batch(wide(), 2 * GIB, (1, 64, 64), gpu=card, torch_version="2.11")
    assert found.fits.usage(capacity=2 * GIB).reserved <= 2 * GIB
    with pytest.raises(OutOfMemory):
        found.too_large.usage(capacity=2 * GIB)
    assert found.too_large.allocated <= 2 * GIB and found.refused_by == "reserved"
    assert "and more reserved than that" in found.sentence


def test_the_largest_batch_needs_no_more_than_there_is():
    found = max_batch(cnn(), 64 * 2**20, (3, 32, 32))
    assert 0 < found.fits.allocated <= found.fits.usage(capacity=found.capacity).reserved <= found.capacity
