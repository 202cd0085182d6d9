"""Magnitudes that several coils have measured: the root of the sum of their squares, with a floor far above 0."""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float
from scipy.special import hyp1f1, poch

from napari_convgen.core.noise.estimation.curve import Curve

N_COILS = (*range(2, 13), 14, 16, 20, 24, 32)
"""Numbers of coils that are tried. A distribution between two of these is near enough to one of them."""

LARGEST_OFF = 0.12
"""Largest distance of the variance's logarithm from that of magnitudes, as the root of the mean square over the blocks. Our choice: scans
by formula are off by 0.03 to 0.09, and no image of benchmarks/cases.py is taken for one."""

BRIGHT, LEAST_BRIGHT = 1.8, 4
"""Ratio to the floor from which the variance hardly grows, and least number of intervals of intensity above: noise of photons goes on
growing there."""

LEAST_DARK = 0.1
"""Least share of the blocks in the lowest interval of intensity, which is the floor."""

TABLE_END, N_TABLE = 30.0, 300
"""Largest amplitude that is tabulated, in standard deviations of the noise, and entries; the variance is 0.97 or more there."""


def is_of_coils(curve: Curve) -> bool:
    """Return True if the variance grows from the floor to the bright as that of magnitudes of several coils, and no further.

    Parameters
    ----------
    curve
        What was measured at each intensity.

    References
    ----------
    C. D. Constantinides, E. Atalar, E. R. McVeigh, "Signal-to-noise measurements in magnitude images from NMR phased arrays", Magnetic
    Resonance in Medicine 38, 1997 (the noncentral chi distribution).
    """
    floor, is_bright = curve.mean[0], curve.mean > BRIGHT * curve.mean[0]
    is_like = min(floor, curve.variance.min()) > 0 and curve.n[0] > LEAST_DARK * curve.n.sum()
    if not is_like or is_bright.sum() < LEAST_BRIGHT:
        return False
    off = [np.log(curve.variance / _expected(curve.mean, floor, n)) for n in N_COILS]
    return bool(min(float(np.average(each**2, weights=curve.n)) for each in off) < LARGEST_OFF**2)


def _expected(mean: Float[np.ndarray, "n"], floor: float, n_coils: int) -> Float[np.ndarray, "n"]:
    """Return the variance of magnitudes with these means, of noise that has its floor where it is."""
    means, variances = _table(n_coils)
    sigma = floor / means[0]
    return np.asarray(sigma**2 * np.interp(mean / sigma, means, variances))


@cache
def _table(n_coils: int) -> tuple[Float[np.ndarray, "m"], Float[np.ndarray, "m"]]:
    """Return means and variances of magnitudes for amplitudes from 0 on, and noise of standard deviation 1 in each part."""
    amplitudes = np.linspace(0, TABLE_END, N_TABLE)
    means = np.sqrt(2) * poch(n_coils, 0.5) * hyp1f1(-0.5, n_coils, -(amplitudes**2) / 2)
    return means, 2 * n_coils + amplitudes**2 - means**2
