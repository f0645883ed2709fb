"""Runs answers, each in a process of its own: `python -m classroom.apart results`, or `… look`, for `classroom.judge`.

This process imports what answers need, once. For every task that it reads it forks; in the fork the answer runs, with
a time limit, in an empty folder, behind `classroom.walls`. What the fork writes is passed on unread: nobody here trusts
it. `results` calls the answer on the cases and hands back what came out; it never imports `helpers.check`, where the
right functions are. `look` calls the check itself on the answer, for its words, and for what only a live look shows.
"""

import contextlib
import copy
import gc
import importlib
import io
import json
import linecache
import os
import pickle
import select
import shutil
import signal
import struct
import sys
import tempfile
import time

MOST = 64 * 2**20  # bytes that a fork may write
#: Imported once, for all answers.
_FOR_ANSWERS = (
    "cloudpickle", "numpy", "torch", "torchvision.transforms.v2", "classroom.parcel", "classroom.walls",
    "helpers.capstone", "helpers.data", "helpers.memory", "helpers.models", "helpers.training",
)  # fmt: skip
_SIZE = struct.Struct("<cQ")
#: What a fork says, one letter each: an answer that is no function; a result, and what it left of the models that it
#: was given; a wall that was touched; an error of the answer's; the words of the check; the end.
VALUE, RESULT, MODELS, WALL, ERROR, WORDS, END = b"V", b"R", b"M", b"X", b"E", b"W", b"."
#: What became of a fork.
ENDED, LATE, TOO_MUCH = b"e", b"l", b"m"


def write_frame(stream, kind: bytes, data: bytes) -> None:
    """Write one frame: its kind, a letter, and its bytes."""
    stream.write(_SIZE.pack(kind, len(data)) + data)
    stream.flush()


def read_frame(stream) -> tuple[bytes, bytes] | None:
    """The next frame, None at the end or where it is cut."""
    head = stream.read(_SIZE.size)
    if len(head) < _SIZE.size:
        return None
    kind, size = _SIZE.unpack(head)
    data = stream.read(size) if size <= MOST else b""
    return (kind, data) if len(data) == size else None


class _Nothing:
    """What `check`, `display` and `get_ipython` are for an answer that names them: any use gives the same again."""

    def __getattr__(self, name: str) -> "_Nothing":
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_: object, **__: object) -> "_Nothing":
        return self

    def __bool__(self) -> bool:
        return False


def _run(task: dict, space: dict) -> object:
    """Run the code, return the value of the expression."""
    for place, code in enumerate([*task["above"], task["answer"]]):
        name = f"<above {place}>" if place < len(task["above"]) else "<answer>"
        linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
        exec(compile(code, name, "exec", dont_inherit=True), space)
    return eval(task["expression"], space)


def _in_short(error: BaseException) -> bytes:
    try:
        text = " ".join(str(error).split())
    except BaseException:  # an exception that cannot be printed
        text = ""
    return f"{type(error).__name__}: {text}"[:300].encode("utf-8", "replace")


def _changed(arguments: tuple) -> list:
    """The parameters of the models among the arguments, after a call: whether an answer trained them as asked."""
    from torch import nn

    models = [one for one in arguments if isinstance(one, nn.Module)]
    return [parameter.detach().clone() for model in models for parameter in model.parameters()]


def _results(task: dict, answer: object, say) -> None:
    """Say what the answer is, or what it returns for each case."""
    from classroom import parcel

    if task["cases"] is None or not callable(answer) or isinstance(answer, _Nothing):
        say(VALUE, parcel.packed(answer))
        return
    for arguments in task["cases"]:
        try:
            given = copy.deepcopy(arguments)  # cases may share a model
            got = answer(*given)
        except BaseException as error:  # SystemExit too
            say(ERROR, _in_short(error))
            return
        say(RESULT, parcel.packed(got))
        if task["trains"]:
            say(MODELS, parcel.packed(_changed(given)))


def _look(task: dict, answer: object, say) -> None:
    """Say what the check itself says. The answer may forge it, and gains nothing: its results are judged elsewhere."""
    from helpers import check

    verdict = getattr(check, task["name"])(answer)
    say(WORDS, json.dumps([bool(verdict.passed), str(verdict.message)]).encode())


def _in_fork(task: bytes, write_end: int, folder: str, seconds: float, look: bool) -> None:
    """All that happens in the fork. It does not return to the caller's code."""
    from classroom import walls

    os.setsid()
    os.chdir(folder)
    os.environ.update(HOME=folder, TMPDIR=folder, COURSE_WORK=folder, MPLCONFIGDIR=folder)
    tempfile.tempdir = folder
    sys.dont_write_bytecode = True  # beside the packages that it imports
    # Each fork makes PyTorch's pool of threads anew when it is first used; were that by autograd's threads for several
    # devices at once, as in a trace, some would find none, and PyTorch aborts.
    sys.modules["torch"].set_num_threads(1)
    stream = os.fdopen(write_end, "wb")

    def say(kind: bytes, data: bytes) -> None:
        write_frame(stream, kind, data)

    def touched(what: str) -> None:
        say(WALL, what.encode("utf-8", "replace"))
        os._exit(1)

    known = pickle.loads(task)  # from the judge
    if known["cases"] is not None:
        import torch

        known["cases"] = torch.load(io.BytesIO(known["cases"]), weights_only=False)
    walls.limit(seconds)
    walls.build(folder, look, touched)
    nothing = _Nothing()
    space = {"__name__": "__main__", "check": nothing, "display": nothing, "get_ipython": nothing}
    try:
        answer = _run(known, space)
    except BaseException as error:
        say(ERROR, _in_short(error))
    else:
        (_look if look else _results)(known, answer, say)
    say(END, b"")


def _fork(task: bytes, seconds: float, look: bool, ours: list) -> tuple[bytes, bytes]:
    """Run a task in a fork; return what became of it, and all that it wrote. ours: streams that it must not have."""
    folder = os.path.realpath(tempfile.mkdtemp(prefix="answer-", dir=os.getcwd()))
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            for stream in (read_end, *(one.fileno() for one in ours)):
                os.close(stream)
            _in_fork(task, write_end, folder, seconds, look)
        finally:
            os._exit(0)
    os.close(write_end)
    said, until, became = bytearray(), time.monotonic() + seconds, ENDED
    while True:
        if not select.select([read_end], [], [], max(until - time.monotonic(), 0))[0]:
            became = LATE
            break
        piece = os.read(read_end, 2**16)
        said += piece
        if not piece or len(said) > MOST:
            became = TOO_MUCH if piece else ENDED
            break
    for kill in (os.killpg, os.kill):  # it may have closed its end and go on, or not have come to setsid
        with contextlib.suppress(OSError):
            kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(read_end)
    shutil.rmtree(folder, ignore_errors=True)
    return became, bytes(said[:MOST])


def main(look: bool) -> None:
    """Say that all is imported, then take tasks from the input and answer them on the output, until the input ends."""
    tasks, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    for name in (*_FOR_ANSWERS, *(["helpers.check"] if look else [])):
        importlib.import_module(name)
    gc.freeze()  # a collection would copy all that a fork shares with us
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # what an answer prints is no message of ours
        os.dup2(nowhere, stream)
    write_frame(answers, END, b"")
    while frame := read_frame(tasks):
        (seconds,) = struct.unpack("<d", frame[1][:8])
        became, said = _fork(frame[1][8:], seconds, look, [tasks, answers])
        write_frame(answers, became, said)


if __name__ == "__main__":
    main(look=sys.argv[1:] == ["look"])
