"""What benchmarks stored, to show beside your own figures; `benchmarks/gpu.py` on an H100 with PyTorch 2.11."""

import csv
import json
from collections.abc import Sequence

from helpers.folders import ROOT
from helpers.problems import Problem, instance_of, one_of, shown
from helpers.units import GIB

WHAT = ("speed", "limit", "levers")
_SAME = "as it is"  # the lever that the others are compared with: Adam, fp32


def rows(what: str) -> list[dict[str, str]]:
    """The rows of one table, each a dictionary of texts by column.

    what: "speed" (samples per second and the cost of a copy, by batch size), "limit" (the largest batch that fits) or
    "levers" (bytes and time of a step, with one change at a time). Raises `Problem` for anything else.
    """
    return list(csv.DictReader(text(f"gpu-nvidia-h100-80gb-hbm3-{one_of('what', what, WHAT)}.csv").splitlines()))


def permutations() -> dict[str, dict[str, dict[str, list[float]]]]:
    """What `benchmarks/permutations.py` stored: accuracies in % by images, network and order of the pixels.

    One for each seed; the first order is "as they are". Raises `Problem` if the file is not there.
    """
    return json.loads(text("permutations.json"))


def text(name: str) -> str:
    """The text of a file in benchmarks/results, such as "permutations.json". Raises `Problem` if it is not there."""
    instance_of("name", name, str, '"permutations.json"')
    try:
        return (ROOT / "benchmarks" / "results" / name).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise Problem(
            f"{shown(name)} is not there: it lies in benchmarks/results of the course's folder. Put it back, for "
            "example with: git checkout benchmarks/results"
        ) from error


def shares(column: str, levers: Sequence[str]) -> str:
    """A table in text: a column of the levers, each as a share of the same step without it (Adam, fp32).

    column: "ms/step", "measured allocated" or another column of numbers; levers: "bf16", "accumulate 4" and others.
    Raises `Problem` for names that the table does not have.
    """
    table = {(row["model"], row["B"], row["lever"]): row for row in rows("levers")}
    one_of("column", column, tuple(next(iter(table.values()))))
    for lever in instance_of("levers", levers, (list, tuple), '["bf16", "accumulate 4"]'):
        one_of("a lever", lever, tuple(dict.fromkeys(name for *_, name in table)))
    lines = [f"{column}, as a share of that of Adam in fp32:", " " * 19 + "".join(f"{lever:>18}" for lever in levers)]
    for model, size in dict.fromkeys((model, size) for model, size, _ in table):
        line = f"{f'{model}, B = {size}':19}"
        for lever in levers:
            with_it, without = table.get((model, size, lever)), table[model, size, _SAME]
            try:
                line += f"{float(with_it[column]) / float(without[column]):18.2f}" if with_it else f"{'-':>18}"
            except ValueError as error:
                raise Problem(f"column is {shown(column)}; give one of numbers, for example 'ms/step'.") from error
        lines.append(line)
    return "\n".join(lines)


def largest_batches(names: Sequence[str]) -> str:
    """A table in text: the largest batch that fits, by the straight line, by `max_batch`, and as it was found.

    names: rows of the table "limit", such as "resnet18". Raises `Problem` for a name that the table does not have.
    """
    table = {row["model"]: row for row in rows("limit")}
    columns = ("straight line", "predicted batch", "measured batch")
    lines = [f"{'':16}{'GiB':>5}{'by the sum':>14}{'searched':>12}{'measured':>12}{'sum / measured':>17}"]
    for name in instance_of("names", names, (list, tuple), '["resnet18"]'):
        row = table[one_of("a name", name, tuple(table))]
        line, found, real = (int(row[column]) for column in columns)
        gib = int(row["capacity"]) / GIB
        lines.append(f"{name:16}{gib:5.0f}{line:14,}{found:12,}{real:12,}{line / real:17.2f}")
    return "\n".join(lines)
