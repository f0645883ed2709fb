"""`watch`: storages as they come and go; and that a trace makes none."""

import gc
import subprocess
import sys
import tracemalloc

import pytest
import torch
from tools import problem
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.nn import functional as F

from helpers import models
from helpers.folders import ROOT
from helpers.memory import measure, watch

pytestmark = pytest.mark.filterwarnings("error")  # a trace warns of nothing


def test_watch_finds_a_list_of_losses_that_keeps_every_graph():
    network, x, y = models.mlp(), torch.zeros(64, 1, 28, 28), torch.zeros(64, dtype=torch.int64)
    with watch() as book:
        kept, after = [], []
        for _ in range(4):
            kept.append(F.cross_entropy(network(x), y))
            after.append(book.bytes)
        hidden, log_softmax, loss_and_weight = 64 * 128 * 4, 64 * 10 * 4, 4 + 4
        assert {b - a for a, b in zip(after, after[1:], strict=False)} == {hidden + log_softmax + loss_and_weight}
        kept.clear()
        assert book.bytes == 0  # what was there before, the model and the batch, is not counted


def test_watch_takes_no_more_room_however_many_steps_it_sees():
    network, x, y = models.mlp(), torch.zeros(64, 1, 28, 28), torch.zeros(64, dtype=torch.int64)

    def steps(count: int) -> None:
        for _ in range(count):
            F.cross_entropy(network(x), y).backward()
            network.zero_grad()

    with watch() as book:
        steps(20)
        tracemalloc.start()
        steps(200)
        gc.collect()
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert grown < 200 * 1000  # bytes; a log takes 13,600 a step
    assert book.bytes == 0 < book.peak


HERE, THERE = torch.device("cpu"), torch.device("cuda", 1)
DEVICES = {
    None: (HERE, THERE), "cpu": (HERE,), "cpu:0": (HERE,), HERE: (HERE,), "cuda": (THERE,), "cuda:1": (THERE,),
    THERE: (THERE,), "cuda:0": (),
}  # fmt: skip


@pytest.mark.parametrize("device", DEVICES, ids=repr)
def test_watch_counts_the_device_that_is_named(device):
    with watch(device) as book:
        tensor = torch.zeros(100)
    assert book.bytes == (tensor.nbytes if HERE in DEVICES[device] else 0)
    mode, book = FakeTensorMode(), watch(device)
    fakes = [FakeTensor(mode, torch.empty(25, device="meta"), at) for at in (HERE, THERE)]
    for fake in fakes:
        book.see(fake)
    assert book.bytes == 100 * len(DEVICES[device])


@pytest.mark.parametrize("device", ["gpu", "", "cuda:x", "cuda:-1", 0, 3.5, True, [], torch.zeros(3)], ids=repr)
def test_watch_refuses_what_is_no_device(device):
    assert "allowed is the name of a device" in problem(lambda: watch(device))


def test_watch_counts_back_to_nothing():
    network = models.mlp()
    with watch() as book:
        for _ in range(3):
            loss = F.cross_entropy(network(torch.zeros(64, 1, 28, 28)), torch.zeros(64, dtype=torch.int64))
            numbers = [loss.item()]
            assert book.bytes > 64 * 784 * 4
            del loss
            assert book.bytes == 0 and numbers
        view = torch.zeros(100)[:3]
        assert book.bytes == 400  # a view keeps all that it looks at
        view.untyped_storage().resize_(12)
        view.add_(1)
        assert book.bytes == 12
        del view
    assert book.bytes == 0 and len(book.alive) == 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_measure_says_that_it_needs_a_gpu():
    text = problem(lambda: measure(models.mlp(), (1, 28, 28)))
    assert "measure() needs a CUDA GPU" in text and "trace() predicts the same record" in text


@pytest.mark.parametrize(
    ("build", "sample_shape", "parameters"),
    [
        ("nn.Sequential(*[nn.Linear(50_000, 50_000) for _ in range(4)])", (50_000,), 4 * (50_000**2 + 50_000)),
        ("torchvision.models.resnet152()", (3, 224, 224), 60_192_808),
    ],
    ids=["10 billion parameters", "resnet152"],
)
def test_nothing_of_the_models_size_is_allocated(build, sample_shape, parameters):
    pytest.importorskip("resource", reason="only on Linux and macOS")
    code = f"""
import resource, sys, torch, torchvision
from torch import nn
from helpers.memory import trace
def most():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
with torch.device("meta"):
    model = {build}
trace(nn.Linear(3, 3), (3,))
before = most()
t = trace(model, {sample_shape}, 4096)
print(t.most["parameters"], t.peak, most() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    predicted, peak, grown = (int(number) for number in done.stdout.split())
    assert 0 <= predicted - 4 * parameters < 512 * 1000
    assert peak > 160 * 2**30
    assert grown < 300 * 2**20
