"""Bytes, and how they are written."""

import pytest
import torch
from hypothesis import given
from tools import DTYPES, SHAPES, problem

from helpers import units


@given(SHAPES, DTYPES)
def test_bytes_of_is_what_torch_stores(shape, dtype):
    tensor = torch.empty(shape, dtype=dtype)
    assert units.bytes_of(shape, dtype) == tensor.untyped_storage().nbytes()


def test_readable():
    texts = [units.readable(n) for n in (0, 784, 10_000, 200_704, 2**20, 13_600_000, 2**30, 3 * 2**29)]
    expected = "0 bytes|784 bytes|10,000 bytes|0.19 MiB|1.00 MiB|12.97 MiB|1.00 GiB|1.50 GiB"
    assert "|".join(texts) == expected


@pytest.mark.parametrize("shape", [3, "28", None, (1, -2), (1.5,), (True,)])
def test_bytes_of_refuses_what_is_no_shape(shape):
    problem(lambda: units.bytes_of(shape))


def test_units_refuse_other_slips():
    assert "torch dtype" in problem(lambda: units.bytes_of((2,), float))
    problem(lambda: units.readable(-1))
    problem(lambda: units.readable(0.5))


def test_units_refuse_what_no_tensor_can_hold():
    assert units.bytes_of((2**31, 2**31), torch.uint8) == 2**62
    for shape in ((2**31, 2**31), (10**400,), (2**62, 2**62)):
        assert "allowed is a whole number" in problem(lambda shape=shape: units.bytes_of(shape))
    assert "a number of 1,329 bits" in problem(lambda: units.exact_and_readable(10**400))
