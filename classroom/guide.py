"""The teacher's guide: `uv run python -m classroom.guide` writes guide.md and the drawings in boards/.

Everything comes from the lessons, their checks and `classroom.notes`. What a check says is what it said just now.
"""

import ast
import html
import inspect
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from classroom import boards, outline
from classroom.notes import DISCUSSIONS, MISTAKES
from classroom.outline import Lesson
from classroom.paths import exercises, places, shown_minutes
from helpers import capstone, check
from helpers.authoring import lessons
from helpers.check.core import Exercise, Question

DOCUMENT = Path(__file__).with_name("guide.md")
BOARDS = Path(__file__).with_name("boards")
LETTERS = 76  # of a wrong answer that is shown beside its message

#: What fails, and what a teacher does then. `tests/classroom/test_guide.py` tries it.
REMEDIES = {
    "the projector": (
        "Draw the board of the lesson. Learners have the same lesson open: call out the heading. Panels are moved"
        " from code, so say the line, such as `panel.set(batch_size=64)`, and all see the same in "
        "`panel.picture()`, with a sentence below it."
    ),
    "all screens": (
        "Print, or show from any browser, what the lessons said when they were stored: `uv run jupyter nbconvert "
        "--config classroom/html_config.py notebooks/01_batch_dimension.ipynb` puts one file with all outputs and "
        "pictures into `work/html/`. Ask the Predict questions, show of hands, then read the output."
    ),
    "the network": (
        "Nothing in a lesson needs it once `uv run course` has installed everything. The digits, the photographs "
        "and the colour patches are in the packages. Links in claims are only text then."
    ),
    "one laptop": (
        "Pair up: one types, the other says what to type; change after each exercise. The lesson of the broken "
        "one is a file, `work/01_batch_dimension.ipynb`: take it along on a stick, and open it from the `work` "
        "folder of the other."
    ),
    "half of the laptops": ("Pairs for all. Let one predict and the other explain, then change."),
    "an installation": (
        "`uv run course --check` names the line with a `[problem]`, and below it what to do. Pair up until the break."
    ),
    "a panel shows only text or a picture": (
        "Run its cell once. If it stays: the next cell moves it from code and shows the picture; go on with that,"
        " and start again with `uv run course` in the break."
    ),
    "a kernel hangs": ("Menu *Kernel*, *Restart Kernel and Run up to Selected Cell*."),
    "a lesson is spoilt": ("`uv run course --fresh 01` puts a new one beside it. Nothing is overwritten."),
    "no processes can be started (lesson 10)": (
        "The lesson says so, and shows stored results. With the environment variable `COURSE_PROCESSES` set to "
        "`stored` it does so from the start, which is quicker too."
    ),
    "you run late": (
        "The last exercise of a lesson goes home, then *For the curious*. Keep *Read this error* where you can: it is "
        "what they will need first."
    ),
}


# What the lessons say -------------------------------------------------------------------------------------------------


def flat(text: str) -> str:
    """Markdown on one line."""
    return " ".join(text.split())


def plain(text: str) -> str:
    """Text as it is, in Markdown."""
    return re.sub(r"([\\`*_\[\]<>#|~$])", r"\\\1", text)


def listed(text: str, heading: str) -> list[str]:
    """The list behind a bold heading."""
    return [flat(item) for item in re.findall(r"^- (.+)", text.split(heading)[1].split("\n\n**")[0], re.MULTILINE)]


def predictions(section: lessons.Section) -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
    """Each question of a section: what is asked, the right option, the wrong ones with what is wrong about them."""
    for cell in lessons.markdown_cells(section):
        if "**Predict.**" not in cell.source:
            continue
        asked, folds = cell.source.split("**Predict.**")[1].split("<details>", 1)
        options = re.findall(r"<summary>(.+?)</summary>\s+(Yes|No)\b[.,:]?\s*(.*?)\s*</details>", folds, re.DOTALL)
        (right,) = [html.unescape(words) for words, verdict, _ in options if verdict == "Yes"]
        wrong = [(html.unescape(words), flat(why)) for words, verdict, why in options if verdict == "No"]
        yield flat(asked), right, wrong


def contents(section: lessons.Section) -> str:
    """What a teacher wants to know of a section ahead: questions, panels, errors on purpose."""
    code = "\n".join(cell.source for cell in lessons.code_cells(section))
    asked = sum(1 for _ in predictions(section))
    parts = [f"{asked} question{'s' * (asked > 1)}"] if asked else []
    parts += ["panel: " + ", ".join(f"`{line}`" for line in re.findall(r"^\w+\.set\(.*\)$", code, re.MULTILINE))]
    errors = re.findall(r"Read this error(?:, |: )?(.*)", section.title + "\n" + lessons.prose(section))
    names = [name for name in dict.fromkeys(errors) if name]
    if errors:
        parts.append("error" + (f": {'; '.join(names)}" if names else ""))
    return "; ".join(part for part in parts if part != "panel: ")


