"""The batch panel of lessons 00, 01, 02 and 06."""

import torch

from helpers import data, models
from helpers.batch import BatchFacts, batch_facts
from helpers.figures import batch
from helpers.figures.shapes import Drawing
from helpers.panels.core import LARGEST_B, Panel, choice, number
from helpers.problems import network


class BatchPanel(Panel):
    """Vary the batch size: see the images of the batch, its shape, its bytes, and the shape that a model returns.

    model: any module that takes float32 images (B, C, H, W) in [0, 1]. Without one, the course's MLP is used,
    as wide as the images need. Controls: `batch_size` (1 to `LARGEST_B`), `images` ("digits" or "colours"), `dtype`.
    """

    title = "batch panel"
    height = batch.HEIGHT
    DTYPES = ("float32", "float16", "uint8")

    def __init__(self, model: torch.nn.Module | None = None, batch_size: int = 8, images: str = "digits"):
        if model is not None:
            network("model", model)
        sets = {"digits": data.digits(), "colours": data.colours()}
        self._sets = {name: one.images[:LARGEST_B].clone() for name, one in sets.items()}  # a view would keep them all
        self._sheets = {name: batch.sheets(sample) for name, sample in self._sets.items()}  # so that each move is quick
        with torch.random.fork_rng(devices=[]):  # drawing weights must not move the learner's random numbers
            self._models = {
                name: models.mlp(tuple(sample.shape[1:])) if model is None else model
                for name, sample in self._sets.items()
            }
        controls = {
            "batch_size": number("Batch size B", 1, LARGEST_B, 8),
            "images": choice("Images", tuple(self._sets)),
            "dtype": choice("Stored as", self.DTYPES),
        }
        super().__init__(controls, {"batch_size": batch_size, "images": images})

    def compute(self, batch_size: int, images: str, dtype: str) -> BatchFacts:
        return batch_facts(self._sets[images], self._models[images], batch_size, getattr(torch, dtype))

    def draw(self, record: BatchFacts) -> Drawing:
        return batch.draw(record, self._sheets[self.values["images"]])
