"""A class on a hub: so many learners log in, start their servers, run lesson 01 to its end and move its panel.

    sudo .venv/bin/python benchmarks/classroom.py                    # thirty learners
    sudo .venv/bin/python benchmarks/classroom.py --learners 5 --try # a first look at your own machine
    sudo .venv/bin/python benchmarks/classroom.py --lessons          # one learner, all lessons

Everything is real: JupyterHub with `classroom/jupyterhub_config.py`, its proxy, an account for each learner, kernels,
websockets. All log in at the same moment, and all kernels stay until the last learner has finished. It needs root and
Linux. Accounts, processes and folders are removed at the end, after Ctrl-C too; it stops by itself, and says so, when
the machine's memory runs low.

Writes benchmarks/results/classroom.csv, a row for each learner: seconds from the log-in to the own server, to the end
of the first cell, and to the panel's answer; MiB of server and kernel (PSS: shared pages are divided among those who
share them; private: pages of that process alone). With --lessons, benchmarks/results/classroom-lessons.csv: a row for
each lesson, with the largest process that it needs, in MiB: in memory at most, and data of its own, which is what the
hub limits. Both are put into `classroom/hub.md`. Exit code 1 if something failed.
"""

import argparse
import asyncio
import csv
import os
import signal
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

# In this folder, `classroom` would be this file.
sys.path[:] = [folder for folder in sys.path if Path(folder) != Path(__file__).parent]
from classroom import figures, hub, rehearsal  # noqa: E402
from helpers import folders  # noqa: E402
from helpers.problems import Problem  # noqa: E402

RESULTS = Path(__file__).resolve().parent / "results"
LEARNERS, LESSONS = RESULTS / "classroom.csv", RESULTS / "classroom-lessons.csv"
LESSON = "01_batch_dimension.ipynb"
MIB = 2**20
ENDINGS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Row:
    """One learner: seconds since all logged in, MiB at the end, and what went wrong."""

    learner: str
    server_s: float | None = None
    first_cell_s: float | None = None
    finish_s: float | None = None
    cells: int = 0
    server_pss_mib: float | None = None
    kernel_pss_mib: float | None = None
    server_private_mib: float | None = None
    kernel_private_mib: float | None = None
    failure: str = ""


class Machine:
    """The machine's memory while the class runs: the lowest that was left, and an end before nothing is."""

    def __init__(self, reserve: int):
        self.reserve = reserve
        self.lowest = self.first = psutil.virtual_memory().available

    async def watch(self) -> None:
        """Return when less than the reserve is left."""
        while self.lowest > self.reserve:
            await asyncio.sleep(0.5)
            self.lowest = min(self.lowest, psutil.virtual_memory().available)


async def attend(hub: rehearsal.Hub, account: rehearsal.Account, row: Row, finished: asyncio.Event) -> None:
    """One learner's lesson, written into `row`; kernel and connection stay until all have finished."""
    start = time.monotonic()

    def passed() -> float:
        return round(time.monotonic() - start, 1)

    async with rehearsal.Learner(hub.address, account) as learner:
        try:
            await learner.log_in()
            await learner.start_server()
            row.server_s = passed()
            lesson, kernel = await learner.open(LESSON)
            for cell in lesson["cells"]:
                if cell["cell_type"] == "code":
                    await run_cell(kernel, cell)
                    row.cells += 1
                    row.first_cell_s = row.first_cell_s or passed()
            await kernel.move("Batch size B", 128)
            row.finish_s = passed()
            print(f"{account.name}: server {row.server_s} s, first cell {row.first_cell_s} s, end {row.finish_s} s")
        except Exception as error:  # of whatever kind: it is this learner's failure, and the others go on
            row.failure = f"{type(error).__name__}: {' '.join(str(error).split())[:200]} (after {passed()} s)"
            print(f"{account.name}: {row.failure}")
        await finished.wait()


