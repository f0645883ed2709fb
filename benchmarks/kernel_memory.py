"""What the kernel of each lesson holds after Run All, beside a kernel that only imports torch and torchvision.

    uv run python benchmarks/kernel_memory.py          all lessons
    uv run python benchmarks/kernel_memory.py 01 02    some of them; the other rows stay

There are two of each, as in a class, and all four are alive when they are read: the code of libraries that is read from
their files is shared then, and not counted as one kernel's own. Let nothing else run that uses PyTorch. Three figures,
of which no one alone is the truth (Linux: /proc/PID/smaps_rollup):

- private: pages that nobody else has. What one more learner costs on a machine where others do the same lesson;
- pss: private, and of each shared page its part. What the sum over all learners is made of; it falls when neighbours
  map the same libraries, so it compares only within a row;
- rss: all pages in memory. What a learner costs who is alone.

Of private, the tensors that are still in use are counted by themselves.

Writes benchmarks/results/kernel_memory.csv, in MiB, with what was loaded. Exit code 1 if a lesson's cell does not run.
"""

import csv
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from jupyter_client.manager import start_new_kernel

from helpers.authoring import lessons

RESULT = Path(__file__).parent / "results" / "kernel_memory.csv"
BARE = "import torch, torchvision"
#: What is large and not needed everywhere; `torch._dynamo` comes with torchvision, and with the first optimizer.
LARGE = ("torchvision", "torch._dynamo", "sympy", "triton", "sklearn", "scipy", "pandas")


#: Prints the bytes of all storages alive; one that several tensors share counts once, a traced tensor has none.
TENSORS = """
import gc, torch
storages = [one.untyped_storage() for one in gc.get_objects() if isinstance(one, torch.Tensor)]
print(sum({one.data_ptr(): one.nbytes() for one in storages if one.device.type == "cpu"}.values()))
"""


class Held(NamedTuple):
    """MiB of a process."""

    private: float
    pss: float
    rss: float


class Kernel:
    """A real kernel, in the folder of the lessons."""

    def __init__(self, manager: object, client: object):
        self.manager, self.client = manager, client

    def run(self, source: str, may_raise: bool = False) -> str:
        """What the cell prints. Raises RuntimeError if it raises, but not on purpose."""
        said = []

        def listen(message: dict) -> None:
            if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
                said.append(message["content"]["text"])

        reply = self.client.execute_interactive(source, output_hook=listen, stop_on_error=False, timeout=600)
        if reply["content"]["status"] != "ok" and not may_raise:
            raise RuntimeError(f"{reply['content']['ename']}: {reply['content']['evalue']} in\n{source}")
        return "".join(said)

    def held(self) -> Held:
        """Raises OSError where there is no /proc."""
        with open(f"/proc/{self.manager.provisioner.pid}/smaps_rollup") as file:
            kib = {words[0]: int(words[1]) for words in map(str.split, file) if words[0].endswith(":")}
        private = kib["Private_Clean:"] + kib["Private_Dirty:"]
        return Held(*(value / 1024 for value in (private, kib["Pss:"], kib["Rss:"])))

    def tensors(self) -> float:
        """MiB of the numbers in the tensors that are alive."""
        return int(self.run(TENSORS)) / 2**20

    def loaded(self) -> list[str]:
        """Those of `LARGE` that this kernel has imported."""
        return self.run(f"import sys; print(*[name for name in {LARGE} if name in sys.modules])").split()


@contextmanager
def kernel() -> Iterator[Kernel]:
    """Start a kernel; end it afterwards."""
    with tempfile.TemporaryDirectory() as work:
        settings = {"COURSE_WORK": work, "OMP_NUM_THREADS": "1"}
        manager, client = start_new_kernel(cwd=str(lessons.LESSONS[0].parent), env=os.environ | settings)
        try:
            yield Kernel(manager, client)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)


def run_all(one: Kernel, lesson: Path) -> None:
    """Run all cells of a lesson. Raises RuntimeError for one that raises, but not on purpose."""
    for cell in lessons.code_cells(lessons.read(lesson)):
        one.run(cell.source, may_raise="raises-exception" in lessons.tags(cell))


def row(bare: Kernel, lesson: Path) -> dict[str, str]:
    """Run the lesson in two kernels beside the two bare ones; read one of each."""
    with kernel() as another, kernel() as one:
        for learner in (another, one):
            run_all(learner, lesson)
        held, beside = one.held(), bare.held()
        found = {"lesson": lesson.stem[:2]}
        found |= {name: f"{value:.0f}" for name, value in held._asdict().items()}
        found |= {f"bare {name}": f"{value:.0f}" for name, value in beside._asdict().items()}
        found |= {f"ratio {name}": f"{getattr(held, name) / getattr(beside, name):.2f}" for name in Held._fields}
        return found | {"tensors": f"{one.tensors():.0f}", "loaded": " ".join(one.loaded())}


def main(names: list[str]) -> int:
    """Measure the lessons whose names begin so; return the exit code."""
    if not Path("/proc/self/smaps_rollup").exists():
        print("This reads /proc/PID/smaps_rollup, which only Linux has.")
        return 1
    rows, bad = {}, 0
    if RESULT.exists():
        with open(RESULT, encoding="utf-8", newline="") as file:
            rows = {found["lesson"]: found for found in csv.DictReader(file)}
    with ExitStack() as stack:
        bare, another = stack.enter_context(kernel()), stack.enter_context(kernel())
        for one in (bare, another):
            one.run(BARE)
        for lesson in lessons.LESSONS:
            if names and not lesson.name.startswith(tuple(names)):
                continue
            try:
                found = row(bare, lesson)
            except RuntimeError as error:
                print(f"{lesson.stem} does not run: {error}", file=sys.stderr)
                bad += 1
                continue
            rows[found["lesson"]] = found
            print(*(f"{name} {value}" for name, value in found.items()), sep="  ", flush=True)
    with open(RESULT, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(next(iter(rows.values()))) if rows else ["lesson"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[name] for name in sorted(rows))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
