"""Several processes: what they give back, what is said when they fail, and that nothing of them is ever left."""

import inspect
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from functools import partial
from importlib import import_module
from pathlib import Path

import psutil
import pytest
import torch
from jupyter_client.manager import KernelManager
from tools import problem
from torch import distributed, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from helpers import folders, models, processes
from helpers.authoring import lessons
from helpers.authoring.lab import free_port
from helpers.processes import failures, source, stored, supervisor

LESSON = folders.lessons_folder() / "10_more_than_one_process.ipynb"
images, labels = torch.rand(64, 1, 28, 28, generator=torch.Generator().manual_seed(0)), torch.arange(64) % 10


TOKEN = uuid.uuid4().hex
os.environ["COURSE_TEST"] = TOKEN  # inherited by kernels, supervisors and all below


def ours() -> list[psutil.Process]:
    """Every living process of a run that these tests started; others may run some at the same time."""
    found = []
    for process in psutil.process_iter():
        try:
            own = process.environ().get("COURSE_TEST") == TOKEN and process.pid != os.getpid()
            if own and supervisor.MARK in process.environ() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            pass
    return found


def wait_until(what, seconds=60) -> bool:
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.1)
    return what()


@pytest.fixture(autouse=True)
def nothing_is_left(monkeypatch):
    monkeypatch.delenv("COURSE_PROCESSES", raising=False)
    before = {process.pid for process in ours()}
    yield
    assert wait_until(lambda: not {process.pid for process in ours()} - before, 10)


def script(folder: Path, text: str) -> Path:
    """A script of a learner. It imports PyTorch where it says `dist`: that takes seconds in each process."""
    path, imports = folder / "mine.py", "import torch.distributed as dist\n" if "dist." in text else ""
    path.write_text(f"import os, time\n{imports}{text}", encoding="utf-8")
    return path


# what comes back


def network() -> nn.Module:
    torch.manual_seed(0)
    return models.mlp()


def steps(rank, ranks):
    model = DistributedDataParallel(network())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for rows in torch.arange(64).split(16):
        mine = rows[rank::ranks]
        F.cross_entropy(model(images[mine]), labels[mine]).backward()
        optimizer.step()
        optimizer.zero_grad()
    return [parameter.detach() for parameter in model.parameters()], {"rank": rank, "said": (None, 1.5, "ü")}


for function in (network, steps):
    function.__module__ = "__main__"  # as in a notebook


def test_two_ranks_end_with_the_weights_of_one_process():
    (first, told), (second, _) = processes.run(steps)
    assert told == {"rank": 0, "said": (None, 1.5, "ü")}
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for rows in torch.arange(64).split(16):
        F.cross_entropy(model(images[rows]), labels[rows]).backward()
        optimizer.step()
        optimizer.zero_grad()
    for one, other, alone in zip(first, second, model.parameters(), strict=True):
        assert torch.equal(one, other) and torch.allclose(one, alone, atol=1e-6)


def test_the_script_of_the_lesson_learns_the_same_in_one_and_two_processes():
    one, two = (processes.launch("split_batch.py", ranks) for ranks in (1, 2))
    assert one.command == "torchrun --standalone --nproc-per-node 1 split_batch.py"
    assert str(two).splitlines()[1:] == [*two.lines[0], *two.lines[1]]
    norms = {line.rpartition(" ")[2] for (line,) in one.lines + two.lines}
    assert len(norms) == 1
    loss = [float(line.partition("loss ")[2].partition(",")[0]) for (line,) in one.lines + two.lines]
    assert loss[0] == pytest.approx((loss[1] + loss[2]) / 2, abs=1e-3)


