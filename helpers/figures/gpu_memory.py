"""What a GPU's memory is divided into: as boxes in each other, and as the bar behind an out-of-memory text."""

import re

from helpers.figures.base import ERROR, Picture
from helpers.figures.paper import picture
from helpers.figures.shapes import Drawing, Line, Shape, Text, box
from helpers.problems import Problem, instance_of, shown, whole_number
from helpers.units import GIB, MIB

_BOXES = (  # from the outermost: its name, the call that asks for it, what it holds beside the next one, its colour
    ("the whole GPU", "torch.cuda.mem_get_info()[1]", "free for any program", "#fff"),
    ("in use: nvidia-smi", "total - free of mem_get_info()", "CUDA context and other programs", "#f2f2f2"),
    ("reserved by PyTorch", "torch.cuda.memory_reserved()", "cached: free again, kept by PyTorch", "#e2e2e2"),
    ("allocated", "torch.cuda.memory_allocated()", "tensors that live, and workspace", "#cfcfcf"),
)
_TALL = 56  # what a box shows above the next one


def gpu_boxes(allocated: int, reserved: int, in_use: int, capacity: int) -> Picture:
    """What three counters of a GPU's memory hold, as boxes in each other, each with the call that asks for it.

    All in bytes, each at most the next. Boxes are not drawn to scale. Raises `Problem` for anything else.
    """
    return picture(draw_boxes(allocated, reserved, in_use, capacity))


def draw_boxes(allocated: int, reserved: int, in_use: int, capacity: int) -> Drawing:
    """The boxes of `gpu_boxes`."""
    sizes = {"capacity": capacity, "in_use": in_use, "reserved": reserved, "allocated": allocated}
    most = None
    for name, size in sizes.items():
        whole_number(name, size, 0)
        if most and size > sizes[most]:
            raise Problem(f"{name} is {size:,} and {most} only {sizes[most]:,}; give bytes of which {most} holds all.")
        most = name
    bytes_of, shapes = list(sizes.values()), []
    bottom = len(_BOXES) * (_TALL + 10) + 2
    for depth, (name, call, beside, fill) in enumerate(_BOXES):
        left, right, top = 4 + 14 * depth, 736 - 14 * depth, 4 + _TALL * depth
        shapes += [
            box(left, top, right - left, bottom - 10 * depth - top, fill=fill, edge="#333"),
            Text(left + 10, top + 22, name, bold=True),
            Text(244, top + 22, call, code=True),
            Text(right - 10, top + 22, _mib(bytes_of[depth]), "end", bold=True),
            Text(left + 10, top + 44, beside),
        ]
        if name != "allocated":
            shapes.append(Text(right - 10, top + 44, _mib(bytes_of[depth] - bytes_of[depth + 1]), "end"))
    sentence = (
        f"Of a GPU with {_mib(capacity)}, {_mib(in_use)} are in use, as nvidia-smi shows it; of these PyTorch has "
        f"reserved {_mib(reserved)}, and of these {_mib(allocated)} are allocated. Not to scale."
    )
    return Drawing(bottom + 4, tuple(shapes), sentence)


def _mib(n_bytes: int) -> str:
    """As nvidia-smi writes it; all in one unit, so that differences can be seen."""
    return f"{n_bytes / MIB:,.0f} MiB"


_SIZE = r"(\d{1,9}(?:\.\d{1,9})?) (bytes|KiB|MiB|GiB)"
_UNITS = {"bytes": 1, "KiB": 1024, "MiB": MIB, "GiB": GIB}
_ROUNDED = 0.0151  #: GiB that three sizes with two decimals can be off together
_TEXTS = {  # a number of the text, by the words around it: since PyTorch 2.1 (which wrote "capacty"), and before
    "tried": ("Tried to allocate …",),
    "capacity": ("total capacity of …", "total capacty of …", "… total capacity"),
    "free": ("of which … is free", "… free"),
    "allocated": ("Of the allocated memory … is allocated by PyTorch", "… already allocated"),
    "unallocated": ("… is reserved by PyTorch but unallocated", "… cached"),  # "cached" until 1.3
    "reserved": ("… reserved in total by PyTorch",),
    "process": ("this process has … memory in use",),
    "allowed": ("… allowed;",),  # the limit of torch.cuda.set_per_process_memory_fraction, where there is one
}


def out_of_memory(text: str) -> Picture:
    """The numbers of PyTorch's "CUDA out of memory" as a bar, and the request beside the room that is left.

    text: the last line of the error, whole; line breaks do no harm. What it does not say is left out: often it has the
    numbers of processes only, and not which is this one. Where it names a limit for the process ("4.00 GiB allowed"),
    the bar ends there. Raises `Problem` for anything else.
    """
    return picture(draw_out_of_memory(text))


