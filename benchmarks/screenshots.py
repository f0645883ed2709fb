"""Take pictures of a panel as it is in JupyterLab.

    uv run python benchmarks/screenshots.py
    uv run python benchmarks/screenshots.py "panels.MemoryBar(batch_size=8192)"

Without an argument, the README's picture: the batch panel with 64 digits in it, notebooks/images/batch_panel.png.
With the code of a panel: panel-light.png and panel-dark.png live, panel-static.png as where no kernel runs, in
test-failures/, which git ignores, to be looked at.
"""

import base64
import sys
import tempfile
from pathlib import Path

import nbformat

from helpers.authoring import lab
from helpers.folders import ROOT

README = ROOT / "notebooks" / "images" / "batch_panel.png"
LOOKED_AT = ROOT / "test-failures"


def photograph(panel: lab.PanelView, path: Path) -> None:
    """The panel on the screen, with a little air around it, as a PNG file."""
    path.parent.mkdir(exist_ok=True)
    panel.page.tab.locator("#jupyterlab-splash").wait_for(state="detached")  # JupyterLab's, after a change of theme
    box, edge = panel.root.bounding_box(), 4
    clip = {"x": box["x"] - edge, "y": box["y"] - edge, "width": box["width"], "height": box["height"] + edge}
    panel.page.tab.screenshot(path=path, clip=clip)
    print(f"written: {path.relative_to(ROOT).as_posix()}")


def main(code: str | None = None) -> int:
    if reason := lab.why_not():
        print(reason)
        return 1
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        lab.course(Path(folder)) as server,
        lab.browser(scale=1.5) as chromium,
    ):
        page = lab.Page(chromium, server)
        cell = nbformat.v4.new_code_cell(
            f"import torch\nfrom helpers import panels\n{code or 'panels.BatchPanel(batch_size=64)'}", id="panel"
        )
        page.run_new("picture.ipynb", [cell])
        if code is None:
            photograph(page.panel("panel"), README)
            return 0
        for theme in ("Light", "Dark"):
            page.theme(theme)
            photograph(page.panel("panel"), LOOKED_AT / f"panel-{theme.lower()}.png")
        (output,) = page.save().cells[0].outputs
        (LOOKED_AT / "panel-static.png").write_bytes(base64.b64decode(output.data["image/png"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
