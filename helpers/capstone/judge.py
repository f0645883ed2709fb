"""`judge`: a design is traced, trained for real within a budget, and what it claims is looked at."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import ceil, isfinite

import numpy as np
import torch
from torch import Tensor, nn

from helpers.capstone.clock import TELLS_SHORT_TIMES, Deadline, Stopwatch, TimeIsUp
from helpers.capstone.design import Design, a_design, build
from helpers.capstone.loop import Training, right
from helpers.capstone.preview import Preview, traced
from helpers.capstone.reference import Reference
from helpers.capstone.report import Report
from helpers.capstone.task import Task, make_task, two_sets
from helpers.capstone.tiers import TIERS, Tier
from helpers.capstone.witness import (
    COARSE,
    Witness,
    can_see_the_process,
    processes,
    replaced,
)
from helpers.data import ImageSet
from helpers.memory.torch_private import BatchNorm
from helpers.memory.tracer import as_found
from helpers.problems import Problem, number, one_of, said, shown, whole_number
from helpers.units import readable

WATCHED = 3  #: steps of a training whose bytes are counted
STRETCH = 0.2  #: seconds of training between two looks at the reference
_TOO_LONG = 1.2  # times the longest time of a tier: then the training ends
_ALTERED = 0.25  # share: a fall of the accuracy by so much over changes that nobody sees
_WATCHED_ANSWERS = 16  # batches of test images whose bytes are counted, at most, each time they are asked
_SHUFFLES = 3  # times that weights by lot must be right too
_LUCKY = 3  # classes, at most: so few can be right by luck before anything is learned
_ANSWERS = 0.1  # seconds that all answers to the test images may take beyond what training takes for as many
_EVER = (
    "Another seed: this is one training.",
    "What CUDA takes beside tensors, and time on a GPU.",
)
_ALWAYS = (
    f"All but {WATCHED} steps and some test batches, drawn at random: only their bytes are counted.",
    f"Up to {readable(COARSE)} taken by other libraries.",
    "Code that rewrites PyTorch or this judge while it runs, or hides from it in C.",
    "Test images it remembers only roughly.",
    "Learning while it is tested, if it is quick and makes no gradients of PyTorch's.",
)


def judge(
    design: Design,
    data: tuple[ImageSet, ImageSet] | None = None,
    seconds: float = 60.0,
    seed: int = 0,
    tier: str | None = None,
) -> Report:
    """Trace the design, train it for real, and report peak, accuracy, time and the nearest lever.

    data: (train, test), two `data.ImageSet`s of your own; then there are no tiers. The bundled colour images if not
    given. seconds: on the clock, at most, for the training. seed: of the first weights and of the order of the images.
    tier: the goal that the lever is to lead to; the nearest if not given.

    Training runs on the processor, in one thread; the bytes are those of the trace. Time is counted in epochs of the
    default design, trained in turns with this one. Nothing of the learner's is changed: a network is copied, random
    numbers and settings of PyTorch are put back. Interrupt the kernel to end it sooner.

    Raises `Problem` for what is no design or no data, and where the network cannot be made or traced.
    """
    design, seed = a_design(design), whole_number("seed", seed, 0, 2**62)
    seconds = number("seconds", seconds, 0.1, 3600, 60)
    tiers = tuple(TIERS.values()) if data is None else ()
    if tier is not None and data is not None:
        raise Problem(f"tier is {shown(tier)}, but for images of your own there are no tiers; leave it out.")
    aim = "" if tier is None else one_of("tier", tier, tuple(TIERS))
    altered = replaced()
    with _as_it_was():
        task = make_task(*two_sets(data), design)
        return replace(_Trial(design, task, tiers, seconds, seed, altered).report(), aim=aim)


class _Pace:
    """Training and test on stopwatches: of what runs as it is, or of what has its bytes counted, which takes longer."""

    def __init__(self) -> None:
        self.training, self.steps = Stopwatch(), 0
        self.test, self.asked = Stopwatch(), 0  # and how many images were asked in all

    def training_on_as_many(self, batch_size: int) -> float:
        """Seconds of this thread that it takes to train on as many images as were asked."""
        return self.training.thread / (self.steps * batch_size) * self.asked


class _Trial:
    """One design before the judge."""

    def __init__(
        self, design: Design, task: Task, tiers: tuple[Tier, ...], seconds: float, seed: int, altered: list[str]
    ):
        self.design, self.task, self.tiers, self.seconds, self.seed = design, task, tiers, seconds, seed
        self.altered = altered
        self.found: list[str] = []
        self.found += [f"{name}, on which the judge relies, is no longer what it was." for name in altered]
        self.stopped, self.losses, self.steps = "", [], 0
        self.plain, self.counted = _Pace(), _Pace()
        self.watch = self.plain.training
        self.all_steps = design.epochs * ceil(len(task.train) / design.batch_size)
        self.longest = max((tier.time for tier in tiers), default=float("inf")) * _TOO_LONG

    def report(self) -> Report:
        design, task = self.design, self.task
        with Deadline(self.seconds) as deadline:
            try:
                network = deadline.call(build, design, task.sample_shape, task.classes, self.seed)
                trace = deadline.call(traced, network, design, task.sample_shape)
                on_cpu = deadline.call(traced, network, design, task.sample_shape, "cpu")
            except TimeIsUp:
                raise Problem(
                    f"the network was not made and traced in {self.seconds:g} seconds; give a smaller one, or more "
                    "seconds=."
                ) from None
        self.reference = Reference(task)
        training = Training(network, design, task.train, task.labels, task.classes)
        witness = Witness(training, on_cpu)
        began = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
        children = processes()
        with Deadline(self.seconds) as deadline:
            self._train(training, witness, deadline)
        witness.process_grew()
        accuracy = self._accuracy(training, witness, began)
        witness.process_grew()
        if processes() > children:
            self.found.append("The network started other processes, whose memory and time nobody counts.")
        self._look_at_the_clock()
        self.found += witness.found.values()
        self.found += [f"{name} was replaced during the training." for name in replaced() if name not in self.altered]
        return Report(
            preview=Preview(design, trace, task.sample_shape, task.classes),
            accuracy=accuracy,
            chance=task.chance,
            test_images=len(task.test),
            time=self.time,
            seconds=self.watch.thread * self._scale,
            clock=self.watch.clock * self._scale,
            epochs=self.steps / self.all_steps * design.epochs,
            losses=tuple(self.losses),
            made=witness.seen,
            predicted=witness.room,
            stopped=self.stopped,
            findings=tuple(dict.fromkeys(self.found)),
            not_covered=self._not_covered(deadline, witness),
            tiers=self.tiers,
            notes=self._notes(network),
        )

    # Training --------------------------------------------------------------------------------------------------------

    def _train(self, training: Training, witness: Witness, deadline: Deadline) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        watched = self._chosen()
        next_look = STRETCH
        try:
            for _ in range(self.design.epochs):
                total = 0.0
                for rows in torch.randperm(len(self.task.train), generator=generator).split(self.design.batch_size):
                    training.learning_rate(self.steps / self.all_steps)
                    loss = self._step(training, witness, deadline, rows, self.steps in watched)
                    self.steps += 1
                    total += loss * len(rows)
                    if not isfinite(loss):
                        self.stopped = (
                            f"The loss was no number any more in step {self.steps}: the training ran away. A smaller "
                            "learning_rate may hold it."
                        )
                        return
                    if self.watch.thread >= next_look:
                        self.reference.burst()
                        witness.process_grew()
                        torch.set_num_threads(1)  # a network may have set others
                        next_look = self.watch.thread + STRETCH
                        if self._ends(deadline):
                            return
                    elif deadline.over and self.steps < self.all_steps:
                        raise TimeIsUp
                self.losses.append(total / len(self.task.train))
        except TimeIsUp:
            self.stopped = (
                f"The {self.seconds:g} seconds on the clock were over in step {self.steps + 1} of {self.all_steps:,}."
            )
        except Exception as error:
            kind = "" if isinstance(error, Problem) else f"{type(error).__name__}: "
            self.stopped = f"Step {self.steps + 1} failed: {kind}{said(error)}"
        finally:
            self.reference.burst()

    def _step(self, training: Training, witness: Witness, deadline: Deadline, rows: Tensor, watched: bool) -> float:
        if watched and len(rows) == self.design.batch_size:
            with self.counted.training.running():
                loss = witness.watched(deadline.call, rows, self.steps + 1)
            self.counted.steps += 1
            return loss
        if not self.steps and self.all_steps > 1:  # PyTorch still chooses its kernels, which takes longer than they do
            return deadline.call(witness.step, rows)
        with self.watch.running(whole=len(rows) == self.design.batch_size):
            loss = deadline.call(witness.step, rows)
        self.plain.steps += 1
        return loss

    def _ends(self, deadline: Deadline) -> bool:
        """Whether the time is over, on the clock or in the tiers."""
        if self.steps == self.all_steps:
            return False
        if deadline.over:
            raise TimeIsUp
        if self.time > self.longest:
            self.stopped = (
                f"The training ended in step {self.steps:,} of {self.all_steps:,}: it had taken {self.time:.1f}, more "
                "than any tier allows."
            )
        return bool(self.stopped)

    def _chosen(self) -> set[int]:
        """Steps to watch, which no network can foresee. In the first, the optimizer still makes its state."""
        later = range(1, self.all_steps)
        return set(random.SystemRandom().sample(later, min(WATCHED, len(later) // 2)))

    # Afterwards ------------------------------------------------------------------------------------------------------

    @property
    def _scale(self) -> float:
        """The first step, and those that were watched, take longer; so they count like the others."""
        return self.steps / self.plain.steps if self.plain.steps else 1.0

    @property
    def time(self) -> float:
        """Processor time of the training, in epochs of the default design.

        By the quickest step of each, where all steps do the same work; a network of one's own may do what it likes.
        """
        quickest = TELLS_SHORT_TIMES and self.design.network is None and isfinite(self.watch.least)
        took = self.watch.least * self.steps if quickest else self.watch.thread * self._scale
        return took / self.reference.epoch(quickest)

    def _accuracy(self, training: Training, witness: Witness, began: dict[str, Tensor]) -> float:
        network, task = training.network, self.task
        with Deadline(self.seconds / 2 + 1) as deadline:
            try:
                with witness.nothing_learned():
                    share = self._answers(training, witness, deadline, task.test)
                    otherwise = self._answers(training, witness, deadline, task.altered)
                trained = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
                network.load_state_dict(began)
                untrained = self._answers(training, witness, deadline, task.test)
                knows = task.chance + 0.25 + len(task.test) ** -0.5  # more than weights that learned nothing can
                elsewhere = share > knows >= untrained
                for other in range(1, _SHUFFLES if untrained > knows and task.classes <= _LUCKY else 0):
                    fresh = deadline.call(build, self.design, task.sample_shape, task.classes, self.seed + other)
                    network.load_state_dict(fresh.state_dict())
                    untrained = min(untrained, self._answers(training, witness, deadline, task.test))
                for _ in range(_SHUFFLES):  # by luck, weights may be right once where there are two classes
                    if elsewhere:
                        network.load_state_dict(_shuffled(began, trained))
                        elsewhere = self._answers(training, witness, deadline, task.test) > knows
            except TimeIsUp:
                self.stopped = self.stopped or "The network did not come back from the test images in time."
                return 0.0
            except Exception as error:
                self.stopped = self.stopped or f"The test images could not be looked at: {said(error)}"
                return 0.0
        if share - otherwise > _ALTERED:
            self.found.append(
                f"With test images in which each number is moved by at most 2 of 255, accuracy falls from {share:.0%} "
                f"to {otherwise:.0%}: the network knows these very images."
            )
        if elsewhere:
            self.found.append(
                "With weights that moved as far as these, but by lot, the test images are right too: what it knows is "
                "not in its weights."
            )
        if untrained > knows:
            self.found.append(
                f"With the weights from before the training, {untrained:.0%} of the test images are right already: "
                "what it knows is not what it learned here. It came trained, learned elsewhere, or knows the images. "
                "Give a function that makes a new one."
            )
        if task.duplicates:
            self.found.append(
                f"{task.duplicates:,} of {len(task.test):,} test images are training images too, so the accuracy says "
                "little about new ones."
            )
        return share

    def _answers(self, training: Training, witness: Witness, deadline: Deadline, images: Tensor) -> float:
        """The share of the test images that is right, asked in micro-batches like those of the training."""
        task, each, count = self.task, self.design.micro_batch, 0
        batches = range(0, len(images), each)
        watched = random.SystemRandom().sample(batches, min(_WATCHED_ANSWERS, (len(batches) + 1) // 2))
        for place in batches:
            part, truth = images[place : place + each], task.truth[place : place + each]
            what = training.network, self.design, part, truth, task.classes
            pace = self.counted if place in watched else self.plain
            with pace.test.running():
                if place in watched:
                    with witness.counted("answering test images", "does more when it is tested", images, task.truth):
                        count += deadline.call(right, *what)
                else:
                    count += deadline.call(right, *what)
            pace.asked += len(part)
        return count / len(images)

    def _look_at_the_clock(self) -> None:
        watch, reference, paces = self.watch, self.reference.watch, (self.plain, self.counted)
        known = [pace for pace in paces if pace.steps]  # a training of few steps has none that is counted
        took = sum(pace.test.thread for pace in known)
        allowed = sum(pace.training_on_as_many(self.design.batch_size) for pace in known)
        if took > allowed + _ANSWERS:
            self.found.append(
                f"The answers to {sum(pace.asked for pace in known):,} test images took {took:.2f} s, and to train on "
                f"as many, watched as often, takes {allowed:.2f} s: the network does more when it is tested than when "
                "it is trained."
            )
        others = sum(pace.test.others for pace in paces)
        if others > max(0.3, sum(pace.test.thread for pace in paces)):
            self.found.append(f"Other threads or processes worked {others:.1f} s while the network was tested.")
        if watch.others > max(0.3, 0.2 * watch.thread):
            self.found.append(
                f"Other threads or processes worked {watch.others:.1f} s while the network was trained, which its time "
                "does not count."
            )
        expected = max(watch.thread * reference.clock / max(reference.thread, 1e-9), watch.thread + watch.waited)
        if watch.clock - expected > max(1.0, watch.clock / 2):
            self.found.append(
                f"The training took {watch.clock:.1f} s on the clock and computed {watch.thread:.1f} s of them: the "
                "network sleeps, or waits for something else."
            )

    def _not_covered(self, deadline: Deadline, witness: Witness) -> tuple[str, ...]:
        more = []
        if self.all_steps < 2 or not witness.seen:
            more.append("The bytes of a real step: there was none after the first to watch.")
        if not deadline.interrupts:
            more.append("A step that never ends: here, time is looked at between steps only.")
        if not witness.compares:
            more.append("Whether weights change outside optimizer.step(): there are too many to compare.")
        if not can_see_the_process():
            more.append("The size of the process: psutil is not installed.")
        if not self.tiers:
            more.append("Test images that are training images slightly changed.")
        return (*more, *_EVER, *(_ALWAYS if self.design.network is not None else ()))

    def _notes(self, network: nn.Module) -> tuple[str, ...]:
        norms = any(isinstance(module, BatchNorm) for module in network.modules())
        if self.design.micro_batches == 1 or not norms:
            return ()
        return (
            "BatchNorm takes the mean of what runs together: in micro-batches, gradients are not those of the whole "
            "batch.",
        )


def _shuffled(began: dict[str, Tensor], trained: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights from before the training, each tensor changed by what it learned, in another order."""
    generator = torch.Generator().manual_seed(random.SystemRandom().getrandbits(32))
    found = dict(began)
    for name, before in began.items():
        if before.is_floating_point() and before.device.type == "cpu":
            moved = (trained[name] - before).flatten()
            found[name] = before + moved[torch.randperm(len(moved), generator=generator)].reshape(before.shape)
    return found


@contextmanager
def _as_it_was() -> Iterator[None]:
    """One thread and plain modes meanwhile; afterwards random numbers and settings are what they were."""
    pythons, numpys = random.getstate(), np.random.get_state()
    with as_found(), torch.random.fork_rng(devices=[]):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            random.setstate(pythons)
            np.random.set_state(numpys)
