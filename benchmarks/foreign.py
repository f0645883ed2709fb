"""Networks that nobody here wrote: is a trace for the CPU equal to the real step there, to the byte of every moment?

    uv run --group published python benchmarks/foreign.py

From timm, transformers, diffusers and torchvision's detection and segmentation, with random weights and two samples;
the language models and diffusion networks at a size that a laptop trains in a second. Each is traced and run for real,
with Adam. "equal": every moment has the same bytes, and the same tensors are kept. A network that cannot be traced must
be refused in a sentence that names a layer or says what the model does. Some networks of transformers ask whether their
tensors have values, and take another way if not: their rows say by how many bytes the peak is off.

Writes benchmarks/results/foreign.csv. Exit code 1 if a peak is off by more than 0.001 % or a refusal says nothing.
"""

import csv
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

os.environ["HF_HUB_OFFLINE"] = "1"  # configurations only, no weights

import diffusers
import timm
import torch
import torchvision
import transformers
from torch import Tensor, nn

from helpers.memory import trace
from helpers.memory.step import make_plan
from helpers.memory.torch_private import tree_leaves
from helpers.memory.tracer import as_found, record
from helpers.problems import Problem

RESULT = Path(__file__).parent / "results" / "foreign.csv"
DETECTION = torchvision.models.detection
SEGMENTATION = torchvision.models.segmentation


@dataclass(frozen=True)
class Network:
    library: str
    name: str
    build: Callable[[], nn.Module]
    inputs: object


@dataclass
class Outcome:
    library: str
    network: str
    parameters: int
    outcome: str  #: "equal", "equal peak", "refused" or "different"
    peak: int = 0  #: bytes, of the real step
    operations: int = 0
    trace_seconds: float = 0.0
    real_seconds: float = 0.0
    said: str = ""
    off: float = 0.0


def mean_of_all(out: object) -> Tensor:
    """A loss for any output: the mean of everything that asks for a gradient, added up."""
    leaves = tree_leaves(dict(out) if isinstance(out, dict) else out)
    return sum(leaf.float().mean() for leaf in leaves if isinstance(leaf, Tensor) and leaf.requires_grad)


def image(size: int = 64, channels: int = 3) -> Tensor:
    return torch.zeros(2, channels, size, size)


def ids(length: int = 16) -> Tensor:
    return torch.zeros(2, length, dtype=torch.int64)


