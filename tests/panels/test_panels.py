"""Panels without a browser: controls, code and words agree; bad values are refused; errors are shown in words."""

import asyncio
import base64
import io
from importlib import import_module
from xml.etree import ElementTree

import ipywidgets as widgets
import pytest
import tools
import torch
from PIL import Image

from helpers import batch_size, capstone, figures, layout, noise, panels, split, step_memory, will_it_fit
from helpers.figures import shapes
from helpers.panels.core import LARGEST_B
from helpers.problems import Problem
from helpers.units import readable


@pytest.fixture(scope="module")
def panel():
    return panels.BatchPanel()


def shown(panel) -> str:
    """What the browser gets."""
    return panel._style.value + panel._picture.value + panel._words.value


def words(panel) -> list[str]:
    """What is written in the drawing."""
    return tools.words(panel.draw(panel.record))


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
    assert any("196,608 bytes" in line for line in words(panel)) and panel.text in panel._words.value
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
    drawn, draw = [], panel.draw
    monkeypatch.setattr(panel, "draw", lambda record: drawn.append(record) or draw(record))
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


def test_shape_flow_shows_an_error_until_it_is_repaired(flow):
    flow.set(dataset="colours", batch_size=32, hidden=100, in_features=784)
    assert "(32x3072 and 784x100)" in flow.text and "✗ error" in words(flow)
    flow.set(in_features=3072)
    assert flow.record.error is None and "✗ error" not in words(flow)


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


class Steps(int):
    """The record of a panel: anything with a sentence."""

    sentence = property(lambda self: f"{int(self)} steps.")


class SlowPanel(panels.Panel):
    """Counts how often it computes; waits for quiet first."""

    delay = 0.05
    title = "slow panel"

    def __init__(self):
        self.computed = []
        super().__init__({"steps": panels.number("Steps", 1, 100, 1)}, {"steps": 1})

    def compute(self, steps):
        self.computed.append(steps)
        return Steps(steps)

    def draw(self, record):
        return shapes.Drawing(self.height, (shapes.Text(0, 20, str(record)),), record.sentence)


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


# ---------------------------------------------------------------------------------------------------- lessons 03, 04


def test_layout_lab_opens_on_a_picture_and_offers_every_operation():
    lab = panels.LayoutLab()
    assert lab.values == {"operation": "image.permute(1, 2, 0)"} and lab.record.imshow_error == ""
    for operation in layout.OPERATIONS:
        lab.set(operation=operation)
        assert lab.text == layout.layout(lab._image, operation).sentence and operation in words(lab)


def test_stride_walk_follows_its_controls():
    walk = panels.StrideWalk(memory_format="channels_last")
    walk.set(n=1, c=2, h=3, w=4)
    assert walk.record == layout.walk((2, 3, 4, 5), (1, 2, 3, 4), "channels_last")
    assert "offset = 1 × 60 + 2 × 1 + 3 × 15 + 4 × 3 = 119" in words(walk)


@pytest.mark.parametrize("values", [{"n": 2}, {"c": 3}, {"h": -1}, {"w": 5}, {"memory_format": "NHWC"}, {"x": 1}])
def test_stride_walk_refuses(values):
    walk = panels.StrideWalk()
    with pytest.raises(Problem, match="allowed is"):
        walk.set(**values)


# ---------------------------------------------------------------------------------------------------- lessons 07, 08

MEMORY_PANELS = (panels.MemoryBar, panels.StepTimeline)
DIGITS = {"model": "digits MLP", "batch_size": 64, "width": 256, "depth": 1, "optimizer": "adam", "precision": "fp32"}


@pytest.fixture(scope="module", params=MEMORY_PANELS, ids=lambda kind: kind.__name__)
def step(request):
    return request.param()


def test_memory_panels_show_the_record_of_their_settings(step):
    for values in (DIGITS, DIGITS | {"model": "colours CNN", "batch_size": 5000, "depth": 2, "precision": "bf16"}):
        step.set(**values)
        record = step_memory.step_memory(**values, with_crossover=step.title == "memory bar")
        assert step.values == values and step.record == record
        assert step.text == record.sentence and step.text in step._words.value
        assert set(record.heading) < set(words(step))


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


def test_an_error_of_the_tracer_is_shown_in_the_panel(monkeypatch):
    def fails(*_, **__):
        raise Problem("the layer <3> cannot be traced")

    line = panels.StepTimeline()
    with monkeypatch.context() as patch:
        patch.setattr("helpers.step_memory.trace", fails)
        line.set(width=99)
    assert line.text == "This does not work: the layer <3> cannot be traced"
    assert 'role="alert"' in line._words.value and "&lt;3&gt;" in line._words.value
    line.set(width=99)
    assert 'role="status"' in line._words.value


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


