"""A3 to A7: what a batch buys, preprocessing, the mean loss, and the recipe for one image."""

import io
import pickle

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers import data, models, recorded
from helpers.claims.records import Case, Claim, Figure, Measured
from helpers.claims.tools import RECORDED, accuracy, bounded, colours, digits, fastest, off, seeded, taken


def measure_a3() -> Measured:
    """Samples per second against B = 1, on one CPU thread now and on a GPU as it was recorded."""
    images, _ = digits()
    gain, mlp = {}, models.mlp()
    with torch.no_grad():
        for name, net in (("MLP", mlp), ("CNN", models.cnn())):
            one, many = fastest(lambda net=net: net(images[:1]), lambda net=net: net(images[:256]))
            gain[name] = 256 * one / many
        half, full = fastest(lambda: mlp(images[:512]), lambda: mlp(images[:1024]))
        empty = nn.Sequential(nn.Flatten(), nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1))
        fixed, whole = fastest(lambda: empty(images[:1, :, :1, :1]), lambda: mlp(images[:1]))
    rate = {int(row["B"]): float(row["forward samples/s"]) for row in recorded.rows("speed")}
    most = rate[32768] / rate[1]
    return Measured(
        f"one CPU thread: x {gain['MLP']:.0f} at B = 256 (MLP); H100, recorded: x {most:,.0f} at 32,768",
        (
            Figure("gain at B = 256, MLP, one CPU thread", gain["MLP"], "times"),
            Figure("gain at B = 256, CNN, one CPU thread", gain["CNN"], "times"),
            Figure("time at B = 1,024 over that at 512, MLP", full / half, "times"),
            Figure("share of one image's time that calls cost, MLP", fixed / whole),
            Figure("gain at B = 32,768", most, "times", RECORDED),
        ),
        (
            Case("a GPU with thousands of cores gains more than 100 times", most > 100),
            Case("one CPU thread, without parallel cores, gains nothing", gain["MLP"] < 1.5),
        ),
    )


def measure_a4() -> Measured:
    """One copy against a copy for each sample."""

    def gain(*shape: int) -> float:
        source, target = torch.rand(shape), torch.empty(shape)

        def piece_by_piece() -> None:
            for there, here in zip(target, source, strict=True):
                there.copy_(here)

        many, once = fastest(piece_by_piece, lambda: target.copy_(source))
        return many / once

    small, large = gain(1024, 1, 28, 28), gain(32, 3, 224, 224)
    cost = {int(row["B"]): float(row["copy us/sample"]) for row in recorded.rows("speed")}
    return Measured(
        f"digits x {small:.0f}, photos x {large:.1f}; H100, recorded: {cost[1]:.1f} µs alone, {cost[512]:.1f} of 512",
        (
            Figure("gain of one copy, 1,024 digits", small, "times"),
            Figure("gain of one copy, 32 photographs", large, "times"),
            Figure("copy of one digit alone", cost[1], "µs", RECORDED),
            Figure("copy of one digit in a batch of 512", cost[512], "µs a digit", RECORDED),
        ),
        (
            Case("small pieces, CPU: at least twice as fast", small > 2),
            Case("small pieces, H100: at least twice as fast", cost[1] > 2 * cost[512]),
            Case("large pieces, CPU: at least twice as fast", large > 2, meant=False),
        ),
    )


def measure_a5() -> Measured:
    """The same preprocessing for a batch and in a loop; what a random transform draws; images of two sizes."""
    from torchvision.transforms import v2

    images = colours()[0][:128]
    mean, std = images.mean((0, 2, 3), keepdim=True), images.std((0, 2, 3), keepdim=True)

    def prepare(batch: Tensor) -> Tensor:
        return (v2.functional.center_crop(v2.functional.resize(batch, [24, 24]), [16, 16]) - mean) / std

    def loop() -> Tensor:
        return torch.cat([prepare(images[i : i + 1]) for i in range(len(images))])

    apart = off(prepare(images), loop())
    one_by_one, together = fastest(loop, lambda: prepare(images), rounds=2)
    quicker = one_by_one / together
    copies = images[:1].repeat(16, 1, 1, 1)
    drawn = [v2.RandomRotation(45)(copies) for _ in range(3)]
    own = not all(torch.equal(out, out[:1].expand_as(out)) for out in drawn)
    stacked = taken(lambda: torch.stack([images[0], images[0, :, :24, :24]]))
    return Measured(
        f"same numbers, x {quicker:.0f} as fast as the loop; a random rotation turns all by one angle",
        (
            Figure("batch against loop, largest difference", apart),
            Figure("time of the loop over that of the batch", quicker, "times"),
        ),
        (
            Case("resize, crop, normalise: the same numbers", apart < 1e-5),
            Case("resize, crop, normalise: more than 1.5 times as fast", quicker > 1.5),
            Case("a random rotation draws for each image", own, meant=False),
            Case("images of two sizes make a batch", stacked, meant=False),
        ),
    )


