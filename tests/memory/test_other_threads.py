"""A trace touches nobody else: other threads compute what they would without it, and traces do not meet."""

import logging
import random
import sys
import threading
import time
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from helpers import models
from helpers.memory import trace
from helpers.problems import Problem

pytestmark = pytest.mark.filterwarnings("error")
WAIT = 30  # seconds at most for another thread

MLP = models.mlp(hidden=32)
DROPS = nn.Sequential(nn.Flatten(), nn.Linear(784, 16), nn.Dropout(), nn.Linear(16, 10))
ATTENDS = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)


@pytest.fixture(autouse=True)
def short_turns():
    """Threads take turns as often as Python can, so that what can go wrong between two of them does."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def at_once(*jobs: Callable[[], object]) -> list:
    """What each job gives, all of them in threads of their own; an exception counts as what it gives."""
    results = [None] * len(jobs)

    def do(place: int) -> None:
        try:
            results[place] = jobs[place]()
        except Exception as error:
            results[place] = error

    threads = [threading.Thread(target=do, args=(place,)) for place in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def beside(work: Callable[[], object], traced: Callable[[], object]) -> tuple[object, list]:
    """What `work` gives, and what `traced` gives again and again until that is done, in another thread."""
    begun, done, traces = threading.Event(), threading.Event(), []

    def until_done() -> None:
        while not done.is_set():
            try:
                traces.append(traced())
            finally:
                begun.set()

    def then_tell() -> object:
        try:
            assert begun.wait(WAIT)
            return work()
        finally:
            done.set()

    result, failed = at_once(then_tell, until_done)
    assert failed is None and not isinstance(result, Exception), (failed, result)
    assert len(traces) > 1
    return result, traces


def corrections(found) -> set[str]:
    return {correction.name for correction in found.corrections}


def learn(steps: int = 100) -> list[float]:
    """The losses of a real training loop that draws its dropout from the generator that all threads share."""
    torch.manual_seed(1)
    network, x = nn.Sequential(nn.Linear(20, 32), nn.Dropout(), nn.Linear(32, 4)), torch.randn(16, 20)
    optimizer, losses = torch.optim.Adam(network.parameters()), []
    for _ in range(steps):
        loss = F.layer_norm(network(x), (4,)).softmax(1).square().sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        time.sleep(0.002)
    return losses


@pytest.mark.parametrize("how", [{}, {"precision": "bf16"}, {"device": "cpu"}], ids=["fp32", "bf16", "cpu"])
def test_a_training_loop_beside_traces_learns_what_it_learns_alone(how):
    alone, wanted = learn(), trace(MLP, (1, 28, 28), 8, **how)
    learned, traces = beside(learn, lambda: trace(MLP, (1, 28, 28), 8, **how))
    assert learned == alone
    assert all(found == wanted for found in traces)


def use_what_is_corrected() -> list[tuple]:
    """How operations go for which a trace takes CUDA's way."""
    x, q, seen = torch.ones(4, 8, requires_grad=True), torch.ones(1, 1, 4, 8, requires_grad=True), set()
    for _ in range(200):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = [F.layer_norm(x.bfloat16(), (8,)), x.bfloat16().softmax(1), x.bfloat16().exp()]
        for result in (F.dropout(x), F.scaled_dot_product_attention(q, q, q), *half):
            seen.add((result.grad_fn.name(), result.dtype))
            result.sum().backward()
        time.sleep(0.001)
    return sorted(seen, key=str)


def test_operations_of_other_threads_are_neither_changed_nor_counted():
    alone = use_what_is_corrected()
    assert {name for name, _ in alone} >= {"MulBackward0", "ScaledDotProductFlashAttentionForCpuBackward0"}
    seen, traces = beside(use_what_is_corrected, lambda: trace(MLP, (1, 28, 28), 8, optimizer="sgd"))
    assert seen == alone
    assert all(corrections(t) == {"rounding", "foreach optimizer"} for t in traces)


def draw() -> list[float]:
    random.seed(5)
    np.random.seed(5)
    drawn = []
    for _ in range(300):
        drawn += [random.random(), np.random.rand()]
        time.sleep(0.001)
    return drawn


def test_random_numbers_of_other_threads_do_not_come_again():
    alone = draw()
    drawn, _ = beside(draw, lambda: trace(MLP, (1, 28, 28), 8))
    assert drawn == alone


@pytest.mark.parametrize("how", [{}, {"device": "cpu"}], ids=["cuda", "cpu"])
def test_two_traces_run_at_the_same_time_and_do_not_meet(how):
    """Each waits in every layer until the other is as far."""
    networks = [nn.Sequential(nn.Linear(8, 8), last, nn.Linear(8, 3)) for last in (nn.Dropout(), nn.ReLU())]
    wanted = [trace(network, (8,), 4, **how) for network in networks]
    barrier = threading.Barrier(2, timeout=WAIT)

    def wait(*_) -> None:
        barrier.wait()

    for network in networks:
        for layer in network:
            layer.register_forward_pre_hook(wait)
    assert at_once(*(partial(trace, network, (8,), 4, **how) for network in networks)) == wanted