def networks() -> Iterator[Network]:
    for name, size in (
        ("resnet10t", 64), ("efficientnet_b0", 64), ("convnext_atto", 64), ("vit_tiny_patch16_224", 224),
        ("swin_tiny_patch4_window7_224", 224), ("mobilenetv3_small_050", 64), ("regnety_002", 64),
        ("mixer_s32_224", 224), ("levit_128s", 224), ("ghostnet_100", 64), ("edgenext_xx_small", 64),
        ("mobilevit_xxs", 64), ("fastvit_t8", 64), ("eca_nfnet_l0", 64), ("hrnet_w18_small", 64),
        ("tf_efficientnetv2_b0", 64), ("poolformer_s12", 64), ("coatnet_nano_rw_224", 224), ("densenet121", 64),
    ):  # fmt: skip
        yield Network("timm", name, lambda name=name: timm.create_model(name), image(size))
    small = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128,
             "vocab_size": 500}  # fmt: skip
    gqa = small | {"num_key_value_heads": 2}
    for kind, how in (
        ("Bert", small), ("Roberta", small), ("Electra", small | {"embedding_size": 64}), ("Albert", small),
        ("DistilBert", {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128, "vocab_size": 500}),
        ("DebertaV2", small), ("GPT2", {"n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 500}),
        ("GPTNeoX", small), ("OPT", small | {"ffn_dim": 128, "word_embed_proj_dim": 64}), ("Llama", gqa),
        ("Mistral", gqa), ("Qwen2", gqa), ("Gemma", gqa | {"head_dim": 16}), ("Phi3", gqa | {"pad_token_id": 0}),
        ("Bloom", {"hidden_size": 64, "n_layer": 2, "n_head": 4, "vocab_size": 500}), ("Mixtral", gqa),
        ("Mamba", {"hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 500}),
    ):  # fmt: skip
        yield Network(
            "transformers", f"{kind}Model", lambda kind=kind, how=how: _of_config(kind, how), {"input_ids": ids()}
        )
    t5 = {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4, "vocab_size": 500}
    bart = {"vocab_size": 500, "d_model": 64, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
            "decoder_attention_heads": 4, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128}  # fmt: skip
    both = {"input_ids": ids(), "decoder_input_ids": ids(8)}
    yield Network("transformers", "T5Model", lambda: _of_config("T5", t5), both)
    yield Network("transformers", "BartModel", lambda: _of_config("Bart", bart), both)
    yield Network("transformers", "ViTModel", lambda: _of_config("ViT", _without_words(small)), image(224))
    yield Network("transformers", "SegformerModel", lambda: _of_config("Segformer", {}), image(64))
    blocks = {"block_out_channels": (32, 64), "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
              "up_block_types": ("AttnUpBlock2D", "UpBlock2D"), "layers_per_block": 1}  # fmt: skip
    yield Network("diffusers", "UNet2DModel", lambda: diffusers.UNet2DModel(sample_size=32, **blocks),
                  (image(32), torch.zeros(2, dtype=torch.int64)))  # fmt: skip
    yield Network(
        "diffusers", "UNet2DConditionModel",
        lambda: diffusers.UNet2DConditionModel(
            sample_size=16, block_out_channels=(32, 64), layers_per_block=1, cross_attention_dim=32,
            attention_head_dim=8, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        ),
        (image(16, 4), torch.zeros(2, dtype=torch.int64), torch.zeros(2, 5, 32)),
    )  # fmt: skip
    yield Network("diffusers", "AutoencoderKL", lambda: diffusers.AutoencoderKL(block_out_channels=(32,)), image(32))
    yield Network("diffusers", "VQModel", lambda: diffusers.VQModel(block_out_channels=(32,)), image(32))
    yield Network(
        "diffusers", "DiTTransformer2DModel",
        lambda: diffusers.DiTTransformer2DModel(num_attention_heads=4, attention_head_dim=16, num_layers=2),
        {"hidden_states": image(32, 4), "timestep": torch.zeros(2, dtype=torch.int64),
         "class_labels": torch.zeros(2, dtype=torch.int64)},
    )  # fmt: skip
    for name in ("fcn_resnet50", "deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large"):
        yield Network("torchvision", name, lambda name=name: _without_weights(SEGMENTATION, name), image(64))
    targets = [{"boxes": torch.tensor([[1.0, 1.0, 30.0, 30.0]]), "labels": torch.ones(1, dtype=torch.int64)}] * 2
    for name in ("fasterrcnn_mobilenet_v3_large_320_fpn", "ssdlite320_mobilenet_v3_large", "retinanet_resnet50_fpn",
                 "fcos_resnet50_fpn"):  # fmt: skip
        yield Network("torchvision", name, lambda name=name: _without_weights(DETECTION, name),
                      ([torch.zeros(3, 64, 64)] * 2, targets))  # fmt: skip


def _of_config(kind: str, how: dict[str, object]) -> nn.Module:
    return getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**how))


def _without_words(how: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in how.items() if key != "vocab_size"}


def _without_weights(room: object, name: str) -> nn.Module:
    return getattr(room, name)(weights=None, weights_backbone=None)


def try_out(network: Network) -> Outcome:
    torch.manual_seed(0)
    model = network.build().train()
    how = {"example": (network.inputs, None), "loss": mean_of_all, "device": "cpu"}
    found = Outcome(network.library, network.name, sum(each.numel() for each in model.parameters()), "refused")
    start = perf_counter()
    try:
        seen = trace(model, **how)
    except Problem as problem:
        found.said = str(problem)
        return found
    found.trace_seconds = round(perf_counter() - start, 2)
    start = perf_counter()
    with as_found():
        real = record(model, make_plan(model, **how))
    found.real_seconds = round(perf_counter() - start, 2)
    found.peak, found.operations = real.peak, len(real.timeline)
    moments = [[(event.phase, event.live) for event in each.timeline] for each in (seen, real)]
    if moments[0] == moments[1] and seen.saved == real.saved:
        found.outcome = "equal"
    else:
        found.outcome = "equal peak" if seen.peak == real.peak else "different"
        found.said = (
            f"peak off by {seen.peak - real.peak:+,} bytes, {len(seen.timeline) - len(real.timeline):+} moments"
        )
        found.off = abs(seen.peak / real.peak - 1)
    return found


def main() -> int:
    outcomes = []
    for network in networks():
        outcomes.append(try_out(network))
        each = outcomes[-1]
        print(f"{each.library:13}{each.network:40}{each.outcome:10}{each.peak:14,}  {each.said[:150]}", flush=True)
    RESULT.parent.mkdir(exist_ok=True)
    with open(RESULT, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(asdict(outcomes[0]))
        writer.writerows(asdict(each).values() for each in outcomes)
    print(Counter(each.outcome for each in outcomes))
    return int(any(each.off > 1e-5 or (each.outcome == "refused" and not each.said) for each in outcomes))


if __name__ == "__main__":
    sys.exit(main())
