"""Lines in axes: one number against another, and how much a batch gains."""

from collections.abc import Mapping
from math import isfinite
from numbers import Real

from matplotlib.axes import Axes
from matplotlib.colors import is_color_like
from matplotlib.ticker import FuncFormatter, NullLocator

from helpers.figures.base import POINT, SIZE, Picture, figure
from helpers.problems import Problem, instance_of, one_of, shown

_LOOKS = (("o", "-", "#0072B2"), ("s", "--", "#D55E00"), ("^", "-.", "#009E73"), ("D", ":", "#CC79A7"))
LETTERS = {"fontsize": SIZE * POINT}  #: for whatever is written in axes
_EXAMPLE = '{"MLP": {1: 1.0, 64: 20.0}}'
Curves = Mapping[str, Mapping[float, float]]


def curves(
    lines: Curves,
    x: str,
    y: str,
    sentence: str,
    log: str = "",
    marks: Mapping[str, float] | None = None,
    colours: Mapping[str, str] | None = None,
) -> Picture:
    """One to four named lines in axes with names, and the sentence that says what they show.

    lines: {name: {x: y}}, numbers that are finite. log: the axes that double from mark to mark: "", "x", "y" or "xy";
    numbers there are above 0. marks: {words: x}, a dashed line with its words at each x. colours: {name: colour} of
    lines that are a memory category, see `COLOURS`. Raises `Problem` for anything else.
    """
    one_of("log", log, ("", "x", "y", "xy"))
    marks = instance_of("marks", {} if marks is None else marks, Mapping, '{"crossover": 9}')
    for name, words in {"x": x, "y": y, "sentence": sentence}.items():
        instance_of(name, words, str, '"batch size B"')
    for name, line in _lines(lines).items():
        for place, value in line.items():
            _number(f"an x of {shown(name)}", place, "x" in log)
            _number(f"the y of {shown(name)} at x = {place}", value, "y" in log)
    for words, place in marks.items():
        _number(f"the mark {shown(words)}", place, "x" in log)
    colours = instance_of("colours", {} if colours is None else colours, Mapping, '{"batch": "#56B4E9"}')
    for name, colour in colours.items():
        if name not in lines or not is_color_like(colour):
            raise Problem(f"the colour of {shown(name)} is {shown(colour)}; give names of lines, colours as #56B4E9.")
    axis = _axes(lines, x, y, log, colours)
    if "x" in log:
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    for words, place in marks.items():
        axis.axvline(place, color="#333333", linewidth=1, linestyle=(0, (4, 3)))
        where = {"xy": (place, 1), "xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
        axis.annotate(str(words), xytext=(4, -4), va="top", **where, **LETTERS)
    return Picture(lambda: axis.figure, sentence)


def speed_up(ratios: Curves, where: str = "on this machine") -> Picture:
    """Samples per second against batch size, each line as a ratio to its own batch size 1.

    ratios: {name of the model: {batch size: ratio}}, one to four models; both axes logarithmic, a dashed line for "no
    gain at all". where: what measured it, as the sentence says it. Raises `Problem` for anything else.
    """
    instance_of("where", where, str, '"on this machine"')
    for name, line in _lines(ratios).items():
        for size, ratio in line.items():
            if not isinstance(size, int) or size < 1:
                raise Problem(f"a batch size of {shown(name)} is {shown(size)}; give a whole number, 1 or more.")
            _number(f"the ratio of {shown(name)} at B = {size}", ratio, True)
    axis = _axes(ratios, "batch size B", "samples per second,\nas a ratio to B = 1", "xy", {})
    axis.axhline(1, color="#666666", linewidth=1, linestyle=(0, (1, 2)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} x"))
    ends = "; ".join(f"{name}: {line[max(line)]:,.1f} times at B = {max(line):,}" for name, line in ratios.items())
    return Picture(lambda: axis.figure, f"Samples per second as a ratio to B = 1, measured {where}. {ends}.")


def empty_axes(height: float, x: str, y: str = "") -> Axes:
    """Axes with these names, as large as a figure of `height` pixels has room for."""
    sheet = figure(height)
    sheet.set_layout_engine("constrained")
    axis = sheet.subplots()
    axis.tick_params(labelsize=LETTERS["fontsize"])
    axis.set_xlabel(x, **LETTERS)
    axis.set_ylabel(y, **LETTERS)
    return axis


def can_be_drawn(value: object) -> bool:
    """Whether it is a number that has a place on an axis."""
    return isinstance(value, Real) and isfinite(value)


def _lines(lines: Curves) -> Curves:
    instance_of("the lines", lines, Mapping, _EXAMPLE)
    if not 1 <= len(lines) <= len(_LOOKS):
        raise Problem(f"{len(lines)} lines; allowed are 1 to {len(_LOOKS)}. Draw more in a second picture.")
    for name, line in lines.items():
        if not isinstance(line, Mapping) or not line:
            raise Problem(f"the line {shown(name)} is {shown(line)}; give {{x: y}} with at least one point.")
    return lines


def _number(name: str, value: object, above_0: bool) -> None:
    if not can_be_drawn(value) or above_0 and value <= 0:
        raise Problem(f"{name} is {shown(value)}; give a number{' above 0' if above_0 else ''}.")


def _axes(lines: Curves, x: str, y: str, log: str, colours: Mapping[str, str]) -> Axes:
    axis = empty_axes(340, x, y)
    for (name, line), (marker, style, colour) in zip(lines.items(), _LOOKS, strict=False):
        look = {"marker": marker, "linestyle": style, "color": colours.get(name, colour)}
        axis.plot(list(line), list(line.values()), label=str(name), **look)
    places = sorted({place for line in lines.values() for place in line})
    if "x" in log:
        axis.set_xscale("log", base=2)
    if len(places) <= 8:
        axis.set_xticks(places, [f"{place:,}" for place in places])
    if "y" in log:
        axis.set_yscale("log", base=2)
        axis.yaxis.set_major_formatter(
            FuncFormatter(lambda value, _: f"{value:,g}" if value >= 0.1 else f"{value:.2g}")
        )
    for one in (axis.xaxis, axis.yaxis):
        one.set_minor_locator(NullLocator())
    if len(lines) > 1:
        axis.legend(frameon=False, **LETTERS)
    return axis
