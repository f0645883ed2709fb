"""The same small network trained with batches of many sizes: loss, accuracy and sharpness, live and as they are stored.

`train` makes one run. `benchmarks/batch_size.py` made all of them with it, for five seeds, and stored them in
benchmarks/results/batch-size-*.csv; `curves`, `needed`, `fewest` and `endings` read these tables.

To read it: `runs` (settings, learning rates, training), `tables` (what is stored), `lines` (curves), `needs`, `ends`.
"""

from helpers.batch_size.ends import Endings, Ends, correlations, endings
from helpers.batch_size.lines import Curve, Curves, curves
from helpers.batch_size.needs import Need, Needed, fewest, needed
from helpers.batch_size.runs import (
    AT,
    AXES,
    CURVED,
    DATA,
    EXAMPLES,
    MEASURES,
    MOMENTS,
    RULES,
    SETTINGS,
    STEPS,
    Ending,
    Point,
    Run,
    Setting,
    all_steps,
    is_recorded,
    learning_rate,
    one_step,
    rule_in_words,
    train,
)
from helpers.batch_size.tables import step_times, stored
