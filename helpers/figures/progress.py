"""A learner's exercises, lesson by lesson: which pass, as saved or as run just now."""

from helpers.figures.base import ERROR
from helpers.figures.shapes import GREY, Drawing, Shape, Text, box, cell
from helpers.progress import Mark, Overview, Row

_TOP, _ROW, _ROWS = 48, 30, 13
_LEFT, _CELL = 330, 62  # where the first exercise stands, and from one to the next
HEIGHT = _TOP + _ROW * _ROWS + 6
#: Each state has a sign as well: colour never stands alone.
_LOOKS = {
    "passed": ("✓", {"fill": "#cfe8cf", "edge": "#1d6b2f"}),
    "not yet": ("✗", {"fill": "#fbdde3", "edge": ERROR}),
    "answered": ("…", {"fill": "#f1f4d4", "edge": "#6b6b1d"}),
    "not begun": ("", {"fill": "#fff", "edge": GREY}),
}
_LEGEND = {"passed": "passes", "not yet": "not yet", "answered": "begun, not checked", "not begun": "not begun"}


def draw(overview: Overview) -> Drawing:
    """A row for each lesson, a box for each exercise, and how many of them pass."""
    shapes: list[Shape] = []
    for (state, words), x in zip(_LEGEND.items(), (4, 152, 304, 528), strict=True):
        sign, look = _LOOKS[state]
        shapes += [*cell(x, 6, 28, 24, sign, bold=True, **look), Text(x + 36, 23, words)]
    for place, row in enumerate(overview.rows[:_ROWS]):
        shapes += _row(row, _TOP + _ROW * place)
    return Drawing(HEIGHT, tuple(shapes), overview.sentence, " ".join(map(_in_words, overview.rows)))


def _row(row: Row, top: float) -> list[Shape]:
    colour = "#000" if row.there else GREY
    title = f"{row.lesson}  {row.title}"
    shapes: list[Shape] = [box(2, top - 2, 736, _ROW, fill="#eef6fb", edge="#0072B2")] if row.is_run else []
    shapes.append(Text(8, top + 18, title if len(title) <= 36 else f"{title[:35]}…", bold=row.is_run, colour=colour))
    for place, mark in enumerate(row.marks[:5] if row.there else ()):
        sign, look = _LOOKS.get(mark.state, ("!", _LOOKS["not yet"][1]))
        shapes += cell(_LEFT + _CELL * place, top + 1, _CELL - 8, 24, f"{mark.number} {sign}".strip(), **look)
    words = f"{'now: ' * row.is_run}{row.passed} of {len(row.marks)}" if row.there else "no copy"
    shapes.append(Text(732, top + 18, words, "end", bold=row.is_run, colour=ERROR if row.damage else colour))
    return shapes


def _in_words(row: Row) -> str:
    if not row.there:
        return f"Lesson {row.lesson}: no copy."
    return f"Lesson {row.lesson}: {', '.join(map(_mark_in_words, row.marks))}."


def _mark_in_words(mark: Mark) -> str:
    return f"{mark.name} {_LEGEND.get(mark.state, mark.state)}"
