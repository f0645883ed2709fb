"""An error's text, part by part."""

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from tools import refused

from helpers import figures

TEXT = (
    "CUDA out of memory. Tried to allocate 1.75 GiB. GPU 0 has a total capacity of 15.50 GiB of which 1.00 GiB is left."
)
PARTS = {"1.75 GiB": "what was asked for", "15.50 GiB": "the whole GPU", "1.00 GiB": "what nobody has"}


def test_each_part_of_an_error_stands_in_its_frame():
    picture = figures.read_error(TEXT, PARTS)
    picture.figure.set_dpi(figures.DPI)  # letters have whole pixels
    renderer = FigureCanvasAgg(picture.figure).get_renderer()
    (axis,) = picture.figure.axes
    line = next(text for text in axis.texts if "1.75\u00a0GiB" in text.get_text() and "Tried" in text.get_text())
    before, end = line.get_text().index("1.75\u00a0GiB"), len(line.get_text())
    extent = line.get_window_extent(renderer)
    letter = extent.width / end
    frame = axis.patches[1].get_window_extent(renderer)
    assert frame.x0 == pytest.approx(extent.x0 + letter * before, abs=4)
    assert frame.x1 == pytest.approx(extent.x0 + letter * (before + 8), abs=4)
    assert "15.50 GiB: the whole GPU" in picture.sentence


@pytest.mark.parametrize(
    "text, parts",
    [("", PARTS), (3, PARTS), (TEXT, {}), (TEXT, None), (TEXT, {"2.00 GiB": "not there"}), (TEXT, {"": "nothing"}),
     (TEXT, {"1.75 GiB": 3}), ("x" * 401, {"x": "much"}), (TEXT, {str(n): "many" for n in range(7)})],
)  # fmt: skip
def test_errors_that_cannot_be_read_are_refused(text, parts):
    refused(lambda: figures.read_error(text, parts))
