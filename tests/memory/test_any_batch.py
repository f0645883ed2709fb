"""`any_batch`: what it replays equals what `trace` finds, and it steps back where sizes are no straight lines in B."""

import gc
import weakref
from dataclasses import FrozenInstanceError
from types import ModuleType

import pytest
import torch
import torchvision
from tools import cnn, really
from torch import nn

from helpers import memory, models
from helpers.memory import any_batch, trace, tracer
from helpers.memory.records import Category, Correction, Kept, Moment, Observation
from helpers.memory.reductions import Sum
from helpers.memory.step import make_plan
from helpers.problems import Problem

MODELS = {
    "mlp": (models.mlp, (1, 28, 28)),
    "cnn": (cnn, (3, 32, 32)),
    "resnet18": (torchvision.models.resnet18, (3, 64, 64)),
    "vit_b_16": (lambda: torchvision.models.vit_b_16(image_size=32), (3, 32, 32)),
}
SETTINGS = [
    {},
    {"precision": "bf16", "optimizer": "sgd", "gpu": "T4"},
    {"precision": "fp16", "optimizer": "momentum"},
    {"accumulate": 4},
    {"device": "cpu"},
    {"inference": True},
]


CASES = [(name, how) for name in ("mlp", "cnn") for how in SETTINGS]
CASES += [("resnet18", {"precision": "fp16"}), ("resnet18", {}), ("vit_b_16", {"precision": "bf16"})]


@pytest.mark.parametrize("name, how", CASES, ids=str)
def test_a_replayed_batch_equals_its_trace(name, how):
    build, sample_shape = MODELS[name]
    model = build()
    at = any_batch(model, sample_shape, **how)
    assert at.__name__ == "replayed"
    for batch_size in (4, 100, 1000):
        assert at(batch_size) == trace(model, sample_shape, batch_size, **how)


def reachable(thing: object) -> list[object]:
    """Everything that a record keeps alive."""
    found, left = {}, [thing]
    while left:
        each = left.pop()
        if id(each) not in found and not isinstance(each, type | ModuleType):
            found[id(each)] = each
            left += gc.get_referents(each)
    return list(found.values())


@pytest.mark.parametrize("how", SETTINGS, ids=str)
def test_an_observation_keeps_facts_alone(how):
    seen = tracer.fake_run(cnn(), make_plan(cnn(), (3, 32, 32), 8, **how))
    kinds = {type(each) for each in reachable(seen)}
    facts = {Observation, Moment, Kept, Sum, Correction, Category, dict, tuple, frozenset, str, int, bool, type(None)}
    assert Moment in kinds and kinds <= facts
    with pytest.raises(FrozenInstanceError):
        seen.sizes = {}


def test_no_fake_model_outlives_its_run(monkeypatch):
    copies = []

    def copied(*given):
        copies.append(weakref.ref(twin := copy_of(*given)))
        return twin

    copy_of = tracer.fake_copy
    monkeypatch.setattr(tracer, "fake_copy", copied)
    at = any_batch(cnn(), (3, 32, 32))
    gc.collect()
    assert at.__name__ == "replayed" and len(copies) == 3
    assert [twin() for twin in copies] == [None] * 3


class Pairs(nn.Module):
    """Compares all samples of a batch with each other: a result of B x B numbers."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        rows = self.layer(x)
        return rows @ rows.T


def test_what_is_no_straight_line_is_traced_each_time():
    how = {"sample_shape": (4,), "loss": lambda out, target: out.square().mean()}
    at = any_batch(Pairs(), **how)
    assert at.__name__ == "directly"
    assert at(64) == trace(Pairs(), batch_size=64, **how)


class Chooses(nn.Module):
    """Another way for another batch size."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(x.tanh() if len(x) > 5 else x)


def test_a_model_that_takes_another_way_is_traced_each_time():
    at = any_batch(Chooses(), (4,))
    assert at.__name__ == "directly"
    assert at(64) == trace(Chooses(), (4,), 64)


def test_a_batch_of_one_is_traced_and_refused_where_the_model_refuses_it():
    norm = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    at = any_batch(norm, (4,))
    assert at(2).peak
    with pytest.raises(Problem, match="Expected more than 1 value per channel"):
        at(1)
    assert any_batch(models.mlp(), (1, 28, 28))(1) == trace(models.mlp(), (1, 28, 28), 1)


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, True, "8"])
def test_bad_batch_sizes_are_refused(batch_size):
    with pytest.raises(Problem, match="batch_size is"):
        any_batch(models.mlp(), (1, 28, 28))(batch_size)


def test_a_batch_that_cannot_be_cut_is_refused():
    with pytest.raises(Problem, match="equal micro-batches"):
        any_batch(models.mlp(), (1, 28, 28), accumulate=4)(10)


class Hoards(nn.Module):
    """Keeps its inputs from step to step: a leak inside the model."""

    def __init__(self):
        super().__init__()
        self.layer, self.kept = nn.Linear(4, 3), []

    def forward(self, x):
        self.kept.append(x * 2)
        return self.layer(x)


def test_a_model_that_keeps_tensors_from_step_to_step_is_told_on():
    model = Hoards()
    assert any("keeps tensors from one step to the next" in note for note in trace(model, (4,), 8).notes)
    assert not model.kept
    assert not trace(models.mlp(), (1, 28, 28), 8).notes


class Caches(nn.Module):
    """Makes a table in its first forward and keeps it, as position codes are often made."""

    def __init__(self):
        super().__init__()
        self.layer, self.table = nn.Linear(4, 4), None

    def forward(self, x):
        if self.table is None:
            self.table = torch.ones(1000, 4)
        return self.layer(x) + self.table[0]


def test_the_step_that_is_reported_is_a_steady_one():
    first = trace(Caches(), (4,), 8).timeline[0]
    assert first.live["temporaries"] >= 16_000  # the table was there when the step began
    assert not trace(Caches(), (4,), 8).notes


def test_parameters_without_a_gradient_have_no_state():
    most = trace(Unused(), (4,), 8, optimizer="adam", device="cpu").most
    learning = 4 * (4 * 4 + 4)
    assert most["gradients"] == learning and most["parameters"] == learning + 4 * 1001 * 1000
    assert 2 * learning <= most["optimizer state"] < 2 * learning + 64  # and the step counters


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.unused = nn.Linear(4, 4), nn.Linear(1000, 1000)

    def forward(self, x):
        return self.layer(x)


def test_batch_norm_in_front_of_everything_equals_the_real_run():
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3 * 8 * 8, 10))
    assert trace(model, (3, 8, 8), 16, device="cpu").timeline == really(model, (3, 8, 8), 16).timeline


def test_max_batch_of_a_deep_network_takes_neighbours_only():
    found = memory.max_batch(torchvision.models.resnet18(), 2**30, (3, 64, 64))
    assert found.fits.fits(2**30) and not found.too_large.fits(2**30)
    assert found.too_large.batch_size == found.exact + 1
