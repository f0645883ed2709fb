"""Wrong answers that are no slips: they crash, or are a little wrong, or need a coach. Part of the message: answer.

The slips, which most wrong answers are, stand with their exercise in `helpers.check`.
"""

from math import prod

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms import ToTensor

from helpers import models
from helpers.capstone import Design


def four_names(shape, bytes_per_number):
    b, c, h, w = shape
    return b * c * h * w * bytes_per_number


def four_axes(index, strides):
    n, c, h, w = index
    a, b, d, e = strides
    return n * a + c * b + h * d + w * e


def pooled(channels, classes):
    """One convolution, the mean of each map, a Linear."""
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes)
    )


def two_sizes(*shape):
    height, width = shape
    return height * width


def used_up(losses, sizes):
    total, count = 0.0, sum(sizes)
    while losses:
        total += losses.pop() * sizes.pop()
    return total / count


def alone(model, batch, rows=None):
    return [model(batch[i : i + 1]) for i in range(rows or len(batch))]


def agree(one, other):
    with torch.no_grad():
        return torch.allclose(one, torch.cat(other), atol=1e-5)


def lazily(layers, shape):
    whole = nn.Sequential(*layers, nn.LazyLinear(10))
    whole(torch.zeros(1, *shape))
    return whole[-1].in_features


def swapped_in_place(picture):
    picture[..., [0, 2]] = picture[..., [2, 0]]
    return picture


def blackened_in_place(image, top, left, size):
    image[:, top : top + size, left : left + size] = 0
    return image


def written_and_looked(a, b):
    before = b.clone()
    a += 1
    return not torch.equal(before, b)


def trained(model, optimizer, images, labels, order="backward step zero_grad", leave_out=""):
    loss = F.cross_entropy(model(images), labels)
    for line in order.split():
        if line != leave_out:
            getattr(loss if line == "backward" else optimizer, line)()
    return loss.item()


def from_loader(model, optimizer, images, labels):
    for x, y in DataLoader(TensorDataset(torch.rand(8, 1, 28, 28), torch.zeros(8, dtype=torch.int64)), batch_size=4):
        loss = trained(model, optimizer, x, y)
    return loss


def for_no_batch(model, optimizer, images, labels):
    for x, y in zip(images[:0], labels[:0], strict=True):
        loss = trained(model, optimizer, x, y)
    return loss


def logits(model, image):
    with torch.no_grad():
        return model.eval()(image.float() / 255)


def switched_off(model, image):
    torch.set_grad_enabled(False)
    return logits(model, image[None]).argmax(1).item()


def channels_first(photo):
    return torch.tensor(photo).permute(2, 0, 1)


def mlp(inputs, hidden, classes, **settings):
    return [nn.Flatten(), nn.Linear(inputs, hidden, **settings), nn.ReLU(), nn.Linear(hidden, classes)]


