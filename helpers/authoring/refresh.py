"""Run lessons in clean kernels and store them with their outputs, in canonical form.

    uv run python -m helpers.authoring.refresh          all lessons
    uv run python -m helpers.authoring.refresh 01 04    some of them

A lesson that raises, or that writes a warning, is not stored.
"""

import os
import sys
import tempfile
import time

from nbclient.exceptions import CellExecutionError

from helpers.authoring import lessons


def refresh(path, folder) -> str | None:
    """Store the lesson anew; return what is wrong with it, if anything."""
    try:
        lesson = lessons.run(lessons.read(path), folder)
    except CellExecutionError as error:
        return str(error)
    for cell in lessons.code_cells(lesson):
        for output in cell.outputs:
            if output.get("name") == "stderr":
                return f"cell {cell.id} writes to stderr:\n{output.text}"
    lessons.write(lessons.canonical(lesson), path)
    return None


def main(names: list[str]) -> int:
    """Refresh the lessons whose names begin so; return the exit code."""
    chosen = [path for path in lessons.LESSONS if not names or any(path.name.startswith(name) for name in names)]
    if not chosen:
        print(f"No lesson is named {' or '.join(names)}. There are: {', '.join(p.stem for p in lessons.LESSONS)}.")
        return 1
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(COURSE_WORK=folder, OMP_NUM_THREADS="1", COURSE_PROCESSES="store")
        for path in chosen:
            start = time.perf_counter()
            trouble = refresh(path, path.parent)
            bad += trouble is not None
            print(
                f"{path.stem}: {'NOT stored. ' + trouble if trouble else 'stored'}, {time.perf_counter() - start:.0f} s"
            )
    print("What teachers read is made from the lessons: uv run python -m classroom.paths, and classroom.guide.")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
