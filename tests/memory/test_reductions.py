"""What CUDA's sums borrow: the blocks that an H100's allocator recorded, and what follows from the rules."""

import csv

import pytest
import torch
from torch import nn

from helpers import recorded
from helpers.folders import ROOT
from helpers.memory import GPUS, Gpu, any_batch, trace
from helpers.memory.reductions import Sum, buffers, sum_of

H100 = GPUS["H100"]
MEASURED = ROOT / "benchmarks" / "results" / "gpu-nvidia-h100-80gb-hbm3.csv"


def of_rows(rows: int, columns: int) -> Sum:
    """The sum over the rows of a table: the gradient of a bias."""
    x = torch.empty(rows, columns, device="meta")
    return sum_of("aten::sum", (x, [0], True), x)


@pytest.mark.parametrize(
    ("rows", "columns", "mib"),  # seen in torch.cuda.memory._snapshot() on an H100 with PyTorch 2.11
    [
        (1024, 512, 4), (8192, 512, 32), (65536, 512, 132),  # of the MLP's first bias
        (16 * 197, 3072, 75), (64 * 197, 768, 73.875), (128 * 197, 768, 132),  # of ViT-B/16's biases
    ],
)  # fmt: skip
def test_the_buffer_is_the_one_that_an_h100_gave(rows, columns, mib):
    assert buffers(of_rows(rows, columns), H100)[0] == mib * 2**20


def test_small_sums_and_unknown_gpus_borrow_nothing():
    assert buffers(of_rows(256, 512), H100) == ()  # each thread has few numbers
    assert buffers(of_rows(8192, 512), Gpu(2**34, 9.0)) == ()  # nobody said how many multiprocessors
    for rows, columns in ((0, 512), (512, 0), (1, 1), (8192, 1)):
        assert all(size > 0 for size in buffers(of_rows(rows, columns), H100))


def test_more_multiprocessors_borrow_more_where_they_are_the_limit():
    sizes = [buffers(of_rows(65536, 512), Gpu(2**34, 9.0, count))[0] for count in (33, 66, 132)]
    assert sizes == [33 * 2**20, 66 * 2**20, 132 * 2**20]


def test_axes_that_lie_next_to_each_other_count_as_one():
    flat = of_rows(8 * 128, 512)
    x = torch.empty(8, 128, 512, device="meta")
    assert buffers(sum_of("aten::sum", (x, [0, 1]), x), H100) == buffers(flat, H100)


def test_the_bias_of_a_convolution_is_summed_inside_its_backward():
    grad = torch.empty(256, 32, 56, 56, device="meta")
    inside = sum_of("aten::convolution_backward", (grad, [True, True, True]), None)
    assert inside == sum_of("aten::sum", (grad, [0, 2, 3]), grad)
    assert sum_of("aten::convolution_backward", (grad, [True, True, False]), None) is None


def test_whole_numbers_and_other_operations_are_no_such_sum():
    whole = torch.empty(8192, 512, dtype=torch.int64, device="meta")
    assert sum_of("aten::sum", (whole, [0]), whole) is None
    assert sum_of("aten::mm", (of_rows, of_rows), whole) is None


def test_a_trace_has_the_buffer_where_it_knows_the_gpu_and_any_batch_agrees():
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10))
    quickly = any_batch(model, (1, 28, 28), gpu="H100", torch_version="2.11")
    for batch_size in (64, 1023, 1024, 4096, 70_000):
        direct = trace(model, (1, 28, 28), batch_size, gpu="H100", torch_version="2.11")
        again = quickly(batch_size)
        assert (again.requested, again.allocated, again.reserved) == (
            direct.requested,
            direct.allocated,
            direct.reserved,
        )
    with_it, without = (trace(model, (1, 28, 28), 8192, gpu=gpu, torch_version="2.15") for gpu in ("H100", None))
    names = [{correction.name for correction in each.corrections} for each in (with_it, without)]
    assert "buffers of sums" in names[0] and "buffers of sums" not in names[1]


def measured_rows() -> list[dict[str, str]]:
    with open(MEASURED, encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["measured requested"]]


def test_the_stored_figures_are_those_of_todays_tracer(monkeypatch):
    """A tenth of the rows that an H100 measured, small models first; and what the course says of them all."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import gpu

    families = {family.model: family for family in gpu.FAMILIES}
    rows = measured_rows()
    quick = [row for row in rows if row["model"] in ("mlp", "cnn")]
    for row in quick[:: len(quick) // 20]:
        setting = row["optimizer"], row["precision"], int(row["accumulate"])
        one = gpu.Configuration(families[row["model"]], int(row["B"]), *setting)
        again = gpu.predict(one, "H100", row["torch"])
        assert {name: str(value) for name, value in again.items()} == {name: row[name] for name in again}


def test_on_an_h100_what_is_requested_is_known_to_the_byte_but_for_cudnn():
    rows = measured_rows()
    assert len(rows) >= 400
    off = {
        model: {
            int(row["measured requested"]) - int(row["predicted requested"]) for row in rows if row["model"] == model
        }
        for model in {row["model"] for row in rows}
    }
    assert off["mlp"] == {0}
    assert off["vit_b_16"] == {0, -96}  # what cuDNN's attention keeps less than flash, 8 bytes in each of 12 layers
    assert all(size >= 0 for model in ("cnn", "resnet18", "resnet50") for size in off[model])  # cuDNN's workspaces
    assert all(row["predicted phase"] == row["measured phase"] for row in rows)


def test_lesson_08_s_mlp_takes_what_the_h100_said():
    mlp = nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    assert trace(mlp, (1, 28, 28), 64, gpu="H100", torch_version="2.11").allocated == 72_434_688


def test_the_levers_on_a_transformer_are_exact_but_for_96_bytes():
    """Among them the peak in forward, where LayerNorm copies an input that is not contiguous."""
    rows = [row for row in recorded.rows("levers") if row["model"] == "vit_b_16"]
    assert len(rows) == 15
    assert {int(row["measured requested"]) - int(row["predicted requested"]) for row in rows} == {0, -96}


def test_what_the_lessons_say_of_the_h100_beside_no_cell():
    """Lesson 07: 407 settings, ResNet-18 up to 5 % more. Lesson 08: 527 MiB of context. Lesson 09: 1 % and 12 %."""
    rows = measured_rows()
    assert len(rows) == 407
    assert round(max(-float(row["error requested %"]) for row in rows if row["model"] == "resnet18")) == 5
    with open(MEASURED.with_name(MEASURED.stem + "-calibration.csv"), encoding="utf-8", newline="") as file:
        context = {row["name"]: row["value"] for row in csv.DictReader(file)}["context before any product"]
    assert round(int(context) / 2**20) == 527
    off = {row["model"]: abs(float(row["error %"])) for row in recorded.rows("limit")}
    shown = [off[name] for name in ("mlp", "deep_mlp", "resnet18", "resnet50, SGD", "vit_b_16")]
    assert round(max(shown)) == 1 and round(max(off.values())) == 12
