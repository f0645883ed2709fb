"""What autocast makes of every operation that it touches: CUDA's own, and ours on CPU tensors. Runs as a process.

Prints JSON: for each operation and each way to mix bfloat16 and float32 arguments, the dtypes of the results on fake
CUDA tensors and as_on_cuda; and the operations for which no arguments are known.
"""

import itertools
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves, tree_map_only

from helpers.memory.as_cuda import as_on_cuda

SHAPES = [(4, 4), (2, 4, 4), (2, 4, 4, 4), (1, 2, 4, 4, 4), (4,)]


def ones(*shape: int, whole: bool = False) -> Tensor:
    return torch.ones(shape, dtype=torch.int64 if whole else torch.float32, device="meta")


image, volume, square, row = ones(1, 2, 4, 4), ones(1, 2, 4, 4, 4), ones(4, 4), ones(4)
gates = (square, ones(12, 4), ones(12, 4))
convolution = (image, ones(2, 2, 3, 3), None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1)
given = {
    "_grid_sampler_2d_cpu_fallback": (image, ones(1, 4, 4, 2), 0, 0, False),
    "_convolution": (*convolution, False, False, False, False),
    "_convolution.deprecated": (*convolution, False, False, False),
    "addbmm": (square, ones(2, 4, 4), ones(2, 4, 4)),
    "addmv": (row, square, row),
    "chain_matmul": ([square, square, square],),
    "conv_tbc": (ones(4, 1, 2), ones(3, 2, 2), ones(2)),
    "conv1d": (ones(1, 2, 4), ones(2, 2, 3)),
    "conv1d.padding": (ones(1, 2, 4), ones(2, 2, 3), None, [1], "same"),
    "conv2d": (image, ones(2, 2, 3, 3)),
    "conv2d.padding": (image, ones(2, 2, 3, 3), None, [1, 1], "same"),
    "conv3d": (volume, ones(2, 2, 3, 3, 3)),
    "conv3d.padding": (volume, ones(2, 2, 3, 3, 3), None, [1, 1, 1], "same"),
    "conv_transpose1d": (ones(1, 2, 4), ones(2, 2, 3)),
    "conv_transpose2d.input": (image, ones(2, 2, 3, 3)),
    "conv_transpose3d.input": (volume, ones(2, 2, 3, 3, 3)),
    "convolution": convolution,
    "cosine_embedding_loss": (square, square, ones(4)),
    "cross": (ones(4, 3), ones(4, 3)),
    "cross_entropy_loss": (square, ones(4, whole=True)),
    "einsum": ("ij,jk->ik", [square, square]),
    "fractional_max_pool2d": (image, [2, 2], [2, 2], ones(1, 2, 2)),
    "fractional_max_pool3d": (volume, [2, 2, 2], [2, 2, 2], ones(1, 2, 3)),
    "grid_sampler": (image, ones(1, 4, 4, 2), 0, 0, False),
    "grid_sampler_2d": (image, ones(1, 4, 4, 2), 0, 0, False),
    "grid_sampler_3d": (volume, ones(1, 4, 4, 4, 3), 0, 0, False),
    "group_norm": (image, 2),
    "gru_cell": (square, *gates),
    "index_copy": (square, 0, ones(4, whole=True), square),
    "index_put": (square, [ones(4, whole=True)], square),
    "layer_norm": (square, [4]),
    "linalg_householder_product": (square, row),
    "linalg_tensorinv": (ones(2, 2, 2, 2),),
    "linalg_tensorsolve": (ones(2, 2, 2, 2), ones(2, 2)),
    "lu_solve": (square, square, row.int()),
    "lstm_cell": (square, [square, square], ones(16, 4), ones(16, 4)),
    "max_unpool2d": (image, ones(1, 2, 4, 4, whole=True), [8, 8]),
    "max_unpool3d": (volume, ones(1, 2, 4, 4, 4, whole=True), [8, 8, 8], [2, 2, 2], [0, 0, 0]),
    "multi_margin_loss": (square, ones(4, whole=True)),
    "mv": (square, row),
    "native_layer_norm": (square, [4], None, None, 1e-5),
    "nll_loss": (square, ones(4, whole=True)),
    "nll_loss2d": (image, ones(1, 4, 4, whole=True)),
    "nuclear_norm.dim": (square, [0, 1]),
    "orgqr": (square, row),
    "ormqr": (square, row, square),
    "prelu": (square, ones(1)),
    "replication_pad3d": (volume, [1] * 6),
    "rms_norm": (square, [4]),
    "scatter_add": (square, 0, ones(4, 4, whole=True), square),
    "stft": (row, 4, 1, 4, row, False, None, True),
    "stft.center": (row, 4, 1, 4, row, False, "constant", False, None, True),
    "upsample_nearest3d": (volume, [8, 8, 8]),
    "view_as_complex": (ones(4, 2),),
}  # fmt: skip


