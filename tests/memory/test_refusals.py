"""What cannot be traced is refused in a sentence."""

import warnings
from inspect import Parameter, signature

import pytest
import torch
from tools import cnn, problem, really
from torch import nn

from helpers import memory, models
from helpers.memory import any_batch, crossover, max_batch, measure, trace
from helpers.memory.step import SETTINGS

pytestmark = pytest.mark.filterwarnings("error")  # a trace warns of nothing


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)


class Branch(Layer):
    def forward(self, x):
        return self.inner(x) if x.sum() > 0 else x


class Numbers(Layer):
    def forward(self, x):
        return torch.stack([self.inner(row) * row.tolist()[0] for row in x])


class Chosen(Layer):
    def forward(self, x):
        return self.inner(x[x[:, 0] > 0])


class ThroughNumpy(Layer):
    def forward(self, x):
        return self.inner(torch.from_numpy(x.detach().numpy()))


class ThroughSparse(Layer):
    def forward(self, x):
        return self.inner(x.to_sparse().to_dense())


@torch.library.custom_op("course_tests::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    return x * 2


class OwnOperation(Layer):
    def forward(self, x):
        return self.inner(twice(x))


CANNOT = {
    Branch: ("layer 1 (Branch) looks at the values of a tensor", ".item()", "or watch()"),
    Numbers: ("layer 1 (Numbers) looks at the values of a tensor", "_local_scalar_dense"),
    Chosen: ("in layer 1 (Chosen) the shape of a result depends on the values", "nonzero", "torch.where"),
    ThroughNumpy: ("layer 1 (ThroughNumpy) leaves PyTorch for NumPy", "Use torch functions"),
    ThroughSparse: ("layer 1 (ThroughSparse) makes a sparse tensor", "Use dense tensors"),
    OwnOperation: ("layer 1 (OwnOperation) uses an operation that does not run", "register_fake", "twice"),
}


@pytest.mark.parametrize("device", ["cuda", "cpu"])
@pytest.mark.parametrize("kind", CANNOT)
def test_what_cannot_be_traced_names_the_layer(kind, device):
    network = nn.Sequential(nn.Linear(4, 4), kind(), nn.Linear(4, 3))
    text = problem(lambda: trace(network, (4,), 8, device=device))
    first, *others = CANNOT[kind]
    assert text.startswith(first)
    assert all(part in text for part in others)
    assert "\n" not in text


def test_an_operation_of_your_own_works_with_register_fake():
    @torch.library.custom_op("course_tests::thrice", mutates_args=())
    def thrice(x: torch.Tensor) -> torch.Tensor:
        return x * 3

    thrice.register_fake(torch.empty_like)
    thrice.register_autograd(lambda ctx, grad: grad * 3)

    class Own(Layer):
        def forward(self, x):
            return self.inner(thrice(x))

    network = nn.Sequential(nn.Linear(4, 4), Own())
    assert trace(network, (4,), 8, device="cpu").peak == really(network, (4,), 8).peak


def script() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is on its way out
        return torch.jit.trace(nn.Linear(4, 4), torch.zeros(2, 4))


def quantized() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = nn.Linear(4, 4)
        network.register_buffer("table", torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.qint8))
    return network


def compiled() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # until 2.14 its import uses TorchScript
        return torch.compile(nn.Linear(4, 4))


def with_sparse_buffer() -> nn.Module:
    network = nn.Linear(4, 4)
    network.register_buffer("mask", torch.eye(4).to_sparse())
    return network


BEFOREHAND = {
    "lazy": (lambda: nn.LazyLinear(3), "1 (LazyLinear) does not know its sizes yet; run one batch"),
    "sparse gradient": (lambda: nn.Embedding(4, 3, sparse=True), "1 (Embedding) has sparse=True"),
    "sparse buffer": (with_sparse_buffer, "mask of 1 (Linear) is of layout torch.sparse_coo; only dense"),
    "quantized": (quantized, "table of 1 (Linear) is quantized; only dense"),
    "TorchScript": (script, "1 (TopLevelTracedModule) is TorchScript"),
    "compiled": (compiled, "1 (OptimizedModule) is compiled; give the model as it was"),
}


@pytest.mark.parametrize("name", BEFOREHAND)
def test_what_is_refused_beforehand(name):
    build, expected = BEFOREHAND[name]
    network = nn.Sequential(nn.Identity(), build())
    assert expected in problem(lambda: trace(network, (4,), 8))


