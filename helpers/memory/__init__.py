"""The memory of a training step: predicted on a laptop, measured on a GPU.

`trace` runs one training step on fake tensors, which have a shape and no bytes. A ledger under PyTorch's dispatcher
counts storages, from the first tensor that looks at one to the last. What each of them was is said afterwards: what
autograd kept is an activation, what ended up in ``.grad`` a gradient, and that label holds for its whole life. The
facts of the step stay, as a frozen `Observation`, the model goes; `report` makes a `Trace` of them. `any_batch` puts
other sizes into an observation and so replays the step for another batch size in a millisecond. `replay` puts it
through PyTorch's allocator: what is requested, allocated and reserved.

Limits: shapes are known and values are not, so a model that looks at values is refused. The fake step takes the CPU's
kernels, corrected where CUDA's leave other bytes; what cuDNN borrows inside one operation is not seen, nor is the CUDA
context.

To read it: `records`, `ledger`, `layers`, `step`, `observer` (the ledger that listens to a step), `tracer`, `report`;
then `allocator`, `replay`, `any_batch`, `limits`, `simulated`, `measure`. `gpus` has the table of GPUs, `as_cuda` what
CUDA does otherwise, `attention` the kernel it takes, `inner` what kernels borrow, `reductions` what sums borrow,
`kernels` what real kernels do otherwise than fake ones, `leftovers` what a trace takes out again, `random_numbers`
what a model may draw, `in_backward` an optimizer that steps there, `refusals` what cannot be traced, `torch_private`
every private name of PyTorch.

PyTorch's own `MemTracker` counts the same total to the byte, but labels while the step runs: what step() borrows counts
as optimizer state, a gradient as temporary until it is put away. It has no timeline, and knows neither CUDA's kernels
nor its rounding and workspaces.
"""

from helpers.memory.any_batch import any_batch
from helpers.memory.gpus import GPUS, Gpu
from helpers.memory.ledger import Ledger as watch
from helpers.memory.limits import MaxBatch, crossover, crossover_of, max_batch, max_batch_of
from helpers.memory.measure import measure
from helpers.memory.records import CATEGORIES, Correction, Event, Saved, Trace
from helpers.memory.simulated import SimulatedGpu, SimulatedOutOfMemoryError
from helpers.memory.step import Loop
from helpers.memory.tracer import trace
