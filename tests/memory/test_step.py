"""The settings of a step, and models of other forms."""

import pytest
import torch
from tools import STATE, blocks, cnn, really, size_of, wide
from torch import nn
from torch.nn import functional as F

from helpers.memory import trace
from helpers.memory.gpus import rounded

pytestmark = pytest.mark.filterwarnings("error")  # a trace warns of nothing


def test_accumulate_shrinks_what_depends_on_the_batch():
    one, four, small = (
        trace(wide(), (1, 28, 28), b, accumulate=k, device="cpu") for b, k in ((4096, 1), (4096, 4), (1024, 1))
    )
    for name in ("batch", "activations"):
        assert four.most[name] == small.most[name]
        assert one.most[name] == pytest.approx(4 * four.most[name], rel=1e-6)  # but for one number of the loss
    assert four.most["parameters"] == one.most["parameters"]
    assert small.peak <= four.peak < one.peak
    # From the second micro-batch on, forward runs beside the gradients of those before.
    assert max(event.live["gradients"] for event in one.timeline if event.phase == "forward") == 0
    assert max(event.live["gradients"] for event in four.timeline if event.phase == "forward") == 2_678_824
    assert [e.op for e in four.timeline].count("addmm") == 4 * [e.op for e in one.timeline].count("addmm") == 12


def test_a_single_micro_batch_is_the_whole_step():
    assert trace(cnn(), (3, 32, 32), 4, accumulate=1) == trace(cnn(), (3, 32, 32), 4)
    assert trace(cnn(), (3, 32, 32)).batch_size == 32


@pytest.mark.parametrize("names", [True, ["1", "2", "3", "4", "5", "6"]])
def test_checkpoint_keeps_less_and_computes_again(names):
    whole, less = trace(blocks(), (3, 4, 4), 4096), trace(blocks(), (3, 4, 4), 4096, checkpoint=names)

    def activations(t, phase):
        return [event.live["activations"] for event in t.timeline if event.phase == phase]

    assert less.peak < whole.peak
    hidden = 4096 * 96 * 4
    inside = 6 * 2 * hidden  # each block's GELU keeps its input, and the Linear after it the GELU's result
    assert max(activations(whole, "forward")) - max(activations(less, "forward")) == pytest.approx(inside, rel=0.02)
    assert max(activations(less, "backward")) >= max(activations(less, "forward")) + hidden
    again = {event.layer for event in less.timeline if event.phase == "backward" and event.op in ("gelu", "addmm")}
    assert {f"{block}.1 (GELU)" for block in range(1, 7)} <= again
    assert not {e.layer for e in whole.timeline if e.phase == "backward" and e.op in ("gelu", "addmm")}


def test_checkpoint_of_one_block_changes_that_block_alone():
    whole, one = trace(blocks(), (3, 4, 4), 64), trace(blocks(), (3, 4, 4), 64, checkpoint=["3"])
    kept = {row.layer for row in one.saved}
    assert not any(layer.startswith("3.1") for layer in kept) and "2.1 (GELU)" in kept
    assert one.most["activations"] < whole.most["activations"]


def test_inference_keeps_nothing():
    network = cnn()
    t = trace(network, (3, 32, 32), 4, inference=True)
    assert t.saved == () and list(t.peaks) == ["forward"]
    assert [t.most[name] for name in ("gradients", "optimizer state", "activations")] == [0, 0, 0]
    assert t.most["buffers"] == trace(network, (3, 32, 32), 4).most["buffers"] > 0
    assert network.training and network[4].training
    frozen = cnn().requires_grad_(False)
    assert trace(frozen, (3, 32, 32), 4, inference=True).peak == t.peak


def test_eval_mode_is_kept():
    """A model in eval mode is traced in eval mode: dropout keeps no mask."""
    training, evaluating = trace(cnn(), (3, 32, 32), 4), trace(cnn().eval(), (3, 32, 32), 4)
    assert "4 (Dropout)" in {row.layer for row in training.saved}
    assert "4 (Dropout)" not in {row.layer for row in evaluating.saved}


