"""What every picture of the course shares: colours, hatches, one width, one size of letters."""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from IPython.display import display
from matplotlib.figure import Figure

#: Okabe-Ito, one meaning a colour in the whole course. Always beside a word, never colour alone.
COLOURS = {
    "parameters": "#0072B2",
    "gradients": "#009E73",
    "optimizer state": "#E69F00",
    "activations": "#D55E00",
    "batch": "#56B4E9",
    "workspace": "#CC79A7",
    "buffers": "#F0E442",
    "temporaries": "#999999",
}
#: Errors and "not yet": none of the above, and dark enough for white, light enough for a dark notebook.
ERROR = "#C4002D"
#: The second mark of a memory category, for who cannot tell the colours apart: Matplotlib's names of line patterns.
HATCHES = {
    "parameters": "",
    "buffers": "--",
    "gradients": "//",
    "optimizer state": "\\\\",
    "activations": "..",
    "batch": "||",
    "temporaries": "xx",
    "workspace": "oo",
}
WIDTH = 740  # pixels, of every picture and every panel: nothing jumps from one to the next
SIZE = 14  # pixels, of the letters: as large as the notebook's own text
DPI = 90
POINT = 72 / DPI  # pixels in Matplotlib's unit of letters and lines: 14 pixels are 14 * POINT


@dataclass(frozen=True)
class Picture:
    """A Matplotlib figure and the sentence that says what it shows; a notebook shows both.

    The figure is drawn when it is needed, and kept only if somebody asks for it: a notebook keeps each cell's result,
    and a figure takes about 1 MiB.
    """

    draw: Callable[[], Figure]
    sentence: str

    @cached_property
    def figure(self) -> Figure:
        return self.draw()

    def png(self) -> bytes:
        """The figure as PNG bytes, always with the same size on screen."""
        buffer = io.BytesIO()
        figure = self.__dict__.get("figure") or self.draw()  # the one that was asked for may have been changed
        figure.savefig(buffer, format="png", dpi=DPI, facecolor="white")
        return buffer.getvalue()

    def _ipython_display_(self) -> None:
        display({"image/png": self.png(), "text/plain": f"<picture: {self.sentence}>"}, raw=True)
        as_it_is = re.sub(r"([\\`*_\[\]<>#|~$])", r"\\\1", self.sentence)  # in Markdown, 1*60 + 2*20 loses its stars
        display({"text/markdown": f"*{as_it_is}*", "text/plain": self.sentence}, raw=True)


def figure(height: float) -> Figure:
    """An empty figure as wide as all others, `height` pixels high."""
    return Figure(figsize=(WIDTH / DPI, height / DPI))
