"""The peak of a training step against the batch size, and what it consists of."""

from collections.abc import Callable, Sequence

from helpers.figures.base import COLOURS, Picture
from helpers.figures.charts import curves
from helpers.memory import Trace, crossover_of
from helpers.memory.limits import FIXED
from helpers.problems import instance_of, whole_numbers
from helpers.units import MIB

_LOOK = ("#000000", *(COLOURS[name] for name in ("parameters", "activations", "batch")))  # of the four lines


def peak_against_batch(at: Callable[[int], Trace], batches: Sequence[int], title: str) -> Picture:
    """Four lines: the peak, the part that is the same for every batch size, what grows, and of it the batch alone.

    at: what `helpers.memory.any_batch` gave. batches: up to 8 batch sizes. title: the model's name. Each category
    counts with the most that it has during the step, as for the crossover, which is marked. Raises `Problem` for
    anything else.
    """
    batches = sorted(set(whole_numbers("batches", batches, 1, "batch sizes, for example (1, 8, 64)", range(1, 9))))
    instance_of("title", title, str, '"my model"')
    crossover = crossover_of(at)
    lines: dict[str, dict[int, float]] = {}
    for b in batches:
        peak, most = at(b).peak, at(b).most
        grows, fixed = most["batch"] + most["activations"], sum(most[name] for name in FIXED)
        parts = {"peak": peak, "fixed part": fixed, "batch + activations": grows, "batch alone": most["batch"]}
        for name, size in parts.items():
            lines.setdefault(name, {})[b] = size / MIB
    last = ", ".join(f"{name} {line[batches[-1]]:,.1f} MiB" for name, line in lines.items())
    sentence = (
        f"{title}: batch and activations weigh as much as the fixed part from B = {crossover:,} on. "
        f"At B = {batches[-1]:,}: {last}."
    )
    marks = {f"crossover {crossover:,}": crossover}
    return curves(lines, "batch size B", "MiB", sentence, "xy", marks, dict(zip(lines, _LOOK, strict=True)))
