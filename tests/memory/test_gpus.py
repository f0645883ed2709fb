"""The table of GPUs, and how CUDA hands out their memory; none of it needs a GPU."""

import pytest
import torch
from torch import nn

from helpers.memory import GPUS, trace
from helpers.memory.gpus import keeps_workspaces, rounded, workspaces

pytestmark = pytest.mark.filterwarnings("error")


def mlp() -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )


@pytest.mark.parametrize(("size", "expected"), [(0, 0), (1, 512), (512, 512), (513, 1024), (2**30 + 1, 2**30 + 512)])
def test_blocks_of_512(size, expected):
    assert rounded(size) == expected


OPERATIONS = [("forward", "addmm"), ("forward", "relu"), ("backward", "mm"), ("step", "_foreach_add_")]


@pytest.mark.parametrize("version", ["2.8.0", "2.13.0+cpu", "2.14.1+cu130", "2.14.0a0+git123"])
def test_until_2_14_two_workspaces_stay(version):
    for gpu, size in (("H200", 32 * 2**20), ("H100", 32 * 2**20), ("T4", 8_519_680), ("RTX 4090", 8_519_680)):
        assert GPUS[gpu].workspace == size
        assert workspaces(size, version, OPERATIONS) == [2 * size] * 4
        assert workspaces(size, version, OPERATIONS[:2]) == [size] * 2  # inference has no thread for backward
        assert workspaces(size, version, OPERATIONS[1:2]) == [0]
        plain = trace(mlp(), (1, 28, 28), 64)
        with_gpu = trace(mlp(), (1, 28, 28), 64, gpu=gpu, torch_version=version)
        assert with_gpu.peak == plain.peak + 2 * size
        assert with_gpu.at_peak == plain.at_peak | {"workspace": 2 * size}


@pytest.mark.parametrize("version", ["2.9.1", "2.11.0+cu130"])
def test_from_2_9_to_2_11_a_product_with_a_bias_keeps_one_more(version):
    size = 32 * 2**20
    assert workspaces(size, version, OPERATIONS) == [2 * size + 2**20] * 4  # as on an H100 with 2.11
    assert workspaces(size, version, OPERATIONS[2:]) == [size] * 2
    assert workspaces(0, version, OPERATIONS) == [0] * 4
    plain, with_gpu = (trace(mlp(), (1, 28, 28), 64, gpu=gpu, torch_version=version) for gpu in (None, "H100"))
    assert with_gpu.peak == plain.peak + 2 * size + 2**20


@pytest.mark.parametrize("version", ["2.15.0", "2.15.0+cu132", "2.16.1", "3.0.0"])
def test_from_2_15_on_a_workspace_is_given_back(version):
    assert workspaces(32 * 2**20, version, OPERATIONS) == [2**20, 0, 32 * 2**20, 0]
    assert workspaces(8_519_680, version, OPERATIONS) == [2**20, 0, 8_519_680, 0]
    plain = trace(mlp(), (1, 28, 28), 64)
    with_gpu = trace(mlp(), (1, 28, 28), 64, gpu="T4", torch_version=version)
    assert plain.peak_phase == with_gpu.peak_phase.replace("backward", "step") == "step"
    assert with_gpu.most["workspace"] == 8_519_680
    assert with_gpu.timeline[-1].live["workspace"] == 0


def test_without_a_version_the_one_here_rules():
    assert trace(mlp(), (1, 28, 28), 64, gpu="T4") == trace(
        mlp(), (1, 28, 28), 64, gpu="T4", torch_version=torch.__version__
    )


def test_no_gpu_no_workspace():
    assert trace(mlp(), (1, 28, 28), 64).most["workspace"] == 0
    assert "cuBLAS workspace" not in {c.name for c in trace(mlp(), (1, 28, 28), 64).corrections}
    assert "cuBLAS workspace" in {c.name for c in trace(mlp(), (1, 28, 28), 64, gpu="T4").corrections}


def test_gpus_are_plausible():
    for name, gpu in GPUS.items():
        assert 2**32 < gpu.capacity < 2**38 and 7 <= gpu.compute_capability < 13
        said = [int(word) for word in name.split() if word.isdigit() and int(word) < 200]
        assert not said or 0.97 < gpu.capacity / 2**30 / said[0] < 1


@pytest.mark.parametrize(
    ("version", "keeps"), [("2.11+cu128", True), ("2.14a0", True), ("2.15rc1", False), ("10.2", False)]
)
def test_a_version_needs_its_first_two_numbers_only(version, keeps):
    assert keeps_workspaces(version) is keeps
    assert trace(mlp(), (1, 28, 28), 2, gpu="T4", torch_version=version).most["workspace"] > 0
