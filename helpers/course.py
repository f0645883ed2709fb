"""The ``course`` command: report on this environment, copy the lessons into your own folder, open JupyterLab.

Only the standard library is imported at the top, and only old syntax is used, so that a Python that is
too old still comes far enough to say so.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import importlib
import json
import os
import re
import secrets
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urljoin

from helpers import environment, folders
from helpers.problems import Problem

LAB_SETTINGS = Path(__file__).resolve().parent / "lab_settings"
LAB_PRESENTING = LAB_SETTINGS.with_name("lab_presenting")  # settings, and the extension that starts the mode
VERSION = rf'"{environment.COURSE}":\s*"(\w+)"'  # in the metadata of a copy
#: Lessons as they were cut at first, which learners have in their folders: where the sections of each stand now.
MOVED = {
    "01_batch_dimension": {"01_batch_dimension": "1 to 4", "02_working_in_batches": "5 to 7"},
    "02_image_tensors": {"06_no_batch_in_the_model": "1", "03_image_tensors": "2, 3", "04_where_numbers_lie": "4"},
    "03_flatten_and_mlp": {"05_flatten_and_mlp": "1 to 4", "06_no_batch_in_the_model": "5, 6"},
    "04_gpu_memory": {"07_where_memory_goes": "1 to 5", "08_the_peak": "5 to 9"},
}
#: `course NAME …` hands what follows to ``main(arguments) -> exit code`` of one of these, which is loaded only then.
COMMANDS = {  # name: (module, what it does)
    "progress": ("helpers.progress.command", "which exercises pass, in your copies or in a folder of collected ones"),
    "assign": ("classroom.assign", "nbgrader assignments from the lessons: build, release, grade"),
    "pack": ("classroom.pack", "one folder with all that a room without internet needs"),
}


def without_outputs(lesson: Path) -> str:
    """The lesson's text with every output and run number taken out: a prediction should be a prediction.

    Its metadata say which version of the lesson it is. Raises `Problem` if the file is not a notebook.
    """
    try:
        notebook = json.loads(lesson.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell.update(outputs=[], execution_count=None)
        version = hashlib.sha256(json.dumps(notebook, sort_keys=True).encode()).hexdigest()[:12]
        notebook["metadata"][environment.COURSE] = version
        text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
        text.encode()  # half a character can be read, not written
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise Problem(f"The lesson {lesson} cannot be read ({error}); get the course folder again.") from None
    return text


def version_of(copy: Path) -> str:
    """The version that `without_outputs` wrote into this copy; empty if it did not, as in copies of old."""
    with suppress(OSError):
        if copy.is_file():  # reading a pipe would not end
            text = copy.read_text(encoding="utf-8", errors="replace")
            return (re.findall(VERSION, text) or [""])[0]
    return ""


def has_newer_version(text: str, copy: Path) -> bool:
    """Whether ``copy`` was made from another version than ``text`` is, and no fresh copy beside it is of that one."""
    versions = [version_of(path) for path in copy.parent.glob(f"{copy.stem}*.ipynb")]
    return version_of(copy) != "" and re.findall(VERSION, text)[0] not in versions


def place(text: str, target: Path) -> bool:
    """Write ``target`` whole or not at all; return False, and change nothing, if it is there already.

    Raises `Problem` if it cannot be written.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with open(part, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        try:
            os.link(part, target)  # unlike a move, a link never replaces a file
        except FileExistsError:
            raise
        except OSError:
            move_to_free_name(part, target)
    except FileExistsError:
        return False
    except OSError as error:
        remedy = "free some space, or name another folder in the environment variable COURSE_WORK"
        raise Problem(f"{target} cannot be written ({error.strerror}); {remedy}.") from None
    finally:
        with suppress(OSError):
            part.unlink()
    return True


def move_to_free_name(part: Path, target: Path) -> None:
    """For a file system without links: take the name first, if it is free, then move."""
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    try:
        os.replace(part, target)
    except BaseException:
        target.unlink()  # empty, and ours
        raise


class Copies(NamedTuple):
    """File names of lessons; ``outdated`` are kept copies of an older version. ``damaged``: what is wrong, in words."""

    copied: list
    kept: list
    outdated: list
    damaged: list


def copy_lessons(source: Path, work: Path) -> Copies:
    """Copy the lessons and their scripts that ``work`` does not have yet. Raises `Problem` if one cannot be written."""
    for part in work.glob(".[0-9][0-9]_*.ipynb.*.part"):  # of a copying that was killed
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > 3600:
                part.unlink()
    copies = Copies([], [], [], [])
    for name in folders.lesson_names(source):
        try:
            text = without_outputs(source / name)
        except Problem as problem:
            copies.damaged.append(problem)
            continue
        if not os.path.lexists(work / name) and place(text, work / name):
            copies.copied.append(name)
        else:
            copies.kept.append(name)
            if has_newer_version(text, work / name):
                copies.outdated.append(name)
    for name in folders.script_names(source):  # what a lesson runs; the learner may change the copy
        try:
            text = (source / name).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            copies.damaged.append(
                Problem(f"The script {source / name} cannot be read ({error}); get the course again.")
            )
            continue
        new = not os.path.lexists(work / name) and place(text, work / name)
        (copies.copied if new else copies.kept).append(name)
    return copies


def where_subjects_went(copies: Copies, work: Path) -> Iterator[str]:
    """A sentence for each lesson of the first cut in ``work``, when a lesson that holds its subjects now comes."""
    for old, parts in MOVED.items():
        name = f"{old}.ipynb"
        is_today = name in copies.kept and name not in copies.outdated and version_of(work / name)
        came = {f"{part}.ipynb" for part in parts if part != old} & set(copies.copied)
        if came and name not in copies.copied and not is_today and (work / name).is_file():
            now = ", ".join(f"{part} ({sections})" for part, sections in parts.items())
            fresh = old in parts and name not in copies.outdated
            how = f" `course --fresh {old[:2]}` puts the new one beside yours." if fresh else ""
            yield f"Your {old} stays as it is. Its sections stand now in {now}.{how}"


def lesson_named(wanted: str, source: Path) -> str:
    """The file name of the one lesson whose name is ``wanted`` or begins with it; `Problem` if not one."""
    stem = wanted[: -len(".ipynb")] if wanted.endswith(".ipynb") else wanted
    names = folders.lesson_names(source)
    if stem + ".ipynb" in names:
        return stem + ".ipynb"
    fits = [name for name in names if name.startswith(stem)]
    if len(fits) == 1:
        return fits[0]
    what = "fits more than one lesson" if fits else "is no lesson"
    raise Problem(f"{wanted!r} {what}; choose one of {', '.join(name[: -len('.ipynb')] for name in fits or names)}.")


def fresh_copy(name: str, source: Path, work: Path) -> str:
    """Put one more clean copy of the lesson beside those in ``work``; return its name."""
    text = without_outputs(source / name)
    while True:  # until nobody takes the name meanwhile
        copy = free_name(work, f"{Path(name).stem}_fresh")
        if place(text, work / copy):
            return copy


def copy_to_present(name: str, source: Path, folder: Path) -> str:
    """Put a clean copy of the lesson into ``folder``; return the new name of the one that was there, if it is kept.

    Kept is what holds more than the lesson and its outputs, such as a cell that was written before a class.
    Raises `Problem` if a copy cannot be read, written or moved.
    """
    text, target, kept = without_outputs(source / name), folder / name, ""
    try:
        if same_cells(text, target):
            target.unlink()
        elif os.path.lexists(target):
            kept = free_name(folder, f"{target.stem}_kept")
            os.rename(target, folder / kept)
    except OSError as error:
        raise Problem(f"{target} cannot be moved ({error.strerror}); rename it yourself.") from None
    place(text, target)
    return kept


def free_name(folder: Path, stem: str) -> str:
    """The first of `stem_1.ipynb`, `stem_2.ipynb` … that nothing in ``folder`` has."""
    number = 1
    while os.path.lexists(folder / f"{stem}_{number}.ipynb"):
        number += 1
    return f"{stem}_{number}.ipynb"


def same_cells(text: str, path: Path) -> bool:
    """Whether the notebook in ``path`` has the cells of the one in ``text``, whatever its outputs and metadata."""

    def cells(notebook: str) -> list:
        return [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(notebook)["cells"]]

    try:
        return path.is_file() and cells(path.read_text(encoding="utf-8")) == cells(text)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False


def usable_port(given: str) -> int:
    """``given`` as a number that JupyterLab can listen on; `Problem` if it is no port or not free."""
    port = int(given) if given.isascii() and given.isdigit() and len(given) <= 5 else 0
    if not 1 <= port <= 65535:
        raise Problem(f"--port is {given}; allowed is a whole number from 1 to 65535, as in --port 8890.")
    for family, _, _, _, address in socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM):
        try:
            socket.create_server(address[:2], family=family).close()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise Problem(f"Port {port} is in use; give another one, or leave --port out.") from None
            if isinstance(error, PermissionError):
                raise Problem(f"Port {port} may not be used here; give another one, or leave --port out.") from None
    return port


