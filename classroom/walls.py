"""What an answer may do in its process: read Python and the helpers, write into its own folder, and no more.

Two walls. Python's audit hook sees each file that is opened, each process, each connection, and says what was tried;
whoever gets around Python itself gets around the hook. Landlock is the kernel's: no code of the process gets around
it, children included. It is there in Linux from 5.13 on; without it the hook stands alone.
"""

import ctypes
import os
import resource
import site
import struct
import sys
import sysconfig
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from helpers.folders import ROOT

#: An audit event that begins so is a wall.
_FORBIDDEN = {
    "subprocess.": "start another program", "os.system": "start another program", "os.exec": "start another program",
    "os.posix_spawn": "start another program", "os.spawn": "start another program", "os.fork": "start a process",
    "pty.": "start another program", "os.kill": "end a process", "signal.pthread_kill": "end a thread",
    "ctypes.": "call the system behind Python", "socket.": "use the network", "sqlite3.": "open a database",
    "resource.": "change its limits", "webbrowser.": "open a browser",
}  # fmt: skip
#: Events that change files, and which of their arguments are paths.
_CHANGES = {
    "os.remove": 1, "os.rename": 2, "os.rmdir": 1, "os.mkdir": 1, "os.link": 2, "os.symlink": 2, "os.truncate": 1,
    "os.chmod": 1, "os.chown": 1, "os.utime": 1, "shutil.rmtree": 1, "os.setxattr": 1, "os.removexattr": 1,
}  # fmt: skip
_CHECKS = os.path.realpath(ROOT / "helpers" / "check")
_MEMORY = 8 * 2**30  # bytes of memory that an answer may ask for


def _readable() -> list[str]:
    """Folders and files that may be read: Python, its packages, the helpers, the system's libraries."""
    python = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    python += [*site.getsitepackages(), f"{sys.prefix}/lib", f"{sys.base_prefix}/lib"]
    course = [ROOT / "helpers", ROOT / "classroom", ROOT / "benchmarks"]
    system = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo", "/usr/share/fonts"]
    system += ["/etc/localtime", "/etc/ld.so.cache", "/etc/nsswitch.conf", "/etc/passwd", "/sys/devices", "/sys/fs"]
    system += ["/dev/null", "/dev/urandom", "/dev/random", "/dev/zero"]
    system += ["/System", "/Library/Frameworks", "/opt/homebrew"]  # macOS
    process = ["/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/filesystems", "/proc/sys"]
    found = {os.path.realpath(path) for path in map(str, python + course + system + process) if os.path.exists(path)}
    return sorted(found - {"/", os.path.realpath(ROOT)})


def lower(kind: int, most: int) -> None:
    """Let this process and all that it starts have at most so much; less where less was allowed before."""
    allowed = resource.getrlimit(kind)[1]
    most = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
    resource.setrlimit(kind, (most, most))


