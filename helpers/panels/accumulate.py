"""The panel of lesson 09 about gradient accumulation."""

from helpers import accumulate
from helpers.accumulate import Accumulated
from helpers.figures import accumulate as figures
from helpers.panels.core import Panel, choice, number


class AccumulatePanel(Panel):
    """The gradients of k micro-batches, added up, against that of the whole batch of 64 digits; and its mistakes.

    Controls: `micro_batch` (1 to 64 images in each), `scale` (what is done to each loss: "divided by k", "weighted by
    its size", "as it is"), `network` ("without BatchNorm", "with BatchNorm").
    """

    title = "accumulation"
    height = figures.HEIGHT
    draw = staticmethod(figures.draw)

    def __init__(self, micro_batch: int = 16, scale: str = "divided by k", network: str = "without BatchNorm"):
        controls = {
            "micro_batch": number("Micro-batch", 1, accumulate.BATCH, 16),
            "scale": choice("Each loss", accumulate.SCALES),
            "network": choice("Network", accumulate.NETWORKS),
        }
        super().__init__(controls, {"micro_batch": micro_batch, "scale": scale, "network": network})

    def compute(self, **values: object) -> Accumulated:
        return accumulate.accumulate(**values)
