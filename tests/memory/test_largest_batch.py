"""The largest batch, exact against brute force: every batch size below it fits, and the next does not."""

import pytest
from tools import blocks, cnn, wide
from torch import nn
from torchvision.models import resnet18

from helpers import models
from helpers.memory import any_batch, max_batch, trace
from helpers.units import MIB

DIGIT, COLOUR, PHOTO = (1, 28, 28), (3, 32, 32), (3, 64, 64)
#: name: (model, one sample, capacity, settings); the capacities give answers of some ten or some hundred samples.
MODELS: dict[str, tuple[nn.Module, tuple[int, ...], int, dict]] = {
    "784-256-10": (models.mlp(hidden=256), DIGIT, 24 * MIB, {}),
    "784-512-512-10": (wide(), DIGIT, 48 * MIB, {}),
    "784-1024-1024-1024-10": (models.deep_mlp(DIGIT, 1024, 3), DIGIT, 80 * MIB, {}),
    "3072-512-10, k = 4": (models.mlp(COLOUR, 512), COLOUR, 64 * MIB, {"accumulate": 4}),
    "one convolution": (models.cnn(), DIGIT, 16 * MIB, {}),
    "three convolutions": (models.deep_cnn(COLOUR, 16, 3), COLOUR, 64 * MIB, {}),
    "BatchNorm, Dropout": (cnn(), COLOUR, 48 * MIB, {}),
    "GELU blocks": (blocks(), (3, 4, 4), 12 * MIB, {}),
    "GELU blocks, checkpoint": (blocks(), (3, 4, 4), 12 * MIB, {"checkpoint": True}),
    "ResNet-18": (resnet18(), PHOTO, 384 * MIB, {}),
    "ResNet-18, checkpoint, k = 2": (resnet18(), PHOTO, 384 * MIB, {"checkpoint": True, "accumulate": 2}),
}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("name", MODELS)
def test_the_largest_batch_is_exact(name, optimizer, precision):
    model, sample_shape, capacity, how = MODELS[name]
    how = how | {"optimizer": optimizer, "precision": precision}
    found, every = max_batch(model, capacity, sample_shape, **how), how.get("accumulate", 1)
    at = any_batch(model, sample_shape, **how)
    assert found.exact >= 8
    refused = next(b for b in range(every, 100_000, every) if not at(b).fits(capacity))
    assert found.exact == refused - every
    around = {b: trace(model, sample_shape, b, **how).fits(capacity) for b in (found.exact, refused)}
    assert around == {found.exact: True, refused: False}
