"""Panels without a browser: controls, code and words agree; bad values are refused; errors are shown in words."""

import asyncio
import base64
import io
import re
from math import prod

import ipywidgets as widgets
import pytest
import torch
from PIL import Image

from helpers import layouts, models, panels
from helpers.problems import Problem
from helpers.shape_flow import shape_flow


@pytest.fixture(scope="module")
def panel():
    return panels.BatchPanel()


def shown(panel) -> str:
    return panel._picture.value + panel._words.value


def boxes(panel, kind) -> list:
    found, todo = [], [panel]
    while todo:
        widget = todo.pop()
        found += [widget] if isinstance(widget, kind) else []
        todo += list(getattr(widget, "children", ()))
    return found


def test_set_moves_controls_picture_and_words(panel):
    panel.set(batch_size=64, images="colours", dtype="uint8")
    assert panel.values == {"batch_size": 64, "images": "colours", "dtype": "uint8"}
    assert "shape (64, 3, 32, 32), stored as uint8 in 196,608 bytes (0.19 MiB)" in panel.text
    assert "196,608 bytes" in panel._picture.value and panel.text in panel._words.value
    panel.set(batch_size=1, images="digits", dtype="float32")
    assert panel.text.startswith("1 grey image of 28 x 28: shape (1, 1, 28, 28), stored as float32 in 3,136 bytes.")
    assert panel.record.output_shape == (1, 10)


def test_controls_do_what_set_does(panel):
    for control, value in ((boxes(panel, widgets.BoundedIntText)[0], 7), (boxes(panel, widgets.IntSlider)[0], 200)):
        control.value = value
        assert panel.values["batch_size"] == value
        assert f"({value}, " in panel.text and f"({value}, 10)" in panel.text
        by_hand = shown(panel)
        panel.set(batch_size=3)
        panel.set(batch_size=value)
        assert shown(panel) == by_hand


def test_one_set_draws_once(panel, monkeypatch):
    drawn = []
    monkeypatch.setattr(panel, "draw", lambda record: drawn.append(record) or "")
    panel.set(batch_size=5, images="colours", dtype="float16")
    assert len(drawn) == 1


@pytest.mark.parametrize(
    "values",
    [
        {"batch_size": 0}, {"batch_size": -1}, {"batch_size": 257}, {"batch_size": 8.0}, {"batch_size": True},
        {"batch_size": "8"}, {"batch_size": None}, {"images": "cats"}, {"images": 1}, {"dtype": "int3"},
        {"batchsize": 8}, {"batch_size": 9, "images": "cats"},
    ],
)  # fmt: skip
def test_bad_values_are_refused_and_nothing_moves(panel, values):
    panel.set(batch_size=8, images="digits", dtype="float32")
    before = panel.values, panel.text, shown(panel)
    with pytest.raises(Problem) as caught:
        panel.set(**values)
    assert "allowed is" in str(caught.value)
    assert (panel.values, panel.text, shown(panel)) == before


def test_a_value_without_a_name_is_refused(panel):
    with pytest.raises(Problem, match="as in batch_size=64"):
        panel.set(64)
    with pytest.raises(AttributeError):
        panel.text = "mine"


@pytest.mark.parametrize(
    "arguments", [{"model": "cnn"}, {"model": torch.nn.Linear}, {"batch_size": 0}, {"images": "cats"}]
)
def test_bad_construction_is_refused(arguments):
    with pytest.raises(Problem):
        panels.BatchPanel(**arguments)


def test_an_error_of_the_learners_model_is_shown_in_words():
    panel = panels.BatchPanel(model=torch.nn.Linear(3, 3))
    assert 'role="alert"' in panel._words.value
    assert "PyTorch says: " in panel.text and "mat1 and mat2 shapes cannot be multiplied" in panel.text
    assert "image/png" not in panel._repr_mimebundle_()


def test_the_panel_recovers_after_an_error():
    panel = panels.BatchPanel(model=torch.nn.Conv2d(1, 4, 3))
    assert "(8, 4, 26, 26)" in panel.text
    panel.set(images="colours")
    assert 'role="alert"' in panel._words.value
    panel.set(images="digits")
    assert 'role="status"' in panel._words.value and "(8, 4, 26, 26)" in panel.text


def test_what_a_model_says_is_escaped():
    class Rude(torch.nn.Module):
        def forward(self, batch):
            raise ValueError("<script>alert(1)</script>")

    panel = panels.BatchPanel(model=Rude())
    assert "<script>" not in panel._words.value and "&lt;script&gt;" in panel._words.value