async def run_cell(kernel: rehearsal.Kernel, cell: dict) -> None:
    """Run it as JupyterLab does; RuntimeError if it raises and should not, or the other way round."""
    on_purpose = "raises-exception" in cell["metadata"].get("tags", [])
    answer = await kernel.run(cell["source"], stop=not on_purpose)
    if bool(answer.error) != on_purpose:
        raise RuntimeError(f"a cell {'raised ' + answer.error if answer.error else 'did not raise'}: {cell['source']}")


def weigh(row: Row) -> None:
    """Write into `row` what the learner's server and kernels take."""
    for process in psutil.process_iter():
        try:
            if process.username() != row.learner:
                continue
            kind = "kernel" if "ipykernel_launcher" in process.cmdline() else "server"
            memory = process.memory_full_info()
        except psutil.Error:
            continue
        setattr(row, f"{kind}_pss_mib", round((getattr(row, f"{kind}_pss_mib") or 0) + memory.pss / MIB, 1))
        setattr(row, f"{kind}_private_mib", round((getattr(row, f"{kind}_private_mib") or 0) + memory.uss / MIB, 1))


async def hold_class(hub: rehearsal.Hub, accounts: list[rehearsal.Account], machine: Machine) -> list[Row]:
    """All learners at once; their rows. RuntimeError if the machine's memory runs low."""
    rows, finished = [Row(account.name) for account in accounts], asyncio.Event()
    learners = [
        asyncio.create_task(attend(hub, account, row, finished)) for account, row in zip(accounts, rows, strict=True)
    ]
    guard = asyncio.create_task(machine.watch())
    try:
        while not all(row.finish_s or row.failure for row in rows):
            if guard.done():
                running = sum(row.cells > 0 for row in rows)
                raise RuntimeError(
                    f"stopped: {machine.lowest / MIB:,.0f} MiB of memory were left on this machine while {running} "
                    "learners ran the lesson; take fewer with --learners."
                )
            await asyncio.sleep(0.5)
        for row in rows:
            weigh(row)
    finally:
        finished.set()
        for task in (guard, *learners):
            task.cancel()
        await asyncio.gather(guard, *learners, return_exceptions=True)
    return rows


# All lessons ---------------------------------------------------------------------------------------------------------


@dataclass
class LessonRow:
    """One lesson, run to its end on the hub; MiB of its largest process."""

    lesson: str
    cells: int = 0
    seconds: float = 0.0
    resident_mib: int = 0
    data_mib: int = 0
    failure: str = ""


def measure_largest(row: LessonRow, learner: str) -> None:
    """Look at the learner's kernels and what they started."""
    for process in psutil.process_iter():
        try:
            if process.username() != learner or "jupyterhub.singleuser" in process.cmdline():
                continue
            status = Path(f"/proc/{process.pid}/status").read_text()
        except (psutil.Error, OSError):
            continue
        found = dict(line.split(":", 1) for line in status.splitlines())
        for name, key in (("resident_mib", "VmHWM"), ("data_mib", "VmData")):
            kib = int(found.get(key, "0 kB").split()[0])
            setattr(row, name, max(getattr(row, name), kib // 1024))


async def every_lesson(hub: rehearsal.Hub, account: rehearsal.Account) -> list[LessonRow]:
    """One learner who runs all lessons, one after the other."""
    rows = []
    async with rehearsal.Learner(hub.address, account) as learner:
        await learner.log_in()
        await learner.start_server()
        for name in folders.lesson_names(folders.lessons_folder()):
            rows.append(row := LessonRow(name.removesuffix(".ipynb")))
            start, (lesson, kernel) = time.monotonic(), await learner.open(name)
            try:
                for cell in lesson["cells"]:
                    if cell["cell_type"] == "code":
                        await run_cell(kernel, cell)
                        row.cells += 1
                        measure_largest(row, account.name)
            except RuntimeError as error:
                row.failure = " ".join(str(error).split())[:200]
            row.seconds = round(time.monotonic() - start, 1)
            print(f"{row.lesson}: {row.cells} cells, {row.seconds} s, {row.data_mib} MiB {row.failure}", flush=True)
            kernel.close()
            await learner.ask("DELETE", f"/api/kernels/{kernel.id}")
    return rows


# Tables --------------------------------------------------------------------------------------------------------------


def write(path: Path, rows: list, facts: dict[str, object]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*asdict(rows[0]), *facts], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) | facts for row in rows)
    tables = []
    for stored in (LEARNERS, LESSONS):
        if not stored.is_file():
            return
        with open(stored, encoding="utf-8", newline="") as file:
            tables.append(list(csv.DictReader(file)))
    figures.write(*tables)


