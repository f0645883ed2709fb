"""The largest batch against brute force: every batch size in turn, until one is refused."""

import pytest
from tools import blocks, cnn, wide
from torch import nn
from torchvision.models import resnet18

from helpers import models
from helpers.memory import any_batch, max_batch, trace
from helpers.units import MIB

DIGIT, COLOUR, PHOTO = (1, 28, 28), (3, 32, 32), (3, 64, 64)
#: name: (model, one sample, capacity in MiB, settings); the capacities give answers of some ten or some hundred.
MODELS: dict[str, tuple[nn.Module, tuple[int, ...], int, dict]] = {
    "784-256-10": (models.mlp(hidden=256), DIGIT, 6, {}),
    "784-512-512-10": (wide(), DIGIT, 15, {}),
    "784-1024-1024-1024-10": (models.deep_mlp(DIGIT, 1024, 3), DIGIT, 60, {}),
    "3072-512-10, k = 4": (models.mlp(COLOUR, 512), COLOUR, 40, {"accumulate": 4}),
    "one convolution": (models.cnn(), DIGIT, 8, {}),
    "three convolutions": (models.deep_cnn(COLOUR, 16, 3), COLOUR, 32, {}),
    "BatchNorm, Dropout": (cnn(), COLOUR, 24, {}),
    "GELU blocks": (blocks(), (3, 4, 4), 2, {}),
    "GELU blocks, checkpoint": (blocks(), (3, 4, 4), 2, {"checkpoint": True}),
    "ResNet-18, checkpoint, k = 2": (resnet18(), PHOTO, 232, {"checkpoint": True, "accumulate": 2}),
}


def every_setting(test):
    """Every network with two of the four pairs of precision and optimizer, so that each pair meets half of them."""
    pairs = [("fp32", "adam"), ("bf16", "sgd")], [("fp32", "sgd"), ("bf16", "adam")]
    return pytest.mark.parametrize(
        "name, precision, optimizer", [(name, *pair) for at, name in enumerate(MODELS) for pair in pairs[at % 2]]
    )(test)


@every_setting
def test_where_bytes_alone_decide_it_is_exact(name, optimizer, precision):
    """As on the CPU: every smaller batch fits, and no larger one."""
    model, sample_shape, mib, how = MODELS[name]
    how, every = how | {"optimizer": optimizer, "precision": precision, "device": "cpu"}, how.get("accumulate", 1)
    found, at = max_batch(model, mib * MIB, sample_shape, **how), any_batch(model, sample_shape, **how)
    fits = {b: at(b).fits(mib * MIB) for b in range(every, found.exact * 5 // 4 + 5 * every, every)}
    assert found.exact >= 8
    assert [b for b, room in fits.items() if room] == list(range(every, found.exact + 1, every))


@every_setting
def test_with_pytorchs_allocator_it_fits_and_the_next_does_not(name, optimizer, precision):
    """Segments and blocks as on a GPU: each of the two traced by itself."""
    model, sample_shape, mib, how = MODELS[name]
    how, capacity = how | {"optimizer": optimizer, "precision": precision}, (mib + 64) * MIB
    found, every = max_batch(model, capacity, sample_shape, **how), how.get("accumulate", 1)
    around = {b: trace(model, sample_shape, b, **how).fits(capacity) for b in (found.exact, found.exact + every)}
    assert found.exact >= 8 and list(around.values()) == [True, False]


@pytest.mark.parametrize("precision, largest", {"fp32": 337, "bf16": 602}.items())
def test_the_lessons_network_on_the_lessons_gpu(precision, largest):
    """ResNet-18 on a GPU of 7.78 GiB, 512 MiB of it the context's: no hole below, nothing above."""
    how, room = {"gpu": "RTX 3070", "precision": precision}, int(7.78 * 2**30) - 512 * MIB
    found, at = max_batch(resnet18(), room, (3, 224, 224), **how), any_batch(resnet18(), (3, 224, 224), **how)
    assert found.exact == largest
    assert [b for b in range(largest - 100, largest + 100) if at(b).fits(room)] == list(
        range(largest - 100, largest + 1)
    )
