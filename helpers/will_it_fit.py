"""Which batch fits on which GPU with which settings, what is in the way, and which lever would help most."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache

import torch
from torch import nn

from helpers import models
from helpers.memory import GPUS, SimulatedGpu, Trace, any_batch, max_batch_of
from helpers.problems import one_of, whole_number
from helpers.step_memory import PHASE_NAMES, PRECISIONS
from helpers.step_memory import SAMPLE_SHAPES as STEP_SHAPES
from helpers.units import readable

#: One sample of each model.
SAMPLE_SHAPES = {
    "ResNet-18": STEP_SHAPES["ResNet-18"],
    "wide MLP": STEP_SHAPES["digits MLP"],
    "digits MLP": STEP_SHAPES["digits MLP"],
    "colours CNN": STEP_SHAPES["colours CNN"],
}
OPTIMIZERS: dict[str, str | Callable] = {
    "adam": "adam",
    "adam fused": lambda parameters: torch.optim.Adam(parameters, fused=True),
    "momentum": "momentum",
    "sgd": "sgd",
}
MICRO_BATCHES = (1, 8)  #: for one step, from and to
CHECKPOINTS = ("off", "on")
_SLOW = "ResNet-18"


@dataclass(frozen=True)
class WillItFit:
    """The largest batch of one model with some settings on one GPU, and that with one lever more."""

    gpu: str
    model: str
    settings: tuple[str, ...]  #: optimizer and precision, and what else is on
    micro_batches: int
    largest: int  #: 0 where not even the smallest fits
    trace: Trace  #: of the largest batch that fits, or of the smallest
    levers: dict[str, int]  #: by name, the largest batch with it

    @property
    def card(self) -> SimulatedGpu:
        """The GPU, simulated."""
        return SimulatedGpu(self.gpu)

    @property
    def best(self) -> str | None:
        """The lever that gives most; None if none gives more."""
        name = max(self.levers, key=self.levers.get, default=None)
        return name if name and self.levers[name] > self.largest else None

    @property
    def heading(self) -> tuple[str, str, str]:
        """Three lines: the GPU; the largest batch; what is in the way."""
        room = (
            f"{self.gpu}: {readable(self.card.room)} for PyTorch ({readable(self.card.context)} for the CUDA context)"
        )
        cut = f", {self.micro_batches} micro-batches of {self.largest // self.micro_batches:,}"
        fits = (
            f"largest batch: B = {self.largest:,}{cut * (self.micro_batches > 1)}" if self.largest else "nothing fits"
        )
        return room, fits, self.limit

    @property
    def limit(self) -> str:
        """Where the peak is, and its largest part."""
        return f"the limit: {PHASE_NAMES[self.trace.peak_phase]}, largest part: {self.trace.largest}"

    @property
    def advice(self) -> str:
        """Which lever would give most."""
        if self.best is None:
            return "None of the other levers gives more."
        times = f", {self.levers[self.best] / self.largest:.1f} times as many" if self.largest else ""
        return f"Most would come from {self.best}: B = {self.levers[self.best]:,}{times}."

    @property
    def sentence(self) -> str:
        """All of it."""
        what = f"{self.model}, {', '.join(self.settings)}, on a simulated {self.gpu} ({readable(self.card.capacity)})"
        phase = f"in {PHASE_NAMES[self.trace.peak_phase]}"
        if not self.largest:
            return f"{what}: not even B = {self.trace.batch_size:,} fits, {phase}. {self.advice}"
        peak = f"{readable(self.trace.allocated)} allocated, {phase}, the most of it {self.trace.largest}"
        return f"{what}: B = {self.largest:,} fits, with {peak}; one more does not. {self.advice}"


def will_it_fit(
    gpu: str,
    model: str,
    optimizer: str = "adam",
    precision: str = "fp32",
    micro_batches: int = 1,
    checkpoint: str = "off",
) -> WillItFit:
    """The largest batch for one step of one of the models in `SAMPLE_SHAPES` on a GPU of `GPUS`, and how to raise it.

    micro_batches: 1 to 8 for one step; the batch is all of them together. checkpoint: "on" runs each block again in
    backward. What was found is kept, so that the same settings take no time again. Raises `Problem` for a value that is
    not allowed.
    """
    return _found(*_checked(gpu, model, optimizer, precision, micro_batches, checkpoint))


def is_slow(
    gpu: str,
    model: str,
    optimizer: str = "adam",
    precision: str = "fp32",
    micro_batches: int = 1,
    checkpoint: str = "off",
) -> bool:
    """Whether `will_it_fit` takes longer than a moment for these settings."""
    key = _checked(gpu, model, optimizer, precision, micro_batches, checkpoint)
    return model == _SLOW and key not in _known


_known: set[tuple] = set()


def _checked(
    gpu: str, model: str, optimizer: str, precision: str, micro_batches: int, checkpoint: str
) -> tuple[str, str, str, str, int, str]:
    one_of("gpu", gpu, tuple(GPUS))
    one_of("model", model, tuple(SAMPLE_SHAPES))
    one_of("optimizer", optimizer, tuple(OPTIMIZERS))
    one_of("precision", precision, PRECISIONS)
    one_of("checkpoint", checkpoint, CHECKPOINTS)
    return gpu, model, optimizer, precision, whole_number("micro_batches", micro_batches, *MICRO_BATCHES), checkpoint


@lru_cache(maxsize=1024)
def _found(gpu: str, model: str, optimizer: str, precision: str, micro_batches: int, checkpoint: str) -> WillItFit:
    now = (model, optimizer, precision, micro_batches, checkpoint)
    largest = _largest(gpu, *now)
    settings = [optimizer, precision]
    settings += [f"{micro_batches} micro-batches"] * (micro_batches > 1) + ["checkpointing"] * (checkpoint == "on")
    levers = {name: _largest(gpu, *other) for name, other in _levers(*now).items()}
    trace = _every_batch(_like(gpu), *now)(largest or 2 * micro_batches)
    _known.add((gpu, *now))
    return WillItFit(gpu, model, tuple(settings), micro_batches, largest, trace, levers)


def _levers(model: str, optimizer: str, precision: str, micro_batches: int, checkpoint: str) -> dict[str, tuple]:
    """By name, the settings with one thing more that saves memory. (k micro-batches always give about k times.)"""
    found = {}
    if optimizer != "sgd":
        found["plain SGD"] = (model, "sgd", precision, micro_batches, checkpoint)
    if precision == "fp32":
        found["bf16"] = (model, optimizer, "bf16", micro_batches, checkpoint)
    if checkpoint == "off":
        found["checkpointing"] = (model, optimizer, precision, micro_batches, "on")
    return found


@lru_cache(maxsize=4096)
def _largest(gpu: str, model: str, optimizer: str, precision: str, micro_batches: int, checkpoint: str) -> int:
    at = _every_batch(_like(gpu), model, optimizer, precision, micro_batches, checkpoint)
    return max_batch_of(at, SimulatedGpu(gpu).room, micro_batches)


def _like(gpu: str) -> str:
    """The first GPU with the same workspace and sums: without attention, that is all in which their steps differ."""

    def what_counts(name: str) -> tuple[int, int | None, int]:
        return GPUS[name].workspace, GPUS[name].multiprocessors, GPUS[name].threads

    return next(name for name in GPUS if what_counts(name) == what_counts(gpu))


@lru_cache(maxsize=256)
def _every_batch(
    gpu: str, model: str, optimizer: str, precision: str, micro_batches: int, checkpoint: str
) -> Callable[[int], Trace]:
    how = {"optimizer": OPTIMIZERS[optimizer], "precision": precision, "accumulate": micro_batches}
    return any_batch(network(model), SAMPLE_SHAPES[model], gpu=gpu, checkpoint=checkpoint == "on", **how)


def network(model: str) -> nn.Module:
    """One of the models in `SAMPLE_SHAPES`, on the device "meta", where tensors have a shape and no bytes.

    The layers of the small ones stand in blocks, from one Linear or convolution to the next, for checkpointing. Raises
    `Problem` for another name.
    """
    return _built(one_of("model", model, tuple(SAMPLE_SHAPES)))


@cache
def _built(model: str) -> nn.Module:
    with models.without_bytes():
        if model == "ResNet-18":
            from torchvision.models import resnet18

            return resnet18()
        if model == "colours CNN":
            return models.in_blocks(models.deep_cnn(SAMPLE_SHAPES[model], 32, 3))
        return models.in_blocks(
            models.deep_mlp(SAMPLE_SHAPES[model], *{"wide MLP": (4096, 3), "digits MLP": (256, 1)}[model])
        )
