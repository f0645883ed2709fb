"""The lessons and their panels in the real JupyterLab, in a real browser, by mouse and by keyboard."""

import io
import os
import re
import shutil
from urllib.parse import urlsplit

import nbformat
import numpy as np
import pytest
from PIL import Image

from helpers.authoring import lab, lessons
from helpers.figures import WIDTH, batch, tile_grid
from helpers.folders import ROOT, lessons_folder

MISSING = lab.why_not()
if MISSING and not os.environ.get("CI"):
    pytest.skip(MISSING, allow_module_level=True)

FAILURES = ROOT / "test-failures"
FIRST, SECOND, SAVED = "00_start_here.ipynb", "01_batch_dimension.ipynb", "saved.ipynb"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """JupyterLab as the course's command starts it, with lesson 00 on the page, as a learner meets it."""
    assert MISSING is None, MISSING  # in CI a browser is a must
    with lab.course(tmp_path_factory.mktemp("course")) as server, lab.browser() as chromium:
        shutil.copy(lessons_folder() / SECOND, server.work / SAVED)
        page = lab.Page(chromium, server)
        chromium.tracing.start()  # without snapshots, which make every test twice as long
        page.open()
        yield page


@pytest.fixture(autouse=True)
def watched(page, request, failed):
    """The page logs no error during a test; of a test that fails, a screenshot and playwright's trace are kept."""
    tracing, place = page.tab.context.tracing, FAILURES / re.sub(r"\W+", "-", request.node.name)
    tracing.start_chunk()
    page.console.clear()
    yield
    if failed():
        page.tab.screenshot(path=place.with_suffix(".png"))
        tracing.stop_chunk(path=place.with_suffix(".zip"))  # for `playwright show-trace`
    else:
        tracing.stop_chunk()
        assert page.console == []


@pytest.fixture(scope="module")
def first(page):
    """Lesson 00 after Run All Cells: the notebook as saved then, and the dialogs that were open before and after."""
    page.open(FIRST)
    before = page.dialogs()
    page.run_all()
    return page.save(), before, page.dialogs()


@pytest.fixture
def panel(page, first):
    """The live panel of lesson 00, with 8 digits in it."""
    page.open(FIRST)
    view = page.panel("00-panel")
    for label, value in (("Images", "digits"), ("Stored as", "float32")):
        if view.control(label).input_value() != value:
            view.choose(label, value)
    if view.control("Batch size B").input_value() != "8":
        view.type("Batch size B", 8)
    return view


def shape_in(words):
    """The two shapes that the panel's sentence names."""
    shape, output = re.search(r"shape (\(.*?\)),.* returns (\(.*?\))\.", words).groups()
    return tuple(map(int, re.findall(r"\d+", shape))), tuple(map(int, re.findall(r"\d+", output)))


def assert_agrees(panel):
    """The sentence, the boxes, the number box and the tiles of the picture all say the same."""
    shape, output = shape_in(panel.words)
    boxes = [int(text) for text in panel.root.locator("svg text[font-size='20']").all_text_contents()]
    assert tuple(boxes) == shape + output
    assert panel.control("Batch size B").input_value() == str(shape[0])
    assert panel.handle("Batch size B").get_attribute("aria-valuetext") == str(shape[0])
    pixels = np.asarray(Image.open(io.BytesIO(panel.image)).convert("RGB").resize((WIDTH, batch.HEIGHT)))
    pixels = pixels[2:186, 2:738]  # the tiles
    columns, rows = tile_grid(shape[0])
    width, height = 736 // columns, 184 // rows
    tiles = pixels.reshape(rows, height, columns, width, 3)[:, 4:-4, :, 4:-4].swapaxes(1, 2).reshape(rows * columns, -1)
    assert (tiles.mean(axis=1) < 250).sum() == shape[0]  # an empty place is white
    assert (np.ptp(pixels, axis=2).max() > 30) == (shape[1] == 3)  # grey, or colours


def errors_in(notebook):
    return {cell.id for cell in lessons.code_cells(notebook) if any(o.output_type == "error" for o in cell.outputs)}


