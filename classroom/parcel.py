"""Values on their way out of an answer's process: packed there, and unpacked where nothing in them can run.

Packed is what PyTorch loads with ``weights_only=True``: plain numbers, text, tuples, lists, tensors, and networks that
consist of the layers of torch.nn. Anything else goes as its name.
"""

import io
import itertools
from dataclasses import fields

import numpy as np
import torch
from torch import Tensor, nn

from helpers import capstone

_ROOM = 2**24  # numbers in all tensors of a parcel
_DEPTH, _LONGEST = 6, 1000
_KINDS = {
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16,
    torch.float32, torch.float64, torch.complex64, torch.complex128,
}  # fmt: skip
#: The layers of torch.nn, by their public names.
_LAYERS = [one for one in vars(nn).values() if isinstance(one, type) and issubclass(one, nn.Module)]


class Other:
    """What came is none of the things that a parcel holds; `name` says what it was."""

    def __init__(self, name: str):
        self.name = name


def _as_data(thing: object, depth: int = 0) -> object:
    of = type(thing)
    if depth > _DEPTH:
        return {"other": "deeply nested value"}
    if thing is None or of in (bool, float) or (of is str and len(thing) <= 10_000):
        return thing
    if thing is ...:
        return {"other": "..."}
    if issubclass(of, np.generic):
        return _as_data(thing.item(), depth + 1)
    if issubclass(of, int) and int.bit_length(thing) < 63:
        return int.__pos__(thing)
    if issubclass(of, float):
        return float.__pos__(thing)
    if issubclass(of, tuple | list):
        return (list if issubclass(of, list) else tuple)(_as_data(part, depth + 1) for part in thing[:_LONGEST])
    if issubclass(of, np.ndarray) and thing.dtype.isnative and thing.dtype.kind in "biufc":
        return {"array": torch.from_numpy(np.ascontiguousarray(thing).reshape(thing.shape))}
    if issubclass(of, Tensor) and thing.layout == torch.strided and thing.is_cpu and thing.dtype in _KINDS:
        return thing.detach().as_subclass(Tensor).clone(memory_format=torch.contiguous_format)
    if issubclass(of, nn.Module):
        return _network(thing)
    if of is capstone.Design:
        given = {field.name: getattr(thing, field.name) for field in fields(thing)}
        made = given.pop("network")
        made = made if made is None or isinstance(made, nn.Module) else made()
        held = {"network": None} if made is None else _network(made)
        return {"design": given, **held} if "network" in held else held
    return {"other": of.__name__[:80]}


def _network(network: nn.Module) -> dict:
    if all(type(module) in _LAYERS for module in network.modules()):
        return {"network": network}
    return {"other": "network with a class of its own, which only a person can grade"}


def packed(thing: object) -> bytes:
    """The thing as bytes. Runs in the answer's process, so nobody relies on it."""
    stream = io.BytesIO()
    try:
        torch.save(_as_data(thing), stream)
    except Exception as error:  # a network with a function or a class of its own in it
        stream = io.BytesIO()
        torch.save({"other": f"thing that cannot be handed over ({type(error).__name__})"}, stream)
    return stream.getvalue()


def _tensors(thing: object) -> list[Tensor]:
    if isinstance(thing, Tensor):
        return [thing]
    if isinstance(thing, nn.Module):
        return [*thing.parameters(), *thing.buffers()]
    parts = thing.values() if isinstance(thing, dict) else thing if isinstance(thing, tuple | list) else ()
    return list(itertools.chain.from_iterable(map(_tensors, parts)))


def _as_thing(data: object) -> object:
    if isinstance(data, tuple | list):
        return type(data)(map(_as_thing, data))
    if not isinstance(data, dict):
        return data
    if "array" in data:
        return data["array"].numpy()
    if "design" in data:
        return capstone.Design(**data["design"], network=data["network"])
    if "network" in data:
        return data["network"]
    return ... if data["other"] == "..." else Other(str(data["other"])[:200])


def unpacked(data: bytes) -> object:
    """The thing again, or an `Other` where that cannot be. Nothing in the bytes is run."""
    try:
        with torch.serialization.safe_globals(_LAYERS):
            loaded = torch.load(io.BytesIO(data), weights_only=True)
        if sum(tensor.numel() for tensor in _tensors(loaded)) > _ROOM:
            return Other(f"value of more than {_ROOM:,} numbers")
        return _as_thing(loaded)
    except Exception as error:  # bytes that somebody made up, or a class of the learner's own
        return Other(f"thing that cannot be taken out of the answer's process ({type(error).__name__})")
