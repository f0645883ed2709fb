"""The images as a network gets them: to learn from, and to be asked about afterwards."""

import random
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from helpers import data as course_data
from helpers.capstone.design import Design
from helpers.data import ImageSet
from helpers.problems import Problem, instance_of
from helpers.units import readable

_LARGEST = 2**31  # bytes of the training images as float32


@dataclass(frozen=True)
class Task:
    """The data as the network gets them: copies, so that the judge's own stay as they are."""

    train: Tensor  #: (N, C, H, W) float32, mean 0 and standard deviation 1 in each channel
    labels: Tensor
    test: Tensor
    truth: Tensor
    altered: Tensor  #: the test images with changes that nobody sees
    classes: int
    duplicates: int  #: test images that are training images too

    @property
    def sample_shape(self) -> tuple[int, ...]:
        return tuple(self.train.shape[1:])

    @property
    def chance(self) -> float:
        return int(self.truth.bincount().max()) / len(self.truth)


def two_sets(given: object) -> tuple[ImageSet, ImageSet]:
    """(train, test), checked; the bundled colour images for None. Raises `Problem` for anything else."""
    if given is None:
        return course_data.colours(), course_data.colours(train=False)
    pair = instance_of("data", given, (tuple, list), "(mine.train, mine.test), two data.ImageSets")
    if len(pair) != 2:
        raise Problem(f"data holds {len(pair)} things; give two data.ImageSets, as in data=(mine.train, mine.test).")
    train, test = (instance_of(f"data[{n}]", one, ImageSet, "data.colours()") for n, one in enumerate(pair))
    for one in (train, test):
        replace(one)  # checks once more what may have been changed since
    if train.images.shape[1:] != test.images.shape[1:] or train.classes != test.classes:
        raise Problem(
            f"the training set has images {tuple(train.images.shape[1:])} and {len(train.classes)} classes, the test "
            f"set {tuple(test.images.shape[1:])} and {len(test.classes)}; give two of the same shape and classes."
        )
    return train, test


def make_task(train: ImageSet, test: ImageSet, design: Design) -> Task:
    """Brought to mean 0 and standard deviation 1, by the training images' own figures.

    Raises `Problem` where a batch of the design is larger than the set, and for more than 2 GiB.
    """
    if design.batch_size > len(train):
        raise Problem(
            f"batch_size is {design.batch_size:,} and there are {len(train):,} training images; give at most that."
        )
    if train.images.numel() * 4 > _LARGEST:
        raise Problem(
            f"the training images have shape {tuple(train.images.shape)}; as float32 they may take at most "
            f"{readable(_LARGEST)}. Give fewer or smaller ones."
        )
    seen = train.images.float() / 255
    mean = seen.mean((0, 2, 3), keepdim=True)
    spread = (seen - mean).square_().mean((0, 2, 3), keepdim=True).sqrt_().clamp_(min=1 / 255)

    def normalised(images: Tensor) -> Tensor:
        return (images.float() / 255 - mean) / spread

    return Task(
        train=normalised(train.images),
        labels=train.labels.clone(),
        test=normalised(test.images),
        truth=test.labels.clone(),
        altered=normalised(a_little_otherwise(test.images, random.SystemRandom().getrandbits(32))),
        classes=len(train.classes),
        duplicates=in_both(train.images, test.images),
    )


def in_both(train: Tensor, test: Tensor) -> int:
    """How many test images are, number by number, among the training images too."""
    known = {image.numpy().tobytes() for image in train}
    return sum(image.numpy().tobytes() in known for image in test)


def a_little_otherwise(images: Tensor, seed: int) -> Tensor:
    """The same uint8 images with each number moved by at most 2: nobody sees it, but no image is what it was."""
    generator = torch.Generator().manual_seed(seed)
    moved = torch.randint(-2, 3, images.shape, generator=generator, dtype=torch.int16)
    return (images.short() + moved).clamp_(0, 255).to(torch.uint8)