def draw_out_of_memory(text: str) -> Drawing:
    """The bar of `out_of_memory`."""
    size, words = _numbers(text)
    if "process" in size:
        rest = max(size["process"] - size["allocated"] - size["unallocated"], 0)
        others = size["capacity"] - size["free"] - size["process"]
        others = others if others > _ROUNDED * GIB else 0
        name, own = "context", f"the rest of the {words['process']} of this process"
    else:
        rest = max(size["capacity"] - sum(size[part] for part in ("allocated", "unallocated", "free")), 0)
        others = 0
        name, own = "context, other programs", "the text does not tell them apart"
    unused = "allowed, not taken yet" if "allowed" in size else "not taken by any program"
    parts = [  # bytes, look, name, size as the text says it, what it is
        (size["allocated"], {"fill": "#8c8c8c"}, "allocated", words["allocated"], "tensors and workspace"),
        (size["unallocated"], {"fill": "#d9d9d9", "hatch": "//"}, "unallocated", words["unallocated"], "cached blocks"),
        (rest, {"fill": "#d9d9d9", "hatch": "xx"}, name, "", own),
        (others, {"fill": "#d9d9d9", "hatch": "--"}, "other programs", "", "in use, but not by this process"),
        (size["free"], {"fill": "#fff"}, "free", words["free"], unused),
    ]
    whole = sum(part for part, *_ in parts)
    if size["capacity"] == 0 or whole > 1.02 * size["capacity"]:
        raise Problem(f"the parts add up to {whole / MIB:,.0f} MiB; allowed is the capacity, {words['capacity']}.")
    start = whole - size["free"]
    pixels = 728 / min(max(whole, start + size["tried"]), 1.5 * whole)  # of one byte
    whose = "allowed for this process" if "allowed" in size else "the whole GPU"
    left, shapes = 4.0, [Text(4, 18, f"{whose}: {words['capacity']}", bold=True)]
    legend: list[Shape] = []
    for part, look, name, number, meaning in parts:
        if part or name == "free":
            shapes.append(box(left, 28, part * pixels, 30, edge="#333", line=1, **look))
            legend += _row(len(legend) // 4, look, name, number, meaning)
        left += part * pixels
    x = 4 + start * pixels
    wide, look = min(size["tried"] * pixels, 732 - x), {"fill": "#fff", "edge": ERROR, "line": 2.5}
    beside = (x - 8, "end") if x > 170 else (x + 8 if wide > 170 else x + wide + 8, "start")
    shapes += [
        box(x, 66, wide, 22, **look),
        Text(beside[0], 82, "tried to allocate", beside[1], bold=True, colour=ERROR),
        Line(((left, 24), (left, 96)), dashed=True),
    ]
    legend += _row(len(legend) // 4, look, "tried to allocate", words["tried"], "one piece, asked for by one operation")
    sentence = (
        f"An out-of-memory text as a bar: {words['capacity']} {'allowed' if 'allowed' in size else 'in all'}, "
        f"{words['allocated']} allocated, "
        f"{words['unallocated']} reserved but unallocated, {words['free']} free. The request for {words['tried']} "
        f"{'reaches beyond the end' if size['tried'] > size['free'] else 'would fit into what is free now'}."
    )
    return Drawing(106 + 24 * len(legend) // 4, (*shapes, *legend), sentence)


def _numbers(text: str) -> tuple[dict[str, float], dict[str, str]]:
    """The bytes that the text names, or that follow from those it names; and as they are written."""
    line, size, words = " ".join(instance_of("text", text, str, '"CUDA out of memory. …"').split()), {}, {}
    for name, forms in _TEXTS.items():
        found = next(filter(None, (re.search(form.replace("…", _SIZE), line) for form in forms)), None)
        if found:
            size[name], words[name] = float(found[1]) * _UNITS[found[2]], f"{found[1]} {found[2]}"
    if "unallocated" not in size and {"allocated", "reserved"} <= size.keys():
        size["unallocated"] = max(size["reserved"] - size["allocated"], 0)
        words["unallocated"] = f"{size['unallocated'] / MIB:,.2f} MiB"
    for name in ("tried", "capacity", "free", "allocated", "unallocated"):
        if name not in size:
            raise Problem(f'text is {shown(text)}, without "{_TEXTS[name][0]}"; give the whole last line of the error.')
    if "allowed" in size:
        size.pop("process", None)
        size["capacity"], words["capacity"] = size["allowed"], words["allowed"]
        size["free"] = max(size["allowed"] - size["allocated"] - size["unallocated"], 0)
        words["free"] = f"{size['free'] / MIB:,.2f} MiB"
    return size, words


def _row(row: int, look: dict, name: str, number: str, meaning: str) -> list[Shape]:
    y = 104 + 24 * row
    sign = box(4, y, 18, 14, **{"edge": "#333", "line": 1} | look)
    return [sign, Text(30, y + 12, name, bold=True), Text(300, y + 12, number, "end"), Text(316, y + 12, meaning)]