def lab_arguments(work: Path, lesson: str, port, browser: bool, presenting: bool) -> list:
    """What JupyterLab is told; it reads the learner's own settings too, but ours ask no questions.

    presenting: with settings of its own only, so that what is changed before a class stays there.
    """
    arguments = [
        f"--ServerApp.root_dir={work}",
        f"--LabApp.default_url=/{'doc' if presenting else 'lab'}/tree/{quote(lesson)}",
        f"--LabApp.app_settings_dir={LAB_PRESENTING if presenting else LAB_SETTINGS}",
        f"--LabApp.workspaces_dir={work / '.jupyterlab'}",  # which tabs were open: for the course alone
        f"--ServerApp.open_browser={browser}",
        "--ServerApp.answer_yes=True",
        "--LanguageServerManager.autodetect=False",  # else it looks for npm and runs it
    ]
    if presenting:
        arguments.append(f"--LabApp.user_settings_dir={work / '.jupyterlab' / 'settings'}")
        arguments.append(f"--LabApp.extra_labextensions_path={LAB_PRESENTING / 'labextensions'}")
    if port is not None:
        arguments += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--allow-root")  # containers
    return arguments


def run_lab(work: Path, lesson: str, port, browser: bool, presenting: bool = False) -> None:
    """Run JupyterLab in this very process until Ctrl-C, so that nothing of it can stay behind.

    Raises `Problem` if JupyterLab is not installed or does not start.
    """
    try:
        from jupyterlab.labapp import LabApp
    except ImportError as error:
        raise Problem(f"JupyterLab cannot be loaded ({error}); {environment.INSTALL}.") from None
    os.environ["COURSE_WORK"] = str(work)
    os.environ.setdefault("JUPYTER_TOKEN", secrets.token_hex(24))  # Jupyter logs a token only if it made it itself
    with log_instead_of_terminal(work / ".jupyterlab" / "log.txt") as log:
        try:
            server = LabApp.initialize_server(argv=lab_arguments(work, lesson, port, browser, presenting))
            # Jupyter's own answer to Ctrl-C differs by terminal and system, and a second one may hurt it.
            signal.signal(signal.SIGINT, lambda *_: None if server._stopping else server.stop(from_signal=True))
            server.io_loop.add_callback(print_address, server, browser)  # the server listens only when its loop runs
            server.start()
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # one more Ctrl-C, while Python ends
        except (SystemExit, Exception):
            traceback.print_exc()  # into the log
            raise Problem(f"JupyterLab did not start; the file {log} says why.") from None
    print("JupyterLab has stopped. Your lessons are in", work)


