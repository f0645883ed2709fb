"""The panel of lesson 13: the claims, by lesson and by verdict."""

from helpers import claims
from helpers.claims import Table
from helpers.figures import claims as figures
from helpers.panels.core import SLOW, Panel, choice, number


class ClaimsPanel(Panel):
    """Each claim with its verdict, the condition, and what was measured.

    Controls: `lesson` ("all", or "01" to the last that settles a claim), `verdict` ("all", "holds", "holds if",
    "imprecise", "wrong as said"), `page` (six claims stand on each; past the last page it is the last).
    """

    title = "claims"
    height = figures.HEIGHT
    draw = staticmethod(figures.draw)

    def __init__(self, lesson: str = "01", verdict: str = "all", page: int = 1):
        controls = {
            "lesson": choice("Lesson", claims.LESSONS),
            "verdict": choice("Verdict", ("all", *claims.VERDICTS)),
            "page": number("Page", 1, claims.PAGES, 1),
        }
        super().__init__(controls, {"lesson": lesson, "verdict": verdict, "page": page})

    def wait(self, **values: object) -> float:
        return SLOW if claims.is_slow(values["lesson"]) else 0.0

    def compute(self, **values: object) -> Table:
        return claims.table(**values)
