"""Four ways through the course, with the time on the clock: `uv run python -m classroom.paths` writes paths.md.

What a path takes stands in `PATHS`; minutes, names and what it costs to leave something out come from the lessons.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from classroom import outline
from classroom.outline import Lesson, Unit

DOCUMENT = Path(__file__).with_name("paths.md")


@dataclass(frozen=True)
class Take:
    """A lesson of a path: its opening, some of its numbered sections, its summary."""

    lesson: str
    sections: tuple[int, ...] = ()  #: all of them, if none is named
    home: tuple[int, ...] = ()  #: exercises of these sections that are left for home

    @property
    def taken(self) -> list[Unit]:
        """The units that are done in class, in order."""
        return [unit for unit in self.read if not unit.exercise or unit.exercise.number not in self.home]

    @property
    def read(self) -> list[Unit]:
        """Those that are done in class or at home."""
        return [unit for unit in outline.course()[self.lesson].units if self._has(unit)]

    def _has(self, unit: Unit) -> bool:
        number = unit.section.number
        if number is None:
            return unit.section.title in ("Opening", "Summary")
        return not self.sections or number in self.sections

    @property
    def at_home(self) -> list[Unit]:
        """Those that go home."""
        return [unit for unit in self.read if unit not in self.taken]

    @property
    def minutes(self) -> int:
        """Those in class."""
        return sum(unit.minutes for unit in self.taken)


@dataclass(frozen=True)
class Pause:
    """Minutes of a class that no lesson has."""

    minutes: int
    what: str
    is_class_time: bool = True  #: False for a meal, which the budget does not hold


@dataclass(frozen=True)
class Sitting:
    """What happens between the door's opening and its closing."""

    title: str
    start: int  #: minutes after midnight; 0 where every school has its own hour
    minutes: int  #: the budget
    blocks: tuple[Take | Pause, ...]

    @property
    def used(self) -> int:
        """The minutes that its lessons and pauses take, without meals."""
        return sum(block.minutes for block in self.blocks if getattr(block, "is_class_time", True))


@dataclass(frozen=True)
class Course:
    """A path."""

    title: str
    goal: str
    sittings: tuple[Sitting, ...]
    advice: str = ""

    @property
    def takes(self) -> list[Take]:
        """Its lessons, in order."""
        return [block for sitting in self.sittings for block in sitting.blocks if isinstance(block, Take)]

    @property
    def read(self) -> set[Unit]:
        """All units that learners have seen at its end, at home too."""
        return {unit for take in self.takes for unit in take.read}


ARRIVE = Pause(3, "Arrive, open lesson 00; a line with `[problem]` in its section 1 means: pair up")
EXIT = Pause(5, "Each writes one error that they can read now, and one question")
AGAIN = Pause(5, "Open the lesson; two read out what they did at home")
BREAK = Pause(15, "Break")
LUNCH = Pause(60, "Lunch", is_class_time=False)


def weekly(*takes: Take) -> tuple[Sitting, ...]:
    """A sitting of an hour for each lesson."""
    return tuple(Sitting(f"Week {n}", 0, 60, (AGAIN, take)) for n, take in enumerate(takes, 1))


