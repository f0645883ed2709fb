"""The training loop of the capstone: what is traced is what runs."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from helpers.capstone.design import Design
from helpers.memory.step import OPTIMIZERS, blocks
from helpers.models import kept_modes
from helpers.problems import Problem, shown


class Training:
    """A network, its optimizer, and the images that it learns from."""

    def __init__(self, network: nn.Module, design: Design, images: Tensor, labels: Tensor, classes: int):
        self.network, self.design, self.classes = network, design, classes
        self.images, self.labels = images, labels
        self.optimizer = OPTIMIZERS[design.optimizer](network.parameters(), lr=design.learning_rate)
        self.optimizer.zero_grad()  # a network of one's own may come with gradients
        network.train()
        if design.checkpointing:
            modules = dict(network.named_modules())
            for name in blocks(network):
                modules[name].forward = partial(checkpoint, modules[name].forward, use_reentrant=False)

    def learning_rate(self, share: float) -> None:
        """Set the learning rate; share: how much of the training is done, from 0 to 1."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.design.learning_rate * (1 - share)

    def step(self, rows: Tensor, before_update: Callable[[], None] = lambda: None) -> float:
        """One step with these rows of the images; their mean loss. `before_update` is called before the weights change.

        Each micro-batch's loss, a mean, counts by its share of the images, so that the gradients add up to that of the
        whole batch.
        """
        total, output, batch, truth, loss = 0.0, None, None, None, None
        for part in rows.split(self.design.micro_batch):
            output = batch = truth = loss = None  # the old micro-batch goes before the new one is made
            batch, truth = self.images[part], self.labels[part]
            with _autocast(self.design):
                output = logits(self.network, batch, self.classes)
                loss = F.cross_entropy(output, truth)
            share = len(part) / len(rows)
            if self.design.micro_batches > 1:
                loss = loss * share
            loss.backward()
            total += loss.item()
        before_update()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return total


def _autocast(design: Design) -> AbstractContextManager:
    return torch.autocast("cpu", torch.bfloat16) if design.precision == "bf16" else nullcontext()


def logits(network: nn.Module, images: Tensor, classes: int) -> Tensor:
    """What the network returns for a batch, if it is (B, classes); raises `Problem` otherwise."""
    output = network(images)
    if not isinstance(output, Tensor) or tuple(output.shape) != (len(images), classes):
        raise Problem(
            f"the network returns {shown(output)} for {len(images)} images; it must return logits of shape "
            f"({len(images)}, {classes}), one for each class."
        )
    return output


@torch.no_grad()
def right(network: nn.Module, design: Design, images: Tensor, labels: Tensor, classes: int) -> int:
    """How many of these images, a micro-batch at most, have their largest logit at the label: in eval mode."""
    with kept_modes(network), _autocast(design):
        network.eval()
        return int((logits(network, images.clone(), classes).argmax(1) == labels).sum())
