"""Lessons opened elsewhere than in the course's JupyterLab: pages of HTML, Notebook 7, a copy that nobody trusts."""

import base64
import io
import os
import shutil
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from textwrap import wrap

import pytest
from bs4 import BeautifulSoup
from nbconvert import HTMLExporter
from PIL import Image
from traitlets.config.loader import PyFileConfigLoader

from helpers import panels
from helpers.authoring import lab, lessons
from helpers.folders import ROOT

CONFIG = ROOT / "classroom" / "html_config.py"
MISSING = lab.why_not()
needs_browser = pytest.mark.skipif(bool(MISSING) and not os.environ.get("CI"), reason=str(MISSING))
HEIGHTS = {kind.height for kind in vars(panels).values() if isinstance(kind, type) and issubclass(kind, panels.Panel)}


def page_of(path, config=None) -> str:
    """The lesson as `jupyter nbconvert --to html` writes it, with the options of `classroom/html_config.py`."""
    return HTMLExporter(
        config=PyFileConfigLoader(str(CONFIG)).load_config() if config is None else config
    ).from_filename(str(path))[0]


def shown(path):
    """Of the outputs that are pictures: (what stands for them in plain text, PNG bytes), in order."""
    outputs = [output for cell in lessons.code_cells(lessons.read(path)) for output in cell.outputs]
    pictures = [output.data for output in outputs if "image/png" in output.get("data", {})]
    return [(data["text/plain"], base64.b64decode(data["image/png"])) for data in pictures]


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("path", lessons.LESSONS, ids=[path.stem for path in lessons.LESSONS])
def test_a_page_of_html_is_complete_in_itself(path):
    page = BeautifulSoup(page_of(path), "html.parser")
    asked = [tag.get("src") or tag.get("href") for tag in page.select("script[src], link[href], img[src], iframe[src]")]
    assert not [source for source in asked if source and not source.startswith("data:")]
    pictures = shown(path)
    images = [base64.b64decode(image["src"].split(",", 1)[1]) for image in page.select(".jp-OutputArea img")]
    for _, png in pictures:
        assert png in images and Image.open(io.BytesIO(png)).size[0] <= 740
    text = flat(page.body.get_text())
    for words, _ in pictures:
        if words.startswith("<picture: "):  # the sentence below a figure
            assert flat(words.removeprefix("<picture: ").removesuffix(">")) in text
    assert not any(sign in text for sign in ("Loading widget", "Error displaying", "attachment:", "<details", "<div"))
    folds = page.select("details")
    assert len(folds) == lessons.prose(lessons.read(path)).count("<details>") > 0
    for fold in folds:
        assert not fold.has_attr("open") and fold.find(True).name == "summary"
        assert len(fold.find_all("summary")) == 1 and flat(fold.get_text()) != flat(fold.summary.get_text())


@pytest.mark.parametrize("path", lessons.LESSONS, ids=[path.stem for path in lessons.LESSONS])
def test_a_stored_panel_has_its_words_in_its_picture(path):
    stored = [(words, png) for words, png in shown(path) if ": " in words and not words.startswith("<picture: ")]
    assert stored
    for words, png in stored:
        said = words.split(": ", 1)[1].removesuffix(">")
        assert Image.open(io.BytesIO(png)).size[1] - 16 - 20 * len(wrap(said, 88)) in HEIGHTS, words


def watched(context):
    """A tab, and lists of what it asks the network for and of what it logs as errors."""
    tab, asked, errors = context.new_page(), [], []
    tab.set_viewport_size({"width": 1280, "height": 900})
    tab.on("request", lambda request: asked.append(request.url) if request.url.startswith("http") else None)
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: errors.append(str(error)))
    return tab, asked, errors


