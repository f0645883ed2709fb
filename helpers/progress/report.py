"""Results as a table for a terminal, and as a file for a spreadsheet."""

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from helpers.progress.run import Result
from helpers.progress.tasks import Lesson

COLUMNS = ("who", "lesson", "number", "exercise", "state", "passed", "message", "file")
_WIDEST_NAME = 24
_MOST_LINES = 3  # that what is said of a copy may take in the table


def plain(words: object) -> str:
    """Words on one line, without what would steer a terminal or turn the order of letters around."""
    text = " ".join(str(words).split())
    return "".join(letter for letter in text if unicodedata.category(letter)[0] != "C" or letter == "\u200d")


def width(words: str) -> int:
    """The columns that words take in a terminal: two for a wide letter, none for an accent of its own."""
    return sum(
        0 if unicodedata.combining(letter) or letter == "\u200d" else 1 + (unicodedata.east_asian_width(letter) in "WF")
        for letter in words
    )


def fitted(words: str, room: int) -> str:
    """Words in exactly so many columns: cut with a sign, or filled with blanks."""
    if width(words) > room:
        while width(words) > room - 1:
            words = words[:-1]
        words += "…"
    return words + " " * (room - width(words))


def wrapped(words: str, room: int) -> list[str]:
    """Words in lines of so many columns, at least one and at most `_MOST_LINES`: the last is cut with a sign."""
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if width(longer) <= room or not lines[-1] or len(lines) == _MOST_LINES:
            lines[-1] = longer
        else:
            lines.append(word)
    return [fitted(line, room) for line in lines]


def table(copies: Sequence[Sequence[Result]], columns: int) -> str:
    """Up to three lines for each copy: whose, which lesson, how many exercises pass, and what is said of the rest.

    Of the first that does not pass there is the message, of the others the name. columns: how wide the terminal is.
    """
    rows = [_row(results) for results in copies]
    twice = {pair for pair, count in Counter((row[0], row[1]) for row in rows).items() if count > 1}
    for row, results in zip(rows, copies, strict=True):
        if (row[0], row[1]) in twice:
            row[0] = plain(f"{row[0]}: {results[0].copy.path.name}")
    rows.sort(key=lambda row: (row[0].casefold(), row[1]))
    head = ["who", "lesson", "passed", "what does not pass"]
    name = min(max(width(row[0]) for row in [head, *rows]), _WIDEST_NAME)
    rooms = [name, 6, 7, max(columns - name - 6 - 7 - 6, 20)]
    lines = []
    for *begins, words in [head, *rows]:
        for part in wrapped(words, rooms[-1]):
            lines.append("  ".join(fitted(one, room) for one, room in zip([*begins, part], rooms, strict=True)))
            begins = [""] * len(begins)
    return "\n".join(line.rstrip() for line in [lines[0], "-" * min(columns, sum(rooms) + 6), *lines[1:]])


def _row(results: Sequence[Result]) -> list[str]:
    copy = results[0].copy
    who, lesson = plain(copy.who), copy.lesson or "?"
    if not results[0].exercise:
        return [who, lesson, "-", f"{results[0].state}: {plain(results[0].message)}"]
    passed = sum(result.passed for result in results)
    rest = [result for result in results if not result.passed]
    rest.sort(key=lambda result: result.state == "not begun")
    words = f"{rest[0].exercise} {rest[0].state}{': ' * bool(rest[0].message)}{plain(rest[0].message)}" if rest else ""
    if others := ", ".join(f"{one.exercise} {one.state}" for one in rest[1:]):
        words = f"{words.removesuffix('.')}; also {others}"
    return [who, lesson, f"{passed} of {len(results)}", words]


def counts(copies: Iterable[Sequence[Result]], lessons: dict[str, Lesson]) -> str:
    """For each exercise how many copies pass: what a class found hard."""
    results = [result for one in copies for result in one if result.exercise]
    lines = []
    for number, lesson in lessons.items():
        for task in lesson.tasks:
            own = [result for result in results if (result.copy.lesson, result.exercise) == (number, task.name)]
            if own:
                begun = sum(result.state != "not begun" for result in own)
                passed = sum(result.passed for result in own)
                lines.append(f"{number}  {task.number} {task.name:18}  {passed} of {len(own)} pass, {begun} begun")
    return "\n".join(lines)


def as_csv(copies: Iterable[Sequence[Result]], folder: Path) -> str:
    """One line for each exercise of each copy, with `COLUMNS`, safe to open in a spreadsheet."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    found = [result for results in copies for result in results]
    for one in sorted(
        found, key=lambda one: (one.copy.who.casefold(), one.copy.lesson, str(one.copy.path), one.number)
    ):
        passed = ("yes" if one.passed else "no") if one.exercise else ""
        path = one.copy.path.relative_to(folder) if one.copy.path.is_relative_to(folder) else one.copy.path
        values = (one.copy.who, one.copy.lesson, one.number or "", one.exercise, one.state, passed, one.message,
                  path.as_posix())  # fmt: skip
        writer.writerow([_cell(value) for value in values])
    return stream.getvalue()


def _cell(value: object) -> str:
    """A value that no spreadsheet takes for a formula: an apostrophe stands before what begins like one."""
    text = plain(str(value).encode("utf-8", "replace").decode())
    return f"'{text}" if re.match(r"[=+\-@|%\t\r＝＋－＠]", text) else text
