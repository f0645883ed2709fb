"""The panel of lesson 12: a design, its traced peak, and which tiers have room for it."""

from collections.abc import Mapping

import ipywidgets as widgets

from helpers import capstone
from helpers.capstone import Design, Preview
from helpers.capstone.design import BOUNDS, PRECISIONS
from helpers.figures import capstone as figures
from helpers.memory.step import OPTIMIZERS
from helpers.panels.core import Control, Panel, choice, number

MICRO_BATCHES = (1, 64)  #: from and to
_POWERS = [2**n for n in range(13)]


def _switch(label: str) -> Control:
    """Off and on, which from code may be False and True."""
    words = choice(label, ("off", "on"), width=240)
    return Control(
        words.view,
        words.value,
        lambda name, given: words.check(name, ("off", "on")[given] if isinstance(given, bool) else given),
    )


class DesignPanel(Panel):
    """The peak of a design, traced and not trained, beside the memory that each tier of the capstone allows.

    Controls: `width` (filters of each convolution, 1 to 256), `depth` (convolutions, 1 to 5), `batch_size` (1 to
    4096), `micro_batches` (1 to 64, a number that divides the batch), `optimizer` ("sgd", "momentum", "adam",
    "adamw"), `precision` ("fp32", "bf16"), `checkpointing` ("off", "on"; False and True, as in a Design, will do).
    """

    title = "design panel"
    height = figures.HEIGHT
    lines = 4
    draw = staticmethod(figures.draw)

    def __init__(
        self,
        width: int = Design.width,
        depth: int = Design.depth,
        batch_size: int = Design.batch_size,
        micro_batches: int = Design.micro_batches,
        optimizer: str = Design.optimizer,
        precision: str = Design.precision,
        checkpointing: str | bool = "off",
    ):
        controls = {
            "width": number("Width", *BOUNDS["width"], Design.width, _POWERS[:9]),
            "depth": number("Depth", *BOUNDS["depth"], Design.depth),
            "batch_size": number("Batch size B", *BOUNDS["batch_size"], Design.batch_size, _POWERS),
            "micro_batches": number("Micro-batches", *MICRO_BATCHES, Design.micro_batches, _POWERS[:7]),
            "optimizer": choice("Optimizer", tuple(OPTIMIZERS), width=240),
            "precision": choice("Precision", PRECISIONS, width=240),
            "checkpointing": _switch("Checkpointing"),
        }
        start = {"width": width, "depth": depth, "batch_size": batch_size, "micro_batches": micro_batches}
        start |= {"optimizer": optimizer, "precision": precision, "checkpointing": checkpointing}
        super().__init__(controls, start)

    def arrange(self, controls: Mapping[str, Control]) -> list[widgets.Widget]:
        sliders = [controls[name].view for name in ("width", "depth", "batch_size", "micro_batches")]
        lists = [controls[name].view for name in ("optimizer", "precision", "checkpointing")]
        return [*sliders, widgets.HBox(lists)]

    def compute(self, checkpointing: str, **values: object) -> Preview:
        return capstone.preview(Design(checkpointing=checkpointing == "on", **values))
