"""A small process between a notebook and those that it starts: it ends what was started, whatever happens.

    python supervisor.py SECONDS MARK RANKS COMMAND...

It runs COMMAND (once if RANKS is 0, otherwise for each rank, with RANK and WORLD_SIZE as torchrun sets them) until all
have ended, some seconds have passed since one failed, the time is up, or its own standard input is closed, which the
system does when the notebook's process dies. Then it kills every process that has MARK in its environment: children of
children too, and those whose parent is gone already. Exit code: that of the first that failed, 0, or `LATE`.

Nothing of the course and nothing large is imported here: it starts in a moment, and works where torch does not.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

MARK = "COURSE_RUN"  # the name of the environment variable that all processes of a run share
LATE = 124  # as the program `timeout` says it
_LOOKS = 4  # in a row that find no process of the run, before it is over
GRACE = 4.0  # seconds that the others have to say what they know, once a process has failed


def marked(mark: str) -> list:
    """The living processes of the run with this mark, but for this one, as `psutil` gives them."""
    import psutil  # here, since the room is also loaded where there is only torch

    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # somebody else's, or gone
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                found.append(process)
    return found


def sweep(mark: str, seconds: float = 15) -> None:
    """Kill the processes of the run, and those that they have started meanwhile, until there is none.

    One that is just being started shows no environment for a moment, so several looks in a row must find nothing.
    """
    import psutil

    end, calm = time.monotonic() + seconds, 0
    while calm < _LOOKS and time.monotonic() < end:
        found = marked(mark)
        calm = 0 if found else calm + 1
        for process in found:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(found, timeout=1)
        time.sleep(0.1)


def main(arguments: list[str]) -> int:
    """Run the command and return the exit code of the first that failed; leave nothing of it."""
    end, mark, ranks, command = time.monotonic() + float(arguments[0]), arguments[1], int(arguments[2]), arguments[3:]
    stop = threading.Event()
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: stop.set())
    threading.Thread(target=lambda: (sys.stdin.buffer.read(), stop.set()), daemon=True).start()
    places = [{"RANK": str(rank), "WORLD_SIZE": str(ranks)} for rank in range(ranks)] or [{}]
    first = 0
    try:
        started = [subprocess.Popen(command, stdin=subprocess.DEVNULL, env=os.environ | {MARK: mark} | place)
                   for place in places]  # fmt: skip
        while not stop.wait(0.05):
            codes = [process.poll() for process in started]
            failed = [(rank, code) for rank, code in enumerate(codes) if code]
            if failed and not first:
                rank, first = failed[0]
                print(f"First failure: rank {rank} ended with {first}", flush=True)
                end = min(end, time.monotonic() + GRACE)
            if None not in codes:
                return first
            if time.monotonic() > end:
                return first or LATE
        return 1
    finally:
        sweep(mark)


def leave(code: int) -> None:
    """End this process at once, without all that Python does at its end: threads of others may still run."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code & 0xFF)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
