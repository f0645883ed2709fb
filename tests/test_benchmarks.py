"""The benchmark for GPUs, as far as it can run without one."""

import csv
import subprocess
import sys

import pytest
import torch

from helpers.folders import ROOT

BENCHMARKS = ROOT / "benchmarks"
BLOCKED = ("matplotlib", "ipywidgets", "IPython", "sklearn", "PIL", "torchinfo")


@pytest.fixture
def gpu(monkeypatch):
    """benchmarks/gpu.py as a module, with its two small models only."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    import gpu

    monkeypatch.setattr(gpu, "FAMILIES", gpu.FAMILIES[:2])
    return gpu


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here, and measuring takes minutes")
def test_without_a_gpu_and_with_torch_alone_it_says_so_and_writes_nothing(tmp_path):
    folder = tmp_path / "results"
    code = f"""
import runpy, sys
sys.modules.update(dict.fromkeys({BLOCKED!r}))
sys.argv = ["gpu.py", "--results", {str(folder)!r}]
runpy.run_path({str(BENCHMARKS / "gpu.py")!r}, run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "There is no CUDA GPU here that PyTorch can use, so nothing was measured or written.\n"
    assert not folder.exists()


def test_a_dry_run_lists_configurations_and_a_later_one_goes_on(gpu, tmp_path, monkeypatch, capsys):
    path = tmp_path / "gpu-dry-run.csv"

    def run(new_rows: int) -> tuple[list[str], list[dict[str, str]]]:
        monkeypatch.setattr(sys, "argv", ["gpu.py", "--dry-run", "--rows", str(new_rows), "--results", str(tmp_path)])
        assert gpu.main() == 0
        with open(path, encoding="utf-8", newline="") as file:
            return capsys.readouterr().out.splitlines(), list(csv.DictReader(file))

    lines, first = run(2)
    assert len(first) == 2 and "predicted peak" in lines[0] and "predicted peak" in lines[1]
    assert lines[-1].startswith("Left for a later run: 238 rows")
    with open(path, "a", encoding="utf-8", newline="") as file:
        file.write("mlp,mlp,64,ad")  # killed while it wrote
    lines, both = run(1)
    assert both[:2] == first and len(both) == 3
    assert lines[-1].startswith("Left for a later run: 237 rows")
    assert len({tuple(row[name] for name in gpu.KEY) for row in both}) == 3
    assert all(int(row["predicted peak"]) > 0 and not row["error"] for row in both)
    for row in both:
        assert int(row["predicted requested"]) <= int(row["predicted allocated"]) <= int(row["predicted reserved"])


def test_its_first_configurations_hold_every_pair_of_settings(gpu):
    spread, others = gpu.in_order()
    assert len({*spread, *others}) == len(spread) + len(others) == 2 * 4 * 5 * 3 * 2
    assert set().union(*(one.pairs for one in spread)) == set().union(*(one.pairs for one in spread + others))
    assert len(spread) < 40


def test_a_failed_row_and_a_wrong_phase_are_missed_goals(gpu):
    row = dict.fromkeys((*gpu.KEY, *gpu.PREDICTED, *gpu.MEASURED, "error"), "")
    right = row | {"measured requested": "1", "error requested %": "0.5", "error allocated %": "-0.9"}
    right |= {"error reserved %": "0.1"}
    assert "MISSED" not in gpu.summary([right, row | {"error": gpu.TOO_LARGE}])
    assert gpu.summary([right, row | {"error": "OutOfMemoryError"}]).count("MISSED") == 1
    assert gpu.summary([right | {"error allocated %": "-1.6", "measured phase": "step"}]).count("MISSED") == 2
    assert gpu.summary([right | {"error reserved %": "1.1"}]).count("MISSED") == 1


@pytest.mark.parametrize(
    "device, name",
    [
        ("NVIDIA H200", "H200"),
        ("NVIDIA A100-SXM4-80GB", "A100 80 GB"),
        ("NVIDIA GeForce RTX 3090", "RTX 3090"),
        ("Tesla T4", "T4"),
        ("NVIDIA T400", None),
    ],
)
def test_a_gpu_is_known_by_its_name(gpu, device, name):
    assert gpu.gpu_named(device) == name
