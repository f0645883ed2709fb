"""The capstone: a design is traced and trained, and judged by accuracy, memory and time together.

To read it: `design` (what a learner decides), `tiers` (the goals), `preview` (the memory, traced), `loop` (the training
loop that is traced and run), `task` (the images), `clock` (time that is fair, and its end), `reference` (its measure),
`witness` (what else is looked at), `report`, `judge`.
"""

from helpers.capstone.design import Design
from helpers.capstone.judge import judge
from helpers.capstone.preview import Preview, preview
from helpers.capstone.report import Report, Standing
from helpers.capstone.tiers import TIERS, UNIT, Tier
