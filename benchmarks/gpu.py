"""Predicted and measured on a real CUDA GPU: `trace` against PyTorch's own counters, many configurations.

    python benchmarks/gpu.py

Needs a CUDA GPU, torch 2.11 or later and torchvision, and nothing else of the course's environment. One run takes
at most nine minutes (`--minutes`) and stops between two rows; run it again and it goes on where it stopped. Writes row
by row, into benchmarks/results/ or the folder given with `--results`:

- gpu-NAME-calibration.csv: what PyTorch, cuBLAS and cuDNN take on this GPU, one number a row;
- gpu-NAME.csv: the configurations, first a selection in which every pair of settings meets, then the others. Three
  errors: what is requested, allocated and reserved at most, each against its own counter;
- gpu-NAME-limit.csv: the largest batch that fits below a limit, by bisection, and `max_batch`'s prediction;
- gpu-NAME-speed.csv: samples per second and the cost of a copy to the GPU, by batch size;
- gpu-NAME-levers.csv: what saves memory, one change at a time, with the bytes and the time of a step.

`--dry-run` needs no GPU: it lists the configurations with their predictions, and writes only if `--results` says where.
`--predict` needs none either: it predicts every stored row anew, with the tracer of today, and keeps what was measured.
"""

import argparse
import copy
import csv
import gc
import itertools
import random
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from helpers import models  # noqa: E402
from helpers.memory import GPUS, Gpu, Trace, max_batch, measure, trace  # noqa: E402
from helpers.memory.gpus import rounded  # noqa: E402
from helpers.memory.records import PHASES  # noqa: E402
from helpers.memory.step import Listener, Loop, infer, make_plan, prepare, train  # noqa: E402
from helpers.memory.torch_private import SteadyScaler  # noqa: E402
from helpers.units import GIB  # noqa: E402

MARGIN = 15  # seconds, for the imports before the rows and the summary after them
FIXED = ("parameters", "gradients", "optimizer state")
GOALS = {"requested": 1.0, "allocated": 1.0, "reserved": 1.0}  # %: no row further off
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


# The configurations, and the order in which they run.


def deep_cnn(filters: int = 32) -> nn.Sequential:
    """Two convolutions, each with BatchNorm, ReLU and max-pooling, then dropout. Input (B, 3, 32, 32)."""
    return nn.Sequential(
        nn.Conv2d(3, filters, 3, padding=1),
        nn.BatchNorm2d(filters),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(filters, 2 * filters, 3, padding=1),
        nn.BatchNorm2d(2 * filters),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(2 * filters * 8 * 8, 10),
    )


@cache
def build(name: str) -> nn.Module:
    """The model of this name on the CPU; made once, as copies are what runs."""
    if name == "mlp":
        return models.mlp(hidden=512)
    if name == "deep_mlp":  # its weights weigh more than a small batch
        return models.deep_mlp(hidden=4096, depth=3)
    if name == "cnn":
        return deep_cnn()
    import torchvision

    return getattr(torchvision.models, name)()


@dataclass(frozen=True)
class Family:
    """A model with the batch sizes at which it is measured."""

    name: str
    model: str
    sample_shape: tuple[int, ...]
    batch_sizes: tuple[int, ...]


PHOTO = (3, 224, 224)
FAMILIES = (
    Family("mlp", "mlp", (1, 28, 28), (64, 1024, 8192, 65536)),
    Family("cnn", "cnn", (3, 32, 32), (16, 128, 1024, 4096)),
    Family("resnet", "resnet18", PHOTO, (8, 32, 128, 256)),
    Family("resnet", "resnet50", PHOTO, (4, 16, 64, 128)),
    Family("transformer", "vit_b_16", PHOTO, (4, 16, 64, 128)),
)
OPTIMIZERS = {
    "sgd": "sgd",
    "momentum": "momentum",
    "adam foreach": partial(torch.optim.Adam, foreach=True),
    "adam loop": partial(torch.optim.Adam, foreach=False),
    "adam fused": partial(torch.optim.Adam, fused=True),
}