# What the checks say --------------------------------------------------------------------------------------------------


def answers(one: lessons.Exercise) -> list[tuple[str, str]]:
    """Wrong answers to an exercise, as code where it is short, and what its check says to each; every message once."""
    judge = getattr(check, one.name)
    if one.name in MISTAKES:
        return [(code, plain(cut(judge(built(one, code)).message))) for code in MISTAKES[one.name]]
    codes, found = written(judge), {}
    for place, (message, slip) in enumerate(judge.each_slip()):
        if message in found:
            continue
        code = repr(slip) if isinstance(judge, Question) else codes.get(place, "")
        said = judge(slip if isinstance(judge, Question) else where_it_runs(judge, slip)).message
        case = short(said.removeprefix(message).strip())
        found[message] = code, f"{plain(message)}{f' `{case}`' if case else ''}"
    return list(found.values())


def built(one: lessons.Exercise, code: str) -> object:
    """What a learner has who puts this code in the place of the dots."""
    space = {"math": math, "torch": torch, "nn": nn, "capstone": capstone}
    exec(re.sub(r"\.\.\.(.*)", lambda _: code, one.stub.source, count=1), space)
    return space[one.name]


def where_it_runs(judge: Exercise, slip: object) -> object:
    """The slip, and the right answer where it raises: an axis that fits by accident."""

    def answer(*arguments: object) -> object:
        try:
            return slip(*arguments)
        except (RuntimeError, ValueError, ZeroDivisionError):
            return judge.right(*arguments)

    return answer


def written(judge: Exercise) -> dict[int, str]:
    """The code of the slips, by their place in `each_slip`: of those that are short and use no private name."""
    if not isinstance(judge, Exercise):
        return {}
    source = inspect.getsource(sys.modules[judge.right.__module__])
    (function,) = [
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and node.name == judge.name and node.decorator_list
    ]
    slips = [word.value for word in function.decorator_list[0].keywords if word.arg == "slips"]
    values = [value for table in slips for value in table.values]
    values = [one for value in values for one in (value.elts if isinstance(value, ast.List) else [value])]
    if len(values) != len(list(judge.each_slip())):  # some are made by a function
        return {}
    bodies = {n: one.body for n, one in enumerate(values) if isinstance(one, ast.Lambda)}
    codes = {n: flat(ast.get_source_segment(source, body)) for n, body in bodies.items()}
    codes = {n: re.sub(r"(?<=[(\[]) | (?=[)\]])", "", code) for n, code in codes.items()}
    return {n: code for n, code in codes.items() if len(code) <= LETTERS and not re.search(r"\b_\w|\.right\b", code)}


def short(case: str) -> str:
    """What the check adds to its message: the call, what came, what was expected; as far as it says something here."""
    if "shape and dtype are right" in case:
        return ""
    called, answer = re.fullmatch(r"(.*?\))((?:: | returned).*)|", case, re.DOTALL).groups("")
    return cut(re.sub(r"\(.*(?:tensor|array|model|list|function).*\)", "(…)", called) + answer)


def cut(message: str) -> str:
    """Without what differs from machine to machine or version to version: digits, and the name of a product."""
    return re.sub(r"(\d\.\d\d)\d+", r"\1…", message).replace("addmm: mat1", "mat1")


# The document ---------------------------------------------------------------------------------------------------------


def slug(heading: str) -> str:
    """The name that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def heading(lesson: Lesson) -> str:
    """That of a lesson's part of the guide."""
    return f"Lesson {lesson.number}: {lesson.title}"


def table(lesson: Lesson) -> Iterator[str]:
    """Minutes and contents of each section."""
    yield "| section | min | what it holds | exercises |"
    yield "|---|---|---|---|"
    for section in lesson.sections:
        units = lesson.of(section)
        spent = shown_minutes(sum(unit.minutes for unit in units))
        what = f"[{section.title}]({lesson.link(section)}) | {spent} | {contents(section)}"
        yield f"| {what} | {exercises(units)} |"
    yield ""