PATHS = (
    Course(
        "90-minute workshop",
        "read a shape error number by number; say what `unsqueeze(0)` and `Flatten` are for",
        (
            Sitting(
                "",
                9 * 60,
                90,
                (
                    ARRIVE,
                    Take("00", (1, 2, 3, 5)),
                    Take("01", (1, 2, 3, 4, 6), home=(2,)),
                    Pause(5, "Break: stand up, look out of the window"),
                    Take("05", (2, 3)),
                    EXIT,
                ),
            ),
        ),
        "It follows one error, `1792x28 and 784x128`, from its first sight in lesson 00 to its repair in lesson 05.",
    ),
    Course(
        "Half day",
        "add the batch axis, write a training loop, build an MLP, and say what Adam costs in memory",
        (
            Sitting(
                "",
                9 * 60,
                210,
                (
                    ARRIVE,
                    Take("00"),
                    Take("01", (1, 2, 3, 4, 6)),
                    Pause(10, "Break"),
                    Take("02", (1, 3, 4), home=(2,)),
                    Take("05", (1, 2, 3, 4, 5), home=(2,)),
                    Pause(10, "Break"),
                    Take("07", (1, 2, 3, 4, 6), home=(3,)),
                    EXIT,
                ),
            ),
        ),
        "From a single image to the memory of a training step. Order of axes and strides are left out.",
    ),
    Course(
        "Two-day course",
        "do all that the half day does; prepare and show images; find silent bugs; fit a training into a GPU; "
        "hand in a capstone",
        (
            Sitting(
                "Day 1",
                9 * 60,
                360,
                (
                    ARRIVE,
                    Take("00"),
                    Take("01"),
                    BREAK,
                    Take("02"),
                    LUNCH,
                    Take("03"),
                    BREAK,
                    Take("05"),
                    Pause(10, "Break"),
                    Take("06", (1, 2, 3)),
                    EXIT,
                ),
            ),
            Sitting(
                "Day 2",
                9 * 60,
                360,
                (
                    AGAIN,
                    Take("07"),
                    BREAK,
                    Take("08"),
                    Pause(10, "Break"),
                    Take("09"),
                    LUNCH,
                    Take("11", (1, 2, 3), home=(2,)),
                    BREAK,
                    Take("12"),
                    Take("13"),
                    EXIT,
                ),
            ),
        ),
        "Lessons 04 and 10 are left out. Take 04 in place of 06 if your learners write preprocessing, 10 in place of "
        "11 if they train on several GPUs, with its first exercise at home; both fit.",
    ),
    Course(
        "Term",
        "do all that the course has, and hand in a capstone",
        weekly(
            Take("00"),
            Take("01"),
            Take("02", home=(4,)),
            Take("03"),
            Take("04"),
            Take("05"),
            Take("06", home=(4,)),
            Take("07", home=(3,)),
            Take("08", home=(3,)),
            Take("09", home=(2,)),
            Take("10", home=(1,)),
            Take("11", home=(1,)),
            Take("12", home=(3,)),
            Take("13"),
        ),
        "One lesson a week. Week 1 has time for installing, week 14 for looking at the pages that were handed in.",
    ),
)


# The document ---------------------------------------------------------------------------------------------------------


def clock(minutes: int) -> str:
    """`09:05` for 545."""
    return f"{minutes // 60:02}:{minutes % 60:02}"


def shown_minutes(minutes: int) -> str:
    """Minutes in a table: what rounds to none is not nothing."""
    return str(minutes) if minutes else "under 1"


def exercises(units: list[Unit]) -> str:
    """`1 (3 min), 2 (5 min)`."""
    return ", ".join(f"{unit.exercise.number} ({unit.minutes} min)" for unit in units if unit.exercise)


def rows(sitting: Sitting) -> Iterator[tuple[int, int, str, str]]:
    """Of each line of a sitting's table: when it begins, its minutes, what, which exercises."""
    now = sitting.start
    for block in sitting.blocks:
        if isinstance(block, Pause):
            yield now, block.minutes, f"*{block.what}*", ""
            now += block.minutes
            continue
        lesson = outline.course()[block.lesson]
        for section in lesson.sections:
            units = [unit for unit in block.taken if unit.section is section]
            if units:
                spent = sum(unit.minutes for unit in units)
                what = f"[{section.title}]({lesson.link(section)})"
                title = f"**{lesson.number} · {lesson.title}**, [opening]({lesson.link()})"
                yield now, spent, title if section.title == "Opening" else what, exercises(units)
                now += spent


def timetable(sitting: Sitting) -> Iterator[str]:
    """One table: what happens when."""
    if sitting.title:
        yield f"**{sitting.title}**\n"
    yield "| clock | min | lesson and section | exercises in class |"
    yield "|---|---|---|---|"
    end = sitting.start
    for begin, spent, what, tasks in rows(sitting):
        yield f"| {clock(begin)} | {shown_minutes(spent)} | {what} | {tasks} |"
        end = begin + spent
    left = sitting.minutes - sitting.used
    yield f"| {clock(end)} | {left} | *Time left: where a discussion was too good to stop* | |\n"


