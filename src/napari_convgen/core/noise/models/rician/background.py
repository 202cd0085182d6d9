"""The noise floor of magnitudes: background is told from faint signal by the number of estimates as far below the floor.

References
----------
B. Efron, "Size, power and false discovery rates", Annals of Statistics 35(4), 2007 (two groups, of nothing and of something).
R. F. Barber, E. J. Candès, "Controlling the false discovery rate via knockoffs", Annals of Statistics 43(5), 2015 (nothing is counted by
its mirror image).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter1d

N_BINS, N_SPREADS = 60, 6.0
"""Number of bins that values are counted in, and their end, in root mean squares of the values below the floor: few estimates of
background lie beyond."""

SMOOTHING = 2.0
"""Standard deviation in bins over which counts are smoothed: fewer bins than a spread has, more than single values need."""

DEEPEST = 1.0
"""Largest distance below the floor, in standard deviations of the data's noise, of an estimate of background: a pixel's own noise."""

MOST_RAISED, RAISED_BIN = 0.05, 0.01
"""Largest distance, in standard deviations of the noise, by which the estimates of background may lie too high, as the noise's level is
known within 3 %, and size of the bins that they are counted in. Our choice: with a larger distance faint signal would be taken for it."""

LEAST_COUNT = 1e-9
"""Least smoothed count that is divided by: a bound against division by zero."""


def background_share(
    above: Float[np.ndarray, "*shape"], counts: Bool[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape"]:
    """Return the probability that there is no signal at a pixel.

    Estimates of a mean that cannot be below the floor lie below it by chance alone, where there is no signal, and by chance as many such
    pixels lie as far above. So of those at a distance d above, the share without signal is the number at d below over the number
    at d above. Where hardly any lie below, as in an image without a background, nothing is taken for one. What lies further below
    than the noise itself reaches is no estimate of a floor, but padding, or a mask.

    Where the noise's level was estimated too low, all estimates of background lie above the floor: then distances are measured from the
    most frequent estimate near it.

    Parameters
    ----------
    above
        Distance of each estimate above the floor, in standard deviations of the data's noise.
    counts
        False where a value is not an estimate from data.

    Returns
    -------
    numpy.ndarray
        1 below the floor, and above it falling with the distance.
    """
    above = above - _rise(above[counts])
    seen = above[counts & (above > -DEEPEST)]
    below = seen[seen < 0]
    if not below.size:
        return np.where(above < 0, 1.0, 0.0)
    spread = float(np.sqrt(np.mean(below**2)))
    edges = np.linspace(0, N_SPREADS * spread, N_BINS + 1)
    n_below, n_above = (
        gaussian_filter1d(np.histogram(x, edges)[0].astype(float), SMOOTHING, mode="nearest") for x in (-seen, seen)
    )
    share = np.minimum.accumulate(np.clip(n_below / np.maximum(n_above, LEAST_COUNT), 0, 1))
    centers = (edges[1:] + edges[:-1]) / 2
    return np.where(above < 0, 1.0, np.interp(above, centers, share, right=0.0))


def _rise(above: Float[np.ndarray, "n"]) -> float:
    """Return how far the most frequent estimates near the floor lie above it; 0 if they are below, or too far to be background."""
    n_bins = round(2 * MOST_RAISED / RAISED_BIN)
    centers = RAISED_BIN * np.arange(-n_bins, n_bins + 1)
    edges = RAISED_BIN * (np.arange(-n_bins, n_bins + 2) - 0.5)
    n_near = gaussian_filter1d(np.histogram(above, edges)[0].astype(float), SMOOTHING, mode="nearest")
    rise = float(centers[n_near.argmax()]) if n_near.any() else 0.0
    return rise if 0 < rise < MOST_RAISED + RAISED_BIN / 2 else 0.0
