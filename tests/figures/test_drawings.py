"""The drawing of each record: what is in it, and that both hands draw it, with nothing cut and nothing overlapping."""

import dataclasses
import html
import re
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from tools import legible, of, out_of_memory, problem, words

from helpers import batch_size, capstone, claims, data, figures, models
from helpers.accumulate import accumulate
from helpers.batch import batch_facts
from helpers.figures import accumulate as accumulations
from helpers.figures import (
    batch,
    blocks,
    broadcast,
    cells,
    error_text,
    flatten,
    gpu_memory,
    images,
    kept,
    paper,
    shapes,
    shown,
    strips,
    svg,
)
from helpers.figures import batch_size as sizes
from helpers.figures import capstone as designs
from helpers.figures import claims as claims_room
from helpers.figures import layout as layouts
from helpers.figures import noise as noises
from helpers.figures import progress as standings
from helpers.figures import shape_flow as flows
from helpers.figures import split as splits
from helpers.figures import step_memory as steps
from helpers.figures import will_it_fit as fits
from helpers.figures.bars import draw as draw_bars
from helpers.layout import OPERATIONS, layout, walk
from helpers.memory import CATEGORIES, GPUS, trace
from helpers.noise import MOMENTS, gradient_noise, per_sample, samples_at
from helpers.progress import SAVED, Mark, Overview, Row
from helpers.shape_flow import shape_flow
from helpers.split import PARTS, SHARDINGS, split
from helpers.step_memory import StepMemory, step_memory
from helpers.units import readable
from helpers.will_it_fit import WillItFit, will_it_fit

DIGITS, COLOURS = data.digits().images, data.colours().images
PHOTO = torch.arange(3 * 75 * 64).view(3, 75, 64).to(torch.uint8)
EIGHT_LAYERS = torch.nn.Sequential(*[torch.nn.AdaptiveLogSoftmaxWithLoss(8, 9, [2])] * 8)

TEXT = "CUDA out of memory. Tried to allocate 1.75 GiB. GPU 0 has a total capacity of 15.50 GiB."
SIZES = {"one photograph, uint8": 921_600, "one photograph, float32": 3_686_400, "none": 0}
ROW = torch.arange(12) - 99_999
LARGEST_ROWS = {
    "a name of 20 letters": ROW,
    "permuted": ROW.view(1, 1, 3, 4).permute(3, 2, 1, 0),
    "expanded": ROW[:1].expand(24),
    "copied": ROW[2:5].clone(),
}


def with_workspace() -> StepMemory:
    return StepMemory(trace(models.mlp(), (1, 28, 28), batch_size=8, gpu=next(iter(GPUS))))


def many_rows() -> StepMemory:
    """Twenty rows, with the longest names and the largest sizes."""
    layers = [torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.BatchNorm2d(3))]
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1), torch.nn.ReLU(), *layers, torch.nn.Flatten())
    return StepMemory(trace(model, (3, 32, 32), batch_size=2**20))


def standing(there: bool, states: list[str]) -> Overview:
    """Thirteen lessons with long titles, five exercises each, the second one run just now."""
    marks = tuple(Mark(n + 1, f"exercise_{n}", state, "a message") for n, state in enumerate(states))
    return Overview(tuple(Row(f"{n:02}", "Wide words " * 9, marks, there, there and n == 1) for n in range(13)))


def strayed() -> claims.Table:
    """The claims of lesson 07, with figures that bear other verdicts."""
    found = claims.table("07")
    rows = [dataclasses.replace(row, claim=dataclasses.replace(row.claim, verdict="holds")) for row in found.rows]
    return dataclasses.replace(found, rows=tuple(rows))


