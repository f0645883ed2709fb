"""Labelled images: real ones that come with the libraries, and the door to MNIST and CIFAR-10 (`originals`).

`digits` and `colours` hand out an `ImageSet` of the same dtype, shape and range from either source, so that no
lesson changes when its data do. Where the bundled data come from:

- digits: scikit-learn's copy of "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak; UCI);
- `grace_hopper.jpg`, in Matplotlib's sample data: portrait of Grace Hopper, US Navy, public domain;
- `china.jpg` by danielbuechele and `flower.jpg` by vultilion (both Flickr, CC BY 2.0), in scikit-learn.
"""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from helpers import originals
from helpers.problems import (
    LARGEST,
    Problem,
    folder_path,
    instance_of,
    one_of,
    said,
    shown,
    tensor_of,
    true_or_false,
    whole_number,
)

# Class: photograph, where its training patches are cut, where its test patches are cut (x0, y0, x1, y1).
_PLACES = {
    "flag": ("grace_hopper.jpg", (0, 0, 66, 390), (66, 0, 130, 270)),
    "backdrop": ("grace_hopper.jpg", (380, 0, 512, 230), (380, 230, 512, 320)),
    "face": ("grace_hopper.jpg", (170, 150, 270, 330), (270, 150, 350, 330)),
    "uniform": ("grace_hopper.jpg", (300, 410, 480, 530), (290, 530, 480, 600)),
    "sky": ("china.jpg", (330, 0, 500, 180), (500, 0, 640, 130)),
    "tower": ("china.jpg", (105, 120, 215, 335), (215, 120, 310, 335)),
    "lake": ("china.jpg", (425, 210, 548, 280), (352, 215, 425, 310)),
    "bushes": ("china.jpg", (380, 330, 490, 427), (490, 300, 570, 427)),
    "petals": ("flower.jpg", (190, 130, 430, 245), (190, 245, 430, 320)),
    "leaves": ("flower.jpg", (0, 0, 165, 427), (460, 0, 640, 427)),
}


@dataclass(repr=False, eq=False)
class ImageSet(torch.utils.data.Dataset):
    """A labelled set of images, read already; a `torch.utils.data.DataLoader` takes it as it is.

    images: (N, C, H, W) uint8 in 0..255, N at least 1. labels: (N,) int64 in 0..len(classes) - 1.
    `len(set)` is N; `set[i]` is one image, (C, H, W) uint8 (a view, not a copy), and its label, an int.
    Raises `Problem` if a dtype, a number of axes or a length does not fit, or if a label has no class.
    """

    name: str
    images: torch.Tensor
    labels: torch.Tensor
    classes: tuple[str, ...]

    def __post_init__(self):
        instance_of("name", self.name, str, "'my photos'")
        self.classes = tuple(instance_of("classes", self.classes, (tuple, list), "('cat', 'dog')"))
        for place, one in enumerate(self.classes):
            instance_of(f"classes[{place}]", one, str, "'cat'")
        tensor_of("images", self.images, "N, C, H, W", "data.digits().images", torch.uint8)
        tensor_of("labels", self.labels, "N", "data.digits().labels", torch.int64)
        name = shown(self.name)
        if len(self.images) != len(self.labels):
            counts = f"{len(self.images):,} images and {len(self.labels):,} labels"
            raise Problem(f"{name} has {counts}; there must be one label for each image.")
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= len(self.classes):
            raise Problem(f"{name} has labels from {low} to {high}; its {len(self.classes)} classes count from 0.")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        try:
            place = range(len(self))[whole_number("i", i, -LARGEST)]  # an IndexError ends a loop over the set
        except Problem:
            given = shown(i)
            raise Problem(
                f"A set gives one image at a time, as set[0], not set[{given}]. For several: set.images[:8]."
            ) from None
        return self.images[place], int(self.labels[place])

    def __repr__(self) -> str:
        shape = tuple(self.images.shape[1:])
        return f"ImageSet({self.name}: {len(self):,} images {shape} {self.images.dtype}, {len(self.classes)} classes)"


def photograph_path() -> Path:
    """The path of a real photograph, 512 wide, 600 high, RGB: Matplotlib's `grace_hopper.jpg` (public domain).

    Raises `Problem` if the file is not there.
    """
    return _photograph("grace_hopper.jpg")


def photograph() -> torch.Tensor:
    """The same photograph as a tensor, (3, 600, 512) float32 in 0..1: what torchvision's `ToTensor` makes of it.

    Made here, because torchvision takes 160 MiB of a kernel. Raises `Problem` if the file is not there.
    """
    with Image.open(photograph_path()) as photo:
        return torch.from_numpy(np.array(photo)).permute(2, 0, 1).contiguous() / 255  # HWC to CHW


