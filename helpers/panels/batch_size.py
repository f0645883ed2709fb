"""The panel of lesson 11: which batch size is ahead depends on what is counted."""

from collections.abc import Mapping

import ipywidgets as widgets

from helpers import batch_size
from helpers.figures import batch_size as figures
from helpers.panels.core import Control, Panel, choice


class CurvesPanel(Panel):
    """Training with batches from 1 image to the whole training set: stored runs of five seeds.

    Controls: `axis` ("examples", "steps", "seconds": the same number of them for all), `rule` for the learning rate
    ("fixed", "linear": times B / 64, "sqrt": times its root), `measure` ("loss" on the training set, "accuracy" on the
    test set), `data` ("digits"; "digits, low rate": from a quarter of the learning rate; "colours").
    """

    title = "curves panel"
    height = figures.HEIGHT
    lines = 4
    draw = staticmethod(figures.draw)

    def __init__(self, axis: str = "examples", rule: str = "fixed", measure: str = "loss", data: str = "digits"):
        controls = {
            "axis": choice("Same", batch_size.AXES, width=300),
            "rule": choice("Learning rate", batch_size.RULES, width=300),
            "measure": choice("Measure", batch_size.MEASURES, width=300),
            "data": choice("Data", batch_size.DATA, width=300),
        }
        super().__init__(controls, {"axis": axis, "rule": rule, "measure": measure, "data": data})

    def arrange(self, controls: Mapping[str, Control]) -> list[widgets.Widget]:
        rows = (("axis", "rule"), ("measure", "data"))
        return [widgets.HBox([controls[name].view for name in row]) for row in rows]

    def compute(self, **values: object) -> batch_size.Curves:
        return batch_size.curves(**values)
