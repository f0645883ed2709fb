"""The panel of lesson 10: a global batch over several ranks, and what lies on each."""

from collections.abc import Mapping

import ipywidgets as widgets

from helpers import split
from helpers.figures import split as figures
from helpers.panels.core import SLOW, Control, Panel, choice, doublings, number


class SplitPanel(Panel):
    """Split the batch: what lies on each rank in one training step with Adam, as stacks, beside one process alone.

    Controls: `model` ("digits MLP", "ResNet-18"), `sharding` ("DDP", "ZeRO-1", "FSDP"), `global_batch` (1 to 8192),
    `ranks` (1 to 8), `steps` of accumulation on each rank (1 to 16). Below a stack stands its largest micro-batch.
    """

    title = "split panel"
    height = figures.HEIGHT
    lines = 5
    draw = staticmethod(figures.draw)

    def __init__(
        self, model: str = "digits MLP", sharding: str = "DDP", global_batch: int = 64, ranks: int = 2, steps: int = 1
    ):
        controls = {
            "model": choice("Model", split.MODELS, width=300),
            "sharding": choice("Sharding", split.SHARDINGS, width=300),
            "global_batch": number("Global batch", 1, split.LARGEST_B, 64, doublings(1, split.LARGEST_B)),
            "ranks": number("Ranks", 1, split.MOST_RANKS, 2),
            "steps": number("Steps", 1, split.MOST_STEPS, 1),
        }
        start = {"model": model, "sharding": sharding, "global_batch": global_batch, "ranks": ranks, "steps": steps}
        super().__init__(controls, start)

    def arrange(self, controls: Mapping[str, Control]) -> list[widgets.Widget]:
        chosen = [controls[name].view for name in ("model", "sharding")]
        return [widgets.HBox(chosen), *(controls[name].view for name in ("global_batch", "ranks", "steps"))]

    def wait(self, model: str, **values: object) -> float:
        return SLOW if split.is_slow(model) else 0.0

    def compute(self, **values: object) -> split.Split:
        return split.split(**values)
