"""One training step, as everybody writes it: checked settings in, `train` carries it out and says what it does."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from functools import partial
from inspect import signature

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint as run_again_in_backward

from helpers.memory.gpus import GPUS, Gpu
from helpers.memory.in_backward import InBackward
from helpers.memory.records import Category
from helpers.memory.refusals import refuse_what_has_no_trace
from helpers.memory.torch_private import SteadyScaler, tree_leaves, tree_map_only
from helpers.problems import Problem, instance_of, one_of, shown, true_or_false, whole_number

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "momentum": lambda parameters, **how: torch.optim.SGD(parameters, momentum=0.9, **how),
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}
PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
MOST_MICRO_BATCHES = 1024  # each one is traced, so more would take minutes
ZERO_GRAD = ("after step", "before forward", "before backward", "never")


@dataclass(frozen=True, kw_only=True)
class Loop:
    """How a training loop is written, where that changes its memory. As it stands, the usual loop.

    zero_grad: where ``optimizer.zero_grad()`` stands: "after step", "before forward" or "before backward", where the
    gradients of the step before live that much longer, or "never".
    set_to_none: False for ``zero_grad(set_to_none=False)``: the gradients stay and are filled with zeros.
    holds_batch, holds_output: whether a name of the loop holds the batch, and what the model returned, to the end of
    the step. False where they are names inside a function that returns the loss.
    step_in_backward: True for an optimizer for each parameter, which steps in a hook
    (``register_post_accumulate_grad_hook``) as soon as backward has made the gradient, and lets the gradient go.
    """

    zero_grad: str = "after step"
    set_to_none: bool = True
    holds_batch: bool = True
    holds_output: bool = True
    step_in_backward: bool = False

    def __post_init__(self) -> None:
        one_of("zero_grad", self.zero_grad, ZERO_GRAD)
        for name in ("set_to_none", "holds_batch", "holds_output", "step_in_backward"):
            true_or_false(name, getattr(self, name))


THE_USUAL_LOOP = Loop()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a training step, each with its default and its check; `trace` describes them."""

    loss: Callable[..., Tensor] = F.cross_entropy
    optimizer: str | Callable = "adam"
    precision: str = "fp32"
    accumulate: int = 1
    checkpoint: bool | Sequence[str] = False
    loop: Loop = THE_USUAL_LOOP
    gpu: str | Gpu | None = None
    torch_version: str = torch.__version__
    example: tuple | None = None
    inference: bool = False
    device: str = "cuda"

    def __post_init__(self) -> None:
        one_of("precision", self.precision, tuple(PRECISIONS))
        whole_number("accumulate", self.accumulate, 1, MOST_MICRO_BATCHES)
        one_of("device", self.device, ("cuda", "cpu"))
        if self.gpu is not None and not isinstance(self.gpu, Gpu):
            one_of("gpu", self.gpu, tuple(GPUS))
        if not isinstance(self.torch_version, str) or not re.match(r"\d+\.\d+", self.torch_version):
            given = shown(self.torch_version)
            raise Problem(f'torch_version is {given}; give that of the GPU machine, as in torch_version="2.11".')
        instance_of("loop", self.loop, Loop, 'Loop(zero_grad="before forward")')
        if self.loop.step_in_backward and (self.accumulate > 1 or self.precision == "fp16"):
            other = f"accumulate={self.accumulate}" if self.accumulate > 1 else 'precision="fp16"'
            raise Problem(
                f"the loop has step_in_backward=True and there is {other}; allowed is one of them. A gradient that "
                "goes at once cannot be added to, nor be looked at by a GradScaler."
            )
        true_or_false("inference", self.inference)
        names = self.checkpoint if isinstance(self.checkpoint, list | tuple) else ()
        if not (isinstance(self.checkpoint, bool | list | tuple) and all(isinstance(name, str) for name in names)):
            raise Problem(
                f"checkpoint is {shown(self.checkpoint)}; allowed is True, False or a list of names of modules."
            )
        if not callable(self.loss):
            raise Problem(
                f"loss is {shown(self.loss)}; give a function of output and target, for example F.cross_entropy."
            )
        if isinstance(self.loss, type):
            name = self.loss.__name__
            raise Problem(f"loss is the class {name}; give an object of it: loss={name}().")
        if isinstance(self.optimizer, torch.optim.Optimizer):
            kind = type(self.optimizer).__name__
            raise Problem(
                f"optimizer is a ready {kind}, which holds the model's own parameters; give a name, or a function of "
                f"the parameters: optimizer=lambda parameters: torch.optim.{kind}(parameters)."
            )
        if not callable(self.optimizer):
            one_of("optimizer", self.optimizer, tuple(OPTIMIZERS))

    @property
    def on_gpu(self) -> Gpu | None:
        """What is known of the GPU."""
        return GPUS[self.gpu] if isinstance(self.gpu, str) else self.gpu


