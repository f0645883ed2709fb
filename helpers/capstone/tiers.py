"""The three goals of the capstone, each a balance of accuracy, memory and time."""

from dataclasses import dataclass

from helpers.units import MIB, readable

#: What time is counted in, so that it is fair on every machine: measured in turns with the training.
UNIT = "default epochs"


@dataclass(frozen=True)
class Tier:
    """One goal: all three must be met by the same run."""

    name: str
    accuracy: float  #: share of the test images, from 0 to 1, at least
    bytes: int  #: of the peak, at most
    time: float  #: in `UNIT`, at most

    @property
    def sentence(self) -> str:
        """The goal in words."""
        return (
            f"{self.name}: {self.accuracy:.0%} of the test images right, at most {readable(self.bytes)} at the peak, "
            f"in the time of at most {self.time:g} {UNIT}"
        )


#: So far apart that no design that we know reaches two with most seeds. `benchmarks/tiers.py` measures it.
TIERS = {
    tier.name: tier
    for tier in (
        Tier("quick", accuracy=0.80, bytes=8 * MIB, time=1),
        Tier("small", accuracy=0.80, bytes=MIB * 3 // 8, time=12),
        Tier("sharp", accuracy=0.97, bytes=MIB * 5 // 2, time=7),
    )
}
