"""Judges the answers of a notebook, without running a line of it here.

Each answer runs in a process of its own (`classroom.apart`). Its results come back as plain data and are compared here,
by the checks of the lessons, with the right ones. So an answer that overwrites the checks, prints what a check prints
or ends its process has nothing to gain: only right results count. What the check itself says in the answer's process
can take points away, and never gives any.
"""

import contextlib
import copy
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace

import cloudpickle
import torch
from torch import nn

from classroom import apart, parcel
from classroom.needed import needed_code
from helpers import check
from helpers.check import core
from helpers.check.verdict import Verdict
from helpers.problems import Problem

cloudpickle.register_pickle_by_value(check)  # an answer's process has no helpers.check to take classes from
_KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "SYSTEMROOT")


@dataclass(frozen=True)
class Asked:
    """What a check cell asks: the name of its check, and the expression that it is called on."""

    name: str
    expression: str


class _Runner:
    """A process of `classroom.apart`, started when first asked, and again if it ended."""

    def __init__(self, kind: str):
        self.kind = kind
        self.process: subprocess.Popen | None = None

    def ask(self, task: dict, seconds: float) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        """Run a task; return what became of its fork, and the frames that it wrote.

        Raises `Problem` if the process does not start.
        """
        if self.process is None or self.process.poll() is not None:
            self._start()
        answer = None
        with contextlib.suppress(OSError):
            apart.write_frame(self.process.stdin, b"T", struct.pack("<d", seconds) + pickle.dumps(task))
            answer = apart.read_frame(self.process.stdout)
        if answer is None:  # it died, with its fork
            self.close()
            return apart.ENDED, []
        stream, frames = io.BytesIO(answer[1]), []
        while frame := apart.read_frame(stream):
            frames.append(frame)
        return answer[0], frames

    def _start(self) -> None:
        self.close()
        self.folder = tempfile.TemporaryDirectory(prefix="answers-")
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        own = dict.fromkeys(("HOME", "TMPDIR", "COURSE_WORK", "MPLCONFIGDIR"), self.folder.name)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "classroom.apart", self.kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.folder.name,
            env={**kept, **own, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        if apart.read_frame(self.process.stdout) is None:
            lines = self.process.stderr.read().decode("utf-8", "replace").split("\n")
            self.close()
            why = next((line for line in reversed(lines) if line.strip()), "it did not say why")
            raise Problem(f"The process that runs answers did not start ({why:.300}); run `course --check`.")

    def close(self) -> None:
        """End the process."""
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            with contextlib.suppress(OSError):
                stream.close()
        self.process = None
        self.folder.cleanup()


class Judge:
    """Judges answers; keeps two processes warm until it is closed. seconds: how long an answer may take."""

    def __init__(self, seconds: float = 60):
        self.seconds = seconds
        torch.set_num_threads(1)  # small models: more threads only wait for each other
        self._results, self._look = _Runner("results"), _Runner("look")

    def __enter__(self) -> "Judge":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        self._results.close()
        self._look.close()

    def mark(self, asked: Asked, above: list[str], answer: str) -> Verdict:
        """Judge the answer in a cell. above, answer: sources of the code cells above it, and of its own."""
        judge = getattr(check, asked.name)
        try:
            pieces, text = needed_code(above, answer)
        except (SyntaxError, ValueError, RecursionError) as error:
            line = f", line {error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else ""
            return Verdict(False, f"the cell is no Python ({type(error).__name__}{line}).")
        calls = isinstance(judge, core.Exercise)
        task = {
            "name": asked.name, "expression": asked.expression, "above": pieces, "answer": text,
            "cases": _sendable(judge.cases) if calls else None, "trains": calls and judge.trains,
        }  # fmt: skip
        became, frames = self._results.ask(task, self.seconds)
        if trouble := self._trouble(became, frames):
            return Verdict(False, trouble)
        kinds = [kind for kind, _ in frames]
        mark = self._compared(judge, frames)
        if apart.VALUE in kinds or (not mark.passed and apart.RESULT not in kinds and apart.ERROR not in kinds):
            return mark
        if apart.ERROR in kinds and apart.RESULT not in kinds and not calls:
            return mark
        return self._looked_at(task, mark)

    def _looked_at(self, task: dict, mark: Verdict) -> Verdict:
        """The mark after a live look: the check's own words, and not passed where it says so."""
        became, frames = self._look.ask({**task, "cases": None}, self.seconds)
        if trouble := self._trouble(became, frames):
            return Verdict(False, trouble)
        words = [data for kind, data in frames if kind == apart.WORDS]
        passed, message = _words(words[0]) if words else (False, "")
        if mark.passed and passed:
            return mark
        if passed or not message:  # it says what its results do not bear out
            return mark if not mark.passed else Verdict(False, "the check did not come to its end.")
        return Verdict(False, message, mark.drawing)

    def _trouble(self, became: bytes, frames: list[tuple[bytes, bytes]]) -> str:
        """Why there is nothing to compare, in words, or nothing."""
        for kind, data in frames:
            if kind == apart.WALL:
                what = data.decode("utf-8", "replace")[:200]
                return f"while it was graded, the answer tried to {what}. That is not allowed, so it does not count."
        if became == apart.LATE:
            return f"the answer did not end within {self.seconds:g} seconds. Is there a loop without an end?"
        if became == apart.TOO_MUCH:
            return "the answer returned more than can be taken in."
        if not frames or frames[-1][0] != apart.END:
            return "the answer ended its process (os._exit, a crash, or too much memory)."
        return ""

    def _compared(self, judge: core.Check, frames: list[tuple[bytes, bytes]]) -> Verdict:
        """What the check says to the results alone."""
        values = [parcel.unpacked(data) for kind, data in frames if kind in (apart.VALUE, apart.RESULT)]
        errors = [data.decode("utf-8", "replace")[:300].rstrip(".") for kind, data in frames if kind == apart.ERROR]
        if not isinstance(judge, core.Exercise) or any(kind == apart.VALUE for kind, _ in frames):
            if errors or len(values) != 1:
                return Verdict(False, f"the cell stopped with {errors[0]}." if errors else "there is no answer.")
            return judge(_known(values[0]))
        if errors:
            return Verdict(False, f"{judge.name} stopped with {errors[0]}.")
        if len(values) != len(judge.cases):
            return Verdict(False, "not every case has a result.")
        mark = _replayed(judge, _known(values))
        models = [parcel.unpacked(data) for kind, data in frames if kind == apart.MODELS]
        if mark.passed and judge.trains and not _trained(judge, models):
            return Verdict(False, "the numbers are right, but the model was not left as the task asks.")
        return mark


def _sendable(cases: object) -> bytes:
    """The cases as bytes for an answer's process: storages stay shared, functions of the checks go along."""
    stream = io.BytesIO()
    torch.save(list(cases), stream, pickle_module=cloudpickle)
    return stream.getvalue()


def _known(thing: object) -> object:
    """The thing for a check; what could not come along is an object of a class with its name, which checks name."""
    if isinstance(thing, list | tuple):
        return type(thing)(map(_known, thing))
    return type(thing.name, (), {})() if isinstance(thing, parcel.Other) else thing


def _words(data: bytes) -> tuple[bool, str]:
    """What a check is said to have said; the answer may have written it itself."""
    try:
        passed, message = json.loads(data)
    except ValueError:
        return False, ""
    return passed is True, str(message)[:600]


def _replayed(judge: core.Exercise, results: list[object]) -> Verdict:
    """The check's verdict on a function that returns these results, one after the other.

    A network is judged by its coach, which runs it here: it consists of the layers of torch.nn alone. Other coaches
    need the answer itself.
    """
    models = any(isinstance(judge.right(*copy.deepcopy(case)), nn.Module) for case in judge.cases[:1])
    waiting = iter(results)
    return replace(judge, coach=judge.coach if models else None)(lambda *_: next(waiting))


def _trained(judge: core.Exercise, models: list[object]) -> bool:
    """Whether the parameters of the models that were given are what the right function leaves, for every case."""
    if len(models) != len(judge.cases):
        return False
    for case, mine in zip(judge.cases, models, strict=True):
        given = copy.deepcopy(case)
        judge.right(*given)
        wanted = [parameter for one in given if isinstance(one, nn.Module) for parameter in one.parameters()]
        if not isinstance(mine, list) or len(mine) != len(wanted):
            return False
        for one, other in zip(mine, wanted, strict=True):
            same = isinstance(one, torch.Tensor) and one.shape == other.shape and one.dtype == other.dtype
            if not same or not torch.allclose(one, other, rtol=1e-4, atol=1e-5):
                return False
    return True