# --------------------------------------------------------------------------------------------------------- lesson 09


def test_each_mistake_of_accumulation_is_a_switch():
    panel = panels.AccumulatePanel()
    assert "Equal: " in panel.text and "✓ equal" in words(panel)[-1]
    for values, why in (
        ({"scale": "as it is"}, "divide or weight it"),
        ({"micro_batch": 24}, "must be weighted"),
        ({"network": "with BatchNorm"}, "BatchNorm takes mean and spread"),
    ):
        start = {"micro_batch": 16, "scale": "divided by k", "network": "without BatchNorm"}
        panel.set(**start | values)
        assert "Not equal: " in panel.text and why in panel.text and "✗ not equal" in words(panel)[-1]
    panel.set(micro_batch=24, scale="weighted by its size", network="without BatchNorm")
    assert "Equal: " in panel.text and {"24", "16"} < set(words(panel))


def test_one_image_under_batch_norm_is_said_in_the_panel():
    panel = panels.AccumulatePanel(network="with BatchNorm")
    panel.set(micro_batch=9)
    assert "has one image" in panel.text and 'role="alert"' in panel._words.value


def test_will_it_fit_shows_the_record_of_its_settings():
    panel = panels.WillItFitPanel(model="digits MLP")
    values = {"gpu": "T4", "model": "wide MLP", "optimizer": "adam fused", "precision": "bf16"}
    values |= {"micro_batches": 4, "checkpoint": "off"}
    panel.set(**values)
    assert panel.values == values and panel.record == will_it_fit.will_it_fit(**values)
    assert f"largest batch: B = {panel.record.largest:,}, 4 micro-batches of" in words(panel)[1]
    assert "plain SGD" in words(panel) and "bf16" not in words(panel)


def test_what_was_not_seen_yet_of_resnet_waits_for_quiet():
    panel = panels.WillItFitPanel(model="digits MLP")
    assert panel.wait(**panel.values | {"gpu": "H200"}) == 0
    assert panel.wait(**panel.values | {"model": "ResNet-18", "micro_batches": 7, "precision": "fp16"}) > 0


@pytest.mark.parametrize("kind", [panels.AccumulatePanel, panels.WillItFitPanel])
@pytest.mark.parametrize("values", [{"micro_batch": 0}, {"micro_batches": 9}, {"scale": "x"}, {"gpu": "GTX"}])
def test_the_panels_of_lesson_09_refuse(kind, values):
    panel = kind() if kind is panels.AccumulatePanel else kind(model="digits MLP")
    before = panel.values, panel.text
    with pytest.raises(Problem, match="allowed is"):
        panel.set(**values)
    assert (panel.values, panel.text) == before


# -------------------------------------------------------------------------------------------------------- lesson 10


def test_the_split_panel_shows_the_record_of_its_settings():
    panel = panels.SplitPanel()
    for values in ({}, {"ranks": 3, "steps": 2, "global_batch": 100}, {"sharding": "FSDP", "model": "ResNet-18"}):
        panel.set(**values)
        record = split.split(**panel.values)
        assert panel.record == record and panel.text == record.sentence and set(record.heading) < set(words(panel))


def test_the_split_panel_waits_for_quiet_before_a_model_that_is_new():
    split._models.clear()
    panel = panels.SplitPanel()
    values = panel.values
    assert panel.wait(**values) == 0 and panel.wait(**values | {"model": "ResNet-18"}) > 0
    panel.set(model="ResNet-18")
    assert panel.wait(**values | {"model": "ResNet-18"}) == 0


@pytest.mark.parametrize("values", [{"ranks": 9}, {"global_batch": 0}, {"steps": 17}, {"sharding": "DP"}, {"B": 3}])
def test_the_split_panel_refuses_bad_values_and_nothing_moves(values):
    panel = panels.SplitPanel()
    before = panel.values, panel.text
    with pytest.raises(Problem, match="allowed is"):
        panel.set(**values)
    assert (panel.values, panel.text) == before


# -------------------------------------------------------------------------------------------------------- lesson 11


def test_the_noise_panel_shows_the_record_of_its_settings_and_ends_at_the_full_gradient():
    panel = panels.GradientNoisePanel()
    for moment, size in zip(noise.MOMENTS, (1, 64, 1437), strict=True):
        panel.set(batch_size=size, moment=moment)
        assert (panel.record.batch_size, panel.record.moment) == (size, moment)
        assert panel.record.samples is noise.samples_at(moment)
        assert ("no noise is left" in panel.text) == (size == 1437)
    slider = panel._controls["batch_size"].view.children[1]
    slider.value = slider.max
    assert panel.values["batch_size"] == 1437