SETTINGS = tuple(setting.name for setting in fields(Settings))


def checked(settings: Mapping[str, object], without: Sequence[str] = (), why: str = "") -> Settings:
    """The settings by name, the others as they are by default. without: names that have no place here, and why not."""
    allowed = [name for name in SETTINGS if name not in without]
    for name in settings:
        if name in without:
            raise Problem(f"{name} {why}; leave it out.")
        if name not in allowed:
            raise Problem(f"there is no setting {name!r}; allowed are {', '.join(allowed)}.")
    return Settings(**settings)


def takes_settings(function: Callable) -> Callable:
    """Show every setting in the function's signature, where it says ``**settings``."""
    own = [one for one in signature(function).parameters.values() if one.kind is not one.VAR_KEYWORD]
    settings = list(signature(Settings).parameters.values())
    function.__signature__ = signature(function).replace(parameters=own + settings)
    return function


@dataclass(frozen=True, kw_only=True)
class Plan(Settings):
    """One training step, checked: what `train` carries out."""

    inputs: object  #: tensors on the meta device, in the form that the model takes
    target: object  #: likewise, or None
    batch_size: int

    def batch(self, device: str) -> tuple[object, object]:
        """A new micro-batch: zeros in the shapes of the plan."""

        def full(spec: Tensor) -> Tensor:
            return torch.zeros(spec.shape, dtype=spec.dtype, device=device)

        return _each_once(full, (self.inputs, self.target))


def make_plan(
    model: nn.Module, sample_shape: Sequence[int] | None = None, batch_size: int | None = None, **settings: object
) -> Plan:
    """Check everything that `trace` and `measure` are given."""
    refuse_what_has_no_trace(model)
    how = checked(settings)
    batch_size = None if batch_size is None else whole_number("batch_size", batch_size, 1)
    if (how.example is None) == (sample_shape is None):
        raise Problem(
            "give either sample_shape, as in sample_shape=(3, 224, 224), or example, as in example=(inputs, target); "
            f"{'neither was' if how.example is None else 'both were'} given."
        )
    example = _example(model, sample_shape, batch_size or 32) if how.example is None else how.example
    inputs, target, batch_size = _micro_batch(example, batch_size, how.accumulate)
    given = settings | {"example": None}  # its shapes are in inputs and target
    return Plan(inputs=inputs, target=target, batch_size=batch_size, **given)


def _each_once(make: Callable[[Tensor], Tensor], tensors: object) -> object:
    """The same structure with `make` of every tensor; a tensor that is there twice is made once."""
    made: dict[int, Tensor] = {}

    def once(tensor: Tensor) -> Tensor:
        if id(tensor) not in made:
            made[id(tensor)] = make(tensor)
        return made[id(tensor)]

    return tree_map_only(Tensor, once, tensors)


def _example(model: nn.Module, sample_shape: object, batch_size: int) -> tuple[Tensor, Tensor]:
    if not isinstance(sample_shape, tuple | list) or not sample_shape:
        raise Problem(f"sample_shape is {shown(sample_shape)}; give one sample's shape, for example (1, 28, 28).")
    sizes = tuple(whole_number("each size in sample_shape", size, 1) for size in sample_shape)
    dtypes = [p.dtype for p in model.parameters() if p.is_floating_point()]
    dtype = dtypes[0] if dtypes else torch.get_default_dtype()
    return _without_bytes((batch_size, *sizes), dtype), _without_bytes((batch_size,), torch.int64)


