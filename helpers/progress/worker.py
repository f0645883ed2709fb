"""Between the command and a kernel: it starts the kernel, runs an answer's cells and its check, and says how it went.

    python worker.py REQUEST

It stands below `helpers.processes.supervisor`, which ends it, and all that was started, when the time is up. REQUEST is
a JSON file, see `helpers.progress.run`. For each answer one line of JSON goes to the standard output, which the kernel
does not have: nothing that a copy prints is read by anybody.
"""

import ast
import ctypes
import json
import os
import queue
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import zmq
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.connect import write_connection_file

START = 90.0  # seconds until a kernel must have loaded what the checks need
MOST_PROCESSES = 64
MOST_MEMORY = 4 * 2**30
MOST_FILE = 2**30
_LOOK = 0.5  # seconds from one look at a kernel's processes to the next
_CONTEXT = zmq.Context()  # one for all kernels: to end one waits for messages that a dead kernel never takes
_SUBREAPER = 36  # prctl: who loses its parent becomes our child, and is found


class Stopped(Exception):
    """A kernel that had to be ended, or has ended: (state, what happened)."""


class Kernel:
    """A kernel of the course's own Python, without the settings of whoever starts it."""

    def __init__(self, folder: Path, imports: str):
        connection = str(folder / f"kernel-{time.monotonic_ns()}.json")
        how = {} if os.name == "nt" else {"transport": "ipc", "ip": connection.removesuffix(".json")}
        write_connection_file(connection, **how)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ipykernel_launcher", "-f", connection],
            cwd=folder / "work",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"JPY_PARENT_PID": str(os.getpid())},
            start_new_session=True,
        )
        self.client = BlockingKernelClient(context=_CONTEXT)
        self.client.load_connection_file(connection)
        self.client.start_channels(shell=True, iopub=False, stdin=False, hb=False, control=False)
        self._imports = imports
        reply = self.run("from helpers.check import in_kernel\nin_kernel.begin()", START)
        if reply["status"] != "ok":
            raise Stopped("not judged", f"the checks cannot be loaded: {reply.get('ename')}: {reply.get('evalue')}")

    def run(self, code: str, seconds: float, expression: str = "None") -> dict:
        """What the kernel replies to this code, and to an expression after it. Raises `Stopped`."""
        end = time.monotonic() + seconds
        asked = self.client.execute(code, store_history=False, allow_stdin=False, stop_on_error=False,
                                    user_expressions={"it": expression})  # fmt: skip
        while True:
            with suppress(queue.Empty):
                reply = self.client.get_shell_msg(timeout=_LOOK)
                if reply["parent_header"].get("msg_id") == asked:
                    return reply["content"]
            self._watch()
            if time.monotonic() > end:
                raise Stopped("hung", f"not done after {seconds:.0f} s, so it was ended")

    def _watch(self) -> None:
        code = self.process.poll()
        if code is not None:
            how = f"by signal {-code}" if code < 0 else f"with code {code}"
            raise Stopped("ended Python", f"its code ended the kernel {how}")
        family = psutil.Process().children(recursive=True)
        if len(family) > MOST_PROCESSES:
            raise Stopped("stopped", f"it started more than {MOST_PROCESSES} processes, so it was ended")
        used = 0
        for process in family:
            with suppress(psutil.Error):
                used += process.memory_info().rss
        if used > MOST_MEMORY:
            raise Stopped("stopped", f"it took more than {MOST_MEMORY // 2**30} GiB of memory, so it was ended")

    def judge(self, answer: dict, seconds: float) -> tuple[str, str]:
        """State and message of an answer. Raises `Stopped`."""
        self.run(f"get_ipython().reset(new_session=False)\n{self._imports}", START)  # ours: on no learner's clock
        end, failed = time.monotonic() + seconds, ""
        for code in answer["sources"]:
            reply = self.run(code, max(end - time.monotonic(), 1))
            if reply["status"] != "ok":
                where = re.sub(r"\(\d+\.py, line (\d+)\)$", r"(line \1)", str(reply.get("evalue")))  # the kernel's name
                failed = f"a cell stopped with {reply.get('ename')}: {where}"
        ask = f"__import__('helpers.check.in_kernel', fromlist=['x']).verdict({answer['name']!r}, "
        ask += f"lambda: ({answer['argument']}\n))"
        reply = self.run("pass", max(end - time.monotonic(), 1), ask)
        self._watch()  # what this answer has left running is not for the next one
        end_all(but=self.process.pid)
        try:
            found = json.loads(ast.literal_eval(reply["user_expressions"]["it"]["data"]["text/plain"]))
            passed, message, replaced = found["passed"], found["message"], found["replaced"]
        except (ValueError, LookupError, TypeError, SyntaxError):
            return "changed the check", "the check gave no verdict after this copy's code had run"
        if replaced:
            return "changed the check", f"{replaced}, so what the check said does not count"
        if failed and "is not defined" in message:  # since the cell that gives the name did not come so far
            message = failed
        return ("passed" if passed is True else "not yet"), message


def end_all(but: int | None = None) -> None:
    """Kill every process that was started from here, and those that they started, but for one."""
    for _ in range(50):
        family = [process for process in psutil.Process().children(recursive=True) if process.pid != but]
        for process in family:
            with suppress(psutil.Error):
                process.kill()
        if not family:
            return
        psutil.wait_procs(family, timeout=0.2)


def main(path: Path) -> int:
    """Judge every answer of a request; an answer that ends its kernel leaves a new one to those after it."""
    request = json.loads(path.read_text(encoding="utf-8"))
    _keep_house()
    kernel = None
    try:
        for answer in request["answers"]:
            try:
                kernel = kernel or Kernel(path.parent, request["imports"])
                state, message = kernel.judge(answer, request["seconds"])
            except Stopped as why:
                state, message = why.args
            print(json.dumps({"name": answer["name"], "state": state, "message": message[:1000]}), flush=True)
            if state not in ("passed", "not yet"):
                end_all()
                kernel = None
    finally:
        end_all()
    return 0


def _keep_house() -> None:
    """What is started from here belongs to us also when its parent dies, and writes no huge file and no core."""
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_FILE, MOST_FILE))


if __name__ == "__main__":
    code = main(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(code)  # without waiting for messages to kernels that are no more
