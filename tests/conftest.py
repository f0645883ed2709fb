"""Tests and lessons under test write into a folder of their own, never into the learner's work/.

In CI a test that is skipped fails, unless `MAY_SKIP_IN_CI` says why it may: so that a build without CUDA, say, or a
machine without Chromium cannot drop tests unseen.
"""

import os
import sys
import tempfile

import pytest
from hypothesis import settings

# A part of a test's address: why CI may run without it.
MAY_SKIP_IN_CI = {
    "test_measure.py::test_on_a_gpu": "CI has no GPU",
    "test_assign.py::test_the_kernel_refuses": "CI's kernel may have no Landlock",
    "classroom/test_hub.py": "it needs root; where CI is not root, .ci/run runs it by itself, as root",
}

settings.register_profile("course", deadline=None)  # a busy machine is no mistake
settings.load_profile("course")

# Small models: several threads on a busy machine only wait for each other. The lessons' kernels inherit this.
os.environ["OMP_NUM_THREADS"] = "1"
_work = tempfile.TemporaryDirectory(prefix="course-work-")  # gone when the tests are over
os.environ["COURSE_WORK"] = _work.name


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    allowed = any(part in report.nodeid for part in MAY_SKIP_IN_CI)
    if os.environ.get("CI") and report.skipped and not allowed and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} is skipped in CI ({reason}), and MAY_SKIP_IN_CI in conftest.py has it not."


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.fixture(scope="module", autouse=True)
def no_widget_stays():
    """ipywidgets keeps every widget until it is closed: some gigabytes of panels, which slow down all that follows."""
    yield
    if "ipywidgets" in sys.modules:
        sys.modules["ipywidgets"].Widget.close_all()
