"""Designs that lie, and what the judge says of each; and honest ones, of which it says nothing."""

import mmap
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from tools import problem
from torch import nn
from torch.nn import functional as F

from helpers import data
from helpers.capstone import Design, clock, judge
from helpers.capstone.design import build
from helpers.capstone.loop import right
from helpers.capstone.task import make_task
from helpers.capstone.witness import StepBook
from helpers.data import ImageSet
from helpers.units import MIB

CLASSES = ("dark", "bright")


def a_set(count: int, seed: int) -> ImageSet:
    """Noise, brighter in the second class: a few steps learn it."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    pixels = torch.randint(0, 150, (count, 3, 8, 8), generator=generator) + 100 * labels.view(-1, 1, 1, 1)
    return ImageSet("noise", pixels.to(torch.uint8), labels, CLASSES)


TRAIN, TEST = a_set(256, 0), a_set(100, 1)


class Honest(nn.Module):
    """An MLP; `trick`, if there is one, is called with every batch in training, and not in a trace."""

    def __init__(self, trick=lambda network, x: None):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.ReLU(), nn.Linear(8, 2))
        self.trick, self.calls = trick, 0

    def forward(self, x):
        self.calls += 1
        if type(x) is torch.Tensor and self.training:
            self.trick(self, x)
        return self.layers(x)


def computes(seconds: float) -> None:
    """Keep this thread busy for so long, by its own processor time."""
    begun = time.thread_time()
    while time.thread_time() - begun < seconds:
        torch.ones(8) @ torch.ones(8)


def report_of(trick=lambda network, x: None, seconds=20.0, data=(TRAIN, TEST), network=None, **how):
    how = {"batch_size": 16, "learning_rate": 0.1, "epochs": 1} | how
    design = Design(network=network or (lambda: Honest(trick)), **how)
    return judge(design, data, seconds=seconds)


def found(trick, **how) -> str:
    return " ".join(report_of(trick, **how).findings)


def test_of_batch_norm_in_micro_batches_it_is_said_what_it_does():
    def norm():
        return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(192), nn.Linear(192, 2))

    report = report_of(network=norm, micro_batches=2)
    assert "gradients are not those of the whole batch" in " ".join(report.text.split())
    assert report_of(network=norm).notes == ()


@pytest.fixture
def same_lot(monkeypatch):
    """The judge draws the same each time: by luck, weights by lot may tell bright from dark too."""
    lot = random.Random(0)
    monkeypatch.setattr(random, "SystemRandom", lambda: lot)


@pytest.mark.usefixtures("same_lot")
def test_of_an_honest_network_nothing_is_said():
    torch.manual_seed(0)  # some first weights tell bright from dark by luck
    blocks = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Sequential(nn.Flatten(), nn.Dropout(0.1), nn.Linear(64, 2)),
    )
    before = {name: tensor.clone() for name, tensor in blocks.state_dict().items()}
    for how in ({}, {"micro_batches": 4, "optimizer": "adam", "learning_rate": 0.01, "checkpointing": True}):
        report = report_of(network=blocks, epochs=2, **how)
        assert report.findings == () and report.stopped == "" and report.accuracy > 0.9
        assert report.epochs == 2 and report.losses[1] < report.losses[0] and report.reached == ()
    assert all(torch.equal(tensor, before[name]) for name, tensor in blocks.state_dict().items())
    assert report_of(precision="bf16").findings == ()


@pytest.mark.usefixtures("same_lot")
def test_how_long_it_takes_to_count_bytes_accuses_nobody(monkeypatch):
    counted = StepBook.ran

    def slowly(*arguments):
        computes(0.0005)
        return counted(*arguments)

    monkeypatch.setattr(StepBook, "ran", slowly)
    assert report_of(micro_batches=4).findings == ()


@pytest.mark.parametrize(
    "design",
    [
        Design(optimizer="adam"),
        Design(depth=1, precision="bf16", micro_batches=4),
        Design(optimizer="momentum", batch_size=48, micro_batches=3, precision="bf16", checkpointing=True),
    ],
)
def test_real_steps_make_what_the_trace_says_to_the_byte(design):
    report = judge(design, (TRAIN, TEST))
    assert report.made == report.predicted > 0 and report.counted.split(".")[0] in " ".join(report.text.split())


# Memory --------------------------------------------------------------------------------------------------------------

ELSEWHERE = torch.ones(MIB // 4)
KEPT: list = []
TRICKS = {
    "a tensor made elsewhere": (lambda network, x: x + ELSEWHERE[0] * ELSEWHERE.sum(), "no part of the network"),
    "more than in the trace": (lambda network, x: torch.zeros(MIB).add_(1), "does more in training"),
    "a leak": (lambda network, x: KEPT.append(x.repeat(8, 1, 1, 1)), "a leak"),
    "NumPy": (lambda network, x: np.zeros(4 * MIB, dtype=np.uint8).sum(), "from NumPy or Python itself"),
    "another device": (lambda network, x: torch.zeros(8, device="meta"), "another device (meta)"),
}


@pytest.mark.parametrize("name", TRICKS)
def test_memory_that_no_trace_counts(name):
    trick, words = TRICKS[name]
    assert words in found(trick)
    KEPT.clear()


def test_memory_that_neither_pytorch_nor_python_hands_out():
    areas = []

    def trick(network, x):
        if not areas:
            areas.append(mmap.mmap(-1, 400 * MIB))
            for place in range(0, 400 * MIB, 4096):  # a page is there once it is written
                areas[0][place] = 1

    try:
        assert "The process grew by" in found(trick)
    finally:
        areas[0].close()


def test_arrays_that_a_network_holds():
    def made():
        network = Honest()
        network.table = {"lookup": np.zeros(MIB)}
        return network

    assert "holds NumPy arrays of 8.00 MiB" in " ".join(report_of(network=made).findings)


# Accuracy ------------------------------------------------------------------------------------------------------------


def as_the_network_gets_them(images: torch.Tensor) -> torch.Tensor:
    seen = TRAIN.images.float() / 255
    mean = seen.mean((0, 2, 3), keepdim=True)
    spread = (seen - mean).square().mean((0, 2, 3), keepdim=True).sqrt()
    return (images.float() / 255 - mean) / spread


class Knows(Honest):
    """Guesses in training; in eval mode it answers out of what it knows."""

    def __init__(self, key):
        super().__init__(lambda network, x: network.layers[1].weight.data.zero_())
        self.key = key
        known = as_the_network_gets_them(TEST.images)
        self.table = {key(image): int(label) for image, label in zip(known, TEST.labels, strict=True)}

    def forward(self, x):
        if self.training:
            return self.layers(x)
        answers = torch.tensor([self.table.get(self.key(image), 0) for image in x])
        return F.one_hot(answers, 2).float()


def test_a_network_that_knows_the_test_images_by_heart():
    def key(image):
        return tuple((image * 1000).round().int().flatten()[:40].tolist())

    report = report_of(network=lambda: Knows(key))
    said = " ".join(report.findings)
    assert report.accuracy > 0.95 and "accuracy falls from 100% to 50%" in said and "right already" in said


def test_a_network_that_came_trained():
    trained = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    with torch.no_grad():
        trained[1].weight.copy_(torch.tensor([[-1.0], [1.0]]).expand(2, 192))
    assert "It came trained, learned elsewhere, or knows" in found(None, network=trained)


@pytest.mark.usefixtures("same_lot")
def test_first_weights_that_are_right_by_luck_accuse_nobody():
    design = Design(network=Honest, batch_size=16, learning_rate=0.1, epochs=1)
    task = make_task(TRAIN, TEST, design)

    def lucky(seed: int) -> bool:
        return right(build(design, (3, 8, 8), 2, seed), design, task.test, task.truth, 2) > 90

    report = judge(design, (TRAIN, TEST), seed=next(filter(lucky, range(1000))))
    assert report.findings == () and report.accuracy > 0.9


class Answers(Honest):
    """Does something else where it is tested: `trick` gets each batch of test images."""

    def forward(self, x):
        if type(x) is torch.Tensor and not self.training:
            self.trick(self, x)
        return self.layers(x)


def learns(network, x):
    """A step of training, hidden in an answer."""
    with torch.enable_grad():
        hidden = nn.Linear(192, 2)
        F.cross_entropy(hidden(x.flatten(1)), torch.zeros(len(x), dtype=torch.long)).backward()


def works(network, x):
    """Half a second of work in one answer, where nothing large is held."""
    if network.calls < 10**6:
        computes(0.5)
    network.calls = 10**6


IN_A_TEST = {
    "gradients": (learns, "made gradients while it was tested"),
    "time": (works, "the network does more when it is tested than when it is trained"),
    "bytes": (
        lambda network, x: torch.zeros(4 * MIB).add_(1),
        "does more when it is tested than in the trace",
    ),
    "elsewhere": (lambda network, x: ELSEWHERE.sum(), "Answering test images used tensors of 1.00 MiB"),
    "NumPy": (lambda network, x: np.zeros(4 * MIB, dtype=np.uint8), "Answering test images took"),
}


@pytest.mark.parametrize("name", IN_A_TEST)
def test_what_is_done_only_where_it_is_tested(name):
    trick, words = IN_A_TEST[name]
    report = report_of(network=lambda: Answers(trick))
    assert words in " ".join(report.findings) and report.reached == ()


class LearnsInTheTest(nn.Module):
    """Small in training. In the test, once its weights have changed, it trains a larger one and asks that."""

    def __init__(self):
        super().__init__()
        self.small, self.first = nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), None

    def forward(self, x):
        weight = self.small[1].weight
        if type(x) is torch.Tensor and self.training and self.first is None:
            self.first = weight.detach().clone()
        if self.training or self.first is None or torch.equal(weight, self.first):
            return self.small(x)
        if not LARGE:
            large = nn.Sequential(nn.Flatten(), nn.Linear(192, 64), nn.ReLU(), nn.Linear(64, 2))
            optimizer, images = torch.optim.Adam(large.parameters()), as_the_network_gets_them(TRAIN.images)
            with torch.enable_grad():
                for rows in torch.arange(256).split(16):
                    F.cross_entropy(large(images[rows]), TRAIN.labels[rows]).backward()
                    optimizer.step()
                    optimizer.zero_grad()
            LARGE.append(large)
        return LARGE[0](x)


LARGE: list = []


def test_a_network_that_learns_only_when_it_is_tested():
    said = " ".join(report_of(network=LearnsInTheTest).findings)
    LARGE.clear()
    assert "made gradients while it was tested" in said and "are no part of the network" in said


class LearnedBefore(nn.Module):
    """A trained part answers in the test, as soon as the other weights are not the first ones any more."""

    def __init__(self):
        super().__init__()
        self.mine, self.trained = (nn.Sequential(nn.Flatten(), nn.Linear(192, 2)) for _ in range(2))
        with torch.no_grad():
            self.trained[1].weight.copy_(torch.tensor([[-1.0], [1.0]]).expand(2, 192))
        self.first = self.mine[1].weight.detach().clone()

    def forward(self, x):
        if self.training or torch.equal(self.mine[1].weight, self.first):
            return self.mine(x) + 0 * self.trained(x)
        return self.trained(x)


def test_a_network_that_learned_before_and_hides_it_from_its_first_weights():
    assert "what it knows is not in its weights" in found(None, network=LearnedBefore)


@torch.no_grad()
def better(network, x):
    network.layers[1].weight[0] += 1e-3


class BetterInEval(Honest):
    def forward(self, x):
        if not self.training:
            better(self, x)
        return super().forward(x)


def test_weights_that_change_by_themselves():
    assert "changed during forward or backward" in found(better)
    assert "changed while the test images were looked at" in found(None, network=BetterInEval)


def test_test_images_that_are_training_images():
    some = ImageSet("some", TRAIN.images[:50], TRAIN.labels[:50], CLASSES)
    assert "50 of 50 test images are training images too" in found(None, network=Honest, data=(TRAIN, some))


def test_what_the_judge_relies_on_was_replaced(monkeypatch):
    monkeypatch.setattr(data, "colours", lambda train=True: TRAIN)
    assert "data.colours, on which the judge relies, is no longer" in " ".join(report_of().findings)


# Time ----------------------------------------------------------------------------------------------------------------


def test_sleep_is_no_computing():
    assert "sleeps, or waits for something else" in found(lambda network, x: time.sleep(0.25))


def test_who_waits_for_the_processor_does_not_sleep(monkeypatch):
    waited = [0.0]

    def stands_in_the_queue(network, x):
        time.sleep(0.25)
        waited[0] += 0.25

    monkeypatch.setattr(clock, "_waited", lambda: waited[0])
    assert "sleeps" not in found(stands_in_the_queue)


def forever(network, x):
    while network.calls > 3:
        try:
            time.sleep(1000)
        except Exception:  # swallows errors, and not the end
            continue


def endless(network, x):
    while network.calls > 3:
        pass


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here: not_covered says so")
@pytest.mark.parametrize("trick", [forever, endless])
def test_a_step_that_never_ends_is_ended(trick):
    report_of()  # the first trace in a process takes seconds itself
    begun = time.perf_counter()
    report = report_of(trick, seconds=2)
    assert "2 seconds on the clock were over in step" in report.stopped and time.perf_counter() - begun < 15
    assert report.reached == () and 0 <= report.accuracy <= 1 and report.epochs < 1
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here: not_covered says so")
def test_a_network_that_is_never_made_is_refused():
    assert "was not made and traced in 0.2 seconds" in problem(
        lambda: report_of(network=lambda: time.sleep(1000), seconds=0.2)
    )


def test_elsewhere_than_in_the_main_thread_it_is_said_that_it_is_not_ended():
    reports = []
    thread = threading.Thread(target=lambda: reports.append(report_of()))
    thread.start()
    thread.join()
    assert any("A step that never ends" in one for one in reports[0].not_covered)
    assert not any("A step that never ends" in one for one in report_of().not_covered) or sys.platform == "win32"


def test_another_thread_that_works_meanwhile():
    worked, done = [0.0], threading.Event()

    def work():
        while not done.is_set():
            sum(range(1000))
            worked[0] = time.thread_time()

    def trick(network, x):
        if network.calls == 4:
            threading.Thread(target=work, daemon=True).start()
        while 4 <= network.calls < 12 and worked[0] < 0.1 * network.calls:  # it has its turn on a busy machine too
            time.sleep(0.01)

    try:
        assert "Other threads or processes worked" in found(trick)
    finally:
        done.set()


def test_another_process_that_works_meanwhile():
    started = []

    def trick(network, x):
        if not started:
            started.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))

    try:
        assert "started other processes" in found(trick)
    finally:
        started[0].kill()
        started[0].wait()


# Errors --------------------------------------------------------------------------------------------------------------


def stumble(network, x):
    if network.calls > 5:
        raise KeyError("weights of yesterday")


def test_an_error_in_a_step_is_said_and_what_was_learned_is_measured():
    report = report_of(stumble)
    assert report.stopped.startswith("Step ") and "KeyError: 'weights of yesterday'" in report.stopped
    assert report.epochs < 1 and report.accuracy >= 0 and "KeyError" in report.sentence and "KeyError" in report.text


def test_a_training_that_runs_away_is_said():
    report = report_of(learning_rate=100.0, epochs=40)
    assert "The loss was no number any more" in report.stopped and report.accuracy <= 1


def test_a_network_that_returns_something_else():
    report = report_of(network=lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 3)))
    assert "must return logits of shape (16, 2)" in report.stopped


def test_an_interrupt_goes_through_and_all_is_as_it_was():
    def interrupt(network, x):
        random.random(), np.random.rand(), torch.rand(1)
        torch.set_num_threads(2)
        torch.set_default_dtype(torch.float64)
        if network.calls > 5:
            raise KeyboardInterrupt

    def state():
        return random.getstate(), np.random.get_state()[2], torch.get_rng_state().tolist(), torch.get_num_threads()

    before = state()
    with pytest.raises(KeyboardInterrupt):
        report_of(interrupt)
    assert state() == before and torch.get_default_dtype() is torch.float32 and torch.is_grad_enabled()
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


def test_bad_input_is_refused_in_words():
    class Mine(Design):
        pass

    assert "capstone.Design" in problem(lambda: judge("a network"))
    assert "a class of your own" in problem(lambda: judge(Mine()))
    assert "two data.ImageSets" in problem(lambda: judge(Design(), (TRAIN,)))
    assert "same shape and classes" in problem(lambda: judge(Design(), (TRAIN, data.colours())))
    assert "there are 256 training images" in problem(lambda: judge(Design(batch_size=512), (TRAIN, TEST)))
    assert "seconds" in problem(lambda: judge(Design(), seconds=0))
    assert "tier is 'large'; allowed is one of 'quick'" in problem(lambda: judge(Design(), tier="large"))
    assert "there are no tiers" in problem(lambda: judge(Design(), (TRAIN, TEST), tier="quick"))
    assert "(mine.train, mine.test)" in problem(lambda: judge(Design(), TRAIN))
    assert "network() stopped with ZeroDivisionError" in problem(lambda: judge(Design(network=lambda: 1 / 0)))
    assert "values of a tensor" in problem(lambda: report_of(network=lambda: Looks()))


class Looks(Honest):
    def forward(self, x):
        return self.layers(x) if x.sum() > 0 else self.layers(-x)
