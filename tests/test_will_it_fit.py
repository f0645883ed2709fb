"""The record behind the panel "will it fit", against `max_batch` itself."""

import pytest
from tools import refused

from helpers.memory import GPUS, SimulatedGpu, SimulatedOutOfMemoryError, max_batch
from helpers.will_it_fit import OPTIMIZERS, SAMPLE_SHAPES, is_slow, network, will_it_fit

CASES = [
    ("RTX 3070", "digits MLP", "adam", "fp32", 1, "off"),
    ("H200", "wide MLP", "adam fused", "bf16", 2, "on"),
    ("T4", "colours CNN", "momentum", "fp16", 4, "off"),
    ("A100 40 GB", "ResNet-18", "sgd", "fp32", 1, "on"),
    ("RTX 3070", "ResNet-18", "adam", "fp32", 1, "off"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[1]} on {case[0]}")
def test_it_says_what_max_batch_says(case):
    gpu, model, optimizer, precision, micro_batches, checkpoint = case
    how = {"optimizer": OPTIMIZERS[optimizer], "precision": precision, "accumulate": micro_batches}
    how |= {"checkpoint": checkpoint == "on", "gpu": gpu}
    found = max_batch(network(model), SimulatedGpu(gpu).room, SAMPLE_SHAPES[model], **how)
    record = will_it_fit(*case)
    assert record.largest == found.exact and record.trace.allocated == found.fits.allocated
    assert record.trace.allocated <= record.card.room and f"B = {found.exact:,} fits" in record.sentence
    assert not is_slow(
        gpu, model, optimizer=optimizer, precision=precision, micro_batches=micro_batches, checkpoint=checkpoint
    )
    for name, largest in record.levers.items():
        assert (f"from {name}: B = {largest:,}" in record.sentence) == (name == record.best)


def test_the_simulated_gpu_agrees():
    record = will_it_fit(*CASES[-1])
    assert record.largest == 337
    assert record.card.step(network("ResNet-18"), (3, 224, 224), 337).peak_phase == "backward"
    with pytest.raises(SimulatedOutOfMemoryError):
        record.card.step(network("ResNet-18"), (3, 224, 224), 338)


def test_levers_are_those_that_are_not_on():
    assert list(will_it_fit("T4", "digits MLP").levers) == ["plain SGD", "bf16", "checkpointing"]
    last = will_it_fit("T4", "digits MLP", "sgd", "fp16", 8, "on")
    assert last.levers == {} and last.best is None and last.advice.startswith("None of the other levers")


@pytest.mark.parametrize("gpu", GPUS)
def test_a_larger_gpu_takes_a_larger_batch(gpu):
    record = will_it_fit(gpu, "colours CNN")
    assert record.largest > 1900 * record.card.capacity / 2**30


def test_bad_values_are_refused():
    for name, value in {"gpu": "GTX", "model": "cats", "optimizer": "lion", "precision": "int8"}.items():
        refused(lambda name=name, value=value: will_it_fit(**{"gpu": "T4", "model": "digits MLP", name: value}))
    refused(lambda: will_it_fit("T4", "digits MLP", micro_batches=9))
    refused(lambda: will_it_fit("T4", "digits MLP", checkpoint=True))
    refused(lambda: network("cats"))
