"""How far the noise of neighboring pixels is correlated."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.noise.estimation.along_lines import is_along_lines
from napari_convgen.core.noise.estimation.band_limit import band_limit
from napari_convgen.core.noise.estimation.blocks import Blocks
from napari_convgen.core.noise.estimation.curve import Curve

SPACINGS = (1, 2, 3, 4, 6)
"""Distances between pixels that are tried; at more than 6, blocks of 8 pixels are so wide that structure is taken for noise."""

CORRELATED, SURELY_CORRELATED = 1.7, 4.0
"""Ratio of slower to faster noise, neighbor beside neighbor, that may mean correlation, and that cannot mean texture.
Chosen on the tuning images of benchmarks/noise.py."""

KEPT = 0.3
"""Largest share of that ratio's excess over 1 that is left at twice the distance if it is noise: with more it is texture.
Chosen on the tuning images of benchmarks/noise.py."""

UNCHANGED = 0.93
"""Least share of that excess that is left at the next distance if it is structure, and no longer noise. Our choice: the lengths of the
images of benchmarks/noise.py are the same without this bound."""

WHITE = 1.35
"""Largest ratio of white noise. Chosen on the tuning images of benchmarks/noise.py."""

SLOW_SHARE = 0.05
"""Share of the blocks, the flattest, that the ratio is taken from. Chosen on the tuning images of benchmarks/noise.py."""

N_LEAST = 40
"""Least number of independent blocks that a ratio is taken from; the noise of smaller images is taken for white."""

LEAST_VARIANCE = 1e-3
"""Least variance that a block is compared with, relative to the largest of all intensities: a bound against division by zero."""

SURELY_LIMITED = 30.0
"""Least ratio of the energy just below a limit of the frequencies to that beyond with which an image has one, whatever its noise: that of
the images of benchmarks/cases.py is 15 at most. Our choice."""

LIMITED = 2
"""Correlation length, in pixels, of noise with less of the highest frequencies, where blocks do not show it."""


def correlation_length(image: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]) -> int:
    """Return the distance in pixels from which on the noise of two pixels is independent: 1 for white noise, 6 at most.

    Small blocks show it; or a sharp limit of the frequencies, as noise without the highest of these is not white; or power that is less
    evenly spread along the lines of a scan than across.

    Parameters
    ----------
    image
        Noisy values, channels first, in any units.
    is_observed
        False where a value is missing.
    """
    length = _length_in_blocks(image, is_observed)
    if length == 1 and (band_limit(image, is_observed) > SURELY_LIMITED or is_along_lines(image, is_observed)):
        return LIMITED
    return length


def _length_in_blocks(image: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]) -> int:
    """Return the distance that small blocks show.

    In the flattest blocks of an image, those with the least energy in the very lowest frequencies, white noise has the same
    energy in lower and higher frequencies. Where lower ones have more, pixels are taken at wider distances until both have the same, or
    until a wider distance brings them no nearer to each other: the structure in wide blocks has more energy in lower frequencies, too.
    """
    ratios: list[float] = []
    for spacing in SPACINGS:
        ratio = max(_redness(x, seen, spacing) for x, seen in zip(image, is_observed, strict=True))
        ratios.append(ratio)
        if spacing == 1 and ratio < CORRELATED:
            return 1
        if spacing == 2 and ratios[0] < SURELY_CORRELATED and ratio - 1 > KEPT * (ratios[0] - 1):
            return 1
        if ratio < WHITE:
            return spacing
        if len(ratios) > 2 and ratio - 1 > UNCHANGED * (ratios[-2] - 1):
            return SPACINGS[len(ratios) - 2]
    return SPACINGS[-1]


def _redness(image: Float[np.ndarray, "*spatial"], is_observed: Bool[np.ndarray, "*spatial"], spacing: int) -> float:
    """Return the energy of the noise in lower frequencies over that in higher ones; 1 where there are too few blocks."""
    blocks = Blocks.of(image, is_observed, spacing)
    if len(blocks) * blocks.weight < N_LEAST or not blocks.middle.any():
        return 1.0
    curve = Curve.of(blocks)
    if not curve.variance.any():
        return 1.0
    variance = np.maximum(np.interp(blocks.mean, curve.mean, curve.variance), LEAST_VARIANCE * curve.variance.max())
    n = max(1, int(SLOW_SHARE * len(blocks)))
    flat = np.argpartition(blocks.slow / variance, n - 1)[:n]
    fine = (blocks.fine / variance)[flat].mean()
    return float((blocks.middle / variance)[flat].mean() / fine) if fine > 0 else 1.0
