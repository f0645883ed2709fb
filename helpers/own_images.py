"""A folder of your own images as a training and a test part, of the same kind as the bundled sets (`data.ImageSet`).

One sub-folder for each class, named as the class. Every file is looked at, nothing is written, and what cannot be used
is left out with its reason in words.
"""

import hashlib
import os
import unicodedata
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from helpers.data import ImageSet
from helpers.problems import Problem, folder_path, number, said, shown, whole_number, whole_numbers

MOST_IMAGES = 20_000
MOST_BYTES = 2**29  #: of all pixels together
MOST_CLASSES = 100
LEAST_EACH = 5  #: images of a class: some to learn from, and some for the test
MOST_PIXELS = 100_000_000  #: of one file; a phone's largest have about half of that
SIDES = (8, 256)  #: of `size`, from and to
_WIDE = 90  # letters on a line where it is printed
# What Pillow reads by itself. Not EPS, for which it starts another program.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "PPM", "JPEG2000", "TGA", "ICO")
_OF_THE_SYSTEM = {"thumbs.db", "desktop.ini", "__macosx"}  # and all whose names begin with a dot
_REMEDIES = {
    (".heic", ".heif"): "HEIC, which Pillow does not read: save it as JPEG",
    (".svg", ".pdf", ".eps", ".ai"): "a drawing, not pixels: save it as PNG",
    (".mp4", ".mov", ".avi", ".webm", ".mkv"): "a film: save single pictures of it as PNG",
    (".dng", ".cr2", ".cr3", ".nef", ".arw"): "a camera's raw file: save it as JPEG",
    (".zip", ".tar", ".gz", ".7z", ".rar"): "an archive: unpack it",
}


@dataclass(frozen=True)
class OwnImages:
    """What was found in a folder: a part to train on, a part for the test, and what was left out."""

    folder: Path
    train: ImageSet
    test: ImageSet
    left_out: tuple[tuple[str, str], ...]  #: name of the file, as "cat/broken.jpg", and the reason
    changed: tuple[tuple[str, int], ...]  #: what was done to how many: ("turned as the camera says", 3)

    @property
    def counts(self) -> dict[str, tuple[int, int]]:
        """By class, how many images are for training and for the test."""
        parts = [part.labels.bincount(minlength=len(part.classes)).tolist() for part in (self.train, self.test)]
        return dict(zip(self.train.classes, zip(*parts, strict=True), strict=True))

    @property
    def rows(self) -> tuple[str, ...]:
        """Sentences: how many there are of each class, what was changed, what was left out and why."""
        channels, height, width = self.train.images.shape[1:]
        found = ", ".join(f"{name} {train} + {test}" for name, (train, test) in list(self.counts.items())[:8])
        more = f" and {len(self.counts) - 8} classes more" if len(self.counts) > 8 else ""
        rows = [
            f"{len(self.train):,} images to train on and {len(self.test):,} for the test, ({channels}, {height}, "
            f"{width}) each: {found}{more}."
        ]
        if self.changed:
            rows.append(f"Changed: {', '.join(f'{count:,} {what}' for what, count in self.changed)}.")
        if self.left_out:
            files = "; ".join(f"{name} ({reason})" for name, reason in self.left_out[:5])
            more = f"; and {len(self.left_out) - 5:,} more, see left_out" if len(self.left_out) > 5 else ""
            rows.append(f"Left out: {files}{more}.")
        return tuple(rows)

    @property
    def sentence(self) -> str:
        """All of it."""
        return " ".join(self.rows)

    def __str__(self) -> str:
        return "\n".join(line for row in self.rows for line in wrap(row, _WIDE, break_long_words=False))


