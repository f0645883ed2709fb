"""What a drawing consists of. `helpers.figures.svg` and `helpers.figures.paper` draw the same shapes, each in its way.

Places and sizes are pixels, x from the left and y from the top, in a sheet that is `WIDTH` wide.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from textwrap import wrap

import numpy as np

from helpers.figures.base import COLOURS, HATCHES, SIZE

Points = tuple[tuple[float, float], ...]
GREY = "#767676"  # as light as a line or a word on white may be
LINE = 20  # from one line of text to the next
NCHW = ("batch B", "channels C", "height H", "width W")  # names for `shape_boxes`


@dataclass(frozen=True)
class Text:
    """Words on one line. (x, y) is where they start, end or have their middle, at the height of the letters' feet."""

    x: float
    y: float
    words: str
    anchor: str = "start"  #: "start", "middle", "end"
    bold: bool = False
    colour: str = "#000"
    size: int = SIZE
    code: bool = False  #: letters of one width
    halo: bool = False  #: a white edge, to be read on any colour


@dataclass(frozen=True)
class Area:
    """A filled polygon. A hatch is one of Matplotlib's names of line patterns, see `HATCHES`."""

    corners: Points
    fill: str = "#fff"
    hatch: str = ""
    edge: str = ""  #: a colour; none without one
    line: float = 1.5  #: the edge's width
    dashed: bool = False


@dataclass(frozen=True)
class Line:
    """A line from point to point."""

    points: Points
    colour: str = "#000"
    line: float = 1
    dashed: bool = False


@dataclass(frozen=True)
class Marker:
    """A small mark: "circle" or "diamond" around (x, y), "down" for an arrow whose tip is there."""

    x: float
    y: float
    kind: str


@dataclass(frozen=True, eq=False)
class Pixels:
    """Values (H, W, 3) uint8. Draw the same object again, and a live panel need not look at them again."""

    values: np.ndarray


@dataclass(frozen=True)
class Image:
    """Pixels, stretched over a box. `outline`: corners of the part that is seen; all without one."""

    x: float
    y: float
    width: float
    height: float
    pixels: Pixels
    outline: Points = ()


def is_larger(image: Image) -> bool:
    """Whether an image is drawn larger than life; then its pixels are to be seen as they are."""
    return image.width > image.pixels.values.shape[1]


Shape = Text | Area | Line | Marker | Image


@dataclass(frozen=True)
class Drawing:
    """Shapes on a sheet, each above those before it, and what they show in words."""

    height: float
    shapes: tuple[Shape, ...]
    sentence: str
    detail: str = ""  #: more of it in words, for who does not see it
    ahead: tuple[Image, ...] = ()  #: not drawn, but soon needed: a live panel gets them already now


def rectangle(x: float, y: float, width: float, height: float) -> Points:
    """The corners of a rectangle, from the upper left one on."""
    return (x, y), (x + width, y), (x + width, y + height), (x, y + height)


def box(x: float, y: float, width: float, height: float, **look: object) -> Area:
    """A rectangle as an `Area`."""
    return Area(rectangle(x, y, width, height), **look)


def cell(
    x: float,
    y: float,
    width: float,
    height: float,
    words: object,
    size: int = SIZE,
    bold: bool = False,
    ink: str = "#000",
    **look: object,
) -> list[Shape]:
    """A rectangle and a word in its middle, in letters of this size and colour; look: as for `box`."""
    feet = y + ceil(height / 2 + size / 4 + 2)
    word = Text(x + width / 2, feet, str(words), "middle", bold=bold, colour=ink, size=size)
    return [box(x, y, width, height, **look), word]


def legend(x: float, y: float, words: str, **look: object) -> list[Shape]:
    """A small rectangle, and on its right what its look means; look: as for `box`."""
    return [box(x, y, 18, 14, **look), Text(x + 24, y + 12, words)]


def category(name: str) -> dict[str, str]:
    """Colour and hatch of a memory category, as arguments of `Area`."""
    return {"fill": COLOURS[name], "hatch": HATCHES[name]}


def stacked(x: float, y: float, height: float, sizes: Mapping[str, float]) -> Iterator[Area]:
    """Boxes of memory categories side by side; sizes: the width of each, by its category."""
    for name, wide in sizes.items():
        yield box(x, y, wide, height, **category(name))
        x += wide


def lines(x: float, y: float, words: str, letters: int, **look: object) -> list[Text]:
    """Words on as many lines as they need, of at most so many letters each."""
    return [Text(x, y + LINE * row, line, **look) for row, line in enumerate(wrap(words, letters))]


def shape_boxes(x: float, y: float, sizes: Sequence[int], names: Sequence[str], width: float = 82) -> Iterator[Shape]:
    """The sizes of a shape in boxes 30 high, each with the name of its axis below; a batch axis has its colour."""
    for place, (size, name) in enumerate(zip(sizes, names, strict=True)):
        left, fill = x + (width + 4) * place, COLOURS["batch"] if name == NCHW[0] else "#fff"
        yield from cell(left, y, width, 30, size, 20, bold=True, fill=fill, edge="#333")
        yield Text(left + width / 2, y + 48, name if width > 65 else name.split()[-1], "middle")
