"""The ``course`` command: what it finds, what it copies, how JupyterLab starts and ends."""

import ast
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import tomllib
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import nbformat
import pytest
from jupyterlab_server.config import get_page_config
from tools import problem

from helpers import course, environment, folders, problems
from helpers.authoring.lab import free_port

ROOT = folders.ROOT
# Loading the real pair takes longer than all the rest of a report, so only one test does; the other
# processes get this stand-in.
STAND_IN_TORCH = """
from types import SimpleNamespace as N
__version__ = "2.15.0"
cuda = N(is_available=lambda: False)
backends = N(mps=N(is_available=lambda: False))
"""
BROKEN_PAIR = 'raise RuntimeError("operator torchvision::nms does not exist")'


def notebook(text="1 + 1"):
    output = {"output_type": "execute_result", "execution_count": 3, "data": {"text/plain": "2"}, "metadata": {}}
    code = {"cell_type": "code", "id": "00-sum", "metadata": {"tags": ["exercise"]}, "source": text}
    return {
        "cells": [
            {"cell_type": "markdown", "id": "00-title", "metadata": {}, "source": "# Größe ändern"},
            code | {"execution_count": 3, "outputs": [output]},
        ],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def make_lessons(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("00_start_here", "01_batch_dimension", "02_channels", "02_colours"):
        (folder / f"{name}.ipynb").write_text(json.dumps(notebook()), encoding="utf-8")
    return folder


@pytest.fixture
def lessons(tmp_path, monkeypatch):
    """Four small lessons and an empty work folder; JupyterLab only notes how it was started."""
    source = make_lessons(tmp_path / "notebooks")
    monkeypatch.setattr(folders, "lessons_folder", lambda: source)
    monkeypatch.setenv("COURSE_WORK", str(tmp_path / "my work"))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    return source


@pytest.fixture
def started(lessons, monkeypatch):
    """The list of JupyterLab's starts, of which none is real; the report is short."""
    starts = []
    monkeypatch.setattr(course, "run_lab", lambda *what: starts.append(what))
    monkeypatch.setattr(environment, "INSPECTIONS", (environment.inspect_python,))
    return starts


@pytest.fixture
def work(tmp_path):
    return tmp_path / "my work"


def stand_ins(folder, torchvision="__version__ = '0.29.2'"):
    for name, code in (("torch", STAND_IN_TORCH), ("torchvision", torchvision)):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(code)
    return folder


def surroundings(tmp_path, torchvision="__version__ = '0.29.2'", **more):
    (tmp_path / "home").mkdir(exist_ok=True)
    home = str(tmp_path / "home")
    path = os.pathsep.join([str(stand_ins(tmp_path / "stand_ins", torchvision)), str(ROOT)])
    return os.environ | {"PYTHONPATH": path, "COURSE_WORK": str(tmp_path / "my work"), "HOME": home} | more


def as_command(source, before=""):
    """The command in its own process, with the lessons of ``source``, after the code ``before``."""
    code = "from helpers import course, environment, folders; from pathlib import Path; "
    code += f"folders.lessons_folder = lambda: Path({str(source)!r}); {before}\nraise SystemExit(course.main())"
    return [sys.executable, "-c", code]


# the report


def test_report_is_well_here(lessons, capsys):
    assert course.main(["--check"]) == 0
    said = capsys.readouterr().out
    assert "[problem]" not in said
    assert said.count("[ok]") >= len(environment.INSPECTIONS) + 6
    for name in re.findall(r'"([a-z-]+)>=', (ROOT / "pyproject.toml").read_text().split("[project.scripts]")[0]):
        assert f"[ok] {name} " in said
    assert "GPU found" in said
    assert str(lessons.parent) not in said and sys.prefix not in said  # lesson 00 stores what it prints


def test_old_python_can_read_the_module_and_hears_why(lessons, monkeypatch, capsys):
    for module in (course, environment, folders, problems):
        ast.parse(Path(module.__file__).read_text(encoding="utf-8"), feature_version=(3, 7))
    monkeypatch.setattr(environment, "OLDEST_PYTHON", (99, 0))
    monkeypatch.setattr(environment, "INSPECTIONS", (environment.inspect_python, environment.inspect_lessons))
    assert course.main([]) == 1
    said = capsys.readouterr().out
    assert re.search(r"\[problem\] Python 3\S+ is too old.*\n    what to do: .+\n\[ok\] lessons found: 4", said)


def test_torch_and_torchvision_of_different_builds(lessons, tmp_path):
    env = surroundings(tmp_path, BROKEN_PAIR)
    ended = subprocess.run([*as_command(lessons), "--check"], env=env, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "[problem] torch and torchvision come from different builds" in ended.stdout
    assert ended.stdout.count("[problem]") == ended.stdout.count("what to do: reinstall both together") == 1
    assert "[ok] the handwritten digits" in ended.stdout  # what comes after it was not hidden
    assert "Traceback" not in ended.stdout + ended.stderr


def test_work_folder_that_cannot_be_written(lessons, monkeypatch, capsys, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("COURSE_WORK", str(tmp_path / "file" / "work"))
    monkeypatch.setattr(environment, "INSPECTIONS", (environment.inspect_work_folder,))
    assert course.main([]) == 1
    said = capsys.readouterr()
    assert "[problem] your work folder cannot be written" in said.out and "COURSE_WORK" in said.out
    assert said.err.count("\n") == 1


def test_an_inspection_that_breaks_hides_none(monkeypatch, capsys):
    def inspect_the_moon():
        raise KeyError("cheese")
        yield

    monkeypatch.setattr(environment, "INSPECTIONS", (inspect_the_moon, environment.inspect_python))
    assert course.main(["--check"]) == 1
    assert re.search(
        r"\[problem\] the moon: cannot be inspected.*\n    what to do: .*\n\[ok\] Python", capsys.readouterr().out
    )


@pytest.mark.parametrize("output", ["pipe", "/dev/full"])
def test_output_that_nobody_takes(output, lessons, tmp_path):
    if output != "pipe" and not os.path.exists(output):
        pytest.skip("no device that is always full")
    # More than a pipe holds, so that lines are left when its reader has gone.
    command = as_command(lessons, "environment.INSPECTIONS = (environment.inspect_python,) * 5000")
    with open(os.devnull if output == "pipe" else output, "w") as target:
        stdout = subprocess.PIPE if output == "pipe" else target
        process = subprocess.Popen(
            [*command, "--check"], env=surroundings(tmp_path), stdout=stdout, stderr=subprocess.PIPE, text=True
        )
        if output == "pipe":
            assert process.stdout.readline().startswith("[ok] Python")
            process.stdout.close()
        said = process.stderr.read()
        process.stderr.close()
    assert process.wait(timeout=30) == 1
    assert said == "" if output == "pipe" else said.count("\n") == 1 and "No space left" in said


# the copies


def test_copies_have_no_outputs_and_keep_everything_else(started, lessons, work):
    assert course.main([]) == 0
    assert sorted(path.name for path in work.iterdir()) == sorted(path.name for path in lessons.iterdir())
    expected = notebook()
    expected["cells"][1].update(outputs=[], execution_count=None)
    expected["metadata"][environment.COURSE] = course.version_of(work / "00_start_here.ipynb")
    text = (work / "00_start_here.ipynb").read_text(encoding="utf-8")
    assert json.loads(text) == expected and "Größe" in text
    assert started == [(work.resolve(), "00_start_here.ipynb", None, True)]


def test_an_edited_lesson_stays_byte_for_byte(started, work, capsys):
    work.mkdir()
    mine = b"not even a notebook \xff\r\n"
    (work / "01_batch_dimension.ipynb").write_bytes(mine)
    assert course.main(["--no-browser", "--fresh", "01"]) == 0
    assert (work / "01_batch_dimension.ipynb").read_bytes() == mine
    said = capsys.readouterr().out
    assert re.search(r"Copied into .*: 00_start_here.ipynb, 02_channels.ipynb, 02_colours.ipynb\n", said)
    assert re.search(r"Kept as they were in .*: 01_batch_dimension.ipynb\n", said)


def test_scripts_of_lessons_come_along_and_a_changed_one_stays(lessons, work, started, capsys):
    (lessons / "split_batch.py").write_text("print(1)\n", encoding="utf-8")
    assert course.main(["--no-browser"]) == 0
    assert (work / "split_batch.py").read_text() == "print(1)\n"
    (work / "split_batch.py").write_text("print(2)\n")
    assert course.main(["--no-browser"]) == 0
    assert (work / "split_batch.py").read_text() == "print(2)\n"
    (lessons / "broken.py").write_bytes(b"\xff")
    assert course.main(["--no-browser"]) == 1
    assert "broken.py cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("links", [True, False])
def test_place_never_replaces_and_leaves_nothing_half(links, tmp_path, monkeypatch):
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("no links on this file system")))
    assert course.place("first", tmp_path / "a") and not course.place("second", tmp_path / "a")
    assert (tmp_path / "a").read_text() == "first" and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(UnicodeEncodeError):
        course.place("broken off \ud800", tmp_path / "b")
    assert len(list(tmp_path.iterdir())) == 1


def test_fresh_twice_gives_two_files(started, work):
    for name in ("01", "01_batch_dimension.ipynb"):
        assert course.main(["--fresh", name]) == 0
    names = ["01_batch_dimension_fresh_1.ipynb", "01_batch_dimension_fresh_2.ipynb"]
    assert [start[1] for start in started] == names
    assert all((work / name).is_file() for name in names)


@pytest.mark.parametrize(
    "name, words", [("7", ["is no lesson", "01_batch"]), ("02", ["02_channels, 02_colours"]), ("../x", ["is no"])]
)
def test_fresh_of_no_lesson(name, words, started, capsys):
    assert course.main(["--fresh", name]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and all(word in said for word in words) and not started


DAMAGES = {
    "no cells": '{"cells": 3}',
    "a list": "[1]",
    "half": '{"cells": [',
    "cells of text": '{"cells": ["x"], "metadata": {}}',
    "no metadata": '{"cells": []}',
    "deep": '{"cells": ' + "[" * 200_000,
    "half a character": '{"cells": [], "metadata": {"x": "\\ud800"}}',
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_lesson_that_is_damaged_keeps_no_other_back(damage, started, lessons, work, capsys):
    (lessons / "00_start_here.ipynb").write_text(damage)
    assert course.main([]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "00_start_here.ipynb cannot be read" in said
    names = ["01_batch_dimension.ipynb", "02_channels.ipynb", "02_colours.ipynb"]
    assert sorted(path.name for path in work.iterdir()) == names
    assert started == [(work.resolve(), "01_batch_dimension.ipynb", None, True)]


def test_damaged_lesson_of_which_there_is_a_copy(started, lessons, work):
    assert course.main([]) == 0
    (lessons / "00_start_here.ipynb").write_text("{")
    (work / "01_batch_dimension.ipynb").unlink()
    assert course.main([]) == course.main(["--fresh", "00"]) == 1
    assert [start[1] for start in started] == ["00_start_here.ipynb"] * 2
    assert sorted(path.name for path in work.iterdir()) == sorted(path.name for path in lessons.iterdir())


def test_new_version_of_a_lesson_is_announced_until_it_is_there(started, lessons, work, capsys):
    def announced():
        assert course.main(["--no-browser"]) == 0
        return re.findall(r"Lesson .*", capsys.readouterr().out)

    lesson, mine = lessons / "01_batch_dimension.ipynb", work / "01_batch_dimension.ipynb"
    assert announced() == []
    copy = nbformat.read(mine, as_version=4)
    copy.cells[1].source = "my answer"
    nbformat.write(copy, mine)  # as JupyterLab stores it
    edited = mine.read_bytes()
    ran_again = notebook()
    ran_again["cells"][1]["outputs"] = []
    lesson.write_text(json.dumps(ran_again))
    assert announced() == []
    lesson.write_text(json.dumps(notebook("2 + 2")))
    said = ["Lesson 01 has a newer version; `course --fresh 01` puts it beside yours."]
    assert announced() == announced() == said
    assert course.main(["--fresh", "01"]) == 0 and "newer version" not in capsys.readouterr().out
    assert announced() == []
    assert "2 + 2" in (work / "01_batch_dimension_fresh_1.ipynb").read_text()
    lesson.write_text(json.dumps(notebook("3 + 3")))
    assert announced() == said
    assert mine.read_bytes() == edited


def test_subjects_of_the_first_cut_are_found_again_and_said_once(started, lessons, work, capsys):
    def said():
        assert course.main(["--no-browser"]) == 0
        return re.findall(r"Your (\w+) stays as it is\. Its sections stand now in (.+)\.", capsys.readouterr().out)

    work.mkdir()
    for name in ("01_batch_dimension", "02_image_tensors", "04_gpu_memory"):  # of old, without a version
        (work / f"{name}.ipynb").write_text(json.dumps(notebook("my answer")))
    assert said() == []  # nothing new has come
    for name in ("02_working_in_batches", "03_image_tensors", "07_where_memory_goes"):
        (lessons / f"{name}.ipynb").write_text(json.dumps(notebook()))
    first = dict(said())
    assert list(first) == ["01_batch_dimension", "02_image_tensors", "04_gpu_memory"]
    assert first["01_batch_dimension"] == (
        "01_batch_dimension (1 to 4), 02_working_in_batches (5 to 7). `course --fresh 01` puts the new one beside yours"
    )
    assert first["02_image_tensors"].startswith("06_no_batch_in_the_model (1), 03_image_tensors (2, 3), ")
    assert said() == []
    assert "my answer" in (work / "02_image_tensors.ipynb").read_text()


def test_who_begins_with_the_new_cut_hears_nothing_of_the_old(started, lessons, work, capsys):
    (lessons / "02_working_in_batches.ipynb").write_text(json.dumps(notebook()))
    for again in ("nothing", "02_working_in_batches.ipynb"):
        (work / again).unlink(missing_ok=True)  # a lesson that was thrown away comes back
        assert course.main(["--no-browser"]) == 0
        assert "stand now" not in capsys.readouterr().out


def test_every_place_that_is_named_for_old_subjects_is_a_lesson():
    there = {name.removesuffix(".ipynb") for name in folders.lesson_names(ROOT / "notebooks")}
    assert {part for parts in course.MOVED.values() for part in parts} <= there


@pytest.mark.parametrize("kind", ["old copy", "no notebook", "folder", "dangling link", "pipe"])
def test_copy_without_a_version_is_not_called_old(kind, started, work, capsys):
    mine = work / "01_batch_dimension.ipynb"
    work.mkdir()
    if kind == "folder":
        mine.mkdir()
    elif kind == "dangling link":
        mine.symlink_to(work / "nowhere")
    elif kind == "pipe":
        os.mkfifo(mine)
    else:
        mine.write_text(json.dumps(notebook("1 + 2")) if kind == "old copy" else "\0")
    assert course.main([]) == 0
    assert "newer version" not in capsys.readouterr().out and os.path.lexists(mine)


@pytest.mark.parametrize("arguments", [[], ["--fresh", "01"]])
def test_full_disk_while_copying(arguments, lessons, work, tmp_path):
    work.mkdir()
    if arguments:
        course.copy_lessons(lessons, work)
    before = {path: path.read_bytes() for path in work.iterdir()}
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300)); environment.INSPECTIONS = ()"
    command = [*as_command(lessons, full), *arguments]
    ended = subprocess.run(command, env=surroundings(tmp_path), capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert re.fullmatch(r".*0._\w+\.ipynb cannot be written \(File too large\); free some space.*\n", ended.stderr)
    assert {path: path.read_bytes() for path in work.iterdir()} == before


def test_full_disk_is_in_the_report(lessons, tmp_path):
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300)); "
    full += "environment.INSPECTIONS = (environment.inspect_work_folder,)"
    command = [*as_command(lessons, full), "--check"]
    ended = subprocess.run(command, env=surroundings(tmp_path), capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1 and ended.stderr == ""
    assert re.match(r"\[problem\] your work folder cannot be written .*\n    what to do: free some", ended.stdout)


def test_disk_without_links_that_fills_up_or_is_left(tmp_path, monkeypatch):
    def fails_with(error):
        def fail(*_):
            raise error

        return fail

    monkeypatch.setattr(os, "link", fails_with(OSError("no links on this file system")))
    for error, expected in ((OSError(28, "No space left"), problems.Problem), (KeyboardInterrupt(),) * 2):
        monkeypatch.setattr(os, "replace", fails_with(error))
        with pytest.raises(expected if isinstance(expected, type) else KeyboardInterrupt):
            course.place("text", tmp_path / "a")
        assert list(tmp_path.iterdir()) == []


def test_what_a_killed_copying_left_goes(started, lessons, work):
    work.mkdir()
    of_old, of_now = work / ".01_batch_dimension.ipynb.7.part", work / ".01_batch_dimension.ipynb.8.part"
    mine = work / ".mine.part"
    for path in (of_old, of_now, mine):
        path.write_text("half")
    for path in (of_old, mine):
        os.utime(path, (0, 0))
    assert course.main([]) == 0
    assert not of_old.exists() and of_now.exists() and mine.exists()


# presenting


def presented(work):
    """What the folder of presented copies holds: the source of each cell, by file name."""
    found = {path.name: nbformat.read(path, as_version=4) for path in sorted((work / "present").glob("*.ipynb"))}
    return {name: [cell.source for cell in copy.cells] for name, copy in found.items()}


def test_present_shows_a_clean_copy_in_a_folder_of_its_own(started, work):
    work.mkdir()
    mine = work / "01_batch_dimension.ipynb"
    mine.write_text("mine")
    assert course.main(["--present", "01", "--no-browser"]) == 0
    assert started == [(work.resolve() / "present", "01_batch_dimension.ipynb", None, False, True)]
    assert mine.read_text() == "mine" and {path.name for path in work.iterdir()} == {mine.name, "present"}
    copy = json.loads((work / "present" / "01_batch_dimension.ipynb").read_text(encoding="utf-8"))
    assert copy["cells"][1]["outputs"] == [] and copy["cells"][1]["source"] == "1 + 1"


def test_what_a_class_left_in_the_presented_copy(started, work, capsys):
    """Outputs go before the next class; a cell that was written in class is kept beside the clean copy."""
    assert course.main(["--present", "01"]) == 0
    name = "01_batch_dimension.ipynb"
    path = work / "present" / name
    used = json.loads(path.read_text(encoding="utf-8"))
    used["cells"][1].update(notebook()["cells"][1], execution_count=7)
    used["metadata"]["language_info"] = {"name": "python"}  # JupyterLab adds more of it
    path.write_text(json.dumps(used))
    assert course.main(["--present", "01"]) == 0
    assert presented(work) == {name: ["# Größe ändern", "1 + 1"]}
    assert json.loads(path.read_text(encoding="utf-8"))["cells"][1]["outputs"] == []
    assert "kept" not in capsys.readouterr().out
    for number, left in enumerate([json.dumps(notebook("1 + 2")), "no notebook", "{}"], start=1):
        path.write_text(left)
        assert course.main(["--present", "01"]) == 0
        kept = work / "present" / f"01_batch_dimension_kept_{number}.ipynb"
        assert kept.read_text() == left and str(kept.resolve()) in capsys.readouterr().out
        assert course.same_cells(json.dumps(notebook()), path)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--present", "7"], "'7' is no lesson; choose one of"),
        (["--present", "02"], "'02' fits more than one lesson"),
        (["--present", "01", "--fresh", "01"], "--fresh and --present do not go together; give one"),
    ],
)
def test_present_that_cannot_be(arguments, said, started, work, capsys):
    assert course.main(arguments) == 1
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1 and not started
    assert not (work / "present").exists()


def test_present_where_no_folder_can_be(started, work, capsys):
    work.mkdir()
    (work / "present").write_text("mine")
    assert course.main(["--present", "01"]) == 1
    assert capsys.readouterr().err.count("\n") == 1 and (work / "present").read_text() == "mine" and not started


# JupyterLab


@pytest.mark.parametrize("port", ["0", "65536", "-1", "8888.5", "http", "", "9" * 5000])
def test_port_that_is_none(port, started, capsys):
    assert course.main([f"--port={port}"]) == 1
    assert "from 1 to 65535" in capsys.readouterr().err and not started


def test_port_in_use(started, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert course.main(["--port", str(port)]) == 1
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and f"Port {port} is in use" in said.err and not started
    assert course.main(["--port", str(port)]) == 0 and started[0][2] == port


def test_a_problem_that_stops_and_one_that_does_not(started, monkeypatch):
    def inspect_with(stops):
        return lambda: iter([environment.Finding("bad", "mend it", stops)])

    monkeypatch.setattr(environment, "INSPECTIONS", (inspect_with(True),))
    assert course.main([]) == 1 and not started
    monkeypatch.setattr(environment, "INSPECTIONS", (inspect_with(False),))
    assert course.main([]) == 0 and started
    assert course.main(["--check"]) == 1


def test_missing_jupyterlab_is_one_sentence(lessons, monkeypatch, capsys):
    monkeypatch.setattr(environment, "INSPECTIONS", ())
    monkeypatch.setitem(sys.modules, "jupyterlab.labapp", None)
    assert course.main([]) == 1
    said = capsys.readouterr().err
    assert said.startswith("JupyterLab cannot be loaded") and said.count("\n") == 1


@pytest.mark.parametrize("kind", ["file", "dangling link", "log is a folder"])
def test_log_that_cannot_be_written(kind, tmp_path):
    place = tmp_path / ".jupyterlab"
    if kind == "file":
        place.write_text("mine")
    elif kind == "dangling link":
        place.symlink_to(tmp_path / "nowhere")
    else:
        (place / "log.txt").mkdir(parents=True)
    said = problem(course.log_instead_of_terminal(place / "log.txt").__enter__)
    assert "log.txt cannot be written (" in said and f"rename {place}" in said
    assert kind != "file" or place.read_text() == "mine"


def test_jupyterlab_that_breaks_at_its_start(lessons, work, tmp_path):
    (tmp_path / "file").write_text("in the way")
    env = surroundings(tmp_path, JUPYTER_RUNTIME_DIR=str(tmp_path / "file" / "x"))
    command = [*as_command(lessons, "environment.INSPECTIONS = ()"), "--no-browser"]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    log = work.resolve() / ".jupyterlab" / "log.txt"
    assert ended.returncode == 1 and ended.stderr == f"JupyterLab did not start; the file {log} says why.\n"
    assert "NotADirectoryError" in log.read_text()


def test_ctrl_c_before_jupyterlab_runs(started, monkeypatch, capsys):
    monkeypatch.setattr(environment, "print_findings", lambda: os.kill(os.getpid(), signal.SIGINT) or time.sleep(5))
    assert course.main([]) == 0 and not started


@pytest.mark.parametrize("folder", [course.LAB_SETTINGS, course.LAB_PRESENTING], ids=lambda folder: folder.name)
def test_settings_name_real_settings(folder):
    from jupyterlab.commands import get_app_dir

    settings = json.loads((folder / "overrides.json").read_text())
    for plugin, values in settings.items():
        package, name = plugin.split(":")
        schema = json.loads(Path(get_app_dir(), "schemas", package, f"{name}.json").read_text(encoding="utf-8"))
        assert set(values) <= set(schema["properties"])


@pytest.mark.parametrize("folder", [course.LAB_SETTINGS, course.LAB_PRESENTING], ids=lambda folder: folder.name)
def test_what_a_teacher_installs_adds_no_menu_to_a_lesson(folder):
    assert "@jupyter/nbgrader" in get_page_config([], str(folder))["disabledExtensions"]


@pytest.mark.skipif(os.name == "nt", reason="a Ctrl-C cannot be sent to one process on Windows")
def test_jupyterlab_starts_serves_and_ends(lessons, tmp_path):
    port = free_port()
    command = [*as_command(lessons), "--no-browser", "--port", str(port)]
    process = subprocess.Popen(
        command, env=surroundings(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        said = ""
        for line in process.stdout:
            said += line
            if line.startswith("Press Ctrl-C"):
                break
        address = re.search(rf"http://localhost:{port}/lab/tree/00_start_here\.ipynb\?token=\w+", said).group()
        assert "JupyterLab" in read_page(address)
        news = "lab/api/settings/@jupyterlab/apputils-extension:notification"
        schema = json.loads(read_page(address.replace("lab/tree/00_start_here.ipynb", news)))["schema"]
        assert schema["properties"]["fetchNews"]["default"] == "false"
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)  # an impatient learner
        rest = process.stdout.readline()
        process.send_signal(signal.SIGINT)  # and once more, while Python ends
        rest += process.communicate(timeout=15)[0]
    finally:
        process.kill()
    assert process.returncode == 0
    assert rest.splitlines() == [f"JupyterLab has stopped. Your lessons are in {(tmp_path / 'my work').resolve()}"]
    assert "Traceback" not in said and "[problem]" not in said
    socket.create_server(("127.0.0.1", port)).close()


def read_page(address):
    end = time.monotonic() + 20
    while True:
        try:
            return build_opener(ProxyHandler({})).open(address, timeout=20).read().decode()
        except URLError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


# the pip way


def can_build_editable():
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    return find_spec("hatchling") and ("dev-mode-dirs" in build or find_spec("editables"))


@pytest.mark.skipif(not can_build_editable(), reason="hatchling, or editables that it needs for -e, is not installed")
def test_pip_install_offline(tmp_path):
    checkout, venv = tmp_path / "checkout", tmp_path / "venv"
    make_lessons(checkout / "notebooks")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    shutil.copytree(ROOT / "helpers", checkout / "helpers", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, timeout=60)
    programs = venv / ("Scripts" if os.name == "nt" else "bin")
    # What the course needs is seen in this environment, not installed again.
    inside = sysconfig.get_path("purelib", "venv", {"base": str(venv)})
    Path(inside, "seen.pth").write_text(sysconfig.get_path("purelib"))
    env = surroundings(tmp_path, PIP_NO_INDEX="1", JUPYTER_PATH=str(Path(sys.prefix, "share", "jupyter")))
    env["PYTHONPATH"] = str(tmp_path / "stand_ins")  # without the checkout that the tests run in
    pip = [programs / "python", "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "-e", checkout]
    subprocess.run(pip, env=env, check=True, timeout=60)
    check = [programs / "course", "--check"]
    ended = subprocess.run(check, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "[ok] lessons found: 4" in ended.stdout