@dataclass(frozen=True)
class Configuration:
    family: Family
    batch_size: int
    optimizer: str
    precision: str
    accumulate: int

    @property
    def key(self) -> dict[str, object]:
        return {
            "family": self.family.name, "model": self.family.model, "B": self.batch_size,
            "optimizer": self.optimizer, "precision": self.precision, "accumulate": self.accumulate,
        }  # fmt: skip

    @property
    def pairs(self) -> set[tuple]:
        """Every two of its settings. The batch size counts as its place: smallest, second, third, largest."""
        place = self.family.batch_sizes.index(self.batch_size)
        settings = enumerate((self.family.model, place, self.optimizer, self.precision, self.accumulate))
        return set(itertools.combinations(settings, 2))

    @property
    def settings(self) -> dict[str, object]:
        """As `trace` and `measure` take them."""
        return {
            "sample_shape": self.family.sample_shape, "batch_size": self.batch_size,
            "optimizer": OPTIMIZERS[self.optimizer], "precision": self.precision, "accumulate": self.accumulate,
        }  # fmt: skip


def in_order() -> tuple[list[Configuration], list[Configuration]]:
    """All configurations: a selection in which every pair of settings meets, and the others, mixed."""
    others = [
        Configuration(family, *rest)
        for family in FAMILIES
        for rest in itertools.product(family.batch_sizes, OPTIMIZERS, ("fp32", "bf16", "fp16"), (1, 4))
    ]
    random.Random(0).shuffle(others)
    missing = set().union(*(one.pairs for one in others))
    spread = []
    while missing:
        best = max(others, key=lambda one: len(one.pairs & missing))
        missing -= best.pairs
        others.remove(best)
        spread.append(best)
    return spread, others


# Files that grow row by row, and the jobs that fill them.


class Table:
    """A CSV file that grows row by row; what stands in it is not measured again. Without a path, only in memory."""

    def __init__(self, title: str, path: Path | None, key: tuple[str, ...], values: tuple[str, ...]):
        self.title, self.path, self.key = title, path, (*key, "torch")
        self.columns = [*key, *values, "torch", "error"]
        self.rows: list[dict[str, str]] = self._read()

    def _read(self) -> list[dict[str, str]]:
        if self.path is None or not self.path.exists():
            return []
        text = self.path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]  # a run that was killed may leave half a row
        if whole != text:
            self.path.write_text(whole, encoding="utf-8")
        reader = csv.DictReader(whole.splitlines())
        rows = list(reader)
        if rows and reader.fieldnames != self.columns:
            sys.exit(f"{self.path.name} has other columns than this program writes; move it away and run again.")
        return rows

    def __contains__(self, key: dict[str, object]) -> bool:
        wanted = [str((key | {"torch": torch.__version__})[name]) for name in self.key]
        return any([row[name] for name in self.key] == wanted for row in self.rows)

    def rewrite(self) -> None:
        """Write all rows again."""
        with open(self.path, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, self.columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)

    def add(self, row: dict[str, object]) -> None:
        row = {name: str((row | {"torch": torch.__version__}).get(name, "")) for name in self.columns}
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            new = not self.path.exists() or not self.path.stat().st_size
            with open(self.path, "a", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, self.columns, lineterminator="\n")
                if new:
                    writer.writeheader()
                writer.writerow(row)
        self.rows.append(row)


@dataclass(frozen=True)
class Job:
    """One row of a table, not measured yet."""

    table: Table
    key: dict[str, object]
    work: Callable[[], dict[str, object]]
    seconds: float  #: how long it may take

    @property
    def name(self) -> str:
        return " ".join([self.table.title, *map(str, self.key.values())]).strip()


def carry_out(jobs: list[Job], end: float, at_most: int | None = None) -> list[Job]:
    """Do, in order, what does not stand in its table yet, until the clock says `end`. Returns what is left."""
    todo = [job for job in jobs if job.key not in job.table]
    for place, job in enumerate(todo):
        if place == at_most or perf_counter() + job.seconds > end:
            return todo[place:]
        row = attempt(job.work)
        job.table.add(job.key | row)
        shown = [f"{name} {value}" for name, value in row.items() if name in SHOWN]
        print(f"{job.name}: {', '.join(shown)}", flush=True)
        if "CUDA error" in row.get("error", ""):
            sys.exit("After such an error the GPU answers nothing more in this process; run again to go on.")
    return []


def attempt(work: Callable[[], dict[str, object]]) -> dict[str, object]:
    """The row, or the error in one line."""
    try:
        return work()
    except Exception as error:
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}


SHOWN = (
    "value", "unit", "predicted peak", "predicted phase", "measured phase", *(f"error {name} %" for name in GOALS),
    "predicted batch", "measured batch", "samples/s", "copy us/sample", "predicted requested", "measured requested",
    "ms/step", "error",
)  # fmt: skip


# One configuration: predicted, measured, compared.

