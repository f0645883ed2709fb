"""Many modules here make every warning an error, so nothing that other tests left may warn among theirs."""

import gc
import warnings

import pytest


@pytest.fixture(scope="module", autouse=True)
def nothing_left_open():
    """A file or socket that an earlier test left in a cycle of references warns when it is collected: do it now."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()
