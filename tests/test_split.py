"""What lies on each rank: predicted, and equal to what real processes hold."""

import pytest
import torch
from tools import problem
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torchvision.models import resnet18

from helpers import memory, models, processes, split

UNEVEN = (7, 5), (5, 3)  # Linear layers whose rows two and three ranks cannot share evenly


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(*(nn.Linear(*sizes) for sizes in UNEVEN))


def sharded(model, sharding):
    if sharding == "FSDP":
        from torch.distributed.fsdp import fully_shard

        return fully_shard(model), torch.optim.Adam(model.parameters())
    model = DistributedDataParallel(model)
    if sharding == "ZeRO-1":
        from torch.distributed.optim import ZeroRedundancyOptimizer

        return model, ZeroRedundancyOptimizer(model.parameters(), torch.optim.Adam)
    return model, torch.optim.Adam(model.parameters())


def held_by(rank, ranks):
    found = []
    for sharding in split.SHARDINGS:
        model, optimizer = sharded(net(), sharding)
        for _ in range(2):
            optimizer.zero_grad()
            model(torch.rand(4, 7)).sum().backward()
            optimizer.step()
        found.append(split.held(model, optimizer))
    return found


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_predicted_bytes_are_those_that_real_processes_hold(ranks):
    shapes = [tuple(parameter.shape) for parameter in net().parameters()]
    for rank, found in enumerate(processes.run(held_by, ranks)):
        for sharding, held in zip(split.SHARDINGS, found, strict=True):
            assert held == split.shard_bytes(shapes, rank, ranks, sharding), (rank, sharding)


def buckets(rank, ranks):
    made = []
    for view in (False, True):
        model = models.mlp(hidden=256)
        with memory.watch() as live:
            wrapped = DistributedDataParallel(model, gradient_as_bucket_view=view)
            for _ in range(2):
                F.cross_entropy(wrapped(torch.rand(4, 1, 28, 28)), torch.arange(4)).backward()
            made.append(live.bytes)
    return made


def test_the_buckets_of_ddp_are_a_copy_of_the_gradients_unless_these_are_views_of_them():
    parts = split.split("digits MLP", 64).ranks[0].held
    for copies, views in processes.run(buckets):
        assert copies == pytest.approx(parts["gradients"] + parts["buckets"], abs=100)
        assert views == pytest.approx(parts["gradients"], abs=100)


@pytest.mark.parametrize("model, network", [("digits MLP", models.mlp(hidden=256)), ("ResNet-18", resnet18())])
def test_one_rank_is_what_the_tracer_says(model, network):
    shape = {"digits MLP": (1, 28, 28), "ResNet-18": (3, 224, 224)}[model]
    most = memory.trace(network, shape, 16, device="cpu").most
    one = split.split(model, 64, ranks=2, steps=2)
    for rank in one.ranks:
        assert rank.micro_batches == (16, 16)
        for part in ("parameters", "buffers", "gradients", "activations", "batch"):
            assert rank.held[part] == most[part], part
        assert rank.held["optimizer state"] == pytest.approx(most["optimizer state"], abs=4 * 100)
        assert rank.held["buckets"] == rank.held["gradients"]
    assert one.alone.held["buckets"] == 0 and one.alone.micro_batches == (64,)


@pytest.mark.parametrize("batch", [1, 7, 64, 100, 8192])
@pytest.mark.parametrize("ranks", [1, 2, 3, 8])
@pytest.mark.parametrize("steps", [1, 3, 16])
def test_every_image_is_on_one_rank_once(batch, ranks, steps):
    one = split.split("digits MLP", batch, ranks, steps)
    sizes = [size for rank in one.ranks for size in rank.micro_batches]
    assert len(sizes) == ranks * steps and sum(sizes) == batch and max(sizes) - min(sizes) <= 1
    assert one.is_even == (batch % (ranks * steps) == 0) == (" = " in one.heading[0])
    assert ("empty" in one.sentence) == (batch < ranks * steps)


def test_zero_deals_out_whole_tensors_and_fsdp_rows():
    lopsided = [rank.held["optimizer state"] for rank in split.split("digits MLP", 64, 2, sharding="ZeRO-1").ranks]
    assert lopsided == [1_605_632, 22_608]
    near = [rank.held["optimizer state"] for rank in split.split("ResNet-18", 64, 2, sharding="ZeRO-1").ranks]
    assert max(near) / min(near) < 1.02
    whole = split.split("ResNet-18", 64, 2).ranks[0].held
    for rank in split.split("ResNet-18", 64, 2, sharding="FSDP").ranks:
        assert 2 * rank.held["parameters"] == pytest.approx(whole["parameters"], rel=1e-4)
        assert rank.held["buckets"] == 0


def test_held_counts_a_shared_weight_once_and_needs_no_processes():
    tied = nn.Sequential(nn.Linear(6, 6, bias=False), nn.ReLU(), nn.Linear(6, 6, bias=False))
    tied[2].weight = tied[0].weight
    optimizer = torch.optim.Adam(tied.parameters())
    assert split.held(tied, optimizer) == {"parameters": 144, "gradients": 0, "optimizer state": 0}
    tied(torch.rand(2, 6)).sum().backward()
    optimizer.step()
    assert split.held(tied, optimizer) == {"parameters": 144, "gradients": 144, "optimizer state": 288}


@pytest.mark.parametrize(
    "values",
    [{"model": "cats"}, {"global_batch": 0}, {"global_batch": 8193}, {"ranks": 9}, {"steps": 0}, {"sharding": "DP"}],
)
def test_bad_values_are_refused(values):
    assert "allowed is" in problem(lambda: split.split(**{"model": "digits MLP", "global_batch": 64} | values))
