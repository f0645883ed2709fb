"""From a step to what is allocated and reserved: an example by hand, what holds for every model, sums in place."""

from dataclasses import replace
from functools import partial

import pytest
import torch
import torchvision
from tools import cnn, problem
from torch import nn

from helpers import models
from helpers.memory import GPUS, any_batch, trace
from helpers.memory.allocator import OutOfMemory, Usage
from helpers.memory.observer import Observer
from helpers.memory.records import Category, Moment, Observation, Trace, as_counted
from helpers.memory.replay import replay
from helpers.units import MIB

PARAMETER, STATE, LATER = 0, 1, 7


def by_hand(sizes: dict[int, int], moments: list[tuple], **labels) -> Observation:
    return Observation(
        on_cuda=True, sizes=sizes, on_host=frozenset(), saved=(), sums={}, corrections=(), notes=(),
        labels={PARAMETER: Category.PARAMETERS, STATE: Category.OPTIMIZER_STATE},
        began_with=tuple(number for number in (PARAMETER, STATE) if number in sizes),
        moments=tuple(Moment(*moment) for moment in moments),
    )  # fmt: skip


def test_a_step_by_hand():
    """4 MiB of parameters, a 12 MiB activation, a 4 MiB gradient, and 4 MiB of state that step() makes.

    Start: the parameter takes the first 4 of a shared segment of 20 MiB, the activation 12 of the 16 that are left, the
    gradient the last 4. The activation goes, and in step() the state takes 4 of its 12. The gradient goes and merges
    with the 8 beside it. Second step: the activation takes these 12, and for the gradient there is nothing left: a
    second shared segment, 40 MiB reserved from then on. In use at the peak are 4 + 4 + 12 + 4 MiB.
    """
    sizes = {PARAMETER: 4 * MIB, STATE: 4 * MIB, 2: 12 * MIB, 3: 4 * MIB}
    moments = [
        ("forward", "", "linear", (2,), ()), ("backward", "", "mm", (3,), ()), ("step", "", "add", (), (2,)),
        ("step", "", "zero_grad", (), (3,)),
    ]  # fmt: skip
    assert replay(by_hand(sizes, moments), 0, "2.14") == Usage(24 * MIB, 24 * MIB, 40 * MIB)


def test_a_workspace_stays_until_2_14_and_is_borrowed_from_2_15_on():
    """8,519,680 bytes are more than 1 and less than 10 MiB: the parameter and both workspaces share one segment.

    Until 2.14 there is one for forward and one for backward. From 2.15 on the product with a bias takes 1 MiB, from the
    2 MiB of small blocks, and then the other one 8,519,680 bytes.
    """
    sizes = {PARAMETER: 2 * MIB, 2: 512}
    moments = [("forward", "", "addmm", (2,), ()), ("backward", "", "mm", (), (2,))]
    seen, workspace = by_hand(sizes, moments), GPUS["T4"].workspace
    assert replay(seen, workspace, "2.14.1+cu130") == Usage(
        2 * MIB + 2 * workspace + 512, 2 * MIB + 2 * workspace + 512, 22 * MIB
    )
    assert replay(seen, workspace, "2.15.0") == Usage(2 * MIB + workspace, 2 * MIB + workspace, 22 * MIB)


def test_inner_blocks_live_within_one_operation():
    seen = by_hand(
        {PARAMETER: 512, 2: 512, 3: 2 * MIB}, [("forward", "", "softmax", (2,), (), (3,)), ("step", "", "x", (), (2,))]
    )
    assert replay(seen, 0, "2.14") == Usage(1024 + 2 * MIB, 1024 + 2 * MIB, 22 * MIB)


def test_a_sum_in_place_takes_no_block():
    """The third tensor is written into the first: never more than two of 12 MiB."""
    sizes = {PARAMETER: 512, 2: 12 * MIB, 3: 12 * MIB, 4: 12 * MIB}
    moments = [
        ("backward", "", "mm", (2,), ()), ("backward", "", "mm", (3,), ()), ("backward", "", "add", (4,), (2,), (), 2),
        ("step", "", "x", (), (3, 4)),
    ]  # fmt: skip
    assert replay(by_hand(sizes, moments), 0, "2.14") == Usage(24 * MIB + 512, 24 * MIB + 512, 26 * MIB)
    apart = [moment[:5] for moment in moments]
    apart[2] = ("backward", "", "add", (4,), ())
    apart[3] = ("step", "", "x", (), (2, 3, 4))
    assert replay(by_hand(sizes, apart), 0, "2.14").allocated == 36 * MIB + 512