def measure_a6() -> Measured:
    """Losses and gradients of single images against those of the batch, in float64."""
    images, labels = digits()
    x, y = images[:32].double(), labels[:32]
    plain = seeded(models.cnn).double()
    norm = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 26 * 26, 10)).double()
    each, weight = F.cross_entropy(plain(x), y, reduction="none"), torch.arange(1.0, 11.0).double()
    mean = abs(each.mean() - F.cross_entropy(plain(x), y)).item()
    weighted = F.cross_entropy(plain(x), y, weight)
    of_each = F.cross_entropy(plain(x), y, weight, reduction="none").mean()
    alone, mixed = _gradient_error(plain, x, y), _gradient_error(norm, x, y)
    with_weights = abs(of_each / weighted - 1).item()
    return Measured(
        f"mean of 32 gradients: off by {bounded(alone, 1e-12)}; with BatchNorm by {mixed:.1f}",
        (
            Figure("loss of the batch against the mean of its images' losses", mean),
            Figure("relative error of the mean of the images' gradients", alone),
            Figure("the same with BatchNorm in train mode", mixed),
            Figure("mean of the losses, relative error with class weights", with_weights),
        ),
        (
            Case("the loss is the mean of the images' losses", mean < 1e-12),
            Case("the gradient is the mean of the images' gradients", alone < 1e-12),
            Case("the loss with class weights is that mean", with_weights < 1e-12, meant=False),
            Case("the gradient with BatchNorm is that mean", mixed < 1e-12, meant=False),
        ),
    )


def _gradient_error(model: nn.Module, x: Tensor, y: Tensor) -> float:
    weights = list(model.parameters())

    def gradient(rows: slice) -> Tensor:
        found = torch.autograd.grad(F.cross_entropy(model(x[rows]), y[rows]), weights)
        return torch.cat([one.flatten() for one in found])

    whole = gradient(slice(None))
    mean = torch.stack([gradient(slice(i, i + 1)) for i in range(len(x))]).mean(0)
    return ((mean - whole).norm() / whole.norm()).item()


def measure_a7() -> Measured:
    """Train, save, load, predict from pictures; the whole model as a file, and a photograph."""
    from PIL import Image
    from torchvision.transforms import ToTensor

    torch.manual_seed(0)
    model, loaded = _digit_net(), _digit_net()
    accuracy(model, digits, epochs=5)
    loaded.load_state_dict(torch.load(_stored(model.state_dict())))
    loaded.eval()
    test, labels = data.digits(train=False).images[:100], digits(False)[1][:100]
    with torch.no_grad():
        pictures = [ToTensor()(Image.fromarray(image[0].numpy())).unsqueeze(0) for image in test]
        right = sum(loaded(one).argmax(1).item() == label for one, label in zip(pictures, labels, strict=True))
    photo = ToTensor()(Image.open(data.photograph_path())).unsqueeze(0)
    try:
        torch.load(_stored(model))
        whole = True
    except pickle.UnpicklingError:
        whole = False
    return Measured(
        f"{right} of 100 digits right; the file of a whole model is refused today",
        (Figure("digits right", right, "of 100"),),
        (
            Case("a digit, from a picture: 85 of 100 right or more", right >= 85),
            Case("torch.load takes a whole model, as the recipe has it", whole, meant=False),
            Case("a photograph goes through as it is", taken(lambda: loaded(photo)), meant=False),
        ),
    )


def _digit_net() -> nn.Sequential:
    block = (nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(*block, nn.Flatten(), nn.Dropout(0.25), nn.Linear(1568, 10))


def _stored(thing: object) -> io.BytesIO:
    file = io.BytesIO()
    torch.save(thing, file)
    file.seek(0)
    return file


CLAIMS = (
    Claim(
        "A3",
        ("02",),
        "batching uses the hardware's parallelism",
        "imprecise: one CPU thread gains too",
        (
            (
                "NVIDIA: GPU background",
                "https://docs.nvidia.com/deeplearning/performance/dl-performance-gpu-background/index.html",
            ),
        ),
        measure_a3,
        verdict="imprecise",
    ),
    Claim(
        "A4",
        ("02",),
        "one bulk transfer beats many small ones",
        "holds if the pieces are small",
        (
            (
                "PyTorch: pin_memory and non_blocking",
                "https://docs.pytorch.org/tutorials/intermediate/pinmem_nonblock.html",
            ),
        ),
        measure_a4,
    ),
    Claim(
        "A5",
        ("02",),
        "preprocessing applies to the whole batch without a loop over samples",
        "holds if sizes are equal and the transform is fixed",
        (("torchvision: transforms", "https://docs.pytorch.org/vision/stable/transforms.html"),),
        measure_a5,
    ),
    Claim(
        "A6",
        ("02",),
        "losses and optimizers are made for batches: the mean over the batch comes for free",
        "holds if there are no class weights (the gradient: and independent rows)",
        (
            (
                "PyTorch: CrossEntropyLoss",
                "https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html",
            ),
        ),
        measure_a6,
        "losses are made for batches: the mean over the batch comes for free",
    ),
    Claim(
        "A7",
        ("02",),
        "the recipe: open image, ToTensor, `unsqueeze(0)`, load model, `eval()`, `no_grad()`, `argmax(1)`",
        "holds if you load a `state_dict`, and the image is of the kind trained on, prepared alike",
        (
            (
                "PyTorch: saving and loading",
                "https://docs.pytorch.org/tutorials/beginner/saving_loading_models.html",
            ),
        ),
        measure_a7,
        "the recipe: open, ToTensor, unsqueeze(0), load, eval, no_grad, argmax(1)",
    ),
)
