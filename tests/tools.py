"""What tests of several rooms share."""

import copy
import json

import pytest
import torch
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from torch import nn

from helpers import course, figures
from helpers.authoring import lessons
from helpers.figures.shapes import Text
from helpers.memory import tracer
from helpers.memory.step import make_plan
from helpers.problems import Problem

SHAPES = st.lists(st.integers(0, 7), min_size=0, max_size=5).map(tuple)
DTYPES = st.sampled_from([torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64])
#: How many times its parameters an optimizer keeps.
STATE = {"sgd": 0, "momentum": 1, "adam": 2}


def problem(call) -> str:
    """The message of the `Problem` that `call` raises."""
    with pytest.raises(Problem) as caught:
        call()
    seen = " ".join(" ".join(caught.value._render_traceback_()).split())
    assert seen == " ".join(f"Problem: {caught.value}".split())  # a learner sees no traceback
    return str(caught.value)


def refused(call) -> None:
    """`call` raises a `Problem` that says what to give, or what is allowed."""
    said = problem(call)
    assert "give" in said.lower() or "allowed" in said


def of(drawing, kind) -> list:
    """The shapes of this kind in a drawing, in order."""
    return [shape for shape in drawing.shapes if isinstance(shape, kind)]


def words(drawing) -> list[str]:
    """What is written in a drawing, in order."""
    return [text.words for text in of(drawing, Text)]


def legible(picture: figures.Picture) -> None:
    """The picture is as wide as all others, and its text is large enough, not cut, and on no other text.

    Measured in Matplotlib's letters, which are the widest of the usual fonts.
    """
    figure, texts = picture.figure, []
    assert round(figure.get_size_inches()[0] * figures.DPI) == figures.WIDTH
    figure.set_dpi(figures.DPI)  # as it is stored: letters have whole pixels
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)  # this sets the layout
    boxes = [("axes", axes.get_tightbbox(renderer)) for axes in figure.axes if axes.axison]
    for axes in figure.axes:
        texts += axes.texts
        for axis in (axes.xaxis, axes.yaxis) if axes.axison else ():
            low, high = sorted(axis.get_view_interval())
            texts += [axis.label, *(tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high)]
    for legend in [*figure.legends, *filter(None, (axes.get_legend() for axes in figure.axes))]:
        texts += legend.get_texts()
    texts = [text for text in texts if text.get_text()]
    assert min(text.get_fontsize() for text in texts) >= figures.SIZE * 72 / figures.DPI
    written = [(text.get_text(), text.get_window_extent(renderer)) for text in texts]
    for name, box in boxes + written:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1, f"{name} is cut"
    for place, (text, box) in enumerate(written):
        for other, second in written[place + 1 :]:
            assert not box.overlaps(second), f"{text} lies on {other}"


def cnn() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.3),
        nn.Flatten(), nn.Linear(8 * 16 * 16, 10),
    )  # fmt: skip


def really(network, sample_shape, batch_size, **settings):
    """The same step on a real copy of the model, with real tensors, watched by the same observer."""
    plan = make_plan(network, sample_shape, batch_size, **settings, device="cpu")
    with tracer.as_found():
        return tracer.record(copy.deepcopy(network), plan)


def wide() -> nn.Sequential:
    """The course's example of two regimes: 784-512-512-10."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )


def blocks() -> nn.Sequential:
    """Flatten, then six blocks of Linear, GELU, Linear."""
    block = [nn.Sequential(nn.Linear(48, 96), nn.GELU(), nn.Linear(96, 48)) for _ in range(6)]
    return nn.Sequential(nn.Flatten(), *block, nn.Linear(48, 10))


def size_of(tensors) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def out_of_memory(tried="1.75 GiB", capacity="15.50 GiB", free="1.00 GiB", process="14.50 GiB", allocated="14.00 GiB",
                  unallocated="256.00 MiB"):  # fmt: skip
    """PyTorch's text, shortened at its end."""
    return (
        f"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate {tried}. GPU 0 has a total capacity of "
        f"{capacity} of which {free} is free. Including non-PyTorch memory, this process has {process} memory in use. "
        f"Of the allocated memory {allocated} is allocated by PyTorch, and {unallocated} is reserved by PyTorch but "
        "unallocated. If reserved but unallocated memory is large try setting …"
    )


def copy_of(number: str, sources=None) -> dict:
    """A learner's copy of lesson "00" as JSON, with other sources in the cells of these ids."""
    notebook = json.loads(course.without_outputs(shipped(number)))
    for cell in notebook["cells"]:
        cell["source"] = (sources or {}).get(cell["id"], cell["source"])
    return notebook


def shipped(number: str):
    """The path of a lesson."""
    return next(path for path in lessons.LESSONS if path.name.startswith(number))


def solved(number: str) -> dict[str, str]:
    """The solutions of a lesson, by the ids of the cells that wait for them."""
    return {one.stub.id: one.solution for one in lessons.exercises(shipped(number))}


def stored(path, notebook):
    """The path, after a notebook, or a text that is none, was written there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(notebook if isinstance(notebook, str) else json.dumps(notebook), encoding="utf-8")
    return path
