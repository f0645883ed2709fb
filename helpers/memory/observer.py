"""The `Observer`: a ledger that listens to a training step and writes down what happened as an `Observation`."""

import weakref
from collections import Counter
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from helpers.memory.as_cuda import remarks
from helpers.memory.inner import inner_bytes
from helpers.memory.kernels import run_as_real
from helpers.memory.layers import Call, Layers
from helpers.memory.ledger import Ledger, keys_of, tensors_in
from helpers.memory.records import Category, Kept, Moment, Observation
from helpers.memory.reductions import Sum, sum_of
from helpers.memory.step import Listener, Plan
from helpers.memory.torch_private import DataDependentOutputException, running_node_number, schema, tree_leaves

# From which result on an operation's results stay on the host, also when everything else is on a GPU: numbers that
# are written out, as in torch.tensor(1.0), and the two random states of the memory-efficient attention.
HOST_RESULTS = {"aten::lift_fresh": 0, "aten::_scaled_dot_product_efficient_attention": 2}
# From which result on an operation's results are statistics, float32 on CUDA, of the input's dtype on the CPU.
STATISTICS = {"aten::native_batch_norm": 1, "aten::native_layer_norm": 1}
_NEVER = 10**9


class Observer(Ledger, Listener):
    """Learns during a step what each storage is; a storage's category then holds for its whole life.

    So a gradient is one from the moment backward makes it. What autograd kept and nobody named is an activation; the
    rest is temporary.

    fake: whether all tensors should be fake; then real parameters among them are noted.
    """

    def __init__(self, model: nn.Module, plan: Plan, device: str, fake: bool = False):
        super().__init__(device)
        self.model, self.plan, self.fake = model, plan, fake
        self.used: Counter[str] = Counter()  #: the corrections that were needed
        self.sizes: dict[int, int] = {}  #: bytes of each storage, by its id
        self.labels: dict[int, Category] = {}
        self.kept: set[int] = set()
        self.saved: list[tuple[Call, int, tuple[int, ...], torch.dtype]] = []
        self.on_host: set[int] = set()  #: ids of what lies in the computer's own memory, whatever the device
        self.copies: dict[int, int | None] = {}  #: ids of copies in another dtype, and of what they were made from
        self.sixteen_bit: set[int] = set()  #: ids of statistics that came in 16 bit
        self.outsiders: dict[int, tuple[nn.Parameter, Tensor | None]] = {}  #: those, each with its gradient before
        self.guesses = False  # whether the optimizer was told a number that nobody knows
        self.without_gradient: list[nn.Parameter] = []
        self.began_with: set[int] = set()  #: what was alive when the step began
        self.moments: list[Moment] = []  #: of the step
        self.steady = True  # whether the step ended with as much as it began with: then the next will be the same
        self.added_up: dict[int, Sum] = {}  #: what CUDA adds up, by the place of the moment
        self._sums: dict[int, tuple[int, int]] = {}  # what came and what it was added to, by the place of the moment
        self._made_by: dict[int, int | None] = {}  # the autograd node of what backward makes
        self._born: list[int] = []  # since the last moment
        self._gone: list[int] = []
        self.layers = Layers(weakref.proxy(self))  # without a cycle, so that the model goes when the step is over
        self.made(Category.PARAMETERS, list(model.parameters()))
        self.made(Category.BUFFERS, [vars(module) for module in model.modules()])  # those that are attributes too
        named = [*model.named_parameters(), *model.named_buffers()]
        self.names = {self.see(tensor): name.rpartition(".")[2] for name, tensor in named}
        self.layers.name(model)

    # ---------------------------------------------------------------------------------- what the ledger tells

    def born(self, number: int, size: int) -> None:
        self.sizes[number] = size
        if self.layers.phase == "backward":
            self._made_by[number] = running_node_number()
        self._born.append(number)

    def gone(self, number: int, size: int) -> None:
        self._gone.append(number)

    def run(self, operation, args: tuple, kwargs: dict) -> object:
        if not self.fake:
            return super().run(operation, args, kwargs)
        try:
            return run_as_real(operation, args, kwargs, on_cpu=self.plan.device == "cpu")
        except DataDependentOutputException:  # no fake tensor has a value to give
            if self.layers.phase not in ("", "step") or not args[0].is_floating_point():
                raise
            self.guesses = True
            return 1.0

    def ran(self, operation, args: tuple, kwargs: dict, out: object) -> object:
        name = schema(operation).name
        for given in args if self.fake else ():
            if type(given) is nn.Parameter and id(given) not in self.outsiders:
                self.outsiders[id(given)] = given, given.grad
        made_from = keys_of((args, kwargs))
        for place, tensor in enumerate(tensors_in(out)):
            number = self.see(tensor, made_from)
            if number is not None:
                self._remark(name, place, number, tensor, args, made_from)
        inner: tuple[int, ...] = ()
        if self.plan.device == "cuda":
            self._note_sum(name, args, out, made_from)
            inner = inner_bytes(name, args)
            if (what := sum_of(name, args, out)) is not None:
                self.added_up[len(self.moments)] = what
        self._mark(name.removeprefix("aten::"), inner)
        return out

    def _note_sum(self, name: str, args: tuple, out: object, made_from: set[int]) -> None:
        """Where two gradients of a tensor meet, autograd adds the second to the first in place, if it alone has it.

        Not so while a mode is on, as here (torch/csrc/autograd/input_buffer.cpp: accumulate, isTensorSubclassLike), so
        the sum is a new tensor and the first gradient goes right after it.
        """
        if name == "aten::add" and self.layers.phase == "backward" and len(args) == 2:
            first, second = args
            if isinstance(second, Tensor) and first.shape == second.shape == out.shape and first.dtype is out.dtype:
                came, went = self.see(out), self.see(first, made_from)
                if came is not None and self._made_by.get(went) not in (None, running_node_number()):
                    self._sums[len(self.moments)] = came, went

    def _mark(self, operation: str, inner: tuple[int, ...] = ()) -> None:
        """Note that an operation is done: the moment at which live bytes are read. inner: bytes that it borrowed."""
        numbers = tuple(range(self.entered, self.entered + len(inner)))
        self.entered += len(inner)
        self.sizes.update(zip(numbers, inner, strict=True))
        born, gone = tuple(self._born), tuple(sorted(self._gone))
        self.moments.append(Moment(self.layers.phase, self.layers.now(), operation, born, gone, numbers))
        self._born, self._gone = [], []

    def _remark(self, name: str, place: int, number: int, tensor: Tensor, args: tuple, made_from: set[int]) -> None:
        """Note what is special about a result: a copy, on the host, or float32 on a GPU."""
        if name == "aten::_to_copy":
            self.copies[number] = self.see(args[0], made_from)
        if place >= HOST_RESULTS.get(name, _NEVER) and tensor.device.type == "cpu":
            self.on_host.add(number)
        if place >= STATISTICS.get(name, _NEVER) and tensor.itemsize == 2:
            self.sixteen_bit.add(number)

    # ------------------------------------------------------------------------------------ what the step tells

    def step_begins(self) -> None:
        self.saved, self.moments = [], []  # what was written down of the one before is forgotten
        self.added_up, self._sums, self._made_by = {}, {}, {}
        self._born, self._gone = [], []
        self.began_with = self.alive
        self.without_gradient = list(self.model.parameters())

    def phase_begins(self, phase: str) -> None:
        self.layers.phase_begins(phase)

    def made(self, category: Category, tensors: object) -> None:
        if category is Category.GRADIENTS:
            pairs = zip(self.model.parameters(), tensors, strict=True)
            had = {id(parameter) for parameter, gradient in pairs if gradient is not None}
            self.without_gradient = [parameter for parameter in self.without_gradient if id(parameter) not in had]
        for tensor in tree_leaves(tensors):
            number = self.see(tensor) if isinstance(tensor, Tensor) else None
            if number is not None:
                self.labels.setdefault(number, category)  # what was said first holds

    def saving(self) -> AbstractContextManager:
        write_down = not self.saved  # one micro-batch is enough
        return torch.autograd.graph.saved_tensors_hooks(lambda t: self._keep(t, write_down), lambda t: t)

    def _keep(self, tensor: Tensor, write_down: bool) -> Tensor:
        """Autograd keeps this tensor for backward; give it an alias.

        An operation that keeps its own result would otherwise be held by what it keeps, and both for ever.
        """
        number = self.see(tensor)
        if number is not None:
            self.kept.add(number)
            if write_down:
                call = self.layers.running[-1] if self.layers.running else Call(self.layers.outside)
                self.saved.append((call, number, tuple(tensor.shape), tensor.dtype))
        if tensor.is_leaf:  # no operation's result
            return tensor
        with self.aside():
            return tensor.detach()

    def gradients_gone(self) -> None:
        self._mark("zero_grad")

    def step_ends(self) -> None:
        before, now = (
            Counter((self.labels.get(number), self.sizes[number]) for number in alive)
            for alive in (self.began_with, self.alive)
        )
        self.steady = before == now

    def let_go(self) -> None:
        """The model goes, if nobody else holds it."""
        self.model, self.outsiders, self.without_gradient = None, {}, []

    @property
    def has_leftovers(self) -> bool:
        """Whether a storage of the step is still alive."""
        return any(self.labels.get(n) not in (Category.PARAMETERS, Category.BUFFERS) for n in self.alive)

    # ---------------------------------------------------------------------------------------- what is written

    def observation(self) -> Observation:
        """The last step as a record, without the model, its tensors or the plan."""
        for number in self.kept | self.layers.recomputed:
            self.labels.setdefault(number, Category.ACTIVATIONS)
        on_cuda = self.plan.device == "cuda"
        widened = self.sixteen_bit if on_cuda else set()
        new = {number for moment in self.moments for number in (*moment.born, *moment.inner)}
        seen = sorted(new | self.began_with)
        moments = self._with_sums_in_place()
        here = {
            "numbers on the host": len(self.on_host),
            "inner blocks": sum(bool(moment.inner) for moment in moments),
            "sums in place": sum(moment.into is not None for moment in moments),
        }
        corrections, notes = remarks(self.used + Counter(here), self.model, on_cuda)
        return Observation(
            on_cuda=on_cuda,
            sizes={number: self.sizes[number] * (2 if number in widened else 1) for number in seen},
            labels={number: self.labels[number] for number in seen if number in self.labels},
            on_host=frozenset(self.on_host.intersection(seen) if on_cuda else ()),
            began_with=tuple(sorted(self.began_with)),
            moments=moments,
            saved=tuple(self._describe(*each, widened) for each in self.saved),
            sums=dict(self.added_up) if on_cuda else {},
            corrections=corrections,
            notes=(*notes, *self._notes()),
        )

    def _with_sums_in_place(self) -> tuple[Moment, ...]:
        """The moments, with what a gradient was added to gone at once, where it went right after the sum was made."""
        moments = list(self.moments)
        for place, (came, went) in self._sums.items():
            here, after = moments[place], moments[place + 1] if place + 1 < len(moments) else None
            if after is not None and went in after.gone and came in here.born:
                moments[place] = Moment(*here[:4], (*here.gone, went), here.inner, went)
                left = tuple(number for number in after.gone if number != went)
                moments[place + 1] = Moment(*after[:4], left, after.inner)
        return tuple(moments)

    def _describe(self, call: Call, number: int, shape: tuple[int, ...], dtype: torch.dtype, widened: set[int]) -> Kept:
        dtype = torch.float32 if number in widened else dtype
        name = str(dtype).removeprefix("torch.")
        return Kept(call.layer, self._what(call, number, dtype, name), number, shape, name)

    def _what(self, call: Call, number: int, dtype: torch.dtype, dtype_name: str) -> str:
        """What a saved tensor is to its layer."""
        if number in self.names:
            return self.names[number]
        if number in call.inputs or number in call.outputs:
            return "input" if number in call.inputs else "output"
        if number in self.copies:
            source = self.copies[number]
            copied = self.names.get(source, "input" if source in call.inputs else "what is computed inside")
            return f"{dtype_name} copy of {copied}"
        return {torch.bool: "mask", torch.int64: "indices"}.get(dtype, "computed inside")

    def _notes(self) -> list[str]:
        notes = []
        if self.outsiders:
            notes.append(
                f"{len(self.outsiders)} parameters that are used are not the model's, those of a loss, say; the "
                "memory that they take is not counted."
            )
        if self.guesses:
            notes.append("The optimizer asks for the values of tensors in its step(); it was told 1.0 each time.")
        if not self.plan.inference and not self.steady:
            notes.append(
                "More is alive after the step than before it: the model keeps tensors from one step to the next."
            )
        return notes
