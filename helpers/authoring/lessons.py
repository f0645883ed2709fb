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


@dataclass
class Exercise:
    """Four cells in a row: task, stub, check, help."""

    lesson: str
    task: NotebookNode
    stub: NotebookNode
    check: NotebookNode
    help: NotebookNode

    @property
    def name(self) -> str:
        """The check it calls: `to_batch` for `check.to_batch(to_batch)`."""
        return re.match(r"check\.(\w+)\(", self.check.source).group(1)

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
            found.append(Exercise(path.stem, task, stub, check, fold))
    return found


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
