"""Gradient descent on linear least squares in closed form: the simplest case of the paper's theory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from napari_convgen.errors import InputError


@dataclass(frozen=True, eq=False)
class LeastSquares:
    r"""Descent on :math:`\frac12 \|y - Jc\|^2` from :math:`c_0 = 0`.

    Along the left singular vector :math:`w_i` of J the residual falls by :math:`1 - \eta\sigma_i^2` each step:

    .. math:: y - Jc_\tau = (I - \eta J J^\top)^\tau y, \quad Jc_\tau = \sum_i (1 - (1 - \eta\sigma_i^2)^\tau) \langle w_i, y\rangle w_i.

    Attributes
    ----------
    left, right
        Left and right singular vectors :math:`w_i` and :math:`v_i`, as columns.
    singular_values
        Singular values :math:`\sigma_i`, in falling order.
    rate
        Step size :math:`\eta`; up to :math:`1/\sigma_1^2` no component overshoots.

    References
    ----------
    Heckel and Soltanolkotabi, ICLR 2020, equation 2, proposition 1 and figure 5.
    """

    left: Float[np.ndarray, "n r"]
    singular_values: Float[np.ndarray, "r"]
    right: Float[np.ndarray, "p r"]
    rate: float

    def output(self, measurement: Float[np.ndarray, "n"], step: float) -> Float[np.ndarray, "n"]:
        r"""Return :math:`Jc_\tau` after ``step`` steps."""
        output: np.ndarray = self.left @ ((1 - self._decay(step)) * (self.left.T @ measurement))
        return output

    def coefficients(self, measurement: Float[np.ndarray, "n"], step: float) -> Float[np.ndarray, "p"]:
        r"""Return :math:`c_\tau` after ``step`` steps."""
        s = self.singular_values
        fitted = (1 - self._decay(step)) * (self.left.T @ measurement)
        parameters: np.ndarray = self.right @ np.divide(fitted, s, out=np.zeros_like(s), where=s > 0)
        return parameters

    def errors(
        self, signal: Float[np.ndarray, "n"], noise: Float[np.ndarray, "n"], step: float
    ) -> tuple[float, float, float]:
        r"""Return :math:`\|Jc_\tau - x\|` for :math:`y = x + z`, and its two parts.

        Returns
        -------
        error
            Norm of the difference between output and signal.
        unfitted
            Norm of the part of the signal that is not fitted yet, :math:`\|(I - \eta JJ^\top)^\tau x\|`. For a signal in the span of the
            first p left singular vectors it is at most :math:`(1 - \eta\sigma_p^2)^\tau \|x\|`.
        fitted_noise
            Norm of the part of the noise that is fitted. The error is at most the sum of both parts.
        """
        unfitted, fitted = signal - self.output(signal, step), self.output(noise, step)
        return float(np.linalg.norm(fitted - unfitted)), float(np.linalg.norm(unfitted)), float(np.linalg.norm(fitted))

    def _decay(self, step: float) -> Float[np.ndarray, "r"]:
        decay: np.ndarray = (1 - self.rate * self.singular_values**2) ** step
        return decay


def least_squares(matrix: Float[np.ndarray, "n p"], rate: float) -> LeastSquares:
    """Return the descent for a matrix J and a step size.

    Raises
    ------
    InputError
        The step size is not positive, or so large that the descent diverges.
    """
    left, singular_values, right = np.linalg.svd(matrix, full_matrices=False)
    if not 0 < rate * singular_values[0] ** 2 < 2:
        raise InputError(
            f"The step size must let the descent converge: expected more than 0 and less than {2 / singular_values[0] ** 2:.4g}, "
            f"got {rate:.4g}. Give one in this range."
        )
    return LeastSquares(left, singular_values, right.T, rate)
