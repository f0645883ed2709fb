"""The two doors: `launch` for a script, `run` for a function of a notebook."""

import inspect
import json
import os
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from types import FunctionType, MappingProxyType

from helpers import folders
from helpers.problems import Problem, number, shown, whole_number
from helpers.processes import failures, supervisor
from helpers.processes.failures import Failure
from helpers.processes.source import Script

MOST_RANKS = 8  #: each is a Python of its own, with PyTorch in it
#: An environment variable. "stored": start no process, show stored results. "store": store what comes (for `refresh`).
HOW = "COURSE_PROCESSES"
_TRIES = 3  # of a run that crashed only while Python ended
_LOOPBACK = {"linux": "lo", "darwin": "lo0"}  # the network that a machine has with itself, as gloo is to call it


class Stopped(KeyboardInterrupt):
    """An interrupt while processes ran; they have been ended. A notebook shows the sentence alone."""

    def _render_traceback_(self) -> list[str]:
        return [f"KeyboardInterrupt: {self}"]


class _CannotStart(Exception):
    """Why no processes can be started here at all, in words."""


@dataclass(frozen=True)
class Run:
    """What the processes of a script printed. `print` it: the lines of rank 0 come first."""

    command: str  #: what to type in a terminal for the same
    lines: tuple[tuple[str, ...], ...]  #: of each rank
    note: str = ""  #: why this is a stored result, if it is one

    def __str__(self) -> str:
        notes = [self.note] if self.note else []
        return "\n".join([f"$ {self.command}", *notes, *(line for lines in self.lines for line in lines)])


def launch(script: str | os.PathLike, ranks: int = 2, port: int | None = None, timeout: float = 90) -> Run:
    """Run a script in so many processes, as `torchrun --standalone --nproc-per-node RANKS SCRIPT` does, and wait.

    script: a path from the current folder, or the name of a script that comes with the lessons. port: where the
    processes meet, on this machine only; a free one without it. timeout: seconds; then all of them are ended.
    Raises `Problem` if the script is not there, the port is in use, a process fails, or the time is up.
    """
    path = folders.lesson_file(script)
    ranks, timeout = _checked(ranks, timeout)
    where = "--standalone" if port is None else f"--rdzv-backend c10d --rdzv-endpoint 127.0.0.1:{_free(port)}"
    command = f"torchrun {where} --nproc-per-node {ranks} {path.name}"

    def lines(log: Path) -> list[list[str]]:
        return [said.splitlines() for said in _read_each(log, ranks, "stdout.log")]

    source = path.read_text(encoding="utf-8", errors="replace")
    start = partial(_start, path, ranks, port, timeout)
    found, note = _started_or_stored(path.name, source, start, ranks, lines)
    return Run(command, tuple(map(tuple, found)), note)


def run(function: Callable[[int, int], object], ranks: int = 2, timeout: float = 90) -> list:
    """Call `function(rank, ranks)` in so many processes that have met; return what each returned, rank 0 first.

    The function is sent as source, with the functions, imports and values of the notebook that it uses; values are
    copies. It may use and return tensors on the CPU, numbers, text, and lists, tuples and dictionaries of these. What
    it prints is not shown. timeout: seconds; then all processes are ended.
    Raises `Problem` for another function, if it fails in a process, or the time is up.
    """
    if not isinstance(function, FunctionType) or function.__name__ == "<lambda>":
        raise Problem(f"function is {shown(function)}; give a function that a cell defines: def work(rank, ranks): …")
    try:
        inspect.signature(function).bind(0, 1)
    except TypeError:
        raise Problem(
            f"{function.__name__} cannot be called with two arguments; allowed is def {function.__name__}(rank, ranks)."
        ) from None
    ranks, timeout = _checked(ranks, timeout)
    script = Script(function)
    with tempfile.TemporaryDirectory(prefix="course-run-", ignore_cleanup_errors=True) as folder:
        path = script.write(Path(folder))

        def results(_: Path) -> list:
            import torch

            try:
                return [torch.load(path.with_name(f"{rank}.result")) for rank in range(ranks)]
            except UnpicklingError:
                raise Problem(
                    f"{function.__name__} returned what cannot be sent back; return tensors, numbers, text, and lists, "
                    "tuples and dictionaries of these. Of a model, return model.state_dict()."
                ) from None

        source = "\n".join(script.sources.values())
        start = partial(_start_workers, path, ranks, timeout)
        found, note = _started_or_stored(function.__name__, source, start, ranks, results)
    if note:
        print(note)
    return found


