"""`course pack`: one folder with all that a room without internet needs: the course, its wheels, a way to install.

uv works out which wheels another system needs (markers such as ``sys_platform`` are those of that system), pip fetches
them. Both use the registry, mirror or proxy that they are set to.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.machinery import PathFinder
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlparse
from urllib.request import url2pathname

from helpers import folders
from helpers.environment import OLDEST_PYTHON, dotted
from helpers.problems import Problem
from helpers.units import readable

ORDER, SUMS, INSTALLER, FIRST = "pack.json", "SHA256SUMS", "install.py", "READ-ME-FIRST.txt"
BATCH = 2**28  # bytes that pip fetches at once: what is there already stays when the next breaks off


class System(NamedTuple):
    """A kind of machine: in words, as uv calls it, as pip calls its wheels."""

    words: str
    uv: str
    wheels: tuple[str, ...]


SYSTEMS = {
    "linux": System(
        "Linux (x86_64)",
        "x86_64-manylinux_2_28",
        (*(f"manylinux_2_{minor}_x86_64" for minor in range(28, 16, -1)), "manylinux2014_x86_64", "linux_x86_64"),
    ),
    "windows": System("Windows (64 bit)", "x86_64-pc-windows-msvc", ("win_amd64",)),
    "macos": System("macOS 14 or newer (Apple silicon)", "aarch64-apple-darwin", ("macosx_14_0_arm64",)),
}
HERE = {("Linux", "x86_64"): "linux", ("Windows", "AMD64"): "windows", ("Darwin", "arm64"): "macos"}

READ_ME = """\
The Shape of a Batch: how to install the course without internet
================================================================

For {systems}. You need Python {python} on this machine; it is not in this folder.

1. Copy this whole folder to your own disk. It needs about {room} there once it is installed.
2. Open a terminal in the copy, and type:
{install}
   It looks for damaged files, installs into course/.venv, and checks the result line by line: [ok] or [problem].
   It takes some minutes. If it stops, do what it says, and start it again: it goes on.
3. Start the course, today and every other day, with:
{start}
   It opens lesson 00 in your browser. Your own copies of the lessons lie in course/work.

