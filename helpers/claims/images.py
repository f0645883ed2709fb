"""B1 to B4: what an image is as a tensor, in which order its axes stand, and what its structure is worth."""

import numpy as np
import torch
from torch import nn

from helpers import data, models, recorded
from helpers.claims.records import Case, Claim, Figure, Measured
from helpers.claims.tools import digits, off, seeded, taken

_DOCS = "https://docs.pytorch.org"
_SWEEP = "stored sweep"


def measure_b1() -> Measured:
    """What a fixed order of the pixels costs: stored trainings; and an MLP whose weights are put in that order too."""
    table = recorded.permutations()["digits"]
    lost, fell, runs = {}, {}, {}
    for network, rows in table.items():
        plain, *mixed = rows.values()
        lost[network] = [sum(plain) / len(plain) - sum(row) / len(row) for row in mixed]
        pairs = [(before, after) for row in mixed for before, after in zip(plain, row, strict=True)]
        fell[network], runs[network] = sum(after < before for before, after in pairs), len(pairs)
    sure = {network: fell[network] >= 0.9 * runs[network] for network in table}
    images, order = digits()[0][:64].flatten(1), torch.randperm(784, generator=torch.Generator().manual_seed(0))
    first = seeded(models.mlp)[1]
    with torch.no_grad():
        apart = off(first(images), images[:, order] @ first.weight[:, order].T + first.bias)
    few, of = fell["MLP"], runs["MLP"]
    low, high = min(lost["CNN, global max"]), max(lost["CNN, global mean"])
    return Measured(
        f"mixed pixels: global pooling loses {low:.0f} to {high:.0f} points, an MLP falls in {few} of {of} (stored)",
        (
            *(
                Figure(f"points that {name} loses, {which.__name__}", which(values), "points", _SWEEP)
                for name, values in lost.items()
                for which in (min, max)
            ),
            *(Figure(f"trainings in which {name} fell", fell[name], f"of {runs[name]}", _SWEEP) for name in fell),
            Figure("MLP, pixels and weights in one order, largest difference", apart),
        ),
        (
            Case("a global maximum behind convolutions: worse in nine of ten", sure["CNN, global max"]),
            Case("a global mean behind convolutions: worse in nine of ten", sure["CNN, global mean"]),
            Case("an MLP: worse in nine of ten", sure["MLP"], meant=False),
            Case("one convolution and Flatten: worse in nine of ten", sure["small CNN, Flatten"], meant=False),
            Case("an MLP cannot undo the order", apart > 1e-4, meant=False),
        ),
    )


def measure_b2() -> Measured:
    """Type and range of a grey image, scaled and not; a sum in uint8."""
    image = data.digits().images[0]
    added = (torch.tensor([200], dtype=torch.uint8) + torch.tensor([100], dtype=torch.uint8)).item()
    scaled, forgotten = (image.float() / 255).max().item(), image.float().max().item()
    return Measured(
        f"0 to {image.max()} in uint8; / 255: up to {scaled:.0f}; float() alone: up to {forgotten:.0f}; "
        f"200 + 100 = {added}",
        (
            Figure("largest value of a digit, uint8", image.max().item()),
            Figure("largest value / 255", scaled),
            Figure("largest value of float() alone", forgotten),
            Figure("200 + 100 in uint8", added),
        ),
        (
            Case("(1, 28, 28) of uint8, from 0", image.shape == (1, 28, 28) and image.dtype == torch.uint8),
            Case("scaled, it is in 0..1", scaled <= 1),
            Case("float() alone is in 0..1", forgotten <= 1, meant=False),
            Case("a sum of two pixels is right in uint8", added == 300, meant=False),
        ),
    )


def measure_b3() -> Measured:
    """The blue backdrop of a photograph, plane by plane, in the order RGB and read as BGR."""
    found = data.colours()
    sky = found.images[found.labels == found.classes.index("backdrop")].float().mean((0, 2, 3))
    red, green, blue = (round(value) for value in sky.tolist())
    again = torch.equal(torch.stack(list(found.images[0])), found.images[0])
    return Measured(
        f"blue backdrop: red {red}, green {green}, blue {blue}; read as BGR its red would be {blue}",
        (Figure("red of the backdrop", red), Figure("green of the backdrop", green), Figure("blue of it", blue)),
        (
            Case("(3, 32, 32): three planes, and stacked the image again", again and found.images[0].shape[0] == 3),
            Case("source in RGB: what is blue is largest in the last plane", sky.argmax().item() == 2),
            Case("source in BGR, read as RGB: the same", sky.flip(0).argmax().item() == 2, meant=False),
        ),
    )