def assert_ran(page, notebook):
    """Every code cell has its number, in order; no warning, no broken widget, no error of the page itself."""
    cells = lessons.code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    warnings = [output.text for cell in cells for output in cell.outputs if output.get("name") == "stderr"]
    assert not warnings
    shown = page.tab.locator(".jp-Notebook:visible .jp-OutputArea").all_inner_texts()
    assert not [text for text in shown if "Error displaying widget" in text or "Loading widget" in text]
    assert page.errors == []


# lessons


def test_first_minute(page, first):
    """The command ends in lesson 00 with nothing to answer; Run All Cells meets the error on purpose and no warning."""
    notebook, dialogs_before, dialogs_after = first
    assert dialogs_before == []
    assert urlsplit(page.server.address).path.endswith(FIRST)
    assert_ran(page, notebook)
    assert errors_in(notebook) == {"00-error"}
    assert dialogs_after == []


def test_run_all_goes_on_after_errors_on_purpose(page):
    page.open(SECOND)
    page.run_all()
    notebook = page.save()
    assert_ran(page, notebook)
    tagged = {cell.id for cell in notebook.cells if "raises-exception" in lessons.tags(cell)}
    assert errors_in(notebook) == tagged != set()


def test_saved_lesson_shows_the_panel_as_a_picture(page):
    """Opened and not run, the lesson shows the static twin that is stored in it."""
    page.open(SAVED, kernel=False)
    stored = lessons.read(page.server.work / SAVED)
    (output,) = next(cell.outputs for cell in stored.cells if cell.id == "01-panel")
    area = page.cell("01-panel").locator(".jp-Cell-outputArea")
    picture = area.locator(".jp-OutputArea-output img")
    picture.wait_for()
    assert picture.get_attribute("src").split(",", 1)[1].strip() == output.data["image/png"].strip()
    assert picture.bounding_box()["width"] > 600
    assert "Error" not in area.inner_text() and "Loading" not in area.inner_text()
    assert page.errors == []


# the batch panel, by hand


def test_slider_by_keyboard(panel):
    picture = panel.image
    panel.handle("Batch size B").focus()
    words = panel.after(lambda: panel.page.tab.keyboard.press("ArrowRight"))
    assert shape_in(words)[0][0] == 9
    assert panel.image != picture
    assert_agrees(panel)


def test_slider_by_mouse(panel):
    picture, mouse = panel.image, panel.page.tab.mouse
    place = panel.handle("Batch size B").bounding_box()
    x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2

    def drag():
        mouse.move(x, y)
        mouse.down()
        mouse.move(x + 30, y, steps=3)
        mouse.move(x + 60, y, steps=3)
        mouse.up()

    words = panel.after(drag)
    assert shape_in(words)[0][0] > 8
    last = panel.handle("Batch size B").get_attribute("aria-valuetext")  # sent when the kernel has answered the others
    panel.page.wait_until(lambda: shape_in(panel.words)[0][0] == int(last), "the last step of the drag")
    assert int(last) > 40
    assert panel.image != picture
    assert_agrees(panel)
    words = panel.after(lambda: panel.root.locator(".noUi-base").click())  # in the middle
    assert 110 < shape_in(words)[0][0] < 146
    assert_agrees(panel)


def test_number_box(panel):
    picture = panel.image
    assert shape_in(panel.type("Batch size B", 100)) == ((100, 1, 28, 28), (100, 10))
    assert panel.image != picture
    assert_agrees(panel)


def test_drop_downs(panel):
    picture = panel.image
    words = panel.choose("Images", "colours")
    assert "8 colour images" in words
    assert shape_in(words) == ((8, 3, 32, 32), (8, 10))
    assert panel.image != picture
    assert_agrees(panel)
    words = panel.choose("Stored as", "uint8")
    assert "stored as uint8 in 24,576 bytes" in words
    assert panel.root.locator("svg text", has_text="24,576 bytes").count() == 1
    assert_agrees(panel)


@pytest.mark.parametrize(("typed", "then"), [("9999", 256), ("0", 1), ("-5", 1), ("abc", 8), ("", 8)])
def test_bad_numbers_leave_a_valid_panel(panel, typed, then):
    """The box itself keeps to what the panel allows; nothing turns red, nothing stands still."""
    box = panel.control("Batch size B")
    box.click()
    box.press("Control+a")
    panel.page.tab.keyboard.press("Backspace")
    panel.page.tab.keyboard.type(typed)
    box.press("Enter")
    box.press("Tab")
    panel.page.wait_until(
        lambda: box.input_value() == str(then) == str(shape_in(panel.words)[0][0]), f"the panel to show {then}"
    )
    words = panel.choose("Stored as", "uint8")  # whatever the box has sent is answered before this
    assert shape_in(words)[0][0] == then
    assert_agrees(panel)
    assert panel.root.locator("[role=alert]").count() == 0
    assert shape_in(panel.type("Batch size B", 20))[0][0] == 20  # and it still answers


