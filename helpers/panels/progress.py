"""The panel of lesson 00 that says where a learner stands."""

from pathlib import Path

from helpers.figures import progress as figures
from helpers.panels.core import SLOW, Panel, choice
from helpers.problems import folder_path
from helpers.progress import LESSONS, NOTHING, Overview, is_slow, overview


class ProgressPanel(Panel):
    """The exercises of all lessons, and which of them pass in your copies, as you saved them last.

    folder: where the copies are; without one, your work folder. Control: `run` ("nothing", or a lesson from "00" on).
    The answers of that lesson are then run anew, in kernels of their own; your copies stay as they are.
    """

    title = "progress panel"
    height = figures.HEIGHT
    lines = 4
    draw = staticmethod(figures.draw)

    def __init__(self, folder: str | Path | None = None, run: str = NOTHING):
        self._folder = None if folder is None else folder_path("folder", folder)
        super().__init__({"run": choice("Run now", (NOTHING, *LESSONS))}, {"run": run})

    def wait(self, **values: object) -> float:
        return SLOW if is_slow(values["run"], self._folder) else 0.0

    def compute(self, run: str) -> Overview:
        return overview(self._folder, run)
