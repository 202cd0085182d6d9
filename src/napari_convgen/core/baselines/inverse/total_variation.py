"""Reconstruction of an image with the least total variation that agrees with the measurement."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.problem import Problem

TOLERANCE = 1e-3
"""Change of the image while the number of steps is doubled, relative to its standard deviation, at which it has converged: less than
0.05 dB for an image whose error is a tenth of that."""

N_FIRST = 50
"""Number of steps before the first doubling."""

MOST_STEPS = 12_800
"""Number of steps at most."""

STEP_RATIO = 4.0
"""Ratio of the lengths of the steps of image and residuals, for images with values between 0 and 1: of 1, 4 and 16 the one with the fewest
steps to fill in half of the pixels of the fluorescence sample, and to deblur it."""


def total_variation(
    problem: Problem, strength: float, norm: float, is_joint: bool = False, tolerance: float = TOLERANCE
) -> Float[Tensor, "c *spatial"]:
    r"""Minimize a squared residual and total variation by a primal-dual method, through any linear operator.

    .. math:: \tfrac12 \| W^{1/2} (A x - y) \|^2 + \lambda \sum_i | \nabla x_i |

    Parameters
    ----------
    problem
        Measurement, linear operator and weights.
    strength
        Strength :math:`\lambda` of the total variation, above 0.
    norm
        Norm of the operator, see `LinearMap.norm`.
    is_joint
        True for one gradient of all channels, such as a real and an imaginary part; False, the default, for one of each channel.
    tolerance
        Change at which the image has converged, see `TOLERANCE`, its default.

    References
    ----------
    Chambolle and Pock, "A first-order primal-dual algorithm for convex problems with applications to imaging", J. Math. Imaging Vision 40,
    2011, algorithm 1.
    """
    operator, weights = problem.forward_model, problem.weights
    assert isinstance(operator, LinearMap)
    axes = tuple(range(1, len(operator.in_shape)))
    length = math.sqrt(norm**2 + 4 * len(axes))
    tau, sigma = STEP_RATIO / length, 1 / (STEP_RATIO * length)
    over = (0, 1) if is_joint else (0,)
    x = operator.adjoint(weights * problem.measurement) / norm**2
    ahead, misfit = x, torch.zeros_like(problem.measurement)
    slopes = x.new_zeros(len(axes), *x.shape)
    n, before = N_FIRST, x
    for step in range(1, MOST_STEPS + 1):
        misfit = weights * (misfit + sigma * problem.residual(ahead)) / (weights + sigma)
        slopes = slopes + sigma * gradient(ahead, axes)
        slopes = slopes / (slopes.square().sum(over, keepdim=True).sqrt() / strength).clamp_min(1)
        last, x = x, x - tau * (operator.adjoint(misfit) + gradient_adjoint(slopes, axes))
        ahead = 2 * x - last
        if step == n:
            if (x - before).norm() <= tolerance * (x - x.mean()).norm():
                break
            n, before = 2 * n, x
    return x


def gradient(x: Float[Tensor, "c *spatial"], axes: tuple[int, ...]) -> Float[Tensor, "d c *spatial"]:
    """Return the difference of each pixel from the next along each axis; 0 at the last."""
    return torch.stack([torch.diff(x, dim=axis, append=x.narrow(axis, x.shape[axis] - 1, 1)) for axis in axes])


def gradient_adjoint(slopes: Float[Tensor, "d c *spatial"], axes: tuple[int, ...]) -> Float[Tensor, "c *spatial"]:
    """Return the adjoint of `gradient`."""
    total = torch.zeros_like(slopes[0])
    for slope, axis in zip(slopes, axes, strict=True):
        inner = slope.narrow(axis, 0, slope.shape[axis] - 1)
        edge = torch.zeros_like(slope.narrow(axis, 0, 1))
        total -= torch.diff(inner, dim=axis, prepend=edge, append=edge)
    return total
