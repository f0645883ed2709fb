"""One of the two hands: draws shapes as SVG and CSS, for a live panel. Small and quick, as it runs at every move."""

import base64
import html
import io
import zlib
from functools import lru_cache, singledispatch

import numpy as np
import PIL.Image

from helpers.figures.base import SIZE, WIDTH
from helpers.figures.shapes import Area, Drawing, Image, Line, Marker, Pixels, Points, Text, is_larger

# The line patterns of `HATCHES` in an 8 x 8 tile.
_PATTERNS = {
    "--": "M0 4H8",
    "//": "M-2 2L2-2M0 8L8 0M6 10L10 6",
    "\\\\": "M-2 6L2 10M0 0L8 8M6-2L10 2",
    "..": "M2 2h2v2h-2zM6 6h2v2h-2z",
    "||": "M4 0V8",
    "xx": "M0 8L8 0M0 0L8 8",
    "oo": "M2 4a2 2 0 0 0 4 0a2 2 0 0 0-4 0",
}
_MARKERS = {"circle": "m-5 0a5 5 0 0 0 10 0a5 5 0 0 0-10 0", "diamond": "m0-10l8 10l-8 10l-8-10z", "down": "l-6-10h12z"}


def write(drawing: Drawing, key: str) -> str:
    """The drawing as HTML: a box with the images in it, and everything else above them as one SVG.

    key: a name that no other drawing on the page has. The box is measured in the letters' size around it, and all in
    the box by the box, so that the drawing grows with the notebook's text, and shrinks where the window is narrow.
    """
    images = "".join(_image(shape, drawing, key) for shape in drawing.shapes if isinstance(shape, Image))
    marks = "".join(_draw(shape, key) for shape in drawing.shapes if not isinstance(shape, Image))
    words = html.escape(f"{drawing.sentence} {drawing.detail}".strip())
    look = f"width:{WIDTH / SIZE:.4g}em;max-width:100%;aspect-ratio:{WIDTH}/{drawing.height:g}"
    return (
        f'<div style="position:relative;overflow:hidden;background:#fff;{look}">{images}'
        f'<svg role="img" aria-label="{words}" viewBox="0 0 {WIDTH} {drawing.height:g}" '
        'style="position:absolute;left:0;top:0;width:100%;height:100%">'
        f'{_patterns(drawing, key)}<g font-size="{SIZE}" font-family="sans-serif">{marks}</g></svg></div>'
    )


def alone(drawing: Drawing) -> str:
    """The drawing as the text of an SVG file, on white paper. Raises TypeError for images, which only HTML holds."""
    marks = "\n".join(_draw(shape, "d") for shape in drawing.shapes)
    words = html.escape(f"{drawing.sentence} {drawing.detail}".strip())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{words}" width="{WIDTH}" '
        f'height="{drawing.height:g}" viewBox="0 0 {WIDTH} {drawing.height:g}">\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n{_patterns(drawing, "d")}'
        f'<g font-size="{SIZE}" font-family="sans-serif">\n{marks}\n</g>\n</svg>\n'
    )


def style(drawing: Drawing, key: str) -> str:
    """The pixels of the drawing's images, as CSS rules. The browser decodes them once, however often the rest moves."""
    shown = [shape for shape in drawing.shapes if isinstance(shape, Image)]
    images = {_rule(image.pixels)[0]: image for image in (*drawing.ahead, *shown)}
    return "".join(
        f".{key}-{name}{{{_rule(image.pixels)[1]}{';image-rendering:pixelated' if is_larger(image) else ''}}}"
        for name, image in images.items()
    )