def test_the_script_is_one_screen_and_clean():
    path = folders.lessons_folder() / "split_batch.py"
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 50 and max(map(len, lines)) <= 92
    for arguments in (["check"], ["format", "--check"]):
        done = subprocess.run([sys.executable, "-m", "ruff", *arguments, str(path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_the_learners_own_script_comes_before_the_shipped_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert folders.lesson_file("split_batch.py") == folders.lessons_folder() / "split_batch.py"
    (tmp_path / "split_batch.py").write_text("print('mine')\n")
    assert processes.launch("split_batch.py", 2).lines == (("mine",), ("mine",))


def test_two_torchruns_meet_like_two_machines(tmp_path):
    """As the lesson's end says it was tried: --nnodes 2, both on this machine."""
    path = script(tmp_path, "dist.init_process_group('gloo')\nprint(dist.get_rank(), dist.get_world_size())\n")
    port = free_port()
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "my-run"]
    command += ["--local-addr", "127.0.0.1", str(path)]
    env = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    nodes = [
        subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for _ in range(2)
    ]
    try:
        assert sorted(node.communicate(timeout=90)[0].strip() for node in nodes) == ["0 2", "1 2"]
    finally:
        for node in nodes:
            node.kill()


# what goes wrong


def fails_on_one(rank, ranks):
    if rank == 1:
        raise ValueError("no such shard")
    distributed.barrier()


def fails_everywhere(rank, ranks):
    return images.reshape(11, -1)


def waits_for_ever(rank, ranks):
    if rank == 0:
        time.sleep(1000)
    distributed.barrier()


def leaves_early(rank, ranks):
    if rank == 0:
        os._exit(0)
    distributed.barrier()


def is_killed(rank, ranks):
    if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    distributed.barrier()


@pytest.mark.parametrize(
    ("function", "parts"),
    [
        (fails_on_one, ("rank 1 stopped in its line `raise ValueError(", "with ValueError: no such shard")),
        (fails_everywhere, ("rank 0 stopped in its line `return images.resh", "shape '[11, -1]' is invalid")),
        (leaves_early, ("rank 1", "Every rank must do the same steps")),
        (is_killed, ("rank 1 of is_killed() was ended from outside by SIGKILL", "smaller batch")),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_function_that_fails_is_named_with_its_rank_and_line(function, parts):
    said = problem(lambda: processes.run(function))
    assert all(part in said for part in parts) and "have been ended" in said
    assert "Traceback" not in said and str(folders.ROOT) not in said


def returns_a_model(rank, ranks):
    return torch.nn.Linear(2, 2)


def test_what_cannot_be_sent_back_is_said():
    said = problem(lambda: processes.run(returns_a_model, ranks=1))
    assert "returns_a_model returned what cannot be sent back" in said and "state_dict()" in said


def sees_the_other_done(rank, ranks):
    result = Path(sys.argv[0]).with_name("1.result")
    while rank == 0 and not result.exists():
        time.sleep(0.05)
    return rank


def test_a_rank_that_is_done_leaves_its_result_while_another_still_works():
    assert processes.run(sees_the_other_done) == [0, 1]


def left(monkeypatch, code: int, said: str = "", files: dict[str, str] | None = None) -> None:
    """Let a run end with this exit code, with what its supervisor said and the files that its processes left."""

    def supervised(arguments, ranks, timeout, log, more):
        for name, text in (files or {}).items():
            Path(arguments[0]).with_name(name).write_text(text, encoding="utf-8")
        log.write_text(said, encoding="utf-8")
        return code

    # The package calls its function `launch` too, so the module is asked for by its whole name.
    monkeypatch.setattr(import_module("helpers.processes.launch"), "_supervised", supervised)


@pytest.mark.parametrize(("done", "words"), [("1.result", "Done already: rank 1. "), ("1.part", "")])
def test_who_is_done_already_is_said_when_the_time_is_up(done, words, monkeypatch):
    left(monkeypatch, supervisor.LATE, files={done: ""})
    said = problem(lambda: processes.run(adds, timeout=12))
    assert f"after 12 s adds() was still running, so its 2 processes have been ended. {words}Often one waits" in said


def test_a_run_that_takes_too_long_is_ended():
    start = time.monotonic()
    said = problem(lambda: processes.run(waits_for_ever, timeout=6))
    assert "after 6 s waits_for_ever() was still running" in said and "timeout=300" in said
    assert time.monotonic() - start < 25


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("dist.init_process_group('gloo')\nif dist.get_rank() == 1:\n    os.kill(os.getpid(), 9)\ndist.barrier()\n",
         ("rank 1 of mine.py was ended from outside by SIGKILL",)),
        ("dist.init_process_group('gloo')\n[][int(os.environ['RANK'])]\n",
         ("stopped in its line `[][int(os.environ['RANK'])]` with IndexError: list index out of range",)),
        ("import sys\nsys.exit(3)\n", ("mine.py ended with an error and said nothing",)),
        ("def f(:\n", ("SyntaxError",)),
    ],
    ids=["killed", "error", "silent", "syntax"],
)  # fmt: skip
def test_a_script_that_fails_is_named_with_its_rank_and_line(text, parts, tmp_path):
    said = problem(lambda: processes.launch(script(tmp_path, text)))
    assert all(part in said for part in parts), said


@pytest.mark.parametrize("seconds", [1, 8], ids=["before torchrun has loaded", "after"])
def test_a_script_that_takes_too_long_is_ended(seconds, tmp_path):
    said = problem(lambda: processes.launch(script(tmp_path, "time.sleep(1000)\n"), timeout=seconds))
    assert f"after {seconds} s mine.py was still running" in said


def test_a_port_that_is_taken_is_said_at_once(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port, start = taken.getsockname()[1], time.monotonic()
        said = problem(lambda: processes.launch("split_batch.py", port=port))
    assert f"port {port} cannot be used (Address already in use" in said and "leave port out" in said
    assert time.monotonic() - start < 5


def test_a_port_that_is_free_is_used(tmp_path):
    port = free_port()
    done = processes.launch(script(tmp_path, "print('here')\n"), port=port)
    assert done.lines == (("here",), ("here",)) and f"127.0.0.1:{port}" in done.command


ALONE = """
import torch
import torch.distributed as dist
from helpers import processes
def work(rank, ranks):
    x = torch.ones(1) * (rank + 1)
    dist.all_reduce(x)
    return x.item()
"""


def test_a_machine_with_no_network_but_loopback(tmp_path):
    program = tmp_path / "alone.py"
    program.write_text(ALONE + "print(processes.run(work))\nprint(processes.launch('split_batch.py'))\n")
    inside = ["unshare", "--net", "--map-root-user", "sh", "-c"]
    ready = subprocess.run([*inside, "ip link set lo up"], capture_output=True)
    if ready.returncode:
        pytest.skip("no network namespace can be made here")
    done = subprocess.run(
        [*inside, f"ip link set lo up && exec {sys.executable} {program}"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[3.0, 3.0]\n$ torchrun") and "rank 1 of 2" in done.stdout


# where nothing can be started


def adds(rank, ranks):
    return rank + ranks


def test_without_gloo_a_result_that_is_stored_is_shown_and_said(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(stored, "FILE", tmp_path / "stored.json")
    monkeypatch.setenv("COURSE_PROCESSES", "store")
    assert processes.run(adds) == [2, 3]
    monkeypatch.delenv("COURSE_PROCESSES")
    monkeypatch.setattr(distributed, "is_gloo_available", lambda: False)
    capsys.readouterr()
    assert processes.run(adds) == [2, 3]
    said = capsys.readouterr().out
    assert "built without torch.distributed and gloo" in said and "This is a stored result" in said
    assert "no result is stored" in problem(lambda: processes.run(adds, 3))
    monkeypatch.setattr(distributed, "is_available", lambda: False)
    assert processes.run(adds) == [2, 3]


def test_processes_that_cannot_meet_are_no_mistake_of_the_learner(monkeypatch, tmp_path):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "no_such_network")
    said = problem(lambda: processes.run(adds))
    assert "no processes can be started here (the processes cannot meet: " in said and "no_such_network" in said
    said = problem(lambda: processes.launch(script(tmp_path, "dist.init_process_group('gloo')\n")))
    assert "the processes cannot meet: " in said


LOST = "RuntimeError: Gloo connectFullMesh failed with [pair.cc:561] Connection closed by peer [127.0.0.1]:16521."


@pytest.mark.parametrize(
    ("log", "ranks", "words"),
    [
        ("First failure: rank 1 ended with -9\n", [0], "rank 1 of adds() was ended from outside by SIGKILL"),
        ("First failure: rank 0 ended with 1\n", [0], "rank 0 of adds() waited for another rank that had ended"),
        ("First failure: rank 0 ended with 1\n", [0, 1], "the processes cannot meet: RuntimeError: Gloo connectFull"),
    ],
    ids=["killed", "gone", "none has gone"],
)
def test_a_rank_that_goes_while_another_still_meets_it_is_the_cause(log, ranks, words, monkeypatch):
    """A rank has met once its own connections stand; now and then the other's do not yet, and it stops there."""
    told = json.dumps({"text": LOST, "line": "", "at_start": True})
    left(monkeypatch, 1, log, {f"{rank}.error": told for rank in ranks})
    assert words in problem(lambda: processes.run(adds))


def test_what_is_stored_comes_back_as_it_was(monkeypatch, tmp_path):
    monkeypatch.setattr(stored, "FILE", tmp_path / "stored.json")
    result = [(1, 2.5, None, True), {"a": torch.rand(2, 3), 3: [torch.arange(4)]}, torch.rand(2, dtype=torch.float64)]
    stored.keep("f, 2 ranks, 0123", result)
    stored.keep("f, 2 ranks, 4567", result)
    with pytest.raises(KeyError):
        stored.find("f, 2 ranks, 0123")
    first, second, third = stored.find("f, 2 ranks, 4567")
    assert first == result[0] and torch.equal(second["a"], result[1]["a"]) and torch.equal(third, result[2])
    assert second[3][0].dtype == torch.int64


def test_the_lesson_shows_the_same_where_no_process_starts(monkeypatch, tmp_path):
    """With the stored results every cell gives what it gives here, but for the line that says so."""
    monkeypatch.setenv("COURSE_PROCESSES", "stored")
    monkeypatch.setenv("COURSE_WORK", str(tmp_path))
    kept = lessons.read(LESSON)
    for cell in kept.cells:
        if "raises-exception" in lessons.tags(cell):
            cell.metadata.tags = ["raises-exception"]
    done = lessons.run(kept, tmp_path)
    for old, new in zip(lessons.code_cells(kept), lessons.code_cells(done), strict=True):
        if "raises-exception" in lessons.tags(old):
            assert "no result is stored" in new.outputs[-1].evalue
            continue
        text = "".join(output.get("text", "") for output in new.outputs)
        lines = [line for line in text.splitlines() if not line.startswith("(No processes here: ")]
        assert lines == "".join(output.get("text", "") for output in old.outputs).splitlines(), old.id


# interrupts


def reply(client, request: str) -> dict:
    """What the kernel answers to this request; answers to others, such as whether it is ready, may come before."""
    while True:
        message = client.get_shell_msg(timeout=60)
        if message["parent_header"].get("msg_id") == request:
            return message["content"]


def kernel_with(code: str):
    """A kernel that runs this code, once processes of the run are there; its client, and what it answers in the end."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    before = {process.pid for process in ours()}
    request = client.execute(code)
    assert wait_until(lambda: len({process.pid for process in ours()} - before) >= 3)
    return manager, client, lambda: {process.pid for process in ours()} - before, partial(reply, client, request)


SLEEPS = "from helpers import processes\nprocesses.launch({path!r}, timeout=300)"


@pytest.fixture
def sleeping(tmp_path):
    return SLEEPS.format(path=str(script(tmp_path, "dist.init_process_group('gloo')\ntime.sleep(1000)\n")))


def test_an_interrupt_of_the_kernel_leaves_nothing_running(sleeping):
    manager, client, new, answer = kernel_with(sleeping)
    try:
        manager.interrupt_kernel()
        said = answer()
        assert said["status"] == "error" and "you stopped the run" in said["evalue"]
        assert said["traceback"] == [f"KeyboardInterrupt: {said['evalue']}"]
        assert wait_until(lambda: not new(), 10)
        # The kernel goes on, once it has refused what came in just after the error.
        assert wait_until(lambda: reply(client, client.execute("from helpers import processes"))["status"] == "ok", 10)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_the_death_of_the_kernel_leaves_nothing_running(sleeping):
    manager, client, new, _ = kernel_with(sleeping)
    client.stop_channels()
    os.kill(manager.provisioner.process.pid, signal.SIGKILL)
    assert wait_until(lambda: not new(), 15)
    manager.shutdown_kernel(now=True)


def test_the_death_of_the_supervisor_leaves_nothing_running(sleeping):
    manager, client, new, answer = kernel_with(sleeping)
    try:
        children = psutil.Process(manager.provisioner.process.pid).children()
        (above,) = [one for one in children if "supervisor" in " ".join(one.cmdline())]
        above.kill()
        assert answer()["status"] == "error"
        assert wait_until(lambda: not new(), 15)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_the_death_of_torchrun_leaves_nothing_running(sleeping):
    manager, client, new, answer = kernel_with(sleeping)
    try:
        torchrun = [pid for pid in new() if "torch.distributed.run" in " ".join(psutil.Process(pid).cmdline())]
        os.kill(torchrun[0], signal.SIGKILL)
        assert answer()["status"] == "error"
        assert wait_until(lambda: not new(), 15)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


# functions on their way


def test_a_function_takes_along_what_it_uses():
    text = source.Script(steps).text
    assert "from torch.nn.parallel.distributed import DistributedDataParallel" in text
    assert "import torch.nn.functional as F" in text and "import torch as torch" in text
    assert 'images = _values["images"]' in text and "def network()" in text
    assert set(source.Script(steps).values) == {"images", "labels"}


def inner():
    size = 3

    def uses_size(rank, ranks):
        return size

    return uses_size


model = nn.Linear(2, 2)


def uses_model(rank, ranks):
    return model


def one_argument(rank):
    return rank


@pytest.mark.parametrize(
    ("function", "part"),
    [
        (lambda rank, ranks: rank, "give a function that a cell defines"),
        (nn.Linear, "the class Linear; give a function"),
        (inner(), "uses size of a function around it"),
        (uses_model, "make model inside uses_model"),
        (one_argument, "def one_argument(rank, ranks)"),
        (eval("lambda: 0"), "give a function"),
    ],
)
def test_functions_that_cannot_leave_are_refused(function, part):
    assert part in problem(lambda: processes.run(function))


@pytest.mark.parametrize(("thing", "fits"), [
    (3, True), ([1, (2.5, {"a": None})], True), (torch.rand(2), True), (torch.rand(2, requires_grad=True), False),
    (nn.Linear(1, 1), False), ({1}, False), (nn.Parameter(torch.rand(1)), False),
])  # fmt: skip
def test_what_can_be_sent(thing, fits):
    assert source.can_be_sent(thing) is fits


def test_the_cause_is_told_from_its_consequences():
    lost = failures.Failure(0, "RuntimeError: Connection closed by peer [127.0.0.1]:5")
    real = failures.Failure(3, "ValueError: no")
    assert failures.cause([lost, real]) == real and failures.cause([lost]) == lost and failures.cause([]) is None
    said = inspect.cleandoc("""
        [rank1]: Traceback (most recent call last):
        [rank1]:   File "/somewhere/mine.py", line 3, in <module>
        [rank1]:     work(3)
        [rank1]: torch.some.Error: first line
        [rank1]: second line""")
    assert failures.last_error(1, Path("mine.py"), said) == failures.Failure(
        1, "Error: first line\nsecond line", "work(3)"
    )


def test_a_stored_file_holds_the_lessons_runs_and_nothing_else():
    kept = json.loads(stored.FILE.read_text(encoding="utf-8"))
    run = set(re.findall(r"processes\.run\((\w+)", LESSON.read_text(encoding="utf-8")))
    # A result of a function that is gone: delete the file, and store the lesson anew.
    assert {name.partition(",")[0] for name in kept} == run - {"forgotten"} | {
        "split_batch.py"
    }  # that one fails on purpose
    assert stored.FILE.stat().st_size < 100_000
