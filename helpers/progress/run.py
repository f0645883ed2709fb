"""Running copies: each in a kernel of its own, below a supervisor, in a folder of its own, with a time limit.

What a copy holds is code of others, and runs as whoever starts this. Around it stands what can be had without a
container: an empty home and working folder, few variables of the environment, limits of time, memory and processes.
Linux lets most users have more, a fence: processes of their own, so that nothing outside can be ended or seen, no
network, and a disk that can be read and not written, but for the folder of their own.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from helpers.folders import ROOT
from helpers.processes import supervisor
from helpers.progress.answers import Answer, answers
from helpers.progress.copies import Copy
from helpers.progress.tasks import Lesson

LIMIT = 120.0  #: seconds for one exercise: enough to train the networks of lesson 12
STATES = ("passed", "not yet", "not begun", "hung", "ended Python", "stopped", "changed the check", "damaged",
          "not judged", "no lesson")  # fmt: skip
_WORKER = Path(__file__).with_name("worker.py")
_START = 100.0  # seconds more for a kernel to begin
_KILLED = (-9, -15, 137, 143, 247, 241)  # by a signal: Python's way to say it, a shell's, and the supervisor's
_MOST_SAID = 1_000_000  # bytes that a copy's worker may say
_KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "SYSTEMROOT", "COMSPEC", "PATHEXT", "VIRTUAL_ENV",
         "CUDA_VISIBLE_DEVICES")  # fmt: skip
_FENCE = ("unshare", "--user", "--map-root-user", "--mount", "--mount-proc", "--pid", "--fork", "--kill-child", "--net")
_BEHIND = """
while read -r _ place _; do mount -o remount,bind,ro "$place"; done < /proc/mounts 2> /dev/null
for folder in "$@"; do
    [ "$folder" = -- ] && break
    mount --bind "$folder" "$folder" && mount -o remount,bind,ro "$folder" || exit 120
