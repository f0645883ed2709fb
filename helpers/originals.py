"""MNIST and CIFAR-10 as they were published: read from files, downloaded by torchvision where there are none.

The learner's doors are `data.digits("mnist")` and `data.colours("cifar10")`. A file that is there is never changed, and
read only after its content was found to be the genuine one.
"""

import contextlib
import functools
import math
import os
import pickle
import queue
import shutil
import socket
import struct
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from helpers import folders
from helpers.problems import Problem, folder_path, one_of, said, true_or_false

_PATIENCE = 6.0  # seconds without a byte from the network before we give up

Set = TypeVar("Set")


def load(name: str, train: bool, folder: Path | None, make: Callable[[str, Tensor, Tensor, tuple], Set]) -> Set:
    """Read "mnist" or "cifar10" from `folder` (default: `data` in the work folder), after a download if it must be.

    make: gets a name, images (N, C, H, W) uint8, labels (N,) int64 and the names of the classes; what it returns is
    returned. Raises `Problem`, with the two ways on, for whatever goes wrong on the way.
    """
    original = _ORIGINALS[one_of("name", name, tuple(_ORIGINALS))]()
    true_or_false("train", train, "True (training part) or False (test part)")
    folder = folders.work_folder() / "data" if folder is None else folder_path("folder", folder)
    try:
        if not all([_usable(folder / file, trouble) for file, trouble in original.files.items()]):
            _fetch(original, folder)
        loaded = original.loader(folder, train=train, download=False)
        images = torch.as_tensor(loaded.data)  # MNIST: (N, 28, 28), CIFAR-10: (N, 32, 32, 3)
        images = images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2).contiguous()
        title = f"{original.name}, {'training' if train else 'test'} part"
        return make(title, images, torch.as_tensor(loaded.targets), original.classes or loaded.classes)
    except Exception as error:  # whatever a disk, a network or a damaged file can bring about
        raise original.problem(folder, error) from error


@dataclass
class _Original:
    """What we must know of a torchvision data set to judge its files. All paths are relative to the data folder."""

    name: str
    instead: str  # the call that gives bundled data
    loader: Callable
    classes: tuple[str, ...] | None  # None: those of the loader
    files: dict[str, Callable[[Path], str | None]]  # path: what says the trouble with a file, or None
    archives: dict[str, str]  # path of the packed file: its MD5 checksum
    urls: list[str]

    def problem(self, folder: Path, error: Exception) -> Problem:
        reason = str(error) if isinstance(error, Problem) else f"{type(error).__name__}: {said(error)}"
        place = folder / Path(next(iter(self.files))).parent
        return Problem(
            f"{self.name} cannot be loaded: {' '.join(reason.split()).rstrip('.')}.\nTwo ways on:\n"
            f"- use the bundled data: {self.instead}\n"
            f"- put the files here: {place}{os.sep} with {', '.join(Path(file).name for file in self.files)}\n"
            f"  (or, still packed, {', '.join(str(folder / archive) for archive in self.archives)})"
        )


def _mnist() -> _Original:
    from torchvision.datasets import MNIST

    archives = {f"MNIST/raw/{name}": md5 for name, md5 in MNIST.resources}
    files = {name.removesuffix(".gz"): functools.partial(_idx_trouble, images="idx3" in name) for name in archives}
    urls = [mirror + MNIST.resources[0][0] for mirror in MNIST.mirrors]
    return _Original("MNIST", "data.digits()", MNIST, tuple("0123456789"), files, archives, urls)


def _cifar10() -> _Original:
    from torchvision.datasets import CIFAR10

    sums = [*CIFAR10.train_list, *CIFAR10.test_list, (CIFAR10.meta["filename"], CIFAR10.meta["md5"])]
    files = {f"{CIFAR10.base_folder}/{name}": functools.partial(_pickle_trouble, md5=md5) for name, md5 in sums}
    archives = {CIFAR10.filename: CIFAR10.tgz_md5}
    return _Original("CIFAR-10", "data.colours()", CIFAR10, None, files, archives, [CIFAR10.url])


