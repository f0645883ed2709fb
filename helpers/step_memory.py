"""The memory of one training step for the models of the memory panels: their record, and where it comes from."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from torch import nn

from helpers import models
from helpers.memory import CATEGORIES, Trace, any_batch, crossover_of, trace
from helpers.problems import one_of, true_or_false, whole_number
from helpers.units import exact_and_readable, readable

LARGEST_B = 8192
WIDTHS = (8, 1024)
DEPTHS = (1, 4)
OPTIMIZERS = ("adam", "sgd", "momentum", "adamw")
PRECISIONS = ("fp32", "bf16", "fp16")
#: The phases as a reader of the code calls them.
PHASE_NAMES = {"forward": "forward", "backward": "backward", "step": "step()"}
_RESNET = "ResNet-18"
#: One sample of each model.
SAMPLE_SHAPES = {
    "digits MLP": (1, 28, 28),
    "colours MLP": (3, 32, 32),
    "colours CNN": (3, 32, 32),
    _RESNET: (3, 224, 224),
}


@dataclass(frozen=True)
class StepMemory:
    """One training step of one model, and what is said about it."""

    trace: Trace
    crossover: int | None = None  #: the batch size where the batch is the larger part; None if nobody asked
    title: str = ""  #: the model's layers and parameters
    settings: str = ""  #: optimizer and precision
    model: str = ""  #: its name, one of `SAMPLE_SHAPES`

    @cached_property
    def shown(self) -> list[str]:
        """The categories in the order in which they are stacked: all, but workspace only where there is some."""
        return [name for name in CATEGORIES if name != "workspace" or self.trace.most[name]]

    @property
    def where(self) -> str:
        """Where the peak is: `step(), operation _foreach_sqrt`."""
        layer = f", at {self.trace.peak_layer}" if self.trace.peak_layer else ""
        return f"{PHASE_NAMES[self.trace.peak_phase]}{layer}, operation {self.trace.peak_op}"

    @property
    def heading(self) -> tuple[str, str, str]:
        """Three lines: the model; the peak and its largest part; where it is."""
        step = self.trace
        peak = f"B = {step.batch_size:,}: peak {exact_and_readable(step.peak)}, largest part: {step.largest}"
        return self.title, peak, f"{self.settings}: in {self.where}" if self.settings else f"in {self.where}"

    @property
    def peak_sentence(self) -> str:
        """The peak in words: how much, where, of what."""
        step = self.trace
        parts = ", ".join(f"{name} {readable(size)}" for name, size in step.at_peak.items() if size)
        size = exact_and_readable(step.peak)
        return f"B = {step.batch_size:,}: peak {size} in {self.where}: {parts}; largest: {step.largest}."

    @property
    def bytes_sentence(self) -> str:
        """Every category at the peak, to the byte."""
        sizes = self.trace.at_peak
        return f"In bytes: {', '.join(f'{name} {sizes[name]:,}' for name in self.shown)}."

    @property
    def crossover_sentence(self) -> str:
        """On which side of the crossover the batch size is."""
        now, at = self.trace.batch_size, self.crossover
        side = "below" if now < at else "above" if now > at else "exactly there"
        return (
            "Batch and activations weigh as much as parameters, gradients and optimizer state "
            f"from B = {at:,} on; B = {now:,} is {side}."
        )

    @property
    def phases(self) -> list[str]:
        """The highest point of each phase that ran: `forward 2.65 MiB`."""
        return [f"{PHASE_NAMES[phase]} {readable(size)}" for phase, size in self.trace.peaks.items()]

    @property
    def sentence(self) -> str:
        """The peak, and the crossover where it is known, or else the phases."""
        start = f"{self.model}, {self.settings}, " if self.model else ""
        phases = f"Highest in each phase: {', '.join(self.phases)}."
        more = phases if self.crossover is None else self.crossover_sentence
        hint = " Width and depth do not apply." if self.model == _RESNET else ""
        return f"{start}{self.peak_sentence} {more}{hint}"


def step_memory(
    model: str,
    batch_size: int,
    width: int = 256,
    depth: int = 1,
    optimizer: str = "adam",
    precision: str = "fp32",
    with_crossover: bool = False,
) -> StepMemory:
    """One training step of one of the models in `SAMPLE_SHAPES`, without allocating it.

    The MLPs have `depth` hidden layers of `width` units, the CNN `depth` convolutions with `width` filters; ResNet-18
    has neither. What was learnt about the last 64 settings is kept, so that another batch size takes a moment only.
    Raises `Problem` for a value that is not allowed.
    """
    batch_size = whole_number("batch_size", batch_size, 1, LARGEST_B)
    steps = _steps(model, width, depth, optimizer, precision)
    crossover = steps.crossover if true_or_false("with_crossover", with_crossover) else None
    return StepMemory(steps.at(batch_size), crossover, steps.title, f"{optimizer}, {precision}", model)


def is_slow(
    model: str,
    width: int = 256,
    depth: int = 1,
    optimizer: str = "adam",
    precision: str = "fp32",
    with_crossover: bool = False,
) -> bool:
    """Whether `step_memory` takes longer than a moment for these settings."""
    known = "every_batch" in vars(_steps(model, width, depth, optimizer, precision))
    return not known and (true_or_false("with_crossover", with_crossover) or model == _RESNET)


class _Steps:
    """The steps of one model with one optimizer and precision, at every batch size."""

    def __init__(self, model: str, width: int, depth: int, optimizer: str, precision: str):
        self.model, self.width, self.depth = model, width, depth
        self.how = {"optimizer": optimizer, "precision": precision}
        self.first: int | None = None

    @cached_property
    def network(self) -> nn.Module:
        """The model on the device "meta", where tensors have a shape and no bytes."""
        with models.without_bytes():
            if self.model == _RESNET:
                from torchvision.models import resnet18

                return resnet18()
            build = models.deep_cnn if self.model == "colours CNN" else models.deep_mlp
            return build(SAMPLE_SHAPES[self.model], self.width, self.depth)

    @cached_property
    def title(self) -> str:
        if self.model == _RESNET:
            layers = " for 3 x 224 x 224 (width and depth do not apply)"
        elif self.model == "colours CNN":
            layers = f", {self.depth} x (conv with {self.width} filters, ReLU, max-pool), Linear"
        else:
            sizes = (self.network[1].in_features, *[self.width] * self.depth, 10)
            layers = f", {' → '.join(map(str, sizes))}"
        return f"{self.model}{layers}: {models.parameter_count(self.network):,} parameters"

    @cached_property
    def every_batch(self) -> Callable[[int], Trace]:
        return any_batch(self.network, SAMPLE_SHAPES[self.model], **self.how)

    @cached_property
    def crossover(self) -> int:
        return crossover_of(self.every_batch)

    def at(self, batch_size: int) -> Trace:
        """The first batch size is traced by itself; with a second one it pays to learn about all of them."""
        self.first = self.first or batch_size
        if "every_batch" not in vars(self) and batch_size == self.first:
            return trace(self.network, SAMPLE_SHAPES[self.model], batch_size=batch_size, **self.how)
        return self.every_batch(batch_size)


def _steps(model: str, width: int, depth: int, optimizer: str, precision: str) -> _Steps:
    one_of("model", model, tuple(SAMPLE_SHAPES))
    width, depth = whole_number("width", width, *WIDTHS), whole_number("depth", depth, *DEPTHS)
    one_of("optimizer", optimizer, OPTIMIZERS)
    one_of("precision", precision, PRECISIONS)
    return _remembered(model, *((0, 0) if model == _RESNET else (width, depth)), optimizer, precision)


_remembered = lru_cache(maxsize=64)(_Steps)
