"""How strongly the loss bends: the largest eigenvalue of its matrix of second derivatives (the Hessian)."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers.models import kept_modes
from helpers.problems import Problem, labelled, network, number, said, whole_number


@dataclass(frozen=True)
class Sharpness:
    """The largest eigenvalue of the Hessian, and how it was found."""

    value: float  #: the largest eigenvalue; below 0 only if all are
    iterations: int  #: products of the Hessian with a vector
    converged: bool  #: whether an eigenvalue is sure to lie within the tolerance
    error: float  #: at most so far from `value` is an eigenvalue
    shifted: bool  #: whether a second search was needed, since a negative eigenvalue was as large in size, or larger

    @property
    def sentence(self) -> str:
        """What was found, and whether it may be trusted."""
        found = f"Sharpness {self.value:.4g}, after {self.iterations} products of the Hessian with a vector"
        if self.converged:
            return f"{found}; an eigenvalue lies within {self.error:.1g} of it."
        return f"{found}; not converged: the nearest eigenvalue may be {self.error:.1g} away."


def sharpness(
    model: nn.Module, images: Tensor, labels: Tensor, tolerance: float = 0.02, most: int = 200, seed: int = 0
) -> Sharpness:
    """The largest eigenvalue of the Hessian of the mean cross-entropy loss on these images, in eval mode.

    images: (N, ...) float; labels: (N,) int64. Power iteration: a random direction v (from `seed`) is multiplied by the
    Hessian H again and again, and turns towards the eigenvector whose eigenvalue is largest in size. H itself is never
    made: H v is the gradient of (gradient . v), by a second backward (Pearlmutter 1994, "Fast exact multiplication by
    the Hessian"). The estimate is v . H v for v of length 1. As H is symmetric, an eigenvalue lies within the length of
    H v - (estimate) v; the search stops when that is at most `tolerance` times the estimate, or after `most` products.
    It finds the largest size. So if that is of a negative eigenvalue, or if it does not settle, since a negative one is
    as large in size, the search is done again with that size added to the whole diagonal of H: then no eigenvalue is
    negative, and the largest in size is the largest. (`most` holds for each of the two searches.)
    The model's gradients and modes stay as they are. Raises `Problem` for arguments that do not fit, and for a model
    that fails or has no second derivative.
    """
    network("model", model)
    labelled(images, labels)
    tolerance = number("tolerance", tolerance, 1e-6, 1, 0.02)
    most, seed = whole_number("most", most, 1, 100_000), whole_number("seed", seed, 0)
    parameters = [one for one in model.parameters() if one.requires_grad]
    if not parameters:
        raise Problem("the model has no parameters that are trained; give one that learns, for example models.mlp().")
    try:
        with kept_modes(model), torch.enable_grad():
            model.eval()
            loss = F.cross_entropy(model(images.detach()), labels)
            gradients = torch.autograd.grad(loss, parameters, create_graph=True)
            return _largest(parameters, gradients, tolerance, most, seed)
    except Exception as error:
        raise Problem(f"the sharpness cannot be found: {said(error)}") from error


def _largest(
    parameters: list[nn.Parameter], gradients: tuple[Tensor, ...], tolerance: float, most: int, seed: int
) -> Sharpness:
    gradient = torch.cat([one.flatten() for one in gradients])

    def hessian_times(vector: Tensor) -> Tensor:
        product = torch.autograd.grad(
            gradient, parameters, vector, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return torch.cat([one.flatten() for one in product])

    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(len(gradient), generator=generator).to(gradient)
    value, error, iterations = _power(hessian_times, start, 0.0, tolerance, most)
    shifted = value < 0 or error > tolerance * value
    if shifted:
        size = abs(value) + error  # the length of H v is at most that
        value, error, more = _power(hessian_times, start, size, tolerance, most)
        iterations += more
    return Sharpness(value, iterations, error <= tolerance * abs(value), error, shifted)


def _power(
    times: Callable[[Tensor], Tensor], vector: Tensor, added: float, tolerance: float, most: int
) -> tuple[float, float, int]:
    """The eigenvalue of H whose sum with `added` is largest in size; its error; the number of products."""
    for count in itertools.count(1):
        vector = vector / vector.norm()
        product = times(vector)
        value = float(vector @ product)
        error = float((product - value * vector).norm())
        if error <= tolerance * abs(value) or count == most:
            return value, error, count
        vector = product + added * vector