With --check at its end, that line only looks whether all is well. To remove everything, delete the folder.
"""


class Wheel(NamedTuple):
    """One package that a system needs. size: bytes, 0 where the registry does not say; files: names that would do."""

    name: str
    version: str
    size: int
    files: tuple[str, ...]
    hashes: tuple[str, ...]


def tracked_files(root: Path) -> list[str]:
    """The files of the course, as git knows them. Raises `Problem` where git does not."""
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True)
        names = [name for name in done.stdout.split("\0") if (root / name).is_file()]
    except OSError:
        names = []
    if not names:
        raise Problem(f"{root} is no git checkout, so nobody knows which files belong to the course; git clone it.")
    return names


def has_tools() -> bool:
    """Whether uv and pip are in this environment.

    They are looked up on the path alone: setuptools watches all other searches, and after one for pip it leaves the
    process with Python's own distutils, beside which it (and so nbgrader) cannot be imported any more.
    """
    return all(PathFinder.find_spec(name) for name in ("pip", "uv"))


def path_of_uv() -> str:
    """Where uv lies; `Problem` if it or pip is missing."""
    if not has_tools():
        raise Problem("`course pack` needs uv and pip in this environment; run `uv sync --group classroom`.")
    from uv import find_uv_bin

    return find_uv_bin()


def sources(wheels: list[str], alone: bool) -> list[str]:
    """What uv and pip are told alike: to look for wheels in these folders too, or there alone.

    Raises `Problem` for what is no folder.
    """
    links = [str(Path(place).expanduser().absolute()) for place in wheels]
    for place in links:
        if not Path(place).is_dir():
            raise Problem(f"--find-links is {place}, which is no folder; give one that holds wheels.")
    return [option for place in links for option in ("--find-links", place)] + ["--no-index"] * alone


def needed(root: Path, system: System, python: str, where: list[str]) -> list[Wheel]:
    """All wheels that the course, its installation and pip itself need there, in the versions that were tested.

    where: `sources`. Raises `Problem` if something has no wheel there.
    """
    build = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    command = [path_of_uv(), "pip", "compile", "--quiet", "--only-binary", ":all:", "--python-version", python]
    command += ["--python-platform", system.uv, "--format", "pylock.toml", "--no-header", *where]
    done = subprocess.run(
        [*command, "pyproject.toml", "-"],
        cwd=root,
        input="\n".join([*build, "editables", "pip"]),  # hatchling asks for editables when pip installs with -e
        capture_output=True,
        text=True,
        env=os.environ | {"MACOSX_DEPLOYMENT_TARGET": "14.0"},
    )
    if done.returncode:
        why = " ".join(done.stderr.split())[-400:]
        raise Problem(f"The wheels for {system.words}, Python {python}, cannot be worked out. uv says: … {why}")
    return [_wheel(one) for one in tomllib.loads(done.stdout)["packages"]]


def _wheel(package: dict) -> Wheel:
    files, sizes, hashes = [], [], []
    for one in package.get("wheels", []):
        place = unquote(urlparse(one["url"]).path) if "url" in one else one.get("path", "")
        files.append(place.rsplit("/", 1)[-1])
        local = Path(url2pathname(place))  # of a folder of one's own, uv says no size
        sizes.append(one.get("size") or (local.stat().st_size if local.is_file() else 0))
        hashes += [digest for kind, digest in one.get("hashes", {}).items() if kind == "sha256"]
    return Wheel(package["name"], package["version"], max(sizes, default=0), tuple(files), tuple(hashes))


def begun(folder: Path, order: dict) -> bool:
    """Whether a pack for just this was begun there. Raises `Problem` if the folder holds anything else."""
    started = folder / ORDER
    try:
        if started.is_file():
            if json.loads(started.read_text(encoding="utf-8")) == order:
                return True
        elif not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            return False
    except (OSError, ValueError) as error:
        raise Problem(f"{folder} cannot be read ({error}); name another folder.") from None
    what = "is a pack for other systems or another Python" if started.is_file() else "holds something else"
    raise Problem(f"{folder} {what}, and nothing there is overwritten; name a new folder.")


def put(folder: Path, name: str, content: bytes) -> None:
    """Write a file of the pack, whole or not at all. Raises `Problem` if another one is there."""
    target = folder / name
    if target.exists():
        if target.is_file() and target.read_bytes() == content:
            return
        again = (
            f"make the pack in a new folder (`--no-index --find-links {folder / 'wheels'}` takes the wheels from here)"
        )
        raise Problem(f"{target} is not what belongs there, and stays as it is; {again}.")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    part.write_bytes(content)
    os.replace(part, target)


def fetch(wheels: list[Wheel], system: System, python: str, target: Path, where: list[str]) -> None:
    """Have pip bring those that are not there. Raises `Problem` if that breaks off."""
    missing, batch = [one for one in wheels if not _there(one, target)], []
    for place, one in enumerate(missing):
        batch.append(one)
        if place + 1 < len(missing) and sum(each.size for each in [*batch, missing[place + 1]]) <= BATCH:
            continue
        print(f"  {place + 1} of {len(missing)}: {', '.join(each.name for each in batch)}"[:110], flush=True)
        _fetch(batch, system, python, target, where)
        batch = []


def _there(wheel: Wheel, target: Path) -> bool:
    return any((target / name).is_file() for name in wheel.files)


def _fetch(wheels: list[Wheel], system: System, python: str, target: Path, where: list[str]) -> None:
    part = target.with_name(".part")  # on the same disk, as the temporary folder may be small
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    hashed = all(one.hashes for one in wheels)
    lines = [
        " ".join([f"{one.name}=={one.version}", *(f"--hash=sha256:{digest}" for digest in one.hashes * hashed)])
        for one in wheels
    ]
    (part / "wanted.txt").write_text("\n".join(lines), encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += ["--no-cache-dir", "--disable-pip-version-check", "--python-version", python, "--implementation", "cp"]
    command += [option for tag in system.wheels for option in ("--platform", tag)] + ["--require-hashes"] * hashed
    command += [*where, "--dest", str(part / "done"), "--requirement", str(part / "wanted.txt")]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"TMPDIR": str(part)})
        if done.returncode:
            why = " ".join(done.stderr.split())[-400:]
            raise Problem(
                f"The download broke off. What is there stays: start the same command again, and it goes on. "
                f"pip says: … {why}"
            )
        target.mkdir(exist_ok=True)
        for file in (part / "done").iterdir():
            os.replace(file, target / file.name)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def first_words(names: list[str], python: str, room: str) -> str:
    """What a learner reads first, with the commands of these systems. room: what all takes in the end, in words."""
    install = {name: f"python{python} install.py" for name in names}
    start = {name: "course/.venv/bin/course" for name in names}
    if "windows" in names:
        install["windows"], start["windows"] = f"py -{python} install.py", "course\\.venv\\Scripts\\course"
    lines = [
        "\n".join(f"     {SYSTEMS[name].words.split(' ')[0] + ':':9}{line}" for name, line in commands.items())
        for commands in (install, start)
    ]
    systems = " and ".join(SYSTEMS[name].words for name in names)
    return READ_ME.format(systems=systems, python=python, room=room, install=lines[0], start=lines[1])


def see_room(folder: Path, bytes_needed: int) -> None:
    """Raises `Problem` if the disk of the folder has less."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free
    if free < bytes_needed:
        need, has = readable(bytes_needed), readable(free)
        raise Problem(f"The pack needs {need}, and the disk of {folder} has {has} free; free some, or name another.")


