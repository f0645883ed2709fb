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
    #: ``torch.cuda.get_device_properties(0).multi_processor_count``; None if unknown: what sums borrow is left out then
    multiprocessors: int | None = None

    def __post_init__(self) -> None:
        whole_number("capacity", self.capacity, 1, MOST_CAPACITY)
        number("compute_capability", self.compute_capability, 1, 100, 8.6)
        if self.multiprocessors is not None:
            whole_number("multiprocessors", self.multiprocessors, 1, 10_000)

    @property
    def workspace(self) -> int:
        """Bytes of one cuBLAS workspace: 32 MiB from Hopper on, else 4096 KiB x 2 + 16 KiB x 8."""
        return 32 * MIB if self.compute_capability >= 9 else 8_519_680

    @property
    def threads(self) -> int:
        """The most threads that one multiprocessor holds: NVIDIA's programming guide, table of compute capabilities."""
        return {7.5: 1024, 8.6: 1536, 8.7: 1536, 8.9: 1536, 12.0: 1536, 12.1: 1536}.get(self.compute_capability, 2048)


#: Read in out-of-memory texts; drivers differ by some hundredths of a GiB. On your machine:
#: ``torch.cuda.get_device_properties(0).total_memory``. To add a GPU, add its line here; nothing else names them.
GPUS = {
    "RTX 3070": Gpu(int(7.78 * GIB), 8.6, 46),
    "RTX 3060": Gpu(int(11.76 * GIB), 8.6, 28),
    "T4": Gpu(int(14.56 * GIB), 7.5, 40),
    "V100": Gpu(int(15.78 * GIB), 7.0, 80),
    "RTX 3090": Gpu(int(23.68 * GIB), 8.6, 82),
    "RTX 4090": Gpu(int(23.64 * GIB), 8.9, 128),
    "A100 40 GB": Gpu(int(39.39 * GIB), 8.0, 108),
    "A100 80 GB": Gpu(int(79.25 * GIB), 8.0, 108),
    "H100": Gpu(int(79.18 * GIB), 9.0, 132),
    "H200": Gpu(int(139.80 * GIB), 9.0, 132),
}
_LT_WORKSPACE = MIB  # torch.backends.cuda.cublaslt_workspace_size() in 2.15
_PRODUCTS = {"mm", "bmm", "baddbmm", "addmm", "addbmm", "mv", "addmv"}


def rounded(size: int) -> int:
    """Bytes that CUDA's caching allocator hands out for a request: the next multiple of 512."""
    return round_up(size, BLOCK)


def _version(torch_version: str) -> tuple[int, int]:
    return tuple(map(int, re.match(r"(\d+)\.(\d+)", torch_version).groups()))


def kept_by(operation: str, workspace: int, torch_version: str) -> dict[str, int]:
    """The workspaces, by name, that the thread of an operation keeps from then on, in bytes; until 2.14."""
    if not keeps_workspaces(torch_version) or operation not in _PRODUCTS or not workspace:
        return {}
    with_bias = operation == "addmm" and keeps_lt_workspace(torch_version)
    return {"cuBLAS": workspace} | ({"cuBLASLt": _LT_WORKSPACE} if with_bias else {})


def keeps_workspaces(torch_version: str) -> bool:
    """Whether a thread keeps its cuBLAS workspace for good: until 2.14, from its first matrix product on."""
    return _version(torch_version) < (2, 15)


def keeps_lt_workspace(torch_version: str) -> bool:
    """Whether a product with a bias takes a workspace of cuBLASLt for good: before 2.9 not for good, after 2.11 shared.

    Measured on 2.11; the others as pull requests 156495 and 168175 say.
    """
    return (2, 9) <= _version(torch_version) < (2, 12)


def borrows(operation: str, workspace: int, torch_version: str) -> int:
    """Bytes of cuBLAS workspace that an operation borrows, from 2.15 on; of cuBLASLt for a product with a bias."""
    if keeps_workspaces(torch_version) or operation not in _PRODUCTS:
        return 0
    return _LT_WORKSPACE if operation == "addmm" and workspace else workspace


def workspaces(workspace: int, torch_version: str, steps: list[tuple[str, str]]) -> list[int]:
    """Bytes of cuBLAS workspace during each operation of a steady step. steps: (phase, operation), as they ran.

    Until 2.14 a workspace stays from the first matrix product of its thread on, and backward has a thread of its own.
    """
    if not keeps_workspaces(torch_version):
        return [borrows(operation, workspace, torch_version) for _, operation in steps]
    kept: dict[tuple[bool, str], int] = {}
    for phase, operation in steps:
        for name, size in kept_by(operation, workspace, torch_version).items():
            kept[phase == "backward", name] = size
    return [sum(kept.values())] * len(steps)  # they are there from the step before