BAD = {
    "no shape": ({"sample_shape": None}, "neither was given"),
    "both": ({"example": (torch.zeros(2, 4), None)}, "both were given"),
    "shape": ({"sample_shape": 4}, "sample_shape is 4; give one sample's shape"),
    "empty shape": ({"sample_shape": ()}, "sample_shape is ()"),
    "size": ({"sample_shape": (4, 0)}, "each size in sample_shape is 0"),
    "batch 0": ({"batch_size": 0}, "batch_size is 0"),
    "batch 2.5": ({"batch_size": 2.5}, "batch_size is 2.5 (float)"),
    "unknown": ({"colour": 3}, "there is no setting 'colour'; allowed are loss, optimizer, precision, accumulate, "),
    "no such size": (
        {"sample_shape": (2**40, 2**40)},
        "a batch of shape (32, 1099511627776, 1099511627776) has",
    ),
    "no such batch": (
        {"batch_size": 2**62},
        "a batch of shape (4611686018427387904, 4) has more bytes",
    ),
    "loss": ({"loss": 3}, "loss is 3; give a function"),
    "loss of many": ({"loss": lambda output, target: output}, "the loss is a tensor (32, 3); backward() needs one"),
    "loss of nothing": ({"loss": lambda output, target: None}, "the loss is a NoneType"),
    "loss apart": ({"loss": lambda output, target: target.sum()}, "that depends on the model"),
    "optimizer": ({"optimizer": "lion"}, "optimizer is 'lion'; allowed is one of 'sgd'"),
    "no optimizer": ({"optimizer": lambda parameters: 3}, "the function given as optimizer returned int"),
    "LBFGS": ({"optimizer": torch.optim.LBFGS}, "the optimizer wants a closure"),
    "precision": ({"precision": "fp8"}, "precision is 'fp8'"),
    "accumulate": ({"batch_size": 10, "accumulate": 4}, "cannot be cut into accumulate=4 equal micro-batches"),
    "accumulate 0": ({"accumulate": 0}, "accumulate is 0"),
    "accumulate without end": ({"accumulate": 2**40}, "allowed is a whole number from 1 to 1,024"),
    "inference": ({"inference": "no"}, "inference is 'no'; allowed is True or False"),
    "inference as a tensor": ({"inference": torch.ones(3)}, "allowed is True or False"),
    "checkpoint of numbers": ({"checkpoint": [3]}, "checkpoint is [3]; allowed is True, False or a list of names"),
    "checkpoint": ({"checkpoint": "1"}, "checkpoint is '1'; allowed is True, False or a list"),
    "no blocks": ({"checkpoint": True}, "checkpoint=True looks for blocks"),
    "no such block": ({"checkpoint": ["7"]}, "checkpoint names '7', which this model does not have"),
    "empty checkpoint": ({"checkpoint": [""]}, "checkpoint names ''"),
    "gpu": ({"gpu": "GTX"}, "gpu is 'GTX'; allowed is one of 'RTX 3070'"),
    "device": ({"device": "mps"}, "device is 'mps'; allowed is one of 'cuda', 'cpu'"),
    "example": ({"sample_shape": None, "example": torch.zeros(3)}, "example is a Tensor; give two things"),
    "example of numbers": ({"sample_shape": None, "example": (3, 4)}, "Given: int and int"),
    "wrong shape": ({"sample_shape": (5,)}, "layer 0 (Linear) stopped: RuntimeError"),
}


WITH_SETTINGS = {
    "trace": trace,
    "measure": measure,
    "any_batch": any_batch,
    "crossover": crossover,
    "max_batch": lambda network, sample_shape, **how: max_batch(network, 2**30, sample_shape, **how),
}


@pytest.mark.parametrize("name", WITH_SETTINGS)
def test_every_door_knows_the_same_settings_and_refuses_others(name):
    def ask(**how):
        return problem(lambda: WITH_SETTINGS[name](models.mlp((4,), 5, 3), (4,), **how))

    assert ask(colour=3).startswith("there is no setting 'colour'; allowed are loss, optimizer, precision, accumulate,")
    assert "optimizer is 'lion'" in ask(optimizer="lion")
    assert "accumulate is 1,099,511,627,776; allowed is a whole number from 1 to 1,024" in ask(accumulate=2**40)
    shown = signature(getattr(memory, name)).parameters
    assert [one for one in shown if shown[one].kind is Parameter.KEYWORD_ONLY] == list(SETTINGS)


@pytest.mark.parametrize("how", [{"gpu": "T4"}, {"device": "cpu"}])
def test_measure_takes_the_machine_as_it_is(how):
    assert "is what measure() runs on, the current CUDA GPU; leave it out" in problem(
        lambda: measure(models.mlp(), (1, 28, 28), **how)
    )


@pytest.mark.parametrize("name", BAD)
def test_bad_settings_are_refused(name):
    how, expected = BAD[name]
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3))
    assert expected in problem(lambda: trace(network, **({"sample_shape": (4,)} | how)))


def test_other_refusals():
    assert problem(lambda: trace(3, (4,))).startswith("model is a int; give a torch.nn.Module")
    frozen = nn.Linear(4, 3).requires_grad_(False)
    assert "no parameter of the model asks for a gradient" in problem(lambda: trace(frozen, (4,)))
    locked = nn.Linear(4, 3)
    locked.generator = (number for number in range(3))
    assert "cannot be copied" in problem(lambda: trace(locked, (4,)))


def test_nothing_is_said(capfd, caplog):
    trace(cnn(), (3, 32, 32), 4, precision="fp16", checkpoint=["0"])
    problem(lambda: trace(nn.Sequential(Branch()), (4,), 8))
    problem(lambda: trace(nn.Sequential(OwnOperation()), (4,), 8))
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


class Mistyped(Layer):
    def forward(self, x):
        return self.inner(x.lenght)


def test_a_mistyped_name_is_named_as_pytorch_would():
    text = problem(lambda: trace(nn.Sequential(Mistyped()), (4,), 8))
    assert text == "layer 0 (Mistyped) stopped: AttributeError: 'Tensor' object has no attribute 'lenght'."


class Masked(nn.Module):
    def __init__(self, **how):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.layers, self.how = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False), how

    def forward(self, x):
        return self.layers(x, mask=nn.Transformer.generate_square_subsequent_mask(6), **self.how).mean(1)


def test_a_masked_transformer_is_told_the_way_out_and_the_way_out_works():
    assert "give it, True or False; or measure" in problem(lambda: trace(Masked(), (6, 8), 4))
    ours = trace(Masked(is_causal=False), (6, 8), 4, device="cpu")
    assert ours.peak == really(Masked(is_causal=False), (6, 8), 4).peak
