"""What the script around a function calls, in each process: meet the others, call it, write down what came."""

import json
import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
from torch import distributed

from helpers.processes.supervisor import leave

_PATIENCE = 2.0  # seconds that a process with an error waits, so that those with the same error can say so


def values(script: str) -> dict[str, object]:
    """The notebook's values that the function uses."""
    return torch.load(Path(script).with_suffix(".pt"))


def work(script: str, function: Callable[[int, int], object]) -> None:
    """Call the function with this process's rank and the number of ranks. The process ends with 1 if it fails."""
    torch.set_num_threads(1)
    rank, ranks, folder = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), Path(script).parent
    met = False
    try:
        meeting = (folder / "meeting").as_uri()  # a file, so that no port is needed
        distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=ranks)
        met = True
        torch.save(function(rank, ranks), folder / f"{rank}.part")
        (folder / f"{rank}.part").replace(folder / f"{rank}.result")
        distributed.barrier()  # nobody goes while another still needs it
    except BaseException as error:
        mine = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == script]
        text = "".join(traceback.format_exception_only(error)).strip()
        told = {"text": text, "line": mine[-1].line if mine and met else "", "at_start": not met}
        part = folder / f"{rank}.error.part"
        part.write_text(json.dumps(told), encoding="utf-8")
        part.replace(folder / f"{rank}.error")
        end = time.monotonic() + _PATIENCE
        while len(list(folder.glob("*.result")) + list(folder.glob("*.error"))) < ranks and time.monotonic() < end:
            time.sleep(0.05)
        leave(1)
    leave(0)  # gloo's threads may hold what Python takes away while it ends, and would crash
