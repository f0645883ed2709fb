"""What the judge looks at beside accuracy and time, so that a design is what it says."""

import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers import data
from helpers.capstone.loop import Training
from helpers.memory import CATEGORIES, Trace
from helpers.memory.ledger import Ledger, tensors_in
from helpers.memory.torch_private import storage_key, tree_leaves
from helpers.units import MIB, readable

_STAYS = ("parameters", "buffers", "optimizer state")  # what is there before a step, and after it
_SHARE = 0.02  # of the peak: a smaller difference is not worth a word
_FEW = 4096  # bytes, likewise
PYTHONS_OWN = MIB  #: bytes: what Python's own objects take for a moment in a step that is watched
COARSE = 256 * MIB  #: bytes by which the process may grow before that is said
MOST_COMPARED = 2**21  #: parameters; with more, it takes too long to compare them in every step


def tracked(network: nn.Module) -> list[object]:
    """Everything that the modules of a network hold, in lists and dictionaries too."""
    return tree_leaves([{name: value for name, value in vars(module).items()} for module in network.modules()])


def alike(before: list[Tensor], now: list[Tensor]) -> bool:
    """Whether these tensors are what they were; where the numbers had run away before, nothing is said."""
    return len(now) == len(before) and all(
        torch.equal(new, old) or bool(old.isnan().any()) for new, old in zip(now, before, strict=True)
    )


class StepBook(Ledger):
    """The account book of one real step: what is made in it, and what it takes from elsewhere."""

    def __init__(self, known: list[Tensor]):
        super().__init__()
        self.known = {storage_key(tensor.untyped_storage()) for tensor in known}
        self.made: set[int] = set()
        self.outside: dict[int, int] = {}  #: bytes of what was used and belongs to nobody
        self.devices: set[str] = set()

    def ran(self, operation, args: tuple, kwargs: dict, out: object) -> object:
        for tensor in tree_leaves((args, kwargs)):
            if isinstance(tensor, Tensor) and tensor.layout is torch.strided:
                storage = tensor.untyped_storage()
                key = storage_key(storage)
                if key not in self.known and key not in self.made:
                    self.outside[key] = storage.nbytes()
        for tensor in tensors_in(out):
            if tensor.layout is torch.strided:
                self.made.add(storage_key(tensor.untyped_storage()))
            self.devices.add(tensor.device.type)
        return super().ran(operation, args, kwargs, out)


