"""Names and the row of memory behind them: which place each index reads."""

from collections.abc import Mapping
from itertools import product

import torch
from torch import Tensor

from helpers.figures.base import Picture
from helpers.figures.paper import picture
from helpers.figures.shapes import GREY, Drawing, Shape, Text, cell
from helpers.problems import Problem, instance_of, tensor_of

_CELL = 61  # pixels from one place to the next
_PLACES, _READ, _NAMES, _LETTERS = 12, 24, 6, 6  # at most: in a row, by a name, in a picture, in a cell
_EXAMPLE = '{"x": x, "part": x[2:5]}'


def memory_row(tensors: Mapping[str, Tensor]) -> Picture:
    """The memory of up to 6 named tensors: each row of memory once, and below each place the index that reads it.

    tensors: {name: tensor} of at most 24 numbers and 4 axes, out of at most 12 numbers of at most 6 letters in memory.
    Raises `Problem` for anything else.
    """
    instance_of("tensors", tensors, Mapping, _EXAMPLE)
    if not 1 <= len(tensors) <= _NAMES:
        raise Problem(f"{len(tensors)} tensors; give 1 to {_NAMES}, as in {_EXAMPLE}.")
    for name, tensor in tensors.items():
        instance_of("a name", name, str, '"x"')
        tensor_of(name, tensor, "...", "torch.arange(6)", most=_READ)
        if len(name) > 20 or tensor.ndim > 4:
            raise Problem(f"{name[:20]} has {tensor.ndim} axes; allowed are 1 to 4, and names of 20 letters.")
    return picture(draw(tensors))


def draw(tensors: Mapping[str, Tensor]) -> Drawing:
    """Rows of cells, one below the other: a row of memory with its places, then every name that reads from it."""
    rows: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        rows.setdefault(tensor.untyped_storage().data_ptr(), {})[name] = tensor
    shapes: list[Shape] = []
    said: list[str] = []
    top = 0
    for names in rows.values():
        shapes.append(Text(2, top + 18, "another row of memory" if said else "one row of memory, place by place"))
        for place, value in enumerate(_memory(names)):
            shapes.append(Text(2 + _CELL * place + (_CELL - 3) / 2, top + 40, str(place), "middle", colour=GREY))
            shapes += _cell(place, top + 46, value, fill="#fff", edge="#000", line=2.5)
        top += 76
        for name, tensor in names.items():
            shapes.append(Text(2, top + 18, f"index of {name}, shape {tuple(tensor.shape)}", bold=True))
            readers = _readers(tensor)
            for place, indices in readers.items():
                words = ",".join(map(str, indices[0])) if len(indices) == 1 else f"{len(indices)} ×"
                shapes += _cell(place, top + 24, words, fill="#E4E4E4", edge=GREY)
            top += 54
        reads = "; ".join(f"{name} reads {_places(tensor)}" for name, tensor in names.items())
        said.append(f"{'Another row' if said else 'One row of memory'}: {reads}.")
        top += 12
    return Drawing(top - 8, tuple(shapes), " ".join(said))


def _memory(names: Mapping[str, Tensor]) -> list[str]:
    """All numbers of the memory that these tensors share, as texts, in the order in which they lie there."""
    first = next(iter(names.values()))
    row = torch.empty(0, dtype=first.dtype, device=first.device).set_(first.untyped_storage())
    if row.numel() > _PLACES or any(tensor.dtype != first.dtype for tensor in names.values()):
        raise Problem(
            f"the memory of {', '.join(names)} holds {row.numel():,} numbers of {first.dtype}; allowed are {_PLACES} "
            "of one dtype. Begin with a tensor that is no part of a larger one, as x[2:5].clone() is."
        )
    values = [f"{value:g}" for value in row.tolist()]
    if len(longest := max(values, key=len)) > _LETTERS:
        raise Problem(f"the number {longest} is too long for a cell; give numbers of at most {_LETTERS} letters.")
    return values


def _readers(tensor: Tensor) -> dict[int, list[tuple[int, ...]]]:
    """For each place in memory the indices that read it, both in the order in which the tensor reads them."""
    readers: dict[int, list[tuple[int, ...]]] = {}
    for index in product(*map(range, tensor.shape)):
        place = tensor.storage_offset() + sum(at * stride for at, stride in zip(index, tensor.stride(), strict=True))
        readers.setdefault(place, []).append(index)
    return readers


def _places(tensor: Tensor) -> str:
    readers = _readers(tensor)
    often = max(map(len, readers.values()))
    return f"places {', '.join(map(str, readers))}{f' ({often} times each)' if often > 1 else ''}"


def _cell(place: int, y: float, words: str, **look: object) -> list[Shape]:
    return cell(2 + _CELL * place, y, _CELL - 3, 26, words, **look)