class Around(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.inner = nn.Sequential(*layers)

    def forward(self, x):
        return self.inner(x)


class Turned(Around):
    def forward(self, x):
        return self.inner(x.flatten())


def three_sizes(sizes):
    inputs, hidden, classes = sizes
    parameters = inputs * hidden + hidden + hidden * classes + classes
    return -(-16 * parameters // (4 * sum(sizes) + 8))


def by_images(losses, batches):
    """Mean losses of batches as the mean of their images."""
    sizes = [len(labels) for _, labels in batches]
    return sum(loss * size for loss, size in zip(losses, sizes, strict=True)) / sum(sizes)


def mean(model, batches):
    model.eval()
    return by_images([F.cross_entropy(model(images), labels) for images, labels in batches], batches)


def frozen(model, batches):
    return mean(model.requires_grad_(False), batches).item()


def trains_along(model, batches):
    losses = []
    for images, labels in batches:
        losses.append(F.cross_entropy(model.eval()(images), labels))
        losses[-1].backward()
    return by_images([loss.item() for loss in losses], batches)


def keeps_logits(model, batches):
    model.eval()
    with torch.no_grad():
        outputs = [model[:-1](x).repeat(1, 4) for x, _ in batches]
        losses = [F.cross_entropy(model[-1](h[:, :64]), y).item() for h, (_, y) in zip(outputs, batches, strict=True)]
    return by_images(losses, batches)


def all_at_once(model, batches):
    model.eval()
    images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    with torch.no_grad():
        return F.cross_entropy(model(images), labels).item()


def in_parts(model, images, labels, size, at_once=False, frozen=False):
    if frozen:
        model[0].requires_grad_(False)
    parts = zip(images.split(size), labels.split(size), strict=True)
    losses = [F.cross_entropy(model(x), y) * len(y) / len(images) for x, y in parts]
    (F.cross_entropy(model(images), labels) if at_once else sum(losses)).backward()
    return model[-1].weight.grad


WRONG = {
    "photo_bytes": {"-5 is not it": -5},
    "to_mib": {
        "expected a Python number": lambda n_bytes: f"{n_bytes / 2**20} MiB",
        "returned nothing": lambda n_bytes: print(end=""),
        "a power is written **": lambda n_bytes: n_bytes / 2 ^ 20,
        "without // or int()": lambda n_bytes: int(n_bytes / 2**20),
        "changed the default dtype for everything": lambda n_bytes: torch.set_default_dtype(torch.float64),
    },
    "bytes_of": {"stopped in its line 'b, c, h, w = shape' with ValueError": four_names},
    "odd_entry": {"got 2 numbers, expected 3": (3, 28), "3, 28, 3) is not it. entry is right. height": (3, 28, 3)},
    "to_batch": {
        "RuntimeError: view size": lambda image: image.view(-1).view(1, *image.shape),
        "returned NumPy array of shape (1, 3, 32, 32), expected a torch tensor": lambda image: np.asarray(image)[None],
        "the dtype is float32, expected uint8": lambda image: image[None].float(),
    },
    "grey_batch": {"the channel axis is missing": torch.stack},  # two mistakes: the shape is named first
    "rows_independent": {
        "batch[i : i + 1] keeps it": lambda model, batch: agree(model(batch), [model(image) for image in batch]),
        "Compare the values": lambda model, batch: model(batch).shape[0] == len(batch),
        "came back in another mode": lambda model, batch: agree(model.eval()(batch), alone(model, batch)),
        "torch.stack adds one": lambda model, batch: bool((model(batch) == torch.stack(alone(model, batch))).all()),
        "use len(batch)": lambda model, batch: agree(model(batch), alone(model, batch, rows=8)),
    },
    "normalise": {
        "with RuntimeError": lambda batch, mean, std: (batch - mean.view(-1, 1, 1, 1)) / std.view(-1, 1, 1, 1),
        "changed the tensor of shape (4, 3, 6, 3) that it was given": lambda batch, mean, std: batch.sub_(
            mean.view(1, -1, 1, 1)
        ).div_(std.view(1, -1, 1, 1)),
        "returned list, expected a torch tensor": lambda batch, mean, std: list(batch),
        "got shape (3, 6, 3), expected (4, 3, 6, 3)": lambda batch, mean, std: batch[0],
        "use what reshape returns": lambda batch, mean, std: (mean.reshape(1, -1, 1, 1), (batch - mean) / std)[1],
        "std lines up with the width": lambda batch, mean, std: (batch - mean.view(1, -1, 1, 1)) / std,
        "not always 3": lambda batch, mean, std: (batch - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1),
    },
    "dataset_mean": {
        "take pairs with zip": lambda losses, sizes: losses * sizes / sum(sizes),
        "changed the list that it was given": used_up,
        "a loop in a loop": lambda losses, sizes: sum(a * b for a in losses for b in sizes) / sum(sizes),
        ".item() makes a Python float": lambda losses, sizes: torch.tensor(losses).mean(),
    },
    "train_step": {
        "write no for": from_loader,
        "no for: images and labels": lambda model, optimizer, images, labels: [x for x, y in images],
        "images and labels are one batch": for_no_batch,
        "the old gradients are still in .grad": lambda *given: trained(*given, leave_out="zero_grad"),
        "but no weight moved": lambda *given: trained(*given, leave_out="backward"),
        "The order is backward(), step(), zero_grad()": lambda *given: trained(*given, leave_out="step"),
        "without backward() before it": lambda *given: trained(*given, order="backward zero_grad step"),
        "step() has no gradient": lambda *given: trained(*given, order="zero_grad step backward"),
        "the weights went elsewhere": lambda *given: trained(*given, order="backward step step zero_grad"),
        ".item() makes a Python float": lambda model, optimizer, images, labels: F.cross_entropy(model(images), labels),
        "takes the logits first": lambda model, optimizer, images, labels: F.cross_entropy(labels, model(images)),
        "not the images": lambda model, optimizer, images, labels: F.cross_entropy(images, labels).item(),
        "leave torch.no_grad() out": lambda model, optimizer, images, labels: F.cross_entropy(
            model(images).detach(), labels
        ).backward(),
        "call .item() at the end only": lambda model, optimizer, images, labels: (
            F.cross_entropy(model(images), labels).item().backward()
        ),
        "changed the tensor of shape (8, 1, 2, 3) that it was given": lambda *given: trained(
            *given[:2], given[2].mul_(2), given[3]
        ),
    },
    "predict_one": {
        "The image is a tensor already": lambda model, image: model(ToTensor()(image).unsqueeze(0)).argmax(1).item(),
        "argmax(0) compares rows and gives ten": lambda model, image: logits(model, image[None]).argmax(0).item(),
        "and there is one": lambda model, image: logits(model, image[None]).argmax(0)[0],
        "one axis too many": lambda model, image: logits(model, image[None, None]).argmax(1).item(),
        "Which step adds the batch axis?": lambda model, image: logits(model, image).argmax(1).item(),
        "Divide by 255": lambda model, image: logits(model, 255 * image[None].float()).argmax(1).item(),
        "the pixels must become float32": lambda model, image: model(image[None]).argmax(1).item(),
        "dropout threw numbers away": lambda model, image: model(image[None].float() / 255).argmax(1).item(),
        "with torch.no_grad()": lambda model, image: model.eval()(image[None].float() / 255).argmax(1).item(),
        "never called the model": lambda model, image: 3,
        "Use with torch.no_grad():": switched_off,
        "dividing by 255 gives": lambda model, image: logits(model, image[None] * 255 / 256).argmax(1).item(),
        "argmax gives its place": lambda model, image: logits(model, image[None]).max().item(),
        ".item() makes a Python int": lambda model, image: logits(model, image[None]).argmax(),
    },
    "to_display": {
        "the new order of all three axes": lambda image: np.transpose(image.numpy(), (1, 0)),
        "it is still a tensor": lambda image: np.transpose(image, (1, 2, 0)),
        "np.transpose and permute take the order of all": lambda image: image.transpose(1, 2, 0),
    },
    "to_model": {
        "torch.from_numpy makes a tensor": lambda photo: (np.transpose(photo, (2, 0, 1)) / 255).astype(np.float32),
        "a method of tensors": lambda photo: photo.permute(2, 0, 1),
        "the dtype is float16, expected float32": lambda photo: channels_first(photo).half() / 255,
    },
    "bgr_to_rgb": {
        "changed the NumPy array": swapped_in_place,
        "torch.from_numpy refuses this array": lambda picture: picture[..., ::-1],
        ".copy() at the end": lambda picture: np.flip(picture, 2),
        "expected a NumPy array": lambda picture: torch.from_numpy(picture[..., ::-1].copy()),
    },
    "brighten": {
        "changed the tensor": lambda image, more: image.add_(torch.tensor(more).to(torch.uint8)),
        ".clamp works on every number": lambda image, more: min(image.int() + more, 255),
        "got shape": lambda image, more: (image.int() + more).clamp(max=255).to(torch.uint8).squeeze(),
        "wrapped around": lambda image, more: (image + torch.tensor(more).to(torch.uint8)).clamp(max=255),
    },
    "denormalise": {
        "C on axis 1 of four": lambda batch, mean, std: batch * std.view(-1, 1, 1, 1) + mean.view(-1, 1, 1, 1),
    },
    "cut_out": {
        "changed the tensor": blackened_in_place,
        "A tensor copies itself with clone()": lambda image, top, left, size: blackened_in_place(image.copy(), 0, 0, 1),
        "returned NumPy array": lambda image, *where: blackened_in_place(image.clone(), *where).numpy(),
        "the dtype is float32": lambda image, *where: blackened_in_place(image.float(), *where),
        "an assignment to x[...]": lambda image, *where: blackened_in_place(image[:], *where),
        "got shape (1, 3, 12, 12)": lambda image, *where: blackened_in_place(image.clone(), *where)[None],
    },
    "offset_of": {
        "not enough values to unpack": four_axes,
        "then add the products up": lambda index, strides: [p * s for p, s in zip(index, strides, strict=True)],
    },
    "strides_of": {
        "tuple(...) makes a tuple of it": lambda shape: [prod(shape[n + 1 :]) for n in range(len(shape))],
        "not enough values to unpack": lambda shape: (lambda b, c, h, w: (c * h * w, h * w, w, 1))(*shape),
        "got (60, 60, 60, 60)": lambda shape: (prod(shape[1:]),) * len(shape),
        "returned int 120": lambda shape: prod(shape),
    },
    "shares_memory": {
        "changed the tensor": written_and_looked,
        "equal numbers may lie in two places": lambda a, b: bool((a == b).all()),
        "expected True or False": lambda a, b: a.untyped_storage(),
        "without being one object": lambda a, b: a._base is b,
        "Shapes do not tell it": lambda a, b: a.dtype == b.dtype,
        "two slices that read no place in common": lambda a, b: bool(np.may_share_memory(a, b)),
        "got False, expected True": lambda a, b: 0 <= b.data_ptr() - a.data_ptr() < a.nbytes,
    },
    "flatten_batch": {
        "reshape copies where it must": lambda x: x.view(len(x), -1),
        "len(x) is B, and -1 lets PyTorch work the features out": lambda x: x.reshape(32, 784),
        "x.reshape(len(x), -1) asks each batch": lambda x: x.reshape(64, -1),  # 64, or len(digits), as in the lesson
        "makes a layer and calls nothing": lambda x: nn.Flatten(),
        "x may have any number of axes": lambda x: x.reshape(len(x), x.shape[1] * x.shape[2] * x.shape[3:][0]),
        "expected (5, 144)": lambda x: x.reshape(-1, x.shape[-1]) if len(x) != 32 else x.flatten(1),
    },
    "mlp_parameters": {"two numbers or more": lambda sizes: (lambda a, b, c: a * b + b + b * c + c)(*sizes)},
    "inputs_needed": {
        "layers may be any module": lambda layers, shape: layers.out_channels * shape[1] * shape[2],
        "1568 fits one model": lambda layers, shape: layers[0].out_channels * (shape[1] // 2) * (shape[2] // 2),
        "A star is missing": lambda layers, shape: layers(torch.zeros(1, shape)).numel(),
        "want a tensor, not a shape": lambda layers, shape: layers(shape).numel(),
        "torch.zeros(1, *sample_shape)": lambda layers, shape: layers(torch.zeros(shape)).numel(),
        "that is the last axis only": lambda layers, shape: lazily(layers, shape),
        "Linear wants a Python int": lambda layers, shape: torch.tensor(layers(torch.zeros(1, *shape)).numel()),
    },
    "build_mlp": {
        "No Flatten joins the axes": lambda shape, *sizes: nn.Sequential(*mlp(prod(shape), *sizes)[1:]),
        "needs in_features = 3072 here": lambda shape, *sizes: nn.Sequential(*mlp(784, *sizes)),
        "parameters, expected": lambda shape, hidden, classes: nn.Sequential(*mlp(prod(shape), 128, classes)),
        "expected shape (2, 3)": lambda shape, hidden, classes: nn.Sequential(*mlp(prod(shape), hidden, 10)),
        "no ReLU between": lambda shape, *sizes: nn.Sequential(*mlp(prod(shape), *sizes)[:2], mlp(1, *sizes)[3]),
        "the last layer is Softmax": lambda shape, *sizes: nn.Sequential(*mlp(prod(shape), *sizes), nn.Softmax(1)),
        "A bias is missing": lambda shape, *sizes: nn.Sequential(*mlp(prod(shape), *sizes, bias=False)),
        "Flatten must start at axis 1": lambda shape, *sizes: nn.Sequential(
            nn.Flatten(0), *mlp(prod(shape), *sizes)[1:]
        ),
        "ReLU stands before": lambda shape, *sizes: nn.Sequential(
            nn.Flatten(), nn.ReLU(), nn.Linear(prod(shape), sizes[0]), nn.Tanh(), nn.Linear(*sizes)
        ),
        "the layers are Flatten, Linear, Sigmoid, Linear": lambda shape, *sizes: nn.Sequential(
            *mlp(prod(shape), *sizes)[:2], nn.Sigmoid(), nn.Linear(*sizes)
        ),
        "the layers are Flatten, Linear, ReLU, Dropout, Linear": lambda shape, *sizes: nn.Sequential(
            *mlp(prod(shape), *sizes)[:3], nn.Dropout(0), nn.Linear(*sizes)
        ),
        "Put the four layers into an nn.Sequential": lambda shape, *sizes: Around(*mlp(prod(shape), *sizes)),
        "LazyLinear waits for a batch": lambda shape, hidden, classes: nn.Sequential(
            nn.Flatten(), nn.LazyLinear(hidden), nn.ReLU(), nn.LazyLinear(classes)
        ),
        "a batch of 2 fails with RuntimeError": lambda shape, *sizes: nn.Sequential(*mlp(1 + prod(shape), *sizes)),
        "in its line 'return self.inner(x.flatten())'": lambda shape, *sizes: Turned(*mlp(prod(shape), *sizes)),
        "returned list, expected a model": lambda shape, *sizes: mlp(prod(shape), *sizes),
        "math.prod multiplies": lambda shape, *sizes: nn.Sequential(*mlp(shape[0] * shape[1] * shape[2], *sizes)),
    },
    "takes_any_batch": {
        "catch it with try": lambda layer, features: all(len(layer(torch.rand(b, features))) == b for b in (1, 2, 3)),
    },
    "class_of_each": {
        "there is no axis 1 any more": lambda model, batch: model(batch).squeeze().argmax(1),
        "no batch axis": lambda model, batch: torch.stack([model(image).argmax() for image in batch]),
        "is for one number": lambda model, batch: model(batch).argmax(1).item(),
        "do not write sizes into your code": lambda model, batch: model(batch.reshape(10, -1)).view(10, 10).argmax(1),
    },
    "more_than_chance": {
        "zip(before, after) gives the pairs": lambda before, after: sum(before > after) >= 0.9 * len(before),
        "Lists have no minus": lambda before, after: sum(change < 0 for change in before - after) > 8,
        "expected True or False": lambda before, after: "True",
        "With fewer than ten seeds": lambda before, after: True,
        "expected True.": lambda before, after: False,
    },
    "model_bytes": {
        "a tensor has nbytes": lambda model: model.nbytes,
        "returned tensor of shape (2,), expected a Python number": lambda model: torch.tensor([3, 4]),
        "model_bytes(model of Flatten, Linear, ReLU, Linear): got 7": lambda model: 7,
    },
    "fixed_bytes": {
        "in lower case": lambda parameters, trainable, optimizer: (
            4 * parameters + trainable * {"sgd": 4, "momentum": 8, "Adam": 12}[optimizer]
        ),
        "The names are": lambda parameters, trainable, optimizer: (
            4 * parameters + trainable * {"SGD": 4, "Momentum": 8, "Adam": 12}[optimizer]
        ),
        "Every way through it needs a return": lambda parameters, trainable, optimizer: (
            4 * parameters + 4 * trainable * (1 if optimizer == "sgd" else 3) if optimizer != "momentum" else None
        ),
    },
    "crossover_batch": {
        "still empty. Write the sums out": lambda sizes: 16 * ...,
        "more sizes than three, or fewer": three_sizes,
    },
    "oom_numbers": {
        "(1, 2) is not it": (1, 2),
        "context is right. Each": (256, 3),
        "got 1 number, expected 2": 256,
        "missing is still empty": (256, ...),
        "context, missing is still empty": (..., None),
    },
    "largest_batch": {
        "Divide by the difference of the two batch sizes": lambda capacity, first, second: capacity / (first[0] * 0),
        "stopped": lambda capacity, first, second: capacity[0],
    },
    "peak_after": {
        "A phase without a saving": lambda peaks, saved: max(size - saved[name] for name, size in peaks.items()),
        "stopped": lambda peaks, saved: peaks.forward,
    },
    "gradient_in_parts": {
        "the gradient is right, but the peak is": in_parts,  # all graphs live until one backward()
        "with micro-batches": lambda *given: in_parts(*given, at_once=True),
        "some parameters have none": lambda *given: in_parts(*given, frozen=True),
        "chunk(n) makes n parts": lambda model, images, labels, size: in_parts(
            model, images, labels, -(-len(images) // size)
        ),
        "leave torch.no_grad() out": torch.no_grad()(in_parts),
    },
    "mean_loss": {
        "holds the graph": mean,
        "the result is a tensor": torch.no_grad()(mean),
        "activations are kept": lambda model, batches: by_images(
            [F.cross_entropy(model.eval()(x), y).item() for x, y in batches], batches
        ),
        "by torch.cat": all_at_once,
        "in a list": keeps_logits,
        "The graph of the old batch lives on": lambda model, batches: mean(model, batches).item(),
        "leave backward() out": torch.no_grad()(lambda model, batches: mean(model, batches).backward()),
        "backward() has filled .grad": trains_along,
        "came back frozen": frozen,
    },
    "quick": {
        "4.85 MiB more than quick allows (8.00 MiB). Largest part: temporaries. Enough alone would be": Design(),
        "quick is a dict; expected Design, as in quick = capstone.Design(width=8)": {"width": 8},
        "quick is a type": Design,
        "default epochs, allowed are 1. Fewer epochs": Design(width=2, depth=1, batch_size=16, epochs=6),
        "asked are 80%. It is hardly better": Design(width=2, batch_size=32, epochs=1),
    },
    "small": {
        "more than small allows (0.38 MiB)": Design(width=8),
        "small is a list": [Design(width=1)],
        "no parameter of the model asks for a gradient": Design(network=nn.Flatten()),
        "network() stopped with ZeroDivisionError": Design(network=lambda: 1 / 0),
        "Left are 0.": Design(width=2, batch_size=16, micro_batches=4, epochs=1),
    },
    "sharp": {
        "0.79 MiB more than sharp allows": Design(micro_batches=4),
        "expected Design, as in sharp = capstone.Design(width=8)": "Design(width=8)",
        "asked are 97%": Design(width=2, batch_size=32, epochs=1),
        "sharp is a model": models.mlp(),
    },
    "own_network": {
        "in_features of the first Linear must follow sample_shape": lambda shape, classes: models.cnn(
            (shape[0], 32, 32), 4, classes
        ),
        "nn.Flatten() must come before it": lambda shape, classes: nn.Sequential(
            nn.Conv2d(shape[0], 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Linear(8, classes)
        ),
        "probabilities, not logits": lambda shape, classes: nn.Sequential(pooled(shape[0], classes), nn.Softmax(1)),
        "takes sample_shape[0] channels": lambda shape, classes: pooled(3, classes),
        "comes out as tensor of shape (2, 10), expected shape (2, 3)": lambda shape, classes: pooled(shape[0], 10),
        "18.84 MiB too much; largest part: temporaries": lambda shape, classes: models.deep_cnn(shape, 16, 2, classes),
        "The peak is in step()": lambda shape, classes: models.mlp(shape, 128, classes),
        "lazy layers wait": lambda shape, classes: nn.Sequential(nn.Flatten(), nn.LazyLinear(classes)),
        "it has no parameters": lambda shape, classes: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        "Make every layer with brackets": lambda shape, classes: nn.Sequential(nn.Conv2d(shape[0], 4, 3), nn.ReLU),
        "sample_shape has three sizes": lambda shape, classes: two_sizes(*shape),
        "returned list, expected a model": lambda shape, classes: [nn.Flatten()],
    },
    "loss_weight": {
        "sizes[rank] is this rank's shard": lambda sizes, rank: len(sizes) * sizes / sum(sizes),
        "got 3, expected 0.47619": lambda sizes, rank: 3.0,
    },
    "my_images": {
        "rank may be 0": lambda count, rank, ranks: list(range(rank, count, rank)),
        "returned range": lambda count, rank, ranks: range(rank, count, ranks),
    },
    "bytes_on_rank": {
        "The names are": lambda parameters, ranks, sharding: {"ddp": 16, "zero": 8, "fsdp": 0}[sharding],
        "got the float": lambda parameters, ranks, sharding: (
            {"DDP": 16, "ZeRO-1": 8, "FSDP": 0}[sharding] * parameters
            + {"DDP": 0, "ZeRO-1": 8, "FSDP": 16}[sharding] * parameters / ranks
        ),
    },
    "batch_noise": {
        "Add up over axis 1": lambda gradients, b: float((gradients - gradients.mean(0)).square().sum(1)),
        "returned tensor of shape (2,)": lambda gradients, b: torch.tensor([1.0, 2.0]),
        "each call gives another number": lambda gradients, b: (
            torch.stack(
                [(gradients[torch.randperm(len(gradients))[:b]].mean(0) - gradients.mean(0)).norm() for _ in range(100)]
            )
            .square()
            .mean()
            .sqrt()
            .item()
        ),
        "The full gradient is gradients.mean(0)": lambda gradients, b: (gradients - gradients.mean(1)).norm().item(),
        "got 3, expected": lambda gradients, b: 3.0,
    },
    "noise_scale": {
        "small and large are pairs": lambda small, large: small[0][0] + large[1],
        "Divide by 1/b1 - 1/b2": lambda small, large: (small[1] - large[1]) / (small[0] - small[0]),
        "got 2, expected": lambda small, large: 2.0,
    },
    "plan": {
        "The rules are": lambda count, epochs, b, rule: (epochs * -(-count // b), {"same": 0.1}[rule]),
        "returned int": lambda count, epochs, b, rule: epochs * -(-count // b),
        "expected (50, 0.234375)": lambda count, epochs, b, rule: (50, 0.2),
    },
    "stretch": {
        "times takes the direction": lambda times, v, rounds: times() @ v,
        "range(rounds) counts": lambda times, v, rounds: [times(v) for _ in rounds],
        "expected a Python number": lambda times, v, rounds: times(v),
        "v and rounds are no functions": lambda times, v, rounds: v(times),
    },
}
