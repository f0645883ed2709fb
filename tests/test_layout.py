"""The records behind the two panels of lessons 03 and 04."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from tools import problem

from helpers.layout import OPERATIONS, layout, offset, walk

IMAGE = torch.arange(3 * 75 * 64).view(3, 75, 64).to(torch.uint8)
SIZES = st.tuples(*[st.integers(1, 5)] * 4)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_layout_is_what_torch_and_matplotlib_make_of_it(operation):
    record = layout(IMAGE, operation)
    result = eval(operation.replace("H, W, C", "75, 64, 3"), {"image": IMAGE})
    assert torch.equal(record.result, result)
    assert f"shape {tuple(result.shape)}, strides {result.stride()}" in record.sentence
    assert ("not contiguous" in record.sentence) is not result.is_contiguous()
    assert record.shares_memory is ("the same memory" in record.sentence) is (result.data_ptr() == IMAGE.data_ptr())
    try:
        Figure().subplots().imshow(result.numpy())
    except TypeError as error:
        assert record.imshow_error == f"TypeError: {error}" and "imshow refuses it" in record.sentence
    else:
        assert record.imshow_error == "" and "imshow draws it" in record.sentence


@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
def test_a_walk_finds_every_number(memory_format):
    kind = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}[memory_format]
    batch = torch.arange(120).view(2, 3, 4, 5).to(memory_format=kind)
    memory = torch.as_strided(batch, (120,), (1,))
    for index in torch.cartesian_prod(*(torch.arange(size) for size in batch.shape)).tolist():
        record = walk((2, 3, 4, 5), tuple(index), memory_format)
        assert memory[record.offset] == batch[tuple(index)]
        assert eval(record.sum) == record.offset and record.sentence.endswith(f"= {record.offset}.")


def test_layouts_and_walks_refuse():
    for image in (torch.rand(2, 3), None, torch.rand(1, 3, 4, 5)):
        problem(lambda image=image: layout(image, "image"))
    for code in ("image.T", None):
        assert "allowed is" in problem(lambda code=code: layout(torch.rand(3, 4, 5), code))
    for shape, index in (((2, 3), (0, 0)), ((2, 3, 4, 5), (2, 0, 0, 0)), ((0, 3, 4, 5), (0, 0, 0, 0))):
        problem(lambda shape=shape, index=index: walk(shape, index))
    assert "allowed is" in problem(lambda: walk((2, 3, 4, 5), (0, 0, 0, 0), "NHWC"))


@pytest.mark.parametrize("image, words", [
    (torch.zeros(3, 4, 4).to_sparse(), "Tensor (3, 4, 4) torch.float32 torch.sparse_coo; give a tensor (C, H, W)"),
    (torch.empty(3, 4, 4, device="meta"), "Tensor (3, 4, 4) torch.float32 meta; give a tensor (C, H, W) with numbers"),
    (torch.zeros(3, 4, 4, dtype=torch.complex64), "torch.complex64; give a tensor (C, H, W)"),
    (torch.empty(3, 0, 4), "Tensor (3, 0, 4) torch.float32; give a tensor (C, H, W) with numbers in it"),
    (torch.zeros(1).expand(3, 2**20, 2**20), "with numbers in it, from 1 to 16,777,216"),
])  # fmt: skip
def test_an_image_without_numbers_is_refused(image, words):
    assert words in problem(lambda: layout(image, "image"))


def test_an_image_with_a_gradient_shows_what_imshow_says():
    laid = layout(torch.rand(3, 4, 4, requires_grad=True), "image.permute(1, 2, 0)")
    assert laid.imshow_error == (
        "RuntimeError: Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
    )
    assert laid.shares_memory and laid.sentence.endswith("imshow refuses it.")


def test_offset_refuses():
    assert offset((1, 2, 3, 4), [60, 20, 5, 1]) == 119 and offset((), ()) == 0
    assert "index has 1 numbers and strides 2" in problem(lambda: offset((1,), (2, 1)))
    assert "index[1] is -1; allowed is a whole number, 0 or more." in problem(lambda: offset((0, -1), (2, 1)))
    assert "strides[0] is 2.0 (float)" in problem(lambda: offset((0, 1), (2.0, 1)))
    assert "index is 3; give a tuple of places" in problem(lambda: offset(3, (1,)))


@given(SIZES, st.sampled_from(["contiguous", "channels_last"]))
def test_the_strides_of_a_walk_are_those_of_a_real_tensor(shape, memory_format):
    kind = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}[memory_format]
    real = torch.zeros(shape, dtype=torch.uint8).to(memory_format=kind)
    assert walk(shape, (0, 0, 0, 0), memory_format).strides == real.stride()


def test_a_walk_needs_no_memory_and_has_an_end():
    assert walk((2**30, 3, 2**10, 2**10), (2**30 - 1, 0, 0, 0)).offset == (2**30 - 1) * 3 * 2**20
    assert "allowed is a whole number from 0 to 9,223" in problem(lambda: walk((2**40, 2**40, 1, 1), (0,) * 4))
    assert "shape is 5; give four sizes" in problem(lambda: walk(5, (0, 0, 0, 0)))
    assert "index is (0, 0); give four places" in problem(lambda: walk((2, 3, 4, 5), (0, 0)))
