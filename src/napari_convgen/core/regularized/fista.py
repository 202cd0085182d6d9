r"""Proximal gradient steps with momentum (FISTA), for :math:`\min_x \frac12 \| W^{1/2} (A x - y) \|^2 + \lambda R(x)`.

References
----------
A. Beck, M. Teboulle, "A fast iterative shrinkage-thresholding algorithm for linear inverse problems", SIAM J. Imaging Sci. 2(1), 2009.
B. O'Donoghue, E. Candès, "Adaptive restart for accelerated gradient schemes", Found. Comput. Math. 15, 2015.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.problem import Problem

N_STEPS = 300
"""Number of steps at most. Twice as many change the image by less than 0.05 dB, see benchmarks/inverse.py."""

TOLERANCE = 2e-5
"""Length of a step, relative to the image, at which to end."""

Prox = Callable[[Tensor, float], Tensor]
r"""Function from an image v and a weight :math:`\lambda` to :math:`\arg\min_x \frac12 \| x - v \|^2 + \lambda R(x)`."""


def fista(
    problem: Problem,
    prox: Prox,
    weight: float,
    norm: float,
    seen: Float[Tensor, "n *entries"],
    start: Float[Tensor, "c *spatial"],
    n_steps: int = N_STEPS,
) -> Float[Tensor, "c *spatial"]:
    """Return the image with the least sum of squared residual and penalty.

    Parameters
    ----------
    problem
        Measurement and linear operator.
    prox
        Proximal map of the penalty.
    weight
        Weight of the penalty, above 0.
    norm
        Norm of the operator, or a bound on it.
    seen
        Weights of the entries of the measurement.
    start
        Image to begin from.
    n_steps
        Number of steps at most; default `N_STEPS`.
    """
    operator = problem.forward_model
    assert isinstance(operator, LinearMap)
    length = 1 / norm**2
    x = ahead = start
    momentum = 1.0
    for _ in range(n_steps):
        gradient = operator.adjoint(seen * problem.residual(ahead))
        new = prox(ahead - length * gradient, length * weight)
        step = new - x
        if float(((ahead - new) * step).sum()) > 0:
            momentum = 1.0
        before, momentum = momentum, (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = new + (before - 1) / momentum * step
        x = new
        if float(step.norm()) <= TOLERANCE * float(x.norm()):
            break
    return x
