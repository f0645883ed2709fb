"""What a design will need, traced: at once, and without training."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from torch import nn

from helpers.capstone.design import Design, a_design, build
from helpers.capstone.tiers import TIERS
from helpers.memory import Trace, trace
from helpers.memory.step import MOST_MICRO_BATCHES, blocks
from helpers.models import without_bytes
from helpers.problems import Problem, whole_number, whole_numbers
from helpers.step_memory import PHASE_NAMES
from helpers.units import exact_and_readable, readable

SAMPLE_SHAPE, CLASSES = (3, 32, 32), 10  #: of the colour images


@dataclass(frozen=True, repr=False)
class Preview:
    """The memory of one training step of a design, on the simulated GPU."""

    design: Design
    trace: Trace
    sample_shape: tuple[int, ...] = SAMPLE_SHAPE
    classes: int = CLASSES

    @property
    def peak(self) -> int:
        """The most bytes alive at once."""
        return self.trace.peak

    @property
    def phase(self) -> str:
        """Where the peak is: forward, backward or step()."""
        return PHASE_NAMES[self.trace.peak_phase]

    @property
    def at_peak(self) -> dict[str, int]:
        """What the peak is made of: bytes of every category."""
        return self.trace.at_peak

    @property
    def fits(self) -> tuple[str, ...]:
        """The tiers whose memory is enough."""
        return tuple(name for name, tier in TIERS.items() if self.peak <= tier.bytes)

    @cached_property
    def levers(self) -> dict[str, int]:
        """By name, the peak with that one lever pulled one notch further."""
        found = {}
        for notches in levers(self.design).values():
            found |= self._peaks(notches[:1])
        return found

    def enough(self, room: int) -> dict[str, int]:
        """By name, the peak with one lever pulled so far that it comes down to `room`, for each lever that can."""
        found, over = {}, self.peak / room
        for kind, notches in levers(self.design).items():
            # Neither half a batch nor twice the micro-batches saves more than half, so the first notches are not tried.
            tried = [one for one in notches if kind not in PARTS or one.micro_batch * over <= self.design.micro_batch]
            for notch in tried:
                peaks = {name: peak for name, peak in self._peaks([notch]).items() if peak <= room}
                if peaks:
                    found |= peaks
                    break
        return found

    @property
    def strongest(self) -> tuple[str, int]:
        """The one lever that, pulled to its end, brings the peak down most: its name, and the peak; "" if none does."""
        found = {"": self.peak}
        for notches in levers(self.design).values():
            found |= self._peaks(notches[-1:])
        name = min(found, key=found.get)
        return name, found[name]

    def _peaks(self, notches: "list[Notch]") -> dict[str, int]:
        found = {}
        for notch in notches:
            try:
                found[notch.name] = _peak(notch.design, self.sample_shape, self.classes)
            except Problem:  # a network of one's own may have no blocks for checkpointing
                continue
        return found

    @property
    def sentence(self) -> str:
        """All of it."""
        parts = ", ".join(f"{name} {readable(size)}" for name, size in self.at_peak.items() if size)
        tiers = f"Enough for {' and '.join(self.fits)}" if self.fits else "Too much for every tier"
        if (self.sample_shape, self.classes) != (SAMPLE_SHAPE, CLASSES):
            tiers = f"Largest: {self.trace.largest}"
        seen = f", images {self.sample_shape}" if self.design.network is not None else ""
        what = f"{self.design.sentence}{seen}"
        return f"{what}: peak {exact_and_readable(self.peak)} in {self.phase}, of which {parts}. {tiers}."

    def __repr__(self) -> str:
        return self.sentence


@dataclass(frozen=True)
class Notch:
    """A design with one lever pulled, and what that is called."""

    name: str
    design: Design

    @property
    def micro_batch(self) -> int:
        return self.design.micro_batch


PARTS = ("micro_batches", "batch_size")  #: levers that make a micro-batch smaller


def levers(design: Design) -> dict[str, list[Notch]]:
    """Each lever that saves memory with its notches, the weakest first.

    First come those after which the same is learned, and which take more time; the others change what is learned.
    """

    def notches(name: str, values: Iterable[object]) -> list[Notch]:
        return [Notch(f"{name}={value!r}", replace(design, **{name: value})) for value in values]

    batch, parts = design.batch_size, design.micro_batches
    found = {
        "micro_batches": notches("micro_batches", (k for k in _divisors(batch) if parts < k <= MOST_MICRO_BATCHES)),
        "checkpointing": notches("checkpointing", () if design.checkpointing else (True,)),
        "precision": notches("precision", ("bf16",) if design.precision == "fp32" else ()),
        "batch_size": notches("batch_size", (b for b in reversed(_divisors(batch)) if b < batch and b % parts == 0)),
        "optimizer": notches("optimizer", () if design.optimizer == "sgd" else ("sgd",)),
        "width": notches("width", _halves(design.width) if design.network is None else ()),
    }
    return {kind: some for kind, some in found.items() if some}


def _divisors(number: int) -> list[int]:
    return [k for k in range(1, number + 1) if number % k == 0]


def _halves(number: int) -> list[int]:
    return [number // 2**n for n in range(1, number.bit_length())]


def preview(design: Design, sample_shape: tuple[int, ...] = SAMPLE_SHAPE, classes: int = CLASSES) -> Preview:
    """Trace one step of a design; nothing is trained.

    sample_shape, classes: of the images; those of the colour images if not given. Raises `Problem` for what is no
    design, and where `memory.trace` refuses the network.
    """
    design = a_design(design)
    shape = whole_numbers("sample_shape", sample_shape, 1, "one image's shape, for example (3, 32, 32)", range(1, 8))
    classes = whole_number("classes", classes, 1, 100_000)
    if design.network is None:
        return _of_the_course(design, shape, classes)
    return Preview(design, traced(build(design, shape, classes), design, shape), shape, classes)


def traced(network: nn.Module, design: Design, sample_shape: tuple[int, ...], device: str = "cuda") -> Trace:
    """`memory.trace` of a step with this network in the way of this design."""
    if design.checkpointing and not blocks(network):
        raise Problem(
            "checkpointing=True runs blocks again in backward, which this model does not have; group its layers in "
            "inner nn.Sequential modules, as in nn.Sequential(nn.Sequential(a, b), nn.Sequential(c, d))."
        )
    return trace(network, sample_shape, design.batch_size, device=device, **design.settings)


@lru_cache(maxsize=512)
def _of_the_course(design: Design, sample_shape: tuple[int, ...], classes: int) -> Preview:
    with without_bytes():
        network = build(design, sample_shape, classes)
    return Preview(design, traced(network, _few(design), sample_shape), sample_shape, classes)


def _few(design: Design) -> Design:
    """With two micro-batches at most: a network that keeps nothing for itself needs as much in each after these."""
    parts = min(design.micro_batches, 2)
    return replace(design, micro_batches=parts, batch_size=parts * design.micro_batch)


def _peak(design: Design, sample_shape: tuple[int, ...], classes: int) -> int:
    """The peak alone, of a design that was traced whole before."""
    return preview(_few(design), sample_shape, classes).peak
