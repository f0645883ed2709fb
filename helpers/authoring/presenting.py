"""What a class sees: a lesson as `course --present` shows it, run and measured on a screen of 1280 x 720.

    uv run python -m helpers.authoring.presenting          all lessons
    uv run python -m helpers.authoring.presenting 03 11    some of them

Each lesson is presented, run by Run, Run All Cells, its folds opened, and every text on the page measured.
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from helpers.authoring import lab, lessons
from helpers.folders import ROOT

WIDE, HIGH = 1280, 720  # pixels of a projector that a class has at least
LEAST = 18  # pixels of the smallest text
SHOTS = ROOT / "test-failures" / "presenting"

# What a person would see as too small, cut or too large, in words. A text is an element with letters of its own; in a
# drawing its size is scaled. A pixel is given, because places are not whole numbers.
_MEASURE = """([least]) => {
  const area = document.querySelector(".jp-WindowedPanel-outer");
  const right = area.getBoundingClientRect().left + area.clientWidth;
  const faults = [], sizes = [], parts = [];
  const hides = (how) => ["auto", "scroll", "hidden", "clip"].includes(how);
  for (const node of document.querySelectorAll("#main *")) {
    const box = node.getBoundingClientRect(), look = getComputedStyle(node), svg = node.closest("svg");
    if (!box.width || !box.height || look.visibility === "hidden") continue;
    const place = node.closest(".jp-Cell")?.dataset.windowedListIndex ?? "outside";
    const said = (node.matches("select, input") ? node.value : node.textContent).trim().slice(0, 60);
    const fault = (what) => faults.push(`cell ${place}: ${what}: ${said}`);
    const letters = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (letters || node.matches("select, input:is([type=number], [type=text])")) {
      const size = parseFloat(look.fontSize) * (node.closest("text") ? svg.getScreenCTM().a : 1);
      sizes.push(size);
      if (size < least - 0.01) fault(`text of ${size.toFixed(1)} px`);
      if (!svg && box.right > right + 1) fault("text beyond the right edge");
      if (node.matches("text")) {
        const sheet = svg.getBoundingClientRect();
        const cut = box.left < sheet.left - 1 || box.right > sheet.right + 1;
        if (cut || box.top < sheet.top - 1 || box.bottom > sheet.bottom + 1) fault("text cut by the drawing's edge");
      }
    }
    if (node.closest(".jp-Notebook") && node.clientWidth) {
      if (node.scrollWidth > node.clientWidth + 1 && hides(look.overflowX)) fault("wider than its box");
      if (letters && node.scrollHeight > node.clientHeight + 2 && hides(look.overflowY)) fault("higher than its box");
    }
    if (node.matches(".course-panel, .jp-OutputArea-output img, .jp-OutputArea-output iframe")) {
      parts.push([box.width, box.height]);
      if (box.width > area.clientWidth) fault(`${box.width.toFixed()} px wide`);
      if (box.height > area.clientHeight) fault(`${box.height.toFixed()} of ${area.clientHeight} px high`);
    }
  }
  if (area.scrollWidth > area.clientWidth) faults.push("the page scrolls sideways");
  return { faults, sizes, parts };
}"""


@dataclass(frozen=True)
class Seen:
    """What was measured on a page: faults in words, sizes of texts, width and height of panels and pictures."""

    faults: list[str]
    sizes: list[float]
    parts: list[tuple[float, float]]

    @property
    def sentence(self) -> str:
        """The measurements on one line."""
        wide, high = max(wide for wide, _ in self.parts), max(high for _, high in self.parts)
        return (
            f"{len(self.sizes)} texts, the smallest {min(self.sizes):.1f} px; {len(self.parts)} panels, pictures: at "
            f"most {wide:.0f} px wide and {high:.0f} high; {len(self.faults)} faults"
        )


def look(page: lab.Page) -> Seen:
    """Open every fold of the lesson on the page, and measure what is there."""
    page.tab.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true })")
    lab.wait_until_drawn(page.tab)
    return Seen(**page.tab.evaluate(_MEASURE, [LEAST]))


def photograph(page: lab.Page, name: str) -> None:
    """The top of the lesson and each panel, as the class sees them, as PNG files to be looked at."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.tab.screenshot(path=SHOTS / f"{name}-top.png")
    panels = page.tab.locator(".course-panel")
    for place in range(panels.count()):
        for _ in range(3):  # what comes into view is drawn then, and moves what stands below it
            panels.nth(place).evaluate("panel => panel.scrollIntoView({block: 'center'})")
            page.tab.wait_for_timeout(300)
        page.tab.screenshot(path=SHOTS / f"{name}-panel-{place + 1}.png")


def main(names: list[str]) -> int:
    """Present the lessons whose names begin so, say what was measured, return the exit code."""
    if reason := lab.why_not():
        print(reason)
        return 1
    chosen = [path.stem for path in lessons.LESSONS if not names or any(path.name.startswith(name) for name in names)]
    bad = 0
    for name in chosen:
        with (
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
            lab.course(Path(folder), "--present", name) as server,
            lab.browser() as chromium,
        ):
            page = lab.Page(chromium, server, HIGH)
            page.open()
            page.run_all(900)
            photograph(page, name)
            seen = look(page)
        print(f"{name}: {seen.sentence}", *seen.faults, *page.errors, *page.console, sep="\n    ", flush=True)
        bad += bool(seen.faults or page.errors or page.console)
    return 1 if bad or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
