"""B19 to B21: small and large batches in training, and the balance of memory, time and accuracy."""

from statistics import mean

from torch import nn

from helpers import batch_size, capstone, noise, recorded
from helpers.claims.records import Case, Claim, Figure, Measured
from helpers.claims.tools import RECORDED
from helpers.units import MIB

_SWEEP, _RATE = "stored sweep", "digits, low rate"


def measure_b19() -> Measured:
    """Gradient noise now; examples and steps down to one loss as they were stored; images a second on a GPU."""
    every = noise.samples_at("at the start")
    noisy = every.noise(1) / every.noise(64)
    fixed, linear = (
        {line.batch_size: line for line in batch_size.needed(_RATE, rule).lines} for rule in ("fixed", "linear")
    )
    steps, images = linear[4].steps / linear[256].steps, fixed[16].examples / fixed[256].examples
    rate = {int(row["B"]): float(row["samples/s"]) for row in recorded.rows("speed")}
    wasted = rate[1] / rate[1024]
    return Measured(
        f"noise x {noisy:.0f} at B = 1 against 64; to one loss, B = 16 needs x {images:.2f} images of 256 (stored)",
        (
            Figure("noise of B = 1 over that of B = 64", noisy, "times"),
            Figure("steps, B = 4 over B = 256, linear rule", steps, "times", _SWEEP),
            Figure("images, B = 16 over B = 256, fixed rate", images, "times", _SWEEP),
            Figure("images a second in training, B = 1 over B = 1,024", wasted, "", RECORDED),
        ),
        (
            Case("the gradient of a small batch is noisier", noisy > 2),
            Case("slower in steps, with the linear rule", steps > 1.5),
            Case("slower in images, with a fixed rate", images > 1.5),
            Case("wastes the GPU: under a tenth of the images a second", wasted < 0.1),
        ),
    )


def measure_b20() -> Measured:
    """Noise of a large batch now; sharpness and test accuracy over five seeds as they were stored."""
    every = noise.samples_at("at the start")
    precise = every.noise(1024) / every.noise(64)
    sharp = {rule: _sharper(batch_size.endings(_RATE, rule)) for rule in ("fixed", "linear")}
    worse = {at: _worse(batch_size.endings(_RATE, at=at)) for at in batch_size.MOMENTS}
    said = {at: f"after the same {at}" if at != "loss" else "at the same loss" for at in batch_size.MOMENTS}
    return Measured(
        f"sharpness, largest B / smallest: {sharp['fixed'][0]:.1f}, linear rule {sharp['linear'][0]:.1f} (stored)",
        (
            Figure("noise of B = 1,024 over that of B = 64", precise),
            *(
                Figure(f"sharpness, largest B over smallest, {rule} rate", by, "times", _SWEEP)
                for rule, (by, _) in sharp.items()
            ),
            *(
                Figure(f"accuracy, largest B less than B = 64, {said[at]}", points, "points", _SWEEP)
                for at, (points, _) in worse.items()
            ),
        ),
        (
            Case("the gradient of a large batch is more precise", precise < 0.5),
            *(Case(f"sharper, {rule} rate, in all five seeds", sure) for rule, (_, sure) in sharp.items()),
            *(Case(f"less accurate {said[at]}, in all five seeds", sure) for at, (_, sure) in worse.items()),
        ),
    )


def _sharper(endings: object) -> tuple[float, bool]:
    """Sharpness at the largest B over that at the smallest, and whether all seeds agree."""
    first, last = endings.there[0].sharpness, endings.there[-1].sharpness
    return mean(last) / mean(first), min(last) > max(first)


def _worse(endings: object) -> tuple[float, bool]:
    """Points of accuracy that the largest B has less than B = 64, and whether all seeds agree."""
    first = next(row.accuracy for row in endings.there if row.batch_size == 64)
    last = endings.there[-1].accuracy
    return 100 * (mean(first) - mean(last)), max(last) < min(first)


def measure_b21() -> Measured:
    """The peak of the capstone's networks: depth with and without pooling, the batch, and the batch in parts."""

    def peak(**how: object) -> float:
        return capstone.preview(capstone.Design(**how)).peak / MIB

    def unpooled(depth: int) -> nn.Sequential:
        maps = [layer for n in range(depth) for layer in (nn.Conv2d(16 if n else 3, 16, 3, padding=1), nn.ReLU())]
        return nn.Sequential(*maps, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))

    pooled = peak(depth=1), peak(depth=5)
    flat = peak(network=lambda: unpooled(1)), peak(network=lambda: unpooled(5))
    whole, parts = peak(), peak(micro_batches=4)
    return Measured(
        f"1 to 5 convolutions: {pooled[0]:.1f} to {pooled[1]:.1f} MiB pooled, {flat[0]:.1f} to {flat[1]:.1f} not",
        (
            *(Figure(f"depth {depth}, pooling", size, "MiB") for depth, size in zip((1, 5), pooled, strict=True)),
            *(Figure(f"depth {depth}, no pooling", size, "MiB") for depth, size in zip((1, 5), flat, strict=True)),
            Figure("64 images", whole, "MiB"),
            Figure("64 images in 4 parts", parts, "MiB"),
        ),
        (
            Case("a quarter of the batch takes less than half of the memory", peak(batch_size=16) < 0.5 * whole),
            Case("depth takes memory, nothing pooled", flat[1] > 1.5 * flat[0]),
            Case("depth takes memory, with pooling", pooled[1] > 1.5 * pooled[0]),
            Case("the memory of 64 images goes with a batch of 64", parts > 0.9 * whole),
        ),
    )


CLAIMS = (
    Claim(
        "B19",
        ("11",),
        "small batch: noisy gradients, escapes local minima, converges slowly, wastes the GPU",
        "imprecise: slow by some clocks only",
        (
            (
                "Shen: Effect of batch size",
                "https://medium.com/mini-distill/effect-of-batch-size-on-training-dynamics-21c14f7a716e",
            ),
        ),
        measure_b19,
        "small batch: noisy gradients, converges slowly, wastes the GPU",
        "imprecise",
    ),
    Claim(
        "B20",
        ("11",),
        "large batch: precise gradients, stable, efficient, may end in sharp minima and generalise a little worse",
        "imprecise: B alone decides neither",
        (("Keskar et al.", "https://arxiv.org/abs/1609.04836"),),
        measure_b20,
        "large batch: precise gradients, sharp minima, generalises a little worse",
        "imprecise",
    ),
    Claim(
        "B21",
        ("12",),
        "memory management is a balance of depth, batch size and speed",
        "imprecise",
        (("PyTorch: tuning guide", "https://docs.pytorch.org/tutorials/recipes/recipes/tuning_guide.html"),),
        measure_b21,
        verdict="imprecise",
    ),
)