def _checked(ranks: int, timeout: float) -> tuple[int, float]:
    return whole_number("ranks", ranks, 1, MOST_RANKS), number("timeout", timeout, 1, 3600, 90)


def _free(port: int) -> int:
    """The port, if it is free on this machine; `Problem` otherwise. torchrun would wait for minutes instead."""
    port = whole_number("port", port, 1, 65535)
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        raise Problem(
            f"port {port} cannot be used ({error.strerror}); another program, or an older run, has it. Give another "
            "one, or leave port out: then a free one is taken."
        ) from None
    return port


def _started_or_stored(
    name: str, source: str, start: Callable[[Path], None], ranks: int, collect: Callable[[Path], list]
) -> tuple[list, str]:
    """What `collect` finds after a run, and ""; or where no processes can be started a stored result, and why."""
    from torch import distributed

    from helpers.processes import stored

    how, key = os.environ.get(HOW, ""), stored.key(name, ranks, source)
    try:
        if how == "stored":
            raise _CannotStart(f"{HOW} says so")
        if not distributed.is_available() or not distributed.is_gloo_available():
            raise _CannotStart("this PyTorch was built without torch.distributed and gloo")
        with tempfile.TemporaryDirectory(prefix="course-log-", ignore_cleanup_errors=True) as log:
            start(Path(log))
            found = collect(Path(log))
        if how == "store":
            stored.keep(key, found)
        return found, ""
    except _CannotStart as why:
        with suppress(KeyError):
            return stored.find(key), f"(No processes here: {why}. This is a stored result of the same code.)"
        raise Problem(
            f"no processes can be started here ({why}), and for this version of {name} with {ranks} ranks no result "
            "is stored. The rest of the lesson goes on without it; unchanged cells show what is stored."
        ) from None


def _start(path: Path, ranks: int, port: int | None, timeout: float, log: Path) -> None:
    """Run a script under torchrun and wait. Raises `Problem` if it fails, `_CannotStart` if nothing can."""
    meet = ["--standalone"]
    if port is not None:
        meet = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "course"]
    torchrun = ["-m", "torch.distributed.run", *meet, "--nproc-per-node", str(ranks), "--local-addr", "127.0.0.1"]
    torchrun += ["--redirects", "3", "--log-dir", str(log), str(path)]
    for _ in range(_TRIES):
        code = _supervised(["-P", *torchrun], 0, timeout, log / "log.txt")
        if code == 0:
            return
        problem = _problem(code, path.name, path, ranks, timeout, log)
        said = _read_each(log, ranks, "stderr.log")
        if "Traceback" in "".join(said) or not any(failures.CRASH_AT_THE_END in one for one in said):
            break
    raise problem


def _start_workers(path: Path, ranks: int, timeout: float, log: Path) -> None:
    """Run the script around a function for each rank, without torchrun, which takes seconds to load; as `_start`."""
    modules = {"PYTHONPATH": os.pathsep.join(os.path.abspath(folder) for folder in sys.path)}  # the notebook's own
    code = _supervised([str(path)], ranks, timeout, log / "log.txt", modules)
    if code:
        raise _problem(code, f"{path.stem}()", path, ranks, timeout, log)


