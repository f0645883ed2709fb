"""The record of how the numbers of an image lie."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tools import problem

from helpers import layout

SIZES = st.tuples(*[st.integers(1, 5)] * 4)


@pytest.mark.parametrize("image, given", [
    (torch.zeros(3, 4, 4).to_sparse(), "Tensor (3, 4, 4) torch.float32 torch.sparse_coo; give a tensor (C, H, W)"),
    (torch.empty(3, 4, 4, device="meta"), "Tensor (3, 4, 4) torch.float32 meta; give a tensor (C, H, W) with numbers"),
    (torch.zeros(3, 4, 4, dtype=torch.complex64), "torch.complex64; give a tensor (C, H, W)"),
    (torch.empty(3, 0, 4), "Tensor (3, 0, 4) torch.float32; give a tensor (C, H, W) with numbers in it"),
    (torch.zeros(1).expand(3, 2**20, 2**20), "with numbers in it, from 1 to 16,777,216"),
])  # fmt: skip
def test_an_image_without_numbers_is_refused(image, given):
    assert given in problem(lambda: layout.layout(image, "image"))


def test_an_image_with_a_gradient_shows_what_imshow_says():
    laid = layout.layout(torch.rand(3, 4, 4, requires_grad=True), "image.permute(1, 2, 0)")
    assert laid.imshow_error == (
        "RuntimeError: Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
    )
    assert laid.shares_memory and laid.sentence.endswith("imshow makes an error of it.")


def test_offset_refuses():
    assert layout.offset((1, 2, 3, 4), [60, 20, 5, 1]) == 119 and layout.offset((), ()) == 0
    assert "index has 1 numbers and strides 2" in problem(lambda: layout.offset((1,), (2, 1)))
    assert "index[1] is -1; allowed is a whole number, 0 or more." in problem(lambda: layout.offset((0, -1), (2, 1)))
    assert "strides[0] is 2.0 (float)" in problem(lambda: layout.offset((0, 1), (2.0, 1)))
    assert "index is 3; give a tuple of places" in problem(lambda: layout.offset(3, (1,)))


@given(SIZES, st.sampled_from(["contiguous", "channels_last"]))
def test_the_strides_of_a_walk_are_those_of_a_real_tensor(shape, memory_format):
    kind = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}[memory_format]
    real = torch.zeros(shape, dtype=torch.uint8).to(memory_format=kind)
    assert layout.walk(shape, (0, 0, 0, 0), memory_format).strides == real.stride()


def test_a_walk_needs_no_memory_and_has_an_end():
    assert layout.walk((2**30, 3, 2**10, 2**10), (2**30 - 1, 0, 0, 0)).offset == (2**30 - 1) * 3 * 2**20
    assert "allowed is a whole number from 0 to 9,223" in problem(lambda: layout.walk((2**40, 2**40, 1, 1), (0,) * 4))
    assert "shape is 5; give four sizes" in problem(lambda: layout.walk(5, (0, 0, 0, 0)))
    assert "index is (0, 0); give four places" in problem(lambda: layout.walk((2, 3, 4, 5), (0, 0)))