def load(
    path: str | os.PathLike, size: tuple[int, int] = (32, 32), test_share: float = 0.2, seed: int = 0
) -> OwnImages:
    """The images in a folder with one sub-folder for each class: images (N, 3, H, W) uint8 in 0..255, RGB.

    size: height and width, 8 to 256 each; the middle of a picture is cut to this form, and then resized. test_share:
    how much of each class is for the test, 0.1 to 0.5, at least one image. Which ones is drawn from `seed` and the
    file's name, so a folder always gives the same parts, and a new file moves hardly any other. Pictures are turned as
    the camera says; grey, indexed and CMYK ones become RGB, transparent ones lie on white, of moving ones the first
    is taken. A second copy of a picture is left out, so that none is in both parts.

    Raises `Problem`, in words, if there is no such folder, fewer than two classes, a class with fewer than
    `LEAST_EACH` images, or more than `MOST_IMAGES` or `MOST_BYTES`.
    """
    Image.init()  # registers all that Pillow reads
    folder = folder_path("path", path)
    height, width = _sides(size)
    test_share = number("test_share", test_share, 0.1, 0.5, 0.2)
    seed = whole_number("seed", seed, 0)
    classes = _classes(folder)
    files = {name: _entries(place) for name, place in classes.items()}
    count, most = sum(map(len, files.values())), min(MOST_IMAGES, MOST_BYTES // (3 * height * width))
    if count > most:
        raise Problem(
            f"{shown(str(folder))} holds {count:,} files; allowed are at most {most:,} of this size. Give a folder "
            "with fewer of them, or a smaller size=."
        )
    reader = _Reader(height, width)
    pixels = {name: reader.read(name, place, files[name]) for name, place in classes.items()}
    for name, found in pixels.items():
        if len(found) < LEAST_EACH:
            raise Problem(_too_few(name, len(found), reader.left_out))
    train, test = _split(pixels, test_share, seed)
    names = tuple(classes)
    return OwnImages(
        folder,
        _image_set(f"{_in_words(folder.name)}, training part", train, names),
        _image_set(f"{_in_words(folder.name)}, test part", test, names),
        tuple(reader.left_out),
        tuple(sorted(reader.changed.items())),
    )


def _sides(size: object) -> tuple[int, int]:
    sides = whole_numbers("size", size, SIDES[0], "a tuple (height, width), for example (32, 32)", range(2, 3))
    return tuple(whole_number(f"size[{place}]", side, *SIDES) for place, side in enumerate(sides))


def _hidden(name: str) -> bool:
    """What the system or an editor puts into a folder: .DS_Store, .ipynb_checkpoints, Thumbs.db."""
    return name.startswith(".") or name.lower() in _OF_THE_SYSTEM


def _in_words(name: str) -> str:
    """A file's name as text that can be shown and stored: accents in one form, what is no text as a question mark."""
    text = os.fsencode(name).decode("utf-8", "replace")
    text = "".join(letter if letter.isprintable() else "\ufffd" for letter in unicodedata.normalize("NFC", text))
    return text if len(text) <= 60 else f"{text[:59]}…"


def _entries(folder: Path) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as found:
            return sorted((one for one in found if not _hidden(one.name)), key=lambda one: one.name)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise Problem(
            f"The folder {shown(str(folder))} cannot be read ({why}); give one that can, as in path='my_images'."
        ) from None


def _classes(folder: Path) -> dict[str, Path]:
    """The name of each class and its folder, in the order of the names."""
    if not folder.is_dir():
        raise Problem(
            f"There is no folder {shown(str(folder))} (seen from {shown(os.getcwd())}). Make it, with one sub-folder "
            "of images for each class, and give its path, as in path='my_images'."
        )
    entries = _entries(folder)
    inside = [one for one in entries if os.path.isdir(one.path)]
    loose = [one.name for one in entries if _suffix(one.name) in Image.registered_extensions()]
    if not inside:
        what = f"{len(loose):,} images, but no sub-folder" if loose else "no sub-folder"
        raise Problem(
            f"{shown(str(folder))} holds {what}. Make one for each class, with its images in it: "
            "my_images/cat, my_images/dog."
        )
    if len(inside) == 1:
        raise Problem(
            f"{shown(str(folder))} holds one sub-folder, {shown(_in_words(inside[0].name))}. To sort images a network "
            "needs two classes at least: give the folder that holds a sub-folder for each."
        )
    if len(inside) > MOST_CLASSES:
        raise Problem(f"{shown(str(folder))} holds {len(inside):,} sub-folders; allowed are 2 to {MOST_CLASSES}.")
    named: dict[str, Path] = {}
    for one in inside:
        name = _in_words(one.name)
        if name in named:
            raise Problem(f"Two sub-folders read as {shown(name)}; give each class a name of its own.")
        named[name] = Path(one.path)
    return named


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


class _Reader:
    """Reads files to pixels of one size, and keeps in mind what it left out and what it changed."""

    def __init__(self, height: int, width: int):
        self.height, self.width = height, width
        self.left_out: list[tuple[str, str]] = []
        self.changed: Counter[str] = Counter()
        self.seen: dict[bytes, str] = {}

    def read(self, name: str, folder: Path, files: Sequence[os.DirEntry]) -> dict[str, np.ndarray]:
        """The pixels (H, W, 3) of each usable file, by the file's name."""
        found: dict[str, np.ndarray] = {}
        for one in files:
            label = f"{name}/{_in_words(one.name)}"
            try:
                pixels, changes = self._pixels(one)
            except _LeftOut as why:
                self.left_out.append((label, str(why)))
                continue
            known = self.seen.setdefault(hashlib.sha256(pixels.tobytes()).digest(), label)
            if known != label:
                unsure = "" if known.startswith(f"{name}/") else ", of another class: one of them is wrong"
                self.left_out.append((label, f"the same pixels as {known}{unsure}"))
                continue
            self.changed.update(changes)
            found[one.name] = pixels
        return found

    def _pixels(self, one: os.DirEntry) -> tuple[np.ndarray, list[str]]:
        if os.path.isdir(one.path):
            raise _LeftOut("a folder inside a class; put its images into the class itself")
        if not os.path.isfile(one.path):  # a link to nowhere, a pipe, a device
            raise _LeftOut("not a file")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what Pillow says of odd files is said here
                return self._opened(one.path)
        except _LeftOut:
            raise
        except UnidentifiedImageError:
            raise _LeftOut(_why_not(one)) from None
        except Image.DecompressionBombError:
            raise _LeftOut(f"more than {MOST_PIXELS:,} pixels; save it smaller") from None
        except OSError as error:
            if isinstance(error, PermissionError):
                raise _LeftOut("it may not be read") from None
            raise _LeftOut(f"broken or cut short: {said(error)[:80]}") from None
        except Exception as error:  # each format has errors of its own
            raise _LeftOut(f"broken: {said(error)[:80]}") from None

    def _opened(self, path: str) -> tuple[np.ndarray, list[str]]:
        known = [name for name in _FORMATS if name in Image.OPEN]
        with Image.open(path, formats=known) as image:
            wide, high = image.size
            if wide * high > MOST_PIXELS:
                raise _LeftOut(f"{wide:,} x {high:,} pixels; at most {MOST_PIXELS:,} in all, so save it smaller")
            changes = ["moving ones (the first picture)"] * (
                image.format != "MPO" and getattr(image, "n_frames", 1) > 1
            )
            changes += ["smaller ones (made larger)"] * (wide < self.width and high < self.height)
            image.draft("RGB", (2 * self.width, 2 * self.height))  # a JPEG is read smaller, in less time
            turned = ImageOps.exif_transpose(image)
            changes += ["turned as the camera says"] * (image.getexif().get(0x0112, 1) not in (0, 1))
            colour, how = _as_rgb(turned)
            small = ImageOps.fit(colour, (self.width, self.height), Image.Resampling.BICUBIC)
            return np.array(small), changes + how


class _LeftOut(Exception):
    """A file that is not used, and why."""


def _why_not(one: os.DirEntry) -> str:
    if not os.path.getsize(one.path):
        return "an empty file"
    for endings, remedy in _REMEDIES.items():
        if _suffix(one.name) in endings:
            return remedy
    return "not an image that Pillow reads"


def _as_rgb(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """The picture in RGB, and what was done to it."""
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        whole = image.convert("RGBA")
        white = Image.new("RGBA", whole.size, "white")
        return Image.alpha_composite(white, whole).convert("RGB"), ["transparent (on white)"]
    if image.mode.startswith("I") or image.mode == "F":  # 16 bit and more: Pillow alone would cut all above 255 off
        values = np.asarray(image).astype(np.float64)
        low, high = float(values.min()), float(values.max())
        grey = 255 * (values - low) / ((high - low) or 1)
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB"), ["grey of 16 bit or more"]
    names = {"L": ["grey"], "1": ["black and white"], "CMYK": ["CMYK"], "P": ["indexed colours"]}
    return image.convert("RGB"), names.get(image.mode, [])


def _too_few(name: str, count: int, left_out: Sequence[tuple[str, str]]) -> str:
    of_it = [(file, why) for file, why in left_out if file.startswith(f"{name}/")]
    rows = "; ".join(f"{file} ({why})" for file, why in of_it[:3])
    gone = f" Left out: {rows}{f'; and {len(of_it) - 3:,} more' if len(of_it) > 3 else ''}." if of_it else ""
    return (
        f"The class {shown(name)} has {count:,} usable image{'s' * (count != 1)}; give each {LEAST_EACH} or more, "
        f"a file for each.{gone}"
    )


def _split(
    pixels: dict[str, dict[str, np.ndarray]], share: float, seed: int
) -> tuple[list[tuple[np.ndarray, int]], list[tuple[np.ndarray, int]]]:
    """For each part its images and labels, mixed. A file's place depends on its own name alone, and on the seed."""
    parts: tuple[list, list] = ([], [])
    for label, (name, found) in enumerate(pixels.items()):
        drawn = sorted(found, key=lambda file: _draw(seed, name, file))
        tests = max(1, round(share * len(drawn)))
        for place, file in enumerate(drawn):
            parts[place < tests].append((_draw(seed, name, file), found[file], label))
    train, test = ([(image, label) for _, image, label in sorted(part, key=lambda row: row[0])] for part in parts)
    return train, test


def _draw(seed: int, name: str, file: str) -> bytes:
    return hashlib.sha256(b"\0".join([str(seed).encode(), name.encode(), os.fsencode(file)])).digest()


def _image_set(name: str, part: Sequence[tuple[np.ndarray, int]], classes: tuple[str, ...]) -> ImageSet:
    images = torch.from_numpy(np.stack([image for image, _ in part])).permute(0, 3, 1, 2).contiguous()  # NHWC to NCHW
    return ImageSet(name, images, torch.tensor([label for _, label in part]), classes)
