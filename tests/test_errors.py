"""The texts of real mistakes that the lessons teach to read, as the installed libraries write them."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from helpers import data, models
from helpers.folders import ROOT

DIGIT = torch.rand(1, 28, 28)


def raised(kind: type[Exception], text: str, work) -> None:
    with pytest.raises(kind) as caught:
        work()
    assert text in str(caught.value)


def test_one_digit_without_batch_axis_into_a_cnn():
    text = "mat1 and mat2 shapes cannot be multiplied (8x196 and 1568x10)"
    raised(RuntimeError, text, lambda: models.cnn()(DIGIT))


def test_one_digit_without_batch_axis_into_flatten_and_linear_is_silent():
    assert models.mlp()(DIGIT).shape == (1, 10)


def test_one_colour_image_without_batch_axis_into_flatten_and_linear():
    text = "mat1 and mat2 shapes cannot be multiplied (3x1024 and 3072x10)"
    raised(RuntimeError, text, lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))(torch.rand(3, 32, 32)))


def test_a_plain_grey_image_into_conv():
    text = "Expected 3D (unbatched) or 4D (batched) input to conv2d, but got input of size: [28, 28]"
    raised(RuntimeError, text, lambda: models.cnn()(DIGIT[0]))


def test_batch_norm_without_batch_axis():
    raised(ValueError, "expected 4D input (got 3D input)", lambda: nn.BatchNorm2d(1)(DIGIT))


def test_batch_norm_with_one_value_in_train_mode():
    text = "Expected more than 1 value per channel when training, got input size torch.Size([1, 10])"
    raised(ValueError, text, lambda: nn.BatchNorm1d(10)(torch.rand(1, 10)))
    assert nn.BatchNorm1d(10).eval()(torch.rand(1, 10)).shape == (1, 10)
    assert nn.BatchNorm2d(8)(torch.rand(1, 8, 14, 14)).shape == (1, 8, 14, 14)


def test_stack_of_unequal_sizes():
    text = "stack expects each tensor to be equal size, but got [1, 28, 28] at entry 0 and [1, 28, 32] at entry 2"
    raised(RuntimeError, text, lambda: torch.stack([DIGIT, DIGIT, torch.zeros(1, 28, 32)]))


def test_default_collate_on_pil_images():
    photo = Image.open(data.photograph_path())
    text = "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found <class 'PIL."
    raised(TypeError, text, lambda: next(iter(DataLoader([photo, photo], batch_size=2))))


def test_means_of_channels_against_a_batch():
    text = "The size of tensor a (32) must match the size of tensor b (3) at non-singleton dimension 3"
    raised(RuntimeError, text, lambda: torch.rand(256, 3, 32, 32) - torch.rand(3))
    assert (torch.rand(3, 3, 3, 3) - torch.rand(3)).shape == (3, 3, 3, 3)  # silent


def test_photograph_into_a_grey_model():
    text = "expected input[1, 3, 600, 512] to have 1 channels, but got 3 channels instead"
    raised(RuntimeError, text, lambda: models.cnn()(torch.rand(1, 3, 600, 512)))


def test_pil_image_into_a_model():
    photo = Image.open(data.photograph_path())
    raised(TypeError, "conv2d() received an invalid combination of arguments", lambda: models.cnn()(photo))


def test_numpy_of_a_result_that_requires_grad():
    text = "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
    raised(RuntimeError, text, lambda: models.cnn()(DIGIT[None]).numpy())


def test_loading_a_whole_model_is_refused(tmp_path):
    torch.save(models.mlp(), tmp_path / "model.pth")
    raised(pickle.UnpicklingError, "Weights only load failed", lambda: torch.load(tmp_path / "model.pth"))


# ---------------------------------------------------------------------------------------------------- lessons 03 to 08


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (8, 3, 32, 32)])
def test_imshow_of_channels_first_of_one_channel_and_of_a_batch(shape):
    raised(TypeError, f"Invalid shape {shape} for image data", lambda: Figure().subplots().imshow(torch.rand(shape)))


def test_imshow_of_a_tensor_that_requires_grad():
    text = "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
    raised(RuntimeError, text, lambda: Figure().subplots().imshow(torch.rand(28, 28, requires_grad=True)))


def test_numpy_of_a_tensor_that_is_not_on_the_cpu():
    text = "can't convert meta device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first."
    raised(TypeError, text, lambda: torch.rand(3, 4, 4, device="meta", requires_grad=True).numpy())


def test_a_picture_turned_round_into_a_tensor():
    text = "At least one stride in the given numpy array is negative"
    raised(ValueError, text, lambda: torch.from_numpy(np.zeros((4, 4, 3), np.uint8)[..., ::-1]))
    assert torch.from_numpy(np.zeros((4, 4, 3), np.uint8)[..., ::-1].copy()).shape == (4, 4, 3)


def test_channels_last_into_conv():
    text = "expected input[1, 28, 28, 3] to have 3 channels, but got 28 channels instead"
    raised(RuntimeError, text, lambda: nn.Conv2d(3, 8, 3)(torch.rand(1, 28, 28, 3)))


def test_uint8_into_conv_and_linear():
    text = "Input type (unsigned char) and bias type (float) should be the same"
    raised(RuntimeError, text, lambda: nn.Conv2d(1, 8, 3)(torch.zeros(1, 1, 28, 28, dtype=torch.uint8)))
    text = "mat1 and mat2 must have the same dtype, but got Byte and Float"
    raised(RuntimeError, text, lambda: nn.Linear(784, 10)(torch.zeros(1, 784, dtype=torch.uint8)))


def test_numpys_float64_into_conv_and_linear():
    text = "Input type (double) and bias type (float) should be the same"
    raised(RuntimeError, text, lambda: nn.Conv2d(3, 8, 3)(torch.from_numpy(np.random.rand(1, 3, 32, 32))))
    text = "mat1 and mat2 must have the same dtype, but got Double and Float"
    raised(RuntimeError, text, lambda: nn.Linear(4, 2)(torch.from_numpy(np.random.rand(3, 4))))


def test_writing_into_rows_that_are_one_row_in_memory():
    text = "more than one element of the written-to tensor refers to a single memory location"
    raised(RuntimeError, text, lambda: torch.zeros(1, 3).expand(4, 3).add_(1))


def test_no_flatten_before_linear():
    text = "mat1 and mat2 shapes cannot be multiplied (1792x28 and 784x128)"
    raised(RuntimeError, text, lambda: nn.Linear(784, 128)(torch.rand(64, 1, 28, 28)))


def test_wrong_in_features_behind_a_convolution_without_pooling():
    net = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 14 * 14, 10))
    text = "mat1 and mat2 shapes cannot be multiplied (64x6272 and 1568x10)"
    raised(RuntimeError, text, lambda: net(torch.rand(64, 1, 28, 28)))


def test_view_that_eats_the_batch():
    rows = torch.rand(64, 4, 14, 14).view(-1, 1568)
    text = "Expected input batch_size (32) to match target batch_size (64)."
    raised(ValueError, text, lambda: F.cross_entropy(nn.Linear(1568, 10)(rows), torch.zeros(64, dtype=torch.int64)))


def test_a_second_backward_wants_what_the_first_gave_back():
    text = (
        "Trying to backward through the graph a second time (or directly access saved tensors after they have already "
        "been freed). Saved intermediate values of the graph are freed when you call .backward()"
    )
    weight = torch.ones(1, requires_grad=True)
    for result in (weight * weight, F.cross_entropy(models.mlp()(DIGIT[None]), torch.tensor([0]))):
        result.backward()
        raised(RuntimeError, text, result.backward)
    shared = weight.exp()
    shared.sum().backward()
    raised(RuntimeError, text, (shared * 2).sum().backward)


def test_view_on_a_permuted_tensor():
    text = (
        "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
        "contiguous subspaces). Use .reshape(...) instead."
    )
    raised(RuntimeError, text, lambda: torch.rand(64, 3, 32, 32).permute(0, 2, 3, 1).view(64, -1))


def test_hand_written_layer_with_the_factors_the_wrong_way_round():
    square = torch.rand(8, 8)
    raised(RuntimeError, "mat1 and mat2 shapes cannot be multiplied (8x8 and 4x8)", lambda: square @ torch.rand(4, 8))
    assert (square @ torch.rand(8, 8)).shape == (8, 8)  # silent


def test_the_computers_own_memory_is_not_enough():
    text = f"you tried to allocate {100_000_000 * 3 * 1024 * 1024 * 4} bytes"
    raised(RuntimeError, text, lambda: torch.empty(100_000_000, 3, 1024, 1024))


def test_the_sentences_of_cudas_out_of_memory_text_are_those_that_lesson_08_reads():
    """No test can raise it without a GPU, but PyTorch's CUDA library holds its words."""
    library = Path(torch.__file__).parent / "lib" / "libc10_cuda.so"
    if not library.exists():
        pytest.skip("this PyTorch was built without CUDA, or not for Linux")
    words = library.read_bytes()
    cells = json.loads((ROOT / "notebooks" / "08_the_peak.ipynb").read_text(encoding="utf-8"))["cells"]
    lesson = " ".join("".join("".join(cell["source"]) for cell in cells).split())
    for piece in (
        "CUDA out of memory. Tried to allocate ", " has a total capacity of ", " of which ", " is free. ",
        "Including non-PyTorch memory, this process", " memory in use. ", "Of the allocated memory ",
        " is allocated by PyTorch, ", "and ", " is reserved by PyTorch but unallocated.",
        " If reserved but unallocated memory is large try setting PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to "
        "avoid fragmentation.",
    ):  # fmt: skip
        assert piece.encode() in words, piece
        assert piece in lesson, piece
