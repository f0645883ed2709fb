"""Where fake kernels make other tensors than real ones: found out by running both on a few numbers.

A fake kernel says which shape, dtype and strides a result has. Many are written in Python, apart from the real ones,
and give other strides, another dtype, or a result that a real one leaves out. That depends on the kind of input alone:
its axes, their order in memory, its dtype. So both are asked once for each kind, with two numbers along each axis.
"""

import re
from dataclasses import dataclass
from functools import cache
from math import prod

import torch
from torch import Tensor

from helpers.memory.torch_private import FakeTensorMode, Operation, no_modes, schema, written_in_python

GONE, IN_FULL = "gone", "in full"


@dataclass(frozen=True)
class Kind:
    """What a small tensor has in common with a large one."""

    shape: tuple[int, ...]  #: 2 for each size above 1
    strides: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, tensor: Tensor) -> "Kind":
        shape, strides = tuple(min(size, 2) for size in tensor.shape), list(tensor.stride())
        here = there = 1  # what the next stride is without a gap, for two numbers along each axis and for all
        for axis in sorted(range(tensor.ndim), key=lambda axis: (strides[axis], shape[axis])):
            stride = strides[axis]
            here *= 2 if stride > there and shape[axis] > 1 else 1
            strides[axis] = here if stride else 0
            if shape[axis] > 1 and stride:
                here, there = here * 2, stride * tensor.shape[axis]
        return cls(shape, tuple(strides), tensor.dtype)

    def few(self) -> Tensor:
        """Such a tensor, of ones; of zeros where it may hold indices."""
        tensor = torch.empty_strided(self.shape, self.strides, dtype=self.dtype)
        return tensor.fill_(self.dtype.is_floating_point)

    def many(self, shape: torch.Size) -> Tensor:
        """A tensor of this kind with these sizes."""
        axes = range(len(shape))
        strides = [
            prod(shape[inner] for inner in axes if shape[inner] > 1 and self.strides[inner] < self.strides[axis])
            for axis in axes
        ]
        return torch.empty_strided(shape, strides, dtype=self.dtype)


def as_real(operation: Operation, args: tuple, kwargs: dict, out: object, leave_out: bool) -> object:
    """What a fake kernel made of these arguments, as the real one makes it. Call this in the fake mode.

    leave_out: whether results that the real CPU kernel does not make are left out.
    """
    if operation not in written_in_python or not _makes_new_tensors(operation):
        return out
    given = dict(zip(_names(operation), args, strict=False)) | kwargs
    kinds = tuple((name, type(value), _kind(operation, name, value, given)) for name, value in given.items())
    differences = _differences(operation, kinds)
    if not differences:
        return out
    several = isinstance(out, tuple)
    results = list(out) if several else [out]
    for place, difference in enumerate(differences):
        if difference == GONE and leave_out:
            results[place] = None
        elif difference == IN_FULL:
            results[place] = operation(**given | {"reduction": 0}).as_strided((), ())
        elif isinstance(difference, Kind) and results[place] is not None:
            results[place] = difference.many(results[place].shape)
    return tuple(results) if several else results[0]


@cache
def _makes_new_tensors(operation: Operation) -> bool:
    seeded, views = (
        torch.Tag.nondeterministic_seeded in operation.tags,
        [each.alias_info for each in schema(operation).returns],
    )
    return not (seeded or schema(operation).is_mutable or any(views))


@cache
def _names(operation: Operation) -> list[str]:
    return [argument.name for argument in schema(operation).arguments]


@cache
def _sizes(operation: Operation) -> set[str]:
    """The names of arguments that are sizes: the schema calls them SymInt, its Python objects only int."""
    return set(re.findall(r"SymInt\S* (\w+)", str(schema(operation))))


def _kind(operation: Operation, name: str, value: object, given: dict) -> object:
    """An argument for a few numbers, as a key. Sizes among the arguments shrink as the tensors do."""
    if isinstance(value, Tensor):
        return Kind.of(value)
    if isinstance(value, list | tuple):
        return tuple(_kind(operation, name, each, given) for each in value)
    if name == "HxW":  # of group_norm: what is left of the sizes
        return prod(min(size, 2) for size in given["input"].shape[2:])
    return min(value, 2) if name in _sizes(operation) or name == "group" else value


@cache
def _differences(operation: Operation, kinds: tuple) -> list[object]:
    """For each result None, or what the real kernel makes of it where the fake one makes something else.

    Empty where they agree, or where one of them does not take so few numbers.
    """

    def run() -> tuple:
        out = operation(**{name: _few(kind) for name, _, kind in kinds})
        return out if isinstance(out, tuple) else (out,)

    try:
        with no_modes():
            real = run()
            with FakeTensorMode():
                fake = run()
    except Exception:  # any: then nothing is known
        return []
    found = [_difference(*pair) for pair in zip(real, fake, strict=True)]
    return found if any(found) else []


def _few(kind: object) -> object:
    if isinstance(kind, tuple):
        return [_few(each) for each in kind]
    return kind.few() if isinstance(kind, Kind) else kind


def _difference(real: object, fake: object) -> object:
    if not isinstance(fake, Tensor):
        return None
    if real is None:
        return GONE
    if real.untyped_storage().nbytes() > fake.untyped_storage().nbytes() and not real.ndim:
        return IN_FULL
    dense = real.untyped_storage().nbytes() == real.nbytes
    return Kind.of(real) if dense and Kind.of(real) != Kind.of(fake) else None
