r"""Residual and way of gradient descent: exact for a linear model, and how far a nonlinear one can leave it.

The linear model :math:`f(\theta_0) + J(\theta - \theta_0)` has the residual :math:`\tilde r_\tau = (I - \eta JJ^\top)^\tau r_0`.
A nonlinear f whose Jacobian moves by no more than :math:`\epsilon` on the way, in the spectral norm, and has a norm of no more
than :math:`\beta`, follows

.. math:: r_{\tau+1} = (I - \eta J_a J_b^\top) r_\tau, \quad \|J_a - J\| \le \epsilon, \; \|J_b - J\| \le \epsilon,

with :math:`J_b` its Jacobian at :math:`\theta_\tau` and :math:`J_a` the mean of it along the step. As
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
        :math:`\eta`, on half the squared residual.
    residual
        Coefficients of the first residual, in the order of the weights.
    steps
        :math:`\tau`.
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

    It takes a far way to draw what has small weights: noise, not a signal.

    Parameters
    ----------
    weights, rate, residual, steps
        As of `residual_norms`.
    """
    s = np.sqrt(weights)
    drawn = 1 - (1 - rate * weights) ** steps[:, None]
    norms: np.ndarray = np.linalg.norm(np.divide(drawn, s, out=np.zeros_like(drawn), where=s > 0) * residual, axis=1)
    return norms


def residual_gap_bounds(
    norms: Float[np.ndarray, "t"], rate: float, jacobian_norm: float, jacobian_change: float
) -> Float[np.ndarray, "t"]:
    r"""Return the bound on :math:`\|r_\tau - \tilde r_\tau\|`, :math:`2\eta\beta\epsilon \sum_{s<\tau} \|r_s\|`.

    Parameters
    ----------
    norms
        :math:`\|r_\tau\|` of the nonlinear descent, for each step from 0 on.
    rate
        :math:`\eta`, at most :math:`1/\beta^2`.
    jacobian_norm, jacobian_change
        :math:`\beta` and :math:`\epsilon`.
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
        As of `residual_gap_bounds`, whose bound stands for the last term.
    """
    gaps = residual_gap_bounds(norms, rate, jacobian_norm, jacobian_change)
    return rate * _sum_before(jacobian_change * norms + jacobian_norm * gaps)


def _sum_before(values: Float[np.ndarray, "t"]) -> Float[np.ndarray, "t"]:
    return np.concatenate([[0.0], np.cumsum(values)[:-1]])
