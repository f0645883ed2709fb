"""`trace`: the memory of one training step, worked out without a GPU and without allocating the model."""

import copy
import logging
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.nn import functional as F
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_leaves

from helpers.memory import cuda
from helpers.memory.ledger import Call, Ledger
from helpers.memory.records import CATEGORIES, Event, Saved, Trace
from helpers.memory.refusals import explain
from helpers.memory.step import (
    Plan,
    SteadyScaler,
    Watcher,
    first_state,
    forget,
    infer,
    make_plan,
    prepare,
    train,
)
from helpers.problems import Problem

_one_at_a_time = threading.RLock()  # what `cuda.as_on_cuda` puts in place holds for the whole process
STEPS = 4  # tried at most until a step ends with what it began with; one is enough for nearly every model


def trace(
    model: nn.Module,
    sample_shape: Sequence[int] | None = None,
    batch_size: int | None = None,
    num_classes: int | None = None,
    loss: Callable[..., Tensor] = F.cross_entropy,
    optimizer: str | Callable = "adam",
    precision: str = "fp32",
    accumulate: int = 1,
    checkpoint: bool | Sequence[str] = False,
    gpu: str | None = None,
    *,
    example: tuple | None = None,
    inference: bool = False,
    device: str = "cuda",
) -> Trace:
    """The memory of one steady training step of `model`, operation by operation, in bytes.

    The step runs on fake tensors, which have a shape and a dtype and no bytes: forward, loss, backward,
    ``optimizer.step()``, ``zero_grad()``. The batch and the model's output live until the step ends, as the names of a
    training loop hold them. The step is a steady one: the optimizer has its state, and the step ends with what it began
    with. The model itself is not touched: a copy with fake parameters runs in its place, in the same train/eval mode.

    sample_shape: one sample without the batch axis, for example (3, 224, 224); its dtype is the model's.
    batch_size: samples that one step() sees; 32 if not given. num_classes: what the labels may be; only checked.
    loss: called as loss(output, target), gives one number. target: (B,) int64.
    optimizer: "sgd", "momentum", "adam", "adamw", or a function of the parameters that gives an optimizer.
    precision: "fp32", or "bf16" / "fp16" for `torch.autocast` (fp16 with a GradScaler) over fp32 parameters.
    accumulate: micro-batches of batch_size / accumulate samples for one step().
    checkpoint: True runs every block (a part of an nn.Sequential or nn.ModuleList with several layers) again in
    backward instead of keeping what is inside; or the names of the modules.
    gpu: a name from `GPUS`; adds the cuBLAS workspace of that GPU. None adds none.
    example: (inputs, target) in place of sample_shape: inputs a tensor, a tuple for model(*inputs) or a dict for
    model(**inputs); target likewise, or None for loss(output). Only shapes and dtypes are read.
    inference: only the forward pass, without gradients, in eval mode.
    device: "cuda" predicts a CUDA GPU; "cpu" gives the same step as it is on the CPU, without any correction.

    Hooks of the model run as well; what they put elsewhere, in a list of yours, say, are tensors without numbers. While
    a trace runs, dropout and attention take CUDA's way in other threads too: the numbers are as good.

    Raises `Problem` for settings that are not allowed and for a model that cannot be traced; it names the layer.
    """
    plan = make_plan(
        model, sample_shape, batch_size, num_classes, loss, optimizer, precision, accumulate, checkpoint, gpu,
        example, inference, device,
    )  # fmt: skip
    return fake_run(model, plan).write()


def fake_run(model: nn.Module, plan: Plan) -> "Bookkeeper":
    """Run the plan on a copy of `model` that has no bytes."""
    with _one_at_a_time, as_found():
        fake = FakeTensorMode(allow_non_fake_inputs=True)
        twin = fake_copy(model, fake)
        with fake, cuda.as_on_cuda(model, plan.gpu) if plan.device == "cuda" else nullcontext(Counter()) as used:
            return run(twin, plan, "cpu", used, fake=True)


@contextmanager
def as_found() -> Iterator[None]:
    """Whatever modes are on, trace in plain ones; afterwards random numbers go on as if nothing had happened."""
    drawn, drawn_by_numpy, drawn_by_torch = random.getstate(), np.random.get_state(), torch.get_rng_state()
    with ExitStack() as stack:
        stack.enter_context(_disable_current_modes())
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device() != torch.device("cpu"):
            stack.enter_context(torch.device("cpu"))
        log = logging.getLogger("torch._subclasses.fake_tensor")  # it prints what `explain` says in a sentence
        level = log.level
        log.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            log.setLevel(level)
            random.setstate(drawn)
            np.random.set_state(drawn_by_numpy)
            torch.set_rng_state(drawn_by_torch)


