"""The GPUs that the course knows, and how CUDA hands out their memory: in blocks, with a workspace for products."""

import re
from dataclasses import dataclass

from helpers.memory.allocator import BLOCK, round_up
from helpers.problems import number, whole_number
from helpers.units import GIB, MIB

MOST_CAPACITY = 2**50  #: bytes; more is a slip


@dataclass(frozen=True)
class Gpu:
    """What `trace` and `max_batch` need to know of a GPU."""

    capacity: int  #: bytes; the total that PyTorch's out-of-memory texts name for this card under Linux
    compute_capability: float  #: as in NVIDIA's list, or ``torch.cuda.get_device_capability()``: 8.6

    def __post_init__(self) -> None:
        whole_number("capacity", self.capacity, 1, MOST_CAPACITY)
        number("compute_capability", self.compute_capability, 1, 100, 8.6)

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
    return round_up(size, BLOCK)


def keeps_workspaces(torch_version: str) -> bool:
    """Whether a thread keeps its cuBLAS workspace for good: until 2.14, from its first matrix product on."""
    return tuple(map(int, re.match(r"(\d+)\.(\d+)", torch_version).groups())) < (2, 15)


def borrows(operation: str, workspace: int, torch_version: str) -> int:
    """Bytes of cuBLAS workspace that an operation needs; from 2.15 on a product with a bias goes through cuBLASLt."""
    if operation not in _PRODUCTS:
        return 0
    return _LT_WORKSPACE if operation == "addmm" and workspace and not keeps_workspaces(torch_version) else workspace


def workspaces(workspace: int, torch_version: str, steps: list[tuple[str, str]]) -> list[int]:
    """Bytes of cuBLAS workspace during each operation of a steady step. steps: (phase, operation), as they ran.

    Until 2.14 a workspace stays from the first matrix product of its thread on, and backward has a thread of its own.
    """
    if not keeps_workspaces(torch_version):
        return [borrows(operation, workspace, torch_version) for _, operation in steps]
    threads = {phase == "backward" for phase, operation in steps if operation in _PRODUCTS}
    return [workspace * len(threads)] * len(steps)  # they are there from the step before