def weeks(path: Course) -> Iterator[str]:
    """One table for sittings that hold one lesson each."""
    yield "| week | clock | lesson | min | exercises in class | exercises at home |"
    yield "|---|---|---|---|---|---|"
    for sitting in path.sittings:
        pause, take = sitting.blocks
        lesson = outline.course()[take.lesson]
        begin, end = (f"{minutes // 60}:{minutes % 60:02}" for minutes in (pause.minutes, sitting.used))
        link = f"[{lesson.number} · {lesson.title}]({lesson.link()})"
        tasks = f"{exercises(take.taken)} | {exercises(take.at_home)}"
        yield f"| {sitting.title[5:]} | {begin} to {end} | {link} | {take.minutes} | {tasks} |"
    yield f"\nEach week begins with 5 minutes: *{AGAIN.what.lower()}*. What is left of the 60 is for questions.\n"


def left_out(path: Course) -> list[tuple[Lesson, list[Unit]]]:
    """The lessons with the numbered sections that a path leaves out, without exercises that go home."""
    seen, found = path.read, []
    for lesson in outline.course().values():
        missing = [unit for unit in lesson.units if outline.is_body(unit) and unit not in seen]
        if missing:
            found.append((lesson, missing))
    return found


def words_of(units: list[Unit]) -> dict[str, tuple[Unit, ...]]:
    """The words that these units explain, with the later sections and exercises that use them."""
    return {word: outline.word_uses()[word] for word, home in outline.word_homes().items() if home in units}


def missing_words(path: Course) -> dict[str, list[Unit]]:
    """The words that a path uses and does not explain, with where it uses them."""
    seen = path.read
    found = {}
    for word, home in outline.word_homes().items():
        where = [unit for unit in outline.word_uses()[word] if unit in seen]
        if where and home not in seen:
            found[word] = where
    return found


def places(units: list[Unit], lesson: str = "") -> str:
    """`02 §4, 05 §6, 08`: sections of one lesson behind each other."""
    by_lesson: dict[str, set[int]] = {}
    for unit in units:
        by_lesson.setdefault(unit.lesson, set()).add(unit.section.number)
    return "; ".join(f"{number} §{', '.join(map(str, sorted(found)))}" for number, found in by_lesson.items())


def costs(path: Course) -> Iterator[str]:
    """What a path leaves out, and who needs it later."""
    yield "| left out | min | what your learners miss | later lessons that build on it |"
    yield "|---|---|---|---|"
    for lesson, units in left_out(path):
        whole = all(unit in units for unit in lesson.units if outline.is_body(unit))
        groups = [units] if whole else [[u for u in units if u.section is s] for s in lesson.sections]
        for group in filter(None, groups):
            section = group[0].section
            name = f"[{lesson.number} · {lesson.title}]({lesson.link()})"
            if not whole:
                name = f"{lesson.number}, [{section.title}]({lesson.link(section)})"
            words = words_of(list(lesson.units) if whole else lesson.of(section))
            used = {word: uses for word, uses in words.items() if any(unit.lesson != lesson.number for unit in uses)}
            later = {unit.lesson for uses in used.values() for unit in uses}
            later |= {unit.lesson for unit in after(lesson) if whole and lesson.number in outline.mentions(unit)}
            minutes = shown_minutes(sum(unit.minutes for unit in group))
            build_on_it = ", ".join(sorted(later - {lesson.number})) or "none"
            yield f"| {name} | {minutes} | {missed(group, list(used))} | {build_on_it} |"
    yield ""


def after(lesson: Lesson) -> list[Unit]:
    """The numbered sections and their exercises of all later lessons."""
    later = [other for number, other in outline.course().items() if number > lesson.number]
    return [unit for other in later for unit in other.units if outline.is_body(unit)]


