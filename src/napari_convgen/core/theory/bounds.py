r"""Denoising by early stopping: the predicted error, its two parts, and the step at which the paper stops.

The measurement is :math:`y = x + z`, with a signal x in the span of the p functions of largest weight and noise z of independent
values of variance :math:`\varsigma^2/n`, so that :math:`E\|z\|^2 = \varsigma^2`. All formulas here follow from the linear dynamics. Under
them the coefficient of the residual at frequency i is :math:`(1 - \eta\sigma_i^2)^\tau` times its first value:

.. math:: \hat x_\tau - x = -\sum_i (1 - \eta\sigma_i^2)^\tau \langle w_i, x\rangle w_i
          + \sum_i (1 - (1 - \eta\sigma_i^2)^\tau) \langle w_i, z\rangle w_i.

For a network of finite width the paper adds a term that becomes negligible only for networks too wide for any machine. It is left out
here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from napari_convgen.errors import InputError


@dataclass(frozen=True)
class ErrorTerms:
    """The two parts of an error, as Euclidean norms in image units; the error is at most their sum.

    Attributes
    ----------
    signal
        Norm of the part of the signal that is not fitted yet; it falls over the steps.
    noise
        Norm of the part of the noise that is already fitted; it rises over the steps.
    """

    signal: float
    noise: float

    @property
    def total(self) -> float:
        """Sum of both parts, an upper bound of the error."""
        return self.signal + self.noise


def stopping_step(weights: Float[np.ndarray, "n"], n_signal: int, rate: float) -> float:
    r"""Return the step at which every component beyond the first p has fitted at most :math:`\sqrt{p/n}` of its noise.

    .. math:: \tau^* = \frac{\log(1 - \sqrt{p/n})}{\log(1 - \eta\sigma_{p+1}^2)}

    Parameters
    ----------
    weights
        Eigenvalues :math:`\sigma_i^2`, in falling order.
    n_signal
        Dimension p of the signal's span, 1 to n - 1.
    rate
        Step size :math:`\eta`, less than one over the largest weight.

    Returns
    -------
    step
        Real number of steps; less than one if the bound does not allow even one step, infinite if no noise is fitted beyond the signal.

    Raises
    ------
    InputError
        p is out of range.

    References
    ----------
    Heckel and Soltanolkotabi, ICLR 2020, theorem 1; derived here: at most :math:`\sqrt{p/n}` of the noise beyond the first p components is
    fitted, so its energy is :math:`\varsigma^2 p/n`, that of the noise within the signal's span.
    """
    _check_n_signal(n_signal, len(weights))
    decay = float(np.log1p(-rate * weights[n_signal]))
    return float(np.log1p(-np.sqrt(n_signal / len(weights)))) / decay if decay else math.inf


def worst_terms(
    weights: Float[np.ndarray, "n"], rate: float, n_signal: int, signal_norm: float, noise_norm: float, step: float
) -> ErrorTerms:
    r"""Return bounds on both parts of the error, from nothing but the norms of signal and noise.

    .. math:: (1 - \eta\sigma_p^2)^\tau \|x\|, \quad \varsigma \sqrt{p/n + (1 - (1 - \eta\sigma_{p+1}^2)^\tau)^2}

    At the `stopping_step` the second is :math:`\varsigma\sqrt{2p/n}`.

    Parameters
    ----------
    weights
        Eigenvalues :math:`\sigma_i^2`, in falling order.
    rate
        Step size :math:`\eta`.
    n_signal
        Dimension p of the signal's span, 1 to n - 1.
    signal_norm
        Norm :math:`\|x\|`, in image units.
    noise_norm
        Root :math:`\varsigma` of the expected squared norm of the noise, in image units.
    step
        Number of steps :math:`\tau`, 0 or more.

    Raises
    ------
    InputError
        p is out of range.

    References
    ----------
    Heckel and Soltanolkotabi, ICLR 2020, theorem 1; derived here. The noise part holds for the expected energy.
    """
    _check_n_signal(n_signal, len(weights))
    last_within, first_beyond = ((1 - rate * weights[n_signal - 1 : n_signal + 1]) ** step).tolist()
    noise = noise_norm * math.sqrt(n_signal / len(weights) + (1 - first_beyond) ** 2)
    return ErrorTerms(last_within * signal_norm, noise)


def _check_n_signal(n_signal: int, n: int) -> None:
    if not 1 <= n_signal < n:
        raise InputError(
            f"A signal's dimension must be less than the number of samples: expected 1 to {n - 1}, got {n_signal}. Give a smaller one."
        )
