"""What conftest.py holds this suite to: in CI nothing is skipped unseen."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).with_name("conftest.py")
SKIPS = """
import pytest

def test_passes():
    pass

def test_skips_itself():
    pytest.skip("no reason that CI knows")

@pytest.mark.skipif(True, reason="nor this")
def test_is_skipped():
    pass
"""


def outcome(folder: Path, ci: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:nbval", "-p", "no:cacheprovider", str(folder)]
    return subprocess.run(command, cwd=folder, env=os.environ | {"CI": ci}, capture_output=True, text=True).stdout


def test_a_skip_fails_in_ci_alone_and_only_where_it_is_not_on_the_list(tmp_path):
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "test_skips.py").write_text(SKIPS, encoding="utf-8")
    (tmp_path / "test_measure.py").write_text("import pytest\n\ndef test_on_a_gpu():\n    pytest.skip('no GPU')\n")
    assert "1 passed, 3 skipped" in outcome(tmp_path, ci="")
    in_ci = outcome(tmp_path, ci="true")
    assert "1 failed, 1 passed, 1 skipped, 1 error" in in_ci
    assert "test_skips_itself is skipped in CI (Skipped: no reason that CI knows)" in in_ci
    (tmp_path / "test_whole.py").write_text("import pytest\n\npytest.skip('all', allow_module_level=True)\n")
    assert "test_whole.py is skipped in CI (Skipped: all)" in outcome(tmp_path, ci="true")