class Witness:
    """Watches some steps of a training and keeps what it found, in sentences.

    expected: the trace of the same step, as it is on the CPU.
    """

    def __init__(self, training: Training, expected: Trace):
        self.training = training
        self.room = max(
            sum(event.live[name] for name in CATEGORIES if name not in _STAYS) for event in expected.timeline
        )
        self.slack = max(int(_SHARE * expected.peak), _FEW)
        self.found: dict[str, str] = {}  # by kind: each is said once
        self.seen = 0  #: the most bytes that a watched step really made
        self.rss, self.may_grow = _resident(), COARSE + 2 * expected.peak
        self.compares = sum(parameter.numel() for parameter in training.network.parameters()) <= MOST_COMPARED
        arrays = sum(leaf.nbytes for leaf in tracked(training.network) if isinstance(leaf, np.ndarray))
        if arrays > self.slack:
            self.found["arrays"] = f"The network holds NumPy arrays of {readable(arrays)}, which no trace counts."

    def weights(self) -> list[Tensor]:
        """A copy of the parameters as they are now."""
        return [parameter.detach().clone() for parameter in self.training.network.parameters()]

    def same_weights(self, before: list[Tensor], when: str) -> None:
        """Compare the parameters with what they were."""
        if not alike(before, list(self.training.network.parameters())):
            self.found["weights"] = f"The weights changed {when}: only optimizer.step() may change them."

    @contextmanager
    def nothing_learned(self) -> Iterator[None]:
        """In here a network only answers: it makes no gradients, and its weights and buffers stay as they are."""
        state = self.training.network.state_dict
        before, saved = {name: tensor.detach().clone() for name, tensor in state().items()}, []

        def keep(tensor: Tensor) -> Tensor:  # autograd calls it for what backward will need; without gradients, never
            saved.append(True)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            yield
        if saved:
            self.found["learns"] = "The network made gradients while it was tested: it may learn there."
        now = state()
        if now.keys() != before.keys() or not alike(list(before.values()), [now[name] for name in before]):
            self.found["test weights"] = "The weights or buffers changed while the test images were looked at."

    def step(self, rows: Tensor) -> float:
        """A step as it is, but that the weights may only change in ``optimizer.step()``."""
        if not self.compares:
            return self.training.step(rows)
        before = self.weights()
        return self.training.step(rows, lambda: self.same_weights(before, "during forward or backward"))

    def watched(self, call: Callable[..., float], rows: Tensor, number: int) -> float:
        """The same step with its bytes counted. call: what runs a step."""
        with self.counted(f"step {number}", "does more in training", rows) as book:
            loss = call(self.training.step, rows)
        self.seen = max(self.seen, book.peak)
        return loss

    @contextmanager
    def counted(self, what: str, more: str, *given: Tensor) -> Iterator[StepBook]:
        """Count the bytes that PyTorch and Python hand out in here, and keep in mind what no trace explains.

        what: is done in here, "step 7". more: what is said of a network that takes too much. given: tensors of ours.
        """
        training = self.training
        known = [leaf for leaf in tracked(training.network) if isinstance(leaf, Tensor)]
        known += [leaf for leaf in tree_leaves(list(training.optimizer.state.values())) if isinstance(leaf, Tensor)]
        book = StepBook([*known, training.images, training.labels, *given])
        was_on = tracemalloc.is_tracing()
        if not was_on:
            tracemalloc.start(1)
        tracemalloc.reset_peak()
        began = tracemalloc.get_traced_memory()[0]
        try:
            with book:
                yield book
            pythons = tracemalloc.get_traced_memory()[1] - began
        finally:
            if not was_on:
                tracemalloc.stop()
        self._judge(book, pythons, what, more)

    def _judge(self, book: StepBook, pythons: int, what: str, more: str) -> None:
        outside, kind, begin = sum(book.outside.values()), more, what[0].upper() + what[1:]
        if book.peak > self.room + self.slack:
            self.found[f"{kind}: more"] = (
                f"{begin} really made {readable(book.peak)}, and the trace says {readable(self.room)}: the network "
                f"{more} than in the trace."
            )
        if outside > self.slack:
            self.found[f"{kind}: outside"] = (
                f"{begin} used tensors of {readable(outside)} that are no part of the network and in no figure of the "
                "trace; make them parameters or buffers (register_buffer)."
            )
        if book.bytes > self.slack:
            self.found[f"{kind}: keeps"] = f"After {what} {readable(book.bytes)} more were held than before it: a leak."
        if book.devices - {"cpu"}:
            others = " and ".join(sorted(book.devices - {"cpu"}))
            self.found[f"{kind}: device"] = (
                f"{begin} made tensors on another device ({others}), which nobody counts here."
            )
        if pythons > PYTHONS_OWN + self.slack:
            self.found[f"{kind}: python"] = (
                f"{begin} took {readable(pythons)} from NumPy or Python itself, which the trace does not count."
            )

    def process_grew(self) -> None:
        """Look at the size of the whole process; coarse, but it sees every kind of memory."""
        now = _resident()
        if now is not None and self.rss is not None and now - self.rss > self.may_grow:
            self.found["process"] = (
                f"The process grew by {readable(now - self.rss)} while the network was trained and tested, far more "
                "than the trace explains."
            )


def _resident() -> int | None:
    try:
        import psutil

        return psutil.Process().memory_info().rss
    except Exception:  # not installed, or not allowed to look
        return None


def can_see_the_process() -> bool:
    """Whether the size of the process can be read here."""
    return _resident() is not None


#: What accuracy, time and training rest on, as it was when this was imported. (The first optimizer of a class puts its
#: own wrapper around step().)
_RELIED_ON = {
    "data.colours": (data, "colours", data.colours),
    "F.cross_entropy": (F, "cross_entropy", F.cross_entropy),
    "Tensor.backward": (Tensor, "backward", Tensor.backward),
    "Tensor.argmax": (Tensor, "argmax", Tensor.argmax),
    "nn.Module.__call__": (nn.Module, "__call__", nn.Module.__call__),
    "time.thread_time": (time, "thread_time", time.thread_time),
    "time.process_time": (time, "process_time", time.process_time),
    "time.perf_counter": (time, "perf_counter", time.perf_counter),
}


def replaced() -> list[str]:
    """Names that the judge relies on and that stand for something else by now."""
    return [name for name, (owner, attribute, was) in _RELIED_ON.items() if getattr(owner, attribute) is not was]


def processes() -> int:
    """How many processes this one has started that still run."""
    try:
        import psutil

        return len(psutil.Process().children(recursive=True))
    except Exception:
        return 0
