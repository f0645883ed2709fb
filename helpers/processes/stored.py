"""Results of earlier runs, to show where processes cannot be started. Written when the lessons are stored anew.

The file is JSON, so that a change of it can be read. A tensor keeps its dtype and shape.
"""

import hashlib
import json
from pathlib import Path

import torch

FILE = Path(__file__).with_name("stored.json")


def key(name: str, ranks: int, source: str) -> str:
    """What a result is kept under: another source, or another number of ranks, has another result."""
    return f"{name}, {ranks} ranks, {hashlib.sha256(source.encode()).hexdigest()[:12]}"


def find(key: str) -> object:
    """The result that is kept under this key. Raises KeyError."""
    return _unpacked(_read()[key])


def keep(key: str, result: object) -> None:
    """Keep a result; one of the same name and ranks and of another source goes."""
    name = key.rpartition(", ")[0]
    kept = {other: packed for other, packed in _read().items() if other.rpartition(", ")[0] != name}
    kept[key] = _packed(result)
    lines = [f"{json.dumps(one)}: {json.dumps(kept[one], ensure_ascii=False)}" for one in sorted(kept)]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8", newline="\n")


def _read() -> dict[str, object]:
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}


def _packed(thing: object) -> object:
    if isinstance(thing, torch.Tensor):
        digits = 9 if thing.dtype == torch.float32 else 17
        numbers = [float(f"{x:.{digits}g}") if isinstance(x, float) else x for x in thing.flatten().tolist()]
        return {"tensor": numbers, "shape": list(thing.shape), "dtype": str(thing.dtype).removeprefix("torch.")}
    if isinstance(thing, dict):
        return {"pairs": [[_packed(name), _packed(value)] for name, value in thing.items()]}
    if isinstance(thing, tuple):
        return {"tuple": [_packed(part) for part in thing]}
    return [_packed(part) for part in thing] if isinstance(thing, list) else thing


def _unpacked(thing: object) -> object:
    if isinstance(thing, list):
        return [_unpacked(part) for part in thing]
    if not isinstance(thing, dict):
        return thing
    if "tuple" in thing:
        return tuple(_unpacked(thing["tuple"]))
    if "pairs" in thing:
        return {_unpacked(name): _unpacked(value) for name, value in thing["pairs"]}
    return torch.tensor(thing["tensor"], dtype=getattr(torch, thing["dtype"])).reshape(thing["shape"])
