"""What a learner decides: the network, and how it is trained."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, fields
from difflib import get_close_matches

import torch
from torch import nn

from helpers import models
from helpers.memory.step import MOST_MICRO_BATCHES, OPTIMIZERS
from helpers.problems import Problem, instance_of, number, one_of, said, shown, true_or_false, whole_number
from helpers.problems import network as ready

#: From and to.
BOUNDS = {
    "width": (1, 256),
    "depth": (1, 5),
    "batch_size": (1, 4096),
    "micro_batches": (1, MOST_MICRO_BATCHES),
    "epochs": (1, 1000),
}
LEARNING_RATES = (1e-6, 100)
PRECISIONS = ("fp32", "bf16")  #: fp16 needs a GradScaler and is of no use on a CPU


@dataclass(frozen=True, init=False)
class Design:
    """A network and the loop that trains it, as a few decisions. As it stands, a first try that reaches no tier.

    width, depth: filters of each convolution, and how many there are, in `models.deep_cnn`.
    batch_size: images for one ``optimizer.step()``. micro_batches: so many equal parts of it go through the network one
    after the other (accumulation). learning_rate: of the first step; it falls in a straight line to 0.
    precision: "fp32", or "bf16" for `torch.autocast`. checkpointing: True runs each block again in backward.
    epochs: how often all training images are seen.
    network: one of your own in place of the CNN: a function that makes it, or the network itself. Then width and depth
    say nothing.

    Raises `Problem` for a value that is not allowed.
    """

    width: int = 16
    depth: int = 2
    batch_size: int = 64
    optimizer: str = "sgd"
    learning_rate: float = 0.01
    precision: str = "fp32"
    micro_batches: int = 1
    checkpointing: bool = False
    epochs: int = 4
    network: nn.Module | Callable[[], nn.Module] | None = None

    def __init__(
        self,
        *unnamed: object,
        width: int = width,
        depth: int = depth,
        batch_size: int = batch_size,
        optimizer: str = optimizer,
        learning_rate: float = learning_rate,
        precision: str = precision,
        micro_batches: int = micro_batches,
        checkpointing: bool = checkpointing,
        epochs: int = epochs,
        network: nn.Module | Callable[[], nn.Module] | None = network,
        **unknown: object,
    ):
        given = dict(locals())
        if unnamed:
            raise Problem(
                f"{shown(unnamed[0])} has no name; give each decision by its name, as in capstone.Design(width=8)."
            )
        for name in unknown:
            raise Problem(_unknown(name))
        for field in fields(self):
            object.__setattr__(self, field.name, given[field.name])
        self.check()

    def check(self) -> None:
        """Look at every decision; raise `Problem` for one that is not allowed."""
        one_of("optimizer", self.optimizer, tuple(OPTIMIZERS))
        one_of("precision", self.precision, PRECISIONS)
        true_or_false("checkpointing", self.checkpointing)
        plain = {name: whole_number(name, getattr(self, name), *bounds) for name, bounds in BOUNDS.items()}
        plain["learning_rate"] = number("learning_rate", self.learning_rate, *LEARNING_RATES, 0.01)
        for name, value in plain.items():  # Python's own numbers, so that designs can be compared
            object.__setattr__(self, name, value)
        parts = self.micro_batches
        if self.batch_size % parts:
            raise Problem(
                f"batch_size={self.batch_size} cannot be cut into micro_batches={parts} equal parts; give a number "
                f"that divides it, or batch_size={max(self.batch_size // parts, 1) * parts}."
            )
        if self.network is not None and not callable(self.network):
            raise Problem(
                f"network is {shown(self.network)}; give a network, or a function without arguments that makes one, as "
                "in network=lambda: models.mlp((3, 32, 32))."
            )

    @property
    def micro_batch(self) -> int:
        """Images that go through the network at once."""
        return self.batch_size // self.micro_batches

    @property
    def settings(self) -> dict[str, object]:
        """What `memory.trace` is told of it, beside the batch size."""
        return {
            "optimizer": self.optimizer,
            "precision": self.precision,
            "accumulate": self.micro_batches,
            "checkpoint": self.checkpointing,
        }

    @property
    def sentence(self) -> str:
        """All decisions in a line."""
        what = f"width {self.width}, depth {self.depth}" if self.network is None else "a network of your own"
        cut = f" in {self.micro_batches} micro-batches of {self.micro_batch}" if self.micro_batches > 1 else ""
        more = ", checkpointing" if self.checkpointing else ""
        return (
            f"{what}, batch {self.batch_size}{cut}, {self.optimizer} from {self.learning_rate:g} on, {self.precision}"
            f"{more}, {self.epochs} epoch{'s' * (self.epochs > 1)}"
        )


_ALIASES = {"lr": "learning_rate", "batch": "batch_size", "accumulate": "micro_batches", "model": "network"}


def _unknown(name: str) -> str:
    """What is said of a decision that there is not."""
    names = [field.name for field in fields(Design)]
    meant = [_ALIASES[name]] if name in _ALIASES else get_close_matches(name, names, 1)
    hint = f" Give it as {meant[0]}=." if meant else ""
    return f"a Design has no {shown(name)[1:-1]}; it has {', '.join(names[:-1])} and {names[-1]}.{hint}"


def build(design: Design, sample_shape: tuple[int, ...], classes: int, seed: int = 0) -> nn.Module:
    """The network of a design, new: the course's CNN, or a copy of the learner's own.

    sample_shape: of one image. seed: of the weights with which it begins; the global generator stays as it is.
    Raises `Problem` where none can be made.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if design.network is None:
            return models.in_blocks(models.deep_cnn(sample_shape, design.width, design.depth, classes))
        own = design.network
        if not isinstance(own, nn.Module):
            try:
                own = own()
            except Exception as error:
                raise Problem(f"network() stopped with {type(error).__name__}: {said(error)}") from error
        ready("network" if own is design.network else "what network() returns", own)
        try:
            return copy.deepcopy(own)  # the function may give the same one every time
        except Exception as error:
            raise Problem(
                f"the network cannot be copied ({said(error)}); keep open files, locks and generators out of it."
            ) from error


def a_design(value: object) -> Design:
    """Return ``value`` if it is a `Design`, checked once more; raise `Problem` otherwise."""
    design = instance_of("design", value, Design, "capstone.Design(batch_size=32)")
    if type(design) is not Design:
        raise Problem("design is of a class of your own; give a capstone.Design itself, as it is.")
    design.check()
    return design
