"""Which exercises pass in copies of the lessons: a learner's own, or those that a teacher collected.

`overview()` reads a learner's copies at once, and runs those of one lesson if it is asked to. In the order of the work:
`tasks` (the exercises as shipped), `copies` (files, which may be damaged), `names` (that code gives and takes),
`answers` (what in a copy answers an exercise), `run` (a kernel for each copy, from outside), `worker` (from inside),
`standing` (a learner's record), `report` (tables), `command` (`course progress`).
"""

from helpers.progress.standing import LESSONS, NOTHING, SAVED, Mark, Overview, Row, is_slow, overview
