"""Reconstruction of the smoothest image that agrees with the measurement: the Wiener filter, for any operator and with open borders."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.baselines.inverse.total_variation import gradient, gradient_adjoint
from napari_convgen.core.consistency import conjugate_gradients
from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.problem import Problem

N_STEPS = 2000
"""Number of steps of the conjugate gradients at most."""


def smoothest(problem: Problem, strength: float) -> Float[Tensor, "c *spatial"]:
    r"""Minimize :math:`\| W^{1/2} (A x - y) \|^2 + \lambda \| \nabla x \|^2` by conjugate gradients.

    Of a periodic blur it is the Wiener filter for images whose spectrum falls with the square of the frequency.

    Parameters
    ----------
    problem
        Measurement, linear operator and weights.
    strength
        Strength :math:`\lambda` of the smoothing, above 0.
    """
    operator, weights = problem.forward_model, problem.weights
    assert isinstance(operator, LinearMap)
    axes = tuple(range(1, len(operator.in_shape)))

    def normal(x: Tensor) -> Tensor:
        return operator.adjoint(weights * operator.apply(x)) + strength * gradient_adjoint(gradient(x, axes), axes)

    return conjugate_gradients(normal, operator.adjoint(weights * problem.measurement), n_steps=N_STEPS)
