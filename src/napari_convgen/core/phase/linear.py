r"""The linear problem near a phase that is about right.

Near an object :math:`x_0` the images are :math:`A(x) \approx A(x_0) + J (x - x_0)`, with the derivative J. Then what was measured of x is
linear, and everything that holds for linear operators serves: total variation, plug and play, generators, agreement with the measurement.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.operators.phase import PhaseImaging
from napari_convgen.core.phase.calibration import Calibration, Estimate
from napari_convgen.core.problem import Problem

TOLERANCE = 1e-3
"""Relative change of the norm at which its power iteration ends."""

ABOVE = 1.01
"""Factor by which the norm is taken larger than it was found, since power iteration finds it from below."""


@dataclass(frozen=True, eq=False)
class LinearizedPhase:
    """Images of a phase that is near an estimate, divided by the noise and by the norm.

    Attributes
    ----------
    imaging
        The microscope.
    estimate
        Object about which the images are linear.
    measurement
        What would have been measured of the phase by the derivative alone, divided by the deviation of its noise.
    deviation
        Standard deviation of the noise of each entry.
    """

    imaging: PhaseImaging
    estimate: Estimate
    measurement: Float[Tensor, "1 k rows columns"]
    deviation: Float[Tensor, "1 k rows columns"]

    @classmethod
    def of(cls, calibration: Calibration, estimate: Estimate) -> LinearizedPhase:
        """Return the problem near an estimate."""
        imaging, x, y = calibration.imaging, estimate.image, calibration.measurement
        problem = Problem(y, torch.ones_like(y), operator=imaging.model(estimate.parameters))
        deviation = calibration.variance(problem.predict(x)).sqrt()
        linear = imaging.linearized(x, estimate.parameters)
        return cls(imaging, estimate, (linear.apply(x) - problem.residual(x)) / deviation, deviation)

    def problem(self, low: float, unit: float, weights: Float[Tensor, "1 k rows columns"]) -> Problem:
        """Return the problem of an image in other units, with a norm of 1 at most.

        Parameters
        ----------
        low, unit
            Phase of the image's 0, and of one of its units, in radians.
        weights
            Weights of the entries, on the device of the problem.
        """
        linear = self.imaging.linearized(self.estimate.image, self.estimate.parameters)
        per_deviation = unit / self.deviation.to(weights)
        norm = ABOVE * _scaled(linear, per_deviation).norm(weights, torch.Generator().manual_seed(0), TOLERANCE)
        own = _scaled(linear, per_deviation / norm)
        flat = torch.full(own.in_shape, low / unit).to(weights)
        level = torch.full((1,), 1 / norm).to(weights)
        return Problem(self.measurement.to(weights) / norm - own.apply(flat), weights, level, operator=own)


def _scaled(linear: LinearMap, factors: Float[Tensor, "1 k rows columns"]) -> LinearMap:
    """Return a map of which each entry is multiplied by a factor."""
    return LinearMap(
        lambda x: factors * linear.apply(x),
        linear.in_shape,
        linear.out_shape,
        lambda y: linear.adjoint(factors * y),
        entry_groups=linear.entry_groups,
    )
