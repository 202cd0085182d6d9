"""Highest frequencies that an image was computed without, as where a scan was filled up with zeros in k-space."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.fft import fft2

LEAST_FREQUENCY = 0.25
"""Least frequency along the other axis, in cycles a pixel, of the waves that are looked at: below it structure has most of its energy."""

LOWEST_LIMIT, HIGHEST_LIMIT = 0.6, 0.97
"""Limits that are looked for, relative to the highest frequency: below, correlated noise is found in small blocks; above, little is
missing. Our choice, no benchmark."""

WIDTH = 0.04
"""Width of the band just below a limit, relative to the highest frequency: structure, whose energy falls slowly, hardly changes within
it. Our choice, no benchmark."""

LARGEST_SLOPE = 2.0
"""Largest ratio of the energy in the band before that one to that in it: in smooth images without noise the energy falls steeply
everywhere, and no limit is sharp. Our choice, no benchmark."""

N_LEAST = 3
"""Least number of frequencies that a mean is taken over, beside the one at the limit itself, which can be halved."""


def band_limit(image: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]) -> float:
    """Return how much less energy an image has beyond a sharp limit than just below it, along rows or columns; about 1 where none is.

    Parameters
    ----------
    image
        Noisy values, channels first, in any units.
    is_observed
        False where a value is missing: such an image has no sharp limit.

    Returns
    -------
    float
        The least ratio of all channels, of the axis where it is largest; 1 where the energy falls steeply before a limit too. It is 1.1
        to 1.4 for white noise, and 3 to 4 for magnitudes of a limited image.
    """
    if image.ndim < 3 or not is_observed.all():
        return 1.0
    energies = [np.abs(fft2(x - x.mean())) ** 2 for x in image.reshape(len(image), -1, *image.shape[-2:])]
    energies = [energy.mean(0) for energy in energies]
    return max(
        min(_largest_fall(_profile(energy)) for energy in turned) for turned in (energies, [e.T for e in energies])
    )


def _profile(energy: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "n"]:
    """Return the energy at each frequency along the rows' axis, from 0 to the highest, of waves that are fast along the other."""
    height, width = energy.shape
    is_fast = np.abs(np.fft.fftfreq(width)) > LEAST_FREQUENCY
    profile = energy[:, is_fast].mean(1) if is_fast.any() else np.zeros(height)
    return np.asarray(profile[: height // 2 + 1])


def _largest_fall(profile: Float[np.ndarray, "n"]) -> float:
    n = len(profile)
    width = max(N_LEAST, round(WIDTH * n))
    largest, tiny = 1.0, np.finfo(float).eps * float(profile.max())
    for limit in range(int(LOWEST_LIMIT * n), min(int(HIGHEST_LIMIT * n), n - N_LEAST) + 1):
        below, beyond = profile[limit - width : limit].mean(), profile[limit + 1 :].mean()
        before = profile[max(0, limit - 2 * width) : limit - width]
        if below > tiny and before.sum() < LARGEST_SLOPE * below * len(before):
            largest = max(largest, float(below / max(beyond, tiny)))
    return largest
