"""Reconstruction of the smoothest image that agrees with the measurement: the Wiener filter, for any operator and with open borders."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.consistency import TOLERANCE, Solution, conjugate_gradients
from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.problem import Problem
from napari_convgen.core.regularized.gradient import gradient, gradient_adjoint

N_STEPS = 2000
"""Number of steps of the conjugate gradients at most."""


def smoothest(
    problem: Problem,
    strength: float | Float[Tensor, "c *ones"],
    weights: Float[Tensor, "n *entries"] | None = None,
    tolerance: float = TOLERANCE,
    order: int = 1,
) -> Float[Tensor, "c *spatial"]:
    """Return the image of `solve_smoothest`, whose parameters these are."""
    return solve_smoothest(problem, strength, weights, tolerance, order).x


def solve_smoothest(
    problem: Problem,
    strength: float | Float[Tensor, "c *ones"],
    weights: Float[Tensor, "n *entries"] | None = None,
    tolerance: float = TOLERANCE,
    order: int = 1,
    n_steps: int | None = None,
) -> Solution:
    r"""Minimize :math:`\| W^{1/2} (A x - y) \|^2 + \lambda \| \nabla x \|^2` by conjugate gradients, or with second derivatives.

    Of a periodic blur it is the Wiener filter for images whose spectrum falls with the square of the frequency. With the Laplacian in the
    place of the gradient, of an image without noise that has missing pixels, it is the biharmonic interpolation.

    Parameters
    ----------
    problem
        Measurement, linear operator and weights.
    strength
        Strength :math:`\lambda` of the smoothing, above 0; that of each channel as a column.
    weights
        Weights of the entries of the measurement; ``None``, the default, for those of the problem.
    tolerance
        Length of the remaining gradient, relative to the first, at which to end.
    order
        1, the default, for the gradient of the image, 2 for its Laplacian.
    n_steps
        Number of steps at most; ``None``, the default, for `N_STEPS`.
    """
    operator, seen = problem.forward_model, problem.weights if weights is None else weights
    assert isinstance(operator, LinearMap)

    def normal(x: Tensor) -> Tensor:
        penalty = x
        for _ in range(order):
            penalty = gradient_adjoint(gradient(penalty))
        return operator.adjoint(seen * operator.apply(x)) + strength * penalty

    return conjugate_gradients(
        normal, operator.adjoint(seen * problem.measurement), None, n_steps or N_STEPS, tolerance
    )


def hole_tolerance(problem: Problem, strength: Float[Tensor, "c *ones"], tolerance: float = TOLERANCE) -> float:
    """Return the tolerance at which holes are filled too.

    In a hole nothing but the smoothing has a gradient, and so has one that is as many times weaker.

    Parameters
    ----------
    problem, strength
        As for `smoothest`.
    tolerance
        Tolerance where nothing is missing.
    """
    return tolerance if bool(problem.weights.all()) else tolerance * min(1.0, float(strength.min()))