TOO_LARGE = "predicted not to fit into this GPU"
KEY = ("family", "model", "B", "optimizer", "precision", "accumulate")
PREDICTED = (
    "predicted peak", *(f"predicted {name}" for name in GOALS), "predicted phase",
    *(f"predicted {name}" for name in FIXED),
)  # fmt: skip
MEASURED = (
    *(f"measured {name}" for name in ("allocated", "requested", "active", "reserved", "phase", *FIXED)),
    *(f"error {name} %" for name in GOALS), "outside tensors", "workspace", "context", "left over", "seconds",
)  # fmt: skip


def predict(one: Configuration, gpu: str | Gpu | None, torch_version: str = torch.__version__) -> dict[str, object]:
    found = trace(build(one.family.model), **one.settings, gpu=gpu, torch_version=torch_version)
    return {
        "predicted peak": found.peak,
        **{f"predicted {name}": getattr(found, name) for name in GOALS},
        "predicted phase": found.peak_phase,
        **{f"predicted {name}": found.most[name] for name in FIXED},
    }


def compare(one: Configuration, gpu: str | Gpu | None) -> dict[str, object]:
    """The row of one configuration."""
    start = perf_counter()
    row = predict(one, gpu)
    if row["predicted peak"] > torch.cuda.get_device_properties(0).total_memory:
        return row | {"error": TOO_LARGE}
    clear()
    left_over = torch.cuda.memory_allocated()
    row |= as_measured(measure(build(one.family.model), **one.settings), row)
    row |= {"workspace": workspace(), "left over": left_over}
    return row | {"seconds": round(perf_counter() - start, 1)}


def as_measured(real: Trace, predicted: dict[str, object]) -> dict[str, object]:
    """What CUDA's counters say, and how far off the prediction is."""
    counted = real.allocator
    return {
        **{f"measured {name}": counted[name] for name in ("allocated", "requested", "active", "reserved", *FIXED)},
        "measured phase": measured_phase(counted),
        **errors(predicted, {f"measured {name}": counted[name] for name in GOALS}),
        "outside tensors": counted["requested"] - real.requested,
        "context": counted["context"],
    }


def measured_phase(counted: dict[str, int]) -> str:
    """The phase in which CUDA allocated most."""
    return max((phase for phase in PHASES if phase in counted), key=counted.get)


def off(predicted: object, measured: object) -> float:
    """How far off a prediction is, in percent of what was measured."""
    return round(100 * (int(predicted) / int(measured) - 1), 3)


def errors(predicted: dict[str, object], measured: dict[str, object]) -> dict[str, float]:
    """How far off the predictions are, in percent of what was measured."""
    return {f"error {name} %": off(predicted[f"predicted {name}"], measured[f"measured {name}"]) for name in GOALS}


def predict_again(table: Table, gpu: str | Gpu) -> None:
    """The stored rows with the predictions of today's tracer, for the PyTorch that ran on the GPU."""
    families = {family.model: family for family in FAMILIES}
    for row in table.rows:
        if "capacity" in row:
            row |= predict_limit(row["model"], gpu, row["torch"])
            row["error %"] = off(row["predicted batch"], row["measured batch"])
        elif "lever" in row:
            row |= predict_lever(row["model"], int(row["B"]), row["lever"], gpu, row["torch"])
        elif row["measured requested"]:
            family, setting = families[row["model"]], (row["optimizer"], row["precision"], int(row["accumulate"]))
            row |= predict(Configuration(family, int(row["B"]), *setting), gpu, row["torch"])
            row |= errors(row, row)
        row.update({name: str(value) for name, value in row.items()})
    table.rewrite()


def clear() -> None:
    """Give back everything that an earlier row may have left behind."""
    gc.collect()
    if hasattr(torch._C, "_cuda_clearCublasWorkspaces"):
        torch._C._cuda_clearCublasWorkspaces()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()


@cache
def workspace() -> int:
    """Bytes that a small Linear layer, forward and backward, takes beside its tensors."""
    return max(linear_bytes(True, "fp32", backward, now) for backward in (False, True) for now in (False, True))


# Calibrations: what PyTorch and its libraries take on this GPU.


