"""The record behind the memory panels: what it says is what the tracer says."""

import pytest
import torch
from tools import problem

from helpers import models, step_memory
from helpers.memory import crossover, trace
from helpers.step_memory import StepMemory

DIGITS = {"model": "digits MLP", "batch_size": 64, "width": 256, "depth": 1, "optimizer": "adam", "precision": "fp32"}
CASES = (
    (DIGITS, (1, 28, 28), models.mlp((1, 28, 28), 256)),
    (DIGITS | {"batch_size": 8192, "optimizer": "sgd", "precision": "bf16"}, (1, 28, 28), models.mlp(hidden=256)),
    (DIGITS | {"model": "colours MLP", "width": 512}, (3, 32, 32), models.mlp((3, 32, 32), 512)),
    (DIGITS | {"model": "colours MLP", "width": 8, "depth": 4}, (3, 32, 32), models.deep_mlp((3, 32, 32), 8, 4)),
    (DIGITS | {"model": "colours CNN", "width": 8}, (3, 32, 32), models.cnn((3, 32, 32), 8)),
    (DIGITS | {"model": "colours CNN", "width": 16, "depth": 3}, (3, 32, 32), models.deep_cnn((3, 32, 32), 16, 3)),
)


@pytest.fixture(autouse=True)
def forgotten():
    """Each test begins with nothing remembered."""
    step_memory._remembered.cache_clear()


@pytest.mark.parametrize(("values", "shape", "network"), CASES, ids=lambda value: "")
def test_it_says_what_the_tracer_says(values, shape, network):
    settings = {name: values[name] for name in ("optimizer", "precision")}
    expected = trace(network, shape, batch_size=values["batch_size"], **settings)
    for with_crossover in (False, True):  # first traced by itself, then replayed
        record = step_memory.step_memory(**values, with_crossover=with_crossover)
        assert record.trace == expected
        assert record.title.endswith(f": {models.parameter_count(network):,} parameters")
        start = f"{values['model']}, {values['optimizer']}, {values['precision']}, B = {values['batch_size']:,}: peak "
        assert record.sentence.startswith(f"{start}{expected.peak:,} bytes (")
        phase = {"step": "step()"}.get(expected.peak_phase, expected.peak_phase)
        assert f" in {phase}" in record.sentence and f"operation {expected.peak_op}: parameters " in record.sentence
        assert f"; largest: {expected.largest}. " in record.sentence
    assert record.crossover == crossover(network, shape, **settings)


@pytest.mark.parametrize(
    ("values", "crossing"), [({}, 774), ({"model": "colours MLP", "width": 512}, 1756), ({"optimizer": "sgd"}, 387)]
)
def test_it_says_on_which_side_of_the_crossover_the_batch_is(values, crossing):
    for batch_size, side in ((crossing - 1, "below"), (crossing, "exactly there"), (crossing + 1, "above")):
        record = step_memory.step_memory(**DIGITS | values | {"batch_size": batch_size}, with_crossover=True)
        assert record.sentence.endswith(f"from B = {crossing:,} on; B = {batch_size:,} is {side}.")
        most = record.trace.most
        fixed = sum(most[name] for name in ("parameters", "buffers", "gradients", "optimizer state"))
        assert (most["batch"] + most["activations"] < fixed) == (side == "below")


def test_without_a_crossover_it_names_the_phases():
    record = step_memory.step_memory(**DIGITS)
    assert record.sentence.endswith("Highest in each phase: forward 2.65 MiB, backward 3.37 MiB, step() 4.08 MiB.")
    own = StepMemory(record.trace)
    assert own.sentence.startswith("B = 64: peak 4,277,248 bytes (4.08 MiB) in step(), operation ")
    assert own.heading[0] == "" and own.heading[2].startswith("in step(), operation ")


def test_width_and_depth_do_not_apply_to_resnet_18():
    one = step_memory.step_memory(**DIGITS | {"model": "ResNet-18", "batch_size": 32})
    two = step_memory.step_memory(**DIGITS | {"model": "ResNet-18", "batch_size": 32, "width": 8, "depth": 4})
    assert one == two and one.sentence.endswith("Width and depth do not apply.")
    assert "11,689,512 parameters" in one.title and "width and depth do not apply" in one.title


def test_it_knows_what_takes_longer_than_a_moment():
    fixed = {name: value for name, value in DIGITS.items() if name != "batch_size"}
    resnet = fixed | {"model": "ResNet-18"}
    assert step_memory.is_slow(**fixed, with_crossover=True) and not step_memory.is_slow(**fixed)
    assert step_memory.is_slow(**resnet)
    step_memory.step_memory(**DIGITS)
    assert step_memory.is_slow(**fixed, with_crossover=True)  # one batch size is known
    step_memory.step_memory(**DIGITS | {"batch_size": 65})
    assert not step_memory.is_slow(**fixed, with_crossover=True)  # now all are


def test_the_first_batch_size_costs_one_trace_and_a_second_one_shows_all(monkeypatch):
    asked = []
    for name in ("trace", "any_batch"):
        real = getattr(step_memory, name)
        note = lambda *args, name=name, real=real, **more: asked.append(name) or real(*args, **more)  # noqa: E731
        monkeypatch.setattr(step_memory, name, note)
    for batch_size in (64, 64, 65, 64, 8192):
        step_memory.step_memory(**DIGITS | {"batch_size": batch_size})
    assert asked == ["trace", "trace", "any_batch"]


def test_what_is_remembered_is_bounded():
    for width in range(8, 8 + 70):
        step_memory.is_slow(
            **{name: value for name, value in DIGITS.items() if name != "batch_size"} | {"width": width}
        )
    assert step_memory._remembered.cache_info().currsize == step_memory._remembered.cache_info().maxsize == 64


def test_random_numbers_go_on_as_if_nothing_had_happened():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    step_memory.step_memory(**DIGITS | {"model": "colours CNN", "width": 11, "depth": 2}, with_crossover=True)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "values",
    [
        {"model": "cats"}, {"model": None}, {"batch_size": 0}, {"batch_size": 8193}, {"batch_size": 1.5}, {"width": 7},
        {"width": 1025}, {"width": 8.0}, {"depth": 0}, {"depth": 5}, {"depth": True}, {"optimizer": "lion"},
        {"optimizer": []}, {"precision": "int8"},
        {"with_crossover": "no"},
    ],
)  # fmt: skip
def test_it_refuses(values):
    assert "allowed is" in problem(lambda: step_memory.step_memory(**DIGITS | values))