def measure_b4() -> Measured:
    """Which order of axes convolutions and `imshow` take, and whether `np.transpose` leads from one to the other."""
    from matplotlib.figure import Figure as Sheet
    from PIL import Image

    photo = np.array(Image.open(data.photograph_path()))
    img, conv = np.transpose(photo, (2, 0, 1)), nn.Conv2d(3, 4, 3)
    batch = torch.rand(2, 3, 8, 9)
    takes = {
        "conv, NCHW": taken(lambda: conv(batch)),
        "conv, NHWC": taken(lambda: conv(batch.permute(0, 2, 3, 1))),
        "imshow, HWC": taken(lambda: Sheet().subplots().imshow(photo)),
        "imshow, CHW": taken(lambda: Sheet().subplots().imshow(img)),
    }
    back = np.transpose(img, (1, 2, 0))
    moved = 0 if np.shares_memory(back, photo) else photo.size
    last = batch.to(memory_format=torch.channels_last)
    return Measured(
        f"imshow takes {back.shape}, not {img.shape}; np.transpose moves {moved} numbers",
        (
            Figure("numbers that np.transpose moves", moved),
            Figure("orders that a convolution takes, of NCHW and NHWC", takes["conv, NCHW"] + takes["conv, NHWC"]),
            Figure("orders that imshow takes, of HWC and CHW", takes["imshow, HWC"] + takes["imshow, CHW"]),
        ),
        (
            Case("a convolution takes NCHW and refuses NHWC", takes["conv, NCHW"] and not takes["conv, NHWC"]),
            Case("imshow takes HWC and refuses CHW", takes["imshow, HWC"] and not takes["imshow, CHW"]),
            Case("np.transpose(img, (1, 2, 0)) gives the photograph again", np.array_equal(back, photo)),
            Case("in channels_last the shape stays NCHW", last.shape == batch.shape),
        ),
    )


CLAIMS = (
    Claim(
        "B1",
        ("06",),
        "tables are samples x features; images keep spatial structure",
        "holds if the network uses the structure",
        (
            (
                "PyTorch: AdaptiveMaxPool2d",
                f"{_DOCS}/docs/stable/generated/torch.nn.AdaptiveMaxPool2d.html",
            ),
        ),
        measure_b1,
    ),
    Claim(
        "B2",
        ("03",),
        "grey image: one channel, 0 black to 255 white, (1, 28, 28), uint8 becomes float32 in 0..1",
        "holds if you scale",
        (
            (
                "torchvision: ToDtype",
                f"{_DOCS}/vision/stable/generated/torchvision.transforms.v2.ToDtype.html",
            ),
        ),
        measure_b2,
        "grey image: (1, 28, 28), 0 black to 255 white, uint8 becomes float32 in 0..1",
    ),
    Claim(
        "B3",
        ("03",),
        "colour image: 3 channels RGB, (3, 32, 32)",
        "holds if the source is RGB",
        (("OpenCV: reading images", "https://docs.opencv.org/4.x/d4/da8/group__imgcodecs.html"),),
        measure_b3,
    ),
    Claim(
        "B4",
        ("03", "04"),
        "PyTorch wants NCHW, Matplotlib, NumPy and OpenCV want HWC; use `np.transpose(img, (1, 2, 0))` before `imshow`",
        "holds for the order of axes",
        (
            ("PyTorch: Conv2d", f"{_DOCS}/docs/stable/generated/torch.nn.Conv2d.html"),
            ("Matplotlib: imshow", "https://matplotlib.org/stable/api/_as_gen/matplotlib.pyplot.imshow.html"),
            ("PyTorch: Tensor Views", f"{_DOCS}/docs/stable/tensor_view.html"),
            (
                "PyTorch: Channels Last Memory Format",
                f"{_DOCS}/tutorials/intermediate/memory_format_tutorial.html",
            ),
        ),
        measure_b4,
        "PyTorch wants NCHW, imshow HWC; np.transpose(img, (1, 2, 0)) leads there",
        "holds",
    ),
)
