"""Every claim of the course, measured: the figures behind the verdicts of lesson 13, and of `tests/test_claims.py`.

`measure("B13")` puts one claim to the test and gives its figures, the cases that were tried, and the verdict that
follows from them; `table()` has all. A verdict is never typed beside its figures: `records.verdict_of` reads it off the
cases. What needs a GPU or long training is read from stored tables, and says so.

By theme: `batches` (A1, A2, B9), `working` (A3 to A7), `images` (B1 to B4), `layers` (B5 to B8), `memory` (B10 to B15),
`fitting` (B16 to B18), `training` (B19 to B21).
"""

from helpers.claims.records import SIGNS, VERDICTS, Case, Claim, Figure, Measured
from helpers.claims.table import CLAIMS, LESSONS, PAGES, Row, Table, is_slow, measure, table