_ORIGINALS = {"mnist": _mnist, "cifar10": _cifar10}


def _idx_trouble(path: Path, images: bool) -> str | None:
    """Why an IDX file is unusable: bytes 0, 0, 8 (uint8), number of axes; each length as big uint32; the values."""
    content = path.read_bytes()
    axes = 3 if images else 1
    start = 4 + 4 * axes
    if content[:4] != bytes([0, 0, 8, axes]):
        what = "images" if images else "labels"
        return f"is no IDX file of {what}: it has {len(content):,} bytes and begins with {content[:4]!r}"
    shape = struct.unpack(f">{axes}I", content[4:start]) if len(content) >= start else ()
    if not shape or len(content) != start + math.prod(shape) or len(content) == start:
        return f"is cut short or damaged: it has {len(content):,} bytes, its header announces the shape {shape}"
    if images and shape[1:] != (28, 28):
        return f"holds images of {shape[1]} x {shape[2]} pixels, not 28 x 28"
    if not images and max(content[start:]) > 9:
        return f"holds the label {max(content[start:])}; allowed is 0 to 9"
    return None


def _md5_trouble(path: Path, md5: str) -> str | None:
    from torchvision.datasets.utils import check_md5

    return None if check_md5(path, md5) else f"is cut short or damaged: its MD5 checksum is not {md5}"


def _pickle_trouble(path: Path, md5: str) -> str | None:
    if reason := _md5_trouble(path, md5):
        return reason  # a pickle can run code when it is read, so only the genuine file is
    try:
        pickle.loads(path.read_bytes(), encoding="latin1")
    except Exception as error:  # a damaged pickle can raise nearly anything
        return f"cannot be read as a pickle: {error}"
    return None


def _usable(path: Path, trouble: Callable[[Path], str | None]) -> bool:
    """True if the file is there and good, False if it is not there; `Problem`, and hands off, if it is bad."""
    if not path.exists():
        return False
    if reason := trouble(path) if path.is_file() else "is a folder, not a file":
        raise Problem(f"the file {path} {reason}. It was left as it is: replace it or move it away")
    return True


def _fetch(original: _Original, folder: Path) -> None:
    """Let torchvision download and unpack in a folder of our own, then move the files that are missing into place.

    So an interrupted download leaves nothing, and of two processes that do this at once both succeed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as own, _quick_network():
        for archive, md5 in original.archives.items():  # torchvision does not download what is there
            if _usable(folder / archive, functools.partial(_md5_trouble, md5=md5)):
                Path(own, archive).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / archive, Path(own, archive))
        if not all(Path(own, archive).exists() for archive in original.archives):
            _wait_for_answer(original.urls)
        original.loader(own, download=True)
        for file, trouble in original.files.items():
            if reason := trouble(Path(own, file)):
                raise RuntimeError(f"the download of {file} failed: it {reason}")
        for file in original.files:
            _move(Path(own, file), folder / file)


def _move(finished: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if not target.exists():
            os.replace(finished, target)
    except PermissionError:  # Windows: another process put its own there a moment ago and has it open
        if not target.exists():
            raise


@contextlib.contextmanager
def _quick_network() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _wait_for_answer(urls: list[str]) -> None:
    """Return once one of ``urls`` answers; raise ConnectionError when all fail or none does within 2 x _PATIENCE.

    Needed because no socket timeout limits a name look-up or the number of addresses that are tried.
    """
    answers: queue.SimpleQueue[str] = queue.SimpleQueue()

    def ask(url: str) -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_PATIENCE).close()
            answers.put("")
        except Exception as error:
            answers.put(f"{url}: {error}")

    for url in urls:
        threading.Thread(target=ask, args=(url,), daemon=True).start()
    end, reasons = time.monotonic() + 2 * _PATIENCE, []
    while len(reasons) < len(urls):
        try:
            reason = answers.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            raise ConnectionError(f"no answer from {' or '.join(urls)}") from None
        if not reason:
            return
        reasons.append(reason)
    raise ConnectionError("; ".join(reasons))
