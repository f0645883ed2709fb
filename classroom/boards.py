"""Drawings that a teacher can copy on a whiteboard, one or two a lesson, as SVG files in boards/.

A board is a function named after its lesson, `board_07_factor`; what it returns is drawn by `helpers.figures.svg`.
"""

from functools import cache
from math import prod

import torch

from helpers.figures import COLOURS, broadcast, cells, flatten, shown, svg
from helpers.figures.base import ERROR
from helpers.figures.shapes import (
    GREY,
    NCHW,
    Area,
    Drawing,
    Line,
    Marker,
    Points,
    Shape,
    Text,
    box,
    category,
    cell,
    shape_boxes,
)
from helpers.units import readable

BIG = 18  # pixels, of the letters on a board


@cache
def all_boards() -> dict[str, Drawing]:
    """Every board by the name of its file, in the order of the lessons."""
    found = {name.removeprefix("board_"): make for name, make in globals().items() if name.startswith("board_")}
    return {name.replace("_", "-"): make() for name, make in sorted(found.items())}


def of(lesson: str) -> dict[str, Drawing]:
    """The boards of one lesson, by the name of their file."""
    return {name: drawing for name, drawing in all_boards().items() if name.startswith(lesson)}


def files() -> dict[str, str]:
    """The text of each file, by its name."""
    return {f"{name}.svg": svg.alone(drawing) for name, drawing in all_boards().items()}


def say(x: float, y: float, words: str, **look: object) -> Text:
    """A word in a board's letters."""
    return Text(x, y, words, **{"size": BIG, **look})


def arrow(*points: tuple[float, float], **look: object) -> list[Shape]:
    """A line from point to point, with a head at its end; its last piece is level or upright."""
    (x0, y0), (x, y) = points[-2:]
    across, along = (x > x0) - (x < x0), (y > y0) - (y < y0)
    colour = look.get("colour", "#000")
    back, side = (x - 11 * across, y - 11 * along), (6 * abs(along), 6 * abs(across))
    head = ((x, y), (back[0] + side[0], back[1] + side[1]), (back[0] - side[0], back[1] - side[1]))
    return [Line((*points[:-1], back), line=2, **look), Area(head, fill=colour)]


def curve(left: float, low: float, wide: float, high: float, values: list[tuple[float, float]]) -> Points:
    """Points with x and y from 0 to 1 as places, y upwards."""
    return tuple((left + wide * x, low - high * y) for x, y in values)


def board_00_four_steps() -> Drawing:
    error = "stack expects each tensor to be equal size,"
    rest = "but got [28, 28] at entry 0 and [30, 28] at entry 2"
    steps = {
        "the last line": "what went wrong: sizes differ",
        "the line of mine": "torch.stack(images)",
        "whose numbers": "images[0] and images[2]: 28 high, 30 high",
        "the smallest input": "two images, 2 x 2 and 3 x 2, fail too",
    }
    drawn: list[Shape] = [box(2, 2, 736, 66, fill="#f4f4f4", edge=ERROR, line=2)]
    drawn += [say(16, 29, error, size=17, code=True), say(16, 55, rest, size=17, code=True)]
    for row, (step, example) in enumerate(steps.items()):
        y = 84 + 46 * row
        drawn += cell(2, y, 38, 38, row + 1, size=BIG, bold=True, edge="#000")
        drawn += [say(54, y + 26, step, bold=True), say(270, y + 26, example)]
    sentence = f"An error, read in four steps: {'; '.join(f'{n} {step}' for n, step in enumerate(steps, 1))}."
    return Drawing(268, tuple(drawn), sentence)