def limit(seconds: float) -> None:
    """Limit this process: memory, processor time, the size of files."""
    for kind, most in (
        (resource.RLIMIT_DATA, _MEMORY),
        (resource.RLIMIT_CPU, int(seconds) + 5),
        (resource.RLIMIT_FSIZE, 2**28),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(OSError, ValueError):  # macOS knows no RLIMIT_DATA of this kind
            lower(kind, most)


def build(folder: str, look: bool, touched: Callable[[str], None]) -> None:
    """Build both walls around this process, for good.

    folder: the only one that may be written to. look: the checks may be read too. touched: called with what was tried,
    in words; it must end the process.
    """
    readable = [*_readable(), os.path.dirname(folder)]  # imports look there
    _landlock(readable, folder, look)
    own = str(os.getpid())

    def inside(path: str, folders: list[str]) -> bool:
        return any(path == one or path.startswith(one + os.sep) for one in folders)

    def see(event: str, given: tuple) -> None:
        if event == "open" or event == "os.listdir" or event == "os.scandir":
            _opened(event, given)
        elif event == "import":
            if not look and str(given[0]).startswith("helpers.check"):
                touched("read the checks, where the right answers are (helpers.check)")
        elif event in _CHANGES:
            for path in given[: _CHANGES[event]]:
                if not inside(_real(path), [folder]):
                    touched(f"change the file {_short(path)}")
        else:
            for start, what in _FORBIDDEN.items():
                if event.startswith(start):
                    touched(what)

    def _opened(event: str, given: tuple) -> None:
        path = given[0] if given[0] is not None else "."
        if isinstance(path, int):  # it was opened before
            return
        real = _real(path)
        mode, flags = (given[1], given[2]) if event == "open" else ("r", 0)
        writes = set(mode or "") & set("wax+") or (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR))
        if inside(real, [folder, "/dev/null"]):
            return
        if writes:
            touched(f"write to {_short(path)}")
        if inside(real, [_CHECKS]) and not look:
            touched("read the checks, where the right answers are (helpers/check)")
        if real.startswith("/proc/") and real.split("/")[2].isdigit() and real.split("/")[2] != own:
            touched("read another process")
        if event == "open" and not inside(real, [*readable, "/proc"]):
            if not os.path.exists(real):  # it looks for a file that is not there, as imports do
                return
            lesson = " (a lesson, where the solutions are)" if inside(real, [_LESSONS]) else ""
            touched(f"read {_short(path)}{lesson}")

    sys.addaudithook(see)


_LESSONS = os.path.realpath(ROOT / "notebooks")


def _real(path: object) -> str:
    try:
        return os.path.realpath(os.fsdecode(path))
    except (TypeError, ValueError, OSError):
        return "?"


def _short(path: object) -> str:
    return Path(_real(path)).name[:60] or "?"


# Landlock: numbers of linux/landlock.h -----------------------------------------------------------------------------

_CREATE, _ADD, _RESTRICT, _NO_NEW_PRIVILEGES = 444, 445, 446, 38
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_ALL_FILES = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF}  # rights over files, by version; from 5 on 0xFFFF
_FOR_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | (1 << 14)


def landlock_version() -> int:
    """The version of Landlock that the kernel offers, 0 for none."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(ctypes.CDLL(None, use_errno=True).syscall(_CREATE, None, 0, 1), 0)


def _landlock(readable: list[str], folder: str, look: bool) -> bool:
    """Ask the kernel to refuse all but these from now on; whether it does."""
    version = landlock_version()
    if not version:
        return False
    system = ctypes.CDLL(None, use_errno=True)
    files = _ALL_FILES.get(version, 0xFFFF)
    network = 3 if version >= 4 else 0  # bind, connect
    scoped = 3 if version >= 6 else 0  # sockets without a file, signals
    rules = struct.pack("<QQQ", files, network, scoped)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = system.syscall(_CREATE, ctypes.create_string_buffer(rules, 24), size, 0)
    if ruleset < 0:
        return False
    for path in [*_around_checks(readable, look), "/proc/self"]:
        _allow(system, ruleset, path, _EXECUTE | _READ_FILE | _READ_DIR)
    _allow(system, ruleset, folder, files)
    _allow(system, ruleset, os.devnull, _WRITE_FILE | _READ_FILE)
    system.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    done = system.syscall(_RESTRICT, ruleset, 0) == 0
    os.close(ruleset)
    return done


def _around_checks(readable: list[str], look: bool) -> list[str]:
    """The folders, without that of the checks: a folder around it is given by its parts, since rules only allow."""
    if look:
        return readable
    parts = []
    for path in readable:
        if _CHECKS.startswith(path + os.sep):
            inner = [os.path.join(path, name) for name in os.listdir(path)]
            parts += _around_checks([part for part in inner if part != _CHECKS], look)
        else:
            parts.append(path)
    return parts


def _allow(system: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not os.path.isdir(path):
        rights &= _FOR_FILES
    rule = struct.pack("<Qi", rights, handle)
    system.syscall(_ADD, ruleset, 1, ctypes.create_string_buffer(rule, len(rule)), 0)
    os.close(handle)