def say(rows: list[Row], machine: Machine) -> None:
    """The summary: median and largest of each figure, the sums, the failures."""
    for name in ("server_s", "first_cell_s", "finish_s", "server_pss_mib", "kernel_pss_mib", "kernel_private_mib"):
        if values := [value for row in rows if (value := getattr(row, name)) is not None]:
            print(f"{name:20}median {statistics.median(values):8.1f}   largest {max(values):8.1f}")
    whole = sum((row.server_pss_mib or 0) + (row.kernel_pss_mib or 0) for row in rows)
    print(f"servers and kernels together: {whole:,.0f} MiB; left at the lowest: {machine.lowest / MIB:,.0f} MiB")
    print(f"failures: {sum(bool(row.failure) for row in rows)} of {len(rows)}")


def stop_once(*_: object) -> None:
    """Ctrl-C, or a request to end: clean up, and let no second one come between."""
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def own_hub_refuses() -> str:
    """Why a hub that is started here without a rehearsal would stop, "" if it would not."""
    try:
        hub.stop_if_learners_cannot_start()
    except Problem as problem:
        return f"The rehearsal lent its learners a Python of its own. Your hub would not start: {problem}"
    return ""


def main(arguments: list[str]) -> int:
    """Hold the class; 0 if nobody failed."""
    parser = argparse.ArgumentParser(description="A class on a hub, without people.")
    parser.add_argument("--learners", type=int, default=30, metavar="N")
    parser.add_argument("--pause", type=float, default=3, metavar="S", help="seconds between two starts of servers")
    parser.add_argument("--reserve", type=int, default=1024, metavar="MIB", help="stop when less memory is left")
    parser.add_argument("--lessons", action="store_true", help="one learner runs every lesson")
    parser.add_argument("--try", action="store_true", dest="only_try", help="write no table")
    chosen = parser.parse_args(arguments)
    if reason := rehearsal.why_not():
        print(reason)
        return 1
    for number in ENDINGS:
        signal.signal(number, stop_once)
    machine, count = Machine(chosen.reserve * MIB), 1 if chosen.lessons else chosen.learners
    try:
        with rehearsal.accounts(count) as group, rehearsal.hub(group, pause=chosen.pause) as running:
            if chosen.lessons:
                rows = asyncio.run(every_lesson(running, group.accounts[0]))
            else:
                rows = asyncio.run(hold_class(running, group.accounts, machine))
    except RuntimeError as error:
        print(error)
        return 1
    except KeyboardInterrupt:
        print("Stopped; accounts, processes and folders are removed.")
        return 1
    facts = {name: version(name) for name in ("jupyterhub", "jupyterlab", "torch")}
    if not chosen.lessons:
        say(rows, machine)
        facts |= {"learners": len(rows), "pause_s": chosen.pause, "cores": os.cpu_count()}
        facts |= {"memory_gib": round(psutil.virtual_memory().total / 2**30, 1)}
        facts |= {"available_first_mib": machine.first // MIB, "available_lowest_mib": machine.lowest // MIB}
    if not chosen.only_try:
        write(LESSONS if chosen.lessons else LEARNERS, rows, facts)
    elif refusal := own_hub_refuses():
        print(refusal)
        return 1
    return 1 if any(row.failure for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