def board_00_bytes() -> Drawing:
    shape, each = (64, 1, 28, 28), torch.float32.itemsize
    drawn: list[Shape] = [say(2, 26, "a batch of 64 digits, in float32", bold=True)]
    names = ("images", "channel", "rows", "columns", "bytes each")
    for place, (size, name) in enumerate(zip((*shape, each), names, strict=True)):
        x = 2 + 106 * place
        look = {"fill": COLOURS["batch"] if place == 0 else "#fff", "edge": "#333"}
        drawn += cell(x, 44, 74, 40, size, size=20, bold=True, **look)
        drawn += [
            say(x + 37, 106, name, anchor="middle", size=16),
            say(x + 90, 72, "x" if place < 4 else "=", anchor="middle"),
        ]
    found = prod(shape) * each
    drawn += [say(542, 72, f"{found:,} bytes", bold=True, size=20), say(542, 106, f"= {readable(found)}")]
    sentence = f"64 images x 1 channel x 28 rows x 28 columns x 4 bytes = {found:,} bytes, {readable(found)}."
    return Drawing(118, tuple(drawn), sentence)


def board_01_lost_axis() -> Drawing:
    batch = torch.zeros(64, 3, 32, 32)
    rows = (
        ("batch", batch, ""),
        ("batch[5]", batch[5], "the batch axis is lost"),
        ("batch[5:6]", batch[5:6], "it stays"),
    )
    drawn: list[Shape] = []
    for row, (code, tensor, words) in enumerate(rows):
        y, missing = 8 + 76 * row, 4 - tensor.ndim
        drawn.append(say(2, y + 22, code, code=True, bold=True))
        drawn += shape_boxes(170 + 86 * missing, y, tuple(tensor.shape), NCHW[missing:])
        if missing:
            drawn.append(box(170, y, 82, 30, fill="#fff", edge=ERROR, line=2, dashed=True))
        drawn.append(say(530, y + 21, words, size=16, bold=bool(missing), colour=ERROR if missing else "#000"))
    shapes = ", ".join(f"{code} has the shape {tuple(tensor.shape)}" for code, tensor, _ in rows)
    return Drawing(226, tuple(drawn), f"{shapes}. An index takes the batch axis away, a slice keeps it.")


def board_02_loop() -> Drawing:
    steps = (
        (30, 10, "loss", "how wrong on this batch"),
        (430, 10, "loss.backward()", "adds to every .grad"),
        (430, 150, "optimizer.step()", "moves every weight"),
        (30, 150, "optimizer.zero_grad()", "empties every .grad"),
    )
    drawn: list[Shape] = []
    for x, y, code, words in steps:
        drawn += [
            box(x, y, 280, 74, edge="#000", line=2),
            say(x + 140, y + 32, code, anchor="middle", code=True, bold=True),
        ]
        drawn.append(say(x + 140, y + 58, words, anchor="middle"))
    drawn += arrow((310, 47), (430, 47)) + arrow((570, 84), (570, 150))
    drawn += arrow((430, 187), (310, 187)) + arrow((170, 150), (170, 84))
    drawn.append(say(184, 122, "next batch"))
    order = ", ".join(f"{code} {words}" for *_, code, words in steps)
    return Drawing(234, tuple(drawn), f"The training loop as a ring: {order}; then the next batch.")


def board_02_line_up() -> Drawing:
    return broadcast.draw({"images": (256, 3, 24, 32), "mean": (3,)})


def board_03_order() -> Drawing:
    return shown.draw_order(2, 4, "image.permute(1, 2, 0)")


def board_04_strides() -> Drawing:
    image = torch.tensor([[[10, 11], [12, 13]], [[20, 21], [22, 23]], [[30, 31], [32, 33]]])
    return cells.draw({"img": image, "hwc": image.permute(1, 2, 0)})


def board_05_inner_sizes() -> Drawing:
    return flatten.draw_product((1792, 28), (784, 128))


def board_05_flatten() -> Drawing:
    drawn: list[Shape] = [say(2, 24, "one image, 3 rows", bold=True), say(330, 24, "one row of 12 features", bold=True)]
    for place in range(12):
        row, column = divmod(place, 4)
        look = {"fill": ("#fff", "#ddd", "#bbb")[row], "edge": "#333"}
        drawn += cell(2 + 46 * column, 40 + 46 * row, 46, 46, place, size=16, **look)
        drawn += cell(330 + 34 * place, 86, 34, 46, place, size=16, **look)
    drawn += arrow((206, 109), (318, 109))
    drawn.append(say(262, 98, "Flatten", anchor="middle", size=16))
    return Drawing(
        182, tuple(drawn), "Flatten puts the rows of an image one behind the other: 3 x 4 numbers are 12 features."
    )


