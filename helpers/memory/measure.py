"""`measure`: the same training step on a real GPU, with CUDA's own counters beside the ledger's."""

import copy
import gc
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from helpers.memory.allocator import Usage
from helpers.memory.gpus import rounded
from helpers.memory.records import Category, Trace, as_counted
from helpers.memory.step import Listener, Plan, checked, infer, make_plan, prepare, takes_settings, train
from helpers.memory.torch_private import SteadyScaler, tree_leaves
from helpers.memory.tracer import as_found, record
from helpers.problems import Problem

COUNTERS = {
    "allocated": "allocated_bytes.all.peak",
    "requested": "requested_bytes.all.peak",
    "active": "active_bytes.all.peak",
    "reserved": "reserved_bytes.all.peak",
}
TENSORS = (Category.PARAMETERS, Category.GRADIENTS, Category.OPTIMIZER_STATE)
_STEPS = 3


@takes_settings
def measure(
    model: nn.Module, sample_shape: Sequence[int] | None = None, batch_size: int | None = None, **settings: object
) -> Trace:
    """Run the training step that `trace` predicts on the current CUDA GPU, with a copy of the model.

    Arguments as for `trace`, but gpu, torch_version and device, which are those of this machine. The record's
    `timeline` and `at_peak` come from real tensors on the GPU, `allocated` and `reserved` from CUDA's counters.
    `allocator` holds all of those, of the third of three steps, in bytes: the peaks "allocated", "requested", "active"
    and "reserved", the peak allocated during "forward", "backward" and "step", and "context", what the device holds
    beyond the reserved bytes (other programs on that GPU are counted in). Beside them stand the real "parameters",
    "gradients" and "optimizer state" on the GPU, storage by storage, each rounded up to 512 bytes.

    What your own program holds on the GPU already is in CUDA's counters too, so call this before your training. Inputs
    and targets are zeros. With fp16 the optimizer steps even where a gradient overflows: else it would have no state.

    Raises `Problem` where there is no CUDA GPU, and as `trace` does; PyTorch's own OutOfMemoryError if it does not fit.
    """
    checked(settings, without=("gpu", "torch_version", "device"), why="is what measure() runs on, the current CUDA GPU")
    if not torch.cuda.is_available():
        raise Problem(
            "measure() needs a CUDA GPU and this machine has none that PyTorch can use; trace() predicts the same "
            "record without one."
        )
    plan = make_plan(model, sample_shape, batch_size, **settings)
    with as_found():
        drawn = torch.cuda.get_rng_state()
        try:
            _tidy()
            counted = _counters(copy.deepcopy(model).to("cuda"), plan)
            _tidy()
            real = record(copy.deepcopy(model).to("cuda"), plan, "cuda")
        finally:
            torch.cuda.set_rng_state(drawn)
    usage = Usage(*(counted[name] for name in ("requested", "allocated", "reserved")))
    return replace(
        real, allocator=counted, usage=partial(as_counted, usage), corrections=(), notes=()
    )  # nothing is predicted


def _tidy() -> None:
    """Let go of what only cycles of names still hold, and of blocks that the allocator keeps for later."""
    gc.collect()
    torch.cuda.empty_cache()


class _Phases(Listener):
    """Reads CUDA's peaks phase by phase, and adds up the tensors that are said to be of a category."""

    def __init__(self, model: nn.Module) -> None:
        self.sizes: dict[Category, dict[int, int]] = {}  # of storages, by category and address
        self.made(Category.PARAMETERS, list(model.parameters()))
        self.phase = ""
        self.peaks: dict[str, dict[str, int]] = {}

    def phase_begins(self, phase: str) -> None:
        self._read()
        self.phase = phase

    def made(self, category: Category, tensors: object) -> None:
        for tensor in tree_leaves(tensors):
            if isinstance(tensor, Tensor) and tensor.is_cuda:
                storage = tensor.untyped_storage()  # a gradient can be a view of a larger one
                self.sizes.setdefault(category, {})[storage.data_ptr()] = rounded(storage.nbytes())

    def gradients_gone(self) -> None:
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
    scaler = SteadyScaler("cuda") if plan.precision == "fp16" and not plan.inference else None
    for _ in range(_STEPS):
        phases = _Phases(model)
        if plan.inference:
            infer(model, plan, "cuda", phases)
        else:
            train(model, plan, optimizer, scaler, "cuda", phases)
        phases.gradients_gone()  # the last phase is read, wherever zero_grad() stands
    counted = {name: max(peaks[name] for peaks in phases.peaks.values()) for name in COUNTERS}
    counted |= {name: sum(phases.sizes.get(name, {}).values()) for name in TENSORS}
    free, total = torch.cuda.mem_get_info()
    counted |= {phase: peaks["allocated"] for phase, peaks in phases.peaks.items()}
    return counted | {"context": total - free - torch.cuda.memory_reserved()}
