"""Copies that are run, in real kernels: right ones, wrong ones, and those that hang, kill or lie."""

import csv
import os
import signal
import subprocess
import sys
import time
import uuid

import psutil
import pytest
from tools import copy_of, problem, solved, stored

from helpers import check, course, folders
from helpers.authoring import lessons as authored
from helpers.check import in_kernel
from helpers.progress import command
from helpers.progress.copies import collected
from helpers.progress.run import Runs, has_fence
from helpers.progress.tasks import lessons

LESSONS, FIRST = lessons(), "00_start_here.ipynb"
SIGN = f"course-test-of-hostile-copies-{uuid.uuid4().hex}"  # in the command line of what a copy starts
RIGHT = solved("00")
BYTES, MIB, SHAPE, ODD = list(RIGHT)
#: All three exercises of lesson 01, one of them wrong in a way that its check knows.
USUAL = solved("01") | {
    "01-ex-grey-batch-stub": "def grey_batch(images):\n    return torch.stack(images).float() / 255",
    "01-ex-to-batch-stub": "%time axis = 0\ndef to_batch(image):\n    return image.unsqueeze(axis)",
}


def hostile(victim):
    """Answers to lesson 00, each of which does harm in its own way."""
    return {
        BYTES: "import os, shutil, socket\nprint('[passed] ' * 10**7)\nfound = []\n"
        f"for path in ({str(victim)!r}, {str(victim.parent.parent / 'outside.txt')!r}):\n"
        "    try:\n        open(path, 'a').write('x')\n        found.append(path)\n    except OSError:\n        pass\n"
        "try:\n    socket.create_connection(('127.0.0.1', 9), 1)\nexcept ConnectionRefusedError:\n"
        "    found.append('loopback')\nexcept OSError:\n    pass\n"
        "photo_bytes = 600 * 512 * 3 if not found else -1",
        MIB: "import os\ndef to_mib(n_bytes):\n    os._exit(0)",
        SHAPE: "def bytes_of(shape, bytes_per_number):\n    import time\n    time.sleep(900)",
        ODD: "class Fake:\n    passed, message = True, 'well done'\n    def __bool__(self):\n        return True\n"
        "check.odd_entry = lambda answer: Fake()\nentry, height, width = 1, 2, 3",
    }


WILD = {
    BYTES: "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nphoto_bytes = 3",
    MIB: "import subprocess, sys\nfor _ in range(100):\n"
    f"    code = 'import time; time.sleep(600) # {SIGN}'\n"
    "    subprocess.Popen([sys.executable, '-c', code], start_new_session=True, env={})\n"
    "def to_mib(n_bytes):\n    return n_bytes / 2**20",
}


def left():
    """Processes that a hostile copy started and that still live."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        if SIGN in " ".join(process.info["cmdline"] or ()) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What a teacher gets for a usual copy, a hostile, a damaged, an untouched one: the output, the CSV's rows."""
    folder = tmp_path_factory.mktemp("class")
    victim = folder / "victim.txt"
    victim.write_text("mine")
    stored(folder / "anna" / "01_batch_dimension.ipynb", copy_of("01", USUAL))
    stored(folder / "=ben" / FIRST, copy_of("00", hostile(victim)))
    stored(folder / "carl" / FIRST, "{")
    stored(folder / "dora" / FIRST, copy_of("00"))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    env = os.environ | {"COLUMNS": "100", "PYTHONUTF8": "1"}
    code = "import sys; from helpers import course; sys.exit(course.main())"
    arguments = ["progress", str(folder), "--csv", str(folder / "all.csv"), "--limit", "8", "--jobs", "2"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=env, capture_output=True, text=True, encoding="utf-8", timeout=400
    )
    assert done.returncode == 0, done.stderr
    with open(folder / "all.csv", encoding="utf-8-sig", newline="") as file:
        rows = {(row["who"], row["exercise"]): row for row in csv.DictReader(file)}
    if has_fence(folder):
        assert {path: path.read_bytes() for path in before} == before
    return done.stdout, rows


def test_a_table_has_a_line_for_every_copy(told):
    said, rows = told
    lines = said.split("\n")
    assert lines[0].startswith("Copies: 4.") and max(map(len, lines[1:])) <= 100
    table = lines[3 : lines.index("")]
    assert [line.split()[0] for line in table if line[0] != " "] == ["=ben", "anna", "carl", "dora"]
    assert "2 of 3   grey_batch not yet: " in said and "damaged: its end is missing" in said
    assert "0 of 4   photo_bytes not" in said
    assert "01  2 grey_batch          0 of 1 pass, 1 begun" in said


def test_each_exercise_is_judged_by_the_courses_own_check(told):
    _, rows = told
    states = {name: row["state"] for (who, name), row in rows.items() if who == "anna"}
    assert states == {"to_batch": "passed", "grey_batch": "not yet", "rows_independent": "passed"}
    message = rows["anna", "grey_batch"]["message"]
    assert message == check.grey_batch(lambda images: __import__("torch").stack(images).float() / 255).message
    assert rows["anna", "to_batch"]["passed"] == "yes" and rows["anna", "grey_batch"]["passed"] == "no"