@pytest.mark.parametrize("values", [{"batch_size": 1438}, {"batch_size": 0}, {"moment": "later"}, {"B": 3}])
def test_the_noise_panel_refuses_bad_values_and_nothing_moves(values):
    panel = panels.GradientNoisePanel()
    before = panel.values, panel.text
    with pytest.raises(Problem, match="allowed is"):
        panel.set(**values)
    assert (panel.values, panel.text) == before


# ---------------------------------------------------------------------------------------------------- all of them

PANELS = {kind.__name__: kind for kind in vars(panels).values() if isinstance(kind, type) and kind is not panels.Panel}


# the design panel


@pytest.fixture(scope="module")
def design():
    return panels.DesignPanel(width=8)


def test_the_design_panel_shows_the_traced_record_of_its_settings(design):
    design.set(batch_size=32, micro_batches=4, optimizer="adam", checkpointing="on")
    how = {"width": 8, "batch_size": 32, "micro_batches": 4, "optimizer": "adam", "checkpointing": True}
    wanted = capstone.preview(capstone.Design(**how))
    assert (design.record.design, design.record.at_peak) == (wanted.design, wanted.at_peak)
    assert design.text == design.record.sentence == wanted.sentence
    for name, tier in capstone.TIERS.items():
        assert (name in design.record.fits) == any(line == f"{readable(tier.bytes)}: fits" for line in words(design))


def test_checkpointing_may_be_said_as_in_a_design(design):
    design.set(checkpointing=True)
    assert design.record.design.checkpointing and design.values["checkpointing"] == "on"
    design.set(checkpointing=False)
    assert not design.record.design.checkpointing


def test_a_batch_that_cannot_be_cut_so_is_said_in_the_design_panel(design):
    design.set(batch_size=32, micro_batches=5)
    assert "batch_size=32 cannot be cut into micro_batches=5 equal parts" in design.text and design.record is None
    design.set(micro_batches=4)
    assert design.record is not None


@pytest.mark.parametrize(
    "values", [{"width": 0}, {"depth": 6}, {"batch_size": 8192}, {"optimizer": "rmsprop"}, {"checkpointing": "yes"}]
)
def test_the_design_panel_refuses_bad_values_and_nothing_moves(design, values):
    before = design.values
    with pytest.raises(Problem):
        design.set(**values)
    assert design.values == before


def ends(panel) -> list[dict[str, object]]:
    """Settings where each control is at its first and at its last value."""
    settings = []
    for name, control in panel._controls.items():
        box = control.value
        values = (box.options[0], box.options[-1]) if isinstance(box, widgets.Dropdown) else (box.min, box.max)
        slow = isinstance(panel, panels.WillItFitPanel) and "ResNet-18"  # the tests in a browser have it
        settings += [{name: value} for value in values if value != slow]
    return settings


def quick(kind: type[panels.Panel]) -> panels.Panel:
    return kind(model="digits MLP") if kind is panels.WillItFitPanel else kind()


@pytest.mark.parametrize("kind", PANELS.values(), ids=PANELS)
def test_live_view_static_picture_and_words_say_the_same_in_one_size(kind):
    panel = quick(kind)
    for values in ({}, *ends(panel)):
        panel.set(**values)
        picture, bundle = panel.picture(), panel._repr_mimebundle_()
        live = [text.text or "" for text in ElementTree.fromstring(panel._picture.value).iter("text")]
        assert live == words(panel) == [text.get_text() for text in picture.figure.axes[0].texts]
        assert picture.sentence == panel.text == panel.record.sentence
        assert bundle["text/plain"] == f"<{panel.title}: {panel.text}>"
        assert "application/vnd.jupyter.widget-view+json" in bundle
        assert panel.draw(panel.record).height == panel.height
        below = [text.get_text() for text in panel.with_words().figure.axes[0].texts][len(live) :]
        assert " ".join(below) == " ".join(panel.text.split())
        size = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))).size
        assert size == (figures.WIDTH, panel.height + 16 + 20 * len(below))
    tools.legible(panel.with_words())


@pytest.mark.parametrize("kind", PANELS.values(), ids=PANELS)
def test_panels_leave_the_learners_random_numbers_alone(kind):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    panel = quick(kind)
    panel.set(**ends(panel)[-1])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kind", PANELS.values(), ids=PANELS)