def missed(units: list[Unit], words: list[str]) -> str:
    """In a table's cell: the words that later lessons use, the claims, the exercises."""
    claims = sorted({name for unit in units for name in outline.claims(unit)})
    tasks = [unit.exercise.task.source.split("\n")[0].split(" · ")[1] for unit in units if unit.exercise]
    parts = [f"words: {', '.join(words)}"] if words else []
    parts += [f"claim{'s' * (len(claims) > 1)}: {', '.join(claims)}"] if claims else []
    parts += [f"exercise{'s' * (len(tasks) > 1)}: {', '.join(tasks)}"] if tasks else []
    return "; ".join(parts) or "no word that is used later, no claim, no exercise"


def bridges(path: Course) -> Iterator[str]:
    """What the teacher must say, since the section that says it is left out."""
    missing = missing_words(path)
    if not missing:
        yield "Every word is explained within the path before it is used.\n"
        return
    yield "**Say these words yourself.** They are used, and the section that explains them is left out:\n"
    for word, where in missing.items():
        home = outline.word_homes()[word]
        lesson = outline.course()[home.lesson]
        sentence = outline.explained(word).rstrip(":")
        there = f"[{home.lesson} §{home.section.number}]({lesson.link(home.section)})"
        yield f"- {sentence} ({there}; used in {places(where)})"
    yield ""


def overview() -> Iterator[str]:
    """All paths in one table."""
    yield "| path | class time | in lessons | pauses | left | lessons |"
    yield "|---|---|---|---|---|---|"
    for path in PATHS:
        budget = sum(sitting.minutes for sitting in path.sittings)
        lessons = sum(take.minutes for take in path.takes)
        pauses = sum(sitting.used for sitting in path.sittings) - lessons
        sizes = [sitting.minutes for sitting in path.sittings]
        each = f"{len(sizes)} x {sizes[0]} min" if len(sizes) > 1 else f"{budget} min"
        names = ", ".join(take.lesson for take in path.takes)
        link = f"[{path.title}](#{path.title.lower().replace(' ', '-')})"
        yield f"| {link} | {each} | {lessons} min | {pauses} min | {budget - lessons - pauses} min | {names} |"
    yield ""


def document() -> str:
    """All of paths.md."""
    total = sum(lesson.minutes for lesson in outline.course().values())
    lines = [
        "# Paths through the course",
        "",
        f"All fourteen lessons take {total} minutes. Take what fits your class:",
        "",
        *overview(),
        "**How minutes are counted.** By one rule for all lessons, from words, lines of code, questions, panels and "
        "exercises (`helpers.authoring.lessons.minutes`). It was found where beginners worked through lessons; no "
        "class has been timed yet. If yours is slower, send the last exercise of a lesson home.",
        "",
        "**How a shortened lesson works.** Learners open the whole lesson. You name the sections; they go to the "
        "heading in JupyterLab's table of contents (menu *View*, *Table of Contents*). The opening and the summary are "
        "always read. The cells of the sections below run without those that are left out, and say the same as in the "
        "whole lesson: they were run. Sections headed *For the curious* belong to no path: they are for who is quick.",
        "",
        "**Before the day**: everybody has run `uv run course` once, at home or over a fast line (several GB), and "
        "seen `[ok]` in every line of `uv run course --check`. What to ask and to draw stands in [guide.md](guide.md).",
        "",
        "This page is generated: `uv run python -m classroom.paths`. Do not edit it.",
        "",
    ]
    for path in PATHS:
        lines += [f"## {path.title}", "", f"Afterwards they can {path.goal}. {path.advice}".strip(), ""]
        if path.title == "Term":
            lines += weeks(path)
        else:
            lines += [line for sitting in path.sittings for line in timetable(sitting)]
        sent = [f"lesson {take.lesson}, exercise {exercises(take.at_home)}" for take in path.takes if take.at_home]
        if sent and path.title != "Term":
            lines += [f"**For home**, from sections that were done: {'; '.join(sent)}.", ""]
        if left_out(path):
            lines += ["**Left out, and what it costs later:**", "", *costs(path)]
        else:
            lines += ["Nothing is left out but the sections *For the curious*.", ""]
        lines += bridges(path)
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    """Write paths.md; return the exit code."""
    DOCUMENT.write_text(document(), encoding="utf-8", newline="\n")
    print(f"{DOCUMENT.name} is written.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
