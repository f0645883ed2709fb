"""The other hand: draws the same shapes with Matplotlib, for a picture that needs no kernel and no browser."""

from functools import partial, singledispatch

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from matplotlib.patheffects import withStroke

from helpers.figures.base import POINT, WIDTH, Picture, figure
from helpers.figures.shapes import Area, Drawing, Image, Line, Marker, Text, is_larger

_SIDES = {"start": "left", "middle": "center", "end": "right"}
_MARKERS = {"circle": ("o", 10), "diamond": ("D", 13), "down": (((0, 0), (-6, 10), (6, 10)), 20)}


def picture(drawing: Drawing) -> Picture:
    """The drawing as a Matplotlib figure, with its sentence."""
    return Picture(partial(_sheet, drawing), drawing.sentence)


def _sheet(drawing: Drawing) -> Figure:
    sheet = figure(drawing.height)
    axis = sheet.add_axes((0, 0, 1, 1))
    axis.axis("off")
    axis.set(xlim=(0, WIDTH), ylim=(drawing.height, 0), autoscale_on=False)
    for place, shape in enumerate(drawing.shapes):
        _draw(shape, axis, place)
    return sheet


@singledispatch
def _draw(shape: object, axis: Axes, place: int) -> None:
    raise TypeError(f"no way to draw a {type(shape).__name__}")


@_draw.register
def _(text: Text, axis: Axes, place: int) -> None:
    axis.text(
        text.x, text.y, text.words, fontsize=text.size * POINT, color=text.colour, zorder=place,
        ha=_SIDES[text.anchor], va="baseline", weight="bold" if text.bold else "normal", parse_math=False,
        family="monospace" if text.code else "sans-serif",
        path_effects=[withStroke(linewidth=5 * POINT, foreground="white")] if text.halo else [],
    )  # fmt: skip


@_draw.register
def _(area: Area, axis: Axes, place: int) -> None:
    edge, width = (area.edge, area.line * POINT) if area.edge else ((0, 0, 0, 0.5), 0)  # then of the hatch alone
    style = "--" if area.dashed else "-"
    look = {"facecolor": area.fill, "hatch": area.hatch, "edgecolor": edge, "linewidth": width, "linestyle": style}
    axis.add_patch(Polygon(area.corners, zorder=place, **look))


@_draw.register
def _(line: Line, axis: Axes, place: int) -> None:
    style = "--" if line.dashed else "-"
    axis.plot(*zip(*line.points, strict=True), style, color=line.colour, linewidth=line.line * POINT, zorder=place)


@_draw.register
def _(marker: Marker, axis: Axes, place: int) -> None:
    kind, size = _MARKERS[marker.kind]
    axis.plot(marker.x, marker.y, "k", marker=kind, markersize=size * POINT, markeredgecolor="white", zorder=place)


@_draw.register
def _(image: Image, axis: Axes, place: int) -> None:
    sides = (image.x, image.x + image.width, image.y + image.height, image.y)
    smooth = "nearest" if is_larger(image) else "antialiased"
    drawn = axis.imshow(image.pixels.values, extent=sides, aspect="auto", interpolation=smooth, zorder=place)
    if image.outline:
        drawn.set_clip_path(Polygon(image.outline, transform=axis.transData))
