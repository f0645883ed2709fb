"""Take the README's picture: the batch panel as it is in JupyterLab, with 64 digits in it.

    uv run python benchmarks/screenshots.py

Writes notebooks/images/batch_panel.png.
"""

import sys
import tempfile
from pathlib import Path

import nbformat

from helpers.authoring import lab
from helpers.folders import ROOT

PICTURE = ROOT / "notebooks" / "images" / "batch_panel.png"
CODE = "from helpers import panels\npanels.BatchPanel(batch_size=64)"


def main() -> int:
    if reason := lab.why_not():
        print(reason)
        return 1
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        lab.course(Path(folder)) as server,
        lab.browser(scale=1.5) as chromium,
    ):
        page = lab.Page(chromium, server)
        page.run_new("picture.ipynb", [nbformat.v4.new_code_cell(CODE, id="panel")])
        panel = page.panel("panel")
        PICTURE.parent.mkdir(exist_ok=True)
        box, edge = panel.root.bounding_box(), 4  # a little air around it
        clip = {"x": box["x"] - edge, "y": box["y"] - edge, "width": box["width"], "height": box["height"] + edge}
        page.tab.screenshot(path=PICTURE, clip=clip)
    print(f"written: {PICTURE.relative_to(ROOT).as_posix()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
