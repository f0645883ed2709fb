"""The real JupyterLab in the real Chromium, for tests and benchmarks: start it, open a lesson, run it, find a panel.

    with lab.course(folder) as server, lab.browser() as chromium:
        page = lab.Page(chromium, server)
        page.open("01_batch_dimension.ipynb")
        page.run_all()
        page.panel("01-panel").type("Batch size B", 64)

JupyterLab is started by the course's own command, with settings of its own and none of the user's, in a folder that
the caller names. Chromium is the one that is installed; nothing is downloaded.
"""

import os
import queue
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urljoin, urlsplit

import nbformat

from helpers.folders import ROOT

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
# Where Windows and macOS keep them, since they are seldom on PATH there.
INSTALLED = (
    r"%ProgramFiles%\Google\Chrome\Application\chrome.exe",
    r"%ProgramFiles(x86)%\Google\Chrome\Application\chrome.exe",
    r"%ProgramFiles(x86)%\Microsoft\Edge\Application\msedge.exe",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
QUIET = (
    "--no-sandbox",  # containers have no user namespaces
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-gpu",  # drawn by the processor in any case; so with less work
    "--disable-sync",
    "--no-first-run",
)


def find_chromium() -> str | None:
    """The program of a browser from the Chromium family, or None."""
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    return next((path for path in map(os.path.expandvars, INSTALLED) if os.path.isfile(path)), None)


def why_not() -> str | None:
    """Why no browser can be driven here; None if one can."""
    try:
        import axe_playwright_python  # noqa: F401
        import playwright  # noqa: F401
    except ImportError as error:
        return f"{error.name} is not installed; run `uv sync --group browser`"
    if find_chromium() is None:
        return f"no browser found; looked on PATH for {', '.join(BROWSERS)}"
    return None


def free_port() -> int:
    """A port of this machine that nobody listens on, for a program that will listen there some seconds later.

    It lies below the ports that systems hand out by themselves, from 32768 on Linux, or another program might get it
    meanwhile. Raises RuntimeError if a hundred in a row are taken.
    """
    for port in random.SystemRandom().sample(range(10_000, 32_000), 100):  # whatever seeds a test has set
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port of 127.0.0.1 can be used; a hundred from 10000 to 31999 were tried")


@dataclass
class Server:
    """A running JupyterLab: the address that the command printed, and the learner's folder."""

    address: str  #: with the token, ends in lesson 00
    work: Path
    said: list[str]  #: what the command printed

    def address_of(self, name: str) -> str:
        """Of one notebook, in a workspace of its own, so that no tab of another page is open beside it."""
        return self.url(f"lab/workspaces/{quote(Path(name).stem)}/tree/{quote(name)}")

    def url(self, path: str) -> str:
        """The address of something else on this server, with the token."""
        return urljoin(self.address, f"/{path}?{urlsplit(self.address).query}")


@contextmanager
def course(folder: Path, *options: str, seconds: float = 180) -> Iterator[Server]:
    """Run the course's command with a learner's folder below `folder`, until the block ends.

    options: more of the command's own, as in `"--present", "03"`. Raises RuntimeError, with what the command said, if
    it does not serve within `seconds`.
    """
    home = Path(folder) / "home"
    work = Path(folder) / "work"
    home.mkdir(parents=True)
    own = {"CONFIG": "config", "DATA": "data", "RUNTIME": "runtime"}  # none of the user's settings or extensions
    environment = os.environ | {f"JUPYTER_{name}_DIR": str(home / place) for name, place in own.items()}
    environment |= {"COURSE_WORK": str(work), "IPYTHONDIR": str(home / "ipython"), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "helpers.course", "--no-browser", "--port", str(free_port()), *options]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    lines: queue.Queue[str | None] = queue.Queue()

    def listen() -> None:
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=listen, daemon=True).start()
    try:
        said, end = [], time.monotonic() + seconds
        while True:
            try:
                line = lines.get(timeout=max(0.1, end - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                raise RuntimeError("the course command does not serve; it said:\n" + "".join(said))
            said.append(line)
            if line.strip().startswith("http"):
                break
        _wait_for_port(line.strip(), end)
        yield Server(line.strip(), work / "present" if "--present" in options else work, said)
    finally:
        stop(process)


def _wait_for_port(address: str, end: float) -> None:
    """The command prints the address just before it serves."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", urlsplit(address).port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def stop(process: subprocess.Popen) -> None:
    """End a JupyterLab: Ctrl-C, as a learner would; harder only if that does not help."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT) if os.name != "nt" else process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def browser(scale: float = 1) -> Iterator[object]:
    """The installed Chromium, without a window, driven by playwright; `scale` pixels for one of the page's own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_chromium(), args=list(QUIET))
        try:
            yield chromium.new_context(device_scale_factor=scale, reduced_motion="reduce")
        finally:
            chromium.close()


# The page's own word for the kernel of the notebook in front.
_IDLE = ".jp-NotebookPanel:visible .jp-Notebook-ExecutionIndicator[data-status=idle]"
# JupyterLab attaches an output, or a cell of Markdown, first and fills it later.
_DRAWN = """() => {
  const all = (selector) => [...document.querySelectorAll(`.jp-Notebook ${selector}`)];
  return !all(".jp-RenderedMarkdown:empty").length
    && !all(".course-panel:not(:has([role=status], [role=alert]))").length
    && !all(".jp-OutputArea-output").some((output) => output.textContent.startsWith("Loading widget"))
    && all("img").every((image) => image.complete && image.naturalWidth);
}"""


def wait_until_drawn(tab) -> None:
    """Wait until the notebooks on playwright's page `tab` show all that they have: Markdown, widgets, images."""
    tab.wait_for_function(_DRAWN, polling=50)


class Page:
    """One browser tab with JupyterLab in it. `tab` is playwright's page; `errors` are the page's own errors."""

    def __init__(self, context, server: Server, height: int = 900):
        self.server = server
        self.tab = context.new_page()
        self.tab.set_viewport_size({"width": 1280, "height": height})
        self.tab.set_default_timeout(90_000)
        self.errors: list[str] = []
        self.console: list[str] = []  # what the page logged as an error, apart from the above
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.on("console", lambda message: self._note(message))
        self.name = ""
        self._ids: dict[str, list[str]] = {}  # of the cells in each notebook

    def _note(self, message) -> None:
        if message.type == "error":
            self.console.append(message.text)

    def open(self, name: str = "", kernel: bool = True) -> None:
        """Show one notebook of the learner's folder and wait until its kernel is there.

        The first time, JupyterLab is opened at it; without a name, at the address that the command printed, as a
        learner does. After that, as by a double click in the list of files.
        """
        if name and name == self.name:
            return
        new = name or urlsplit(self.server.address).path.rsplit("/", 1)[1]
        if new not in self._ids:  # read once and now: later JupyterLab may be writing the file
            cells = nbformat.read(self.server.work / new, as_version=4).cells
            self._ids[new] = [cell.id for cell in cells]
        if self.name:
            self.tab.locator(f'.jp-DirListing-item[title^="Name: {name}"]').dblclick()
            self.tab.locator(f'.lm-TabBar-tab.lm-mod-current[title^="Name: {name}"]').wait_for()
        else:
            self.tab.goto(self.server.address_of(name) if name else self.server.address)
        self.name = new
        self.cells.first.wait_for()
        if kernel:  # before that JupyterLab drops what it is told to run
            self.tab.locator(_IDLE).wait_for()
            self.wait_until(self.idle, "the kernel to be ready")

    @property
    def cells(self):
        return self.tab.locator(".jp-NotebookPanel:visible .jp-Notebook .jp-Cell")

    def idle(self) -> bool:
        """Whether JupyterLab's server says that this notebook's kernel waits for work."""
        sessions = self.tab.request.get(self.server.url("api/sessions")).json()
        return any(one["path"] == self.name and one["kernel"]["execution_state"] == "idle" for one in sessions)

    def wait_until(self, true: Callable[[], bool], what: str, seconds: float = 90) -> None:
        """Ask again and again; RuntimeError if it does not become true."""
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                raise RuntimeError(f"waited {seconds:.0f} s for {what}")
            self.tab.wait_for_timeout(50)

    def run_new(self, name: str, cells: list[nbformat.NotebookNode]) -> None:
        """Write a notebook with these cells into the learner's folder, open it and run it."""
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), self.server.work / name)
        self.open(name)
        self.run_all()

    def run_all(self, seconds: float = 300) -> None:
        """Menu Run, Run All Cells; wait until every code cell has run and all that came of them is drawn."""
        self.command("Run", "Run All Cells")
        prompts = self.tab.locator(".jp-NotebookPanel:visible .jp-CodeCell .jp-InputPrompt")

        def finished() -> bool:
            texts = prompts.all_text_contents()  # a cell has its number when it begins
            numbered = all(re.fullmatch(r"\[\d+\]:", text.strip()) for text in texts)
            return numbered and self.tab.locator(_IDLE).count() == 1 and self.idle()

        self.wait_until(finished, "all cells to run", seconds)
        wait_until_drawn(self.tab)

    def dialogs(self) -> list[str]:
        """The text of every dialog, notification or prompt that stands open."""
        open_ones = self.tab.locator(".jp-Dialog:visible, .Toastify__toast:visible, dialog[open]:visible")
        return open_ones.all_inner_texts()

    def command(self, *path: str) -> None:
        """Choose an entry of JupyterLab's menu bar, as in `command("Run", "Run All Cells")`."""
        self.tab.locator(".lm-MenuBar-item", has_text=path[0]).first.click()
        for name in path[1:]:
            entry = self.tab.locator(".lm-Menu-item:visible").filter(
                has=self.tab.locator(".lm-Menu-itemLabel", has_text=name)
            )
            entry.first.click()

    def cell(self, cell_id: str):
        """The cell that had this id in the notebook file when it was opened, scrolled into view."""
        place = self._ids[self.name].index(cell_id)
        found = self.tab.locator(f'.jp-NotebookPanel:visible .jp-Cell[data-windowed-list-index="{place}"]')
        found.evaluate("cell => cell.scrollIntoView({block: 'start'})")
        return found

    def run_cell(self, cell_id: str) -> None:
        """Click beside the cell's code, press Shift+Enter, wait until it has run."""
        cell = self.cell(cell_id)
        prompt = cell.locator(".jp-InputPrompt")
        before = prompt.text_content()
        prompt.click()
        self.tab.keyboard.press("Shift+Enter")
        self.wait_until(lambda: "*" not in prompt.text_content() != before, f"cell {cell_id} to run")

    def add_cell(self, code: str):
        """Write a new code cell at the end, run it, and return it once its output is there."""
        self.tab.locator(".jp-Notebook-footer:visible").click()
        cell = self.cells.last
        cell.locator(".cm-content").click()
        self.tab.keyboard.insert_text(code)
        self.tab.keyboard.press("Control+Enter")
        cell.locator(".jp-OutputArea-output").first.wait_for()
        return cell

    def panel(self, cell_id: str) -> "PanelView":
        """The live panel in a cell's output."""
        found = self.cell(cell_id).locator(".course-panel")
        found.locator("[role=status]").wait_for()
        found.evaluate("panel => panel.scrollIntoView({block: 'center'})")
        return PanelView(self, found)

    def theme(self, name: str) -> None:
        """Choose JupyterLab's theme "Light" or "Dark" in its menu."""
        self.command("Settings", "Theme", f"JupyterLab {name}")
        self.tab.locator(f"body[data-jp-theme-light={str(name == 'Light').lower()}]").wait_for(state="attached")

    def save(self) -> nbformat.NotebookNode:
        """Save the notebook and return what the file now holds; RuntimeError if JupyterLab does not save it."""
        from playwright.sync_api import TimeoutError as Late

        def last(answer) -> bool:
            """JupyterLab asks for a checkpoint once the file is written; while it is written, it is cut."""
            path = f"/api/contents/{quote(self.name)}/checkpoints"
            return answer.ok and answer.request.method == "POST" and urlsplit(answer.url).path == path

        self.tab.keyboard.press("Escape")  # out of a cell or a control: its keys are its own
        try:
            with self.tab.expect_response(last):
                self.tab.keyboard.press("Control+s")
        except Late:
            raise RuntimeError(f"JupyterLab does not save {self.name}; it says {self.dialogs()}") from None
        return nbformat.read(self.server.work / self.name, as_version=4)