def digits(source: str = "bundled", train: bool = True, folder: str | os.PathLike | None = None) -> ImageSet:
    """Handwritten digits: images (N, 1, 28, 28) uint8 in 0..255, white on black, labels 0..9.

    "bundled": scikit-learn's 1,797 digits, the first 1,437 for training, the last 360 for the test. Like MNIST's
    they are 20 pixels high and wide with a border of 4. "mnist": the 60,000 and 10,000 of the real one, from
    `folder` (default: `data` in the work folder), downloaded into it by torchvision if they are not there.
    Raises `Problem` for a wrong argument, a failed download or an unusable file.
    """
    return _load(source, "mnist", _bundled_digits, train, folder)


def colours(source: str = "bundled", train: bool = True, folder: str | os.PathLike | None = None) -> ImageSet:
    """Colour images of 10 classes: images (N, 3, 32, 32) uint8 in 0..255, RGB, labels 0..9.

    "bundled": patches of three photographs, named after what is seen (200 a class for training, 40 for the
    test, which share no pixel). "cifar10": the 50,000 and 10,000 of the real one, from `folder` (default: `data`
    in the work folder), downloaded into it by torchvision if they are not there.
    Raises `Problem` for a wrong argument, a failed download or an unusable file.
    """
    return _load(source, "cifar10", _bundled_colours, train, folder)


def _load(source: str, original: str, bundled: Callable[[bool], ImageSet], train: bool, folder: object) -> ImageSet:
    one_of("source", source, ("bundled", original))
    true_or_false("train", train, "True (training part) or False (test part)")
    folder = None if folder is None else folder_path("folder", folder)
    if source == original:
        return originals.load(source, train, folder, ImageSet)
    return bundled(train)


def _part(train: bool) -> str:
    return "training part" if train else "test part"


def _photograph(name: str) -> Path:
    if name == "grace_hopper.jpg":
        import matplotlib

        package, path = "matplotlib", Path(matplotlib.get_data_path(), "sample_data", name)
    else:
        package, path = "scikit-learn", _scikit_learn() / "images" / name
    if not path.is_file():
        raise Problem(f"The photograph {path} is not there. It is a part of {package}: install {package} again.")
    return path


def _scikit_learn() -> Path:
    """The folder of scikit-learn's data sets. Found, not imported: that takes a second, and 85 MiB of each kernel."""
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise Problem("scikit-learn is not installed, which holds the digits and two photographs: install it again.")
    return Path(spec.origin).parent / "datasets"


def _bundled_digits(train: bool) -> ImageSet:
    pixels, labels = _digits(train)
    return ImageSet(f"bundled digits, {_part(train)}", pixels.clone(), labels.clone(), tuple("0123456789"))


@functools.cache  # 1 MiB, asked for at each move of a panel; the colour images are 6 MiB, asked for once
def _digits(train: bool) -> tuple[torch.Tensor, torch.Tensor]:
    path = _scikit_learn() / "data" / "digits.csv.gz"
    try:
        rows = np.loadtxt(path, delimiter=",", dtype=np.uint8)  # (1797, 65): 64 pixels, 0..16, and the label
    except (OSError, EOFError, ValueError) as error:
        raise Problem(f"The digits {path} cannot be read ({said(error)}): install scikit-learn again.") from None
    rows = rows[:1437] if train else rows[1437:]
    small = np.rint(rows[:, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    large = [np.pad(Image.fromarray(digit).resize((20, 20), Image.Resampling.BICUBIC), 4) for digit in small]
    return torch.from_numpy(np.stack(large)).unsqueeze(1), torch.from_numpy(rows[:, -1].astype(np.int64))


def _bundled_colours(train: bool) -> ImageSet:
    random = np.random.default_rng(0 if train else 1)
    each = 200 if train else 40
    names = {name for name, *_ in _PLACES.values()}
    photographs = {name: Image.open(_photograph(name)).convert("RGB") for name in names}
    patches = torch.empty(len(_PLACES) * each, 3, 32, 32, dtype=torch.uint8)
    for place, (name, train_box, test_box) in enumerate(_PLACES.values()):
        region = photographs[name].crop(train_box if train else test_box)
        for patch in patches[place * each : (place + 1) * each]:
            patch.copy_(torch.from_numpy(_patch(region, random)).permute(2, 0, 1))  # HWC to CHW
    order = torch.from_numpy(random.permutation(len(patches)))
    labels = torch.arange(len(_PLACES)).repeat_interleave(each)[order]
    return ImageSet(f"bundled colours, {_part(train)}", patches[order], labels, tuple(_PLACES))


def _patch(region: Image.Image, random: np.random.Generator) -> np.ndarray:
    """A random square of 24 to 64 pixels out of ``region``, brought to (32, 32, 3) uint8."""
    side = int(random.integers(24, 65))
    x, y = (int(random.integers(0, length - side + 1)) for length in region.size)
    return np.array(region.crop((x, y, x + side, y + side)).resize((32, 32), Image.Resampling.BICUBIC))
