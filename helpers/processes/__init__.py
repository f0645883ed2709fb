"""Several processes for a lesson: they are started, waited for, and nothing of them stays.

`launch` runs a script as it stands, under torchrun, and gives what each process printed. `run` sends a function of a
notebook to the processes and gives what each of them returned. Both end what they started: when it is over, after a
time-out, after an interrupt, and when the notebook's own process dies.

To read it: `launch` (both functions), `supervisor` (a small process between the notebook and the others, which ends
them), `failures` (what went wrong, in words), `source` (a function of a notebook as a script), `worker` (what such a
script calls), `stored` (results to show where processes cannot be started).
"""

from helpers.processes.launch import MOST_RANKS, Run, launch, run