def fake_copy(model: nn.Module, fake: FakeTensorMode) -> nn.Module:
    """A copy of the model whose tensors are fake: same shapes, dtypes and sharing, no bytes.

    Tensors in lists and dictionaries of a module count as buffers.
    """
    stand_ins: dict[int, object] = {}
    for tensor in tree_leaves([vars(module) for module in model.modules()]):
        if isinstance(tensor, Tensor) and id(tensor) not in stand_ins:
            strides = torch.empty_like(tensor, device="meta").stride()  # what .to("cuda") gives
            with fake:
                stand_in = torch.empty_strided(tensor.shape, strides, dtype=tensor.dtype, device="cpu")
                if isinstance(tensor, nn.Parameter):
                    stand_in = nn.Parameter(stand_in, requires_grad=tensor.requires_grad)
            stand_ins[id(tensor)] = stand_in
    try:
        with FakeCopyMode(fake):
            return copy.deepcopy(model, stand_ins)
    except Exception as error:
        raise Problem(
            f"the {type(model).__name__} cannot be copied ({error}); trace() works on a copy. Keep open files, locks "
            "and generators out of the model."
        ) from error


def record(model: nn.Module, plan: Plan, device: str = "cpu") -> Trace:
    """Run the plan for real on `model`, which is changed, and write the `Trace`."""
    return run(model, plan, device, Counter()).write()


def run(model: nn.Module, plan: Plan, device: str, used: Counter, fake: bool = False) -> "Bookkeeper":
    """Run the plan on `model`, which is changed. used: counts the corrections that were needed."""
    ledger = Ledger(device, cpu_kernels=plan.device == "cpu", fake=fake)
    bookkeeper = Bookkeeper(ledger, plan, model, used)
    try:
        optimizer = prepare(model, plan)
        with ledger:
            if optimizer is None:
                bookkeeper.starts()
                infer(model, plan, device, bookkeeper)
                bookkeeper.closes()
            else:
                _train_until_steady(optimizer, device, bookkeeper)
    except Problem:
        raise
    except Exception as error:
        raise Problem(explain(error, ledger.failed, ledger.phase)) from error
    finally:
        for tensor, gradient in ledger.outsiders.values():
            tensor.grad = gradient
    return bookkeeper


def _train_until_steady(optimizer: torch.optim.Optimizer, device: str, bookkeeper: "Bookkeeper") -> None:
    model, plan = bookkeeper.model, bookkeeper.plan
    if plan.device == "cuda":
        bookkeeper.used["foreach optimizer"] += cuda.choose_foreach(optimizer)
    scaler = SteadyScaler(device) if plan.precision == "fp16" else None
    if scaler is None:  # a scaler makes its own state in the first step, so that fp16 takes two steps anyhow
        bookkeeper.made("optimizer state", first_state(model, optimizer))
    for _ in range(STEPS):
        bookkeeper.starts()
        train(model, plan, optimizer, scaler, device, bookkeeper)
        forget(optimizer, bookkeeper.without_gradient)
        bookkeeper.closes()
        if bookkeeper.steady:
            break