def board_06_rows_mix() -> Drawing:
    drawn: list[Shape] = []
    sides = (("x @ W", "one row of x changes one row", (2,)), ("W @ x", "one row of x changes all rows", (0, 1, 2, 3)))
    for side, (code, words, rows) in enumerate(sides):
        left = 2 + 380 * side
        drawn += [say(left, 26, code, code=True, bold=True, size=22), say(left, 54, words)]
        for place, (name, marked) in enumerate((("x", (2,)), ("result", rows))):
            for row in range(4):
                fill = {"fill": COLOURS["batch"] if row in marked else "#fff"}
                drawn.append(box(left + 200 * place, 70 + 28 * row, 130, 28, edge="#333", **fill))
                if row in marked:
                    drawn.append(say(left + 200 * place + 65, 90 + 28 * row, "changed", anchor="middle", size=15))
            drawn.append(say(left + 200 * place + 65, 206, name, anchor="middle"))
        drawn += arrow((left + 138, 126), (left + 192, 126))
    sentence = "x @ W keeps the rows of a batch apart; W @ x runs when B equals the features, and mixes all rows."
    return Drawing(216, tuple(drawn), sentence)


def board_07_factor() -> Drawing:
    rows = {
        "SGD": ("parameters", "gradients"),
        "Adam": ("parameters", "gradients", "optimizer state", "optimizer state"),
    }
    drawn: list[Shape] = []
    for row, (name, parts) in enumerate(rows.items()):
        y = 10 + 84 * row
        drawn.append(say(2, y + 34, name, bold=True, size=22))
        for place, part in enumerate(parts):
            drawn.append(box(90 + 142 * place, y, 138, 50, edge="#000", **category(part)))
            drawn.append(say(90 + 142 * place + 69, y + 70, part, anchor="middle", size=16))
    drawn += [say(400, 30, "each box: as many bytes", size=16), say(400, 52, "as the parameters take", size=16)]
    few, many = map(len, rows.values())
    drawn.append(
        say(2, 208, f"{many} boxes against {few}: Adam needs {many / few:g} times as much, not 3", bold=True, size=20)
    )
    sentence = (
        f"SGD holds parameters and gradients, Adam two states more: {many} against {few}, {many / few:g} times, not 3."
    )
    return Drawing(222, tuple(drawn), sentence)


def board_08_hill_and_bump() -> Drawing:
    drawn: list[Shape] = [Line(((40, 200), (720, 200)), line=2)]
    for x, name in ((60, "forward"), (300, "backward"), (540, "step()")):
        drawn.append(say(x + 100, 226, name, anchor="middle", bold=True))
    drawn += [Line(((x, 20), (x, 200)), GREY, dashed=True) for x in (280, 520)]
    hill = [(0, 0.25), (0.36, 0.95), (0.42, 1), (0.7, 0.45), (0.72, 0.6), (0.95, 0.6), (0.97, 0.25), (1, 0.25)]
    flat = [(0, 0.25), (0.36, 0.32), (0.42, 0.34), (0.7, 0.45), (0.72, 0.6), (0.95, 0.6), (0.97, 0.25), (1, 0.25)]
    drawn.append(Line(curve(40, 200, 680, 170, hill), COLOURS["activations"], 4))
    drawn.append(Line(curve(40, 192, 680, 170, flat), COLOURS["parameters"], 4, dashed=True))
    drawn += [say(336, 26, "hill: many activations", size=16), say(60, 186, "few activations (dashed)", size=16)]
    drawn.append(say(540, 72, "bump: Adam's copy", size=16))
    sentence = (
        "Memory over a training step: forward climbs, backward comes down, Adam's step() has a bump. Where activations "
        "are many, the hill is the peak; where they are few (dashed), the bump is."
    )
    return Drawing(238, tuple(drawn), sentence)


