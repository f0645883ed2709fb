"""The GPUs that the course knows, and how CUDA hands out their memory: in blocks, with a workspace for products."""

from dataclasses import dataclass

import torch

from helpers.units import GIB, MIB

BLOCK = 512  #: bytes; kMinBlockSize in c10/core/AllocatorConfig.h


@dataclass(frozen=True)
class Gpu:
    """What `trace` and `max_batch` need to know of a GPU."""

    capacity: int  #: bytes; the total that PyTorch's out-of-memory texts name for this card under Linux
    compute_capability: float

    @property
    def workspace(self) -> int:
        """Bytes of one cuBLAS workspace: 32 MiB from Hopper on, else 4096 KiB x 2 + 16 KiB x 8."""
        return 32 * MIB if self.compute_capability >= 9 else 8_519_680


#: Read in out-of-memory texts; drivers differ by some hundredths of a GiB. On your machine:
#: ``torch.cuda.get_device_properties(0).total_memory``. To add a GPU, add its line here; nothing else names them.
GPUS = {
    "RTX 3070": Gpu(int(7.78 * GIB), 8.6),
    "RTX 3060": Gpu(int(11.76 * GIB), 8.6),
    "T4": Gpu(int(14.56 * GIB), 7.5),
    "V100": Gpu(int(15.78 * GIB), 7.0),
    "RTX 3090": Gpu(int(23.68 * GIB), 8.6),
    "RTX 4090": Gpu(int(23.64 * GIB), 8.9),
    "A100 40 GB": Gpu(int(39.39 * GIB), 8.0),
    "A100 80 GB": Gpu(int(79.25 * GIB), 8.0),
    "H100": Gpu(int(79.11 * GIB), 9.0),
    "H200": Gpu(int(139.80 * GIB), 9.0),
}
_LT_WORKSPACE = MIB  # torch.backends.cuda.cublaslt_workspace_size() in 2.15
_PRODUCTS = {"mm", "bmm", "baddbmm", "addmm", "addbmm", "mv", "addmv"}


def rounded(size: int) -> int:
    """Bytes that CUDA's caching allocator hands out for a request: the next multiple of 512."""
    return -(-size // BLOCK) * BLOCK


def workspaces(gpu: str, steps: list[tuple[str, str]]) -> list[int]:
    """Bytes of cuBLAS workspace during each operation. steps: (phase, operation), as they ran.

    Until 2.14 a workspace stays from the first matrix product of its thread on, and backward has a thread of its own.
    From 2.15 on each product takes its own and gives it back; a product with a bias (addmm) goes through cuBLASLt.
    """
    size = GPUS[gpu].workspace
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 15):
        return [_LT_WORKSPACE if op == "addmm" else size if op in _PRODUCTS else 0 for _, op in steps]
    threads = {phase == "backward" for phase, op in steps if op in _PRODUCTS}
    return [size * len(threads)] * len(steps)  # a steady step: they are there from the step before
