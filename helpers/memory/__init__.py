"""The memory of a training step: predicted on a laptop, measured on a GPU."""

from helpers.memory.any_batch import any_batch
from helpers.memory.cuda import GPUS
from helpers.memory.ledger import Ledger as watch
from helpers.memory.limits import MaxBatch, crossover, crossover_of, max_batch
from helpers.memory.measure import measure
from helpers.memory.records import CATEGORIES, Correction, Event, Saved, Trace
from helpers.memory.tracer import trace