DRAWINGS = {
    "batch of 1": lambda: batch.draw(batch_facts(DIGITS, models.mlp(), 1)),
    "batch of 256": lambda: batch.draw(batch_facts(COLOURS, models.cnn((3, 32, 32)), 256)),
    "batch of 1000": lambda: batch.draw(batch_facts(DIGITS, models.mlp(), 1000, torch.float16)),
    "maps": lambda: batch.draw(batch_facts(DIGITS, torch.nn.Conv2d(1, 64, 3), 200)),
    "five axes": lambda: batch.draw(batch_facts(COLOURS, torch.nn.Unflatten(1, (3, 1)), 256)),
    "one axis": lambda: batch.draw(batch_facts(DIGITS, torch.nn.Flatten(0), 2)),
    **{code: lambda code=code: layouts.draw(layout(PHOTO, code)) for code in OPERATIONS},
    "walk": lambda: layouts.draw_walk(walk((2, 3, 4, 5), (1, 2, 3, 4))),
    "walk, channels last": lambda: layouts.draw_walk(walk((2, 3, 4, 5), (0, 1, 0, 0), "channels_last")),
    "largest walk": lambda: layouts.draw_walk(walk((2, 1, 6, 20), (1, 0, 5, 19))),
    "five images": lambda: images.draw_row(DIGITS[:5], range(5), "Five digits."),
    "one image": lambda: images.draw_row(DIGITS[:1], ["$a$ <b>"], "One digit."),
    "ten images": lambda: images.draw_row(COLOURS[:10], data.colours().labels[:10].tolist(), "Ten images."),
    "error": lambda: error_text.draw(TEXT, {"1.75 GiB": "what was asked for", "15.50 GiB": "the whole GPU"}),
    "largest error": lambda: error_text.draw(
        "part " * 77 + "1 2 3 4 5 6", {digit: 8 * "the size that came, " for digit in "123456"}
    ),
    "bars": lambda: draw_bars(SIZES, "Four times as many bytes."),
    "largest bars": lambda: draw_bars({f"{n:x>28}": 2**45 for n in range(10)}, "Ten."),
    "row of one number": lambda: cells.draw({"x": torch.zeros(1)}),
    "largest rows": lambda: cells.draw(LARGEST_ROWS),
    "largest order": lambda: shown.draw_order(2, 4, "image.reshape(H, W, C)"),
    "smallest order": lambda: shown.draw_order(1, 2),
    "row of four": lambda: shown.draw_row({"x" * (20 + n % 2): COLOURS[n, 0] for n in range(4)}, "Four."),
    "row of one": lambda: shown.draw_row({"wide": torch.rand(1, 9)}, "One."),
    "small block": lambda: blocks.draw_block(DIGITS[:1]),
    "largest block": lambda: blocks.draw_block(COLOURS[:4]),
    "one layer": lambda: blocks.draw_layers(torch.nn.Sequential(torch.nn.ReLU()), {"one": DIGITS[:1]}),
    "largest layers": lambda: blocks.draw_layers(EIGHT_LAYERS, {30 * "w": COLOURS[:1000], "image": COLOURS[0]}),
    "failing layers": lambda: blocks.draw_layers(models.cnn(), {"with": DIGITS[:64] / 1, "without": DIGITS[0] / 1}),
    "norm of two": lambda: blocks.draw_norm(DIGITS[:2] / 255),
    "largest norm": lambda: blocks.draw_norm(COLOURS[:4] * -100.0),
    "smallest broadcast": lambda: broadcast.draw({"a": (1,), "b": (1,)}),
    "largest broadcast": lambda: broadcast.draw({"twelve wide": (2, 100_000, 3, 224, 224), "mean": (1, 1, 1, 1)}),
    "failing broadcast": lambda: broadcast.draw({"batch": (256, 3, 32, 32), "mean": (3,)}),
    "flow": lambda: flows.draw(shape_flow(DIGITS[:64], 784)),
    "largest flow": lambda: flows.draw(shape_flow(COLOURS[:256], 3072, 512)),
    "failing flow": lambda: flows.draw(shape_flow(COLOURS[:256], 4096, 512)),
    "entry": lambda: flatten.draw_entry(torch.arange(6).view(2, 3), torch.arange(6).view(3, 2), 1, 0),
    "largest entry": lambda: flatten.draw_entry(
        torch.full((4, 4), 999), torch.tensor([[-99], [99]] * 2).repeat(1, 4), 3, 3
    ),
    "smallest entry": lambda: flatten.draw_entry(torch.ones(1, 1).long(), torch.ones(1, 1).long(), 0, 0),
    "product": lambda: flatten.draw_product(("B", 784), (784, 128)),
    "failing product": lambda: flatten.draw_product((1792, 28), (784, 128)),
    "largest product": lambda: flatten.draw_product((9999, 9998), (9999, 9999)),
    "largest layer": lambda: flatten.draw_product((9999, 9999), (9999, 9999), True),
    "smallest product": lambda: flatten.draw_product((1, 2), (2, 1)),
    "unrolled": lambda: flatten.draw_unrolled(DIGITS[0]),
    "largest unrolled": lambda: flatten.draw_unrolled(torch.zeros(1, 64, 64, dtype=torch.uint8)),
    "smallest unrolled": lambda: flatten.draw_unrolled(torch.zeros(1, 16, 16, dtype=torch.uint8)),
    "features": lambda: flatten.draw_features(torch.arange(12).view(3, 2, 2)),
    "largest features": lambda: flatten.draw_features(torch.full((1, 3, 4), 999)),
    "smallest features": lambda: flatten.draw_features(torch.full((1, 1, 1), -99)),
    "boxes": lambda: gpu_memory.draw_boxes(3 * 2**20, 6 * 2**20, 2**28, 2**34),
    "largest boxes": lambda: gpu_memory.draw_boxes(2**50, 2**50, 2**50, 2**50),
    "empty boxes": lambda: gpu_memory.draw_boxes(0, 0, 0, 1),
    "out of memory": lambda: gpu_memory.draw_out_of_memory(out_of_memory()),
    "out of memory, no process named": lambda: gpu_memory.draw_out_of_memory(
        out_of_memory().replace("Including non-PyTorch memory, this process", "Process 4")
    ),
    "out of memory beside others": lambda: gpu_memory.draw_out_of_memory(out_of_memory(capacity="141.00 GiB")),
    "a giant is refused": lambda: gpu_memory.draw_out_of_memory(out_of_memory(tried="1171875.00 GiB")),
    "an empty GPU refuses": lambda: gpu_memory.draw_out_of_memory(
        out_of_memory("9.00 GiB", "8.00 GiB", "7.90 GiB", "100.00 MiB", "0 bytes", "0 bytes")
    ),
    "a small piece is refused": lambda: gpu_memory.draw_out_of_memory(
        out_of_memory("20.00 MiB", "8.00 GiB", "7.90 GiB", "100.00 MiB", "0 bytes", "0 bytes")
    ),
    "bar": lambda: steps.draw_bar(step_memory("digits MLP", 64, with_crossover=True)),
    "small bar": lambda: steps.draw_bar(step_memory("digits MLP", 1, 8, 1, "sgd", with_crossover=True)),
    "largest bar": lambda: steps.draw_bar(step_memory("ResNet-18", 8192, with_crossover=True)),
    "bar of CNN": lambda: steps.draw_bar(step_memory("colours CNN", 8192, 1024, 4, with_crossover=True)),
    "bar with workspace": lambda: steps.draw_bar(with_workspace()),
    "timeline": lambda: steps.draw_timeline(step_memory("digits MLP", 64)),
    "largest timeline": lambda: steps.draw_timeline(step_memory("ResNet-18", 8192)),
    "timeline of CNN": lambda: steps.draw_timeline(step_memory("colours CNN", 8192, 1024, 4, "momentum", "bf16")),
    "timeline with workspace": lambda: steps.draw_timeline(with_workspace()),
    "accumulated": lambda: accumulations.draw(accumulate(16)),
    "whole batch": lambda: accumulations.draw(accumulate(64)),
    "one by one": lambda: accumulations.draw(accumulate(1, "weighted by its size")),
    "wrong twice": lambda: accumulations.draw(accumulate(33, "as it is", "with BatchNorm")),
    "it fits": lambda: fits.draw(will_it_fit("RTX 3070", "wide MLP")),
    "all levers are on": lambda: fits.draw(will_it_fit("H200", "digits MLP", "sgd", "bf16", 8, "on")),
    "nothing fits": lambda: fits.draw(
        WillItFit(
            "RTX 3070",
            "mine",
            ("adam", "fp32"),
            1,
            0,
            trace(torch.nn.Linear(2**15, 2**15), (2**15,), 2),
            dict.fromkeys("abc", 5),
        )
    ),
    "design": lambda: designs.draw(capstone.preview(capstone.Design())),
    "small design": lambda: designs.draw(capstone.preview(capstone.Design(width=1, batch_size=1))),
    "largest design": lambda: designs.draw(
        capstone.preview(
            capstone.Design(
                width=256, depth=5, batch_size=4096, micro_batches=2, optimizer="momentum", checkpointing=True
            )
        )
    ),
    "own design": lambda: designs.draw(
        capstone.preview(capstone.Design(network=models.mlp, batch_size=4096), (1, 28, 28)), ()
    ),
    "levers": lambda: fits.draw_levers({f"{n:x>22}": with_workspace().trace for n in range(12)}, "Twelve."),
    "two levers": lambda: fits.draw_levers(dict.fromkeys("ab", trace(models.mlp(), (1, 28, 28), 2)), "Two."),
    **{f"claims, page {n}": lambda n=n: claims_room.draw(claims.table(page=n)) for n in range(1, claims.PAGES + 1)},
    "no copies": lambda: standings.draw(standing(False, ["not begun"] * 5)),
    "fresh copies": lambda: standings.draw(standing(True, ["not begun"] * 5)),
    "all states": lambda: standings.draw(standing(True, [*SAVED, "hung"])),
    "no such claim": lambda: claims_room.draw(claims.table("01", "wrong as said")),
    "a claim that its figures do not bear": lambda: claims_room.draw(strayed()),
    "all verdicts": lambda: claims_room.draw_verdicts(claims.table()),
    "two verdicts": lambda: claims_room.draw_verdicts(claims.table("01")),
    "kept": lambda: kept.draw(many_rows().trace, "tensor"),
    "kept by one layer": lambda: kept.draw(trace(torch.nn.Linear(3, 2), (3,), batch_size=1), "tensor"),
    "kept by kinds": lambda: kept.draw(step_memory("ResNet-18", 8192).trace, "layer"),
    "one strip": lambda: strips.draw(with_workspace().trace, ["parameters"]),
    "split": lambda: splits.draw(split("digits MLP", 64)),
    "smallest split": lambda: splits.draw(split("digits MLP", 1, 1, 1, "FSDP")),
    "largest split": lambda: splits.draw(split("ResNet-18", 8191, 8, 16, "DDP")),
    "empty micro-batches": lambda: splits.draw(split("digits MLP", 1, 8, 16, "ZeRO-1")),
    "sharded split": lambda: splits.draw(split("ResNet-18", 256, 8, 1, "FSDP")),
    "noise": lambda: noises.draw(gradient_noise(samples_at(MOMENTS[0]), 64, moment=MOMENTS[0])),
    "most noise": lambda: noises.draw(gradient_noise(samples_at(MOMENTS[2]), 1, moment=MOMENTS[2])),
    "no noise": lambda: noises.draw(gradient_noise(samples_at(MOMENTS[1]), 1437, moment=MOMENTS[1])),
    "noise of two samples": lambda: noises.draw(
        gradient_noise(per_sample(models.mlp(), DIGITS[:2] / 255, torch.tensor([3, 4])), 1)
    ),
    "curves": lambda: sizes.draw(batch_size.curves("digits", "loss", "examples", "linear")),
    "largest curves": lambda: sizes.draw(batch_size.curves("digits, low rate", "accuracy", "seconds", "sqrt")),
    "lost curves": lambda: sizes.draw(batch_size.curves("colours", "loss", "steps", "fixed")),
    "endings": lambda: sizes.draw_endings(batch_size.endings("digits", "fixed")),
    "largest endings": lambda: sizes.draw_endings(batch_size.endings("digits, low rate", "linear", "steps")),
    "longest heading of endings": lambda: sizes.draw_endings(batch_size.endings("digits, low rate", "sqrt", "loss")),
    "endings of colours": lambda: sizes.draw_endings(batch_size.endings("colours", "sqrt", "loss")),
    "all strips": lambda: strips.draw(step_memory("ResNet-18", 8192).trace, CATEGORIES),
}


