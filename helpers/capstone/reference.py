"""The default design on the same images, a few steps at a time: the measure of time."""

import torch

from helpers.capstone.clock import Stopwatch
from helpers.capstone.design import Design, build
from helpers.capstone.loop import Training
from helpers.capstone.task import Task

_BURST = 3  # steps in a row
_PIXELS = 64 * 32 * 32  # in one step, at most: large images come in smaller batches


class Reference:
    """Steps of the default design, timed; they learn next to nothing, so that they stay the same."""

    def __init__(self, task: Task):
        height, width = task.sample_shape[1:]
        size = min(max(_PIXELS // (height * width), 1), Design().batch_size)
        design = Design(
            learning_rate=1e-6, batch_size=size, depth=min(Design().depth, min(height, width).bit_length() - 1)
        )
        network = build(design, task.sample_shape, task.classes)
        self._training = Training(network, design, task.train, task.labels, task.classes)
        self._rows = torch.arange(min(size, len(task.train)))
        self._images = len(task.train)
        for _ in range(_BURST):  # the first steps are slower
            self._training.step(self._rows)
        self.watch, self._steps = Stopwatch(), 0
        self.burst()

    def burst(self) -> None:
        """A few steps more, timed."""
        for _ in range(_BURST):
            with self.watch.running():
                self._training.step(self._rows)
        self._steps += _BURST

    def epoch(self, quickest: bool) -> float:
        """Seconds of processor time that one epoch takes: by the quickest step, or by the mean of all."""
        step = self.watch.least if quickest else self.watch.thread / self._steps
        return step * self._images / len(self._rows)
