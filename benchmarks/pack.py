"""Make real packs of the whole course with `course pack`, and install this machine's with the network off.

    uv run --group classroom python benchmarks/pack.py

Fetches some 3.4 GiB and needs 14 GiB of disk for a while. For each system: wheels, bytes, seconds. A pack for this
machine is copied, and installed as its READ-ME-FIRST says, in a network of its own that leads nowhere
(`unshare --net`, so Linux and root); then lesson 01 is run there. Writes benchmarks/results/pack.csv. Exit code 1 if a
step fails.
"""

import csv
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from classroom import pack

RESULT = Path(__file__).parent / "results" / "pack.csv"
PYTHON = {pack.this_system(): "{}.{}".format(*sys.version_info)}  # the others get what `course pack` takes by itself
COLUMNS = (
    "system",
    "python",
    "wheels",
    "pack MiB",
    "seconds to pack",
    "seconds to install",
    "installed MiB",
    "lesson 01",
)


def mib(folder: Path) -> int:
    """What the files of a folder take."""
    return round(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20)


def seconds(command: list[str], folder: Path) -> float:
    """Run a command; raises CalledProcessError if it fails."""
    start = perf_counter()
    home = {"HOME": str(folder.parent), "PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=folder, check=True, env=home)
    return perf_counter() - start


def measured(system: str, place: Path) -> dict[str, object]:
    """One row."""
    folder, python = place / system, PYTHON.get(system, "3.12")
    start = perf_counter()
    if pack.main([str(folder), "--platform", system, "--python", python]):
        raise subprocess.CalledProcessError(1, "course pack")
    row = {"system": system, "python": python, "seconds to pack": round(perf_counter() - start)}
    row |= {"wheels": len(list((folder / "wheels").iterdir())), "pack MiB": mib(folder)}
    if system in PYTHON:
        alone, copy = ["unshare", "--net"], Path(shutil.copytree(folder, place / "a room" / "copy"))
        row["seconds to install"] = round(seconds([*alone, sys.executable, "install.py"], copy))
        row["installed MiB"] = mib(copy / "course" / ".venv")
        lesson = ["jupyter", "nbconvert", "--to", "notebook", "--execute", "--output-dir", str(place)]
        lesson += ["notebooks/01_batch_dimension.ipynb"]
        in_there = ["sh", "-c", 'ip link set lo up && exec .venv/bin/"$@"', "sh", *lesson]
        seconds([*alone, *in_there], copy / "course")  # kernel and front end talk over the machine's own address
        row["lesson 01"] = "ran"
    return row


def main() -> int:
    """Measure all; return the exit code."""
    rows = []
    with tempfile.TemporaryDirectory() as place:
        for system in sorted(pack.SYSTEMS):
            try:
                rows.append(measured(system, Path(place)))
            except subprocess.CalledProcessError as error:
                print(f"{system}: {error}", file=sys.stderr)
                return 1
            print(rows[-1], flush=True)
            shutil.rmtree(Path(place) / system)
    with open(RESULT, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n", restval="not tried")
        writer.writeheader()
        writer.writerows(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