@pytest.fixture(scope="module", params=DRAWINGS.values(), ids=DRAWINGS)
def drawing(request):
    return request.param()


def box_of(corners) -> tuple[float, float, float, float]:
    """Left, top, width and height."""
    (left, top), (right, bottom) = np.min(corners, axis=0), np.max(corners, axis=0)
    return left, top, right - left, bottom - top


# both hands


def test_both_hands_write_the_same_words_in_the_same_places(drawing):
    (axis,) = paper.picture(drawing).figure.axes
    svg_root = ElementTree.fromstring(re.search("<svg.*</svg>", svg.write(drawing, "key")).group())
    live = [(float(text.get("x")), float(text.get("y")), text.text or "") for text in svg_root.iter("text")]
    static = [(*text.get_position(), text.get_text()) for text in axis.texts]
    asked = [(text.x, text.y, text.words) for text in of(drawing, shapes.Text)]
    assert static == asked and [text for *_, text in live] == words(drawing)
    assert np.allclose([place for *place, _ in live], [place for *place, _ in asked], atol=0.5)
    assert svg_root.get("aria-label").startswith(drawing.sentence) and svg_root.get("role") == "img"


def test_nothing_is_cut_and_no_text_lies_on_another(drawing):
    picture = paper.picture(drawing)
    assert picture.sentence == drawing.sentence
    legible(picture)
    for shape in drawing.shapes:
        corners = getattr(shape, "corners", None) or getattr(shape, "points", ())
        assert all(0 <= x <= figures.WIDTH and 0 <= y <= drawing.height for x, y in corners), shape


