"""The exercise checks: one for each exercise, called on the learner's own object: ``check.to_batch(to_batch)``."""

from helpers.check.lesson_00 import bytes_of, odd_entry, photo_bytes, to_mib
from helpers.check.lesson_01 import grey_batch, rows_independent, to_batch
from helpers.check.lesson_02 import dataset_mean, normalise, predict_one, train_step
from helpers.check.lesson_03 import bgr_to_rgb, brighten, denormalise, to_display, to_model
from helpers.check.lesson_04 import cut_out, offset_of, shares_memory, strides_of
from helpers.check.lesson_05 import build_mlp, flatten_batch, mlp_parameters
from helpers.check.lesson_06 import class_of_each, inputs_needed, more_than_chance, takes_any_batch
from helpers.check.lesson_07 import fixed_bytes, kept_per_sample, model_bytes
from helpers.check.lesson_08 import crossover_batch, mean_loss, oom_numbers
from helpers.check.lesson_09 import gradient_in_parts, largest_batch, peak_after
from helpers.check.lesson_10 import bytes_on_rank, loss_weight, my_images
from helpers.check.lesson_11 import batch_noise, noise_scale, plan, stretch
from helpers.check.lesson_12 import own_network, quick, sharp, small
from helpers.check.verdict import Verdict