def board_09_largest_batch() -> Drawing:
    drawn = [*arrow((60, 220), (60, 14)), *arrow((60, 220), (720, 220))]
    drawn += [say(72, 26, "peak in bytes", size=16), say(716, 244, "batch size B", anchor="end", size=16)]
    bend, full = curve(60, 220, 640, 200, [(0.3, 0.35), (0.8, 0.8)])
    start, end = curve(60, 220, 640, 200, [(0, 0.35), (0.9, 0.89)])
    drawn.append(Line((start, bend, end), COLOURS["activations"], 4))
    drawn += [
        Line(((60, full[1]), (700, full[1])), ERROR, 2, dashed=True),
        say(250, full[1] - 8, "room on the card", colour=ERROR),
    ]
    drawn += [Line(((full[0], full[1]), (full[0], 220)), GREY, 2, dashed=True)]
    drawn += [Marker(*full, "circle"), say(full[0] - 8, 244, "largest B", anchor="middle", bold=True)]
    drawn += [Marker(*bend, "diamond"), say(bend[0], 244, "kink", anchor="middle")]
    drawn += [
        say(72, y, words, size=16)
        for y, words in ((98, "step() rules:"), (118, "a smaller B saves"), (138, "next to nothing"))
    ]
    base = curve(60, 220, 640, 200, [(0, 0.08)])[0]
    drawn += [Line((base, bend), COLOURS["activations"], 2, dashed=True), say(8, base[1] + 6, "fixed", size=16)]
    drawn.append(say(full[0] - 10, 196, "(room - fixed) / per image", anchor="end", bold=True, size=16))
    sentence = (
        "The peak against B is level up to the kink, then a line. The largest B is where the line meets the room: "
        "(room - fixed) / per image. Left of the kink a smaller batch saves nothing."
    )
    return Drawing(256, tuple(drawn), sentence)


def board_10_two_ranks() -> Drawing:
    drawn: list[Shape] = []
    for image in range(8):
        drawn += cell(30 + 46 * image, 10, 40, 40, image, size=16, fill=COLOURS["batch"], edge="#333")
    drawn.append(say(412, 37, "the batch, dealt out like cards"))
    for rank in range(2):
        y = 84 + 74 * rank
        drawn.append(say(2, y + 27, f"rank {rank}", bold=True))
        for place, image in enumerate(range(rank, 8, 2)):
            drawn += cell(86 + 46 * place, y, 40, 40, image, size=16, fill=COLOURS["batch"], edge="#333")
        drawn += arrow((280, y + 20), (330, y + 20))
        drawn += cell(334, y, 130, 40, "its gradient", size=16, fill="#fff", edge=COLOURS["gradients"], line=3)
        drawn.append(Line(((464, y + 20), (500, y + 20), (500, 141)), line=2))
    drawn += arrow((500, 141), (540, 141))
    drawn += cell(544, 116, 190, 50, "the mean of both", size=BIG, bold=True, edge=COLOURS["gradients"], line=4)
    drawn.append(say(639, 188, "both take the same step", anchor="middle", size=16))
    sentence = (
        "A batch of 8 is dealt out to two ranks; each makes the gradient of its half, and both step by the mean of the "
        "two, which is the gradient of the whole batch."
    )
    return Drawing(206, tuple(drawn), sentence)


def board_11_miss() -> Drawing:
    drawn: list[Shape] = [*arrow((60, 210), (60, 12)), Line(((60, 210), (720, 210)), line=2)]
    drawn.append(say(230, 24, "typical miss of a batch's gradient", size=16))
    for place, b in enumerate((1, 4, 16, 64)):
        x, high = 110 + 160 * place, 160 * b**-0.5
        drawn += [box(x, 210 - high, 80, high, fill=COLOURS["gradients"], edge="#333")]
        drawn.append(say(x + 40, 234, f"B = {b}", anchor="middle", bold=True))
        drawn.append(say(x + 40, 202 - high, "1" if b == 1 else f"1/{round(b**0.5)}", anchor="middle"))
    sentence = "Four times the batch, half the miss: 1 at B = 1, then 1/2, 1/4 and 1/8 at B = 4, 16 and 64."
    return Drawing(246, tuple(drawn), sentence)


