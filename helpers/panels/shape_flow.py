"""The shape flow panel of lesson 05."""

from helpers import data
from helpers.figures import shape_flow as figures
from helpers.panels.core import LARGEST_B, Panel, choice, number, wide
from helpers.problems import one_of
from helpers.shape_flow import ShapeFlow, shape_flow


class ShapeFlowPanel(Panel):
    """Follow a batch through Flatten, Linear, ReLU, Linear: shapes, parameters, and the error of a wrong in_features.

    Controls: `dataset` ("digits" or "colours"), `batch_size` (1 to `LARGEST_B`), `hidden` (1 to 512), `in_features` (1
    to 4096). in_features starts with the value that fits; it stays when the data set changes, as it does in code.
    """

    title = "shape flow panel"
    height = figures.HEIGHT
    draw = staticmethod(figures.draw)

    def __init__(
        self, dataset: str = "digits", batch_size: int = 64, hidden: int = 128, in_features: int | None = None
    ):
        sets = {"digits": data.digits(), "colours": data.colours()}
        self._sets = {name: images.images[:LARGEST_B].float() / 255 for name, images in sets.items()}
        controls = {
            "dataset": choice("Data set", tuple(self._sets)),
            "batch_size": number("Batch size B", 1, LARGEST_B, 64),
            "hidden": number("Hidden size", 1, 512, 128),
            "in_features": number("in_features of the first Linear", 1, 4096, 784),
        }
        for control in controls.values():  # one column of labels, wide enough for the longest
            box = control.value
            box.style.description_width, box.layout.width = wide(205), wide(400 if box is control.view else 295)
        start = {"dataset": dataset, "batch_size": batch_size, "hidden": hidden}
        if in_features is None:
            in_features = self._sets[one_of("dataset", dataset, tuple(self._sets))][0].numel()
        super().__init__(controls, start | {"in_features": in_features})

    def compute(self, dataset: str, batch_size: int, hidden: int, in_features: int) -> ShapeFlow:
        return shape_flow(self._sets[dataset][:batch_size], in_features, hidden)