def test_the_live_drawing_is_small(drawing):
    """It is sent at every move; pixels are not in it."""
    assert len(svg.write(drawing, "key")) < (10_000 if len(drawing.shapes) < 120 else 150 * len(drawing.shapes))
    assert "data:" not in svg.write(drawing, "key")


def test_a_drawing_fills_its_sheet(drawing):
    """No band of more than 40 pixels without anything in it."""
    marks = [(0.0, 0.0), (drawing.height, drawing.height)]
    for shape in drawing.shapes:
        ys = [y for _, y in getattr(shape, "corners", None) or getattr(shape, "points", ())]
        ys += [shape.y, shape.y + getattr(shape, "height", 0)] if hasattr(shape, "y") else []
        marks.append((min(ys), max(ys)))
    end = 0.0
    for top, bottom in sorted(marks):
        assert top - end <= 40, f"nothing between {end} and {top}"
        end = max(end, bottom)


KINDS = (
    shapes.Text(20, 40, "<a> & $b$", "end", bold=True, colour="#123456", size=20, code=True, halo=True),
    shapes.box(30, 50, 100, 40, fill="#ff0000", hatch="//", edge="#00ff00", line=2, dashed=True),
    shapes.Line(((10, 10), (60, 10), (60, 30), (90, 50)), "#0000ff", 3, dashed=True),
    *(shapes.Marker(300, 50, kind) for kind in ("circle", "diamond", "down")),
    shapes.Image(400, 10, 60, 40, shapes.Pixels(np.zeros((4, 6, 3), np.uint8)), ((400, 10), (430, 10), (430, 50))),
)