def calibrations() -> Iterator[tuple[str, str, Callable[[], object]]]:
    """(name, unit, work) of each."""
    blas = torch.backends.cuda
    yield "GPU", "", torch.cuda.get_device_name
    yield "compute capability", "", lambda: "{}.{}".format(*torch.cuda.get_device_capability())
    yield "total_memory", "bytes", lambda: torch.cuda.get_device_properties(0).total_memory
    yield "CUDA", "", lambda: torch.version.cuda
    yield "cuDNN", "", torch.backends.cudnn.version
    yield "cublas_workspace_size", "bytes", lambda: blas.cublas_workspace_size()
    yield "cublaslt_workspace_size", "bytes", lambda: blas.cublaslt_workspace_size()
    yield "context before any product", "bytes", context
    for bias, precision in itertools.product((True, False), DTYPES):
        name = f"Linear {'with' if bias else 'without'} bias {precision}"
        for backward, now in itertools.product((False, True), (True, False)):
            after = f"{'backward' if backward else 'forward'} {'now' if now else 'peak'} beyond tensors"
            yield f"{name} {after}", "bytes", partial(linear_bytes, bias, precision, backward, now)
    for shape, last, precision in itertools.product(BATCH_NORMS, (False, True), ("fp32", "fp16")):
        name = f"BatchNorm {'x'.join(map(str, shape))} {'channels_last' if last else 'NCHW'} {precision}"
        yield f"{name} reserve", "bytes", partial(batch_norm_reserve, shape, last, precision)
        yield f"{name} autograd node", "", partial(batch_norm_node, shape, last, precision)
    for sizes, precision, backward in itertools.product(CONVOLUTIONS, ("fp32", "fp16"), (False, True)):
        name = "Conv {} -> {} k{} s{} B{} {}x{}".format(*sizes, sizes[-1])
        after = f"{precision} {'backward' if backward else 'forward'} peak beyond tensors"
        yield f"{name} {after}", "bytes", partial(convolution_bytes, sizes, precision, backward)
    for precision in DTYPES:
        yield f"attention kernel {precision}", "", partial(attention_kernel, precision)
    yield "context after all of these", "bytes", context


BATCH_NORMS = ((32, 64, 56, 56), (128, 32, 32, 32), (8, 2048, 7, 7))
CONVOLUTIONS = (  # channels in, out, kernel, stride, batch size, height and width
    (3, 32, 3, 1, 128, 32),
    (3, 64, 7, 2, 32, 224),
    (64, 64, 3, 1, 32, 56),
    (64, 256, 1, 1, 32, 56),
    (512, 512, 3, 1, 32, 7),
)


def context() -> int:
    """Bytes that the device holds beside the allocator's: the CUDA context, and other programs."""
    torch.cuda.synchronize()
    free, total = torch.cuda.mem_get_info()
    return total - free - torch.cuda.memory_reserved()


def beyond(now: bool, *tensors: Tensor) -> int:
    """Bytes that are (or, for the peak, were) allocated beside these tensors and their gradients."""
    torch.cuda.synchronize()
    known = [*tensors, *(tensor.grad for tensor in tensors if tensor.is_leaf and tensor.grad is not None)]
    total = torch.cuda.memory_allocated() if now else torch.cuda.max_memory_allocated()
    return total - sum(rounded(tensor.nbytes) for tensor in known)


def linear_bytes(bias: bool, precision: str, backward: bool, now: bool) -> int:
    clear()
    layer = nn.Linear(64, 64, bias=bias, device="cuda", dtype=DTYPES[precision])
    x = torch.zeros(64, 64, device="cuda", dtype=DTYPES[precision], requires_grad=True)
    y, direction = layer(x), torch.ones(64, 64, device="cuda", dtype=DTYPES[precision])
    if backward:
        y.backward(direction)
    return beyond(now, x, y, direction, *layer.parameters())


def batch_norm_input(shape: tuple[int, ...], channels_last: bool, precision: str) -> Tensor:
    clear()
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return torch.zeros(shape, device="cuda", dtype=DTYPES[precision]).to(memory_format=layout)


def batch_norm_reserve(shape: tuple[int, ...], channels_last: bool, precision: str) -> int:
    x = batch_norm_input(shape, channels_last, precision)
    return torch._C._get_cudnn_batch_norm_reserve_space_size(x, True)


def batch_norm_node(shape: tuple[int, ...], channels_last: bool, precision: str) -> str:
    """The name of the autograd node tells which library computes: CudnnBatchNorm or NativeBatchNorm."""
    x = batch_norm_input(shape, channels_last, precision)
    return type(nn.BatchNorm2d(shape[1], device="cuda")(x).grad_fn).__name__