def sums(folder: Path) -> str:
    """The checksums of all files of the pack, as `sha256sum --check` and install.py read them."""
    lines = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / SUMS):
        with open(path, "rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.relative_to(folder).as_posix()}\n")
    return "".join(lines)


def pack(chosen: argparse.Namespace, root: Path) -> int:
    """Make the pack; returns the exit code. Raises `Problem`."""
    if not re.fullmatch(r"3\.\d{1,2}", chosen.python) or tuple(map(int, chosen.python.split("."))) < OLDEST_PYTHON:
        oldest = dotted(OLDEST_PYTHON)
        raise Problem(f"--python is {chosen.python!r}; allowed is {oldest} or newer, as in --python 3.12.")
    names = sorted(set(chosen.platform or [this_system()]))
    folder, order = Path(chosen.folder).expanduser().resolve(), {"python": chosen.python, "systems": names}
    goes_on = begun(folder, order)
    files = {f"course/{name}": root / name for name in tracked_files(root)}
    where = sources(chosen.find_links, chosen.no_index)
    found = {name: needed(root, SYSTEMS[name], chosen.python, where) for name in names}
    for name, wheels in found.items():
        largest = sorted(wheels, key=lambda one: -one.size)[:3]
        said = ", ".join(f"{one.name} {readable(one.size)}" for one in largest)
        total = readable(sum(one.size for one in wheels))
        print(f"{SYSTEMS[name].words}, Python {chosen.python}: {len(wheels)} wheels, {total} (largest: {said})")
    if chosen.size:
        return 0
    every = list({(one.name, one.version, one.files): one for wheels in found.values() for one in wheels}.values())
    course = sum(path.stat().st_size for path in files.values())
    missing = [one.size for one in every if not _there(one, folder / "wheels")]
    see_room(folder, course + sum(missing) + max([BATCH, *missing]))  # a batch lies there twice while it is moved
    if not goes_on:
        put(folder, ORDER, (json.dumps(order) + "\n").encode())
    for name, path in files.items():
        put(folder, name, path.read_bytes())
    for name, wheels in found.items():
        print(f"Wheels for {SYSTEMS[name].words}:")
        fetch(wheels, SYSTEMS[name], chosen.python, folder / "wheels", where)
    room = readable(course + 3 * max(sum(one.size for one in wheels) for wheels in found.values()))
    put(folder, FIRST, first_words(names, chosen.python, room).encode())
    put(folder, INSTALLER, Path(__file__).with_name("pack_install.py").read_bytes())
    (folder / SUMS).unlink(missing_ok=True)
    put(folder, SUMS, sums(folder).encode())
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"The pack is ready in {folder} ({readable(size)}). Learners begin with {FIRST}.")
    print(f"Python {chosen.python} itself is not in it: exactly this version must be on their machines.")
    return 0


def this_system() -> str:
    """The name of the system that this runs on; `Problem` if the pack knows none such."""
    name = HERE.get((platform.system(), platform.machine()))
    if name is None:
        here = f"{platform.system()} {platform.machine()}"
        raise Problem(f"This machine is {here}; name the learners' system, as in --platform windows.")
    return name


def main(arguments: list[str], root: Path = folders.ROOT) -> int:
    """The command `course pack`; returns the exit code. Raises `Problem`."""
    parser = argparse.ArgumentParser(
        prog="course pack",
        description="Make one folder with all that a room without internet needs: the course, its wheels, install.py.",
    )
    parser.add_argument("folder", help="a new folder; one whose download broke off is gone on with")
    parser.add_argument(
        "--platform",
        action="append",
        choices=sorted(SYSTEMS),
        help="the learners' system; give it twice or more for several in one pack (without it: this machine's)",
    )
    parser.add_argument(
        "--python",
        default="3.12",
        metavar="3.12",
        help="the learners' Python, for which wheels are made (without it: 3.12)",
    )
    parser.add_argument("--size", action="store_true", help="only say what would be fetched, and how large it is")
    parser.add_argument(
        "--find-links", action="append", default=[], metavar="FOLDER", help="a folder with wheels of your own"
    )
    parser.add_argument("--no-index", action="store_true", help="use those alone")
    return pack(parser.parse_args(arguments), root)
