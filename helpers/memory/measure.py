"""`measure`: the same training step on a real GPU, with CUDA's own counters beside the ledger's."""

import copy
from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional as F

from helpers.memory.records import Trace
from helpers.memory.step import Plan, Watcher, infer, make_plan, prepare, train
from helpers.memory.tracer import as_found, record
from helpers.problems import Problem

COUNTERS = {
    "allocated": "allocated_bytes.all.peak",
    "requested": "requested_bytes.all.peak",
    "active": "active_bytes.all.peak",
    "reserved": "reserved_bytes.all.peak",
}
_STEPS = 3


def measure(
    model: nn.Module,
    sample_shape=None,
    batch_size=None,
    num_classes=None,
    loss=F.cross_entropy,
    optimizer="adam",
    precision="fp32",
    accumulate=1,
    checkpoint=False,
    *,
    example=None,
    inference=False,
) -> Trace:
    """Run the training step that `trace` predicts on the first CUDA GPU, with a copy of the model.

    Arguments as for `trace`. The record's `timeline` and `at_peak` come from real tensors on the GPU; `allocator` holds
    CUDA's own counters of the third of three steps in bytes: the peaks "allocated", "requested", "active" and
    "reserved", the peak allocated during "forward", "backward" and "step", and "context", what the device holds beyond
    the reserved bytes (other programs on that GPU are counted in). Inputs and targets are zeros.

    Raises `Problem` where there is no CUDA GPU, and as `trace` does.
    """
    if not torch.cuda.is_available():
        raise Problem(
            "measure() needs a CUDA GPU and this machine has none that PyTorch can use; trace() predicts the same "
            "record without one."
        )
    plan = make_plan(
        model, sample_shape, batch_size, num_classes, loss, optimizer, precision, accumulate, checkpoint, None,
        example, inference, "cuda",
    )  # fmt: skip
    with as_found():
        state = torch.cuda.get_rng_state()
        try:
            counted = _counters(copy.deepcopy(model).to("cuda"), plan)
            return replace(record(copy.deepcopy(model).to("cuda"), plan, "cuda"), allocator=counted)
        finally:
            torch.cuda.set_rng_state(state)


class _Phases(Watcher):
    """Reads CUDA's peaks phase by phase."""

    def __init__(self) -> None:
        self.phase = ""
        self.peaks: dict[str, dict[str, int]] = {}

    def begins(self, phase: str) -> None:
        self._read()
        self.phase = phase

    def ends(self) -> None:
        self._read()
        self.phase = ""

    def _read(self) -> None:
        if self.phase:
            torch.cuda.synchronize()
            statistics = torch.cuda.memory_stats()
            known = self.peaks.setdefault(self.phase, dict.fromkeys(COUNTERS, 0))
            for name, counter in COUNTERS.items():
                known[name] = max(known[name], statistics.get(counter, 0))
        torch.cuda.reset_peak_memory_stats()


def _counters(model: nn.Module, plan: Plan) -> dict[str, int]:
    """CUDA's counters for the last of three steps, without any bookkeeping of ours in between."""
    optimizer = prepare(model, plan)
    scaler = torch.amp.GradScaler("cuda") if plan.precision == "fp16" and not plan.inference else None
    for _ in range(_STEPS):
        phases = _Phases()
        if plan.inference:
            infer(model, plan, "cuda", phases)
        else:
            train(model, plan, optimizer, scaler, "cuda", phases)
    counted = {name: max(peaks[name] for peaks in phases.peaks.values()) for name in COUNTERS}
    free, total = torch.cuda.mem_get_info()
    counted |= {phase: peaks["allocated"] for phase, peaks in phases.peaks.items()}
    return counted | {"context": total - free - torch.cuda.memory_reserved()}
