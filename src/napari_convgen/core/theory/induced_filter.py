"""Gradient descent on an infinitely wide two-layer generator, stopped early, as the linear filter that it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from napari_convgen.core.spectra.descent import Descent
from napari_convgen.core.theory.dual_kernel import squared_weights
from napari_convgen.core.theory.kernels import step_size
from napari_convgen.errors import InputError

STEPS_PER_DECADE = 20
"""Number of steps per factor of ten for which a descent is predicted; rounding leaves all of the first ten steps.

It samples the risk at steps 12 % apart, closely enough to find its minimum, see `InducedFilter.predict`."""


@dataclass(frozen=True, eq=False)
class InducedFilter:
    r"""Gradient descent from zero under a constant, circulant Gram matrix.

    The residual at frequency i falls by :math:`1 - \eta\sigma_i^2` each step, so after :math:`\tau` steps the image is the
    measurement with each frequency multiplied by :math:`1 - (1 - \eta\sigma_i^2)^\tau`.

    Attributes
    ----------
    weights
        Eigenvalues :math:`\sigma_i^2`, one for each frequency in the order of `numpy.fft.fftn`.
    rate
        Step size :math:`\eta`, on half the squared residual; more than 0, at most one over the largest weight.

    References
    ----------
    Heckel and Soltanolkotabi, ICLR 2020, theorem 2: the two terms that its bound has for an infinitely wide generator.
    """

    weights: Float[np.ndarray, "*spatial"]
    rate: float

    def __post_init__(self) -> None:
        if not 0 < self.rate * self.weights.max() <= 1:
            raise InputError(
                "The step size must keep the descent from overshooting: expected more than 0 and at most "
                f"{1 / self.weights.max():.4g}, got {self.rate:.4g}. Give one in this range."
            )

    def response(self, step: float) -> Float[np.ndarray, "*spatial"]:
        """Return the factor of each frequency after ``step`` steps, 0 to 1, in the order of `numpy.fft.fftn`."""
        factors: np.ndarray = 1 - (1 - self.rate * self.weights) ** step
        return factors

    def apply(self, image: Float[np.ndarray, "*spatial"], step: float) -> Float[np.ndarray, "*spatial"]:
        """Return what descent has fitted of ``image`` after ``step`` steps."""
        fitted: np.ndarray = np.fft.ifftn(self.response(step) * np.fft.fftn(image)).real
        return fitted

    def freedom(self, step: float) -> float:
        """Return the degrees of freedom, the sum of the factors: how many of the n values of a measurement the image reproduces."""
        return float(self.response(step).sum())

    def error(self, image: Float[np.ndarray, "*spatial"], noise_level: float, step: float) -> float:
        """Return the expected mean squared error for white noise.

        Parameters
        ----------
        image
            Noise-free image.
        noise_level
            Standard deviation of each value's noise, in units of the image.
        step
            Number of steps, 0 or more.
        """
        response = self.response(step)
        return float(((1 - response) ** 2 * _power(image)).mean() + noise_level**2 * (response**2).mean())

    def risk(self, measurement: Float[np.ndarray, "*spatial"], noise_level: float, step: float) -> float:
        """Return Stein's unbiased estimate of the mean squared error, from the measurement and its noise's standard deviation."""
        response = self.response(step)
        loss = ((1 - response) ** 2 * _power(measurement)).mean()
        return float(loss + noise_level**2 * (2 * response.mean() - 1))

    def predict(self, measurement: Float[np.ndarray, "*spatial"], noise_level: float, n_steps: int = 10_000) -> Descent:
        """Predict loss, degrees of freedom and risk of the descent; its best step is the one with the lowest risk.

        Parameters
        ----------
        measurement
            Image with white noise.
        noise_level
            Standard deviation of the noise, in units of the measurement.
        n_steps
            Last step that is predicted, 10,000 by default. The steps are integers, about evenly spaced in their logarithm. The risk
            changes little between them, so no step in between is noticeably better.
        """
        decades = np.log10(n_steps)
        steps = np.unique(np.logspace(0, decades, int(STEPS_PER_DECADE * decades) + 1).round())
        # The spectrum of a real image is symmetric, so one half of the frequencies is enough.
        half = (..., slice(measurement.shape[-1] // 2 + 1))
        counts = np.full(self.weights[half].shape, 2.0)
        counts[..., 0] = 1
        if measurement.shape[-1] % 2 == 0:
            counts[..., -1] = 1
        energy = (counts * np.abs(np.fft.rfftn(measurement)) ** 2).ravel() / measurement.size
        with np.errstate(divide="ignore"):
            logarithm = np.log1p(-self.rate * self.weights[half]).ravel()
        n = measurement.size
        loss, freedom = np.empty((2, len(steps)))
        for i, step in enumerate(steps):
            decay = np.exp(step * logarithm)
            loss[i], freedom[i] = (decay**2 @ energy) / n, n - decay @ counts.ravel()
        risk = loss + noise_level**2 * (2 * freedom / n - 1)
        taken, losses, freedoms, risks = map(torch.from_numpy, (steps, loss, freedom, risk))
        return Descent(taken, losses, freedoms, risks, self.rate, noise_level**2)


def induced_filter(kernel: Float[np.ndarray, "*spatial"], rate: float | None = None) -> InducedFilter:
    r"""Return the filter of the two-layer generator with a kernel.

    Parameters
    ----------
    kernel
        Convolution kernel, of the shape of the image, see `napari_convgen.core.theory.kernels`.
    rate
        Step size :math:`\eta`; by default that of the theory, :math:`1/\|Fu\|_\infty^2`.

    Raises
    ------
    InputError
        The rate is not positive, or so large that the descent overshoots.
    """
    return InducedFilter(squared_weights(kernel), step_size(kernel) if rate is None else rate)


def _power(image: Float[np.ndarray, "*spatial"]) -> Float[np.ndarray, "*spatial"]:
    """Return the energy at each frequency; its mean is the mean square of the image."""
    power: np.ndarray = np.abs(np.fft.fftn(image)) ** 2 / image.size
    return power
