"""The two panels of lessons 07 and 08: the memory bar and the timeline of one training step."""

from collections.abc import Mapping

import ipywidgets as widgets

from helpers import step_memory
from helpers.figures import step_memory as figures
from helpers.panels.core import SLOW, Control, Panel, choice, doublings, number, wide
from helpers.step_memory import StepMemory


class _StepMemoryPanel(Panel):
    """Controls and computing of both panels."""

    lines = 5
    with_crossover = False

    def __init__(
        self,
        model: str = "digits MLP",
        batch_size: int = 64,
        width: int = 256,
        depth: int = 1,
        optimizer: str = "adam",
        precision: str = "fp32",
    ):
        batches, widths = (1, step_memory.LARGEST_B), step_memory.WIDTHS
        controls = {
            "model": choice("Model", tuple(step_memory.SAMPLE_SHAPES), width=300),
            "batch_size": number("Batch size B", *batches, 64, doublings(*batches)),
            "width": number("Width", *widths, 256, doublings(*widths)),
            "depth": number("Depth", *step_memory.DEPTHS, 1),
            "optimizer": choice("Optimizer", step_memory.OPTIMIZERS, width=205),
            "precision": choice("Precision", step_memory.PRECISIONS, width=185),
        }
        for name in ("optimizer", "precision"):
            controls[name].value.style.description_width = wide(85)
        start = {"model": model, "batch_size": batch_size, "width": width, "depth": depth}
        super().__init__(controls, start | {"optimizer": optimizer, "precision": precision})

    def arrange(self, controls: Mapping[str, Control]) -> list[widgets.Widget]:
        chosen = [controls[name].view for name in ("model", "optimizer", "precision")]
        return [widgets.HBox(chosen), *(controls[name].view for name in ("batch_size", "width", "depth"))]

    def wait(self, batch_size: int, **values: object) -> float:
        return SLOW if step_memory.is_slow(**values, with_crossover=self.with_crossover) else 0.0

    def compute(self, **values: object) -> StepMemory:
        return step_memory.step_memory(**values, with_crossover=self.with_crossover)


class MemoryBar(_StepMemoryPanel):
    """What the peak of one training step consists of, in exact bytes, and on which side of the crossover B is.

    At the crossover the batch and what the layers keep for backward weigh as much as parameters, gradients and
    optimizer state.

    Controls: `model`, `batch_size` (1 to 8192), `width` (8 to 1024), `depth` (1 to 4), `optimizer` ("sgd", "momentum",
    "adam", "adamw"), `precision` ("fp32", "bf16", "fp16"). The models: "digits MLP" (784 numbers in) and "colours MLP"
    (3072) have `depth` hidden layers of `width` units; "colours CNN" has `depth` times 3x3 convolution with `width`
    filters, ReLU and max-pooling, then Linear; for "ResNet-18" (3 x 224 x 224, 1000 classes) width and depth do not
    apply. Nothing of these sizes is allocated: `helpers.memory.trace` works the bytes out, without a GPU's workspace.
    """

    title = "memory bar"
    height = figures.BAR_HEIGHT
    draw = staticmethod(figures.draw_bar)
    with_crossover = True


class StepTimeline(_StepMemoryPanel):
    """One training step, operation by operation: what is alive after each, stacked by category, the peak named.

    Each phase (forward, backward, step()) has at least an eighth of the width, so that its name fits under it; the rest
    is shared by the number of operations that change what is alive. Controls: those of `MemoryBar`.
    """

    title = "step timeline"
    height = figures.TIMELINE_HEIGHT
    draw = staticmethod(figures.draw_timeline)
