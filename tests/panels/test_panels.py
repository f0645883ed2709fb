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

from helpers import figures, layout, models, panels
from helpers.memory import GPUS, trace
from helpers.problems import Problem
from helpers.shape_flow import shape_flow
from helpers.units import readable


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


@pytest.mark.parametrize("operation", layout.OPERATIONS)
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
    walk = panels.StrideWalk(memory_format=memory_format)
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
    walk = panels.StrideWalk()
    with pytest.raises(Problem, match="allowed is"):
        walk.set(**values)


def test_layouts_refuse():
    for image in (torch.rand(2, 3), None, torch.rand(1, 3, 4, 5)):
        with pytest.raises(Problem):
            layout.layout(image, "image")
    for arguments in (
        (torch.rand(3, 4, 5), "image.T"),
        (torch.rand(3, 4, 5), None),
    ):
        with pytest.raises(Problem, match="allowed is"):
            layout.layout(*arguments)
    for shape, index in (((2, 3), (0, 0)), ((2, 3, 4, 5), (2, 0, 0, 0)), ((0, 3, 4, 5), (0, 0, 0, 0))):
        with pytest.raises(Problem):
            layout.walk(shape, index)


# ---------------------------------------------------------------------------------------------------- lesson 04

MEMORY_PANELS = (panels.MemoryBar, panels.StepTimeline)
DIGITS = {"model": "digits MLP", "batch_size": 64, "width": 256, "depth": 1, "optimizer": "adam", "precision": "fp32"}


@pytest.fixture(scope="module", params=MEMORY_PANELS, ids=lambda kind: kind.__name__)
def step(request):
    return request.param()


def test_memory_panels_say_what_the_tracer_says(step):
    for values, shape, network in (
        (DIGITS, (1, 28, 28), models.mlp((1, 28, 28), 256)),
        (DIGITS | {"batch_size": 8192, "optimizer": "sgd", "precision": "bf16"}, (1, 28, 28), models.mlp(hidden=256)),
        (DIGITS | {"model": "colours MLP", "width": 512}, (3, 32, 32), models.mlp((3, 32, 32), 512)),
        (DIGITS | {"model": "colours MLP", "width": 8, "depth": 4}, (3, 32, 32), models.deep_mlp((3, 32, 32), 8, 4)),
        (DIGITS | {"model": "colours CNN", "width": 8}, (3, 32, 32), models.cnn((3, 32, 32), 8)),
    ):
        step.set(**values)
        settings = {name: values[name] for name in ("batch_size", "optimizer", "precision")}
        record = trace(network, shape, **settings)
        assert step.values == values
        assert step.record.trace.timeline == record.timeline
        assert f"{models.parameter_count(network):,} parameters" in step._picture.value
        start = f"{values['model']}, {values['optimizer']}, {values['precision']}, B = {values['batch_size']:,}: peak "
        assert step.text.startswith(f"{start}{record.peak:,} bytes (")
        phase = {"step": "step()"}.get(record.peak_phase, record.peak_phase)
        assert f" in {phase}" in step.text and f"operation {record.peak_op}: parameters " in step.text
        assert f"; largest: {record.largest}. " in step.text
        assert step.text in step._words.value


def test_memory_bar_counts_every_byte_of_the_peak():
    bar = panels.MemoryBar()
    for values in (DIGITS, {"batch_size": 1, "width": 8}, {"model": "ResNet-18", "batch_size": 8192}):
        bar.set(**values)
        rows = re.findall(r"</svg> ([a-z ]+)</th><td>([\d,]+)</td>", bar._picture.value)
        counted = {name: int(size.replace(",", "")) for name, size in rows}
        assert counted == {name: size for name, size in bar.record.trace.at_peak.items() if name != "workspace"}
        assert sum(counted.values()) == bar.record.trace.peak
        wide = [float(w) for w in re.findall(r'y="70" width="([\d.]+)" height="30"', bar._picture.value)]
        assert len(wide) == len(counted) and 660 * 2 / 3 - 1 <= sum(wide) <= 661 or bar.record.trace.peak < 2**18


@pytest.mark.parametrize(
    ("values", "crossover"), [({}, 774), ({"model": "colours MLP", "width": 512}, 1756), ({"optimizer": "sgd"}, 387)]
)
def test_memory_bar_says_on_which_side_of_the_crossover_the_batch_is(values, crossover):
    bar = panels.MemoryBar(**values)
    for batch_size, side in ((crossover - 1, "below"), (crossover, "exactly there"), (crossover + 1, "above")):
        bar.set(batch_size=batch_size)
        words = f"from B = {crossover:,} on; B = {batch_size:,} is {side}."
        assert words in bar.text
        assert f"◆ B = {crossover:,}<" in bar._picture.value and f"now B = {batch_size:,}<" in bar._picture.value
        most = bar.record.trace.most
        below = most["batch"] + most["activations"] < sum(
            most[name] for name in ("parameters", "buffers", "gradients", "optimizer state")
        )
        assert below == (side == "below")


def test_timeline_marks_the_peak_and_names_the_phases():
    line = panels.StepTimeline()
    assert "Highest in each phase: forward 2.65 MiB, backward 3.37 MiB, step() 4.08 MiB." in line.text
    for values, phase in (({}, "step()"), ({"batch_size": 8192}, "backward")):
        line.set(**values)
        assert f" in {phase}, " in line.text
        assert line._picture.value.count("<circle") == 1 and ">peak " in line._picture.value
        for name in ("forward", "backward", "step()", "operations, in order →", "MiB"):
            assert f">{name}</text>" in line._picture.value
        for name in ("parameters", "buffers", "gradients", "optimizer state", "activations", "batch", "temporaries"):
            assert f">{name}</text>" in line._picture.value