@pytest.mark.parametrize("shape", KINDS, ids=lambda shape: getattr(shape, "kind", type(shape).__name__))
def test_each_hand_draws_each_shape(shape):
    drawing = shapes.Drawing(100, (shape,), "One shape.")
    blank = paper.picture(shapes.Drawing(100, (), "Nothing.")).png()
    assert paper.picture(drawing).png() != blank
    written = svg.write(drawing, "key")
    ElementTree.fromstring(written)
    assert len(written) > len(svg.write(shapes.Drawing(100, (), "One shape."), "key"))


def test_what_is_no_shape_is_not_passed_over():
    drawing = shapes.Drawing(100, ("a line",), "Nothing.")
    for hand in (lambda drawing: paper.picture(drawing).figure, lambda drawing: svg.write(drawing, "key")):
        with pytest.raises(TypeError, match="no way to draw a str"):
            hand(drawing)


def test_words_are_escaped():
    drawing = shapes.Drawing(100, (KINDS[0],), 'He said "<b>".')
    assert html.escape("<a> & $b$") in svg.write(drawing, "key") and "<b>" not in svg.write(drawing, "key")


def test_patterns_and_images_have_names_of_their_own():
    """Two panels on one page: the patterns of a hidden one cannot be used by the other."""
    for shape in (KINDS[1], KINDS[-1]):
        drawing = shapes.Drawing(100, (shape,), "One shape.")
        one, two = (svg.write(drawing, key) + svg.style(drawing, key) for key in ("one", "two"))
        assert one != two and one.replace("one-", "two-") == two


