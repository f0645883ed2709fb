"""The comparison with other people's measurements, as far as it needs no package beyond the course's own."""

import csv

import pytest

from helpers.folders import ROOT

RESULTS = ROOT / "benchmarks" / "results"
NEED_NO_OTHER_PACKAGE = (
    "cross entropy",
    "LayerNorm",
    "RMSNorm",
    "GroupNorm",
    "divergence",
    "variation",
    "softmax",
    "ReLU",
)


@pytest.fixture
def published(monkeypatch):
    """benchmarks/published.py as a module."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import published

    return published


def rows() -> list[dict[str, str]]:
    with open(RESULTS / "published.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_layer_equals_its_published_peak(published):
    """To the byte as far as it is printed: a float32 number of MiB."""
    layers = [layer for layer in published.layers() if any(word in layer.kernel for word in NEED_NO_OTHER_PACKAGE)]
    assert len(layers) > 80
    for layer in layers:
        row = published.row_of(layer)
        if row.setting in published.BESIDE:
            continue
        assert abs(row.allocated - row.published) <= max(2e-6 * row.published, 0), row.setting


def test_a_resnet_on_a_t4_is_within_what_the_row_says(published):
    step = next(step for step in published.steps() if step.setting.startswith("ResNet-50, B = 16"))
    now = [(row.quantity, str(row.allocated), str(row.reserved)) for row in published.rows_of(step)]
    kept = [row for row in rows() if row["setting"] == step.setting]
    assert now == [(row["quantity"], row["allocated"], row["reserved"]) for row in kept]
    assert all(abs(float(row["error_percent"])) < 1 for row in kept if row["quantity"] == "allocated")


def test_the_kept_table_meets_the_targets():
    allocated = []
    for row in rows():
        error = abs(float(row["error_percent"]))
        if row["fully_specified"] == "yes" and row["quantity"].startswith("allocated"):
            allocated.append(error)
        if row["fully_specified"] == "yes" and (row["quantity"].startswith("allocated") or row["gpu"] != "T4"):
            assert error <= 1, row["setting"]
        assert int(row["requested"]) <= int(row["allocated"]) <= int(row["reserved"])
        assert row["assumed"] or row["fully_specified"] == "yes"
    assert len(allocated) == 8 and sum(allocated) / len(allocated) < 0.3
