"""`trace`: the memory of one training step, worked out without a GPU and without allocating the model."""

import copy
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from contextvars import ContextVar

import torch
from torch import Tensor, nn

from helpers.memory.as_cuda import as_on_cuda, choose_foreach
from helpers.memory.leftovers import nothing_left_outside
from helpers.memory.observer import Observer
from helpers.memory.random_numbers import put_back_what_it_drew
from helpers.memory.records import Category, Observation, Trace
from helpers.memory.refusals import explain
from helpers.memory.report import report
from helpers.memory.step import Plan, first_state, forget, infer, make_plan, prepare, takes_settings, train
from helpers.memory.torch_private import (
    FAKE_TENSOR_LOG,
    BatchNorm,
    FakeCopyMode,
    FakeTensorMode,
    SteadyScaler,
    gradient_hooks,
    no_modes,
    tree_leaves,
)
from helpers.problems import Problem, said

_tracing = ContextVar("tracing", default=False)  # each thread has its own
_sixteen_bit_alone = threading.RLock()  # where autocast ends, PyTorch forgets the 16 bit weights of every thread
# The logger prints what `explain` says in a sentence.
logging.getLogger(FAKE_TENSOR_LOG).addFilter(lambda record: not _tracing.get())
STEPS = 4  # tried at most until a step ends with what it began with; one is enough for nearly every model


@takes_settings
def trace(
    model: nn.Module, sample_shape: Sequence[int] | None = None, batch_size: int | None = None, **settings: object
) -> Trace:
    """The memory of one steady training step of `model`, operation by operation, in bytes.

    The step runs on fake tensors, which have a shape and a dtype and no bytes: forward, loss, backward,
    ``optimizer.step()``, ``zero_grad()``. The batch and the model's output live until the step ends, as the names of a
    training loop hold them. The step is a steady one: the optimizer has its state, and the step ends with what it began
    with. The model itself is not touched: a copy with fake parameters runs in its place, in the same train/eval mode.

    sample_shape: one sample without the batch axis, for example (3, 224, 224); its dtype is the model's.
    batch_size: samples that one step() sees; 32 if not given.

    The settings, each by its name:

    loss: called as loss(output, target), gives one number. target: (B,) int64. F.cross_entropy if not given.
    optimizer: "sgd", "momentum", "adam", "adamw", or a function of the parameters that gives an optimizer.
    precision: "fp32", or "bf16" / "fp16" for `torch.autocast` (fp16 with a GradScaler) over fp32 parameters.
    accumulate: micro-batches of batch_size / accumulate samples for one step(), at most 1024.
    checkpoint: True runs every block (a part of an nn.Sequential or nn.ModuleList with several layers) again in
    backward instead of keeping what is inside; or the names of the modules.
    loop: a `Loop` says where ``zero_grad()`` stands, what the names of the loop hold, whether step() is in backward.
    gpu: a name from `GPUS`, or a `Gpu` by hand: its attention kernels, and the cuBLAS workspace. None takes those of an
    A100 and no workspace.
    torch_version: the PyTorch on the GPU machine, as in "2.11"; this one if not given. It decides about the workspace.
    example: (inputs, target) in place of sample_shape: inputs a tensor, a tuple for model(*inputs) or a dict for
    model(**inputs); target likewise, or None for loss(output). Only shapes and dtypes are read.
    inference: True for the forward pass alone, without gradients, in eval mode.
    device: "cuda" predicts a CUDA GPU; "cpu" gives the same step as it is on the CPU, without any correction.

    Hooks of the model run as well; what they put elsewhere, in a list of yours, say, is taken out again. Other threads
    see nothing of a trace, unless the model's own code draws from Python's or NumPy's shared random numbers: then those
    that others draw meanwhile come again.

    Raises `Problem` for settings that are not allowed and for a model that cannot be traced; it names the layer.
    """
    plan = make_plan(model, sample_shape, batch_size, **settings)
    return report(fake_run(model, plan), plan.batch_size, plan.on_gpu, plan.torch_version)


