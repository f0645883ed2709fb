"""The GPU that is not there: what it takes, what it refuses, and in which words."""

import re

import pytest
import torch
from tools import problem, refused, wide

from helpers import figures, models
from helpers.memory import GPUS, SimulatedGpu, SimulatedOutOfMemoryError, allocator, max_batch, simulated, trace
from helpers.units import GIB, MIB

NAME = "RTX 3070"
CARD = SimulatedGpu(NAME)
#: As an H100 printed it on PyTorch 2.11, with set_per_process_memory_fraction ("4.00 GiB allowed; ").
REAL = (
    "CUDA out of memory. Tried to allocate 392.00 MiB. GPU 0 has a total capacity of 79.18 GiB of which 73.86 GiB is "
    "free. Including non-PyTorch memory, this process has 4.52 GiB memory in use. 4.00 GiB allowed; Of the allocated "
    "memory 3.46 GiB is allocated by PyTorch, and 316.30 MiB is reserved by PyTorch but unallocated. If reserved but "
    "unallocated memory is large try setting PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to avoid fragmentation.  "
    "See documentation for Memory Management  (https://docs.pytorch.org/docs/stable/notes/cuda.html"
    "#optimizing-memory-usage-with-pytorch-cuda-alloc-conf)"
)
SIZE = re.compile(r"[\d.]+ (bytes|KiB|MiB|GiB)")


@pytest.fixture(scope="module")
def error():
    with pytest.raises(SimulatedOutOfMemoryError) as caught:
        CARD.step(models.deep_mlp((1, 28, 28), 4096, 3), (1, 28, 28), 200_000)
    return caught.value


def test_it_speaks_as_a_real_card_does(error):
    assert SIZE.sub("…", str(error)) == SIZE.sub("…", REAL.replace("4.00 GiB allowed; ", ""))
    assert isinstance(error, torch.OutOfMemoryError)
    shown = "\n".join(error._render_traceback_())
    assert shown.startswith("SimulatedOutOfMemoryError: CUDA out of memory.")
    assert " ".join(shown.split()).endswith(" ".join(str(error).split()))


def test_its_numbers_fit_each_other_and_can_be_drawn(error):
    numbers = [float(size.split()[0]) * {"MiB": MIB, "GiB": GIB}[size.split()[1]] for size in _sizes(str(error))]
    tried, capacity, free, process, allocated, unallocated = numbers
    assert capacity == pytest.approx(GPUS[NAME].capacity, rel=1e-3) and tried > free
    assert free + process == pytest.approx(capacity, rel=2e-3)
    assert allocated + unallocated + CARD.context == pytest.approx(process, rel=2e-3)
    assert "reaches beyond the end" in figures.out_of_memory(str(error)).sentence
    assert error.phase in ("forward", "backward") and error.layer and error.operation


def _sizes(text: str) -> list[str]:
    return [found.group() for found in SIZE.finditer(text)]


def test_it_takes_what_max_batch_says_and_refuses_one_more():
    found = max_batch(wide(), CARD.room, (1, 28, 28), gpu=NAME)
    assert CARD.step(wide(), (1, 28, 28), found.exact) == trace(wide(), (1, 28, 28), found.exact, gpu=NAME)
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        CARD.step(wide(), (1, 28, 28), found.exact + 1)


def test_the_context_takes_its_part():
    assert CARD.room == CARD.capacity - 512 * MIB
    large, small = (SimulatedGpu(NAME, context=size) for size in (0, 7 * GIB))
    b = max_batch(wide(), CARD.room, (1, 28, 28), gpu=NAME).exact + 1
    assert large.step(wide(), (1, 28, 28), b)
    with pytest.raises(SimulatedOutOfMemoryError):
        small.step(wide(), (1, 28, 28), b // 2)


def test_sizes_are_written_as_pytorch_writes_them():
    sizes = {0: "0 bytes", 1024: "1024 bytes", 1025: "1.00 KiB", MIB: "1024.00 KiB", 20 * MIB: "20.00 MiB"}
    assert {size: simulated._size(size) for size in (*sizes, GIB)} == sizes | {GIB: "1024.00 MiB"}


def test_a_small_tensor_asks_for_a_whole_segment():
    full = allocator.Allocator(MIB)
    with pytest.raises(allocator.OutOfMemory) as caught:
        full.allocate("small", 512)
    assert caught.value.tried == 2 * MIB and caught.value.now == allocator.Usage()


def test_bad_input_is_refused():
    refused(lambda: SimulatedGpu("RTX 1"))
    refused(lambda: SimulatedGpu(NAME, context=-1))
    refused(lambda: SimulatedGpu(NAME, context=2**40))
    assert "stands for" in problem(lambda: CARD.step(wide(), (1, 28, 28), 8, gpu="T4"))
    assert "no setting 'bath'" in problem(lambda: CARD.step(wide(), (1, 28, 28), 8, bath=1))