def test_resnet_18_is_drawn_small_and_says_what_does_not_apply(step):
    step.set(**DIGITS | {"model": "ResNet-18", "batch_size": 32})
    first = step.text
    assert "11,689,512 parameters" in step._picture.value and "width and depth do not apply" in step._picture.value
    assert first.endswith("Width and depth do not apply.")
    assert len(step._picture.value) < 16_000
    step.set(width=8, depth=4)
    assert step.text == first
    step.set(**DIGITS)
    assert "do not apply" not in step.text


@pytest.mark.parametrize(
    "values",
    [
        {"model": "cats"}, {"batch_size": 0}, {"batch_size": 8193}, {"batch_size": 1.5}, {"width": 7}, {"width": 1025},
        {"depth": 0}, {"depth": 5}, {"optimizer": "lion"}, {"precision": "int8"}, {"hidden": 8},
    ],
)  # fmt: skip
def test_memory_panels_refuse_bad_values_and_nothing_moves(step, values):
    before = step.values, step.text, shown(step)
    with pytest.raises(Problem, match="allowed is"):
        step.set(**values)
    assert (step.values, step.text, shown(step)) == before
    if "hidden" not in values:
        with pytest.raises(Problem):
            type(step)(**values)


def test_memory_panels_have_one_size_and_a_static_picture(step):
    heights = set()
    for values in (DIGITS, {"batch_size": 1, "width": 8}, {"batch_size": 8192, "width": 1024, "depth": 4}):
        step.set(**values)
        heights.add(tuple(re.findall(r'height:\d+px|<svg role="img"[^>]* height="\d+"', _without_words(step))))
        bundle = step._repr_mimebundle_()
        assert bundle["text/plain"] == f"<{step.title}: {step.text}>"
        size = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))).size
        assert size == ((720, 414) if step.title == "memory bar" else (720, 432))
        assert step.picture(step.record).sentence == step.text
    assert len(heights) == 1


def _without_words(panel) -> str:
    return re.sub(r'aria-label="[^"]*"', "", panel._picture.value)


def test_an_error_of_the_tracer_is_shown_in_the_panel(monkeypatch):
    def fails(*_, **__):
        raise Problem("the layer <3> cannot be traced")

    line = panels.StepTimeline()
    with monkeypatch.context() as patch:
        patch.setattr("helpers.panels.step_memory.trace", fails)
        line.set(width=99)
    assert line.text == "This does not work: the layer <3> cannot be traced"
    assert 'role="alert"' in line._words.value and "&lt;3&gt;" in line._words.value
    line.set(width=99)
    assert 'role="status"' in line._words.value


def test_memory_panels_leave_the_learners_random_numbers_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    for kind in MEMORY_PANELS:
        kind(model="colours CNN", width=11, depth=2).set(model="colours MLP", batch_size=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_slow_memory_work_waits_for_quiet_and_quick_work_does_not():
    bar, line = panels.MemoryBar(), panels.StepTimeline()
    assert bar.wait(**DIGITS) == line.wait(**DIGITS) == 0
    assert bar.wait(**DIGITS | {"batch_size": 5000}) == 0  # three traces have shown all batch sizes
    assert bar.wait(**DIGITS | {"width": 77}) > 0 and line.wait(**DIGITS | {"width": 77}) == 0
    resnet = DIGITS | {"model": "ResNet-18", "optimizer": "momentum", "precision": "fp16"}
    assert bar.wait(**resnet) > 0 and line.wait(**resnet) > 0


def test_a_slider_with_stops_follows_its_box_and_moves_it_only_by_hand():
    control = panels.number("Batch size B", 1, 8192, 64, panels.doublings(1, 8192))
    box, slider = control.value, boxes(control.view, widgets.IntSlider)[0]
    assert control.view.children == (box, slider)
    for value in (1, 63, 64, 65, 1000, 1001, 8191, 8192):
        box.value = value
        place = slider.value
        assert box.value == value
        slider.value = place - 1 if place else 1
        moved = box.value
        slider.value = place
        assert abs(box.value - value) <= value / 64 and moved != value
    assert [panels.doublings(1, 8192)[k] for k in (0, 63, 64, -1)] == [1, 64, 66, 8192]
    assert len(panels.doublings(1, 8192)) == 288


@pytest.mark.parametrize(
    ("n_bytes", "end", "unit"),
    [(1, 0.25, "MiB"), (2**20, 1, "MiB"), (2**20 + 1, 1.5, "MiB"), (4_277_248, 6, "MiB"), (9 * 2**30, 12, "GiB")],
)
def test_the_scale_goes_in_steps_and_holds_what_it_must(n_bytes, end, unit):
    ruler = figures.step_memory.scale(n_bytes)
    assert (ruler.texts[0], ruler.texts[-1], ruler.unit) == ("0", f"{end:g}", unit)
    assert n_bytes <= ruler.end == ruler.marks[-1]


def test_a_learners_own_trace_can_be_drawn_with_its_workspace():
    record = trace(models.mlp(), (1, 28, 28), batch_size=8, gpu=next(iter(GPUS)))
    for picture in (figures.memory_bar(record), figures.step_timeline(record, "my model", "adam")):
        assert picture.sentence.startswith(f"B = 8: peak {record.peak:,} bytes (")
        assert f"workspace {readable(record.at_peak['workspace'])}" in picture.sentence
        texts = [text.get_text() for text in picture.figure.findobj(lambda artist: hasattr(artist, "get_text"))]
        assert "workspace" in texts
