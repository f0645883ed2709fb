"""The panel of lesson 11 about gradient noise."""

from helpers import noise
from helpers.figures import noise as figures
from helpers.noise import GradientNoise
from helpers.panels.core import SLOW, Panel, choice, doublings, number

_DIGITS = 1437  # images to train on, with which `noise.samples_at` works


class GradientNoisePanel(Panel):
    """The gradients of 100 batches as a cloud around the full gradient, and how far off they are, against B.

    Controls: `batch_size` (1 to 1437 digits), `moment` in the training of the course's MLP ("at the start", "after 1
    epoch", "after 30 epochs"). One unit in the cloud is the length of the full gradient, so at each moment another one.
    """

    title = "gradient noise"
    height = figures.HEIGHT
    lines = 4
    draw = staticmethod(figures.draw)

    def __init__(self, batch_size: int = 1, moment: str = noise.MOMENTS[0]):
        stops = [*doublings(1, _DIGITS), _DIGITS]
        controls = {
            "batch_size": number("Batch size B", 1, _DIGITS, 1, stops),
            "moment": choice("Moment", noise.MOMENTS),
        }
        super().__init__(controls, {"batch_size": batch_size, "moment": moment})

    def wait(self, moment: str, **values: object) -> float:
        return SLOW if noise.is_slow(moment) else 0.0

    def compute(self, batch_size: int, moment: str) -> GradientNoise:
        return noise.gradient_noise(noise.samples_at(moment), batch_size, moment=moment)
