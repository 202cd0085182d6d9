"""Fits that cannot come to anything any more: collapsed ones, recognized early."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import Outcome, StopReason

COARSE_BLOCKS, COLLAPSE_FACTOR = 8, 2.0
"""A fit has collapsed if it rests above this multiple of the error of an image made of this many constant blocks a side.

Chosen with a wide margin: a healthy fit is below the error of the blocks within some dozen steps."""

LEAST_SHARE = 0.05
"""Share of the measurement's variance below which a fit never counts as collapsed: images without coarse structure."""

MIN_STEPS_TO_JUDGE = 200
"""Steps before a fit that rests can be called collapsed: many times what a healthy fit needs for coarse blocks."""

MIN_PROGRESS = 0.99
"""A fit rests if its loss in the latest quarter of the steps is above this share of the loss in the quarter before."""


class HealthCheck:
    """Recognizes a fit with a member that rests far above what any healthy fit reaches.

    Parameters
    ----------
    problem
        Measurement that is fitted. Where the operator is not the identity the error of coarse blocks is not known, and only dead
        channels are recognized.
    """

    def __init__(self, problem: Problem) -> None:
        self.coarse_error = coarse_error(problem) if problem.is_denoising else None

    def collapse(self, step: int, losses: Sequence[float], dead_fraction: float) -> StopReason | None:
        """Return why a fit counts as collapsed; ``None`` if it does not.

        Parameters
        ----------
        step
            Number of steps taken.
        losses
            Loss of the member that fits worst, by step.
        dead_fraction
            Largest share, over members and hidden layers, of channels that are the same at every pixel.
        """
        if dead_fraction == 1:
            return StopReason(Outcome.COLLAPSED, f"The fit collapsed by step {step}: all channels of a layer are dead.")
        if step < MIN_STEPS_TO_JUDGE or self.coarse_error is None:
            return None
        quarter = len(losses) // 4
        earlier, later = (statistics.fmean(part) for part in (losses[-2 * quarter : -quarter], losses[-quarter:]))
        if later <= COLLAPSE_FACTOR * self.coarse_error or later < MIN_PROGRESS * earlier:
            return None
        sentence = (
            f"The fit collapsed: at step {step} its loss rests at {later:.2g}, "
            f"while coarse blocks of one value each leave {self.coarse_error:.2g}."
        )
        return StopReason(Outcome.COLLAPSED, sentence)


def coarse_error(problem: Problem) -> float:
    """Return the error of coarse blocks, or `LEAST_SHARE` of the variance if that is more."""
    size = problem.measurement.shape[1:]
    blocks = [min(COARSE_BLOCKS, max(1, n // 4)) for n in size]
    return max(problem.low_pass_error(blocks), LEAST_SHARE * problem.low_pass_error([1] * len(size)))