def _without_bytes(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    try:
        return torch.empty(shape, dtype=dtype, device="meta")
    except (RuntimeError, TypeError) as error:  # an overflow
        raise Problem(
            f"a batch of shape {shown(shape)} has more bytes than can be counted; give smaller sizes."
        ) from error


def _micro_batch(example: object, batch_size: int | None, accumulate: int) -> tuple[object, object, int]:
    """The shapes of one micro-batch: axis 0 of every tensor that had the example's batch size there."""
    if not isinstance(example, tuple | list) or len(example) != 2:
        raise Problem(f"example is a {type(example).__name__}; give two things: example=(inputs, target).")
    inputs, target = example
    tensors = [leaf for leaf in tree_leaves((inputs, target)) if isinstance(leaf, Tensor) and leaf.ndim]
    if not tensors or any(not isinstance(leaf, Tensor) for leaf in tree_leaves((inputs, target)) if leaf is not None):
        raise Problem(
            "example=(inputs, target) needs tensors with a batch axis, alone, in a tuple or in a dict; target may be "
            f"None. Given: {type(inputs).__name__} and {type(target).__name__}."
        )
    had = len(tensors[0])
    batch_size = had if batch_size is None else batch_size
    if batch_size % accumulate:
        raise Problem(
            f"batch_size={batch_size:,} cannot be cut into accumulate={accumulate:,} equal micro-batches; "
            f"give a multiple, for example batch_size={max(batch_size // accumulate, 1) * accumulate:,}."
        )
    micro = batch_size // accumulate

    def shape_of(tensor: Tensor) -> Tensor:
        size = (micro, *tensor.shape[1:]) if tensor.ndim and len(tensor) == had else tuple(tensor.shape)
        return _without_bytes(size, tensor.dtype)

    inputs, target = _each_once(shape_of, (inputs, target))
    return inputs, target, batch_size


class Listener:
    """What is told while steps run, each call in the order in which it comes. This one does not listen."""

    def step_begins(self) -> None:
        """A step begins."""

    def phase_begins(self, phase: str) -> None:
        """forward, backward or step begins."""

    def made(self, category: Category, tensors: object) -> None:
        """These tensors are of this category."""

    def saving(self) -> AbstractContextManager:
        """Entered around everything for which autograd keeps tensors."""
        return nullcontext()

    def gradients_gone(self) -> None:
        """zero_grad() is done; what is alive now is alive between two steps, but for the names of the loop."""

    def step_ends(self) -> None:
        """The step is over, and its names are gone."""


def prepare(model: nn.Module, plan: Plan) -> torch.optim.Optimizer | InBackward | None:
    """Set the model up for the plan: activation checkpointing, eval mode for inference. Returns the optimizer."""
    _recompute(model, plan.checkpoint)
    if plan.inference:
        model.eval()
        return None
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise Problem(
            "no parameter of the model asks for a gradient, so there is no training step; "
            "give a model with parameters that learn, or inference=True."
        )
    if plan.loop.step_in_backward:
        return InBackward({p: _optimizer(plan, [p]) for p in model.parameters() if p.requires_grad})
    return _optimizer(plan, list(model.parameters()))


def _optimizer(plan: Plan, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    make = plan.optimizer if callable(plan.optimizer) else OPTIMIZERS[plan.optimizer]
    optimizer = make(iter(parameters))
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise Problem(
            f"the function given as optimizer returned {type(optimizer).__name__}; it must return an optimizer, "
            "for example lambda parameters: torch.optim.SGD(parameters, lr=0.1)."
        )
    known = {id(parameter) for parameter in parameters}
    if any(id(parameter) not in known for group in optimizer.param_groups for parameter in group["params"]):
        raise Problem(
            "the function given as optimizer must use the parameters that it gets, not the model's own: "
            "lambda parameters: torch.optim.SGD(parameters, lr=0.1)."
        )
    return optimizer


def first_state(model: nn.Module, optimizer: torch.optim.Optimizer | InBackward) -> list[object]:
    """Let the optimizer make what it keeps, as its first step() does, without a forward or backward pass."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad()
    return [list(state.values()) for state in optimizer.state.values()]


def forget(optimizer: torch.optim.Optimizer | InBackward, parameters: list[nn.Parameter]) -> None:
    """Drop what the optimizer keeps for parameters that get no gradient: in training it would never make it."""
    for parameter in parameters:
        optimizer.state.pop(parameter, None)


def train(
    model: nn.Module,
    plan: Plan,
    optimizer: torch.optim.Optimizer | InBackward,
    scaler: SteadyScaler | None,
    device: str,
    listener: Listener,
) -> None:
    """One step: every micro-batch forward and backward, then `optimizer.step()`, and `zero_grad()` where it stands.

    The names of the last micro-batch (inputs, target, output, loss) live until the end, as far as the loop holds them.
    """

    def zero_grad_if(place: str) -> None:
        if plan.loop.zero_grad == place:
            optimizer.zero_grad(set_to_none=plan.loop.set_to_none)
            listener.gradients_gone()

    def gradients_come() -> None:
        listener.made(Category.GRADIENTS, [parameter.grad for parameter in model.parameters()])

    for micro_batch in range(plan.accumulate):
        held = loss = None  # the old micro-batch goes before the new one is made
        listener.phase_begins("forward")
        if micro_batch == 0:
            zero_grad_if("before forward")
        with listener.saving():
            held, loss = _loss(model, plan, device, listener)
        if micro_batch == 0:
            zero_grad_if("before backward")
        listener.phase_begins("backward")
        if plan.accumulate > 1:
            loss = loss / plan.accumulate
        with optimizer.listening(gradients_come) if plan.loop.step_in_backward else nullcontext():
            (loss if scaler is None else scaler.scale(loss)).backward()
        gradients_come()
    listener.phase_begins("step")
    if scaler is None:
        optimizer.step()
    else:
        scaler.step(optimizer)
        scaler.update()
        listener.made(Category.OPTIMIZER_STATE, scaler.state)
    listener.made(Category.OPTIMIZER_STATE, [list(state.values()) for state in optimizer.state.values()])
    zero_grad_if("after step")
    del held, loss


def infer(model: nn.Module, plan: Plan, device: str, listener: Listener) -> None:
    """The forward pass alone, without gradients."""
    listener.phase_begins("forward")
    with torch.no_grad(), _autocast(plan, device):
        held = _forward(model, plan, device, listener)
    listener.gradients_gone()
    del held


def _forward(model: nn.Module, plan: Plan, device: str, listener: Listener) -> tuple[object, object, object]:
    """A micro-batch through the model: output, inputs, target."""
    inputs, target = plan.batch(device)
    listener.made(Category.BATCH, (inputs, target))
    if isinstance(inputs, Mapping):
        return model(**inputs), inputs, target
    return (model(*inputs) if isinstance(inputs, tuple | list) else model(inputs)), inputs, target


def _loss(model: nn.Module, plan: Plan, device: str, listener: Listener) -> tuple[object, Tensor]:
    with _autocast(plan, device):
        output, inputs, target = _forward(model, plan, device, listener)
        loss = plan.loss(output) if target is None else plan.loss(output, target)
    if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.requires_grad:
        given = f"a tensor {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        raise Problem(f"the loss is {given}; backward() needs one number that depends on the model.")
    loop = plan.loop
    return (output if loop.holds_output else None, (inputs, target) if loop.holds_batch else None), loss


def _autocast(plan: Plan, device: str) -> AbstractContextManager:
    dtype = PRECISIONS[plan.precision]
    return nullcontext() if dtype is None else torch.autocast(device, dtype=dtype)


def blocks(model: nn.Module) -> list[str]:
    """The outermost parts of every nn.Sequential or nn.ModuleList that hold several layers."""
    found: list[str] = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Sequential | nn.ModuleList) and not any(name.startswith(f"{f}.") for f in found):
            for part, child in module.named_children():
                path = f"{name}.{part}" if name else part
                if sum(not list(layer.children()) for layer in child.modules()) > 1 and path not in found:
                    found.append(path)
    return found


def _recompute(model: nn.Module, chosen: bool | tuple[str, ...]) -> None:
    """Let the chosen modules run again in backward, with PyTorch's own `torch.utils.checkpoint`."""
    if not chosen:
        return
    modules = dict(model.named_modules())
    names = blocks(model) if chosen is True else chosen
    unknown = [name for name in names if name not in modules or not name]
    if unknown or not names:
        given = f"checkpoint names {unknown[0]!r}, which" if unknown else "checkpoint=True looks for blocks, which"
        some = ", ".join(repr(name) for name in list(modules)[1:6]) or "none here"
        raise Problem(
            f"{given} this model does not have; group layers in an inner nn.Sequential, or give names of its modules "
            f"({some}), as in checkpoint=[NAME]."
        )
    for name in names:
        modules[name].forward = partial(
            run_again_in_backward,
            modules[name].forward,
            use_reentrant=False,
            preserve_rng_state=False,  # changes no memory on the GPU
            determinism_check="none",  # fake tensors have no values to compare
        )