class Two(nn.Module):
    """Two inputs, a dict as output."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(4, 3), nn.Linear(5, 3)

    def forward(self, left, right):
        return {"logits": self.left(left) + self.right(right), "size": left.shape[0]}


def two_loss(output, target=None):
    return output["logits"].sum() if target is None else F.cross_entropy(output["logits"], target)


def test_several_inputs_as_tuple_and_dict():
    left, right, target = torch.zeros(6, 4), torch.zeros(6, 5), torch.zeros(6, dtype=torch.int64)
    as_tuple = trace(Two(), example=((left, right), target), loss=two_loss, device="cpu")
    as_dict = trace(Two(), example=({"left": left, "right": right}, target), loss=two_loss, device="cpu")
    assert as_tuple == as_dict == really(Two(), None, None, example=((left, right), target), loss=two_loss)
    assert as_tuple.batch_size == 6 and as_tuple.most["batch"] == 6 * (4 + 5) * 4 + 6 * 8
    more = trace(Two(), batch_size=60, example=((left, right), target), loss=two_loss, device="cpu")
    assert more.batch_size == 60 and more.most["batch"] == 10 * as_tuple.most["batch"]
    without = trace(Two(), example=((left, right), None), loss=two_loss, device="cpu")
    assert without.most["batch"] == 6 * (4 + 5) * 4


def test_an_example_gives_shapes_only():
    """Also on the meta device, where nothing has bytes; what has no batch axis is not cut."""
    meta = torch.zeros(8, 3, 32, 32, device="meta"), torch.zeros(8, dtype=torch.int64, device="meta")
    assert trace(cnn(), example=meta) == trace(cnn(), (3, 32, 32), 8)
    scale = nn.Bilinear(3, 4, 2)
    t = trace(scale, batch_size=10, example=((torch.zeros(5, 3), torch.zeros(5, 4)), torch.zeros(5, dtype=torch.long)))
    assert t.batch_size == 10


class Tied(nn.Module):
    """A language model in small: what reads the tokens also writes them."""

    def __init__(self, tied: bool = True):
        super().__init__()
        self.embed, self.write = nn.Embedding(50, 16), nn.Linear(16, 50, bias=False)
        if tied:
            self.write.weight = self.embed.weight

    def forward(self, tokens):
        return self.write(self.embed(tokens).mean(1))


@pytest.mark.parametrize("optimizer", STATE)
def test_a_shared_weight_counts_once(optimizer):
    tokens = torch.zeros(4, 7, dtype=torch.int64), torch.zeros(4, dtype=torch.int64)
    tied, apart = (trace(Tied(how), example=tokens, optimizer=optimizer, device="cuda") for how in (True, False))
    weight = rounded(50 * 16 * 4)
    assert (tied.most["parameters"], apart.most["parameters"]) == (weight, 2 * weight)
    assert tied.most["optimizer state"] == STATE[optimizer] * weight
    at_step = [event for event in tied.timeline if event.phase == "step"][0]
    assert at_step.live["gradients"] == weight
    assert trace(Tied(), example=tokens, device="cpu") == really(Tied(), None, None, example=tokens)


@pytest.mark.parametrize("optimizer", STATE)
def test_frozen_layers_have_no_gradient_and_no_state(optimizer):
    network = cnn()
    network[0].requires_grad_(False)
    network[1].requires_grad_(False)
    learning = size_of(network[6].parameters())
    t = trace(network, (3, 32, 32), 4, optimizer=optimizer, device="cpu")
    assert t.most["gradients"] == learning
    assert t.most["optimizer state"] == STATE[optimizer] * learning + (8 if optimizer == "adam" else 0)
    assert t == really(network, (3, 32, 32), 4, optimizer=optimizer)
    assert not [row for row in t.saved if row.layer in ("0 (Conv2d)", "2 (ReLU)")]


def test_a_model_on_the_meta_device_gives_the_same():
    with torch.device("meta"):
        empty = cnn()
    assert trace(empty, (3, 32, 32), 4, precision="bf16") == trace(cnn(), (3, 32, 32), 4, precision="bf16")
    assert all(parameter.is_meta for parameter in empty.parameters())


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_model_in_bf16_takes_two_bytes_a_number(device):
    network = wide().bfloat16()
    t = trace(network, (1, 28, 28), 64, device=device)
    parameters = 2 * sum(p.numel() for p in network.parameters())
    if device == "cuda":
        parameters = sum(rounded(2 * p.numel()) for p in network.parameters())
    assert t.most["parameters"] == t.most["gradients"] == parameters
    assert t.most["optimizer state"] == 2 * parameters + (6 * 4 if device == "cpu" else 0)
    assert t.most["batch"] == 64 * 784 * 2 + 64 * 8
    if device == "cpu":
        assert t.timeline == really(network, (1, 28, 28), 64).timeline


def test_strides_of_a_view_are_not_kept():
    """A weight that is a slice of something larger: a copy on a GPU has the slice's bytes alone."""
    network = nn.Linear(4, 3)
    network.weight = nn.Parameter(torch.zeros(300, 4)[:3])
    assert trace(network, (4,), 8, device="cpu").most["parameters"] == (3 * 4 + 3) * 4
