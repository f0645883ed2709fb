"""Sizes in bytes as bars, one under the other."""

from collections.abc import Mapping

from helpers.figures.base import COLOURS, Picture
from helpers.figures.paper import picture
from helpers.figures.shapes import Drawing, Shape, Text, box
from helpers.problems import Problem, instance_of, whole_number
from helpers.units import readable

_ROW, _LEFT, _LONGEST = 32, 250, 370  # from one bar to the next, where they begin, the longest


def bars(sizes: Mapping[str, int], sentence: str) -> Picture:
    """One to ten sizes in bytes as bars on one scale, each with its name and its size, and the sentence they show.

    Raises `Problem` for anything else, and for sizes that are all 0.
    """
    return picture(draw(sizes, sentence))


def draw(sizes: Mapping[str, int], sentence: str) -> Drawing:
    """A row for each size: its name on the left, its bar, and behind it how many bytes."""
    instance_of("sizes", sizes, Mapping, '{"one photograph": 921_600}')
    instance_of("sentence", sentence, str, '"Four times as many bytes."')
    counted = {str(name): whole_number(f"the size of {name!s:.40}", size, 0) for name, size in sizes.items()}
    if not 1 <= len(counted) <= 10 or not any(counted.values()):
        raise Problem(f"{len(counted)} sizes; give 1 to 10, of which one is above 0.")
    if long := [name for name in counted if not 0 < len(name) <= 28]:
        raise Problem(f"the name {long[0][:50]!r} has {len(long[0])} letters; allowed are 1 to 28.")
    shapes: list[Shape] = []
    for row, (name, size) in enumerate(counted.items()):
        feet, wide = 24 + _ROW * row, max(_LONGEST * size / max(counted.values()), 1.5)
        shapes += [Text(_LEFT - 10, feet, name, "end"), box(_LEFT, feet - 17, wide, 24, fill=COLOURS["batch"])]
        shapes.append(Text(_LEFT + wide + 8, feet, readable(size), bold=True))
    return Drawing(8 + _ROW * len(counted), tuple(shapes), sentence)
