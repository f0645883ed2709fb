"""Bytes, counted and written in one way everywhere: 1 MiB = 2**20 bytes, 1 GiB = 2**30 bytes."""

from math import prod

import torch

from helpers.problems import Problem, shown, whole_number, whole_numbers

MIB = 2**20
GIB = 2**30


def bytes_of(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> int:
    """Bytes that a dense tensor of this shape and dtype holds: the product of the sizes x bytes per number.

    Raises `Problem` for what is no shape or no dtype, and where no tensor can be so large (2**63 bytes or more).
    """
    if not isinstance(dtype, torch.dtype):
        raise Problem(f"dtype is {shown(dtype)}; give a torch dtype, for example torch.float32.")
    sizes = whole_numbers("shape", shape, 0, "a tuple of sizes, for example (64, 1, 28, 28)")
    return whole_number("the number of bytes of this shape", prod(sizes) * dtype.itemsize, 0)


def readable(n_bytes: int) -> str:
    """Bytes as a person reads them: `784 bytes`, `0.19 MiB`, `12.97 MiB`, `1.50 GiB`."""
    n_bytes = whole_number("n_bytes", n_bytes, 0)
    if n_bytes < MIB // 100:
        return f"{n_bytes:,} bytes"
    if n_bytes < GIB:
        return f"{n_bytes / MIB:.2f} MiB"
    return f"{n_bytes / GIB:.2f} GiB"


def exact_and_readable(n_bytes: int) -> str:
    """`200,704 bytes (0.19 MiB)`; for few bytes just `3,136 bytes`."""
    short, exact = readable(n_bytes), f"{n_bytes:,} bytes"
    return exact if short == exact else f"{exact} ({short})"
