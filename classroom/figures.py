"""The figures in `classroom/hub.md`, from the tables that `benchmarks/classroom.py` writes."""

import re
import statistics
from collections.abc import Mapping, Sequence

from helpers.folders import ROOT

PAGE = ROOT / "classroom" / "hub.md"
START, END = "<!-- figures: written by benchmarks/classroom.py -->\n", "<!-- /figures -->"
COLUMNS = {
    "server_s": "seconds to the own server",
    "first_cell_s": "seconds to the end of the first cell",
    "finish_s": "seconds to the end of the lesson and the panel's answer",
    "server_pss_mib": "MiB of the server",
    "kernel_pss_mib": "MiB of the kernel, after the whole lesson",
}
Table = Sequence[Mapping[str, str]]


def block(learners: Table, lessons: Table) -> str:
    """What the page says of a class (a row for each learner) and of each lesson's memory (a row for each lesson)."""
    facts = learners[0]
    lines = [
        f"Measured on {facts['cores']} cores and {facts['memory_gib']} GiB: {len(learners)} learners who log in at the "
        "same moment and run all cells of lesson 01 as soon as they can. Seconds count from the log-in; failures: "
        f"{sum(bool(row['failure']) for row in learners)}.",
        "",
        "| for each learner | median | largest |",
        "|---|---|---|",
    ]
    for name, what in COLUMNS.items():
        values = [float(row[name]) for row in learners if row[name]]
        lines.append(f"| {what} | {statistics.median(values):.0f} | {max(values):.0f} |")
    together = sum(float(row[name] or 0) for row in learners for name in ("server_pss_mib", "kernel_pss_mib"))
    largest = max(lessons, key=lambda row: float(row["data_mib"]))
    lines += [
        "",
        f"Servers and kernels took {together / 1024:.1f} GiB together (what they share is counted once), and at the "
        f"lowest {int(facts['available_lowest_mib']) / 1024:.1f} GiB of the machine were left. Of all lessons, "
        f"{largest['lesson'][:2]} had the largest process: {float(largest['data_mib']) / 1024:.1f} GiB of data of its "
        "own.",
        "",
    ]
    return "\n".join(lines)


def write(learners: Table, lessons: Table) -> None:
    """Put the figures into the page."""
    page = PAGE.read_text(encoding="utf-8")
    new = START + block(learners, lessons) + END
    PAGE.write_text(re.sub(f"{re.escape(START)}.*{re.escape(END)}", lambda _: new, page, flags=re.S), encoding="utf-8")
