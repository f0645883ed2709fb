"""The shape flow panel of lesson 03."""

import html

from helpers import data, figures
from helpers.figures import COLOURS, Picture
from helpers.panels.core import Panel, choice, number
from helpers.shape_flow import ShapeFlow, shape_flow


class ShapeFlowPanel(Panel):
    """Follow a batch through Flatten, Linear, ReLU, Linear: shapes, parameters, and the error of a wrong in_features.

    Controls: `dataset` ("digits" or "colours"), `batch_size` (1 to 256), `hidden` (1 to 512), `in_features` (1 to
    4096). in_features starts with the value that fits; it stays when the data set changes, as it does in code.
    """

    title = "shape flow panel"
    height = 290

    def __init__(
        self, dataset: str = "digits", batch_size: int = 64, hidden: int = 128, in_features: int | None = None
    ):
        sets = {"digits": data.digits(), "colours": data.colours()}
        self._sets = {name: images.images[:256].float() / 255 for name, images in sets.items()}
        controls = {
            "dataset": choice("Data set", tuple(self._sets)),
            "batch_size": number("Batch size B", 1, 256, 64),
            "hidden": number("Hidden size", 1, 512, 128),
            "in_features": number("in_features of the first Linear", 1, 4096, 784),
        }
        for control in controls.values():  # one column of labels, wide enough for the longest
            box = control.value
            box.style.description_width, box.layout.width = "205px", "400px" if box is control.view else "295px"
        start = {"dataset": dataset, "batch_size": batch_size, "hidden": hidden}
        if in_features is None:
            in_features = self._sets[dataset][0].numel() if dataset in self._sets else 784
        super().__init__(controls, start | {"in_features": in_features})

    def compute(self, dataset: str, batch_size: int, hidden: int, in_features: int) -> ShapeFlow:
        return shape_flow(self._sets[dataset][:batch_size], in_features, hidden)

    def say(self, record: ShapeFlow) -> str:
        return record.sentence

    def picture(self, record: ShapeFlow) -> Picture:
        return figures.shape_flow_picture(record)

    def draw(self, record: ShapeFlow) -> str:
        boxes = [_box("batch", "", _shape(record.input_shape), "")]
        for place, stage in enumerate(record.stages):
            learned = f"{stage.parameters:,}" if stage.parameters else "no"
            if stage.shape is not None:
                boxes.append(_box(stage.name, stage.sizes, _shape(stage.shape), learned))
            elif place == record.failed:
                boxes.append(_box(stage.name, stage.sizes, "<b>✗ error</b>", learned, f"3px solid {_RED}"))
            else:
                boxes.append(_box(stage.name, stage.sizes, "<i>not reached</i>", learned, "2px dashed #767676"))
        arrow = '<span style="width:17px;text-align:center;font-size:16px">→</span>'
        edge = _RED if record.error else "transparent"
        words = html.escape(record.error or "")
        return (
            f'<div style="display:flex;align-items:center;width:740px;height:136px">{arrow.join(boxes)}</div>'
            f'<div style="height:58px">'
            f'<span style="background:{COLOURS["batch"]};color:#000;padding:0 6px">B</span> is the batch size: '
            f"in every shape, in no parameter.<br><b>{record.size}</b></div>"
            f'<div style="height:74px;border-left:4px solid {edge};padding-left:8px">'
            f'<code style="font-size:14px;white-space:normal">{words}</code></div>'
        )


_RED = COLOURS["activations"]


def _box(name: str, sizes: str, shape: str, learned: str, edge: str = "2px solid #333") -> str:
    lines = (f"<b>{name}</b>", sizes, shape, learned, "parameters" if learned else "")
    rows = "".join(f'<div style="height:23px;white-space:nowrap">{line}</div>' for line in lines)
    look = f"width:134px;height:125px;box-sizing:border-box;border:{edge};background:#fff;color:#000"
    return f'<div style="{look};text-align:center;font-size:14px;line-height:23px;overflow:hidden">{rows}</div>'


def _shape(shape: tuple[int, ...]) -> str:
    """A shape as Python writes it, with the batch axis in its colour."""
    rest = "".join(f", {size}" for size in shape[1:])
    return f'(<span style="background:{COLOURS["batch"]};padding:0 3px"><b>{shape[0]}</b></span>{rest})'