def test_two_hatches_of_one_colour_have_a_pattern_each():
    boxes = [shapes.box(9, 9, 20, 20, fill="#ff0000", hatch=hatch) for hatch in ("//", "xx", "//")]
    written = svg.write(shapes.Drawing(100, tuple(boxes), "Three."), "key")
    names, used = re.findall(r'pattern id="(.+?)"', written), re.findall(r"url\(#(.+?)\)", written)
    assert len(names) == len(set(names)) == 2 and set(used) == set(names) and used[0] == used[2] != used[1]


# the batch


@pytest.mark.parametrize("count", [1, 8, 16, 17, 63, 64, 65, 200, 256])
def test_the_batch_shows_as_many_tiles_as_it_has_images(count):
    drawing = batch.draw(batch_facts(DIGITS, models.mlp(), count))
    (sheet,) = of(drawing, shapes.Image)
    columns, rows = figures.tile_grid(count)
    assert (sheet.pixels.values == figures.tiles(DIGITS[: columns * rows], columns, rows)).all()
    x, y = np.array(sheet.outline).T
    area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    assert area == pytest.approx(sheet.width * sheet.height * count / (columns * rows))
    assert words(drawing)[:8:2] == [str(count), "1", "28", "28"]


def test_the_pixels_of_a_batch_are_the_same_for_every_batch_size():
    """So that the browser gets them once."""
    styles = {svg.style(batch.draw(batch_facts(COLOURS, models.mlp((3, 32, 32)), b)), "key") for b in (1, 20, 100, 256)}
    assert len(styles) == 1 and styles.pop().count("data:image/png") == 3


def test_the_batch_axis_has_its_colour_before_and_behind_the_model():
    drawing = batch.draw(batch_facts(DIGITS, models.mlp(), 8))
    assert [box.fill for box in of(drawing, shapes.Area)].count(figures.COLOURS["batch"]) == 2
    assert "8 × 1 × 28 × 28 numbers × 4 bytes (float32) = 25,088 bytes (0.02 MiB)" in words(drawing)
    assert "101,770 parameters, the same for every B" in words(drawing)


# layouts


@pytest.mark.parametrize("code", OPERATIONS)
def test_the_layout_shows_what_imshow_shows(code):
    record = layout(PHOTO, code)
    drawing = layouts.draw(record)
    images, errors = of(drawing, shapes.Image), [a for a in of(drawing, shapes.Area) if a.edge == figures.ERROR]
    if record.imshow_error:
        assert not images and len(errors) == 1 and record.imshow_error in " ".join(words(drawing))
    else:
        (image,) = images
        assert not errors and (image.pixels.values == record.result.numpy()).all()
        assert image.width / image.height == pytest.approx(image.pixels.values.shape[1] / image.pixels.values.shape[0])
    assert {code, str(record.result.stride())} < set(words(drawing))


@pytest.mark.parametrize(
    "image",
    [PHOTO, PHOTO / 255, PHOTO.double() / 100 - 0.5, PHOTO.int() * 3 - 99, PHOTO[:1], PHOTO[:1] / 255],
    ids=["uint8", "floats", "out of range", "large", "one channel", "one channel of floats"],
)
def test_other_images_look_as_imshow_makes_them(image):
    """Against what Matplotlib's own artist writes for each pixel."""
    (drawn,) = of(layouts.draw(layout(image, "image.permute(1, 2, 0)")), shapes.Image)
    shown = Figure().subplots().imshow(image.permute(1, 2, 0).numpy())
    expected = shown.to_rgba(shown.get_array(), bytes=True)[..., :3]
    assert drawn.pixels.values.dtype == np.uint8 and np.abs(drawn.pixels.values.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
def test_the_walk_colours_each_cell_by_its_channel_and_lights_one(memory_format):
    kind = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}[memory_format]
    channel_of = torch.arange(3).view(1, 3, 1, 1).expand(2, 3, 4, 5).contiguous(memory_format=kind)
    memory = channel_of.as_strided((120,), (1,)).tolist()
    record = walk((2, 3, 4, 5), (1, 2, 0, 3), memory_format)
    drawing = layouts.draw_walk(record)
    cells, numbers = of(drawing, shapes.Area), [int(text) for text in words(drawing) if text.isdigit()]
    assert len(cells) == len(numbers) == 60 + 120 and numbers[60:] == list(range(120))
    lit = [number for cell, number in zip(cells, numbers, strict=True) if cell.fill == "#000"]
    assert lit == [record.offset, record.offset]
    for cell, number in zip(cells, numbers, strict=True):
        _, line, light = layouts.CHANNELS[memory[number]]
        assert cell.edge == line and cell.fill in (light, "#000")