class Bookkeeper(Watcher):
    """Learns during the step what each storage is, and writes the `Trace` afterwards.

    A storage's category holds for its whole life: a gradient is one from the moment backward makes it. What autograd
    kept and nobody named is an activation; the rest is temporary.
    """

    def __init__(self, ledger: Ledger, plan: Plan, model: nn.Module, used: Counter):
        self.ledger, self.plan, self.model, self.used = ledger, plan, model, used
        self.sizes = ledger.sizes
        self.labels: dict[int, str] = {}
        self.kept: set[int] = set()
        self.saved: list[tuple[Call, int, tuple[int, ...], torch.dtype]] = []
        self.without_gradient: list[nn.Parameter] = []
        self.alive: set[int] = set()  # when the step began
        self.log: list[tuple] = []  # of the step
        self.steady = True  # whether the step ended with as much as it began with: then the next will be the same
        self.made("parameters", list(model.parameters()))
        self.made("buffers", [vars(module) for module in model.modules()])  # those that are plain attributes too
        named = [*model.named_parameters(), *model.named_buffers()]
        self.names = {ledger.see(tensor): name.rpartition(".")[2] for name, tensor in named}
        ledger.name_layers(model)

    def starts(self) -> None:
        """A step begins; what was written down of the one before is forgotten."""
        self.saved = []
        self.ledger.log.clear()
        self.alive = self.ledger.alive

    def closes(self) -> None:
        """The step is over, and its names are gone."""
        self.log = list(self.ledger.log)
        before, now = (
            Counter((self.labels.get(number), self.ledger.sizes[number]) for number in alive)
            for alive in (self.alive, self.ledger.alive)
        )
        self.steady = before == now

    def begins(self, phase: str) -> None:
        self.ledger.phase, self.ledger.outside = phase, "loss" if phase == "backward" else ""

    def made(self, category: str, tensors: object) -> None:
        if category == "gradients":
            pairs = zip(self.model.parameters(), tensors, strict=True)
            self.without_gradient = [parameter for parameter, gradient in pairs if gradient is None]
        for tensor in tree_leaves(tensors):
            number = self.ledger.see(tensor) if isinstance(tensor, Tensor) else None
            if number is not None:
                self.labels.setdefault(number, category)  # what was said first holds

    def saving(self) -> AbstractContextManager:
        write_down = not self.saved  # one micro-batch is enough
        return torch.autograd.graph.saved_tensors_hooks(lambda t: self.keep(t, write_down), lambda t: t)

    def ends(self) -> None:
        self.ledger.mark("zero_grad")

    def keep(self, tensor: Tensor, write_down: bool) -> Tensor:
        """Autograd keeps this tensor for backward."""
        number = self.ledger.see(tensor)
        if number is not None:
            self.kept.add(number)
            if write_down:
                call = self.ledger.running[-1] if self.ledger.running else Call(self.ledger.outside)
                self.saved.append((call, number, tuple(tensor.shape), tensor.dtype))
        return tensor

    def write(self) -> Trace:
        """Label what has no label yet, and replay the log of the last step."""
        plan, ledger, used = self.plan, self.ledger, self.used.copy()
        for number in self.kept | ledger.recomputed:
            self.labels.setdefault(number, "activations")
        used["numbers on the host"] += len(ledger.on_host)
        events, asked = self.replay()
        if plan.gpu is not None:
            sizes = cuda.workspaces(plan.gpu, [(event.phase, event.op) for event in events])
            events = [replace(e, live=e.live | {"workspace": size}) for e, size in zip(events, sizes, strict=True)]
            asked = [total + size for total, size in zip(asked, sizes, strict=True)]
            used["cuBLAS workspace"] += any(sizes)
        changes = [
            event
            for before, event in zip([None, *events], events, strict=False)
            if before is None or (event.phase, event.live) != (before.phase, before.live)
        ]
        corrections, notes = cuda.remarks(used, self.model, plan.device == "cuda")
        if ledger.outsiders:
            notes += (
                f"{len(ledger.outsiders)} parameters that are used are not the model's, those of a loss, say; the "
                "memory that they take is not counted.",
            )
        if not plan.inference and not self.steady:
            notes += (
                "More is alive after the step than before it: the model keeps tensors from one step to the next.",
            )
        return Trace(plan.batch_size, tuple(changes), self.write_saved(), max(asked), corrections, notes)

    def replay(self) -> tuple[list[Event], list[int]]:
        """The log of the last step as bytes alive by category after each operation; and in all, before rounding."""
        ledger, predicting = self.ledger, self.plan.device == "cuda"
        on_host = ledger.on_host if predicting else set()
        live = dict.fromkeys(CATEGORIES, 0)
        asked = 0
        events: list[Event] = []
        totals: list[int] = []
        for entry in [("born", number) for number in self.alive] + self.log:
            if entry[0] == "op":
                events.append(Event(*entry[1:], dict(live)))
                totals.append(asked)
            elif entry[1] not in on_host:
                size, sign = self.size(entry[1]), 1 if entry[0] == "born" else -1
                asked += sign * size
                live[self.labels.get(entry[1], "temporaries")] += sign * (cuda.rounded(size) if predicting else size)
        return events, totals

    def size(self, number: int) -> int:
        """Bytes of a storage, as they would be with values: here or on a GPU."""
        return self.sizes[number] * (2 if number in self.widened else 1)

    @property
    def widened(self) -> set[int]:
        """What is 16 bit on fake tensors and float32 with values: here or on a GPU."""
        return self.ledger.sixteen_bit if self.plan.device == "cuda" else self.ledger.beside_float32

    def write_saved(self) -> tuple[Saved, ...]:
        owners = {number: label for number, label in self.labels.items() if label in ("parameters", "buffers", "batch")}
        rows = []
        for call, number, shape, dtype in self.saved:
            dtype = torch.float32 if number in self.widened else dtype
            what = self.describe(call, number, dtype)
            name = str(dtype).removeprefix("torch.")
            rows.append(Saved(call.layer, what, shape, name, self.size(number), owners.get(number, "")))
            owners.setdefault(number, call.layer)
        return tuple(rows)

    def describe(self, call: Call, number: int, dtype: torch.dtype) -> str:
        """What a saved tensor is to its layer."""
        if number in self.names:
            return self.names[number]
        if number in call.inputs or number in call.outputs:
            return "input" if number in call.inputs else "output"
        if number in self.ledger.copies:
            source = self.ledger.copies[number]
            copied = self.names.get(source, "input" if source in call.inputs else "what is computed inside")
            return f"{str(dtype).removeprefix('torch.')} copy of {copied}"
        return {torch.bool: "mask", torch.int64: "indices"}.get(dtype, "computed inside")
