"""Models that keep tensors outside themselves: afterwards nothing real meets a tensor of the trace."""

import functools
import gc
import subprocess
import sys

import pytest
import torch
from tools import problem
from torch import Tensor, nn

from helpers.folders import ROOT
from helpers.memory import any_batch, trace
from helpers.memory.torch_private import FakeTensor

pytestmark = pytest.mark.filterwarnings("error")


class Masked(nn.Module):
    """Multiplies by a mask that `mask` keeps somewhere."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x):
        return self.layer(x) @ self.mask()

    def mask(self) -> Tensor:
        raise NotImplementedError


def triangle() -> Tensor:
    return torch.ones(8, 8).tril()


@functools.lru_cache
def remembered() -> Tensor:
    return triangle()


@functools.cache
def remembered_with_more() -> tuple:
    return {"mask": (triangle(), 3)}, 4


class InLruCache(Masked):
    def mask(self):
        return remembered()


class DeepInACache(Masked):
    def mask(self):
        return remembered_with_more()[0]["mask"][0]


class InADictionaryOfTheClass(Masked):
    known = {}

    def mask(self):
        if 8 not in self.known:
            self.known[8] = triangle()
        return self.known[8]


class InAListOfTheClass(Masked):
    known = []

    def mask(self):
        if not self.known:
            self.known.append(triangle())
        return self.known[0]


class DeepInADictionaryOfTheClass(Masked):
    known = {"smaller": {"mask": torch.ones(1)}}

    def mask(self):
        if "larger" not in self.known:
            self.known["larger"] = {"mask": triangle(), "size": 8}
        return self.known["larger"]["mask"]


class InTheModel(Masked):
    def mask(self):
        self.own = triangle()
        return self.own


class InTheRealModel(Masked):
    """A hook that was made from the model itself, which the copy has too."""

    def __init__(self):
        super().__init__()
        self.seen, self.all_seen = "nothing", []
        self.layer.register_forward_hook(lambda _, inputs, output: setattr(self, "seen", output))
        self.layer.register_forward_hook(lambda _, inputs, output: self.all_seen.append(output.detach()))

    def mask(self):
        return triangle()


class AndFails(InLruCache):
    def forward(self, x):
        raise KeyError(str(super().forward(x).shape))


@pytest.fixture(autouse=True)
def no_tensor_without_numbers_is_left():
    """Beside those that other tests have left to the garbage collector."""
    before = {id(each) for each in gc.get_objects() if type(each) is FakeTensor}
    yield
    assert not [each.shape for each in gc.get_objects() if type(each) is FakeTensor and id(each) not in before]


MENDED = [
    InLruCache, DeepInACache, InADictionaryOfTheClass, DeepInADictionaryOfTheClass, InAListOfTheClass, InTheModel,
    InTheRealModel, AndFails,
]  # fmt: skip


@pytest.mark.parametrize("kind", MENDED)
def test_the_real_model_meets_no_tensor_of_a_trace(kind):
    network, x = kind(), torch.ones(4, 8)
    if kind is AndFails:
        assert "AndFails stopped: KeyError" in problem(lambda: trace(network, (8,), 4))
        assert type(remembered()) is Tensor
    else:
        before = {name: value for name, value in vars(network).items() if not name.startswith("_")}
        trace(network, (8,), 4)
        assert {name: value for name, value in vars(network).items() if not name.startswith("_")} == before
        assert type(network(x)) is Tensor and torch.equal(network(x), network.layer(x) @ triangle())
    for each in (remembered, remembered_with_more):
        each.cache_clear()


def test_a_cache_counts_while_the_step_runs():
    """It is there from the first step on; afterwards the real tensors are made anew."""
    remembered.cache_clear()
    plain = trace(InTheModel(), (8,), 4, device="cpu")
    assert trace(InLruCache(), (8,), 4, device="cpu").peak == plain.peak
    assert any_batch(InLruCache(), (8,), device="cpu")(100) == trace(InLruCache(), (8,), 100, device="cpu")


kept_here = None


class InAVariableOfTheFile(Masked):
    def mask(self):
        global kept_here
        kept_here = triangle() if kept_here is None else kept_here
        return kept_here


class InAVariableOfTheClass(Masked):
    kept = None

    def mask(self):
        if self.kept is None:
            type(self).kept = triangle()
        return self.kept


class Box:
    pass


box = Box()


class InAnObject(Masked):
    def mask(self):
        box.kept = triangle()
        return box.kept


def in_a_function() -> nn.Module:
    kept = None

    class InAFunction(Masked):
        def mask(self):
            nonlocal kept
            kept = triangle() if kept is None else kept
            return kept

    return InAFunction()


REFUSED = {
    InAVariableOfTheFile: f"{__name__}.kept_here", InAVariableOfTheClass: "InAVariableOfTheClass.kept",
    InAnObject: "Box.kept", in_a_function: "a variable of a function around it",
}  # fmt: skip


@pytest.mark.parametrize("build", REFUSED)
def test_what_cannot_be_put_back_is_refused_and_does_no_harm(build):
    network = build()
    text = problem(lambda: trace(network, (8,), 4))
    assert f"the model keeps tensors outside itself, in {REFUSED[build]}." in text and "register_buffer" in text
    assert type(network(torch.ones(4, 8))) is Tensor
    if build is not InAnObject:  # what is there now is real
        assert trace(network, (8,), 4).peak > 0


class ChangesSettings(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x):
        torch.set_default_dtype(torch.float64)
        torch.set_num_threads(torch.get_num_threads() + 1)
        return self.layer(x)


def test_what_a_forward_sets_for_all_is_set_back():
    before = torch.get_default_dtype(), torch.get_num_threads()
    trace(ChangesSettings(), (8,), 4)
    after = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_default_dtype(before[0])
    torch.set_num_threads(before[1])
    assert after == before


FILTERS = """
import warnings
from torch import nn
from helpers.memory import trace
before = list(warnings.filters)
trace(nn.Linear(3, 3), (3,))
assert warnings.filters == before
"""


def test_the_first_trace_leaves_the_filters_of_warnings():
    done = subprocess.run([sys.executable, "-c", FILTERS], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
