"""Peaks of single layers that others published, and the layers in the loops of their scripts.

Most of linkedin/Liger-Kernel, benchmark/data/all_benchmark_data.csv at ead96b6, the rows of PyTorch's and Transformers'
own layers ("torch", "huggingface"), metric "memory": `max_memory_allocated` in MiB, median of ten runs of the layer.
The file states no version of PyTorch; its dates (September 2024 to May 2026) fall to 2.4 to 2.12. Left out: layers that
import what is not PyTorch's or Transformers', and `embedding`, where the process still held some 12 GB of a compiled
twin that was run before.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BF16 = torch.bfloat16
A100, H100, RTX_3090, RTX_4090, B200 = "A100 80 GB", "H100", "RTX 3090", "RTX 4090", "B200"


@dataclass(frozen=True)
class Layer:
    """One published peak. build: sets the stage and gives the function that is run over and over."""

    kernel: str
    setting: str
    gpu: str
    mib: float
    build: "Callable[[Stage], Callable[[], object]]"
    assumed: str = ""
    source: str = "Liger-Kernel, benchmark/data/all_benchmark_data.csv"
    torch: str = "not stated (2.4 to 2.12)"
    beyond_inputs: bool = False  #: whether what was allocated before the loop is taken off
    workspace: bool = True
    cached: tuple[int, ...] = ()  #: bytes of blocks that the script let go before the loop
    products_before: tuple[bool, ...] = ()  #: whether matrix products ran before, in forward (False), backward (True)


class Stage:
    """What a script needs to run: a module with fake parameters, a name that holds something, a backward pass."""

    model: Callable[..., nn.Module]
    keep: Callable[[object], object]
    backward: Callable[..., None]


# ------------------------------------------------------------------------------------------- the loops of the scripts


def layer(module: Callable[[Stage], nn.Module], x: Callable[[], Tensor], mode: str = "full", like=torch.randn_like):
    """``y.backward(like(y), retain_graph=True)`` in the mode "full", or one half of it."""

    def build(stage: Stage):
        module_, x_ = module(stage), x()
        if mode == "forward":
            return lambda: module_(x_)
        if mode == "backward":
            gradient, y = like(x_), module_(x_)
            return lambda: stage.backward(y, gradient, retain_graph=True)

        def full():
            y = module_(x_)
            stage.backward(y, like(y), retain_graph=True)

        return full

    return build


def norm(module: Callable[[], nn.Module], *shape: int, dtype=torch.float32):
    """A normalization with the gradient made beforehand; Liger's own layer stands beside it with its parameters."""

    def build(stage: Stage):
        ours, _theirs = stage.model(module), stage.model(module)
        x = torch.randn(shape, dtype=dtype)
        dy = torch.randn_like(x)
        x.requires_grad_(True)

        def full():
            y = ours(x)
            stage.backward(y, dy, retain_graph=True)
            return _theirs

        return full

    return build


def loss(module: Callable[[Stage], Callable], inputs: Callable[[], tuple[Tensor, ...]], retain: bool):
    """``loss.backward()`` over and over; nobody sets the gradients to zero."""

    def build(stage: Stage):
        module_, inputs_ = module(stage), inputs()
        return lambda: stage.backward(module_(*inputs_), retain_graph=retain)

    return build


# ---------------------------------------------------------------------------------------------------------- the layers


def llama_mlp(stage: Stage, hidden: int, inner: int, activation: str) -> nn.Module:
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaMLP

    config = LlamaConfig(hidden_size=hidden, intermediate_size=inner, hidden_act=activation)
    return stage.model(lambda: LlamaMLP(config), BF16)


class RmsNorm(nn.Module):
    """The norm of Llama 2: float32 inside, the input's dtype outside."""

    def __init__(self, size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x):
        dtype = x.dtype
        x = x.to(torch.float32)
        variance = x.pow(2).mean(-1, keepdim=True)
        x = x * torch.rsqrt(variance + 1e-6)
        return self.weight * x.to(dtype)


