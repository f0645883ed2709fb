"""How right and how quick `trace` is, beside three other ways to the memory of a training step, without a GPU.

    uv run python benchmarks/memory.py

Each model trains with Adam. The reference is the real, non-fake run on the CPU, its storages counted one by
one. Beside it, with its error against the reference and its time, the median of three (one time only where all four
methods together take more than eight seconds):

- tracer: `helpers.memory.trace(..., device="cpu")`;
- MemTracker: PyTorch's own `torch.distributed._tools.mem_tracker` on the same kind of fake copy; it needs both steps,
  as Adam makes its state in the first;
- torchinfo: its "Estimated Total Size", input + parameters + twice the outputs of layers. It runs the model for real;
- sum rule: P + G + O + outputs x B, that is four times the parameters plus what every layer gives out for the batch.

Writes benchmarks/results/memory.csv. Exit code 1 if the tracer differs from the reference or misses a target.
"""

import copy
import csv
import os
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

import torch
import torchvision
from gpu import deep_cnn
from torch import Tensor, nn
from torch.distributed._tools.mem_tracker import MemTracker
from torch.nn import functional as F

from helpers import models
from helpers.memory import trace
from helpers.memory.step import make_plan
from helpers.memory.torch_private import FakeTensorMode
from helpers.memory.tracer import as_found, fake_copy, record
from helpers.units import MIB

try:
    import torchinfo
except ImportError:
    sys.exit("This benchmark compares with torchinfo, which is missing here; `uv sync` installs it.")

RESULTS = Path(__file__).resolve().parent / "results" / "memory.csv"
REPETITIONS, LONG = 3, 8.0  # seconds: a round of all methods that takes longer is not repeated
RATIO = 1.2  # at most: the tracer's time over MemTracker's, the median over all models
SECONDS = 5.0  # at most: the prediction for ResNet-50 at 224 x 224, batch 32
PHOTO = (3, 224, 224)


@dataclass(frozen=True)
class Case:
    """One model, with the batch size at which its real run stays short."""

    name: str
    model: nn.Module
    sample_shape: tuple[int, ...]
    batch_size: int

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.batch_size, *self.sample_shape


def cases() -> list[Case]:
    photos = {"resnet18": 4, "resnet50": 4, "vgg11": 2, "mobilenet_v2": 4, "densenet121": 2, "vit_b_16": 2, "swin_t": 2}
    return [
        Case("mlp, digits", models.mlp((1, 28, 28), hidden=256), (1, 28, 28), 64),
        Case("mlp, colours", models.mlp((3, 32, 32), hidden=512), (3, 32, 32), 256),
        Case("cnn", models.cnn((3, 32, 32)), (3, 32, 32), 64),
        Case("cnn, BatchNorm", deep_cnn(), (3, 32, 32), 64),
        *(Case(name, getattr(torchvision.models, name)(), PHOTO, size) for name, size in photos.items()),
    ]


def real(case: Case) -> int:
    """Peak bytes of the real run on the CPU."""
    plan = make_plan(case.model, case.sample_shape, case.batch_size, device="cpu")
    with as_found():
        return record(copy.deepcopy(case.model), plan).peak


def tracer(case: Case) -> int:
    return trace(case.model, case.sample_shape, case.batch_size, device="cpu").peak


def mem_tracker(case: Case) -> int:
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    model = fake_copy(case.model, fake)
    with fake:
        optimizer = torch.optim.Adam(model.parameters())
        tracker = MemTracker()
        tracker.track_external(model, optimizer)
        with tracker:
            for step in range(2):  # Adam makes its state in the first
                if step:
                    tracker.reset_mod_stats()
                inputs, target = torch.zeros(case.input_shape), torch.zeros(case.batch_size, dtype=torch.int64)
                tracker.track_external(inputs, target)
                output = model(inputs)
                loss = F.cross_entropy(output, target)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                del inputs, target, output, loss
        return sum(kinds["Total"] for kinds in tracker.get_tracker_snapshot("peak").values())


def torch_info(case: Case) -> int:
    found = torchinfo.summary(case.model, input_size=case.input_shape, verbose=0)
    return found.total_input + found.total_output_bytes + found.total_param_bytes


def sum_rule(case: Case) -> int:
    outputs: list[int] = []
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    model = fake_copy(case.model, fake)
    with fake:
        for module in model.modules():
            if not list(module.children()):
                module.register_forward_hook(lambda _module, _inputs, output: outputs.append(bytes_in(output)))
        model(torch.zeros(case.input_shape))
        return 4 * sum(map(bytes_in, model.parameters())) + sum(outputs)