# the shape flow


def test_the_shape_flow_shows_where_it_stops():
    flow = shape_flow(COLOURS[:32], 784, 100)
    drawing = flows.draw(flow)
    assert words(drawing).count("not reached") == 2 and words(drawing).count("✗ error") == 1
    assert flow.error == ": ".join((words(drawing)[-2], words(drawing)[-1]))
    assert [area.dashed for area in of(drawing, shapes.Area)].count(True) == 2
    repaired = flows.draw(shape_flow(COLOURS[:32], 3072, 100))
    assert not {"not reached", "✗ error", "RuntimeError"} & set(words(repaired)) and "No error" in words(repaired)
    assert figures.ERROR not in {area.edge for area in of(repaired, shapes.Area)}
    blue = [area for area in of(repaired, shapes.Area) if area.fill == figures.COLOURS["batch"]]
    assert len(blue) == 5 + 1  # five shapes and the legend


# the memory of a step


@pytest.mark.parametrize(("model", "batch_size", "width"), [("digits MLP", 64, 256), ("digits MLP", 1, 8),
                                                            ("ResNet-18", 8192, 256)])  # fmt: skip
def test_the_bar_counts_every_byte_of_the_peak(model, batch_size, width):
    record = step_memory(model, batch_size, width, with_crossover=True)
    drawing = steps.draw_bar(record)
    at_peak = {name: size for name, size in record.trace.at_peak.items() if name != "workspace"}
    parts = [box_of(area.corners) for area in of(drawing, shapes.Area) if box_of(area.corners)[3] == 30]
    whole = sum(wide for *_, wide, _ in parts)
    assert [wide / whole for *_, wide, _ in parts] == pytest.approx([n / record.trace.peak for n in at_peak.values()])
    assert all(x + wide == pytest.approx(after[0]) for (x, _, wide, _), after in zip(parts, parts[1:], strict=False))
    assert whole == pytest.approx(660 * record.trace.peak / steps.scale(record.trace.peak).end)
    told = words(drawing)
    assert {name: int(told[told.index(name, 8) + 1].replace(",", "")) for name in at_peak} == at_peak
    assert f"{record.trace.peak:,}" in told and f"◆ B = {record.crossover:,}" in told
    assert f"now B = {batch_size:,}" in told
    assert all(f"{name} {size:,}" in drawing.detail for name, size in at_peak.items())


def test_the_timeline_stacks_what_is_alive():
    record = step_memory("digits MLP", 64)
    drawing, step = steps.draw_timeline(record), record.trace
    areas = [area for area in of(drawing, shapes.Area) if len(area.corners) > 4 or box_of(area.corners)[3] > 20]
    assert [area.fill for area in areas] == [figures.COLOURS[name] for name in reversed(record.shown)]
    end, pixels = steps.scale(step.peak).end, 208
    for area, name in zip(reversed(areas), record.shown, strict=True):
        below = record.shown[: record.shown.index(name) + 1]
        highest = max(sum(event.live[one] for one in below) for event in step.timeline)
        assert box_of(area.corners)[3] == pytest.approx(highest / end * pixels, abs=0.1)
    (mark,) = of(drawing, shapes.Marker)
    assert mark.y == pytest.approx(300 - step.peak / end * pixels, abs=0.1)
    told = words(drawing)
    assert f"peak {readable(step.peak)}" in told
    assert {"forward", "backward", "step()", "operations, in order →", "MiB", *record.shown} < set(told)


