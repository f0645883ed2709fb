"""The checks of lesson 12: a design for each tier, judged by a real training, and a network of one's own."""

import re
from functools import lru_cache, partial

import torch
from torch import nn

from helpers import capstone
from helpers.check.core import Goal, Tried, exercise, kind, normal
from helpers.check.guard import attempt
from helpers.memory import trace
from helpers.problems import Problem, said
from helpers.units import MIB, readable

_judged = lru_cache(maxsize=64)(capstone.judge)  # the same design again takes no time again


def _lacks(tier: capstone.Tier, design: capstone.Design) -> str | None:
    """What a design lacks for a tier: memory first, which is known without training; then accuracy and time."""
    own = design.network is not None  # it may change between two calls
    try:
        before = capstone.preview(design)
        if before.peak > tier.bytes:
            over = f"{readable(before.peak - tier.bytes)} more than {tier.name} allows ({readable(tier.bytes)})"
            levers = [f"{name} ({readable(peak)})" for name, peak in before.enough(tier.bytes).items()]
            hint = f" Enough alone would be {' or '.join(levers)}." if levers else " No lever alone is enough."
            return (
                f"not trained yet: the peak is {readable(before.peak)} in {before.phase}, {over}. Largest part: "
                f"{before.trace.largest}.{hint}"
            )
        report = (capstone.judge if own else _judged)(design)
    except Problem as problem:
        return said(problem)
    return None if tier.name in report.reached else _missed(tier, report)


def _missed(tier: capstone.Tier, report: capstone.Report) -> str:
    """What a run that had room did not reach, and what may help."""
    lacks = [report.stopped] if report.stopped else []
    lacks += [f"The judge found out: {one}" for one in report.findings[:2]]
    if report.accuracy < tier.accuracy:
        lacks.append(
            f"{report.accuracy:.1%} of the test images are right, asked are {tier.accuracy:.0%}."
            + ("" if report.stopped or report.findings else f" {report.advice}")
        )
    if report.time > tier.time:
        lacks.append(
            f"It took {report.time:.2f} default epochs, allowed are {tier.time:g}. Fewer epochs, a smaller network or "
            "larger micro-batches take less."
        )
    left = [f"{readable(tier.bytes - report.peak)} of memory"] * (report.peak < tier.bytes)
    left += [f"{tier.time - report.time:.1f} default epochs"] * (report.time < tier.time)
    return " ".join([*lacks, *([f"Left are {' and '.join(left)}."] if left else [])])


def _goal(name: str, praise: str) -> Goal:
    tier = capstone.TIERS[name]
    return Goal(
        name,
        partial(_lacks, tier),
        praise,
        kinds=(capstone.Design,),
        example=f"{name} = capstone.Design(width=8)",
        asks=f"A design that reaches the tier {tier.sentence}",
    )


quick = _goal("quick", "one epoch is enough, if it is used well.")
small = _goal("small", "little memory, and still well trained.")
sharp = _goal("sharp", "all three at once: that is the capstone.")

ROOM = 10 * MIB  #: for a step of one's own network with a batch of 64 and Adam


def _runs(tried: Tried) -> str | None:
    """What goes wrong when batches of several sizes run through the network."""
    sample_shape, classes = tried.arguments
    for b in (2, 1, 5):
        outcome = attempt(torch.no_grad()(tried.got), normal(b, *sample_shape), waiting_for="the network")
        product = re.search(r"mat1 and mat2 .*?\((\d+)x", outcome.error)
        if product and int(product[1]) != b:
            return (
                f"a batch of {b} fails{outcome.error}. The Linear got {product[1]} rows for {b} images: nn.Flatten() "
                "must come before it."
            )
        if product:
            return (
                f"a batch of {b} fails{outcome.error}. in_features of the first Linear must follow sample_shape; "
                "AdaptiveAvgPool2d(1) before Flatten leaves one number for each channel, whatever H and W are."
            )
        if "channels" in outcome.error:
            return f"a batch of {b} fails{outcome.error}. The first convolution takes sample_shape[0] channels."
        if outcome.error:
            return f"a batch of {b} fails{outcome.error}."
        if kind(outcome.result) != f"tensor of shape {(b, classes)}":
            return f"a batch of {b} comes out as {kind(outcome.result)}, expected shape {(b, classes)}."
        if outcome.result.min() >= 0 and torch.allclose(outcome.result.sum(1), torch.ones(b), atol=1e-4):
            return (
                "the numbers of each image add up to 1: probabilities, not logits. cross_entropy does the softmax "
                "itself; leave it out."
            )
    return None


def _fits(tried: Tried) -> str | None:
    """How much more than `ROOM` a training step takes."""
    try:
        step = trace(tried.got, tried.arguments[0], 64, optimizer="adam")
    except Problem as problem:
        return f"it cannot be traced: {said(problem)}"
    if step.peak <= ROOM:
        return None
    hint = "Fewer filters, or stride=2 in the first convolution, make its results smaller."
    if step.peak_phase == "step":
        hint = "The peak is in step(): fewer parameters, most of them in a Linear."
    return (
        f"it runs, but a step with a batch of 64 and Adam peaks at {readable(step.peak)}, "
        f"{readable(step.peak - ROOM)} too much; largest part: {step.largest}. {hint}"
    )


def _coach(tried: Tried) -> str | None:
    if not any(True for _ in tried.got.parameters()):
        message = "it has no parameters, so it cannot learn."
    elif any(nn.parameter.is_lazy(parameter) for parameter in tried.got.parameters()):
        message = "lazy layers wait for a batch to learn their sizes. Compute them here, from sample_shape."
    else:
        message = _runs(tried) or _fits(tried)
    return message and f"own_network{tried.arguments}: {message}"


@exercise(
    cases=[((3, 48, 48), 3), ((3, 32, 32), 10), ((1, 28, 28), 7)],
    praise="any picture, any number of classes, and little memory.",
    crashes={
        "values to unpack": "sample_shape has three sizes: channels, height, width = sample_shape.",
        "is not a Module subclass": "Make every layer with brackets, as in nn.ReLU(); commas between them, no list.",
    },
    coach=_coach,
)
def own_network(sample_shape, classes):
    """sample_shape and classes in; a network out that takes (B, *sample_shape), returns (B, classes), in 10 MiB."""
    first, second = nn.Conv2d(sample_shape[0], 16, 3, 2, 1), nn.Conv2d(16, 32, 3, 2, 1)
    pool = (nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), *pool, nn.Linear(32, classes))