def print_address(server, browser: bool) -> None:
    info = server.server_info()
    address = urljoin(info["url"], server.default_url) + (f"?token={quote(info['token'])}" if info["token"] else "")
    opens = "opens in your browser; if it does not, open" if browser else "runs; open"
    print(f"\nJupyterLab {opens} this address:\n    {address}\nPress Ctrl-C here to stop.", flush=True)


@contextmanager
def log_instead_of_terminal(log: Path) -> Iterator[Path]:
    """Send what this process and its kernels write to the error stream into the file ``log``, or raise `Problem`."""
    terminal = os.dup(2)
    try:
        try:
            log.parent.mkdir(exist_ok=True)
            with open(log, "w", encoding="utf-8") as file:
                os.dup2(file.fileno(), 2)
        except OSError as error:
            remedy = f"rename {log.parent}, or free some space"
            raise Problem(f"{log} cannot be written ({error.strerror}); {remedy}.") from None
        yield log
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


def options(arguments) -> argparse.Namespace:
    more = "".join(f"\n  {f'course {name} --help':24}{what}" for name, (_, what) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="course",
        description="See that all is there, copy the lessons, open them.",
        epilog=f"more commands:{more}" if more else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", action="store_true", help="only report on the environment")
    parser.add_argument("--no-browser", action="store_true", help="print the address, open no browser")
    parser.add_argument("--port", metavar="N", help="the port of JupyterLab (without it: the first free one from 8888)")
    parser.add_argument("--fresh", metavar="NAME", help="open a new copy of a lesson, such as 01, beside the old one")
    parser.add_argument(
        "--present", metavar="NAME", help="show a lesson to a class: a clean copy, alone, in large text"
    )
    return parser.parse_args(arguments)


def open_course(chosen: argparse.Namespace) -> int:
    """Everything after the options; returns the exit code. Raises `Problem`."""
    if chosen.fresh is not None and chosen.present is not None:
        raise Problem("--fresh and --present do not go together; give one, as in --present 03, which is a copy too.")
    port = None if chosen.port is None else usable_port(chosen.port)
    problems = environment.print_findings()
    if chosen.check or any(problem.stops for problem in problems):
        if not chosen.check:
            print('The lessons cannot run like this; follow "what to do" above, then start again.', file=sys.stderr)
        return 1 if problems else 0
    source, work = folders.lessons_folder(), folders.work_folder().resolve()
    if chosen.present is not None:
        return present(lesson_named(chosen.present, source), source, work / "present", port, not chosen.no_browser)
    again = lesson_named(chosen.fresh, source) if chosen.fresh is not None else None
    copies = copy_lessons(source, work)
    for what, names in (("Copied into", copies.copied), ("Kept as they were in", copies.kept)):
        if names:
            print(f"{what} {work}: {', '.join(names)}")
    for sentence in where_subjects_went(copies, work):
        print(sentence)
    for name in [name for name in copies.outdated if name != again]:
        print(f"Lesson {name[:2]} has a newer version; `course --fresh {name[:2]}` puts it beside yours.")
    for problem in copies.damaged:
        print(problem, file=sys.stderr)
    there = [name for name in folders.lesson_names(source) if (work / name).exists()]
    if again:
        there = [fresh_copy(again, source, work)]
        print(f"Fresh copy: {there[0]}")
    if there:
        run_lab(work, there[0], port, not chosen.no_browser)
    return 1 if copies.damaged else 0


def present(lesson: str, source: Path, folder: Path, port, browser: bool) -> int:
    """Show one lesson to a class, from a folder of its own; return the exit code. Raises `Problem`."""
    folder.mkdir(exist_ok=True)
    kept = copy_to_present(lesson, source, folder)
    if kept:
        print(f"The copy that was presented before differs from the lesson; it is kept: {folder / kept}")
    print(f"Presented is a clean copy: {folder / lesson}")
    run_lab(folder, lesson, port, browser, True)
    return 0


def main(arguments=None) -> int:
    """Run the command; return its exit code: 0 all well or stopped by Ctrl-C, 1 a problem, said in words."""
    arguments = sys.argv[1:] if arguments is None else arguments
    command = COMMANDS.get(arguments[0]) if arguments else None
    chosen = None if command else options(arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a folder's name may not fit an old console
    try:
        if sys.version_info[:2] < environment.OLDEST_PYTHON:
            environment.print_findings()
            return 1
        if command:
            return importlib.import_module(command[0]).main(arguments[1:])
        return open_course(chosen)
    except Problem as problem:
        print(problem, file=sys.stderr)
    except BrokenPipeError:  # `course --check | head -1`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except OSError as error:
        print(f"The course cannot go on ({error}); mend that, then start again.", file=sys.stderr)
    except KeyboardInterrupt:
        print("Stopped.")
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
