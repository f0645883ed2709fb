"""Which layer runs, in forward and in backward."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor, nn

from helpers.memory.ledger import Ledger, tensors_in
from helpers.memory.torch_private import STOPS_EARLY, next_node_number, running_node_number, tree_leaves, unwrapped
from helpers.problems import layer_name


@dataclass
class Call:
    """One run of one layer."""

    layer: str
    inputs: set[int | None] = field(default_factory=set)  #: ids of storages
    outputs: set[int | None] = field(default_factory=set)


class Layers:
    """The layers of a model as they run."""

    def __init__(self, ledger: Ledger):
        self.ledger = ledger
        self.phase = ""
        self.running: list[Call] = []  #: innermost last
        self.outside = ""  #: the name of what runs outside all layers
        self.recomputed: set[int] = set()  #: ids of what forward left alive when it ran again during backward
        self.failed = ""  #: the innermost layer in which an exception began
        self._starts: list[tuple[int, str]] = []  # (number of the next autograd node, layer that runs from here on)
        self._last = ""
        self._again_from = 0

    def phase_begins(self, phase: str) -> None:
        self.phase, self.outside = phase, "loss" if phase == "backward" else ""

    def name(self, model: nn.Module) -> None:
        """Let every module of `model` say when it runs. Changes the modules: give it a copy."""
        for name, module in model.named_modules():
            module.forward = self._named(layer_name(name, module), module.forward)

    def _named(self, layer: str, forward: Callable) -> Callable:
        def named_forward(*args, **kwargs):
            self._enter(layer, (args, kwargs))
            out = None
            try:
                out = forward(*args, **kwargs)
                return out
            except Exception as error:
                if type(error).__name__ != STOPS_EARLY:
                    self.failed = self.failed or layer
                raise
            finally:
                self._leave(out)

        return named_forward

    def _enter(self, layer: str, inputs: object) -> None:
        if not self.running and self.phase == "backward":
            self._again_from = self.ledger.entered
        tensors = (leaf for leaf in tree_leaves(inputs) if isinstance(leaf, Tensor))
        self.running.append(Call(layer, {self.ledger.see(unwrapped(tensor)) for tensor in tensors}))
        self._starts.append((next_node_number(), layer))

    def _leave(self, out: object) -> None:
        call = self.running.pop()
        call.outputs.update(self.ledger.see(unwrapped(tensor)) for tensor in tensors_in(out))
        self.outside = "loss"
        self._starts.append((next_node_number(), self.now()))
        if not self.running and self.phase == "backward":
            self.recomputed |= {number for number in self.ledger.alive if number >= self._again_from}

    def now(self) -> str:
        """The layer that runs now; during backward, the layer whose forward made the autograd node that runs now.

        Autograd numbers its nodes in the order in which forward makes them, so a number lies between the number at
        which a layer began and the next one.
        """
        if self.running:
            return self.running[-1].layer
        number = running_node_number()
        if number is None or not self._starts:
            return self.outside
        if number >= 2**63:  # AccumulateGrad has no number of its own: it follows the node that ran last
            return self._last
        place = bisect_right(self._starts, number, key=lambda start: start[0])
        self._last = self._starts[place - 1][1] if place else ""
        return self._last
