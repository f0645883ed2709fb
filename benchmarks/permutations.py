"""What a fixed order of the pixels, the same for every image, costs five networks: the figures of lesson 06.

    uv run python benchmarks/permutations.py

Each network is trained anew for every seed, on the images as they are and in random orders of their places; the colours
of a place stay together. Seed, epochs and learning rate are the same for each order. The accuracy is that on the test
images. Writes benchmarks/results/permutations.json: accuracies in %, one for each seed. About 20 minutes.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from helpers import data, models, training
from helpers.data import ImageSet

RESULTS = Path(__file__).resolve().parent / "results" / "permutations.json"
LEARNING_RATE = 5e-3
#: Name of the table: images, epochs, seeds, random orders.
RUNS = {
    "digits": (data.digits, 8, 10, 3),
    "digits, 30 epochs": (data.digits, 30, 5, 2),
    "colours": (data.colours, 8, 10, 3),
}


def convolutions(channels: int) -> list[nn.Module]:
    """Three times Conv 3x3, ReLU and MaxPool 2, with 8, 16 and 32 filters."""
    layers: list[nn.Module] = []
    for before, after in ((channels, 8), (8, 16), (16, 32)):
        layers += [nn.Conv2d(before, after, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return layers


def pooled(sample_shape: tuple[int, ...], pool: type[nn.Module]) -> nn.Sequential:
    """Ends in one number for each filter."""
    return nn.Sequential(*convolutions(sample_shape[0]), pool(1), nn.Flatten(), nn.Linear(32, 10))


def flat(sample_shape: tuple[int, ...]) -> nn.Sequential:
    """The same convolutions, but Linear sees every place of every filter."""
    places = (sample_shape[1] // 8) * (sample_shape[2] // 8)
    return nn.Sequential(*convolutions(sample_shape[0]), nn.Flatten(), nn.Linear(32 * places, 10))


NETWORKS: dict[str, Callable[[tuple[int, ...]], nn.Sequential]] = {
    "MLP": models.mlp,
    "CNN, global max": lambda shape: pooled(shape, nn.AdaptiveMaxPool2d),
    "CNN, global mean": lambda shape: pooled(shape, nn.AdaptiveAvgPool2d),
    "CNN, Flatten": flat,
    "small CNN, Flatten": models.cnn,
}


def in_order(images: Tensor, number: int) -> Tensor:
    """The images as floats, their places in random order `number`; as they are for 0. images: (N, C, H, W) uint8."""
    if number == 0:
        return images.float() / 255
    places = images[0, 0].numel()
    order = torch.randperm(places, generator=torch.Generator().manual_seed(number - 1))
    return images.flatten(2)[:, :, order].view_as(images).float() / 255


def accuracy(build: Callable, number: int, seed: int, train: ImageSet, test: ImageSet, epochs: int = 8) -> float:
    """Train once; the accuracy on the test images in the same order."""
    torch.manual_seed(seed)
    model = build(tuple(train.images.shape[1:]))
    training.fit(model, in_order(train.images, number), train.labels, epochs, learning_rate=LEARNING_RATE, seed=seed)
    return training.accuracy(model, in_order(test.images, number), test.labels)


def main() -> int:
    """Train all, write the table; return the exit code."""
    torch.set_num_threads(1)
    table: dict[str, dict[str, dict[str, list[float]]]] = {}
    for title, (load, epochs, seeds, orders) in RUNS.items():
        train, test = load(), load(train=False)
        for name, build in NETWORKS.items():
            rows = table.setdefault(title, {}).setdefault(name, {})
            for number in range(orders + 1):
                case = f"order {number}" if number else "as they are"
                shares = [accuracy(build, number, seed, train, test, epochs) for seed in range(seeds)]
                rows[case] = [round(100 * share, 2) for share in shares]
                mean, low, high = sum(rows[case]) / seeds, min(rows[case]), max(rows[case])
                print(f"{title:20}{name:20}{case:12}{mean:6.1f} ({low:.1f} to {high:.1f})", flush=True)
    RESULTS.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