class PanelView:
    """A live panel on a page, as a person has it: labelled controls, a picture, words."""

    def __init__(self, page: Page, root):
        self.page, self.root = page, root

    def control(self, label: str):
        """The number box or drop-down list with this label."""
        return self.root.get_by_label(label, exact=True)

    def handle(self, label: str):
        """The handle of the slider in the row of this number box."""
        row = self.root.locator(".widget-hbox").filter(has=self.page.tab.get_by_label(label, exact=True))
        return row.locator(".noUi-handle")

    @property
    def words(self) -> str:
        return self.root.locator("[role=status]").inner_text()

    @property
    def image(self) -> bytes:
        """The panel's picture as it is on the screen, PNG bytes."""
        from playwright.sync_api import Error

        for _ in range(5):
            with suppress(Error):  # drawn anew at this very moment
                return self.root.locator("[role=img]").screenshot()
            self.page.tab.wait_for_timeout(200)
        raise AssertionError("the panel's picture does not stand still")

    def after(self, act: Callable[[], object]) -> str:
        """Do something to the panel, wait until it has answered, return its words."""
        before = self.words
        act()
        self.page.wait_until(lambda: self.words != before and self.page.idle(), "the panel to answer")
        return self.words

    def type(self, label: str, value: object) -> str:
        """Put a new value into a number box, as by hand; return the words that it brings."""
        box = self.control(label)
        return self.after(lambda: (box.fill(str(value)), box.press("Enter")))

    def choose(self, label: str, value: str) -> str:
        """Choose in a drop-down list; return the words that it brings."""
        return self.after(lambda: self.control(label).select_option(value))
