r"""Residual and path of gradient descent: exact for a linear model, with bounds for how far a nonlinear model departs from it.

The linear model :math:`f(\theta_0) + J(\theta - \theta_0)` has the residual :math:`\tilde r_\tau = (I - \eta JJ^\top)^\tau r_0`.
If the Jacobian of a nonlinear f changes by at most :math:`\epsilon` in the spectral norm and its norm stays below :math:`\beta`,
then

.. math:: r_{\tau+1} = (I - \eta J_a J_b^\top) r_\tau, \quad \|J_a - J\| \le \epsilon, \; \|J_b - J\| \le \epsilon,

with the Jacobian :math:`J_b` at :math:`\theta_\tau` and its mean :math:`J_a` along the step. As
:math:`\|JJ^\top - J_a J_b^\top\| \le 2\beta\epsilon`, the difference :math:`r_\tau - \tilde r_\tau` grows by
:math:`2\eta\beta\epsilon\|r_\tau\|` a step at most, for :math:`\eta \le 1/\beta^2`. The bounds below are these sums.

References
----------
Heckel and Soltanolkotabi, ICLR 2020, theorems 4 and 5; derived here.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Shaped

Steps = Shaped[np.ndarray, "t"]


def residual_norms(
    weights: Float[np.ndarray, "n"], rate: float, residual: Float[np.ndarray, "n"], steps: Steps
) -> Float[np.ndarray, "t"]:
    r"""Return :math:`\|\tilde r_\tau\|`, the root of :math:`\sum_i (1 - \eta\sigma_i^2)^{2\tau} \langle w_i, r_0\rangle^2`.

    Parameters
    ----------
    weights
        Eigenvalues :math:`\sigma_i^2` of :math:`JJ^\top`; of :math:`\Sigma` for an infinitely wide generator.
    rate
        Step size :math:`\eta`, on half the squared residual.
    residual
        Coefficients of the residual at step 0, in the order of the weights.
    steps
        Numbers of steps :math:`\tau`, each 0 or more.
    """
    norms: np.ndarray = np.linalg.norm((1 - rate * weights) ** steps[:, None] * residual, axis=1)
    return norms


def distances(
    weights: Float[np.ndarray, "n"], rate: float, residual: Float[np.ndarray, "n"], steps: Steps
) -> Float[np.ndarray, "t"]:
    r"""Return how far the parameters of the linear model have moved.

    .. math::

        \|\tilde\theta_\tau - \theta_0\|^2
        = \sum_i \left(\frac{1 - (1 - \eta\sigma_i^2)^\tau}{\sigma_i}\right)^2 \langle w_i, r_0\rangle^2

    Fitting components of small weight, such as noise, moves the parameters far; fitting a signal does not.

    Parameters
    ----------
    weights, rate, residual, steps
        As for `residual_norms`.
    """
    s = np.sqrt(weights)
    fitted = 1 - (1 - rate * weights) ** steps[:, None]
    norms: np.ndarray = np.linalg.norm(np.divide(fitted, s, out=np.zeros_like(fitted), where=s > 0) * residual, axis=1)
    return norms


def residual_gap_bounds(
    norms: Float[np.ndarray, "t"], rate: float, jacobian_norm: float, jacobian_change: float
) -> Float[np.ndarray, "t"]:
    r"""Return the bound on :math:`\|r_\tau - \tilde r_\tau\|`, :math:`2\eta\beta\epsilon \sum_{s<\tau} \|r_s\|`.

    Parameters
    ----------
    norms
        Residual norms :math:`\|r_\tau\|` of the nonlinear descent, one for each step from 0 on.
    rate
        Step size :math:`\eta`, at most :math:`1/\beta^2`.
    jacobian_norm, jacobian_change
        Bounds :math:`\beta` of the norm of the Jacobian and :math:`\epsilon` of its change.
    """
    return 2 * rate * jacobian_norm * jacobian_change * _sum_before(norms)


def distance_gap_bounds(
    norms: Float[np.ndarray, "t"], rate: float, jacobian_norm: float, jacobian_change: float
) -> Float[np.ndarray, "t"]:
    r"""Return the bound on :math:`\|\theta_\tau - \tilde\theta_\tau\|`.

    It is :math:`\eta \sum_{s<\tau} (\epsilon\|r_s\| + \beta\|r_s - \tilde r_s\|)`.

    Parameters
    ----------
    norms, rate, jacobian_norm, jacobian_change
        As for `residual_gap_bounds`, whose bound replaces :math:`\|r_s - \tilde r_s\|`.
    """
    gaps = residual_gap_bounds(norms, rate, jacobian_norm, jacobian_change)
    return rate * _sum_before(jacobian_change * norms + jacobian_norm * gaps)


def _sum_before(values: Float[np.ndarray, "t"]) -> Float[np.ndarray, "t"]:
    return np.concatenate([[0.0], np.cumsum(values)[:-1]])