TRACED = {
    "dropout": (DROPS, (1, 28, 28), {}),
    "attention in bf16": (ATTENDS, (5, 16), {"loss": lambda output, target: output.sum(), "precision": "bf16"}),
    "attention, fp16": (ATTENDS, (5, 16), {"loss": lambda output, target: output.sum(), "precision": "fp16"}),
    "on the CPU": (DROPS, (1, 28, 28), {"device": "cpu", "precision": "bf16"}),
    "recurrent": (nn.LSTM(16, 8), (5, 16), {"loss": lambda output, target: output[0].sum()}),
}


def test_traces_in_many_threads_are_those_of_one():
    jobs = [partial(trace, network, shape, 4, **how) for network, shape, how in TRACED.values()]
    wanted = [job() for job in jobs]
    for _ in range(3):
        assert at_once(*jobs) == wanted


# ------------------------------------------------------------------------------------------- in the middle of a trace


def during(network: nn.Module, look: Callable[[], object], **how) -> list:
    """What `look` gives while the network's first layer runs in a trace."""
    seen = []
    first = next(module for module in network.modules() if not list(module.children()))
    handle = first.register_forward_hook(lambda *_: seen.append(look()))
    try:
        trace(network, **how)
    finally:
        handle.remove()
    assert seen
    return seen


def process() -> list:
    """What every thread of the process sees."""
    return [
        torch._C._get_mkldnn_enabled(), torch.backends.mkldnn.enabled, torch.are_deterministic_algorithms_enabled(),
        torch.get_default_dtype(), torch.get_num_threads(), list(warnings.filters), sys.getswitchinterval(),
        [(name, logging.getLogger(name).level, len(logging.getLogger(name).filters)) for name in ("torch", LOGGER)],
        random.getstate(), bytes(torch.get_rng_state().numpy()),
    ]  # fmt: skip


LOGGER = "torch._subclasses.fake_tensor"


@pytest.mark.parametrize("how", [{}, {"precision": "fp16"}, {"device": "cpu"}], ids=["fp32", "fp16", "cpu"])
def test_nothing_of_the_process_is_changed_while_a_trace_runs(how):
    how = how | {"sample_shape": (5, 16), "loss": lambda output, target: output[0].sum()}
    network = nn.LSTM(16, 8)
    trace(network, **how)  # what PyTorch imports on its way, it imports once
    before = process()
    assert all(seen == before for seen in during(network, lambda: at_once(process)[0], **how))
    assert process() == before


def test_what_other_threads_have_to_say_is_heard(caplog):
    def complain() -> None:
        logging.getLogger(LOGGER).error("mine")

    class Odd(nn.Module):
        def forward(self, x):
            at_once(complain)
            return torch.zeros(3, 4) @ torch.zeros(3, 4)  # which the fake kernel logs, for us to say it

    with pytest.raises(Problem):
        trace(Odd(), (4,), 4, inference=True)
    assert [record.message for record in caplog.records] == ["mine"]


def test_a_trace_within_a_trace_counts_for_itself_and_on_the_cpu_goes_the_cpus_way():
    how = {"sample_shape": (1, 28, 28), "batch_size": 4}
    inner, outer = [], trace(MLP, **how)
    alone = trace(DROPS, **how), trace(DROPS, **how, device="cpu")

    def look() -> None:
        inner.append((trace(DROPS, **how), trace(DROPS, **how, device="cpu")))

    during(MLP, look, **how)
    assert inner == [alone] * len(inner)
    assert "dropout mask" in corrections(alone[0]) and "dropout mask" not in corrections(outer)


class Twice(nn.Module):
    """Runs its dropout again in backward."""

    def __init__(self, reentrant: bool):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 8), nn.Dropout(), nn.Linear(8, 3))
        self.reentrant = reentrant

    def forward(self, x):
        return checkpoint(self.layers, x.requires_grad_(), use_reentrant=self.reentrant, preserve_rng_state=False)


@pytest.mark.parametrize("reentrant", [False, True])
def test_what_runs_again_in_backward_goes_cudas_way_too(reentrant):
    drops = [event.phase for event in trace(Twice(reentrant), (8,), 4).timeline if event.op == "native_dropout"]
    assert drops == ["forward", "backward"]


# ------------------------------------------------------------------------------------------------------ after a trace


def test_compiled_and_exported_models_are_what_they_are_without_a_trace():
    trace(DROPS, (1, 28, 28), 4, precision="bf16")
    network = nn.Sequential(nn.Linear(16, 16), nn.Dropout(0.5), ATTENDS, nn.LayerNorm(16)).train()
    x = torch.randn(2, 5, 16)
    torch.manual_seed(3)
    wanted = network(x)
    torch.manual_seed(3)
    assert torch.equal(torch.compile(network, backend="eager")(x), wanted)
    assert torch.compile(network, backend="aot_eager")(x).shape == wanted.shape
    exported = torch.export.export(network, (x,))
    called = {str(node.target) for node in exported.graph.nodes if node.op == "call_function"}
    assert {"aten.dropout.default", "aten.scaled_dot_product_attention.default"} <= called
    torch.manual_seed(3)
    assert torch.equal(exported.module()(x), wanted)
    assert torch.func.vmap(lambda row: F.dropout(row, 0.5), randomness="different")(x).shape == x.shape