done
while [ "$1" != -- ]; do shift; done
mount --bind "$2" "$2" && mount -o remount,bind,rw "$2" || exit 120
shift 2
exec "$@"
"""


@dataclass(frozen=True)
class Result:
    """One exercise of one copy, or a copy that is none (then without an exercise). `state`: one of `STATES`."""

    copy: Copy
    exercise: str
    state: str
    message: str = ""
    number: int = 0  #: of the exercise in its lesson

    @property
    def passed(self) -> bool:
        """Whether its check is content."""
        return self.state == "passed"


@lru_cache(maxsize=16)
def has_fence(folder: Path) -> bool:
    """Whether this system lets copies in this folder run behind a fence."""
    if sys.platform != "linux" or not shutil.which("unshare"):
        return False
    with tempfile.TemporaryDirectory() as own, suppress(OSError, subprocess.SubprocessError):
        command = [*_fence(_protected(folder, Path(own)), own), "true"]
        return subprocess.run(command, capture_output=True, timeout=20).returncode == 0
    return False


def _fence(protected: Sequence[str], own: str) -> list[str]:
    return [*_FENCE, "sh", "-c", _BEHIND, "sh", *protected, "--", own]


class Runs:
    """Runs copies, several at a time, until all are done or somebody stops it: then nothing of them is left."""

    def __init__(self, folder: Path, limit: float = LIMIT, jobs: int = 1, fenced: bool | None = None):
        """folder: where the copies are. limit: seconds for one exercise. fenced: None is yes, where the system can."""
        self.folder, self.limit, self.jobs = folder.resolve(), limit, jobs
        self.fenced = has_fence(self.folder) if fenced is None else fenced
        self._running: set[subprocess.Popen] = set()
        self._stopped = False

    def all(self, copies: Sequence[Copy], lessons: dict[str, Lesson]) -> Iterator[list[Result]]:
        """The results of each copy, one for each exercise, in the order in which copies are done."""
        with ThreadPoolExecutor(self.jobs) as pool:
            try:
                yield from pool.map(lambda copy: self.one(copy, lessons), copies)
            finally:
                self._stopped = True
                for process in list(self._running):
                    with suppress(OSError):
                        process.stdin.close()  # its supervisor then ends everything
                pool.shutdown(cancel_futures=True)

    def one(
        self, copy: Copy, lessons: dict[str, Lesson], wanted: Callable[[Answer], bool] = lambda answer: True
    ) -> list[Result]:
        """The results of one copy. wanted: which of its answers to judge; the others are left out."""
        if copy.damage:
            return [Result(copy, "", "damaged", copy.damage)]
        if copy.lesson not in lessons or not lessons[copy.lesson].tasks:
            return [Result(copy, "", "no lesson", "no check of the course is called in it")]
        lesson = lessons[copy.lesson]
        found = [answer for answer in answers(copy, lesson) if wanted(answer)]
        begun = [answer for answer in found if answer.begun]
        said = self._judged(copy, lesson, begun) if begun else {}
        results = []
        for answer in found:
            state, message = said[answer.task.name] if answer.begun else ("not begun", "")
            results.append(Result(copy, answer.task.name, state, message, answer.task.number))
        return results

    def _judged(self, copy: Copy, lesson: Lesson, begun: list[Answer]) -> dict[str, tuple[str, str]]:
        """State and message of each answer, by the exercise's name."""
        said: dict[str, tuple[str, str]] = {}
        left = list(begun)
        while left:  # an answer that ends even what runs its kernel takes none of those behind it along
            said |= self._told(copy, lesson, left)
            left = [answer for answer in left if answer.task.name not in said]
        return said

    def _told(self, copy: Copy, lesson: Lesson, asked: list[Answer]) -> dict[str, tuple[str, str]]:
        """State and message of answers, up to the first that ends what runs it, and of that one."""
        answers = [{"name": one.task.name, "argument": one.task.argument, "sources": one.sources} for one in asked]
        with tempfile.TemporaryDirectory(prefix="course-", ignore_cleanup_errors=True) as name:
            folder = Path(name).resolve()
            request = folder / "request.json"
            content = {"imports": lesson.imports, "seconds": self.limit, "answers": answers}
            request.write_text(json.dumps(content), encoding="utf-8")
            for part in ("home", "work", "tmp"):
                (folder / part).mkdir()
            _bring_along(copy.path.parent, folder / "work")
            lines, code = self._run(folder, request, len(asked) * (self.limit + _START))
        said, rest = {}, ""
        for line in lines:
            try:
                one = json.loads(line)
                state = one["state"] if one["state"] in STATES else "not judged"
                said[str(one["name"])] = (state, str(one["message"]))
            except (ValueError, LookupError, TypeError):
                rest = line[:200] or rest
        names = [one.task.name for one in asked]
        said = {name: said[name] for name in names if name in said}
        if missing := [name for name in names if name not in said]:
            if code == supervisor.LATE:
                said[missing[0]] = ("hung", "not done when the time for the whole copy was up")
            elif code in _KILLED:
                said[missing[0]] = ("ended Python", "what ran its kernel was killed, by its code or from outside")
            else:
                said[missing[0]] = ("not judged", f"its kernel could not be run (exit code {code}): {rest}")
        return said

    def _run(self, folder: Path, request: Path, seconds: float) -> tuple[list[str], int]:
        """What the worker says of a request, line by line, and its exit code."""
        mark = uuid.uuid4().hex
        command = [sys.executable, "-P", supervisor.__file__, str(seconds), mark, "0",
                   sys.executable, "-P", str(_WORKER), str(request)]  # fmt: skip
        if self.fenced:
            command = [*_fence(_protected(self.folder, folder), str(folder)), *command]
        if self._stopped:
            return [], 1
        process = subprocess.Popen(
            command,
            cwd=folder / "work",
            env=_environment(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # an interrupt in the terminal is for us: we end the others in order
        )
        self._running.add(process)
        late = threading.Timer(seconds + 30, process.kill)
        late.daemon = True
        late.start()
        try:
            said = process.stdout.read(_MOST_SAID)
            process.stdout.close()
        finally:
            late.cancel()
            with suppress(OSError):
                process.stdin.close()  # where somebody interrupts us, its supervisor now ends everything
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            if process.wait() < 0:  # somebody killed the supervisor itself, or we did
                supervisor.sweep(mark)
            self._running.discard(process)
        return said.decode("utf-8", "replace").splitlines(), process.returncode


def _protected(copies: Path, own: Path) -> list[str]:
    """Folders of the user that a copy may read and not write, outermost first."""
    wanted = {Path.home().resolve(), ROOT.resolve(), copies.resolve(), Path(sys.prefix).resolve()}
    if work := os.environ.get("COURSE_WORK"):
        wanted.add(Path(work).expanduser().resolve())
    there = [path for path in wanted if path.is_dir() and path != Path(path.anchor) and own != path]
    outer = [path for path in there if not any(other in path.parents for other in there)]
    return [str(path) for path in sorted(outer)]


def _environment(folder: Path) -> dict[str, str]:
    """Few variables: what Python needs to start, and folders that are thrown away."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    home, place = str(folder / "home"), str(folder / "tmp")
    modules = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH", "")])])
    homes = dict.fromkeys(("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "IPYTHONDIR", "JUPYTER_CONFIG_DIR",
                           "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR"), home)  # fmt: skip
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    own = {"COURSE_WORK": str(folder / "work"), "COURSE_PROCESSES": "stored", "PYTHONPATH": modules, "PYTHONUTF8": "1"}
    return kept | homes | threads | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), place) | own


def _bring_along(source: Path, work: Path) -> None:
    """Copy small modules of the learner's own that lie beside the copy; none that hides one of Python's or ours."""
    scripts = [path for path in sorted(source.glob("*.py")) if path.is_file() and not path.is_symlink()][:20]
    for path in scripts:
        with suppress(OSError, ValueError, ImportError, AttributeError):
            if path.stat().st_size < 10**6 and find_spec(path.stem) is None:
                shutil.copyfile(path, work / path.name)
