"""The exercise checks: one function an exercise, called on the learner's own object: ``check.to_batch(to_batch)``."""

from helpers.check.core import Verdict
from helpers.check.lesson_00 import bytes_of, odd_entry, photo_bytes, to_mib
from helpers.check.lesson_01 import dataset_mean, grey_batch, normalise, predict_one, rows_independent, to_batch
