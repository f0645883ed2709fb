"""B16 to B18: the largest batch, mixed precision, and gradient accumulation."""

from helpers import memory, models, recorded
from helpers.accumulate import accumulate
from helpers.claims.records import Case, Claim, Figure, Measured
from helpers.claims.tools import RECORDED, bounded
from helpers.memory import Trace
from helpers.units import GIB, MIB
from helpers.will_it_fit import SAMPLE_SHAPES, network

_DOCS = "https://docs.pytorch.org/docs/stable"
_NETS = (("ResNet-18", 32), ("wide MLP", 512))
_CARD = memory.SimulatedGpu("RTX 3070")


def measure_b16() -> Measured:
    """The largest batch by the line through two traces and by a search; and what B = 1 needs below the kink."""
    deep = memory.any_batch(network("ResNet-18"), SAMPLE_SHAPES["ResNet-18"], gpu=_CARD.name)
    wide = memory.any_batch(network("wide MLP"), SAMPLE_SHAPES["wide MLP"])
    line, found = _by_the_line(deep, _CARD.room), memory.max_batch_of(deep, _CARD.room)
    line_wide, found_wide = _by_the_line(wide, 2 * GIB), memory.max_batch_of(wide, 2 * GIB)
    alone = wide(1).peak / wide(2048).peak
    table = recorded.rows("limit")
    off = [int(row["straight line"]) / int(row["measured batch"]) - 1 for row in table]
    return Measured(
        f"ResNet-18: {line} by the sum, {found} by the search; wide MLP: {line_wide:,} and {found_wide:,}",
        (
            Figure("ResNet-18 by the sum", line),
            Figure("ResNet-18 by the search", found),
            Figure("wide MLP by the sum", line_wide),
            Figure("wide MLP by the search", found_wide),
            Figure("wide MLP: peak at B = 1 over that at 2,048", alone),
            Figure("sum over measured, least", 100 * min(off), "% too many", RECORDED),
            Figure("sum over measured, most", 100 * max(off), "% too many", RECORDED),
        ),
        (
            Case("ResNet-18, backward has the peak: right to 25 %", abs(line / found - 1) < 0.25),
            Case("ten settings on an H100: right to 25 %", max(map(abs, off)) < 0.25),
            Case("wide MLP, two traces from below the kink: right to 25 %", line_wide / found_wide < 1.25, meant=False),
            Case("wide MLP below the kink: B = 1 saves a tenth or more", alone < 0.9, meant=False),
        ),
    )


def _by_the_line(at: object, room: int) -> int:
    """The largest batch by the line through the peaks at B = 64 and 128."""
    low, high = at(64).peak, at(128).peak
    each = (high - low) / 64
    return int((room - low + 64 * each) // each)


def measure_b17() -> Measured:
    """Peak with bf16 autocast over that in fp32, for two networks with SGD; time on a GPU as it was recorded."""
    memories = {f"{name}, B = {b}": {how: _trace(name, b, how) for how in ("fp32", "bf16")} for name, b in _NETS}
    share = {name: found["bf16"].peak / found["fp32"].peak for name, found in memories.items()}
    deep = memories["ResNet-18, B = 32"]
    stay = all(deep["bf16"].most[part] == deep["fp32"].most[part] for part in ("parameters", "gradients", "batch"))
    spent = _spent()
    speed = {key[:2]: spent[*key[:2], "as it is"] / spent[key] for key in spent if key[2] == "bf16"}
    mib = {name: [found[how].peak / MIB for how in ("fp32", "bf16")] for name, found in memories.items()}
    said = [f"{net[0]} {before:.0f} to {after:.0f}" for net, (before, after) in zip(_NETS, mib.values(), strict=True)]
    return Measured(
        f"{', '.join(said)} MiB; H100, recorded: speed x {min(speed.values()):.1f} to {max(speed.values()):.0f}",
        (
            *(
                Figure(f"{name}, {how}", size, "MiB")
                for name, sizes in mib.items()
                for how, size in zip(("fp32", "bf16"), sizes, strict=True)
            ),
            *(Figure(f"speed of bf16, {name}, B = {b}", by, "times", RECORDED) for (name, b), by in speed.items()),
        ),
        (
            *(Case(f"{name}: half the peak (0.45 to 0.55)", 0.45 < part < 0.55) for name, part in share.items()),
            *(Case(f"{name}, B = {b}, H100: speed x 1.8 to 2.2", 1.8 < by < 2.2) for (name, b), by in speed.items()),
            Case("parameters, gradients and batch become smaller", not stay),
        ),
    )


def _spent() -> dict[tuple[str, str, str], float]:
    """Milliseconds of a step on the H100, by network, batch size and lever."""
    return {(row["model"], row["B"], row["lever"]): float(row["ms/step"]) for row in recorded.rows("levers")}


def _trace(name: str, batch_size: int, precision: str) -> Trace:
    return memory.trace(network(name), SAMPLE_SHAPES[name], batch_size, optimizer="sgd", precision=precision)


def measure_b18() -> Measured:
    """Accumulated gradients against those of the batch, right and with its mistakes; memory and time."""
    error = {
        "4 x 16, divided by k": accumulate(16, "divided by k").error,
        "24, 24, 16, weighted": accumulate(24, "weighted by its size").error,
        "4 x 16, not divided": accumulate(16, "as it is").error,
        "24, 24, 16, divided by k": accumulate(24, "divided by k").error,
        "4 x 16, BatchNorm": accumulate(16, "divided by k", "with BatchNorm").error,
    }
    cnn = models.cnn((3, 32, 32), 32)
    peak = {k: memory.trace(cnn, (3, 32, 32), 512, accumulate=k).peak for k in (1, 4)}
    spent = _spent()
    slower = [spent[key] / spent[*key[:2], "as it is"] for key in spent if key[2] == "accumulate 4"]
    exact = list(error)[:2]
    return Measured(
        f"error {bounded(max(error[name] for name in exact), 1e-12)}; not divided {error['4 x 16, not divided']:.0f}, "
        f"24 + 24 + 16 {error['24, 24, 16, divided by k']:.2f}, BatchNorm {error['4 x 16, BatchNorm']:.2f}",
        (
            *(Figure(f"relative error, {name}", value) for name, value in error.items()),
            Figure("peak with k = 4 over that of the batch, CNN", peak[4] / peak[1]),
            Figure("time with k = 4, least", min(slower), "times", RECORDED),
            Figure("time with k = 4, most", max(slower), "times", RECORDED),
        ),
        tuple(Case(f"{name}: the batch's gradient", value < 1e-12, name in exact) for name, value in error.items()),
    )


CLAIMS = (
    Claim(
        "B16",
        ("09",),
        "out of memory: reduce the batch; the largest is (capacity - fixed) / per sample",
        "holds if backward has the peak",
        (("PyTorch: FAQ", f"{_DOCS}/notes/faq.html"),),
        measure_b16,
        "the largest batch is (capacity - fixed) / per sample",
    ),
    Claim(
        "B17",
        ("09",),
        "AMP: memory halves, speed doubles",
        "wrong as said",
        (("PyTorch: autocast", f"{_DOCS}/amp.html"),),
        measure_b17,
        verdict="wrong as said",
    ),
    Claim(
        "B18",
        ("09",),
        "gradient accumulation: 4 x 16 acts like 64",
        "holds if weighted, without BatchNorm",
        (("PyTorch: AMP examples", f"{_DOCS}/notes/amp_examples.html"),),
        measure_b18,
    ),
)