def convolution_bytes(sizes: tuple[int, ...], precision: str, backward: bool) -> int:
    """Mostly the workspace that cuDNN takes inside the operation."""
    before, after, kernel, stride, batch_size, side = sizes
    clear()
    layer = nn.Conv2d(
        before, after, kernel, stride, kernel // 2, bias=False, device="cuda", dtype=DTYPES[precision]
    )  # fmt: skip
    x = torch.zeros(batch_size, before, side, side, device="cuda", dtype=DTYPES[precision], requires_grad=True)
    y = layer(x)
    if not backward:
        return beyond(False, x, y, layer.weight)
    direction = torch.ones_like(y)
    torch.cuda.reset_peak_memory_stats()
    y.backward(direction)
    return beyond(False, x, y, direction, layer.weight)


def attention_kernel(precision: str) -> str:
    """The kernel that PyTorch chooses for ViT-B/16's attention."""
    query = torch.zeros(4, 12, 197, 64, device="cuda", dtype=DTYPES[precision], requires_grad=True)
    return torch.nn.attention.SDPBackend(torch._fused_sdp_choice(query, query, query)).name


# The largest batch that fits, and the speed.

LIMITS: dict[str, tuple[str, int, dict[str, object]]] = {  # the model, the bytes that it may have, and the settings
    "mlp": ("mlp", 2 * GIB, {}),
    "mlp, SGD, bf16": ("mlp", GIB, {"optimizer": "sgd", "precision": "bf16"}),
    "deep_mlp": ("deep_mlp", 2 * GIB, {}),
    "deep_mlp, accumulate 4": ("deep_mlp", 2 * GIB, {"accumulate": 4}),
    "cnn, bf16": ("cnn", 2 * GIB, {"precision": "bf16"}),
    "resnet18": ("resnet18", 4 * GIB, {}),
    "resnet18, checkpoint": ("resnet18", 4 * GIB, {"checkpoint": True}),
    "resnet50, SGD": ("resnet50", 8 * GIB, {"optimizer": "sgd"}),
    "vit_b_16": ("vit_b_16", 8 * GIB, {}),
    "vit_b_16, bf16, checkpoint": ("vit_b_16", 4 * GIB, {"precision": "bf16", "checkpoint": True}),
}
STEPS = 2  # Adam's state is there from the second on


