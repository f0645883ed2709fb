"""Where fake kernels make other tensors than real ones: found out by running both on a few numbers.

A fake kernel says which shape, dtype and strides a result has. Many are written in Python, apart from the real ones,
and give other strides, another dtype, or a result that a real one leaves out; or they take dtypes that it refuses. All
that depends on the kind of input alone: its axes, their order in memory, its dtype. So both are asked once for each
kind, with two numbers along each axis.
"""

import re
from dataclasses import dataclass, replace
from functools import cache, lru_cache
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
        return cls._of(tensor.shape, tensor.stride(), tensor.dtype)

    @classmethod
    @lru_cache(2**12)
    def _of(cls, sizes: tuple[int, ...], strides: tuple[int, ...], dtype: torch.dtype) -> "Kind":
        shape, strides = tuple(min(size, 2) for size in sizes), list(strides)
        here = there = 1  # what the next stride is without a gap, for two numbers along each axis and for all
        for axis in sorted(range(len(shape)), key=lambda axis: (strides[axis], shape[axis])):
            stride = strides[axis]
            here *= 2 if stride > there and shape[axis] > 1 else 1
            strides[axis] = here if stride else 0
            if shape[axis] > 1 and stride:
                here, there = here * 2, stride * sizes[axis]
        return cls(shape, tuple(strides), dtype)

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


def run_as_real(operation: Operation, args: tuple, kwargs: dict, on_cpu: bool) -> object:
    """Run an operation on fake tensors, with the results that it has on real ones. Call this in the fake mode.

    on_cpu: whether the real kernel is the CPU's; otherwise what it leaves out is there, and it refuses no 16 bit.
    Raises RuntimeError, in PyTorch's own words, for dtypes that the real kernel refuses and the fake one takes.
    """
    if operation not in written_in_python or not _makes_new_tensors(operation):
        return operation(*args, **kwargs)
    given = dict(zip(_names(operation), args, strict=False)) | kwargs
    answer = _ask(
        operation, tuple((name, type(value), _kind(operation, name, value, given)) for name, value in given.items())
    )
    if answer.refusal and (on_cpu or not answer.for_cpu_alone):
        raise RuntimeError(answer.refusal)
    if answer.takes_bytes:  # as indices, which a fake kernel refuses
        args = tuple(value.long() if _is_bytes(value) else value for value in args)
    if answer.value is not None:
        return torch.tensor(answer.value, dtype=answer.dtype)  # such a fake tensor knows its value
    out = operation(*args, **kwargs)
    if not answer.differences:
        return out
    several = isinstance(out, tuple)
    results = list(out) if several else [out]
    for place, difference in enumerate(answer.differences):
        if difference == GONE and on_cpu:
            results[place] = None
        elif difference == IN_FULL:
            results[place] = operation(**given | {"reduction": 0}).as_strided((), ())
        elif isinstance(difference, Kind) and results[place] is not None:
            results[place] = difference.many(results[place].shape)
    return tuple(results) if several else results[0]


@cache
def _makes_new_tensors(operation: Operation) -> bool:
    seeded, views = torch.Tag.nondeterministic_seeded, [each.alias_info for each in schema(operation).returns]
    return not (seeded in operation.tags or schema(operation).is_mutable or any(views))


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


@dataclass(frozen=True)
class Answer:
    """What a few numbers told about an operation; nothing, if it does not take so few."""

    differences: tuple = ()  #: for each result None, or what the real kernel makes of it; empty if they agree
    refusal: str = ""  #: of the real kernel, for these dtypes
    for_cpu_alone: bool = False  #: whether that may be the CPU's kernel only
    takes_bytes: bool = False  #: whether only the real kernel takes uint8 for indices
    value: object = None  #: the real result, where it is one number and made from none
    dtype: torch.dtype | None = None  #: its dtype


@lru_cache(2**12)
def _ask(operation: Operation, kinds: tuple) -> Answer:
    tensors = [kind for *_, kind in kinds if isinstance(kind, Kind)]

    def run(**dtypes: torch.dtype) -> tuple:
        out = operation(**{name: _few(kind, **dtypes) for name, _, kind in kinds})
        return out if isinstance(out, tuple) else (out,)

    def works(**dtypes: torch.dtype) -> bool:
        try:
            run(**dtypes)
        except Exception:  # any: then nothing is known
            return False
        return True

    with no_modes():
        try:
            real = run()
        except Exception as error:
            if not works(floats=torch.float32, integers=torch.float32) and not works(
                floats=torch.float32, integers=torch.int64
            ):
                return Answer()
            half = any(kind.dtype in (torch.float16, torch.bfloat16) for kind in tensors)
            return Answer(refusal=str(error), for_cpu_alone=half and bool(re.search("CPU|not implemented", str(error))))
        if not tensors and isinstance(real[0], Tensor) and real[0].numel() == 1 and real[0].is_cpu:
            return Answer(value=real[0].tolist(), dtype=real[0].dtype)
        with FakeTensorMode():
            try:
                fake = run()
            except Exception:
                return Answer(takes_bytes=works(integers=torch.int64))
    found = tuple(_difference(*pair) for pair in zip(real, fake, strict=True))
    return Answer(found if any(found) else ())


def _is_bytes(value: object) -> bool:
    return isinstance(value, Tensor) and value.dtype is torch.uint8


def _few(kind: object, floats: torch.dtype | None = None, integers: torch.dtype | None = None) -> object:
    if isinstance(kind, tuple):
        return [_few(each, floats, integers) for each in kind]
    if not isinstance(kind, Kind):
        return kind
    dtype = floats if kind.dtype.is_floating_point or kind.dtype.is_complex else integers
    return replace(kind, dtype=dtype or kind.dtype).few()


def _difference(real: object, fake: object) -> object:
    if not isinstance(fake, Tensor):
        return None
    if real is None:
        return GONE
    if real.untyped_storage().nbytes() > fake.untyped_storage().nbytes() and not real.ndim:
        return IN_FULL
    dense = real.untyped_storage().nbytes() == real.nbytes
    return Kind.of(real) if dense and Kind.of(real) != Kind.of(fake) else None