def bytes_in(output: object) -> int:
    """Bytes of a tensor, or of all tensors in a tuple."""
    if isinstance(output, Tensor):
        return output.nbytes
    return sum(map(bytes_in, output)) if isinstance(output, tuple | list) else 0


METHODS: dict[str, Callable[[Case], int]] = {
    "tracer": tracer,
    "MemTracker": mem_tracker,
    "torchinfo": torch_info,
    "sum rule": sum_rule,
}


def timed(work: Callable[[], int]) -> tuple[int, float]:
    """What the work gives, and the milliseconds that it took."""
    start = perf_counter()
    return work(), 1000 * (perf_counter() - start)


def one_round(case: Case) -> dict[str, tuple[int, float]]:
    return {name: timed(partial(method, case)) for name, method in METHODS.items()}


def measure(case: Case) -> list[dict[str, object]]:
    """A row for each method. They take turns, so that whatever else the machine does falls on all of them alike."""
    reference, milliseconds = timed(partial(real, case))
    runs = [one_round(case)]
    if sum(spent for _, spent in runs[0].values()) < 1000 * LONG:
        runs += [one_round(case) for _ in range(REPETITIONS - 1)]
    known = {"model": case.name, "batch_size": case.batch_size, "rounds": len(runs)}
    rows = [known | {"method": "real run", "peak_bytes": reference, "error_percent": 0.0, "ms": round(milliseconds, 1)}]
    for name in METHODS:
        peak = runs[0][name][0]
        error = round(100 * (peak / reference - 1), 2)
        spent = round(statistics.median(run[name][1] for run in runs), 1)
        rows.append(known | {"method": name, "peak_bytes": peak, "error_percent": error, "ms": spent})
    return rows


def line(rows: list[dict[str, object]]) -> str:
    """One model's row of the printed table."""
    first, *others = rows
    cells = [f"{row['peak_bytes'] / MIB:9.2f}{row['error_percent']:+8.1f} %{row['ms']:7.0f}" for row in others]
    start = f"{first['model']:15}{first['batch_size']:4}{first['peak_bytes'] / MIB:10.2f}{first['ms']:7.0f}"
    return start + "".join(cells)


def heading() -> str:
    return f"{'MiB, error, ms':15}{'B':>4}{'real run':>10}{'ms':>7}" + "".join(
        f"{name:>19}{'ms':>7}" for name in METHODS
    )


def missed(table: list[dict[str, object]], ratio: float, seconds: float) -> list[str]:
    """One line for each thing that is not as it should be."""
    reference = {row["model"]: row["peak_bytes"] for row in table if row["method"] == "real run"}
    lines = [
        f"{row['model']}: the tracer says {row['peak_bytes']:,} bytes, the real run {reference[row['model']]:,}"
        for row in table
        if row["method"] == "tracer" and row["peak_bytes"] != reference[row["model"]]
    ]
    if ratio > RATIO:
        lines.append(f"tracer / MemTracker is {ratio:.2f}, more than {RATIO}")
    if seconds > SECONDS:
        lines.append(f"ResNet-50 takes {seconds:.1f} s, more than {SECONDS} s")
    return lines


def main() -> int:
    torch.manual_seed(0)
    print(heading())
    table, ratios = [], []
    for case in cases():
        rows = measure(case)
        print(line(rows), flush=True)
        spent = {row["method"]: row["ms"] for row in rows}
        ratios.append(spent["tracer"] / spent["MemTracker"])
        table += rows
    with open(RESULTS, "w", encoding="utf-8", newline="") as file:
        machine = {"torch": torch.__version__, "cores": os.cpu_count()}
        writer = csv.DictWriter(file, [*table[0], *machine], lineterminator="\n")
        writer.writeheader()
        writer.writerows(row | machine for row in table)
    return verdict(table, statistics.median(ratios))


def verdict(table: list[dict[str, object]], ratio: float) -> int:
    resnet50 = torchvision.models.resnet50()
    predicted, milliseconds = timed(lambda: trace(resnet50, PHOTO, 32).peak)
    print(f"\nTime, tracer / MemTracker, median over the models: {ratio:.2f} (target: at most {RATIO}).")
    print(
        f"ResNet-50, 224 x 224, batch 32, Adam on a GPU: {predicted / MIB:,.1f} MiB, predicted in "
        f"{milliseconds / 1000:.2f} s (target: at most {SECONDS:.0f} s)."
    )
    lines = missed(table, ratio, milliseconds / 1000)
    print("\n".join(lines) or "Tracer and real run agree to the byte on every model; both targets are met.")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
