"""One run: the settings, the rules of the learning rate, and the training itself."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, islice
from math import ceil, isfinite, log

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers import data as images_of
from helpers import models
from helpers.problems import LARGEST, Problem, number, one_of, whole_number
from helpers.sharpness import sharpness

RULES = ("fixed", "linear", "sqrt")
MEASURES = ("loss", "accuracy")
AXES = ("examples", "steps", "seconds")
MOMENTS = ("loss", "examples", "steps")  #: when the sharpness is taken
STEPS = 512  #: of the run at B = 64; at any other B as many steps, or as many examples, whichever takes longer
AT = 64  #: the batch size at which all rules have the same learning rate
EXAMPLES = STEPS * AT
CURVED = 256  #: the first so many training images are those of the sharpness
_NEXT_CHECK = 1.04  # times as many steps, until the loss is down at the target: then little is overshot
_UNLEARNED = 0.9  # of the untrained network's loss: a run that ends above it is called diverged


@dataclass(frozen=True)
class Setting:
    """What is trained on what, and from which learning rate the rules start."""

    load: Callable  #: of `helpers.data`
    images: int  #: the first so many for training, "full" below
    hidden: int  #: features of the MLP
    rate: float  #: learning rate at B = 64
    target: float  #: a training loss that most runs reach

    @property
    def sizes(self) -> tuple[int, ...]:
        """The batch sizes of the sweep; the last is the whole training set."""
        return (1, 4, 16, 64, 256, self.images)


#: The rates come from a search on the training set at B = 64, see `benchmarks/batch_size.py`; "low rate" is a quarter
#: of the best one, so that a rule can multiply it without leaving what can be trained.
SETTINGS = {
    "digits": Setting(images_of.digits, 1437, 128, 0.4, 0.1),
    "digits, low rate": Setting(images_of.digits, 1437, 128, 0.1, 0.1),
    "colours": Setting(images_of.colours, 1000, 32, 0.05, 0.5),
}
DATA = tuple(SETTINGS)


@dataclass(frozen=True)
class Point:
    """The state of a run after so many steps."""

    step: int
    loss: float  #: on the whole training set
    accuracy: float  #: on the test set, 0 to 1


@dataclass(frozen=True)
class Ending:
    """The state of a run at a moment that runs have in common."""

    at: str  #: one of `MOMENTS`, or "end"
    step: int
    loss: float
    accuracy: float
    sharpness: float  #: largest eigenvalue of the Hessian of the loss on the first `CURVED` training images
    iterations: int
    converged: bool


@dataclass(frozen=True)
class Run:
    """One network trained once."""

    data: str
    batch_size: int
    rule: str
    seed: int
    learning_rate: float
    points: tuple[Point, ...]
    endings: tuple[Ending, ...]

    @property
    def diverged(self) -> bool:
        """Whether the loss at the end is no number, or hardly below that of a network that knows nothing."""
        return not self.points[-1].loss < _UNLEARNED * log(10)

    def after(self, steps: int) -> Point:
        """The state after exactly so many steps. Raises `Problem` if it was not recorded."""
        table = {point.step: point for point in self.points}
        steps = whole_number("steps", steps, 1)
        if steps not in table:
            known = ", ".join(f"{step:,}" for step in table)
            raise Problem(f"steps is {steps:,}; this run has a record after {known} steps. Give one of these.")
        return table[steps]

    @property
    def sentence(self) -> str:
        """How the run went."""
        last, rate = self.points[-1], f"learning rate {self.learning_rate:.4g} ({self.rule})"
        told = f"{self.data}, B = {self.batch_size:,}, {rate}, seed {self.seed}, {last.step:,} steps"
        if self.diverged:
            return f"{told}: it did not learn; the training loss is {last.loss:.3g}."
        end = f"training loss {last.loss:.4f}, test accuracy {100 * last.accuracy:.1f} %"
        return f"{told}: {end}, sharpness {self.endings[-1].sharpness:.3g}."


def learning_rate(batch_size: int, rule: str = "fixed", data: str = "digits") -> float:
    """The learning rate of a rule: that of B = 64, times 1 (fixed), B / 64 (linear) or the root of B / 64 (sqrt).

    Raises `Problem` for a value that is not allowed.
    """
    setting = setting_of(data)
    batch_size = whole_number("batch_size", batch_size, 1, setting.images)
    factor = batch_size / AT
    return setting.rate * {"fixed": 1.0, "linear": factor, "sqrt": factor**0.5}[one_of("rule", rule, RULES)]


def rule_in_words(rule: str = "fixed", data: str = "digits") -> str:
    """The learning rate of a rule as a product: "learning rate 0.4 x B / 64 (linear)".

    Raises `Problem` for a value that is not allowed.
    """
    factor = {"fixed": "", "linear": f" x B / {AT}", "sqrt": f" x √(B / {AT})"}[one_of("rule", rule, RULES)]
    return f"learning rate {setting_of(data).rate:g}{factor} ({rule})"


def all_steps(batch_size: int) -> int:
    """The steps of a whole run: as many as at B = 64, or as it takes for as many examples, whichever is more.

    Raises `Problem` if the batch size is no whole number of at least 1.
    """
    return max(STEPS, ceil(EXAMPLES / whole_number("batch_size", batch_size, 1)))


def train(
    batch_size: int,
    rule: str = "fixed",
    seed: int = 0,
    data: str = "digits",
    steps: int | None = None,
    rate: float | None = None,
) -> Run:
    """Train the setting's MLP with plain SGD, and record loss and accuracy after 1, 2, 3, 4, 6, 8, … steps.

    Each batch has exactly B images: where a shuffled training set ends, the next one goes on. Weights and order come
    from `seed`. steps: stop after so many; None is a whole run, see `all_steps`. rate: a learning rate of your own, in
    place of the rule's. The sharpness is taken where the loss, looked at whenever there are 4 % more steps, first is at
    most the setting's target; after as many examples and as many steps as the run at B = 64 has; and at the end.
    A run is stopped where nothing can be learned any more: the loss is no number, or ReLU gives 0 for every feature of
    every training image. Raises `Problem` for a value that is not allowed.
    """
    setting, base = setting_of(data), learning_rate(batch_size, rule, data)
    whole = all_steps(batch_size)
    steps = whole if steps is None else whole_number("steps", steps, 1, whole)
    base = base if rate is None else number("rate", rate, 0, 1e6, base)
    seed = whole_number("seed", seed, 0, LARGEST)
    model, (images, labels, *test) = _network(data, seed), _images(data)
    points: list[Point] = []
    endings: dict[str, Ending] = {}
    moments = _moments(batch_size, steps)
    checked = 0
    for step in islice(_descent(model, images, labels, batch_size, base, seed), steps):
        written = step in moments.values() or is_recorded(step)
        if not written and ("loss" in endings or step < _NEXT_CHECK * checked):
            continue
        checked = step
        point, alive = _state(step, model, images, labels, *test)
        if written or not alive:
            points.append(point)
        if not alive:
            break
        reached = point.loss <= setting.target and "loss" not in endings
        due = [name for name, at in moments.items() if at == step] + ["loss"] * reached
        if due:
            found = sharpness(model, images[:CURVED], labels[:CURVED])
            last = (found.value, found.iterations, found.converged)
            endings |= {name: Ending(name, step, point.loss, point.accuracy, *last) for name in due}
    if "end" not in endings:  # it was stopped
        endings["end"] = Ending("end", point.step, point.loss, point.accuracy, float("nan"), 0, False)
    endings["end"] = endings.pop("end")  # the last one
    return Run(data, batch_size, rule, seed, base, tuple(points), tuple(endings.values()))


def is_recorded(step: int) -> bool:
    """Whether loss and accuracy are written down after this step: 1, 2, 3, 4, 6, 8, 12, 16, 24, …

    Raises `Problem` if it is no whole number of at least 1.
    """
    step = whole_number("step", step, 1)
    odd = step // (step & -step)
    return odd == 1 or odd == 3


def one_step(batch_size: int, data: str = "digits") -> Callable[[], int]:
    """A function that takes one training step with B images, to measure its time.

    Raises `Problem` for a value that is not allowed.
    """
    rate = learning_rate(batch_size, "fixed", data) / 100
    images, labels, *_ = _images(data)
    steps = _descent(_network(data, 0), images, labels, batch_size, rate, 0)
    return lambda: next(steps)


def _network(data: str, seed: int) -> nn.Sequential:
    images, *_ = _images(data)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return models.mlp(tuple(images.shape[1:]), setting_of(data).hidden)


def _descent(
    model: nn.Module, images: Tensor, labels: Tensor, batch_size: int, rate: float, seed: int
) -> Iterator[int]:
    """Train on, step after step; the number of the step comes when it is done."""
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    generator = torch.Generator().manual_seed(seed)
    left = torch.empty(0, dtype=torch.int64)
    for step in count(1):
        while len(left) < batch_size:
            left = torch.cat([left, torch.randperm(len(images), generator=generator)])
        rows, left = left[:batch_size], left[batch_size:]
        with torch.enable_grad():
            F.cross_entropy(model(images[rows]), labels[rows]).backward()
        optimizer.step()
        optimizer.zero_grad()
        yield step


def _moments(batch_size: int, steps: int) -> dict[str, int]:
    return {"examples": ceil(EXAMPLES / batch_size), "steps": STEPS, "end": steps}


@torch.no_grad()
def _state(
    step: int, model: nn.Sequential, images: Tensor, labels: Tensor, test: Tensor, right: Tensor
) -> tuple[Point, bool]:
    """Loss and accuracy now, and whether the network can still learn."""
    hidden = model[:-1](images)  # behind ReLU: where all of it is 0, no gradient reaches the layer before
    loss = F.cross_entropy(model[-1](hidden), labels).item()
    accuracy = (model(test).argmax(1) == right).float().mean().item()
    return Point(step, loss, accuracy), isfinite(loss) and bool(hidden.any())


def setting_of(data: str) -> Setting:
    """The setting with this name; `Problem` for another name."""
    return SETTINGS[one_of("data", data, DATA)]


@lru_cache(maxsize=len(DATA))
def _images(data: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    setting = setting_of(data)
    train, test = setting.load(), setting.load(train=False)
    images, labels = train.images[: setting.images], train.labels[: setting.images]
    return images.float() / 255, labels, test.images.float() / 255, test.labels