def part(lesson: Lesson) -> Iterator[str]:
    """The guide to one lesson."""
    notebook = lessons.read(lesson.path)
    about = notebook.cells[3].source
    (before,) = re.findall(r"^\*\*Before you start\*\*: (.+)", about, re.MULTILINE)
    yield f"## {heading(lesson)}\n"
    facts = f"{lesson.minutes} minutes · before it: {before.rstrip('.')}"
    yield f"[Open the lesson]({lesson.link()}) · {facts} · [contents](#contents)\n"
    yield "**Afterwards they can**\n"
    yield from (f"- {item}" for item in listed(about, "**You will be able to**"))
    yield f"\n**It opens with**: {flat(notebook.cells[0].source.split(chr(10), 1)[1])}\n"
    yield from table(lesson)
    for name, drawing in boards.of(lesson.number).items():
        yield "**On the board**\n"
        yield f"![{drawing.sentence}](boards/{name}.svg)\n"
    yield "**Discuss**\n"
    for one in DISCUSSIONS:
        if one.lesson == lesson.number:
            yield f"- After section {one.section}: {one.ask} *Listen for:* {one.listen}"
    yield "\n**Who chose that, and why** (the Predict questions, with what each wrong option gives away)\n"
    for section in lesson.sections:
        for asked, right, wrong in predictions(section):
            yield f"- Section {section.number}. {asked} Right: *{plain(right)}*."
            yield from (f"  - *{plain(words)}*: {why}" for words, why in wrong)
    yield ""
    for one in lessons.exercises(lesson.path):
        yield from help_with(one)
    claims = [f"{name} ({places([unit])[3:]})" for unit in lesson.units for name in outline.claims(unit)]
    if claims:
        yield f"**Claims settled**: {', '.join(claims)}.\n"


def help_with(one: lessons.Exercise) -> Iterator[str]:
    """A fold with what goes wrong in an exercise, and what the check says to it."""
    title = one.task.source.split("\n")[0].removeprefix("### ")
    found = answers(one)
    yield f"<details><summary>{html.escape(title)}: {len(found)} wrong answers, and what the check says</summary>\n"
    for code, message in found:
        ticks = "``" if "`" in code else "`"
        shown = f"{ticks}{code}{ticks}: " if code else ""
        yield f"- {shown}{message}"
    yield "\n</details>\n"


def document() -> str:
    """All of guide.md."""
    course = outline.course().values()
    lines = [
        "# The teacher's guide",
        "",
        "Ten minutes before a class: read what a lesson opens with, its table, its board, and one question to discuss. "
        "The folds are for the class itself: what learners write, and what the check answers.",
        "",
        "Which sections fit your time stands in [paths.md](paths.md). This page is generated: "
        "`uv run python -m classroom.guide`. Do not edit it; what no lesson says stands in `classroom/notes.py` and "
        "`classroom/boards.py`.",
        "",
        "## Contents",
        "",
        "- [In every lesson](#in-every-lesson)",
        "- [When something fails](#when-something-fails)",
        *(f"- [{heading(lesson)}](#{slug(heading(lesson))}) ({lesson.minutes} min)" for lesson in course),
        "",
        "## In every lesson",
        "",
        "1. **Show the opening, say nothing, let them guess.** It is a picture, a failure or a number.",
        "2. **Predict, then run.** Show of hands for each option of a question before anybody opens one. Ask who chose "
        "which, and why: the reasons are the lesson.",
        "3. **Exercises in silence, then in pairs.** The check says what is wrong, as often as they like; you are free "
        "for those who do not ask. Send people to Hint 1 before you help.",
        "4. **Errors in four steps**: the last line; the line of mine; whose numbers; the smallest input that still "
        "fails. Let a learner read them out, not you.",
        "5. **Close with the summary**: each line is read by somebody who gives an example of it.",
        "",
        "Panels follow you: say `panel.set(batch_size=64)`, and everybody sees the same; `panel.picture()` shows it "
        "with its sentence. Some cells raise an error on purpose, under headings that say *Read this error*; *Run All* "
        "goes on after them. What can be left out is headed *For the curious* and stands last. "
        "`check.to_batch(to_batch).passed` is `True` or `False`, if you want to count.",
        "",
        "Minutes are counted by one rule, found where beginners worked through lessons; no class was timed. An "
        "exercise takes half as much again as its task names, and the time to read it; it is part of its section.",
        "",
        "What a check says to a wrong answer is what it said when this page was written, without the arguments of a "
        "call where they are tensors, and without the share of numbers that are off.",
        "",
        "## When something fails",
        "",
        "Try the first two of these once, before the day.",
        "",
        "| what fails | what you do |",
        "|---|---|",
        *(f"| {what} | {remedy} |" for what, remedy in REMEDIES.items()),
        "",
    ]
    for lesson in course:
        lines += part(lesson)
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    """Write guide.md and the drawings; return the exit code."""
    torch.set_num_threads(1)  # the checks' models are small: several threads only wait for each other
    BOARDS.mkdir(exist_ok=True)
    drawn = boards.files()
    for old in set(BOARDS.glob("*.svg")) - {BOARDS / name for name in drawn}:
        old.unlink()
    for name, text in drawn.items():
        (BOARDS / name).write_text(text, encoding="utf-8", newline="\n")
    DOCUMENT.write_text(document(), encoding="utf-8", newline="\n")
    print(f"{DOCUMENT.name} and {len(drawn)} drawings are written.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
