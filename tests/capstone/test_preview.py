"""What a design will need, traced; and which decisions it can have."""

from dataclasses import fields, replace

import pytest
from test_doors import HOSTILE
from tools import problem, refused
from torch import nn

from helpers import memory, models
from helpers.capstone import TIERS, Design, preview
from helpers.capstone.preview import levers
from helpers.problems import Problem

SHAPE = (3, 32, 32)


def test_the_peak_is_that_of_memory_trace():
    design = Design(width=8, batch_size=32, micro_batches=4, optimizer="adam", precision="bf16", checkpointing=True)
    network = models.in_blocks(models.deep_cnn(SHAPE, 8, 2))
    how = {"optimizer": "adam", "precision": "bf16", "accumulate": 4, "checkpoint": True}
    whole = memory.trace(network, SHAPE, 32, **how)
    own = preview(replace(design, network=lambda: network))
    assert own.trace == whole and "a network of your own" in own.sentence
    assert (own.peak, own.phase, own.at_peak) == (whole.peak, "backward", whole.at_peak)
    assert sum(own.at_peak.values()) == own.peak


@pytest.mark.parametrize("parts", [1, 2, 3, 12])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_of_the_courses_networks_two_micro_batches_are_traced_and_that_is_enough(parts, optimizer):
    design = Design(width=4, batch_size=48, micro_batches=parts, optimizer=optimizer)
    short, whole = preview(design), preview(replace(design, network=lambda: models.deep_cnn(SHAPE, 4, 2)))
    assert (short.peak, short.phase, short.at_peak) == (whole.peak, whole.phase, whole.at_peak)


def test_tiers_are_met_by_memory_alone():
    assert preview(Design()).fits == () and "Too much for every tier" in preview(Design()).sentence
    small = preview(Design(width=4, batch_size=4))
    assert small.fits == tuple(TIERS) and all(small.peak <= tier.bytes for tier in TIERS.values())
    assert all(tier.name in tier.sentence and tier.name == name for name, tier in TIERS.items())


@pytest.mark.parametrize(
    "design",
    [
        Design(width=4, depth=3, batch_size=16, micro_batches=4, optimizer="adam"),
        Design(width=4, batch_size=12, precision="bf16", checkpointing=True),
    ],
)
def test_what_a_lever_is_said_to_give_it_gives(design):
    record = preview(design)
    notches = {kind: {notch.name: notch.design for notch in some} for kind, some in levers(design).items()}
    by_name = {name: other for some in notches.values() for name, other in some.items()}
    assert all(preview(by_name[name]).peak == peak for name, peak in record.levers.items())
    room = record.peak * 2 // 5
    named = record.enough(room)
    assert named and all(preview(by_name[name]).peak == peak <= room for name, peak in named.items())
    for some in notches.values():  # it is the first notch that is enough
        enough = [name for name, other in some.items() if preview(other).peak <= room]
        assert enough[:1] == [name for name in named if name in some]


def test_depth_saves_nothing_and_each_other_lever_something():
    peaks = {depth: preview(Design(depth=depth)).peak for depth in (2, 3, 4, 5)}
    assert max(peaks.values()) < 1.01 * min(peaks.values())
    assert preview(Design(width=32)).peak > 1.9 * peaks[2]
    assert preview(Design(micro_batches=4)).peak < 0.26 * peaks[2]


def test_a_network_without_blocks_has_no_checkpointing():
    design = Design(network=lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)))
    assert "checkpointing=True" not in preview(design).levers and "width" not in levers(design)
    assert "group its layers in inner nn.Sequential" in problem(lambda: preview(replace(design, checkpointing=True)))


@pytest.mark.parametrize("name", [field.name for field in fields(Design)])
def test_every_decision_is_checked(name):
    for value in HOSTILE.values():
        try:
            preview(Design(**{"width": 1, "batch_size": 2} | {name: value}))
        except Problem as error:
            assert len(str(error)) < 1000
    refused(lambda: Design(**{name: object()}))


def test_what_does_not_fit_together_is_refused():
    assert "give a number that divides it, or batch_size=60" in problem(lambda: Design(micro_batches=5))
    assert "depth is 6" in problem(lambda: preview(Design(depth=6)))
    assert "depth" in problem(lambda: preview(Design(depth=5), (3, 8, 8), 2))
    refused(lambda: preview("a design"))


def test_a_decision_that_there_is_not_is_refused_in_words():
    assert "a Design has no lr; it has width, depth" in problem(lambda: Design(lr=0.1))
    assert problem(lambda: Design(lr=0.1)).endswith("Give it as learning_rate=.")
    assert problem(lambda: replace(Design(), batchsize=3)).endswith("Give it as batch_size=.")
    assert "Give" not in problem(lambda: Design(zzz=1)) and "capstone.Design(width=8)" in problem(lambda: Design(8))
    assert Design(width=8) == replace(Design(), width=8) != Design() and "width=8" in repr(Design(width=8))
