"""Lets a fixture know whether the test that it belongs to has failed."""

import pytest

_REPORT = pytest.StashKey[pytest.TestReport]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call":
        item.stash[_REPORT] = report
    return report


@pytest.fixture
def failed(request):
    """Whether the test has failed, to be asked once it is over."""
    return lambda: request.node.stash[_REPORT].failed if _REPORT in request.node.stash else True
