"""An optimizer that steps during backward: one for each parameter, as PyTorch's tutorial on that writes it."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn


class InBackward:
    """One optimizer for each parameter, used as if they were one."""

    def __init__(self, each: dict[nn.Parameter, torch.optim.Optimizer]):
        self.each = each
        self.state: dict[nn.Parameter, dict] = defaultdict(dict)
        for optimizer in each.values():
            optimizer.state = self.state  # each uses the entry of its own parameter

    @property
    def param_groups(self) -> list[dict]:
        """Those of all."""
        return [group for optimizer in self.each.values() for group in optimizer.param_groups]

    def step(self) -> None:
        """Step wherever there is a gradient: after backward there is none."""
        for optimizer in self.each.values():
            optimizer.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Let all gradients go, or fill them with zeros."""
        for optimizer in self.each.values():
            optimizer.zero_grad(set_to_none=set_to_none)

    @contextmanager
    def listening(self, gradient_comes: Callable[[], None]) -> Iterator[None]:
        """During this, a gradient is used as soon as it is there, and goes; `gradient_comes` is told before."""

        def use(parameter: nn.Parameter) -> None:
            gradient_comes()
            self.each[parameter].step()
            self.each[parameter].zero_grad()

        hooks = [parameter.register_post_accumulate_grad_hook(use) for parameter in self.each]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
