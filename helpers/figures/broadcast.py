"""Two shapes lined up from the right, as broadcasting compares them: which sizes meet, stretch, or do not fit."""

from collections.abc import Mapping

from helpers.figures.base import ERROR, Picture
from helpers.figures.paper import picture
from helpers.figures.shapes import Drawing, Shape, Text, cell
from helpers.problems import Problem, instance_of, shown, whole_numbers

_WIDE, _STEP, _RIGHT = 92, 100, 730  # of a size, from one to the next, and where the last one ends


def broadcast_picture(shapes: Mapping[str, tuple[int, ...]]) -> Picture:
    """Two named shapes of up to five sizes, lined up from the right, and what broadcasting makes of them.

    shapes: {name: shape}, exactly two. A size that is stretched, or that is missing and counts as 1, is grey with a
    dashed edge. Raises `Problem` for anything else.
    """
    return picture(draw(shapes))


def draw(shapes: Mapping[str, tuple[int, ...]]) -> Drawing:
    """A row of boxes for each shape, and below each pair the size of the result, or that the two do not fit."""
    wanted = '{"batch": (64, 3, 32, 32), "mean": (3,)}'
    if len(instance_of("shapes", shapes, Mapping, wanted)) != 2:
        raise Problem(f"shapes holds {len(shapes)} shapes; give two, as in {wanted}.")
    for name in shapes:
        if not 1 <= len(instance_of("the name of a shape", name, str, '"mean"')) <= 12:
            raise Problem(f"the name of a shape is {shown(name)}; give 1 to 12 letters.")
    sizes = [whole_numbers(f"shapes[{name!r}]", shape, 1, "1 to 5 sizes, as in (3,)", range(1, 6))
             for name, shape in shapes.items()]  # fmt: skip
    axes = max(map(len, sizes))
    full = [(1,) * (axes - len(shape)) + shape for shape in sizes]
    drawn: list[Shape] = [
        Text(10, y, name, bold=True) for y, name in zip((32, 82, 142), (*shapes, "result"), strict=True)
    ]
    result: list[int | None] = []
    for place, (one, other) in enumerate(zip(*full, strict=True)):
        left, fits = _RIGHT - _WIDE - _STEP * (axes - 1 - place), one == other or 1 in (one, other)
        result.append(max(one, other) if fits else None)
        for y, size, partner, shape in ((10, one, other, sizes[0]), (60, other, one, sizes[1])):
            missing = place < axes - len(shape)
            drawn += _size(left, y, "(1)" if missing else f"{size:,}", missing or size == 1 != partner, fits)
        drawn += _size(left, 120, f"{max(one, other):,}" if fits else "✗", False, fits)
    return Drawing(166, tuple(drawn), _sentence(list(shapes), sizes, result))


def _size(left: float, y: float, words: str, dashed: bool, fits: bool) -> list[Shape]:
    look = {"edge": "#333", "fill": "#fff"} if fits else {"edge": ERROR, "line": 3}
    look |= {"fill": "#e8e8e8"} if dashed and fits else {}
    return cell(left, y, _WIDE, 32, words, bold=True, ink="#000" if fits else ERROR, dashed=dashed, **look)


def _sentence(names: list[str], sizes: list[tuple[int, ...]], result: list[int | None]) -> str:
    given = f"{names[0]} {sizes[0]} and {names[1]} {sizes[1]}, lined up from the right"
    given += "; (1) stands for a missing axis" if len(sizes[0]) != len(sizes[1]) else ""
    if None not in result:
        return f"{given}: what is grey is stretched, and the result is {tuple(result)}."
    axis = -1 - result[::-1].index(None)
    first, second = (shape[axis] for shape in sizes)
    where = "the last axis" if axis == -1 else f"axis {axis}"
    return f"{given}: {first} meets {second} in {where}. They differ and neither is 1, so PyTorch refuses."
