"""What a kernel holds: no large library that a lesson does without, and little more than the bare imports."""

import subprocess
import sys
from pathlib import Path

import pytest

from helpers.authoring import lessons
from helpers.folders import ROOT

#: What takes tens of MiB each, and no room imports by itself.
LARGE = ("torchvision", "torch._dynamo", "triton", "sklearn", "scipy", "pandas", "matplotlib.pyplot")
MOST = 1.15


def test_no_room_loads_a_large_library_by_itself():
    code = f"""
import sys
from helpers import batch_size, capstone, check, claims, data, figures, hand_in, memory, models, own_images, panels
from helpers import processes, recorded, split, training
data.photograph(), data.digits(), data.colours(), panels.BatchPanel().picture()
print([name for name in {LARGE} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux says what a process holds")
def test_lesson_01_holds_little_more_than_the_bare_imports(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import kernel_memory

    with kernel_memory.kernel() as bare, kernel_memory.kernel() as learner:
        bare.run(kernel_memory.BARE)
        kernel_memory.run_all(learner, lessons.LESSONS[1])
        held, reference = learner.held(), bare.held()
        assert not set(learner.loaded()) & set(LARGE)
    assert 200 < reference.private <= reference.pss <= reference.rss  # something was loaded, and read
    for name, most in zip(held._fields, (value * MOST for value in reference), strict=True):
        assert getattr(held, name) <= most, f"{name}: {held} beside {reference}"