def test_panels_show_their_own_error(kind, monkeypatch):
    panel = kind()
    height = panel._picture.value.split("aspect-ratio:")[1].split('"')[0]
    monkeypatch.setattr(panel, "compute", lambda **_: 1 / 0)
    panel.set()
    assert panel.text == "This does not work: division by zero" and panel.record is None
    assert 'role="alert"' in panel._words.value and "No picture; the reason stands below." in panel._picture.value
    assert f"aspect-ratio:{height}" in panel._picture.value  # nothing jumps
    assert "image/png" not in panel._repr_mimebundle_()


def test_the_largest_batch_has_one_place():
    for kind in (panels.BatchPanel, panels.ShapeFlowPanel):
        assert kind()._controls["batch_size"].value.max == LARGEST_B == 256
    for kind in MEMORY_PANELS:
        assert kind()._controls["batch_size"].value.max == step_memory.LARGEST_B == 8192


@pytest.mark.parametrize(
    "name",
    [
        "batch",
        "layout",
        "shape_flow",
        "step_memory",
        "accumulate",
        "will_it_fit",
        "split",
        "noise",
        "capstone",
        "progress",
    ],
)
def test_each_topic_has_one_name_on_all_floors(name):
    for floor in ("helpers", "helpers.figures", "helpers.panels"):
        assert import_module(f"{floor}.{name}")


def test_a_model_without_layers_is_shown_and_not_replaced():
    assert "returns (8, 1, 28, 28). Its 0 parameters" in panels.BatchPanel(model=torch.nn.Sequential()).text


# the curves panel of lesson 11


def test_the_curves_panel_shows_the_record_of_its_settings():
    panel = panels.CurvesPanel()
    assert panel.values == {"axis": "examples", "rule": "fixed", "measure": "loss", "data": "digits"}
    for values in ({}, {"axis": "seconds"}, {"rule": "linear", "measure": "accuracy"}, {"data": "colours"}):
        panel.set(**values)
        record = batch_size.curves(**panel.values)
        assert panel.record == record and panel.text == record.sentence
    names = [text for text in words(panel) if text.startswith("B = ") or "✗" in text.partition("/")[0]]
    assert len(names) >= 6


def test_the_curves_panel_refuses_bad_values_and_nothing_moves():
    panel = panels.CurvesPanel()
    before = panel.values, panel.text
    for wrong in ({"axis": "epochs"}, {"rule": None}, {"measure": 3}, {"data": "cats"}, {"batch_size": 64}):
        with pytest.raises(Problem):
            panel.set(**wrong)
        assert (panel.values, panel.text) == before


def test_claims_by_lesson_and_verdict():
    panel = panels.ClaimsPanel()
    assert panel.text == "Lesson 01, all verdicts: 2 claims, page 1 of 1. A1 holds if, A2 holds if."
    panel.set(lesson="07", verdict="wrong as said")
    assert [row.claim.name for row in panel.record.rows] == ["B13"] and "✗" in words(panel)
    assert any("2, not 3" in line for line in words(panel)) and any("2.49 at B = 1" in line for line in words(panel))
    panel.set(verdict="holds", page=3)
    assert "No such claim: choose another lesson or verdict." in words(panel)
    assert "page 1 of 1" in panel.text
    with pytest.raises(Problem, match="allowed is one of 'all', '01'"):
        panel.set(lesson="10")  # settles none
    assert not panel.wait(**panel.values)  # all of lesson 07 is known: no pause


def test_the_progress_panel_shows_the_copies_of_its_folder(tmp_path):
    notebook = tools.copy_of("03", tools.solved("03"))
    for cell in notebook["cells"]:
        if cell["id"] == "03-ex-brighten-check":
            output = {"output_type": "execute_result", "data": {"text/plain": "[passed] well"}, "metadata": {}}
            cell["outputs"] = [output]
    tools.stored(tmp_path / "03_image_tensors.ipynb", notebook)
    tools.stored(tmp_path / "00_start_here.ipynb", tools.copy_of("00"))
    panel = panels.ProgressPanel(tmp_path)
    assert panel.text.startswith("1 of 47 exercises pass, 4 more are begun.")
    assert words(panel).count("no copy") == 11 and "2 ✓" in words(panel) and "1 of 5" in words(panel)
    assert panel.wait(run="03") > panel.wait(run="00") == panel.wait(run="nothing") == 0
    panel.set(run="00")
    assert panel.text.endswith("lesson 00 was run just now: 0 of 4 pass.")
    with pytest.raises(Problem, match="allowed is one of 'nothing', '00'"):
        panel.set(run="13")
    with pytest.raises(Problem, match="folder"):
        panels.ProgressPanel(3)