class HeadAndLoss(nn.Module):
    """The last linear layer of a language model and cross entropy."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4096, 128_256, bias=False)

    def forward(self, x, target):
        logits = self.head(x)
        return F.cross_entropy(logits, target)


class Divergence(nn.Module):
    """The Jensen-Shannon divergence of two log-probabilities."""

    def __init__(self):
        super().__init__()
        self.kl = nn.KLDivLoss(reduction="batchmean", log_target=True)

    def forward(self, log_p, log_q):
        log_p, log_q = log_p.view(-1, log_p.size(-1)), log_q.view(-1, log_q.size(-1))
        mean = 0.5 * (torch.exp(log_p) + torch.exp(log_q))
        log_mean = torch.log(mean)
        return 0.5 * (self.kl(log_mean, log_p) + self.kl(log_mean, log_q))


class TwoHeadsAndDivergence(nn.Module):
    """A student's and a teacher's last layer, and the divergence of what they say. Names hold the logits."""

    def __init__(self):
        super().__init__()
        self.student = nn.Linear(4096, 128_256, bias=False)
        self.teacher = nn.Linear(4096, 128_256, bias=False)
        self.kl = nn.KLDivLoss(reduction="batchmean", log_target=True)

    def forward(self, x, other):
        logits, other_logits = self.student(x), self.teacher(other)
        log_q = torch.log_softmax(logits / 1.0, dim=-1)
        log_p = torch.log_softmax(other_logits / 1.0, dim=-1)
        return self.divergence(log_q, log_p)

    def divergence(self, log_q, log_p):
        log_p, log_q = log_p.to(torch.float), log_q.to(torch.float)
        mean = torch.lerp(torch.exp(log_p), torch.exp(log_q), 0.5)
        divergence = 0.5 * self.kl(torch.log(mean), log_p) + 0.5 * self.kl(torch.log(mean), log_q)
        return divergence.to(BF16)


class Repeated(nn.Module):
    """One linear layer, over and over."""

    def __init__(self, times: int):
        super().__init__()
        self.linear, self.times = nn.Linear(1024, 1024), times

    def forward(self, x):
        for _ in range(self.times):
            x = self.linear(x)
        return x


class ReluSquared(nn.Module):
    def forward(self, x):
        return torch.square(F.relu(x))


def rope(rows: int, hidden: int):
    """Rotary embedding of 32 heads of queries and 8 of keys, and the gradients of both."""

    def build(stage: Stage):
        from transformers import LlamaConfig
        from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

        size = hidden // 32
        config = LlamaConfig(hidden_size=hidden, num_attention_heads=32, head_dim=size)
        rotary = stage.model(lambda: LlamaRotaryEmbedding(config))
        heads = [torch.randn((1, rows, n, size), requires_grad=True, dtype=BF16).transpose(1, 2) for n in (32, 8)]
        gradients = [torch.randn_like(each) for each in heads]
        places = torch.arange(rows).unsqueeze(0)
        cos, sin = rotary(heads[1], places)
        stage.keep((rotary, places))

        def full():
            turned = apply_rotary_pos_emb(*heads, cos, sin)
            stage.backward(turned, heads, gradients)

        return full

    return build


def leaf(*shape: int, dtype=torch.float32) -> Tensor:
    return torch.randn(shape, dtype=dtype, requires_grad=True)


def labels(rows: int, classes: int) -> Tensor:
    return torch.randint(classes, (rows, 1)).squeeze(1)


# ------------------------------------------------------------------------------------------------------------ the rows

_POWERS = [2**power for power in range(12, 18)]
_BEFORE = {
    "full": {},
    "forward": {
        "assumed": "the process ran backward passes of the layer before, in the order of the script",
        "products_before": (False, True),
    },
    "backward": {"products_before": (False,)},  # its forward pass
}


def _rows(kernel: str, gpu: str, build: Callable[..., Callable], published: dict[int, float], axis: str, **more):
    for size, mib in published.items():
        yield Layer(kernel, f"{axis} = {size:,}", gpu, mib, build(size), **more)


def capped_loss(backward: bool):
    """Cross entropy of capped logits from an embedding and a classifier, the gradients let go between two runs."""

    def build(stage: Stage):
        embedding, classifier = leaf(8192, 2304, dtype=BF16), leaf(256_000, 2304, dtype=BF16)
        target = torch.randint(256_000, (8192,))

        def loss_of():
            logits = embedding @ classifier.T
            logits = torch.tanh(logits / 30) * 30
            return F.cross_entropy(logits.float(), target)

        def run():
            loss_ = loss_of()
            if backward:
                stage.backward(loss_)
            embedding.grad = classifier.grad = None

        return run

    return build


def layers() -> Iterator[Layer]:
    for backward, mib in ((False, 24_000.0), (True, 28_000.0)):
        yield Layer(
            "linear 2,304 to 256,000, capped at 30, + cross entropy, bf16",
            f"8,192 tokens, forward{' and backward' if backward else ''}", A100, mib, capped_loss(backward),
            source="apple/ml-cross-entropy README", torch="2.4.1", beyond_inputs=True, products_before=(False, True),
        )  # fmt: skip
    for times, mib in ((1, 92.01171875), (100, 4044.00390625)):
        yield Layer(
            "Linear 1,024 to 1,024, fp32, forward", f"10,240 rows, {times} times", A100, mib,
            layer(lambda stage, n=times: stage.model(partial(Repeated, n)), partial(torch.zeros, 10_240, 1024),
                  "forward"),
            source="torchinfo issue 144", torch="not stated (June 2022)", workspace=False,
            assumed="GPU; no workspace in the allocator",
        )  # fmt: skip
    yield from _rows(
        "cross entropy, 16,384 tokens, fp32", A100,
        lambda v: loss(lambda _: nn.CrossEntropyLoss(), lambda: (leaf(16_384, v), labels(16_384, v)), False),
        dict(zip(_POWERS, (1280.1259765625, 2560.1259765625, 5120.1259765625, 10240.1259765625, 20480.125, 40960.125),
                 strict=True)), "classes",
    )  # fmt: skip
    yield from _rows(
        "linear 4,096 to 128,256 + cross entropy, bf16", A100,
        lambda bt: loss(
            lambda stage: (stage.model(HeadAndLoss, BF16), stage.keep(stage.model(HeadAndLoss, BF16)))[0],
            lambda: (leaf(bt, 4096, dtype=BF16), labels(bt, 128_256)), False,
        ),
        {4096: 6092.2822265625, 8192: 9162.3134765625, 16384: 15302.3759765625, 32768: 27582.5}, "tokens",
    )  # fmt: skip
    yield from _mlp("SwiGLU of Llama, B = 4, 4,096 and 11,008, bf16", A100, 4, 4096, 11_008, "silu", "full",
                    {1024: 1294.25, 2048: 1992.25, 4096: 3452.25, 8192: 6372.25})  # fmt: skip
    wide = {1024: 1992.25, 2048: 3452.25, 4096: 6372.25, 8192: 12212.25}
    half = {1024: 1090.25, 2048: 1906.25, 4096: 3538.25, 8192: 6802.25}
    for mode, published in (("full", wide), ("forward", half), ("backward", wide)):
        kernel = "GeGLU of Llama, B = 8, 4,096 and 11,008, bf16"
        yield from _mlp(kernel, A100, 8, 4096, 11_008, "gelu_pytorch_tanh", mode, published)
    wide = {1024: 264.25, 2048: 400.25, 4096: 688.25, 8192: 1264.25, 16384: 2416.25}
    half = {1024: 144.25, 2048: 224.25, 4096: 384.25, 8192: 704.25, 16384: 1344.25}
    for name, activation in (("GeGLU", "gelu_pytorch_tanh"), ("SwiGLU", "silu")):
        for mode, published in (("full", wide), ("forward", half), ("backward", wide)):
            kernel = f"{name} of Llama, B = 2, 2,048 and 4,096, bf16"
            yield from _mlp(kernel, RTX_4090, 2, 2048, 4096, activation, mode, published)
    for gpu in (A100, H100):
        yield from _rows(
            "LayerNorm, 4,096 rows, fp32", gpu, lambda n: norm(partial(nn.LayerNorm, n), 4096, n),
            {1024: 80.0625, 2048: 160.09375, 4096: 320.15625, 8192: 640.28125, 16384: 1280.53125}, "size",
        )  # fmt: skip
    yield from _rows(
        "RMSNorm of Llama, 2,048 rows, bf16", A100, lambda n: norm(partial(RmsNorm, n), 2048, n, dtype=BF16),
        {1024: 80.01953125, 2048: 160.03125, 4096: 320.0546875, 8192: 640.1015625, 16384: 1280.1953125,
         32768: 2560.3828125}, "size",
    )  # fmt: skip
    for mode in ("full", "forward", "backward"):  # the script measures the same in all three
        yield from _rows(
            f"GroupNorm, (128, C, 512), groups of 4, fp32 ({mode})", B200,
            lambda c: norm(lambda: nn.GroupNorm(c // 4, c), 128, c, 512),
            {32: 40.06640625, 64: 80.12890625, 128: 160.25390625, 256: 320.5078125, 512: 641.015625, 1024: 1282.03125,
             2048: 2564.0625}, "C",
        )  # fmt: skip
    yield from _rows(
        "KL divergence, 16,384 tokens, fp32", H100,
        lambda v: loss(
            lambda _: nn.KLDivLoss(reduction="batchmean"),
            lambda: (leaf(16_384, v).log_softmax(-1), torch.randn(16_384, v).softmax(-1)), True,
        ),
        dict(zip(_POWERS, (1792.0, 3584.0, 7168.0, 14336.0, 28672.0, 57344.0), strict=True)), "classes",
    )  # fmt: skip
    yield from _rows(
        "Jensen-Shannon divergence, 8,192 tokens, fp32", H100, lambda v: _divergence(8192, v),
        dict(zip(_POWERS, (1664.0009765625, 3328.0009765625, 6656.0009765625, 13312.0009765625, 26624.0, 53248.0),
                 strict=True)), "classes",
    )  # fmt: skip
    yield from _rows(
        "Jensen-Shannon divergence, 128,256 classes, fp32", B200, lambda bt: _divergence(bt, 128_256),
        {1024: 6526.0009765625, 2048: 13026.0009765625, 4096: 26052.0, 8192: 52104.0}, "tokens",
    )  # fmt: skip
    yield from _rows(
        "two linear 4,096 to 128,256 + Jensen-Shannon divergence, bf16", H100,
        lambda bt: loss(
            lambda stage: stage.model(TwoHeadsAndDivergence, BF16),
            lambda: (leaf(bt, 4096, dtype=BF16), torch.rand(bt, 4096, dtype=BF16)), False,
        ),
        {1024: 10609.005859375, 2048: 17146.009765625, 4096: 30220.017578125, 8192: 56368.015625}, "tokens",
        cached=(4096 * 128_256 * 2,) * 3,  # four weights are made first, then two that take their place
    )  # fmt: skip
    yield from _rows(
        "total variation, 16,384 tokens, fp32", H100,
        lambda v: loss(
            lambda _: lambda p, q: torch.sum(torch.abs(p - q) / 2.0) / p.size(0),
            lambda: (leaf(16_384, v).softmax(-1), torch.randn(16_384, v).softmax(-1)), True,
        ),
        dict(zip(_POWERS, (2048.0009765625, 4096.0009765625, 8192.0009765625, 16384.0, 32768.0, 65536.0), strict=True)),
        "classes",
    )  # fmt: skip
    tiny = (0.0029296875, 0.005859375, 0.01171875, 0.0234375, 0.046875, 0.09375)
    for dtype, published in ((torch.float32, tiny), (BF16, (tiny[0], *tiny[:-1]))):
        yield from _rows(
            f"softmax of one vector, {str(dtype)[6:]}", RTX_3090,
            lambda n, dtype=dtype: layer(
                lambda _: nn.Softmax(dim=-1), partial(leaf, n, dtype=dtype), like=torch.ones_like
            ),
            dict(zip((128, 256, 512, 1024, 2048, 4096), published, strict=True)), "size",
        )  # fmt: skip
    yield from _rows(
        "squared ReLU of one vector, bf16", H100,
        lambda n: layer(lambda _: ReluSquared(), partial(leaf, n, dtype=BF16), like=torch.ones_like),
        {2**power: max(2**power / 65536, 1 / 256) for power in range(7, 15)}, "size",
    )  # fmt: skip
    for axis, build, published in (
        ("hidden size", lambda n: rope(2048, n), {512: 22.26611328125, 2048: 64.64111328125, 8192: 234.14111328125}),
        ("rows", lambda n: rope(n, 8192), {1024: 121.13330078125, 2048: 234.14111328125, 4096: 460.15673828125,
                                           8192: 912.18798828125, 16384: 1816.25048828125}),
    ):  # fmt: skip
        yield from _rows(
            "rotary embedding of Llama, 32 and 8 heads, bf16", A100, build, published, axis, products_before=(False,)
        )


def _mlp(kernel: str, gpu: str, batch: int, hidden: int, inner: int, activation: str, mode: str, published):
    yield from _rows(
        f"{kernel} ({mode})", gpu,
        lambda t: layer(
            partial(llama_mlp, hidden=hidden, inner=inner, activation=activation),
            partial(leaf, batch, t, hidden, dtype=BF16), mode,
        ),
        published, "T", **_BEFORE[mode],
    )  # fmt: skip


def _divergence(tokens: int, classes: int):
    return loss(
        lambda _: Divergence(),
        lambda: (leaf(tokens, classes).log_softmax(-1), torch.randn(tokens, classes).log_softmax(-1)), True,
    )  # fmt: skip
