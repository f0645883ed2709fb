"""The panel of lesson 09: which batch fits on which GPU, and which lever would help most."""

from collections.abc import Mapping

import ipywidgets as widgets

from helpers import will_it_fit
from helpers.figures import will_it_fit as figures
from helpers.memory import GPUS
from helpers.panels.core import SLOW, Control, Panel, choice, number
from helpers.will_it_fit import WillItFit


class WillItFitPanel(Panel):
    """The largest batch on a simulated GPU, where the peak is, and the largest batch with one lever more.

    Controls: `gpu` (a name from `helpers.memory.GPUS`), `model` ("ResNet-18", "wide MLP": 784 numbers in and three
    hidden layers of 4096, "digits MLP": one of 256, "colours CNN": three convolutions with 32 filters), `optimizer`
    ("adam", "adam fused", "momentum", "sgd"), `precision` ("fp32", "bf16", "fp16"), `micro_batches` (1 to 8 for one
    step), `checkpoint` ("off", "on"). 512 MiB are left for the CUDA context.
    """

    title = "will it fit"
    height = figures.HEIGHT
    lines = 4
    draw = staticmethod(figures.draw)

    def __init__(
        self,
        gpu: str = "RTX 3070",
        model: str = "ResNet-18",
        optimizer: str = "adam",
        precision: str = "fp32",
        micro_batches: int = 1,
        checkpoint: str = "off",
    ):
        controls = {
            "gpu": choice("GPU", tuple(GPUS), width=240),
            "model": choice("Model", tuple(will_it_fit.SAMPLE_SHAPES), width=240),
            "optimizer": choice("Optimizer", tuple(will_it_fit.OPTIMIZERS), width=240),
            "precision": choice("Precision", will_it_fit.PRECISIONS, width=240),
            "checkpoint": choice("Checkpointing", will_it_fit.CHECKPOINTS, width=240),
            "micro_batches": number("Micro-batches", *will_it_fit.MICRO_BATCHES, 1),
        }
        start = {"gpu": gpu, "model": model, "optimizer": optimizer, "precision": precision}
        super().__init__(controls, start | {"micro_batches": micro_batches, "checkpoint": checkpoint})

    def arrange(self, controls: Mapping[str, Control]) -> list[widgets.Widget]:
        rows = (("gpu", "model", "optimizer"), ("precision", "checkpoint"))
        return [*(widgets.HBox([controls[name].view for name in row]) for row in rows), controls["micro_batches"].view]

    def wait(self, **values: object) -> float:
        return SLOW if will_it_fit.is_slow(**values) else 0.0

    def compute(self, **values: object) -> WillItFit:
        return will_it_fit.will_it_fit(**values)
