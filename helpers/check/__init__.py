"""The exercise checks: one for each exercise, called on the learner's own object: ``check.to_batch(to_batch)``."""

from helpers.check.lesson_00 import bytes_of, odd_entry, photo_bytes, to_mib
from helpers.check.lesson_01 import dataset_mean, grey_batch, normalise, predict_one, rows_independent, to_batch
from helpers.check.lesson_02 import bgr_to_rgb, brighten, denormalise, offset_of, to_display, to_model
from helpers.check.lesson_03 import build_mlp, flatten_batch, inputs_needed, mlp_parameters, takes_any_batch
from helpers.check.lesson_04 import (
    crossover_batch,
    fixed_bytes,
    kept_per_sample,
    mean_loss,
    model_bytes,
    oom_numbers,
)
from helpers.check.verdict import Verdict
