"""From an `Observation` to a `Trace`: pure functions of a record."""

from dataclasses import replace
from functools import partial

from helpers.memory.allocator import Usage
from helpers.memory.as_cuda import CORRECTIONS
from helpers.memory.gpus import Gpu, rounded, workspaces
from helpers.memory.records import CATEGORIES, Category, Event, Moment, Observation, Saved, Trace, as_counted
from helpers.memory.reductions import buffers
from helpers.memory.replay import replay

OWNERS = (Category.PARAMETERS, Category.BUFFERS, Category.BATCH)  # who can hold what a layer keeps already


def report(seen: Observation, batch_size: int, gpu: Gpu | None, torch_version: str) -> Trace:
    """The trace of a step. gpu: what cuBLAS and sums borrow there is counted too, by the rules of that PyTorch."""
    if gpu is not None:
        seen = with_sums(seen, gpu)
    workspace = 0 if gpu is None else gpu.workspace
    borrowed = workspaces(workspace, torch_version, [(moment.phase, moment.op) for moment in seen.moments])
    corrections = (*seen.corrections, *((CORRECTIONS["cuBLAS workspace"],) if any(borrowed) else ()))
    timeline, requested = _replay(seen, borrowed)
    if seen.on_cuda:
        usage = partial(replay, seen, workspace, torch_version)
    else:  # the CPU's memory is handed out and taken back as it is asked for
        usage = partial(as_counted, Usage(requested, requested, requested))
    return Trace(batch_size, timeline, _saved(seen), requested, corrections, seen.notes, usage=usage)


def with_sums(seen: Observation, gpu: Gpu) -> Observation:
    """The same step, with what this GPU's sums borrow among the inner blocks."""
    sizes, moments, found = dict(seen.sizes), list(seen.moments), False
    for place, what in seen.sums.items():
        borrowed = {len(sizes) + max(sizes, default=0) + 1 + n: size for n, size in enumerate(buffers(what, gpu))}
        if borrowed:
            sizes |= borrowed
            here = moments[place]
            moments[place] = Moment(*here[:5], (*here.inner, *borrowed), here.into)
            found = True
    if not found:
        return seen
    corrections = (*seen.corrections, CORRECTIONS["buffers of sums"])
    return replace(seen, sizes=sizes, moments=tuple(moments), corrections=corrections)


def _replay(seen: Observation, borrowed: list[int]) -> tuple[tuple[Event, ...], int]:
    """The bytes alive by category after each operation that changes them; and the most in all, before rounding."""
    rounding = rounded if seen.on_cuda else int
    live = dict.fromkeys(CATEGORIES, 0)
    asked = requested = 0
    events: list[Event] = []

    def count(numbers: tuple[int, ...], sign: int) -> None:
        nonlocal asked
        for number in numbers:
            if number not in seen.on_host:
                asked += sign * seen.sizes[number]
                live[seen.labels.get(number, Category.TEMPORARIES)] += sign * rounding(seen.sizes[number])

    count(seen.began_with, 1)
    for moment, workspace in zip(seen.moments, borrowed, strict=True):
        count((*moment.born, *moment.inner), 1)
        count(moment.gone, -1)
        live[Category.WORKSPACE] = workspace
        requested = max(requested, asked + workspace)
        if not events or events[-1].phase != moment.phase or events[-1].live != live:
            events.append(Event(moment.phase, moment.layer, moment.op, dict(live)))
        count(moment.inner, -1)
    return tuple(events), requested


def _saved(seen: Observation) -> tuple[Saved, ...]:
    owners = {number: str(label) for number, label in seen.labels.items() if label in OWNERS}
    rows = []
    for kept in seen.saved:
        shared_with = owners.get(kept.number, "")
        rows.append(Saved(kept.layer, kept.what, kept.shape, kept.dtype, seen.sizes[kept.number], shared_with))
        owners.setdefault(kept.number, kept.layer)
    return tuple(rows)
