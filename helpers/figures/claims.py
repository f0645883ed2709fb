"""Claims as a table, with the sign of each verdict, and how many have which."""

from helpers.claims import SIGNS, Row, Table
from helpers.claims.records import plain
from helpers.claims.table import PAGE
from helpers.figures.base import ERROR, Picture
from helpers.figures.paper import picture
from helpers.figures.shapes import Drawing, Shape, Text, box, cell
from helpers.problems import instance_of

_ROW, _TOP, _LEFT = 74, 62, 56  # from one claim to the next, where the first is, where words begin
HEIGHT = _TOP + _ROW * PAGE + 4
#: Pale colours that no memory category has, each beside its sign.
_LOOKS = {
    "holds": {"fill": "#cfe8cf", "edge": "#1d6b2f"},
    "holds if": {"fill": "#f1f4d4", "edge": "#6b6b1d"},
    "imprecise": {"fill": "#e4e0f3", "edge": "#4a3f86"},
    "wrong as said": {"fill": "#fbdde3", "edge": ERROR},
}
_CELL, _IN_A_LINE = 40, 13  # from one claim's name to the next, and how many stand side by side


def claims_picture(table: Table) -> Picture:
    """One page of what `helpers.claims.table` gave, as a picture; `Problem` for anything else."""
    return picture(draw(instance_of("table", table, Table, 'claims.table("07")')))


def verdicts_picture(table: Table) -> Picture:
    """The names of all claims of a table, verdict by verdict, as a picture; `Problem` for anything else."""
    return picture(draw_verdicts(instance_of("table", table, Table, "claims.table()")))


def draw(table: Table) -> Drawing:
    """A row for each claim of the page: statement and lesson, verdict with its condition, and what was measured."""
    shapes: list[Shape] = [Text(4, 18, table.heading, bold=True)]
    for place, (verdict, count) in enumerate(table.counts.items()):
        shapes += cell(4 + 184 * place, 28, 26, 24, SIGNS[verdict], **_LOOKS[verdict])
        shapes.append(Text(36 + 184 * place, 45, f"{verdict}: {count}"))
    shapes.append(box(2, _TOP - 2, 736, _ROW * PAGE + 4, edge="#999", line=1))
    for place, row in enumerate(table.shown):
        shapes += _row(row, _TOP + _ROW * place)
    if not table.rows:
        shapes.append(Text(370, _TOP + _ROW, "No such claim: choose another lesson or verdict.", "middle"))
    return Drawing(HEIGHT, tuple(shapes), table.sentence, " ".join(row.sentence for row in table.shown))


def _row(row: Row, top: float) -> list[Shape]:
    lessons = f"lesson{'s' * (len(row.claim.lessons) > 1)} {', '.join(row.claim.lessons)}"
    colour = "#000" if row.borne else ERROR
    return [
        Text(8, top + 20, row.claim.name, bold=True),
        *cell(8, top + 32, 34, 28, row.sign, 18, bold=True, **_LOOKS[row.measured.verdict]),
        Text(_LEFT, top + 20, f"“{row.claim.brief}”"),
        Text(732, top + 20, lessons, "end", colour="#555"),
        Text(_LEFT, top + 42, plain(row.verdict), bold=True, colour=colour),
        Text(_LEFT, top + 62, plain(row.measured.words), colour="#444"),
    ]


def draw_verdicts(table: Table) -> Drawing:
    """For each verdict its sign, its number and the names of its claims."""
    shapes: list[Shape] = []
    top = 4.0
    for verdict, count in table.counts.items():
        names = [row.claim.name for row in table.rows if row.measured.verdict == verdict]
        shapes += cell(4, top, 30, 26, SIGNS[verdict], 18, bold=True, **_LOOKS[verdict])
        shapes += [Text(42, top + 19, verdict, bold=True), Text(200, top + 19, str(count), "end", bold=True)]
        for place, name in enumerate(names):
            x, y = 214 + _CELL * (place % _IN_A_LINE), top + 32 * (place // _IN_A_LINE)
            shapes += cell(x, y, _CELL - 4, 26, name, **_LOOKS[verdict])
        top += 32 * max(-(-len(names) // _IN_A_LINE), 1) + 8
    counted = ", ".join(f"{count} {verdict}" for verdict, count in table.counts.items())
    return Drawing(top - 6, tuple(shapes), f"{len(table.rows)} claims, by verdict: {counted}.")
