"""Every storage, from its first tensor to its last: the account book under `trace`, `measure` and `watch`."""

import weakref
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from helpers.memory.torch_private import TorchDispatchMode, storage_key, tree_leaves
from helpers.problems import Problem, shown


class Ledger(TorchDispatchMode):
    """Notes when PyTorch makes a storage and when its last tensor goes, for real and for fake tensors alike.

    A `TorchDispatchMode` sees every operation that autograd, the layers and the optimizer send to PyTorch's
    dispatcher. Storages are counted, not tensors: a view costs nothing. Memory that a kernel takes and gives back
    inside one operation never reaches the dispatcher and is not counted. What ended is forgotten, so a ledger takes
    no more room than the storages that are alive.

    device: the only device that counts, as in "cpu", "cuda" (all of them), "cuda:1" or torch.device("cuda"); None
    counts all but "meta". Raises `Problem` for what is no device.
    """

    def __init__(self, device: str | torch.device | None = None):
        super().__init__()
        self.device = _device(device)
        self.bytes = 0  #: of all storages that were made under this ledger and are still alive
        self.peak = 0  #: the most bytes that were alive at once
        self.entered = 0  #: storages so far; the id of a storage is its place among them
        self._live: dict[int, tuple[int, weakref.ref, int]] = {}  # id, and the storage with its bytes as last seen
        self._aside = False

    @property
    def alive(self) -> set[int]:
        return {number for number, *_ in self._live.values()}

    def see(self, tensor: Tensor, made_from: Collection[int] = ()) -> int | None:
        """Enter the tensor's storage if it is new; return the storage's id, or None where it has no bytes here.

        made_from: keys of what an operation was given. A view of a tensor that is older than this ledger is not new.
        """
        if tensor.is_meta if self.device is None else not self._is_here(tensor.device):
            return None
        storage = tensor.untyped_storage()
        key, size = storage_key(storage), storage.nbytes()
        entry = self._live.get(key)
        if entry is None:
            if key in made_from:
                return None
            this = weakref.ref(self)  # a ledger that its own entries held would hold what it knows, a model, say
            number = self._enter(key, weakref.ref(storage, lambda _: this() and this()._end(key)), size)
        else:
            number, reference, before = entry
            if size != before:  # resized in place: the old one ends, a larger one begins
                self.gone(number, before)
                number = self._enter(key, reference, size)
        return number if size else None  # what is empty may grow

    def _is_here(self, device: torch.device) -> bool:
        return device.type == self.device.type and (
            self.device.index is None or device.index in (None, self.device.index)
        )

    def _enter(self, key: int, reference: weakref.ref, size: int) -> int:
        number = self.entered
        self.entered += 1
        self._live[key] = number, reference, size
        self.born(number, size)
        return number

    def _end(self, key: int) -> None:
        number, _, size = self._live.pop(key)
        self.gone(number, size)

    def born(self, number: int, size: int) -> None:
        """A storage begins."""
        self.bytes += size
        self.peak = max(self.peak, self.bytes)

    def gone(self, number: int, size: int) -> None:
        """A storage ended."""
        self.bytes -= size

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What runs in here is the bookkeeping's own, and is not counted."""
        self._aside = True
        try:
            yield
        finally:
            self._aside = False

    def run(self, operation, args: tuple, kwargs: dict) -> object:
        return operation(*args, **kwargs)

    def ran(self, operation, args: tuple, kwargs: dict, out: object) -> object:
        """An operation ran and gives `out`. Returns what its caller gets."""
        made_from = keys_of((args, kwargs))
        for tensor in tensors_in(out):
            self.see(tensor, made_from)
        return out

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = self.run(func, args, kwargs)
        if self._aside or func.namespace in ("prim", "profiler"):  # our own, or questions about a tensor: not work
            return out
        return self.ran(func, args, kwargs, out)


def tensors_in(out: object) -> Iterator[Tensor]:
    """The tensors among the results of an operation or a layer."""
    if isinstance(out, Tensor):
        yield out
    elif isinstance(out, tuple | list):
        for each in out:
            yield from tensors_in(each)


def keys_of(given: object) -> set[int]:
    """The storages of what an operation is given, by their keys."""
    leaves = (leaf for leaf in tree_leaves(given) if isinstance(leaf, Tensor) and leaf.layout is torch.strided)
    return {storage_key(leaf.untyped_storage()) for leaf in leaves}


def _device(device: object) -> torch.device | None:
    if device is None or isinstance(device, torch.device):
        return device
    try:
        return torch.device(device if isinstance(device, str) else "?")
    except RuntimeError as error:
        raise Problem(
            f'device is {shown(device)}; allowed is the name of a device, as in watch("cpu"), watch("cuda") or '
            'watch("cuda:1"), or none for all of them.'
        ) from error