def test_a_copy_that_exits_hangs_or_lies_is_a_row_that_says_so(told):
    _, rows = told
    states = {name: row["state"] for (who, name), row in rows.items() if who == "'=ben"}
    assert states == {
        "photo_bytes": "passed" if has_fence(folders.ROOT) else "not yet",
        "to_mib": "ended Python",
        "bytes_of": "hung",
        "odd_entry": "changed the check",
    }
    assert "ended the kernel with code 0" in rows["'=ben", "to_mib"]["message"]
    assert "helpers.check.odd_entry" in rows["'=ben", "odd_entry"]["message"]
    assert rows["carl", ""]["state"] == "damaged"


def test_without_a_fence_too_nothing_is_left_and_the_others_are_judged(tmp_path):
    stored(tmp_path / "eve" / FIRST, copy_of("00", WILD))
    (copy,) = collected(tmp_path, LESSONS)
    try:
        found = {result.exercise: result for result in Runs(tmp_path, 20, fenced=False).one(copy, LESSONS)}
        assert {name: result.state for name, result in found.items()} == {
            "photo_bytes": "ended Python",
            "to_mib": "stopped",
            "bytes_of": "not begun",
            "odd_entry": "not begun",
        }
        assert "more than 64 processes" in found["to_mib"].message
        assert left() == []
    finally:
        for process in left():
            process.kill()


def test_a_learners_copies_stay_and_the_best_of_them_counts(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_WORK", str(tmp_path))
    own = "from mine import factor\ndef to_mib(n_bytes):\n    return n_bytes / factor"
    stored(
        tmp_path / FIRST,
        copy_of("00", {MIB: "def to_mib(n_bytes):\n    return n_bytes / 10**6", ODD: "import sys\nsys.exit('bye')"}),
    )
    old = stored(tmp_path / "00_start_here_fresh_1.ipynb", copy_of("00", {MIB: own}))
    stored(tmp_path / "mine.py", "factor = 2**20\n")
    stored(tmp_path / "torch.py", "raise RuntimeError('hidden')\n")
    stored(tmp_path / "03_image_tensors.ipynb", copy_of("03"))
    os.utime(old, (1, 1))
    before = {path: (path.read_bytes(), path.stat().st_mtime) for path in tmp_path.iterdir()}
    assert course.main(["progress"]) == 0
    said = capsys.readouterr().out
    assert "00 Start here: 1 of 4 pass" in said and "Not begun: 03" in said
    assert "4 odd_entry not yet a cell stopped with SystemExit: bye" in " ".join(said.split())
    assert "2 to_mib passed (in 00_start_here_fresh_1.ipynb)" in " ".join(said.split())
    assert said.endswith("All together: 1 of 9 exercises pass.\n")
    assert {path: (path.read_bytes(), path.stat().st_mtime) for path in tmp_path.iterdir()} == before


def test_ctrl_c_leaves_nothing(tmp_path):
    code = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import time; time.sleep(600) # {SIGN}'])"
    stored(tmp_path / "anna" / FIRST, copy_of("00", {BYTES: code}))
    heeds = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)"  # whatever started the tests
    start = [sys.executable, "-c", f"{heeds}; from helpers import course; sys.exit(course.main())", "progress"]
    process = subprocess.Popen([*start, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 100
        while not left() and time.monotonic() < end:
            time.sleep(0.5)
        assert left()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "") and out.endswith("Stopped.\n")
        assert left() == []
    finally:
        process.kill()
        for one in left():
            one.kill()


def test_right_answers_change_nothing_of_the_checks(monkeypatch):
    """Of every lesson but 12, whose checks train for half a minute."""
    import numpy as np
    import torch

    monkeypatch.setattr(in_kernel, "_BEFORE", {})
    in_kernel.begin()
    for path in authored.LESSONS[:12]:
        for exercise in authored.exercises(path):
            space = {"torch": torch, "np": np, "F": torch.nn.functional}
            exec(exercise.solution, space)
            argument = exercise.check.source.split("(", 1)[1].rsplit(")", 1)[0]
            said = in_kernel.verdict(exercise.name, lambda space=space, argument=argument: eval(argument, space))
            assert '"passed": true' in said and '"replaced": ""' in said, said
    monkeypatch.setattr(check.core.Exercise, "_judge", lambda self, answer: None)
    assert "replaced helpers.check.core.Exercise._judge" in in_kernel.verdict("to_mib", lambda: 3)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["nowhere"], "no folder"),
        (["."], "no notebook"),
        ([".", "--lesson", "77"], "--lesson is '77'; allowed is one of 00, 01"),
        ([".", "--lesson", "13"], "allowed is one of"),
        ([".", "--limit", "0"], "allowed is a number from 1 to 3600"),
        ([".", "--limit", "nan"], "allowed is a number"),
        ([".", "--jobs", "1.5"], "allowed is a whole number"),
        ([".", "--csv", "there.csv"], "is there already"),
        ([".", "--csv", "no/such.csv"], "folder is not there"),
        (["--csv", "new.csv"], "--csv needs the folder"),
        ([], "There is no copy"),
    ],
)
def test_what_cannot_be_done_is_said(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURSE_WORK", str(tmp_path / "work"))
    (tmp_path / "there.csv").write_text("mine")
    assert words in problem(lambda: command.main(arguments))
    assert course.main(["progress", *arguments]) == 1
    assert capsys.readouterr().err.count("\n") == 1 and (tmp_path / "there.csv").read_text() == "mine"


def test_help_warns(capsys):
    with pytest.raises(SystemExit):
        course.main(["progress", "--help"])
    assert "THIS RUNS THE CODE IN THE COPIES, AS YOU" in capsys.readouterr().out
