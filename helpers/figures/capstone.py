"""The peak of a design as a stacked bar, beside the memory that each tier of the capstone allows."""

from collections.abc import Sequence

from helpers.capstone import TIERS, Design, Preview, Report, Tier
from helpers.figures.base import Picture
from helpers.figures.paper import picture
from helpers.figures.shapes import Drawing, Line, Shape, Text, box, category, legend, stacked
from helpers.memory import CATEGORIES
from helpers.problems import instance_of
from helpers.units import readable

_ROW, _HIGH, _LEFT, _LONGEST = 34, 24, 112, 350  # from one bar to the next, how high, where they begin, the longest
_TOP = 54  # of the first bar
_RARE = ("buffers", "workspace")  # in the legend only where there are some


def _foot(tiers: Sequence[Tier]) -> int:
    """Below the last bar."""
    return _TOP + _ROW * (1 + len(tiers))


_TIERS = tuple(TIERS.values())
HEIGHT = _foot(_TIERS) + 46


def design_picture(of: Preview | Report) -> Picture:
    """The traced peak of a design, and what it is made of, beside the memory that each tier allows.

    of: what `helpers.capstone.preview` or `judge` gave; for images of one's own there are no tiers. Raises `Problem`
    for anything else.
    """
    instance_of("of", of, (Preview, Report), "capstone.preview(capstone.Design())")
    return picture(draw(of) if isinstance(of, Preview) else draw(of.preview, of.tiers))


def draw(preview: Preview, tiers: Sequence[Tier] = _TIERS) -> Drawing:
    """Two lines of words, the design's bar, a bar for the memory of each tier, and the legend."""
    peak, parts = preview.peak, {name: preview.at_peak.get(name, 0) for name in CATEGORIES}
    pixels = _LONGEST / max(peak, *(tier.bytes for tier in tiers), 1)
    heading = f"peak {readable(peak)}, in {preview.phase}; largest part: {max(parts, key=parts.get)}"
    shapes: list[Shape] = [Text(4, 16, heading, bold=True), Text(4, 38, in_short(preview.design))]
    shapes.append(Text(_LEFT - 10, _TOP + 17, "your design", "end", bold=True))
    shapes += stacked(float(_LEFT), _TOP, _HIGH, {name: size * pixels for name, size in parts.items()})
    end, foot = _LEFT + peak * pixels, _foot(tiers)
    shapes.append(Text(end + 8, _TOP + 17, readable(peak), bold=True))
    for row, tier in enumerate(tiers, 1):
        y, over = _TOP + _ROW * row, peak - tier.bytes
        shapes.append(Text(_LEFT - 10, y + 17, tier.name, "end"))
        shapes.append(box(_LEFT, y, max(tier.bytes * pixels, 1.5), _HIGH, fill="#e8e8e8", edge="#333", line=1))
        said = f"{readable(tier.bytes)}: {f'{readable(over)} too much' if over > 0 else 'fits'}"
        shapes.append(Text(_LEFT + max(tier.bytes, peak) * pixels + 8, y + 17, said, bold=over > 0))
    if tiers:
        shapes.append(Line(((end, _TOP), (end, foot - _ROW + _HIGH)), dashed=True))
    named = [name for name in CATEGORIES if name not in _RARE or parts[name]]
    for place, name in enumerate(named):
        shapes += legend(4 + 185 * (place % 4), foot + 24 * (place // 4), name, **category(name))
    return Drawing(foot + 46, tuple(shapes), preview.sentence)


def in_short(design: Design) -> str:
    """The settings of a design that move the peak, on one line."""
    network = f"width {design.width}, depth {design.depth}" if design.network is None else "a network of your own"
    cut = f" in {design.micro_batches} x {design.micro_batch}" if design.micro_batches > 1 else ""
    more = ", checkpointing" if design.checkpointing else ""
    return f"{network}, batch {design.batch_size:,}{cut}, {design.optimizer}, {design.precision}{more}"