@pytest.mark.parametrize(
    ("n_bytes", "end", "unit"),
    [(1, 0.25, "MiB"), (2**20, 1, "MiB"), (2**20 + 1, 1.5, "MiB"), (4_277_248, 6, "MiB"), (9 * 2**30, 12, "GiB")],
)
def test_the_scale_goes_in_steps_and_holds_what_it_must(n_bytes, end, unit):
    ruler = steps.scale(n_bytes)
    assert (ruler.texts[0], ruler.texts[-1], ruler.unit) == ("0", f"{end:g}", unit)
    assert n_bytes <= ruler.end == ruler.marks[-1]


@pytest.mark.parametrize("n_bytes", [2**18, 2**18 + 1, 3 * 2**18, 2**20 - 1, 5 * 2**20, 10**9, 2**30, 10**12])
def test_what_is_drawn_fills_two_thirds_of_the_scale(n_bytes):
    assert n_bytes >= 2 / 3 * steps.scale(n_bytes).end


def test_a_learners_own_trace_can_be_drawn_with_its_workspace():
    record = with_workspace().trace
    for picture in (figures.memory_bar(record), figures.step_timeline(record, "my model", "adam")):
        assert picture.sentence.startswith(f"B = 8: peak {record.peak:,} bytes (")
        assert f"workspace {readable(record.at_peak['workspace'])}" in picture.sentence
        assert "workspace" in [text.get_text() for text in picture.figure.axes[0].texts]
    assert "from B = 99 on; B = 8 is below" in figures.memory_bar(record, 99).sentence


# a batch over ranks


@pytest.mark.parametrize("sharding", SHARDINGS)
@pytest.mark.parametrize("ranks", [1, 3, 8])
def test_the_stacks_of_a_split_are_as_high_as_what_lies_on_each_rank(sharding, ranks):
    record = split("digits MLP", 100, ranks, 2, sharding)
    drawing = splits.draw(record)
    stacks = [record.alone, *record.ranks]
    boxes = [box_of(area.corners) for area in of(drawing, shapes.Area)][: -len(PARTS)]  # without the legend
    end = steps.scale(max(stack.bytes for stack in stacks)).end
    for stack in stacks:
        sizes = [stack.held[part] for part in PARTS if 200 * stack.held[part] / end > 0.3]
        mine, boxes = boxes[: len(sizes)], boxes[len(sizes) :]
        assert [high for *_, high in mine] == pytest.approx([200 * size / end for size in sizes])
        assert len({x for x, *_ in mine}) == 1
    assert not boxes
    told = words(drawing)
    assert set(record.heading) < set(told) and {"alone", "gradient buckets"} < set(told)
    assert [word for word in told if re.fullmatch(r"rank \d", word)] == [f"rank {rank}" for rank in range(ranks)]
    assert all(
        f"{part} {size:,}" in drawing.detail for part, size in record.ranks[-1].held.items() if part != "buckets"
    )


# bad input

RECORDS = (
    figures.memory_bar, figures.step_timeline, figures.kept_picture, figures.speed_up, figures.broadcast_picture,
    figures.unroll_picture, figures.features_picture, figures.block_picture, figures.norm_picture, figures.memory_row,
    figures.out_of_memory, figures.accumulate_picture, figures.split_picture, figures.noise_picture,
    figures.curves_picture, figures.endings_picture, figures.design_picture, figures.claims_picture,
    figures.verdicts_picture,
)  # fmt: skip
HOSTILE = [None, 1, 2.5, "x", [], (), {}, object(), int, torch.rand(3), torch.nn.ReLU(), float("nan")]


@pytest.mark.parametrize("function", RECORDS, ids=lambda function: function.__name__)
def test_pictures_refuse_anything_but_their_record(function):
    for wrong in HOSTILE:
        problem(lambda wrong=wrong: function(wrong))


def test_pictures_of_a_step_refuse_other_settings():
    record = with_workspace().trace
    for wrong in ({"crossover": 0}, {"crossover": 1.5}, {"crossover": "774"}, {"title": 3}, {"settings": None}):
        problem(lambda wrong=wrong: figures.memory_bar(record, **wrong))
    for wrong in ({"title": None}, {"settings": ["adam"]}):
        problem(lambda wrong=wrong: figures.step_timeline(record, **wrong))


def test_colours_of_the_course_differ():
    assert len(set(figures.COLOURS.values())) == len(figures.COLOURS) == 8
    assert figures.ERROR not in figures.COLOURS.values()