@lru_cache(maxsize=32)
def _rule(pixels: Pixels) -> tuple[int, str]:
    """A name for these pixels and no others, and the CSS that makes them the background of a box."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(np.ascontiguousarray(pixels.values)).save(buffer, format="png", compress_level=1)
    png = buffer.getvalue()
    address = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return zlib.crc32(png), f"background:url({address}) 0 0/100% 100% no-repeat"


def _image(image: Image, drawing: Drawing, key: str) -> str:
    places = [((x - image.x) / image.width, (y - image.y) / image.height) for x, y in image.outline]
    outline = ",".join(f"{100 * x:.4g}% {100 * y:.4g}%" for x, y in places)
    left, wide = (f"{100 * x / WIDTH:.6g}%" for x in (image.x, image.width))
    top, high = (f"{100 * y / drawing.height:.6g}%" for y in (image.y, image.height))
    return (
        f'<div class="{key}-{_rule(image.pixels)[0]}" '
        f'style="position:absolute;left:{left};top:{top};width:{wide};height:{high}'
        f'{f";clip-path:polygon({outline})" if outline else ""}"></div>'
    )


def _patterns(drawing: Drawing, key: str) -> str:
    """Colour and lines of each hatch that is used. In each drawing anew: those of a hidden one cannot be used."""
    used = {(shape.fill, shape.hatch) for shape in drawing.shapes if isinstance(shape, Area) and shape.hatch}
    tiles = "".join(
        f'<pattern id="{_pattern(fill, hatch, key)}" width="8" height="8" patternUnits="userSpaceOnUse">'
        f'<path d="M0 0H8V8H0z" fill="{fill}"/>'
        f'<path d="{_PATTERNS[hatch]}" stroke="#000" stroke-opacity=".5" fill="none"/></pattern>'
        for fill, hatch in sorted(used)
    )
    return f"<defs>{tiles}</defs>" if tiles else ""


def _pattern(fill: str, hatch: str, key: str) -> str:
    """The name of a pattern: one colour may have several hatches."""
    return f"{key}-{fill.removeprefix('#')}-{list(_PATTERNS).index(hatch)}"


@singledispatch
def _draw(shape: object, key: str) -> str:
    raise TypeError(f"no way to draw a {type(shape).__name__}")


@_draw.register
def _(text: Text, key: str) -> str:
    look = f' text-anchor="{text.anchor}"' if text.anchor != "start" else ""
    look += ' font-weight="bold"' if text.bold else ""
    look += f' fill="{text.colour}"' if text.colour != "#000" else ""
    look += f' font-size="{text.size}"' if text.size != SIZE else ""
    look += ' font-family="monospace"' if text.code else ""
    look += ' stroke="#fff" stroke-width="5" stroke-linejoin="round" paint-order="stroke"' if text.halo else ""
    return f'<text x="{text.x:.4g}" y="{text.y:.4g}"{look}>{html.escape(text.words)}</text>'


@_draw.register
def _(area: Area, key: str) -> str:
    fill = f"url(#{_pattern(area.fill, area.hatch, key)})" if area.hatch else area.fill
    return f'<path d="{_path(area.corners)}z" fill="{fill}"{_stroke(area.edge, area.line, area.dashed)}/>'


@_draw.register
def _(line: Line, key: str) -> str:
    return f'<path d="{_path(line.points)}" fill="none"{_stroke(line.colour, line.line, line.dashed)}/>'


@_draw.register
def _(marker: Marker, key: str) -> str:
    return f'<path d="M{marker.x:.1f} {marker.y:.1f}{_MARKERS[marker.kind]}" stroke="#fff" paint-order="stroke"/>'


def _stroke(colour: str, width: float, dashed: bool) -> str:
    look = f' stroke="{colour}"' if colour else ""
    look += f' stroke-width="{width:g}"' if colour and width != 1 else ""
    return look + (' stroke-dasharray="5 4"' if dashed else "")


def _path(points: Points) -> str:
    """Points as an SVG path, level and upright pieces in their short form."""
    (x, y), path = points[0], f"M{points[0][0]:.4g} {points[0][1]:.4g}"
    for right, down in points[1:]:
        path += f"H{right:.4g}" if down == y else f"V{down:.4g}" if right == x else f"L{right:.4g} {down:.4g}"
        x, y = right, down
    return path
