"""The drawing of a design: its peak and its parts to scale, beside the memory of each tier."""

import pytest
from tools import of, words

from helpers import capstone, figures
from helpers.capstone import TIERS, Design
from helpers.figures import COLOURS
from helpers.figures.capstone import HEIGHT, draw, in_short
from helpers.figures.shapes import Area, Line
from helpers.units import readable


@pytest.fixture(scope="module")
def preview():
    return capstone.preview(Design(width=8, batch_size=32, micro_batches=2, optimizer="adam"))


def widths(drawing) -> list[tuple[str, float]]:
    """Colour and width of each box, without the legend."""
    boxes = [area for area in of(drawing, Area) if area.corners[2][1] - area.corners[0][1] > 20]
    return [(area.fill, area.corners[2][0] - area.corners[0][0]) for area in boxes]


def test_parts_and_tiers_are_drawn_on_one_scale(preview):
    found = widths(draw(preview))
    parts, tiers = found[: -len(TIERS)], [wide for _, wide in found[-len(TIERS) :]]
    scale = sum(wide for _, wide in parts) / preview.peak
    assert dict(parts) == pytest.approx({COLOURS[name]: size * scale for name, size in preview.at_peak.items()})
    assert tiers == pytest.approx([tier.bytes * scale for tier in TIERS.values()])


def test_what_fits_is_said_in_words_and_the_peak_goes_down_to_all_tiers(preview):
    drawing = draw(preview)
    for tier in TIERS.values():
        over = preview.peak - tier.bytes
        assert f"{readable(tier.bytes)}: {f'{readable(over)} too much' if over > 0 else 'fits'}" in words(drawing)
    (line,) = of(drawing, Line)
    assert line.dashed and line.points[0][0] == line.points[1][0] == 112 + sum(w for _, w in widths(drawing)[:-3])
    assert drawing.height == HEIGHT and drawing.sentence == preview.sentence


def test_without_tiers_there_is_the_design_alone(preview):
    drawing = draw(preview, ())
    assert not of(drawing, Line) and not set(TIERS) & set(words(drawing)) and drawing.height < HEIGHT


@pytest.mark.parametrize(
    "how, said",
    {
        "width 16, depth 2, batch 64, sgd, fp32": {},
        "width 1, depth 5, batch 4,096 in 64 x 64, adam, bf16, checkpointing": {
            "width": 1, "depth": 5, "batch_size": 4096, "micro_batches": 64, "optimizer": "adam", "precision": "bf16",
            "checkpointing": True,
        },
        "a network of your own, batch 64, sgd, fp32": {"network": lambda: None},
    }.items(),
)  # fmt: skip
def test_a_design_in_short(how, said):
    assert in_short(Design(**said)) == how


def test_a_report_is_drawn_with_its_own_tiers(preview):
    assert figures.design_picture(preview).sentence == preview.sentence
