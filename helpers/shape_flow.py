"""What each layer of an MLP makes of a batch, and where a wrong in_features stops it: the record of a panel."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from helpers.models import parameter_count
from helpers.problems import tensor_of, whole_number
from helpers.units import bytes_of, exact_and_readable

_MOST = 2**28  # numbers in one tensor, 1 GiB: what a laptop can run


@dataclass(frozen=True)
class Stage:
    """One layer: its name, its sizes, what it learns, and the shape that came out of it."""

    name: str  #: "Flatten", "Linear", "ReLU"
    sizes: str  #: "784 → 128" for a Linear layer, else empty
    parameters: int
    shape: tuple[int, ...] | None  #: None where the layer failed or was not reached


@dataclass(frozen=True)
class ShapeFlow:
    """One batch on its way through Flatten, Linear, ReLU, Linear."""

    input_shape: tuple[int, ...]
    stages: tuple[Stage, ...]
    error: str | None  #: PyTorch's own words, from the run; None if the batch came through

    @property
    def failed(self) -> int | None:
        """The number of the stage that raised, counted from 0; None if the batch came through."""
        return next((place for place, stage in enumerate(self.stages) if stage.shape is None), None)

    @property
    def parameters(self) -> int:
        """Numbers that the model learns. No B in it, and no need for a batch that fits."""
        return sum(stage.parameters for stage in self.stages)

    @property
    def size(self) -> str:
        """The parameters, layer by layer and in total, and their bytes as float32."""
        terms = " + ".join(f"{stage.parameters:,}" for stage in self.stages if stage.parameters)
        n_bytes = exact_and_readable(bytes_of((self.parameters,)))
        return f"{terms} = {self.parameters:,} parameters, {n_bytes} as float32"

    @property
    def sentence(self) -> str:
        way = [f"{self.input_shape}"]
        for stage in self.stages[: self.failed]:
            way.append(f"{stage.name} {stage.shape}")
        if self.error is None:
            return f"{' → '.join(way)}. {self.size}, the same for every B."
        rows, columns = self.stages[0].shape
        wanted = self.stages[1].sizes.split(" ")[0]
        return (
            f"{' → '.join(way)} → Linear({self.stages[1].sizes.replace(' → ', ', ')}) stops. {self.error}. "
            f"Flatten made {rows} rows of {columns} numbers; this Linear takes rows of {wanted}. "
            f"in_features={columns} repairs it."
        )


def shape_flow(images: Tensor, in_features: int, hidden: int = 128, classes: int = 10) -> ShapeFlow:
    """Send a batch (B, ...) layer by layer through Flatten, Linear(in_features, hidden), ReLU, Linear(hidden, classes).

    The batch really runs, so an error is the one that the installed PyTorch raises. The weights are zeros: shapes do
    not depend on them. Raises `Problem` if images is no tensor (B, ...) with numbers in it, if a size is not a whole
    number of at least 1, or if any tensor on the way had more than 2**28 numbers.
    """
    tensor_of("images", images, "B, ...", "data.digits().images[:64]", most=_MOST)
    in_features, hidden = whole_number("in_features", in_features, 1), whole_number("hidden", hidden, 1)
    classes = whole_number("classes", classes, 1)
    largest = max(hidden * max(len(images), in_features, classes), len(images) * classes)
    whole_number("the count of numbers in the largest tensor on the way", largest, 1, _MOST)
    layers = (nn.Flatten(), _zeros(in_features, hidden), nn.ReLU(), _zeros(hidden, classes))
    stages: list[Stage] = []
    x, error = images.cpu().float(), None
    with torch.no_grad():
        for layer in layers:
            try:
                x = layer(x) if error is None else x
            except RuntimeError as raised:
                error = f"{type(raised).__name__}: {str(raised).splitlines()[0]}"
            linear = isinstance(layer, nn.Linear)
            stages.append(
                Stage(
                    type(layer).__name__,
                    f"{layer.in_features} → {layer.out_features}" if linear else "",
                    parameter_count(layer),
                    tuple(x.shape) if error is None else None,
                )
            )
    return ShapeFlow(tuple(images.shape), tuple(stages), error)


@lru_cache(maxsize=4)  # while only B moves, nothing is made anew
def _zeros(inputs: int, outputs: int) -> nn.Linear:
    """A Linear layer full of zeros: quick to make, and it draws no random numbers. Only `shape_flow` may hold it."""
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_()
    return layer
