"""What is measured in one channel of an image, before the kind of its noise is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.noise.estimation.blocks import Blocks
from napari_convgen.core.noise.estimation.curve import Curve, fit_line

CUT_SHARE = 0.02
"""Share of an interval's values at the image's minimum or maximum from which the interval counts as cut off.
Chosen on the tuning images of benchmarks/noise.py."""

MIN_INTERVALS = 3
"""Least number of intervals of intensity that a line is compared with: two always lie on one."""

CUT_VARIANCE, CUT_SIGNIFICANCE = 0.25, 3.0
"""Variance at the lowest value, relative to a typical one and to its standard error, that is too large for noise which was not cut off
there. Chosen on the tuning images of benchmarks/noise.py."""

INSIDE = 0.5
"""Share from which a block belongs to the intervals that are kept: half-way between two of them."""


@dataclass(frozen=True, eq=False)
class Channel:
    """The blocks of a channel and the variance that was measured at each intensity.

    Attributes
    ----------
    values
        Observed values, in the image's units.
    blocks
        Blocks of all intensities; at least one.
    curve
        Variance in all intervals of intensity.
    is_low, is_high
        True for intervals with many values at the channel's minimum and maximum.
    is_cut
        True if noise was cut off at the minimum: the variance of the other intervals does not tend to zero there.
    """

    values: Float[np.ndarray, "n"]
    blocks: Blocks
    curve: Curve
    is_low: Bool[np.ndarray, "k"]
    is_high: Bool[np.ndarray, "k"]
    is_cut: bool

    @classmethod
    def of(
        cls, image: Float[np.ndarray, "*spatial"], is_observed: Bool[np.ndarray, "*spatial"], spacing: int
    ) -> Channel | None:
        """Measure a channel; ``None`` if it is too small for a single block.

        Parameters
        ----------
        image
            Values of one channel, in the image's units.
        is_observed
            False where a value is missing.
        spacing
            Distance in pixels from which on the noise of two pixels is independent.
        """
        blocks = Blocks.of(image, is_observed, spacing, has_third=True)
        if not len(blocks):
            return None
        curve, values = Curve.of(blocks), image[is_observed]
        is_low, is_high = curve.at_low > CUT_SHARE, curve.at_high > CUT_SHARE
        is_cut = _is_cut_off(curve.take(~is_low & ~is_high), float(np.min(values)))
        return cls(values, blocks, curve, is_low, is_high, is_cut)

    @property
    def reliable_curve(self) -> Curve:
        """Variance in the intervals of intensity where no noise was cut off; in all if that leaves less than two."""
        return self.curve.take(self._is_reliable)

    @property
    def reliable_blocks(self) -> Blocks:
        """Blocks of the same intervals."""
        share = np.interp(self.blocks.mean, self.curve.mean, self._is_reliable.astype(float))
        return self.blocks.take(share > INSIDE)

    def curve_without(self, is_left_out: Bool[np.ndarray, "k"]) -> Curve:
        """Return the variance in some of the intervals; in all if that leaves less than two."""
        return self.curve.take(_unless_empty(~is_left_out))

    @property
    def clipped_low(self) -> float:
        """Share of the values at the minimum, if noise was cut off there; else 0."""
        return float((self.values == self.values.min()).mean()) if self.is_cut and self.is_low.any() else 0.0

    @property
    def clipped_high(self) -> float:
        """Share of the values at the maximum, if noise was cut off there; else 0."""
        return float((self.values == self.values.max()).mean()) if self.is_high.any() else 0.0

    @property
    def _is_reliable(self) -> Bool[np.ndarray, "k"]:
        return _unless_empty(~self.is_high & ~(self.is_low & self.is_cut))


def _unless_empty(chosen: Bool[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
    return chosen if chosen.sum() > 1 else np.ones_like(chosen)


def _is_cut_off(curve: Curve, lowest: float) -> bool:
    """Return True if noise was cut off at the lowest value: elsewhere its variance does not tend to zero there."""
    if len(curve.mean) < MIN_INTERVALS:
        return False
    line = fit_line(curve)
    at_lowest, typical = line.at(np.array([lowest, np.median(curve.mean)]))
    reach = float(curve.mean.mean()) - lowest
    return bool(at_lowest > CUT_VARIANCE * typical and at_lowest > CUT_SIGNIFICANCE * line.slope_error * reach)
