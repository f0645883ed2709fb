"""Time of a design does not depend on what else the computer does."""

import subprocess
import sys
import time

import pytest

from helpers.capstone import Design, judge
from helpers.capstone.clock import TELLS_SHORT_TIMES, Stopwatch

#: Works as the training of somebody else would, until it is ended.
BUSY = """
import torch
torch.set_num_threads(1)
model = torch.nn.Sequential(*(torch.nn.Conv2d(3, 3, 3, padding=1) for _ in range(9)))
print(flush=True)
while True:
    model(torch.rand(16, 3, 64, 64)).sum().backward()
"""


def works(seconds: float) -> None:
    begun = time.thread_time()
    while time.thread_time() - begun < seconds:
        pass


def test_a_stopwatch_adds_up_and_knows_the_shortest_of_the_whole_stretches():
    watch = Stopwatch()
    for seconds, whole in ((0.04, True), (0.02, True), (0.005, False)):
        with watch.running(whole):
            works(seconds)
    assert watch.thread == pytest.approx(0.065, abs=0.015)
    assert watch.least == pytest.approx(0.02, abs=0.01) and watch.least >= 0.02


@pytest.mark.skipif(not TELLS_SHORT_TIMES, reason="this system counts a thread's time in ticks")
def test_a_busy_computer_makes_no_design_slower():
    """By the mean of its steps, this one took up to 1.6 times as long beside four others on two cores."""
    design = Design(width=14, depth=1, batch_size=8, optimizer="adam", learning_rate=2e-3, epochs=2)
    alone = judge(design).time
    others = [subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE) for _ in range(4)]
    try:
        for other in others:
            other.stdout.readline()
        assert judge(design).time == pytest.approx(alone, rel=0.2)
    finally:
        for other in others:
            other.kill()
            other.communicate()
