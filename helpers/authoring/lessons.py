"""What tests and `refresh` know about the lessons as files: their cells, their exercises, their canonical form."""

import copy
import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from helpers.folders import lesson_names, lessons_folder

LESSONS = [lessons_folder() / name for name in lesson_names(lessons_folder())]
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def read(path: Path) -> NotebookNode:
    """The lesson in this file."""
    return nbformat.read(path, as_version=4)


def tags(cell: NotebookNode) -> list[str]:
    """The tags of a cell."""
    return cell.metadata.get("tags", [])


def code_cells(lesson: NotebookNode) -> list[NotebookNode]:
    """The code cells of a lesson, in order."""
    return [cell for cell in lesson.cells if cell.cell_type == "code"]


def markdown_cells(lesson: NotebookNode) -> list[NotebookNode]:
    """The text cells of a lesson, in order."""
    return [cell for cell in lesson.cells if cell.cell_type == "markdown"]


@dataclass
class Exercise:
    """Four cells in a row: task, stub, check, help."""

    task: NotebookNode
    stub: NotebookNode
    check: NotebookNode
    help: NotebookNode

    @property
    def name(self) -> str:
        """The check it calls: `to_batch` for `check.to_batch(to_batch)`."""
        return re.match(r"check\.(\w+)\(", self.check.source).group(1)

    @property
    def number(self) -> int:
        """Its place in the lesson, counted from 1, as its heading says."""
        return int(re.match(r"### Exercise (\d+) ", self.task.source)[1])

    @property
    def solution(self) -> str:
        """The code in the fold named Solution, the only place where it exists."""
        fold = self.help.source.split("<summary>Solution</summary>")[1]
        return re.search(r"```python\n(.*?)```", fold, re.DOTALL).group(1).rstrip()


def exercises(path: Path) -> list[Exercise]:
    """The exercises of a lesson. A stub cell that does not stand between a task, a check and a help is an error."""
    cells, found = read(path).cells, []
    for place, cell in enumerate(cells):
        if "exercise" in tags(cell):
            task, stub, check, fold = cells[place - 1 : place + 3]
            found.append(Exercise(task, stub, check, fold))
    return found


def prose(lesson: NotebookNode) -> str:
    """The Markdown of all text cells."""
    return "\n".join(cell.source for cell in markdown_cells(lesson))


def visible(lesson: NotebookNode) -> str:
    """The Markdown that is seen before a fold is opened."""
    return re.sub(r"<details>.*?</details>", "", prose(lesson), flags=re.DOTALL)


def words(lesson: NotebookNode) -> int:
    """The words of a lesson outside its folds; tables, headings and claims count too."""
    return len(visible(lesson).split())


def code_lines(lesson: NotebookNode) -> int:
    """The lines of all code cells of a lesson."""
    return sum(len(cell.source.splitlines()) for cell in code_cells(lesson))


def minutes(lesson: NotebookNode) -> float:
    """The time that a lesson takes, by the rule of the course, which was found where beginners worked through lessons.

    A minute for 100 words or 7 lines of code, 1 for a question, 2 for a panel, and one and a half times what the
    exercises name. It counts cell by cell, so anything with cells will do: a section, or what is left of it.
    """
    text = visible(lesson)
    questions = text.count("**Predict.**")
    panels = sum(bool(re.search(r"\bpanels\.[A-Z]", cell.source)) for cell in code_cells(lesson))
    named = sum(int(number) for number in re.findall(r"\(.*?(\d+) minutes?\)", text))
    return words(lesson) / 100 + 0.15 * code_lines(lesson) + questions + 2 * panels + 1.5 * named


def stated_minutes(lesson: NotebookNode) -> int:
    """The minutes that a lesson says it takes: those of `minutes`, rounded to 5."""
    return int(re.search(r"\*\*Minutes\*\*: (\d+)", prose(lesson))[1])


@dataclass
class Section:
    """What stands between two headings of the second level, or before the first one, where it is called Opening."""

    title: str  #: "1. One image has no batch axis", "For the curious: …", "Summary", "Opening"
    cells: list[NotebookNode]  #: where a heading stands within a cell, each side has its part

    @property
    def number(self) -> int | None:
        """The number in its title; None for those without."""
        found = re.match(r"(\d+)\. ", self.title)
        return int(found[1]) if found else None


def sections(lesson: NotebookNode) -> list[Section]:
    """The sections of a lesson, in order. Every cell is in one, so their `minutes` add up to those of the lesson."""
    found = [Section("Opening", [])]
    for cell in lesson.cells:
        parts = (
            re.split(r"^(?=## )", cell.source, flags=re.MULTILINE) if cell.cell_type == "markdown" else [cell.source]
        )
        for source in filter(str.strip, parts):
            if cell.cell_type == "markdown" and source.startswith("## "):
                found.append(Section(source.split("\n")[0].removeprefix("## "), []))
            found[-1].cells.append(cell if len(parts) == 1 else NotebookNode(cell | {"source": source}))
    return found


def links(lesson: NotebookNode) -> list[str]:
    """The addresses that a lesson links to, in order."""
    return re.findall(r"\]\((\w+:[^)\s]+)\)", prose(lesson))


def run(lesson: NotebookNode, folder: Path) -> NotebookNode:
    """Run every cell in a clean kernel. Raises CellExecutionError for an error that is not there on purpose."""
    lesson = copy.deepcopy(lesson)
    client = NotebookClient(
        lesson,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        store_widget_state=False,
        record_timing=False,
        coalesce_streams=True,
    )
    client.execute()
    return lesson


def canonical(lesson: NotebookNode) -> NotebookNode:
    """The one form in which a lesson is stored: nothing of the machine, the time or the session in it."""
    lesson = copy.deepcopy(lesson)
    lesson.metadata = NotebookNode(
        kernelspec={"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        language_info={"name": "python"},
    )
    lesson.nbformat, lesson.nbformat_minor = 4, 5
    count = 0
    for cell in lesson.cells:
        cell.metadata = NotebookNode(tags=sorted(tags(cell))) if tags(cell) else NotebookNode()
        cell.source = cell.source.rstrip()
        cell.pop("attachments", None)
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = count
            if output.output_type == "error":  # the traceback holds paths of this machine; the last line is the text
                output.traceback = [f"{output.ename}: {output.evalue}"]
            if "data" in output:
                output.data.pop(WIDGET_VIEW, None)  # a number that only the kernel knew; the picture beside it stays
                if "image/png" in output.data:
                    output.data.pop("image/jpeg", None)  # PIL gives the same picture twice
                output.metadata = NotebookNode()
    return lesson


def write(lesson: NotebookNode, path: Path) -> None:
    """Store the lesson. Raises nbformat's ValidationError for what is no notebook."""
    nbformat.validate(lesson)
    path.write_text(nbformat.writes(lesson).rstrip() + "\n", encoding="utf-8", newline="\n")