def test_what_a_step_leaves_takes_the_part_of_what_it_let_go():
    """A gradient that lives from step to step, as where zero_grad() stands before forward: never two at once."""
    sizes = {PARAMETER: 12 * MIB, LATER: 12 * MIB, 2: 12 * MIB}
    seen = by_hand(sizes, [("forward", "", "zero_grad", (), (LATER,)), ("backward", "", "mm", (2,), ())])
    seen.labels.update({LATER: Category.GRADIENTS, 2: Category.GRADIENTS})
    object.__setattr__(seen, "began_with", (PARAMETER, LATER))
    assert replay(seen, 0, "2.14") == Usage(24 * MIB, 24 * MIB, 24 * MIB)


MODELS = {
    "mlp": (models.mlp, (1, 28, 28)),
    "cnn": (cnn, (3, 32, 32)),
    "resnet18": (torchvision.models.resnet18, (3, 64, 64)),
    "mobilenet": (torchvision.models.mobilenet_v3_small, (3, 64, 64)),
    "vit_b_16": (lambda: torchvision.models.vit_b_16(image_size=32), (3, 32, 32)),
}
SETTINGS = [
    {}, {"gpu": "T4", "precision": "fp16"}, {"gpu": "H100", "torch_version": "2.11", "optimizer": "sgd"},
    {"accumulate": 2, "optimizer": "momentum"}, {"inference": True},
]  # fmt: skip


@pytest.mark.parametrize(
    "name, how",
    [(name, how) for name in MODELS for how in (SETTINGS if name in ("cnn", "resnet18") else SETTINGS[::3])],
    ids=str,
)
def test_requested_allocated_and_reserved_are_nested(name, how):
    build, shape = MODELS[name]
    seen = trace(build(), shape, 16, **how)
    assert seen.requested <= seen.peak <= seen.allocated <= seen.reserved
    assert seen.reserved % (2 * MIB) == 0
    again = any_batch(build(), shape, **how)(16)
    assert (again.allocated, again.reserved) == (seen.allocated, seen.reserved)


def test_on_the_cpu_there_are_no_blocks():
    seen = trace(cnn(), (3, 32, 32), 16, device="cpu")
    assert seen.requested == seen.peak == seen.allocated == seen.reserved


def test_more_than_the_gpu_has_is_refused_where_pytorch_refuses():
    """With just what it reserves a step runs; with 2 MiB less than what it must reserve it does not."""
    seen = trace(cnn(), (3, 32, 32), 256)
    usage = seen.usage
    assert usage(capacity=seen.reserved) == usage()
    with pytest.raises(OutOfMemory):
        usage(capacity=seen.allocated - 2 * MIB)


class Branches(nn.Module):
    """One result that two layers take, so that two gradients of it meet."""

    def __init__(self):
        super().__init__()
        self.first, self.left, self.right = (nn.Linear(256, 256, bias=False) for _ in range(3))

    def forward(self, x):
        x = self.first(x)
        return (self.left(x) + self.right(x)).sum()


def test_the_engine_adds_gradients_in_place_where_no_mode_is_on():
    """PyTorch's profiler, which is no mode, sees the sum as `add_`; under a mode it is an `add`."""
    model, x = Branches(), torch.randn(64, 256)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        model(x).backward()
    seen = [event.name for event in profile.events() if event.name in ("aten::add", "aten::add_")]
    assert seen == ["aten::add", "aten::add_"]  # forward's sum, and backward's
    assert "add" in {event.op for event in trace(model, (256,), 64, loss=lambda out, _: out, device="cpu").timeline}


def test_a_trace_for_cuda_adds_them_in_place(monkeypatch):
    """Where they meet, two gradients are alive and not three; else the steps are the same."""

    def temporaries() -> int:
        batch = torch.empty(4096, 256, device="meta"), None
        seen = trace(Branches(), example=batch, loss=lambda out: out, optimizer="sgd")
        sums = [event for event in seen.timeline if event.op == "add" and event.phase == "backward"]
        return sums[0].live["temporaries"]

    in_place = temporaries()
    monkeypatch.setattr(Observer, "_note_sum", lambda *_: None)
    assert temporaries() - in_place == 4096 * 256 * 4


def test_what_was_counted_fits_where_no_more_was_reserved():
    """The record of `measure`, which asks no allocator; and a record that knows nothing of either."""
    record = trace(models.mlp(), (1, 28, 28), 2)
    measured = replace(record, usage=partial(as_counted, Usage(1, 2, 3)))
    assert (measured.allocated, measured.reserved) == (2, 3)
    assert measured.fits(3) and not measured.fits(2)
    assert record.fits(record.reserved) and not record.fits(MIB)
    assert Trace(1, record.timeline, (), 0).fits(1)
    assert "capacity is 'T4'" in problem(lambda: record.fits("T4"))