@needs_browser
def test_a_page_is_read_without_a_network(tmp_path):
    """Lesson 12, whose report is a page in the page."""
    assert MISSING is None, MISSING
    path = lessons.LESSONS[12]
    (tmp_path / "page.html").write_text(page_of(path), encoding="utf-8")
    with lab.browser() as chromium:
        chromium.set_offline(True)
        tab, asked, errors = watched(chromium)
        tab.goto((tmp_path / "page.html").as_uri())
        widths = tab.evaluate("[...document.images].map(image => image.naturalWidth)")
        assert len(widths) == len(shown(path)) and min(widths) > 0
        fold = tab.locator("details").first
        fold.locator("summary").click()
        assert len(fold.inner_text().splitlines()) > 1
        assert "Capstone report" in tab.frame_locator("iframe").locator("body").inner_text()
        assert tab.evaluate("document.documentElement.scrollWidth") == 1280
        assert asked == errors == []


@pytest.fixture(scope="module")
def notebook_7(tmp_path_factory):
    """The address of a Notebook 7 that trusts nobody, with lesson 00 in it as it is shipped."""
    if not find_spec("notebook"):
        pytest.skip("Notebook 7 is not installed; run `uv sync --group classroom`")
    folder, port = tmp_path_factory.mktemp("notebook"), lab.free_port()
    (folder / "work").mkdir()
    shutil.copy(lessons.LESSONS[0], folder / "work")
    own = {f"JUPYTER_{name}_DIR": str(folder / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    options = [f"--port={port}", "--no-browser", "--allow-root", "--IdentityProvider.token=t"]
    with open(folder / "log.txt", "w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "notebook", *options, f"--ServerApp.root_dir={folder / 'work'}"],
            env=os.environ | own | {"COURSE_WORK": str(folder / "work")},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,  # from a terminal it would ask whether to stop
        )  # fmt: skip
        try:
            end = time.monotonic() + 90
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    assert time.monotonic() < end, (folder / "log.txt").read_text()
                    time.sleep(0.2)
            yield f"http://localhost:{port}/notebooks/{lessons.LESSONS[0].name}?token=t"
        finally:
            lab.stop(process)


@needs_browser
def test_notebook_7_shows_an_untrusted_lesson_and_then_runs_it(notebook_7):
    assert MISSING is None, MISSING
    from playwright.sync_api import expect

    path, host = lessons.LESSONS[0], notebook_7.split("/notebooks")[0]
    with lab.browser() as chromium:
        tab, asked, errors = watched(chromium)
        tab.set_default_timeout(90_000)
        tab.goto(notebook_7)
        cells, many = tab.locator(".jp-Notebook .jp-Cell"), len(lessons.read(path).cells)
        cells.nth(many - 1).wait_for(state="attached")
        for place in range(0, many, 4):
            cells.nth(place).scroll_into_view_if_needed()
        notebook, folds = tab.locator(".jp-Notebook"), lessons.prose(lessons.read(path)).count("<details>")
        expect(notebook.locator(".jp-OutputArea img")).to_have_count(len(shown(path)), timeout=90_000)
        expect(notebook.locator("details")).to_have_count(folds, timeout=90_000)
        for words, _ in shown(path):
            if words.startswith("<picture: "):
                sentence = words.removeprefix("<picture: ").removesuffix(">")
                expect(notebook).to_contain_text(sentence, timeout=90_000)
        lab.wait_until_drawn(tab)  # with a width for each image
        text = notebook.text_content()
        assert "Loading widget" not in text and "Error displaying" not in text
        assert not [address for address in asked if not address.startswith((host, "http://localhost"))]
        tab.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
        tab.locator(".lm-MenuBar-item", has_text="Run").first.click()
        tab.locator(".lm-Menu-item:visible", has_text="Run All Cells").first.click()
        panel = tab.locator(".course-panel [role=status]").first
        panel.wait_for(state="attached")
        assert "grey images" in panel.text_content()
        assert not [error for error in errors if "'schema'" not in error]  # Notebook 7.6 has this with an empty one too