def test_static_picture_and_words_stand_beside_the_live_view(panel):
    panel.set(batch_size=64)
    bundle = panel._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert panel.text in bundle["text/plain"]
    assert Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))).size == (720, 324)


def test_drawing_has_one_size_for_all_values(panel):
    for values in ({"batch_size": 1}, {"batch_size": 256}, {"images": "colours"}):
        panel.set(**values)
        assert panel._picture.value.count("width:736px;height:184px;") == 2
        assert panel._picture.value.startswith(f'<div style="height:{panel.height}px;')


def test_every_slider_has_a_labelled_number_box_beside_it(panel):
    for row in boxes(panel, widgets.HBox):
        kinds = [type(child) for child in row.children]
        if widgets.IntSlider in kinds:
            assert row.children[kinds.index(widgets.BoundedIntText)].description


def test_a_panel_leaves_the_learners_random_numbers_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    panels.BatchPanel().set(batch_size=3)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture(scope="module")
def flow():
    return panels.ShapeFlowPanel()


def test_shape_flow_starts_with_the_in_features_that_fit(flow):
    assert flow.values == {"dataset": "digits", "batch_size": 64, "hidden": 128, "in_features": 784}
    assert panels.ShapeFlowPanel("colours").values["in_features"] == 3072
    assert "Flatten (64, 784) → Linear (64, 128) → ReLU (64, 128) → Linear (64, 10)" in flow.text
    assert "100,480 + 1,290 = 101,770 parameters, 407,080 bytes (0.39 MiB)" in flow.text
    assert flow.record.error is None and flow.record.failed is None


def test_shape_flow_counts_what_the_models_of_the_course_hold(flow):
    for name, shape in (("digits", (1, 28, 28)), ("colours", (3, 32, 32))):
        for batch_size, hidden in ((1, 1), (7, 512), (256, 100)):
            inputs = prod(shape)
            flow.set(dataset=name, batch_size=batch_size, hidden=hidden, in_features=inputs)
            assert flow.record.parameters == models.parameter_count(models.mlp(shape, hidden))
            assert flow.record.stages[-1].shape == (batch_size, 10)


def test_shape_flow_shows_the_error_that_pytorch_raises(flow):
    flow.set(dataset="colours", batch_size=32, hidden=100, in_features=784)
    with pytest.raises(RuntimeError) as caught:
        torch.nn.Linear(784, 100)(torch.rand(32, 3072))
    assert flow.record.error == f"RuntimeError: {caught.value}"
    assert flow.record.failed == 1 and [stage.shape for stage in flow.record.stages[1:]] == [None] * 3
    drawing = flow._picture.value
    assert flow.record.error in drawing and drawing.count("not reached") == 2 and drawing.count("✗ error") == 1
    assert "(32x3072 and 784x100)" in flow.text and "in_features=3072 repairs it" in flow.text
    flow.set(in_features=3072)
    assert flow.record.error is None and "✗" not in flow._picture.value


@pytest.mark.parametrize(
    "values",
    [
        {"dataset": "cats"}, {"batch_size": 0}, {"batch_size": 257}, {"hidden": 0}, {"hidden": 513}, {"hidden": 1.5},
        {"in_features": 0}, {"in_features": 4097}, {"in_features": None}, {"images": "digits"},
    ],
)  # fmt: skip
def test_shape_flow_refuses_bad_values_and_nothing_moves(flow, values):
    before = flow.values, flow.text, shown(flow)
    with pytest.raises(Problem, match="allowed is"):
        flow.set(**values)
    assert (flow.values, flow.text, shown(flow)) == before


@pytest.mark.parametrize("arguments", [{"dataset": "cats"}, {"batch_size": 0}, {"hidden": "128"}, {"in_features": 0}])
def test_shape_flow_refuses_bad_construction(arguments):
    with pytest.raises(Problem):
        panels.ShapeFlowPanel(**arguments)


def test_shape_flow_has_one_size_and_a_static_picture_with_and_without_an_error(flow):
    heights = set()
    for in_features in (784, 3072, 4096):
        flow.set(dataset="digits", batch_size=256, hidden=512, in_features=in_features)
        heights.add(tuple(re.findall(r"height:\d+px", flow._picture.value)))
        bundle = flow._repr_mimebundle_()
        assert bundle["text/plain"] == f"<shape flow panel: {flow.text}>"
        assert Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))).size == (720, 288)
    assert len(heights) == 1


