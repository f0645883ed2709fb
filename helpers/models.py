"""The small networks of the course, as plain `torch.nn.Sequential`, and their counts."""

from math import prod

from torch import nn

from helpers.problems import Problem, whole_number


def mlp(sample_shape: tuple[int, ...] = (1, 28, 28), hidden: int = 128, classes: int = 10) -> nn.Sequential:
    """Flatten, Linear, ReLU, Linear. Input (B, *sample_shape) float32, output (B, classes) logits.

    Raises `Problem` if a size is not a whole number of at least 1.
    """
    features = prod(_sizes(sample_shape))
    hidden, classes = whole_number("hidden", hidden, 1), whole_number("classes", classes, 1)
    return nn.Sequential(nn.Flatten(), nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, classes))


def deep_mlp(
    sample_shape: tuple[int, ...] = (1, 28, 28), hidden: int = 128, depth: int = 1, classes: int = 10
) -> nn.Sequential:
    """Flatten, `depth` times Linear and ReLU, Linear. Input (B, *sample_shape) float32, output (B, classes) logits.

    With depth=1 it is `mlp`. Raises `Problem` if a size is not a whole number of at least 1.
    """
    features, hidden = prod(_sizes(sample_shape)), whole_number("hidden", hidden, 1)
    depth, classes = whole_number("depth", depth, 1), whole_number("classes", classes, 1)
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs in (features, *[hidden] * (depth - 1)):
        layers += [nn.Linear(inputs, hidden), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(hidden, classes))


def cnn(sample_shape: tuple[int, int, int] = (1, 28, 28), filters: int = 8, classes: int = 10) -> nn.Sequential:
    """Conv 3x3, ReLU, MaxPool 2, Flatten, Linear. Input (B, C, H, W) float32, output (B, classes) logits.

    The Linear layer has filters x (H // 2) x (W // 2) inputs: the convolution keeps H and W, the pooling halves them.
    Raises `Problem` if a size is not a whole number of at least 1, or H or W is below 2.
    """
    channels, height, width = _sizes(sample_shape, axes=3)
    filters, classes = whole_number("filters", filters, 1), whole_number("classes", classes, 1)
    if min(height, width) < 2:
        raise Problem(f"sample_shape is {tuple(sample_shape)}; height and width must be 2 or more to be halved once.")
    return nn.Sequential(
        nn.Conv2d(channels, filters, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(filters * (height // 2) * (width // 2), classes),
    )


def parameter_count(model: nn.Module) -> int:
    """How many numbers the model learns. Each parameter counts once, also where two layers share it."""
    if not isinstance(model, nn.Module):
        raise Problem(f"model is a {type(model).__name__}; give a torch.nn.Module, for example models.mlp().")
    return sum(parameter.numel() for parameter in model.parameters())


def _sizes(sample_shape: object, axes: int | None = None) -> tuple[int, ...]:
    if not isinstance(sample_shape, tuple | list) or not sample_shape or axes not in (None, len(sample_shape)):
        wanted = f"{axes} sizes" if axes else "at least one size"
        raise Problem(
            f"sample_shape is {sample_shape!r}; give a tuple with {wanted} and no batch axis, for example (1, 28, 28)."
        )
    return tuple(whole_number("each size in sample_shape", size, 1) for size in sample_shape)
