r"""Denoising by stopping early: the error that is foreseen, its two parts, and the step at which the paper stops.

The measurement is :math:`y = x + z`, with a signal x in the span of the p functions of largest weight and noise z of independent
values of variance :math:`\varsigma^2/n`, so that :math:`E\|z\|^2 = \varsigma^2`. All here follows from the linear dynamics, under which the
coefficient of the residual at frequency i is :math:`(1 - \eta\sigma_i^2)^\tau` of its first value:

.. math:: \hat x_\tau - x = -\sum_i (1 - \eta\sigma_i^2)^\tau \langle w_i, x\rangle w_i
          + \sum_i (1 - (1 - \eta\sigma_i^2)^\tau) \langle w_i, z\rangle w_i.

For a finite width the paper adds a term that vanishes with the width, at a width that no machine holds; it is left out here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from napari_convgen.errors import InputError


@dataclass(frozen=True)
class ErrorTerms:
    """The two parts of an error in the Euclidean norm; the error is no more than their sum.

    Attributes
    ----------
    signal
        What of the signal is not drawn yet; falls over the steps.
    noise
        What of the noise is drawn already; rises.
    """

    signal: float
    noise: float

    @property
    def total(self) -> float:
        """Their sum."""
        return self.signal + self.noise


def error_terms(
    weights: Float[np.ndarray, "n"],
    rate: float,
    signal: Float[np.ndarray, "n"],
    noise: Float[np.ndarray, "n"],
    step: float,
) -> ErrorTerms:
    r"""Return the norms of both sums in the module's equation.

    Parameters
    ----------
    weights
        :math:`\sigma_i^2`.
    rate
        :math:`\eta`.
    signal, noise
        Coefficients :math:`\langle w_i, x\rangle` and :math:`\langle w_i, z\rangle`, in the order of the weights.
    step
        :math:`\tau`.

    References
    ----------
    Heckel and Soltanolkotabi, ICLR 2020, theorem 2; derived here from the dynamics.
    """
    decay = (1 - rate * weights) ** step
    return ErrorTerms(float(np.linalg.norm(decay * signal)), float(np.linalg.norm((1 - decay) * noise)))


def stopping_step(weights: Float[np.ndarray, "n"], n_signal: int, rate: float) -> float:
    r"""Return the step at which no component beyond the first p has drawn more than :math:`\sqrt{p/n}` of its noise.

    .. math:: \tau^* = \frac{\log(1 - \sqrt{p/n})}{\log(1 - \eta\sigma_{p+1}^2)}

    Parameters
    ----------
    weights
        :math:`\sigma_i^2`, falling.
    n_signal
        p, 1 to n - 1.
    rate
        :math:`\eta`, less than one over the largest weight.

    Returns
    -------
    step
        Not whole, and less than one where the bound allows not even a first step.

    Raises
    ------
    InputError
        p is out of range.

    References
    ----------
    Heckel and Soltanolkotabi, ICLR 2020, theorem 1; derived here: the noise beyond the first p is drawn to :math:`\sqrt{p/n}` at most,
    so its energy is :math:`\varsigma^2 p/n`, that of the noise within the signal's span.
    """
    _check_n_signal(n_signal, len(weights))
    return float(np.log1p(-np.sqrt(n_signal / len(weights))) / np.log1p(-rate * weights[n_signal]))


def worst_terms(
    weights: Float[np.ndarray, "n"], rate: float, n_signal: int, signal_norm: float, noise_norm: float, step: float
) -> ErrorTerms:
    r"""Return the bound on both parts of the error that knows the norms of signal and noise alone.

    .. math:: (1 - \eta\sigma_p^2)^\tau \|x\|, \quad \varsigma \sqrt{p/n + (1 - (1 - \eta\sigma_{p+1}^2)^\tau)^2}

    At the `stopping_step` the second is :math:`\varsigma\sqrt{2p/n}`.

    Parameters
    ----------
    weights
        :math:`\sigma_i^2`, falling.
    rate
        :math:`\eta`.
    n_signal
        p, 1 to n - 1.
    signal_norm
        :math:`\|x\|`.
    noise_norm
        :math:`\varsigma`.
    step
        :math:`\tau`.

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
