"""How safely the capstone's tiers are reached, one design for each, and how far they are apart, over many seeds.

    uv run python benchmarks/tiers.py

Writes benchmarks/results/tiers.csv: a row for each design and seed, with what `capstone.judge` measured, alone and, for
the last tier, beside four other trainings. Three minutes or more.
"""

import csv
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers.capstone import Design, judge

RESULTS = Path(__file__).resolve().parent / "results" / "tiers.csv"
SEEDS = range(10)
#: For each tier a design that reaches it, and no other.
PROOFS = {
    "quick": Design(width=8, depth=1, batch_size=24, optimizer="adam", learning_rate=8e-3, epochs=1),
    "small": Design(width=8, batch_size=16, micro_batches=8, optimizer="adam", learning_rate=5e-3, epochs=4),
    "sharp": Design(width=14, depth=1, batch_size=8, optimizer="adam", learning_rate=2e-3, epochs=5),
}
#: Designs that are good at two of the three, and that should not reach two tiers.
RIVALS = {
    "two epochs of 8": Design(width=8, depth=1, batch_size=8, optimizer="adam", learning_rate=4e-3, epochs=2),
    "three epochs of 16": Design(width=8, depth=1, batch_size=16, optimizer="adam", learning_rate=5e-3, epochs=3),
    "one epoch of 8": Design(depth=1, batch_size=8, optimizer="adam", learning_rate=2e-3, epochs=1),
    "one epoch of 8, width 8": Design(width=8, depth=1, batch_size=8, optimizer="adam", learning_rate=5e-3, epochs=1),
}

OTHERS = 4  # trainings beside, where the computer is to be busy
BUSY = """
import torch
torch.set_num_threads(1)
model = torch.nn.Sequential(*(torch.nn.Conv2d(3, 3, 3, padding=1) for _ in range(9)))
print(flush=True)
while True:
    model(torch.rand(16, 3, 64, 64)).sum().backward()
"""


def main() -> int:
    """Judge them all, and write the table."""
    with open(RESULTS, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["design", "seed", "accuracy", "peak", "time", "seconds", "reached", "findings"])
        for name, design in (PROOFS | RIVALS).items():
            _judge(table, name, design)
        with others_at_work():
            _judge(table, f"sharp, beside {OTHERS} trainings", PROOFS["sharp"])
    return 0


def _judge(table: object, name: str, design: Design) -> None:
    for seed in SEEDS:
        report = judge(design, seed=seed)
        figures = [f"{report.accuracy:.4f}", report.peak, f"{report.time:.2f}", f"{report.seconds:.2f}"]
        row = [name, seed, *figures, " ".join(report.reached), " ".join(report.findings)]
        table.writerow(row)
        print(*row, flush=True)


@contextmanager
def others_at_work() -> Iterator[None]:
    """So many other processes train meanwhile."""
    others = [subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE) for _ in range(OTHERS)]
    try:
        for other in others:
            other.stdout.readline()
        yield
    finally:
        for other in others:
            other.kill()
            other.communicate()


if __name__ == "__main__":
    sys.exit(main())
