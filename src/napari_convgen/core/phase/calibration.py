r"""Fits of an object and of the microscope's own parameters together, to images of the object.

With white numbers :math:`\xi` of a smooth object :math:`S \xi`, and the parameters c of the microscope, a fit minimizes

.. math:: \| W^{1/2} \sigma^{-1} (A(S \xi, c) - y) \|^2 + \| \xi \|^2 + \| c \|^2

by Gauss-Newton steps, each solved by conjugate gradients. The noise :math:`\sigma` counts as stronger in the beginning: then the object is
close to zero, where the images depend on it linearly, and the fit does not end in a false minimum such as the conjugate twin.

References
----------
Nocedal and Wright, "Numerical Optimization", chapter 10. Tian and Waller, "3D intensity and phase imaging from light field measurements in
an LED array microscope", Optica 2, 2015, and Bostan et al., "Deep phase decoder", Optica 7, 2020, for aberrations that are found with the
object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.consistency import conjugate_gradients
from napari_convgen.core.operators.phase import PhaseImaging
from napari_convgen.core.phase.prior import SmoothPrior
from napari_convgen.core.problem import Problem

N_STEPS = 16
"""Number of Gauss-Newton steps at most. Our choice, no benchmark: most fits settle before."""

N_COARSE = 10
"""Number of steps in which noise that counts as stronger falls to its level."""

STRONGER = 100.0
"""Factor by which the variance of the noise counts as stronger in the first step."""

SPREAD = 0.1
"""Standard deviation of a start's aberrations in radians, and of its white numbers: near zero phase. Of starts three times as far one in
four ended in a false minimum (simulated cells, 7 planes, 9 aberrations of 0.6 radians)."""

N_INNER, INNER_TOLERANCE = 40, 1e-2
"""Number of conjugate-gradient steps for a Gauss-Newton step at most, and the relative length of the gradient at which they end."""

SETTLED = 3e-3
"""Change of the aberrations in radians by a step after which a fit ends."""

LEAST_STEP = 0.05
"""Share of a Gauss-Newton step below which none is tried."""

Variance = Callable[[Tensor], Tensor]
"""A function from clean images to the variance of their noise."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """An object and the parameters of its microscope.

    Attributes
    ----------
    white
        White numbers of the object, see `SmoothPrior`.
    image
        The object: its phase in radians.
    parameters
        Aberrations in radians, and the logarithm of the light.
    """

    white: Float[Tensor, "c h w"]
    image: Float[Tensor, "c h w"]
    parameters: Float[Tensor, "p"]

    def twin(self, imaging: PhaseImaging) -> Estimate:
        """Return the conjugate twin: the negative object, which the other side of the focus would show the same."""
        return Estimate(-self.white, -self.image, imaging.twin(self.parameters))


class Calibration:
    """Fits of an object and of the microscope's parameters to one measurement.

    Parameters
    ----------
    imaging
        The microscope.
    measurement
        Images.
    variance
        Function from clean images to the variance of their noise.
    """

    def __init__(
        self, imaging: PhaseImaging, measurement: Float[Tensor, "1 k rows columns"], variance: Variance
    ) -> None:
        self.imaging, self.measurement, self.variance = imaging, measurement, variance
        self.prior = SmoothPrior(imaging.size)
        self._light = float(measurement.mean().clamp_min(1e-6).log())

    def start(self, rng: torch.Generator, spread: float = SPREAD) -> Estimate:
        """Return a start near zero phase.

        Parameters
        ----------
        rng
            Source of chance on the CPU.
        spread
            Standard deviation of the aberrations in radians, and of the white numbers; default `SPREAD`.
        """
        y, n = self.measurement, self.imaging.n_zernikes
        white = spread * torch.randn(self.imaging.in_shape, generator=rng).to(y)
        parameters = torch.cat([spread * torch.randn(n, generator=rng), torch.tensor([self._light])]).to(y)
        return Estimate(white, self.prior(white), parameters)

    def errors(self, estimate: Estimate) -> Float[Tensor, "1 k rows columns"]:
        """Return the squared residual of each entry, relative to the variance of its noise."""
        problem = self._problem(estimate)
        predicted = problem.predict(estimate.image)
        return problem.residual(estimate.image).square() / self.variance(predicted)

    def improve(
        self, estimate: Estimate, weights: Float[Tensor, "1 k rows columns"], stronger: float = STRONGER
    ) -> Iterator[Estimate]:
        """Take Gauss-Newton steps from an estimate; yield each, the last of which has settled.

        Parameters
        ----------
        estimate
            Estimate to begin from.
        weights
            Weights of the entries; 0 leaves one out.
        stronger
            Factor by which the variance of the noise counts as stronger in the first step; 1 for a start that is close.
        """
        n_coarse = N_COARSE if stronger > 1 else 1
        for number in range(N_STEPS):
            factor = max(1.0, stronger ** (1 - number / n_coarse))
            before, estimate = estimate, self._step(estimate, weights / factor)
            yield estimate
            if number > n_coarse and self._change(before, estimate) < SETTLED:
                return

    def _change(self, before: Estimate, after: Estimate) -> float:
        """Return how much the aberrations have changed, in radians, or the phase, in the root mean square, where none are sought."""
        if self.imaging.n_zernikes:
            return float((after.parameters - before.parameters)[:-1].norm())
        return float((after.image - before.image)[0][self.imaging.view].square().mean().sqrt())

    def _step(self, estimate: Estimate, weights: Tensor) -> Estimate:
        """Take a Gauss-Newton step, or as much of it as lessens what is minimized."""
        imaging, x, parameters = self.imaging, estimate.image, estimate.parameters
        problem = self._problem(estimate)
        weights = weights / self.variance(problem.predict(x))
        residual = problem.residual(x)
        linear, slopes = imaging.linearized(x, parameters), imaging.parameter_slopes(x, parameters).flatten(1)
        # In units of what the images determine of the parameters, conjugate gradients find them in a few steps.
        known = (slopes * weights.flatten()) @ slopes.T + torch.eye(len(parameters)).to(slopes)
        units = torch.linalg.cholesky(torch.linalg.inv(known))
        shape, n = estimate.white.shape, estimate.white.numel()

        def back(images: Tensor) -> Tensor:
            of_white = self.prior(linear.adjoint(images)).flatten()
            return torch.cat([of_white, units.T @ (slopes @ images.flatten())])

        def normal(change: Tensor) -> Tensor:
            white, own = change[:n].view(shape), units @ change[n:]
            images = weights * (linear.apply(self.prior(white)) + (own @ slopes).view(residual.shape))
            return back(images) + torch.cat([change[:n], units.T @ own])

        offset = self._offset(parameters)
        target = -back(weights * residual) - torch.cat([estimate.white.flatten(), units.T @ offset])
        change = conjugate_gradients(normal, target, None, N_INNER, INNER_TOLERANCE).x
        white, own = change[:n].view(shape), units @ change[n:]
        least, share = self._cost(estimate, weights), 1.0
        while share > LEAST_STEP:
            tried = estimate.white + share * white
            new = Estimate(tried, self.prior(tried), parameters + share * own)
            if self._cost(new, weights) <= least:
                return new
            share /= 2
        return estimate

    def _cost(self, estimate: Estimate, weights: Tensor) -> float:
        misfit = (weights * self._problem(estimate).residual(estimate.image).square()).sum()
        return float(misfit + estimate.white.square().sum() + self._offset(estimate.parameters).square().sum())

    def _offset(self, parameters: Tensor) -> Tensor:
        """Return the parameters relative to what is expected: no aberration, and the mean light of the images."""
        return torch.cat([parameters[:-1], parameters[-1:] - self._light])

    def _problem(self, estimate: Estimate) -> Problem:
        y = self.measurement
        return Problem(y, torch.ones_like(y), operator=self.imaging.model(estimate.parameters))