def board_11_valleys() -> Drawing:
    drawn: list[Shape] = []
    for side, (name, steep) in enumerate((("flat", 0.25), ("sharp", 2.5))):
        left = 20 + 370 * side
        reach = min(1.0, (1 / steep) ** 0.5)
        xs = [reach * n / 20 for n in range(-20, 21)]
        drawn.append(Line(tuple((left + 160 + 150 * x, 190 - 150 * steep * x**2) for x in xs), line=3))
        drawn.append(say(left + 160, 216, name, anchor="middle", bold=True))
        miss = 0.35
        y = 190 - 150 * steep * miss**2
        drawn += [Line(((left + 160, 190), (left + 160 + 150 * miss, 190)), ERROR, 3)]
        drawn += [Line(((left + 160 + 150 * miss, 190), (left + 160 + 150 * miss, y)), ERROR, 3, dashed=True)]
        drawn.append(Marker(left + 160 + 150 * miss, y, "circle"))
    drawn.append(say(370, 24, "the same miss (red) costs more in the sharp valley", anchor="middle", size=16))
    drawn.append(
        say(370, 244, "a learning rate above 2 / sharpness jumps across, and farther away", anchor="middle", size=16)
    )
    sentence = (
        "A flat and a sharp valley: the same miss costs more in the sharp one; a rate above 2 / sharpness overshoots."
    )
    return Drawing(256, tuple(drawn), sentence)


def board_12_balance() -> Drawing:
    drawn: list[Shape] = [Line(((370, 40), (90, 190), (650, 190), (370, 40)), line=2)]
    for x, y, name in ((370, 40, "memory"), (90, 190, "time"), (650, 190, "accuracy")):
        drawn += cell(x - 75, y - 24, 150, 48, name, size=20, bold=True, edge="#000", line=2)
    levers = (
        (8, 84, "micro-batches: less memory,", "more time"),
        (530, 84, "half the width: half the", "memory, fewer filters"),
        (184, 236, "a smaller batch: more steps an epoch, more time", ""),
    )
    for x, y, one, two in levers:
        drawn += [say(x, y, one, size=16)] + ([say(x, y + 22, two, size=16)] if two else [])
    sentence = (
        "A triangle of memory, time and accuracy. Micro-batches save memory and cost time; half the width is half the "
        "memory and fewer filters; a smaller batch takes more steps an epoch, and more time."
    )
    return Drawing(248, tuple(drawn), sentence)


def board_13_five_steps() -> Drawing:
    steps = (
        "Write it down so that it can be false",
        "Work out the smallest case by hand",
        "Measure it, and change one thing only",
        "Look for the case that breaks it",
        "Verdict, condition, figure, what was not measured",
    )
    drawn: list[Shape] = []
    for row, words in enumerate(steps):
        drawn += cell(2, 4 + 44 * row, 38, 36, row + 1, size=BIG, bold=True, edge="#000")
        drawn.append(say(54, 29 + 44 * row, words))
    signs = (("✓", "holds"), ("◐", "holds if"), ("≈", "imprecise"), ("✗", "wrong as said"))
    for row, (sign, words) in enumerate(signs):
        drawn.append(say(560, 40 + 50 * row, sign, size=24, anchor="middle"))
        drawn.append(say(590, 40 + 50 * row, words, bold=True))
    said = "; ".join(step.lower() for step in steps)
    return Drawing(
        222,
        tuple(drawn),
        f"Five steps to test a statement: {said}. Four verdicts: holds, holds if, imprecise, wrong as said.",
    )
