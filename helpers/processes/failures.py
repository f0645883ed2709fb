"""What went wrong in a run, in words: out of what torchrun and the processes wrote."""

import re
import signal
from dataclasses import dataclass
from pathlib import Path

#: What a process says when another one has gone: a consequence, not the cause.
_CONSEQUENCES = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "Application timeout caused")
#: What gloo's threads write if a model still holds on to them while Python ends: all work is done then, and it happens
#: now and then only (PyTorch's pull request 179291 says why).
CRASH_AT_THE_END = "terminate called without an active exception"
_LAST = re.compile(r"^[A-Za-z_][\w.]*(:|$)")  # the line of a traceback that names the error


@dataclass(frozen=True)
class Failure:
    """The error of one process."""

    rank: int
    text: str  #: `RuntimeError: …`, as PyTorch says it
    line: str = ""  #: the line of the script that it stopped in
    at_start: bool = False  #: before the processes had met

    @property
    def sentence(self) -> str:
        where = f" in its line `{self.line}`" if self.line else ""
        return f"rank {self.rank} stopped{where} with {self.text}"


def last_error(rank: int, script: Path, said: str) -> Failure | None:
    """The last traceback in what a process wrote to its error stream; None if there is none."""
    lines = [re.sub(r"^\[rank\d+\]: ?", "", line) for line in said.splitlines()]
    starts = [place for place, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    if not starts:  # a script that Python cannot even read has no traceback
        starts = [place - 1 for place, line in enumerate(lines) if line.startswith(f'  File "{script}", line ')]
    if not starts:
        return None
    trace = lines[starts[-1] + 1 :]
    ends = [place for place, line in enumerate(trace) if _LAST.match(line)]
    if not ends:
        return None
    mine = [place for place in range(ends[0]) if f'{script.name}", line ' in trace[place]]
    line = trace[mine[-1] + 1].strip() if mine else ""
    text = without_module("\n".join(trace[ends[0] :]).strip())
    return Failure(rank, text, line, any("in init_process_group" in line for line in trace[: ends[0]]))


def without_module(text: str) -> str:
    """`RuntimeError: …` for `torch.some.module.RuntimeError: …`."""
    return re.sub(r"^(?:\w+\.)+(\w+)", r"\1", text)


def is_consequence(failure: Failure) -> bool:
    """Whether a process only says that another one has gone."""
    return any(part in failure.text for part in _CONSEQUENCES)


def cause(failures: list[Failure]) -> Failure | None:
    """The failure that the others follow from, if one can be told; of several the one of the lowest rank."""
    first = [one for one in failures if not is_consequence(one)]
    return min(first or failures, key=lambda one: one.rank, default=None)


def ended_by_signal(log: str) -> tuple[int, str] | None:
    """Rank and signal of a process that torchrun, or our supervisor, saw being killed first: `(1, "SIGKILL")`."""
    root = log.partition("Root Cause (first observed failure)")[2]
    found = re.search(r"rank +: (\d+) .*\n +exitcode +: -(\d+) ", root)
    found = found or re.search(r"First failure: rank (\d+) ended with -(\d+)", log)
    if not found:
        return None
    number = int(found[2])
    known = {one.value: one.name for one in signal.Signals}
    return int(found[1]), known.get(number, f"signal {number}")


def last_line(torchrun: str) -> str:
    """The last line that torchrun wrote and that is no warning, in at most 300 letters."""
    lines = [line.strip() for line in torchrun.splitlines() if re.match(r"[\w.]+(Error|Exception)\b", line.strip())]
    return lines[-1][:300] if lines else "without a word"