def compare_limit(name: str, gpu: str | Gpu | None) -> dict[str, object]:
    """The largest batch that trains within so many bytes: `max_batch`'s answer, and by bisection on the GPU."""
    start = perf_counter()
    model, capacity, settings = LIMITS[name]
    sample_shape, every = shape_of(model), settings.get("accumulate", 1)
    row = predict_limit(name, gpu)

    def fits(count: int) -> bool:
        return trains(model, sample_shape=sample_shape, batch_size=count * every, **settings)

    torch.cuda.set_per_process_memory_fraction(capacity / torch.cuda.get_device_properties(0).total_memory)
    try:
        found = every * largest(fits, above=2 * max(row["predicted batch"] // every, 1))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    error = off(row["predicted batch"], found) if found else ""
    return row | {"measured batch": found, "error %": error, "seconds": round(perf_counter() - start, 1)}


def predict_limit(name: str, gpu: str | Gpu | None, torch_version: str = torch.__version__) -> dict[str, object]:
    model, capacity, settings = LIMITS[name]
    found = max_batch(build(model), capacity, shape_of(model), gpu=gpu, torch_version=torch_version, **settings)
    return {"capacity": capacity, "predicted batch": found.exact, "straight line": found.formula}


def shape_of(model: str) -> tuple[int, ...]:
    """One sample of a model."""
    shapes = {family.model: family.sample_shape for family in FAMILIES}
    return shapes.get(model, shapes["mlp"])  # deep_mlp is of no family


def largest(fits: Callable[[int], bool], above: int) -> int:
    """The largest batch size that fits, 0 if none does. above: one that does not, or a first guess at it."""
    below = 0
    while fits(above):
        below, above = above, 2 * above
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (middle, above) if fits(middle) else (below, middle)
    return below


def trains(model: str, **settings: object) -> bool:
    """Whether training steps with these settings find memory."""
    clear()
    try:
        work = step_of(build(model), settings)
        for _ in range(STEPS):
            work()
        torch.cuda.synchronize()
    except RuntimeError as error:  # OutOfMemoryError is one; cuDNN says that it finds no engine
        if not any(words in str(error) for words in ("out of memory", "unable to find an engine", "ALLOC_FAILED")):
            raise
        return False
    return True


def speed(batch_size: int) -> dict[str, object]:
    """Samples per second through the MLP, forward alone and in a training step, and the cost of a copy to the GPU."""
    clear()
    model = copy.deepcopy(build("mlp")).to("cuda")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    images = torch.zeros(batch_size, 1, 28, 28)
    pinned, there = images.pin_memory(), images.to("cuda")
    target = torch.zeros(batch_size, dtype=torch.int64, device="cuda")

    def forward() -> None:
        with torch.no_grad():
            model(there)

    def step() -> None:
        F.cross_entropy(model(there), target).backward()
        optimizer.step()
        optimizer.zero_grad()

    return {
        "forward samples/s": round(batch_size / seconds(forward)),
        "samples/s": round(batch_size / seconds(step)),
        "copy us/sample": round(1e6 * seconds(lambda: images.to("cuda")) / batch_size, 4),
        "pinned copy us/sample": round(1e6 * seconds(lambda: pinned.to("cuda", non_blocking=True)) / batch_size, 4),
    }


# What saves memory, one change at a time: "as it is" is Adam with foreach, in fp32.


def with_one_layer(model: nn.Module) -> nn.Module:
    """The model, in which only the last layer learns."""
    *others, last = [module for module in model.modules() if not list(module.children())]
    for module in others:
        module.requires_grad_(False)
    return model


STEP_IN_BACKWARD = "step in backward"
LEVERS: dict[str, dict[str, object]] = {
    "as it is": {},
    "bf16": {"precision": "bf16"},
    "fp16": {"precision": "fp16"},
    "tf32": {},
    "pure bf16": {},
    "accumulate 4": {"accumulate": 4},
    "checkpoint": {"checkpoint": True},
    "sgd": {"optimizer": "sgd"},
    "momentum": {"optimizer": "momentum"},
    "adam loop": {"optimizer": OPTIMIZERS["adam loop"]},
    "adam fused": {"optimizer": OPTIMIZERS["adam fused"]},
    "frozen": {},
    STEP_IN_BACKWARD: {"loop": Loop(step_in_backward=True)},
    "zero_grad late": {"loop": Loop(zero_grad="before backward")},
    "no_grad": {"inference": True},
}
PULLED = {  # with which batches, on which model
    "mlp": (1024,),
    "deep_mlp": (64, 16384),
    "resnet18": (128,),
    "resnet50": (64,),
    "vit_b_16": (64,),
}


def pull(name: str, batch_size: int, lever: str, gpu: str | Gpu | None) -> dict[str, object]:
    """The row of one lever: its bytes, predicted and measured, and the time of a step."""
    model, settings = with_lever(name, batch_size, lever)
    row = predict_lever(name, batch_size, lever, gpu)
    torch.set_float32_matmul_precision("high" if lever == "tf32" else "highest")
    clear()
    left_over = torch.cuda.memory_allocated()
    try:
        if lever == STEP_IN_BACKWARD:  # by hand, as a learner writes it
            with stepping_in_backward(model, (batch_size, *settings["sample_shape"])) as work:
                row, spent = row | counted_in(work), seconds(work, at_least=0.3)
        else:
            counted = measure(model, **settings).allocator
            row |= {f"measured {kind}": counted[kind] for kind in GOALS}
            row["measured phase"] = measured_phase(counted)
            clear()
            spent = seconds(step_of(model, settings), at_least=0.3)
    finally:
        torch.set_float32_matmul_precision("highest")
    speed = {"ms/step": round(1000 * spent, 3), "samples/s": round(batch_size / spent, 1)}
    return row | speed | {"left over": left_over}


def with_lever(name: str, batch_size: int, lever: str) -> tuple[nn.Module, dict[str, object]]:
    """A copy of the model, and the settings of its step."""
    model = copy.deepcopy(build(name))
    model = {"pure bf16": nn.Module.bfloat16, "frozen": with_one_layer}.get(lever, lambda model: model)(model)
    return model, {"sample_shape": shape_of(name), "batch_size": batch_size, **LEVERS[lever]}


def predict_lever(
    name: str, batch_size: int, lever: str, gpu: str | Gpu | None, torch_version: str = torch.__version__
) -> dict[str, object]:
    model, settings = with_lever(name, batch_size, lever)
    found = trace(model, **settings, gpu=gpu, torch_version=torch_version)
    return {f"predicted {kind}": getattr(found, kind) for kind in GOALS} | {"predicted phase": found.peak_phase}


def step_of(model: nn.Module, settings: dict[str, object]) -> Callable[[], None]:
    """A function that runs one step on the GPU."""
    plan = make_plan(model, **settings)
    on_gpu = copy.deepcopy(model).to("cuda")
    optimizer = prepare(on_gpu, plan)
    scaler = SteadyScaler("cuda") if plan.precision == "fp16" else None
    if plan.inference:
        return lambda: infer(on_gpu, plan, "cuda", Listener())
    return lambda: train(on_gpu, plan, optimizer, scaler, "cuda", Listener())


@contextmanager
def stepping_in_backward(model: nn.Module, shape: tuple[int, ...]) -> Iterator[Callable[[], None]]:
    """A function that runs one step in which each parameter is updated, and its gradient let go, in backward."""
    model = model.to("cuda")
    optimizers = {parameter: torch.optim.Adam([parameter]) for parameter in model.parameters()}

    def update(parameter: Tensor) -> None:
        optimizers[parameter].step()
        optimizers[parameter].zero_grad()

    handles = [parameter.register_post_accumulate_grad_hook(update) for parameter in optimizers]

    def step() -> None:
        images, target = torch.zeros(shape, device="cuda"), torch.zeros(shape[0], dtype=torch.int64, device="cuda")
        logits = model(images)
        F.cross_entropy(logits, target).backward()

    try:
        yield step
    finally:
        for handle in handles:  # else each parameter would hold all others for good
            handle.remove()


def counted_in(work: Callable[[], None]) -> dict[str, object]:
    """CUDA's peaks in the third of three calls."""
    for _ in range(3):
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        work()
    torch.cuda.synchronize()
    statistics = torch.cuda.memory_stats()
    return {f"measured {kind}": statistics[f"{kind}_bytes.all.peak"] for kind in GOALS}


def seconds(work: Callable[[], object], at_least: float = 0.1) -> float:
    """Seconds of one call, the GPU's work included; the mean over as many calls as fill `at_least` seconds."""
    for _ in range(3):
        work()
    calls, spent = 1, 0.0
    while spent < at_least:
        calls *= 2
        torch.cuda.synchronize()
        start = perf_counter()
        for _ in range(calls):
            work()
        torch.cuda.synchronize()
        spent = perf_counter() - start
    return spent / calls


# The whole run.


def gpu_named(device: str) -> str | None:
    """The name in `GPUS` whose every word stands in the device's: "NVIDIA A100-SXM4-80GB" is "A100 80 GB"."""
    words = set(re.findall(r"[A-Z0-9]+", device.upper()))
    return next((name for name in GPUS if set(name.replace(" GB", "GB").split()) <= words), None)


def this_gpu() -> Gpu:
    """A GPU that `GPUS` does not name, by what PyTorch says of it."""
    major, minor = torch.cuda.get_device_capability()
    properties = torch.cuda.get_device_properties(0)
    return Gpu(properties.total_memory, major + minor / 10, properties.multi_processor_count)


def tables(folder: Path | None, name: str) -> dict[str, Table]:
    def table(ending: str, title: str, key: tuple[str, ...], values: tuple[str, ...]) -> Table:
        return Table(title, folder and folder / f"gpu-{name}{ending}.csv", key, values)

    limits = ("capacity", "predicted batch", "straight line", "measured batch", "error %", "seconds")
    speeds = ("forward samples/s", "samples/s", "copy us/sample", "pinned copy us/sample")
    return {
        "calibration": table("-calibration", "", ("name",), ("value", "unit")),
        "rows": table("", "", KEY, PREDICTED + MEASURED),
        "limit": table("-limit", "limit", ("model",), limits),
        "speed": table("-speed", "speed, B =", ("B",), speeds),
        "levers": table("-levers", "", ("model", "B", "lever"), LEVER_VALUES),
    }


LEVER_VALUES = (
    *(f"predicted {name}" for name in GOALS), "predicted phase", *(f"measured {name}" for name in GOALS),
    "measured phase", "ms/step", "samples/s", "left over",
)  # fmt: skip


def all_jobs(files: dict[str, Table], gpu: str | Gpu | None) -> list[Job]:
    """First the calibrations and the selection, then limit, speed and levers, then every other configuration."""
    spread, others = in_order()

    def calibrate(unit: str, work: Callable[[], object]) -> dict[str, object]:
        return {"value": work(), "unit": unit}

    def configurations(some: list[Configuration]) -> list[Job]:
        return [Job(files["rows"], one.key, partial(compare, one, gpu), 40) for one in some]

    calibration = [
        Job(files["calibration"], {"name": name}, partial(calibrate, unit, work), 10)
        for name, unit, work in calibrations()
    ]
    limit = [Job(files["limit"], {"model": name}, partial(compare_limit, name, gpu), 120) for name in LIMITS]
    fast = [Job(files["speed"], {"B": 2**power}, partial(speed, 2**power), 10) for power in range(0, 16)]
    pulled = [(name, size, lever) for name, sizes in PULLED.items() for size in sizes for lever in LEVERS]
    levers = [
        Job(files["levers"], {"model": name, "B": size, "lever": lever}, partial(pull, name, size, lever, gpu), 30)
        for name, size, lever in pulled
        if lever != "checkpoint" or "mlp" not in name  # which have no blocks to run again
    ]
    return [*calibration, *configurations(spread), *limit, *fast, *levers, *configurations(others)]


def dry_jobs(files: dict[str, Table]) -> list[Job]:
    spread, others = in_order()
    return [Job(files["rows"], one.key, partial(predict, one, None), 10) for one in spread + others]


def summary(rows: list[dict[str, str]]) -> str:
    """How many rows, the worst ones, and whether the goals are met."""
    failed = [row for row in rows if row["error"] not in ("", TOO_LARGE)]
    good = [row for row in rows if not row["error"] and row["measured requested"]]
    if not good:
        return f"{len(rows)} rows, none of them measured."
    lines = [f"{len(good)} rows measured, {len(failed)} failed."]
    goals = {"no row failed": not failed}
    for kind, goal in GOALS.items():
        worst = max(good, key=lambda row: abs(float(row[f"error {kind} %"])))
        error = float(worst[f"error {kind} %"])
        lines.append(f"Worst against {kind}: {error:+.2f} %, {' '.join(worst[name] for name in KEY)}.")
        goals[f"within {goal} % of {kind}"] = abs(error) <= goal
    for name in FIXED:
        off = [row for row in good if row[f"predicted {name}"] != row[f"measured {name}"]]
        goals[f"{name} exact ({len(off)} rows are not)"] = not off
    off = [row for row in good if row["predicted phase"] != row["measured phase"]]
    lines += [f"Phase: {row['predicted phase']} predicted, {row['measured phase']} measured: "
              f"{' '.join(row[name] for name in KEY)}." for row in off]  # fmt: skip
    goals[f"the right phase ({len(off)} rows have another)"] = not off
    return "\n".join(lines + [f"{'met   ' if met else 'MISSED'} {goal}" for goal, met in goals.items()])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Predicted and measured training memory on a CUDA GPU.")
    parser.add_argument("--minutes", type=float, default=9, help="at most so long; run again to go on")
    parser.add_argument("--results", type=Path, help="the folder for the CSV files; benchmarks/results if not given")
    parser.add_argument("--rows", type=int, help="at most so many new rows in this run")
    parser.add_argument("--dry-run", action="store_true", help="no GPU: list the configurations with predictions")
    parser.add_argument("--predict", type=Path, help="no GPU: predict the rows of this file anew, e.g. gpu-NAME.csv")
    return parser.parse_args()


def main() -> int:
    chosen = arguments()
    end = perf_counter() + 60 * chosen.minutes - MARGIN
    if chosen.predict:
        stem = chosen.predict.stem.removeprefix("gpu-")
        which = next((kind for kind in ("levers", "limit") if stem.endswith(f"-{kind}")), "rows")
        name = stem.removesuffix(f"-{which}")
        table = tables(chosen.predict.parent, name)[which]
        predict_again(table, gpu_named(name.replace("-", " ")))
        print(summary(table.rows) if which == "rows" else f"{len(table.rows)} rows predicted anew.")
        return 0
    if chosen.dry_run:
        files = tables(chosen.results, "dry-run")
        jobs = dry_jobs(files)
    elif not torch.cuda.is_available():
        print("There is no CUDA GPU here that PyTorch can use, so nothing was measured or written.")
        return 0
    else:
        device = torch.cuda.get_device_name()
        gpu = gpu_named(device) or this_gpu()
        print(f"{device}: predicted as {gpu!r}")
        folder = chosen.results or ROOT / "benchmarks" / "results"
        files = tables(folder, re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-"))
        jobs = all_jobs(files, gpu)
    left = carry_out(jobs, end, chosen.rows)
    print("\n" + summary(files["rows"].rows))
    if left:
        names = "; ".join(job.name for job in left[:5])
        print(f"Left for a later run: {len(left)} rows, next {names}{' ...' if len(left) > 5 else ''}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