def test_shape_flow_leaves_the_learners_random_numbers_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    panels.ShapeFlowPanel().set(batch_size=3, hidden=7)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("images", [None, [1, 2], torch.rand(3), torch.rand(0, 1, 28, 28)])
def test_shape_flow_of_something_else_is_refused(images):
    with pytest.raises(Problem, match="give a tensor"):
        shape_flow(images, 784)


class SlowPanel(panels.Panel):
    """Counts how often it computes; waits for quiet first."""

    delay = 0.05
    title = "slow panel"

    def __init__(self):
        self.computed = []
        super().__init__({"steps": panels.number("Steps", 1, 100, 1)}, {"steps": 1})

    def compute(self, steps):
        self.computed.append(steps)
        return steps

    def draw(self, record):
        return f"<b>{record}</b>"

    def say(self, record):
        return f"{record} steps."


def test_slow_work_waits_for_quiet_and_says_that_it_runs():
    async def keys() -> SlowPanel:
        panel = SlowPanel()
        for steps in (2, 3, 4, 5):
            panel._controls["steps"].value.value = steps
            assert "computing" in panel._words.value and 'aria-busy="true"' in panel._words.value
        await asyncio.sleep(0.3)
        return panel

    panel = asyncio.run(keys())
    assert panel.computed == [1, 5]
    assert panel.text == "5 steps." and 'aria-busy="false"' in panel._words.value


def test_set_does_not_wait_and_ends_the_waiting():
    async def both() -> SlowPanel:
        panel = SlowPanel()
        panel._controls["steps"].value.value = 50
        panel.set(steps=7)
        assert panel.text == "7 steps."
        await asyncio.sleep(0.2)
        return panel

    assert asyncio.run(both()).computed == [1, 7]


# ---------------------------------------------------------------------------------------------------- lesson 02


@pytest.mark.parametrize("operation", layouts.OPERATIONS)
def test_layout_lab_says_what_torch_and_matplotlib_do(operation):
    lab = panels.LayoutLab()
    lab.set(operation=operation)
    height, width = lab._image.shape[1:]
    code = operation.replace("H, W, C", f"{height}, {width}, 3")
    result = eval(code, {"image": lab._image})
    assert f"shape {tuple(result.shape)}, strides {result.stride()}" in lab.text
    assert ("not contiguous" in lab.text) is not result.is_contiguous()
    assert ("the same memory" in lab.text) is (result.data_ptr() == lab._image.data_ptr())
    shown = "data:image/png" in lab._picture.value
    assert shown is (result.shape[-1] == 3) and shown is ("makes a picture" in lab.text)
    assert shown or "Invalid shape (3, 75, 64) for image data" in lab._picture.value
    assert lab._repr_mimebundle_()["image/png"]


@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
def test_memory_walk_finds_every_number(memory_format):
    walk = panels.MemoryWalk(memory_format=memory_format)
    kind = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}[memory_format]
    batch = torch.arange(120).view(2, 3, 4, 5).to(memory_format=kind)
    memory = torch.as_strided(batch, (120,), (1,))
    for n, c, h, w in [(0, 0, 0, 0), (1, 2, 3, 4), (0, 1, 3, 2), (1, 0, 0, 4)]:
        walk.set(n=n, c=c, h=h, w=w)
        assert memory[walk.record.offset] == batch[n, c, h, w]
        assert walk.text.endswith(f"= {walk.record.offset}.")
        assert walk._picture.value.count('fill="#000" stroke') == 2  # lit in its plane and in memory
    assert walk._repr_mimebundle_()["image/png"]


@pytest.mark.parametrize("values", [{"n": 2}, {"c": 3}, {"h": -1}, {"w": 5}, {"memory_format": "NHWC"}, {"x": 1}])
def test_memory_walk_refuses(values):
    walk = panels.MemoryWalk()
    with pytest.raises(Problem, match="allowed is"):
        walk.set(**values)


def test_layouts_refuse():
    for image in (torch.rand(2, 3), None, torch.rand(1, 3, 4, 5)):
        with pytest.raises(Problem):
            layouts.layout(image, "image")
    for arguments in (
        (torch.rand(3, 4, 5), "image.T"),
        (torch.rand(3, 4, 5), None),
    ):
        with pytest.raises(Problem, match="allowed is"):
            layouts.layout(*arguments)
    for shape, index in (((2, 3), (0, 0)), ((2, 3, 4, 5), (2, 0, 0, 0)), ((0, 3, 4, 5), (0, 0, 0, 0))):
        with pytest.raises(Problem):
            layouts.step(shape, index)