def test_code_moves_the_live_panel(panel):
    picture = panel.image
    panel.page.run_cell("00-panel-set")
    panel.page.wait_until(lambda: shape_in(panel.words)[0][0] == 64, "the panel to follow the code")
    said = panel.page.cell("00-panel-set").locator(".jp-RenderedMarkdown").last
    said.filter(has_text=re.compile(r"\w")).wait_for()  # it is there first, and rendered then
    assert " ".join(said.inner_text().split()) == " ".join(panel.words.split())
    assert panel.image != picture
    assert_agrees(panel)


def test_error_is_shown_in_the_panel(page, first):
    page.open(FIRST)
    cell = page.add_cell("panels.BatchPanel(model=torch.nn.Linear(3, 3))")
    alert = cell.locator(".course-panel [role=alert]")
    alert.wait_for()
    assert "mat1 and mat2 shapes cannot be multiplied (224x28 and 3x3)" in alert.inner_text()
    alert.scroll_into_view_if_needed()
    assert alert.is_visible()


# the batch panel, as it looks

LAYOUT = """
panel => {
  const shown = [...panel.querySelectorAll('*')].filter(e => e.getClientRects().length && !e.closest('.noUi-base'));
  const slider = e => e.closest('.widget-slider');  // no text in it, and its handle may stand out at the end
  const edge = panel.getBoundingClientRect();
  const ownText = e => e.matches('input, select') || [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
  const name = e => `${e.tagName} ${e.className} ${e.textContent.slice(0, 40)}`;
  return {
    size: [edge.width, edge.height],
    cut: [panel, ...shown].filter(e => e.clientWidth && e.scrollWidth > e.clientWidth && !slider(e)).map(name),
    outside: shown.filter(e => {
      const r = e.getBoundingClientRect();
      return r.right > edge.right + 0.5 || r.left < edge.left - 0.5 || r.bottom > edge.bottom + 0.5;
    }).map(name),
    small: shown.filter(ownText).map(e => [parseFloat(getComputedStyle(e).fontSize), name(e)]),
  };
}
"""


def size_if_well(panel) -> tuple[float, float]:
    """The panel's size on the screen, once nothing in it is cut, sticks out, or is smaller than the notebook's text."""
    paragraph = panel.page.tab.locator(".jp-MarkdownOutput:visible p").first
    text_size = float(paragraph.evaluate("p => parseFloat(getComputedStyle(p).fontSize)"))
    layout = panel.root.evaluate(LAYOUT)
    assert layout["cut"] == [] and layout["outside"] == []
    assert [small for small in layout["small"] if small[0] < text_size] == []
    return tuple(layout["size"])


def test_nothing_jumps_and_nothing_is_cut(panel):
    sizes = []
    for size in (1, 33, 256):
        panel.type("Batch size B", size)
        sizes.append(size_if_well(panel))
    for label, value in (("Images", "colours"), ("Stored as", "float16")):
        panel.choose(label, value)
        sizes.append(size_if_well(panel))
    panel.type("Batch size B", 1)
    sizes.append(size_if_well(panel))
    assert len(set(sizes)) == 1, sizes


def test_text_in_the_drawing_is_selectable_and_grows_with_the_notebooks(panel):
    line = panel.root.locator("svg text", has_text="25,088 bytes")
    before, sheet = line.bounding_box(), panel.root.locator("[role=img]").bounding_box()
    assert sheet["width"] == pytest.approx(WIDTH, abs=1)
    selected = line.evaluate("t => { getSelection().selectAllChildren(t); return getSelection().toString(); }")
    assert "25,088 bytes" in selected
    panel.page.tab.evaluate("document.body.style.setProperty('--jp-content-font-size1', '16px')")
    try:
        assert line.bounding_box()["height"] == pytest.approx(before["height"] * 16 / 14, rel=0.05)
        grown = panel.root.locator("[role=img]").bounding_box()
        assert grown["width"] == pytest.approx(sheet["width"] * 16 / 14, abs=2)
        assert panel.root.evaluate(LAYOUT)["outside"] == []
    finally:
        panel.page.tab.evaluate("document.body.style.removeProperty('--jp-content-font-size1')")


