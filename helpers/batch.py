"""What a batch is, in numbers: the record behind the batch panel, usable without it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from helpers.models import kept_modes, parameter_count
from helpers.problems import Problem, said, shown, tensor_of, whole_number
from helpers.units import bytes_of, exact_and_readable


@dataclass(frozen=True)
class BatchFacts:
    """One batch going through one model."""

    images: Tensor  #: (N, C, H, W) uint8, the pixels as stored; the first B of them are the batch
    shape: tuple[int, ...]  #: (B, C, H, W)
    dtype: torch.dtype  #: in which the batch is stored; the model gets float32 in any case
    n_bytes: int  #: of the batch in that dtype
    output_shape: tuple[int, ...]  #: what the model made of it
    parameters: int  #: numbers that the model learned; no B in it

    @property
    def sentence(self) -> str:
        kind = "grey" if self.shape[1] == 1 else "colour"
        plural = "" if self.shape[0] == 1 else "s"
        return (
            f"{self.shape[0]} {kind} image{plural} of {self.shape[2]} x {self.shape[3]}: shape {self.shape}, "
            f"stored as {str(self.dtype).removeprefix('torch.')} in {exact_and_readable(self.n_bytes)}. "
            f"The model gets them as float32 and returns {self.output_shape}. "
            f"Its {self.parameters:,} parameters are the same for every B."
        )


def batch_facts(images: Tensor, model: nn.Module, batch_size: int, dtype: torch.dtype = torch.float32) -> BatchFacts:
    """Send the first `batch_size` images through `model` and note shapes and bytes.

    images: (N, C, H, W) uint8. The model gets them as float32 in [0, 1], in eval mode and without gradients; its modes
    are put back. `dtype` is the one that the bytes are counted for. Raises `Problem` if images are not NCHW uint8, if
    `batch_size` is not between 1 and N, or if the model cannot take such a batch (with PyTorch's own message) or does
    not return a tensor.
    """
    tensor_of("images", images, "N, C, H, W", "data.digits().images", torch.uint8)
    batch = images[: whole_number("batch_size", batch_size, 1, len(images))]
    shape = tuple(batch.shape)
    n_bytes, parameters = bytes_of(shape, dtype), parameter_count(model)
    try:
        with torch.no_grad(), kept_modes(model):
            model.eval()
            output = model(batch.float() / 255)
    except Exception as error:
        raise Problem(f"the model cannot take a batch of shape {shape}. PyTorch says: {said(error)}") from error
    if not isinstance(output, Tensor):
        raise Problem(f"the model returns {shown(output)} for a batch of shape {shape}; it must return one tensor.")
    return BatchFacts(images, shape, dtype, n_bytes, tuple(output.shape), parameters)