def _supervised(
    arguments: list[str], ranks: int, timeout: float, log: Path, more: Mapping[str, str] = MappingProxyType({})
) -> int:
    """Run Python below a supervisor (see there for `ranks`), with its output in a file; return the exit code.

    more: environment variables. Nothing of it is left.
    """
    mark = uuid.uuid4().hex
    own = {"OMP_NUM_THREADS": "1", "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}
    if sys.platform in _LOOPBACK:
        own["GLOO_SOCKET_IFNAME"] = os.environ.get("GLOO_SOCKET_IFNAME", _LOOPBACK[sys.platform])
    above = [sys.executable, "-P", supervisor.__file__, str(timeout), mark, str(ranks)]
    with open(log, "wb") as file:
        process = subprocess.Popen(
            [*above, sys.executable, *arguments],
            stdin=subprocess.PIPE,  # the supervisor sees it close, also when this process is killed
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | own | more,
            start_new_session=True,  # an interrupt of the notebook is for us alone: we end the others in order
        )
        try:
            code = process.wait()
        except KeyboardInterrupt:
            raise Stopped("you stopped the run. Its processes have been ended.") from None
        finally:
            process.stdin.close()
            process.wait(30)
    if code < 0:  # the supervisor itself was killed
        supervisor.sweep(mark)
    return code


def _problem(code: int, what: str, path: Path, ranks: int, timeout: float, log: Path) -> Exception:
    """What to raise after a run that ended with this exit code. what: the script or function, as a learner calls it."""
    said = (log / "log.txt").read_text(encoding="utf-8", errors="replace")
    found = _told(path) or _tracebacks(path, ranks, said, log)
    first, killed = failures.cause(found), failures.ended_by_signal(said)
    done = [rank for rank in range(ranks) if path.with_name(f"{rank}.result").exists()]
    if code == supervisor.LATE:
        return Problem(
            f"after {timeout:g} s {what} was still running, so its {ranks} processes have been ended. "
            f"{f'Done already: rank {done[0]}. ' if len(done) == 1 else ''}Often one waits for another that will not "
            "come: every rank must do the same steps. If it only needs longer, give more time, as in timeout=300."
        )
    if not found and not killed and not list(log.glob("*/attempt_*")):
        return _CannotStart(f"Python stopped before any work began, {failures.last_line(said)}")
    lost = first is not None and failures.is_consequence(first)  # it only says that another rank has gone
    if first and first.at_start and (not lost or len(found) == ranks):  # of all ranks, none can have gone by itself
        return _CannotStart(f"the processes cannot meet: {' '.join(first.text.split())[:300]}")
    if killed and (not found or lost):
        rank, name = killed
        return Problem(
            f"rank {rank} of {what} was ended from outside by {name}, so the other processes have been ended too. "
            "The system does that when memory runs out; fewer ranks or a smaller batch need less."
        )
    if lost:
        return Problem(
            f"rank {first.rank} of {what} waited for another rank that had ended already, so all have been ended. "
            "Every rank must do the same steps, as often as the others."
        )
    if first:
        return Problem(f"{first.sentence}\nThe other processes have been ended.")
    return Problem(f"{what} ended with an error and said nothing. Its processes have been ended; run it again.")


def _told(path: Path) -> list[Failure]:
    """The errors that `worker` wrote down."""
    found = []
    for file in sorted(path.parent.glob("*.error")):
        with suppress(OSError, ValueError):
            told = json.loads(file.read_text(encoding="utf-8"))
            found.append(
                Failure(int(file.stem), failures.without_module(told["text"]), told["line"] or "", told["at_start"])
            )
    return found


def _tracebacks(path: Path, ranks: int, said: str, log: Path) -> list[Failure]:
    """The errors that Python wrote: of each rank into its own file, or of a function's script that never began."""
    found = [failures.last_error(rank, path, words) for rank, words in enumerate(_read_each(log, ranks, "stderr.log"))]
    began = failures.last_error(0, path, said)
    return [one for one in found if one] or ([began] if began and began.line else [])


def _read_each(log: Path, ranks: int, name: str) -> list[str]:
    """What each rank wrote into this stream; "" for one that did not come so far."""
    files = sorted(
        log.glob(f"*/attempt_*/*/{name}"), key=lambda file: file.stat().st_mtime
    )  # of several tries the last
    found = {int(file.parent.name): file for file in files}
    return [found[rank].read_text(encoding="utf-8", errors="replace") if rank in found else "" for rank in range(ranks)]