SIZES = """
panel => {
  const sheet = panel.querySelector('[role=img]').getBoundingClientRect();
  return [panel.getBoundingClientRect().width, sheet.width, sheet.height];
}
"""


def test_a_narrow_window_shrinks_the_drawing_and_cuts_nothing(panel):
    before = panel.root.evaluate(SIZES)
    panel.page.tab.set_viewport_size({"width": 700, "height": 900})
    try:
        panel.page.wait_until(lambda: panel.root.evaluate(SIZES)[0] < WIDTH, "JupyterLab to follow the window")
        whole, width, height = panel.root.evaluate(SIZES)
        assert width <= whole < WIDTH
        assert width / height == pytest.approx(WIDTH / batch.HEIGHT, rel=0.01)
    finally:
        panel.page.tab.set_viewport_size({"width": 1280, "height": 900})
        panel.page.wait_until(lambda: panel.root.evaluate(SIZES) == before, "JupyterLab to follow the window back")


def assert_axe_finds_nothing(panel, theme):
    """Names, roles and contrast, by axe. ipywidgets gives the handle of a slider no name: the box beside it has one."""
    from axe_playwright_python.sync_playwright import Axe

    panel.root.evaluate("panel => { panel.id = 'under-test'; }")
    panel.page.theme(theme)
    try:
        found = Axe().run(panel.page.tab, context="#under-test").response["violations"]
    finally:
        panel.page.theme("Light")
    rows = panel.root.locator(".widget-hbox").filter(has=panel.page.tab.locator(".noUi-handle"))
    for row in rows.all():
        assert row.get_by_role("spinbutton", name=re.compile(r"\w")).count() == 1
    unexpected = [
        (rule["id"], node["html"], node["failureSummary"])
        for rule in found
        for node in rule["nodes"]
        if not (rule["id"] == "aria-input-field-name" and "noUi-handle" in node["html"])
    ]
    assert unexpected == []


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_axe_finds_nothing(panel, theme):
    assert_axe_finds_nothing(panel, theme)


# the other panels: one notebook with one of each

STEPS = {
    "Batch size B": (1, 774, 8192),
    "Width": (8, 1024),
    "Depth": (4,),
    "Model": ("colours CNN", "ResNet-18"),  # the last is slow: it waits and says that it computes
    "Optimizer": ("momentum",),
    "Precision": ("fp16",),
}
GALLERY = {
    "layout": ("panels.LayoutLab()", {"Operation": ("image", "image.reshape(H, W, C)")}),
    "walk": ("panels.StrideWalk()", {"w (column)": (4, 2), "n (image)": (1,), "Format": ("channels_last",)}),
    "bar": ("panels.MemoryBar()", STEPS),
    "timeline": ("panels.StepTimeline()", STEPS),
    "accumulation": (
        "panels.AccumulatePanel()",
        {"Micro-batch": (24, 64), "Each loss": ("as it is",), "Network": ("with BatchNorm",)},
    ),
    "fit": (
        "panels.WillItFitPanel(model='wide MLP')",
        {
            "GPU": ("H200",),
            "Optimizer": ("sgd",),
            "Precision": ("bf16",),
            "Micro-batches": (8,),
            "Model": ("digits MLP", "ResNet-18"),
            "Checkpointing": ("on",),
        },
    ),
    "curves": (
        "panels.CurvesPanel()",
        {
            "Same": ("steps", "seconds"),
            "Learning rate": ("linear", "sqrt"),
            "Measure": ("accuracy",),
            "Data": ("digits, low rate", "colours"),
        },
    ),
    "design": (
        "panels.DesignPanel()",
        {
            "Width": (8, 256),
            "Depth": (5,),
            "Batch size B": (4096, 64),
            "Micro-batches": (4,),
            "Optimizer": ("adam",),
            "Precision": ("bf16",),
            "Checkpointing": ("on",),
        },
    ),
    "claims": (
        "panels.ClaimsPanel()",  # all lessons at once take some seconds: then it says that it computes
        {"Lesson": ("03", "07", "all"), "Verdict": ("holds if",), "Page": (2,)},
    ),
    "split": (
        "panels.SplitPanel()",
        {
            "Global batch": (1, 100, 8192),
            "Ranks": (8, 3),
            "Steps": (16, 2),
            "Model": ("ResNet-18", "digits MLP"),
            "Sharding": ("ZeRO-1", "FSDP"),
        },
    ),
    "progress": ("panels.ProgressPanel()", {"Run now": ("03", "00", "nothing")}),  # nothing is begun in these copies
    "noise": ("panels.GradientNoisePanel()", {"Batch size B": (64, 1437), "Moment": ("after 30 epochs",)}),
}


