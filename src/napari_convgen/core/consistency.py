r"""The image nearest to a generator's that also agrees with the measurement.

A generator that was stopped before it fits noise does not agree with all that was measured well. The last step of a reconstruction is

.. math:: \hat x = \arg\min_x \| W^{1/2} (A x - y) \|^2 + \rho \, \| x - G \|^2,

with the generator's image G, the operator A, the measurement y and its weights W. A small :math:`\rho` trusts the measurement, a large one
the generator; which one suits is told by entries of the measurement that were held out, see `choose_rho`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Inexact
from torch import Tensor

from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.problem import Problem, squared

RHOS = tuple(10 ** (exponent / 2) for exponent in range(4, -9, -1))
"""Values of rho that are tried, relative to the squared norm of the operator: from a measurement that says little to one almost without
noise, in steps that change the error of the image by less than 0.1 dB around the best one."""

MAX_STEPS = 1000
"""Number of steps of the conjugate gradients at most. With the least of `RHOS` they need about 600, by their bound for a condition number
of 10,000."""

TOLERANCE = 1e-5
"""Length of the remaining gradient, relative to the first, at which the conjugate gradients end: near the precision of float32."""


LEAST_RHO = 1e-8
"""Value of rho that stands for a measurement without noise."""

ORTHOGONAL = 1e-2
"""Relative deviation from orthogonal rows that is none: the norm by power iteration is not exact."""


@dataclass(frozen=True, eq=False)
class Solution:
    """The solution of a linear equation.

    Attributes
    ----------
    x
        Solution, as far as it was found.
    excess
        Length of the remaining difference, relative to that at which to end: above 1 if the steps came to an end before.
    """

    x: Inexact[Tensor, "*shape"]
    excess: float


def conjugate_gradients(
    apply: Callable[[Tensor], Tensor],
    target: Inexact[Tensor, "*shape"],
    start: Inexact[Tensor, "*shape"] | None = None,
    n_steps: int = MAX_STEPS,
    tolerance: float = TOLERANCE,
) -> Solution:
    """Solve a linear equation with a positive definite, symmetric or Hermitian map.

    Parameters
    ----------
    apply
        The map.
    target
        Right-hand side, real or complex.
    start
        Solution to begin from; ``None``, the default, for zero.
    n_steps
        Number of steps at most; default `MAX_STEPS`.
    tolerance
        Norm of the remaining difference, relative to that of the right-hand side, at which to end; default `TOLERANCE`.

    References
    ----------
    Hestenes and Stiefel, "Methods of conjugate gradients for solving linear systems", J. Res. Natl. Bur. Stand. 49, 1952.
    """
    x = torch.zeros_like(target) if start is None else start
    rest = target if start is None else target - apply(x)
    direction, size = rest, _square_sum(rest)
    least = tolerance**2 * _square_sum(target)
    for _ in range(n_steps):
        if size <= least:
            break
        image = apply(direction)
        length = size / (direction.conj() * image).sum().real
        x, rest = x + length * direction, rest - length * image
        before, size = size, _square_sum(rest)
        direction = rest + size / before * direction
    return Solution(x, math.sqrt(float(size / least)) if size else 0.0)


def make_consistent(
    problem: Problem,
    image: Float[Tensor, "c *spatial"],
    rho: float | Float[Tensor, "c *ones"],
    weights: Float[Tensor, "n *entries"] | None = None,
    start: Float[Tensor, "c *spatial"] | None = None,
    tolerance: float = TOLERANCE,
) -> Float[Tensor, "c *spatial"]:
    """Return the image that balances the agreement with the measurement and the distance from a generator's image.

    Parameters
    ----------
    problem
        Measurement, linear operator and weights.
    image
        The generator's image G.
    rho
        Weight of the distance from it, or that of each channel as a column: above 0, in units of the operator's squared norm times the
        weights; infinite for G itself.
    weights
        Weights of the entries of the measurement; ``None``, the default, for those of the problem.
    start
        Image to begin from, such as the solution for another rho; ``None``, the default, for G.

    tolerance
        Length of the remaining gradient, relative to the first, at which to end; default `TOLERANCE`.

    Raises
    ------
    ValueError
        The operator is not linear, or rho is not positive.
    """
    operator = _linear(problem)
    if not bool(torch.as_tensor(rho > 0).all()):
        raise ValueError(f"rho must be above 0, got {rho}.")
    if isinstance(rho, float) and math.isinf(rho):
        return image
    weighted = problem.weights if weights is None else weights
    target = -operator.adjoint(weighted * problem.residual(image))

    def normal(x: Tensor) -> Tensor:
        return operator.adjoint(weighted * operator.apply(x)) + rho * x

    return image + conjugate_gradients(normal, target, None if start is None else start - image, tolerance=tolerance).x


def choose_rho(
    problem: Problem,
    images: Float[Tensor, "m c *spatial"],
    seen: Float[Tensor, "m n *entries"],
    norm: float,
    rhos: Sequence[float] = RHOS,
) -> float:
    """Return the rho with which entries of the measurement that were held out are predicted best.

    It is the largest that predicts them as well as the best, within a standard error: too small a one lets in the noise.

    Where entries have nothing in common, such as pixels that were measured themselves, means over blocks, or k-space of a single coil,
    those held out stay as the generator predicts them whatever rho is. Then it follows from the noise level and the errors at entries that
    were held out and at those that were not, see `entry_rho`.

    Parameters
    ----------
    problem
        Measurement, linear operator and weights.
    images
        Image of each generator, fitted to the entries that it has seen.
    seen
        Weights of these entries, for each generator; 0 for those held out, whole groups if the measurement has groups.
    norm
        Norm of the operator, see `LinearMap.norm`.
    rhos
        Values to choose from, relative to the squared norm; infinity, for the generator's image as it is, is always among them.

    Raises
    ------
    ValueError
        The operator is not linear, or a generator has seen everything.
    """
    unseen = problem.weights * (seen == 0)
    if not unseen.flatten(1).any(1).all():
        raise ValueError("Each generator must have entries of the measurement that it has not seen.")
    if problem.is_denoising or _has_orthogonal_rows(problem, norm):
        return norm**2 * entry_rho(problem, images, unseen)
    candidates = [math.inf, *(norm**2 * rho for rho in sorted(rhos, reverse=True))]
    errors: list[list[Tensor]] = [[] for _ in candidates]
    for image, weights, out in zip(images, seen, unseen, strict=True):
        solution = image
        for rho, found in zip(candidates, errors, strict=True):
            solution = make_consistent(problem, image, rho, weights, solution)
            found.append(_group_errors(problem, solution, out))
    return candidates[_first_as_good(torch.stack([torch.cat(found) for found in errors]))]


def _first_as_good(errors: Float[Tensor, "candidates groups"]) -> int:
    """Return the first candidate whose error is within a standard error of the least, from their differences group by group."""
    best = int(errors.sum(1).argmin())
    differences = errors - errors[best]
    deviations = differences.std(1) * math.sqrt(errors.shape[1])  # not a number for a single group
    is_as_good = differences.sum(1) <= deviations
    is_as_good[best] = True
    return int(is_as_good.int().argmax())


def _group_errors(problem: Problem, image: Tensor, weights: Tensor) -> Float[Tensor, "groups"]:
    """Return the weighted sum of squared residuals of each group of entries that has weights."""
    is_held_out = weights.any(0)
    errors = (weights * squared(problem.residual(image))).sum(0)[is_held_out]
    groups = problem.forward_model.entry_groups
    if groups is None:
        return errors
    numbers, places = groups.to(errors.device)[is_held_out].unique(return_inverse=True)
    return errors.new_zeros(len(numbers)).index_add_(0, places, errors)


def entry_rho(problem: Problem, images: Float[Tensor, "m c *spatial"], unseen: Float[Tensor, "m n *entries"]) -> float:
    r"""Return the rho that suits entries which tell nothing of each other, relative to the squared norm of the operator.

    Let :math:`\tau^2` be the mean squared error of the measurement that the generators' mean image predicts where it was held out, and
    :math:`\sigma^2` the variance of the noise. Then the share :math:`w = \tau^2 / (\tau^2 + \sigma^2)` of the measurement suits an entry
    best. Where the generators have seen it, their prediction has a share :math:`\alpha` of it already: with r the ratio of the mean squared
    residuals of entries seen and held out, :math:`1 - \alpha = \sqrt{r}`. What is left to add of the measurement is
    :math:`1 / (1 + \rho) = (w - \alpha) / (1 - \alpha)`, within 0 and 1.

    Parameters
    ----------
    problem
        The measurement with its noise; where no noise level is known, it counts as 0.
    images
        Image of each generator.
    unseen
        Weights of the entries that each has not seen.
    """
    noise = 0.0 if problem.noise_level is None else float(problem.noise_level.square().mean())
    errors = [_mean_square(problem, image, out) for image, out in zip(images, unseen, strict=True)]
    predictions, weights = problem.predict(images), problem.weights
    between = (weights * squared(predictions - predictions.mean(0))).sum() / (len(images) * weights.sum())
    held_out = sum(errors) / len(images) - float(between)  # the error of a mean is less by the variance
    residual = _mean_square(problem, images.mean(0), weights)
    if held_out <= noise or not residual:
        return math.inf
    remaining = math.sqrt(min(1.0, residual / held_out))  # 1 - α
    share = min(1.0, (1 - noise / held_out - (1 - remaining)) / remaining)
    return max(1 / share - 1, LEAST_RHO) if share > 0 else math.inf


def _has_orthogonal_rows(problem: Problem, norm: float) -> bool:
    """Return True if entries of the measurement have nothing in common, so that one tells nothing of another by itself."""
    operator, y = _linear(problem), problem.measurement
    shape = (*y.shape, 2) if y.is_complex() else y.shape
    draws = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(problem.weights)
    entries = problem.weights * (torch.view_as_complex(draws) if y.is_complex() else draws)
    image = problem.weights * operator.apply(operator.adjoint(entries))
    return bool((image - norm**2 * entries).norm() <= ORTHOGONAL * norm**2 * entries.norm())


def _linear(problem: Problem) -> LinearMap:
    operator = problem.forward_model
    if not isinstance(operator, LinearMap):
        raise ValueError("Only a linear operator has a consistent image that conjugate gradients find.")
    return operator


def _mean_square(problem: Problem, image: Tensor, weights: Tensor) -> float:
    return float((weights * squared(problem.residual(image))).sum() / weights.sum())


def _square_sum(x: Tensor) -> Tensor:
    return squared(x).sum()
