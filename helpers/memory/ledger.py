"""Every storage, from its first tensor to its last: the account book under `trace`, `measure` and `watch`."""

import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# From which result on an operation's results stay on the host, also when everything else is on a GPU: numbers that
# are written out, as in torch.tensor(1.0), and the two random states of the memory-efficient attention.
HOST_RESULTS = {"aten::lift_fresh": 0, "aten::_scaled_dot_product_efficient_attention": 2}
# From which result on an operation's results are statistics, float32 on CUDA; on the CPU only beside float32 weights,
# otherwise of the input's dtype. On fake tensors they always are of the input's dtype.
STATISTICS = {"aten::native_batch_norm": 1, "aten::native_layer_norm": 1}
# Losses whose one number keeps the storage of a number for each element: PyTorch makes the result in full and resizes
# it (TORCH_META_FUNC in aten/src/ATen/native/Loss.cpp, for CPU and CUDA alike). Fake kernels do not.
FULL_LOSSES = {"aten::mse_loss", "aten::smooth_l1_loss"}
_NEVER = 10**9


@dataclass
class Call:
    """One run of one layer."""

    layer: str
    inputs: set[int | None] = field(default_factory=set)  #: ids of storages
    outputs: set[int | None] = field(default_factory=set)


class Ledger(TorchDispatchMode):
    """Writes down when PyTorch makes a storage and when its last tensor goes, for real and for fake tensors alike.

    A `TorchDispatchMode` sees every operation that autograd, the layers and the optimizer send to PyTorch's
    dispatcher. Storages are counted, not tensors: a view costs nothing. Memory that a kernel takes and gives back
    inside one operation never reaches the dispatcher and is not counted.

    device: the only device type that counts, for example "cuda"; None counts all but "meta". cpu_kernels: whether
    results that a CPU kernel would not make are left out, where fake tensors bring them. fake: whether all tensors
    should be fake; then real parameters among them are noted.
    """

    def __init__(self, device: str | None = None, cpu_kernels: bool = False, fake: bool = False):
        super().__init__()
        self.device, self.cpu_kernels, self.fake = device, cpu_kernels, fake
        self.sizes: list[int] = []  #: bytes of each storage; its place in this list is its id
        self.log: list[tuple] = []  #: ("born", id), ("gone", id), ("op", phase, layer, operation), in order
        self.on_host: set[int] = set()  #: ids of what lies in the computer's own memory, whatever the device
        self.copies: dict[int, int | None] = {}  #: ids of copies in another dtype, and of what they were made from
        self.sixteen_bit: set[int] = set()  #: ids of statistics that came in 16 bit
        self.beside_float32: set[int] = set()  #: those of them whose layer has float32 weights
        self.outsiders: dict[int, tuple[nn.Parameter, Tensor | None]] = {}  #: those, each with its gradient before
        self.phase = ""
        self.running: list[Call] = []  #: the layers that are running, innermost last
        self.outside = ""  #: the name of what runs outside all layers
        self.recomputed: set[int] = set()  #: ids of what forward left alive when it ran again during backward
        self.failed = ""  #: the innermost layer in which an exception began
        self._live: dict[int, tuple[int, weakref.ref, int]] = {}  # id, and the storage with its bytes as last seen
        self._bytes = 0
        self.peak = 0  #: the most bytes that were alive at once
        self._starts: list[tuple[int, str]] = []  # (number of the next autograd node, layer that runs from here on)
        self._last = ""
        self._again_from = 0

    @property
    def bytes(self) -> int:
        """Bytes of all storages that were made under this ledger and are still alive."""
        return self._bytes

    @property
    def alive(self) -> set[int]:
        return {number for number, *_ in self._live.values()}

    def see(self, tensor: Tensor, made_from: object = ()) -> int | None:
        """Enter the tensor's storage if it is new; return the storage's id, or None where it has no bytes here.

        made_from: what an operation was given. A view of a tensor that is older than this ledger is not new.
        """
        if tensor.is_meta if self.device is None else tensor.device.type != self.device:
            return None
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        entry = self._live.get(key)
        if entry is None:
            if not size or _among(key, made_from):
                return None
            number = len(self.sizes)
            self._live[key] = number, weakref.ref(storage, lambda _: self._end(key)), size
            self._enter(number, size)
        elif entry[2] != size:  # resized in place: the old one ends, a larger one begins
            self.log.append(("gone", entry[0]))
            self._bytes -= self.sizes[entry[0]]
            number = len(self.sizes)
            self._live[key] = number, entry[1], size
            self._enter(number, size)
        else:
            number = entry[0]
        return number

    def _enter(self, number: int, size: int) -> None:
        self.sizes.append(size)
        self.log.append(("born", number))
        self._bytes += size
        self.peak = max(self.peak, self._bytes)

    def _end(self, key: int) -> None:
        number, *_ = self._live.pop(key)
        self.log.append(("gone", number))
        self._bytes -= self.sizes[number]

    def mark(self, operation: str) -> None:
        """Note that an operation is done: the moment at which live bytes are read."""
        self.log.append(("op", self.phase, self.layer(), operation))

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func.namespace in ("prim", "profiler"):  # questions about a tensor, not work
            return out
        name = func._schema.name
        for given in args if self.fake else ():
            if type(given) is nn.Parameter and id(given) not in self.outsiders:
                self.outsiders[id(given)] = given, given.grad
        if self.cpu_kernels and name == "aten::native_batch_norm_backward":  # fake kernels make every gradient
            out = tuple(part if wanted else None for part, wanted in zip(out, args[-1], strict=True))
        for place, tensor in enumerate(_tensors(out)):
            number = self.see(tensor, made_from=(args, kwargs))
            if number is not None:
                self._remark(name, place, number, tensor, args)
        self.mark(name.removeprefix("aten::"))
        return out

    def _remark(self, name: str, place: int, number: int, tensor: Tensor, args: tuple) -> None:
        """Note what is special about a result: a copy, on the host, or float32 where it has values or on a GPU."""
        if self.fake and name in FULL_LOSSES and not tensor.ndim:
            elements = torch.broadcast_shapes(args[0].shape, args[1].shape).numel()
            self._bytes += elements * tensor.itemsize - self.sizes[number]
            self.sizes[number] = elements * tensor.itemsize
        if name == "aten::_to_copy":
            self.copies[number] = self.see(args[0], made_from=args)
        if place >= HOST_RESULTS.get(name, _NEVER) and tensor.device.type == "cpu":
            self.on_host.add(number)
        if place >= STATISTICS.get(name, _NEVER) and tensor.itemsize == 2:
            self.sixteen_bit.add(number)
            if any(isinstance(given, Tensor) and given.dtype is torch.float32 for given in args[1:4]):
                self.beside_float32.add(number)

    def name_layers(self, model: nn.Module) -> None:
        """Let every module of `model` say when it runs. Changes the modules: give it a copy."""
        for name, module in model.named_modules():
            kind = type(module).__name__
            module.forward = self._named(f"{name} ({kind})" if name else kind, module.forward)

    def _named(self, layer: str, forward: Callable) -> Callable:
        def named_forward(*args, **kwargs):
            self._enter_layer(layer, (args, kwargs))
            out = None
            try:
                out = forward(*args, **kwargs)
                return out
            except Exception as error:
                if type(error).__name__ != "_StopRecomputationError":  # how checkpoint() ends its second run early
                    self.failed = self.failed or layer
                raise
            finally:
                self._leave_layer(out)

        return named_forward

    def _enter_layer(self, layer: str, inputs: object) -> None:
        if not self.running and self.phase == "backward":
            self._again_from = len(self.sizes)
        tensors = (leaf for leaf in tree_leaves(inputs) if isinstance(leaf, Tensor))
        self.running.append(Call(layer, {self.see(tensor) for tensor in tensors}))
        self._starts.append((torch.autograd._get_sequence_nr(), layer))

    def _leave_layer(self, out: object) -> None:
        call = self.running.pop()
        call.outputs.update(self.see(tensor) for tensor in _tensors(out))
        self.outside = "loss"
        self._starts.append((torch.autograd._get_sequence_nr(), self.layer()))
        if not self.running and self.phase == "backward":
            self.recomputed |= {number for number in self.alive if number >= self._again_from}

    def layer(self) -> str:
        """The layer that runs now; during backward, the layer whose forward made the autograd node that runs now.

        Autograd numbers its nodes in the order in which forward makes them, so a number lies between the number at
        which a layer began and the next one.
        """
        if self.running:
            return self.running[-1].layer
        node = torch._C._current_autograd_node()
        if node is None or not self._starts:
            return self.outside
        number = node._sequence_nr()
        if number >= 2**63:  # AccumulateGrad has no number of its own: it follows the node that ran last
            return self._last
        place = bisect_right(self._starts, number, key=lambda start: start[0])
        self._last = self._starts[place - 1][1] if place else ""
        return self._last


def _among(key: int, given: object) -> bool:
    """Whether a storage belongs to one of the tensors that were given."""
    tensors = (leaf for leaf in tree_leaves(given) if isinstance(leaf, Tensor) and leaf.layout is torch.strided)
    return any(tensor.untyped_storage()._cdata == key for tensor in tensors)


def _tensors(out: object) -> Iterator[Tensor]:
    if isinstance(out, Tensor):
        yield out
    elif isinstance(out, tuple | list):
        for each in out:
            yield from _tensors(each)
