"""An error's text with what each of its numbers is: to be read number by number."""

from collections.abc import Mapping
from textwrap import wrap

from helpers.figures.base import ERROR, Picture
from helpers.figures.paper import picture
from helpers.figures.shapes import LINE, Drawing, Shape, Text, box, lines
from helpers.problems import Problem, instance_of, shown

_LIGHT = "#F8DCE2"
_LETTERS, _WIDE, _ROW = 86, 8, 46  # letters on a line, pixels of one, from one line to the next


def read_error(text: str, parts: Mapping[str, str]) -> Picture:
    """The text of an error in a frame, a number at each part that says something, and below it what each one is.

    text: at most 400 letters. parts: {a piece of the text, of one word or more on one line: what it is}, 1 to 6.
    Raises `Problem` for anything else, and for a piece that does not stand in the text.
    """
    return picture(draw(text, parts))


def draw(text: str, parts: Mapping[str, str]) -> Drawing:
    """The text in a frame, numbers below its parts; under the frame a line or more for each number."""
    instance_of("text", text, str, "str(error)")
    held = text
    for part in instance_of("parts", parts, Mapping, '{"784x128": "the weights"}'):
        held = held.replace(str(part), _whole(part))
    rows = wrap(held, _LETTERS)
    if not 1 <= len(text) <= 400 or not rows or not 1 <= len(parts) <= 6:
        raise Problem(f"{len(text)} letters and {len(parts)} parts; allowed are 1 to 400 letters and 1 to 6 parts.")
    shapes: list[Shape] = [box(2, 2, 736, 8 + _ROW * len(rows), edge=ERROR, line=2)]
    feet, numbered = 14 + _ROW * len(rows) + LINE, []
    for number, (part, what) in enumerate(parts.items(), start=1):
        places = [(row, line.index(_whole(part))) for row, line in enumerate(rows) if part and _whole(part) in line]
        if not places:
            raise Problem(f"{shown(part)} does not stand in the text; give a short piece of it, as it is there.")
        row, column = places[0]
        left, top = 16 + _WIDE * column, 12 + _ROW * row
        numbered += [box(left - 2, top, _WIDE * len(part) + 4, 22, fill=_LIGHT)]
        numbered += [Text(left + _WIDE * len(part) / 2, top + 37, str(number), "middle", bold=True, colour=ERROR)]
        words = lines(34, feet, f"{part}: {instance_of(f'parts[{shown(part)}]', what, str, 'words')}", 88)
        shapes += [Text(14, feet, str(number), bold=True, colour=ERROR), *words]
        feet += LINE * len(words) + 4
    numbered += [Text(16, 28 + _ROW * row, line, code=True) for row, line in enumerate(rows)]
    told = "; ".join(f"{part}: {what}" for part, what in parts.items())
    return Drawing(feet, (*shapes, *numbered), f"The error, part by part. {told}.")


def _whole(part: object) -> str:
    """A piece of text that no line ends in."""
    return str(part).replace(" ", "\u00a0")