def fake_run(model: nn.Module, plan: Plan) -> Observation:
    """Run the plan on a copy of `model` that has no bytes."""

    def once() -> Observation:
        fake = FakeTensorMode(allow_non_fake_inputs=True)
        observer = Observer(fake_copy(model, fake), plan, "cpu", fake=True)
        way = as_on_cuda(plan.on_gpu, plan.device == "cuda")
        with nothing_left_outside(model, fake, observer), fake, way as observer.used:
            observation = observe(observer)
            if any(id(parameter) in observer.outsiders for parameter in model.parameters()):
                raise Problem(
                    "the loss, or a hook, holds the model itself and uses its parameters; the trace runs a copy, whose "
                    "parameters are others. Let the model return what the loss needs, its own parameters too."
                )
            return observation

    with nullcontext() if plan.precision == "fp32" else _sixteen_bit_alone, as_found():
        return put_back_what_it_drew(once)


@contextmanager
def as_found() -> Iterator[None]:
    """Whatever modes are on, trace in plain ones, which hold for this thread alone; put back what a model changed."""
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    with ExitStack() as stack:
        stack.enter_context(no_modes())
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device() != torch.device("cpu"):
            stack.enter_context(torch.device("cpu"))
        outside = _tracing.set(True)
        try:
            yield
        finally:
            _tracing.reset(outside)
            if torch.get_default_dtype() is not dtype:
                torch.set_default_dtype(dtype)
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)


def fake_copy(model: nn.Module, fake: FakeTensorMode) -> nn.Module:
    """A copy of the model whose tensors are fake: same shapes, dtypes and sharing, no bytes.

    Tensors in lists and dictionaries of a module count as buffers.
    """
    stand_ins: dict[int, object] = {}
    norms = [module for module in model.modules() if isinstance(module, BatchNorm) and module.momentum is not None]
    unread = {id(norm.num_batches_tracked) for norm in norms}  # to count with values takes longer
    for tensor in tree_leaves([vars(module) for module in model.modules()]):
        if isinstance(tensor, Tensor) and id(tensor) not in stand_ins:
            strides = torch.empty_like(tensor, device="meta").stride()  # what .to("cuda") gives
            with fake:
                stand_in = torch.empty_strided(tensor.shape, strides, dtype=tensor.dtype, device="cpu")
                if tensor.numel() == 1 and not (tensor.is_meta or tensor.requires_grad or id(tensor) in unread):
                    stand_in = torch.tensor(tensor.tolist(), dtype=tensor.dtype)  # keeps its value, a counter's, say
                if isinstance(tensor, nn.Parameter):
                    stand_in = nn.Parameter(stand_in, requires_grad=tensor.requires_grad)
                    for hook in gradient_hooks(tensor):  # a copy has none of its own
                        stand_in.register_hook(hook)
            stand_ins[id(tensor)] = stand_in
    try:
        with FakeCopyMode(fake):
            return copy.deepcopy(model, stand_ins)
    except Exception as error:
        raise Problem(
            f"the {type(model).__name__} cannot be copied ({said(error)}); trace() works on a copy. Keep open files, "
            "locks and generators out of the model."
        ) from error


def record(model: nn.Module, plan: Plan, device: str = "cpu") -> Trace:
    """Run the plan for real on `model`, which is changed, and write the `Trace`."""
    return report(observe(Observer(model, plan, device)), plan.batch_size, plan.on_gpu, plan.torch_version)


def observe(observer: Observer) -> Observation:
    """Run the observer's plan on its model, which is changed."""
    model, plan, device = observer.model, observer.plan, observer.device.type
    try:
        optimizer = prepare(model, plan)
        with observer:
            if optimizer is None:
                observer.step_begins()
                infer(model, plan, device, observer)
                observer.step_ends()
            else:
                _train_until_steady(model, plan, optimizer, device, observer)
    except Problem:
        raise
    except Exception as error:
        raise Problem(explain(error, observer.layers.failed, observer.layers.phase)) from error
    finally:
        for tensor, gradient in observer.outsiders.values():
            tensor.grad = gradient
        for module in model.modules():
            vars(module).pop("forward", None)  # it holds the module that it was put on
    return observer.observation()


def _train_until_steady(
    model: nn.Module, plan: Plan, optimizer: torch.optim.Optimizer, device: str, observer: Observer
) -> None:
    if plan.device == "cuda":
        observer.used["foreach optimizer"] += choose_foreach(optimizer)
    scaler = SteadyScaler(device) if plan.precision == "fp16" else None
    if scaler is None:  # a scaler makes its own state in the first step, so that fp16 takes two steps anyhow
        observer.made(Category.OPTIMIZER_STATE, first_state(model, optimizer))
    for _ in range(STEPS):
        observer.step_begins()
        train(model, plan, optimizer, scaler, device, observer)
        forget(optimizer, observer.without_gradient)
        observer.step_ends()
        if observer.steady:
            break
