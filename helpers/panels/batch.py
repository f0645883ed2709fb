"""The batch panel of lessons 00 and 01."""

import torch
from torch import Tensor

from helpers import data, figures, models
from helpers.batch import BatchFacts, batch_facts
from helpers.figures import Picture
from helpers.panels.core import Panel, choice, number, png_address, shape_boxes
from helpers.problems import Problem
from helpers.units import exact_and_readable


class BatchPanel(Panel):
    """Vary the batch size: see the images of the batch, its shape, its bytes, and the shape that a model returns.

    model: any module that takes float32 images (B, C, H, W) in [0, 1]. Without one, the course's MLP is used,
    as wide as the images need. Controls: `batch_size` (1 to 256), `images` ("digits" or "colours"), `dtype`.
    """

    title = "batch panel"
    DTYPES = ("float32", "float16", "uint8")

    def __init__(self, model: torch.nn.Module | None = None, batch_size: int = 8, images: str = "digits"):
        if model is not None and not isinstance(model, torch.nn.Module):
            raise Problem(
                f"model is a {type(model).__name__}; give a torch.nn.Module, or nothing for the MLP of the course."
            )
        self._sets = {"digits": data.digits().images[:256], "colours": data.colours().images[:256]}
        with torch.random.fork_rng(devices=[]):  # drawing weights must not move the learner's random numbers
            self._models = {name: model or models.mlp(tuple(sample.shape[1:])) for name, sample in self._sets.items()}
        self._sheet_class = f"course-sheet-{id(self)}"
        self._sheets = {sample.shape[1]: _sheet_rules(self._sheet_class, sample) for sample in self._sets.values()}
        controls = {
            "batch_size": number("Batch size B", 1, 256, 8),
            "images": choice("Images", tuple(self._sets)),
            "dtype": choice("Stored as", self.DTYPES),
        }
        super().__init__(controls, {"batch_size": batch_size, "images": images})

    def compute(self, batch_size: int, images: str, dtype: str) -> BatchFacts:
        return batch_facts(self._sets[images], self._models[images], batch_size, getattr(torch, dtype))

    def say(self, record: BatchFacts) -> str:
        return record.sentence

    def picture(self, record: BatchFacts) -> Picture:
        return figures.batch_picture(record)

    def style(self, record: BatchFacts) -> str:
        return self._sheets[1 if record.shape[1] == 1 else 3]

    def draw(self, record: BatchFacts) -> str:
        columns, rows = figures.tile_grid(record.shape[0])
        product = " × ".join(str(size) for size in record.shape)
        dtype = str(record.dtype).removeprefix("torch.")
        return (
            f'<div style="width:736px;height:184px;border:1px solid #767676;background:#fff">'
            f'<div role="img" aria-label="The {record.shape[0]} images of the batch side by side" '
            f'class="{self._sheet_class}-{columns}" style="width:736px;height:184px;'
            f'clip-path:{_first_tiles(record.shape[0], columns, rows)}"></div></div>'
            f'<div style="display:flex;align-items:center;height:92px">'
            f"{shape_boxes(record.shape, ('batch B', 'channels C', 'height H', 'width W'))}"
            f'<span style="padding:0 14px;margin-bottom:21px;font-size:16px">→ model →</span>'
            f"{shape_boxes(record.output_shape, ('batch B', 'classes'))}</div>"
            f"<div>{product} numbers × {record.dtype.itemsize} bytes ({dtype}) = "
            f"<b>{exact_and_readable(record.n_bytes)}</b></div>"
        )


def _sheet_rules(name: str, images: Tensor) -> str:
    """CSS classes `name-8`, `name-16` and `name-32`: a sheet with 16, 64 and 256 tiles as the background of a box.

    The browser gets and decodes the pixels once. What changes with B is only how much of a sheet is seen.
    """
    rules = []
    for count in (16, 64, 256):
        columns, rows = figures.tile_grid(count)
        source = png_address(figures.tiles(images[:count], columns, rows))
        sharp = ";image-rendering:pixelated" if columns < 32 else ""  # larger than life: show the pixels as they are
        rules.append(f".{name}-{columns}{{background:url({source}) 0 0/736px 184px no-repeat{sharp}}}")
    return f"<style>{''.join(rules)}</style>"


def _first_tiles(count: int, columns: int, rows: int) -> str:
    """The CSS outline of the first `count` tiles of a sheet: full rows, and a part of the next one."""
    full, rest = divmod(count, columns)
    right, upper, lower = (f"{100 * part:.4g}%" for part in (rest / columns, full / rows, (full + 1) / rows))
    corners = ["0 0", "100% 0", f"100% {upper}"]
    corners += [f"{right} {upper}", f"{right} {lower}", f"0 {lower}"] if rest else [f"0 {upper}"]
    return f"polygon({','.join(corners)})"