@pytest.fixture(scope="module")
def gallery(page):
    cells = [nbformat.v4.new_markdown_cell("One of each.", id="text")]
    cells.append(nbformat.v4.new_code_cell("from helpers import panels", id="imports"))
    cells += [nbformat.v4.new_code_cell(code, id=name) for name, (code, _) in GALLERY.items()]
    page.run_new("gallery.ipynb", cells)
    return page


@pytest.mark.parametrize("name", GALLERY)
def test_other_panels_answer_do_not_jump_and_pass_axe(gallery, name):
    panel = gallery.panel(name)
    sizes = [size_if_well(panel)]
    for label, values in GALLERY[name][1].items():
        for value in values:
            picture = panel.root.screenshot()
            words = panel.type(label, value) if isinstance(value, int) else panel.choose(label, value)
            assert words and panel.root.screenshot() != picture
            assert panel.root.locator("[role=alert]").count() == 0
            sizes.append(size_if_well(panel))
    assert len(set(sizes)) == 1, sizes
    for theme in ("Light", "Dark"):
        assert_axe_finds_nothing(panel, theme)
    assert gallery.errors == []


@pytest.mark.parametrize("name", ["bar", "timeline"])
def test_memory_panels_follow_the_keys(gallery, name):
    """The slider goes from stop to stop, 64, 66, 68, 70; a model that takes long is traced when the keys rest."""
    panel = gallery.panel(name)
    for model in ("digits MLP", "ResNet-18"):
        if panel.control("Model").input_value() != model:
            panel.choose("Model", model)
        panel.type("Batch size B", 64)
        panel.page.wait_until(lambda: " B = 64: peak" in panel.words and panel.page.idle(), "the panel to compute")
        panel.handle("Batch size B").focus()
        for _ in range(3):
            panel.page.tab.keyboard.press("ArrowRight")
        panel.page.wait_until(lambda: " B = 70: peak " in panel.words, "the panel to follow the keys")
        assert panel.control("Batch size B").input_value() == "70"
        assert panel.root.locator("[role=status]").get_attribute("aria-busy") == "false"
        size_if_well(panel)


# the shape flow panel of lesson 05


@pytest.fixture(scope="module")
def flow(page):
    page.open("05_flatten_and_mlp.ipynb")
    for cell in ("05-imports", "05-panel"):
        page.run_cell(cell)
    return page.panel("05-panel")


def test_shape_flow_shows_an_error_and_its_repair_and_nothing_jumps(flow):
    sizes = [size_if_well(flow)]
    assert "stops" in flow.choose("Data set", "colours")
    assert flow.root.locator("svg text", has_text="(64x3072 and 784x128)").count() == 1
    assert flow.root.locator("svg text", has_text="not reached").count() == 2
    sizes.append(size_if_well(flow))
    for label, value in (("Batch size B", 256), ("Hidden size", 512), ("in_features of the first Linear", 4096)):
        flow.type(label, value)
        sizes.append(size_if_well(flow))
    assert "Linear (256, 10)" in flow.type("in_features of the first Linear", 3072)
    assert flow.root.locator("svg text", has_text="not reached").count() == 0
    sizes.append(size_if_well(flow))
    assert len(set(sizes)) == 1, sizes


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_axe_finds_nothing_in_the_shape_flow(flow, theme):
    flow.type("in_features of the first Linear", {"Light": 5, "Dark": 6}[theme])  # with an error in it
    assert_axe_finds_nothing(flow, theme)