def touched() -> list[str]:
    """The operations that have a kernel for the autocast of CUDA or of the CPU."""
    listed = torch._C._dispatch_has_kernel_for_dispatch_key
    names = (name for name in torch._C._dispatch_get_all_op_names() if name.startswith("aten::"))
    return sorted(
        name.removeprefix("aten::") for name in names if listed(name, "AutocastCUDA") or listed(name, "AutocastCPU")
    )


def guesses(schema: torch._C.FunctionSchema) -> Iterator[tuple]:
    """Arguments that might do: tensors of one shape, the last one of whole numbers or not, and ones for numbers."""
    needed = [argument for argument in schema.arguments if not argument.has_default_value()]
    last = max((place for place, argument in enumerate(needed) if str(argument.type) == "Tensor"), default=0)
    for whole, shape in itertools.product((False, True), SHAPES):
        values = {"int": 1, "number": 2, "float": 0.5, "bool": False, "str": "fro", "List[Tensor]": [ones(*shape)] * 2}
        yield tuple(
            ones(*shape, whole=whole and place == last)
            if str(argument.type) == "Tensor"
            else values.get(str(argument.type), [2] * (argument.N or 1) if "List" in str(argument.type) else None)
            for place, argument in enumerate(needed)
        )


@contextmanager
def autocast(device: str):
    """torch.autocast("cuda") turns itself off where there is no GPU."""
    torch.set_autocast_enabled(device, True)
    torch.set_autocast_dtype(device, torch.bfloat16)
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        torch.autocast_decrement_nesting()
        torch.clear_autocast_cache()
        torch.set_autocast_enabled(device, False)


def results(operation: OpOverload, arguments: tuple, device: str, dtypes: tuple, casts: bool = True) -> list[str]:
    """The dtypes of what the operation gives, without autocast or as that of CUDA would have it."""
    turn = itertools.cycle(dtypes)

    def make(spec: Tensor) -> Tensor:
        return torch.ones(spec.shape, dtype=next(turn) if spec.is_floating_point() else spec.dtype, device=device)

    with FakeTensorMode(), autocast(device) if casts else nullcontext(), as_on_cuda(None, casts and device == "cpu"):
        out = operation(*tree_map_only(Tensor, make, arguments))
    return [str(leaf.dtype) for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]


def attempt(*what) -> list[str] | str:
    """The same, or the complaint."""
    try:
        return results(*what)
    except Exception as error:
        return str(error)


def main() -> None:
    logging.disable()
    warnings.simplefilter("ignore")
    found, unknown = {}, {}
    for name in touched():
        base, _, overload = name.partition(".")
        operation = getattr(getattr(torch.ops.aten, base), overload or "default")
        for arguments in [given[name]] if name in given else guesses(operation._schema):
            plain = attempt(operation, arguments, "cpu", (torch.float32,), False)
            if not isinstance(plain, str):
                break
        for dtypes in itertools.product((torch.bfloat16, torch.float32), repeat=2):
            theirs, ours = (attempt(operation, arguments, device, dtypes) for device in ("cuda", "cpu"))
            if isinstance(plain, str) or "no NVIDIA driver" in theirs:
                unknown[name] = plain if isinstance(plain, str) else theirs
            else:
                found[f"{name} {dtypes}"] = theirs, ours
    print(json.dumps([found, unknown]))


if __name__ == "__main__":
    main()
