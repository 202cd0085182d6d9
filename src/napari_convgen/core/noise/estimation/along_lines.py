"""Noise that is correlated along the lines of a scan, and white from line to line, as behind a slow detector."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.noise.estimation.spectrum import SIDE, noise_spectrum

SLOWER, FASTER = slice(1, 4), slice(5, 8)
"""Lower and higher frequencies along an axis, of the 8 of a spectrum."""

LEAST_RATIO = 1.5
"""Least power of noise that is slower along the lines than across, relative to noise that is faster along them. It is 1.7 where a fifth of
a pixel's value is that of the pixel before, and 1.25 at most for white noise of the images of benchmarks/cases.py; textures of stripes have
more, up to 6."""

LARGEST_SPREAD = 0.2
"""Largest standard deviation of the power's logarithm across the lines, at the same frequency along them: 0.14 at most for noise, and 0.3
or more for textures of those images."""

LOWEST_ACROSS = 2
"""Lowest frequency across the lines that this is taken from: structure has most of its energy below."""


def is_along_lines(image: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]) -> bool:
    """Return True if the power of the noise falls along rows, or along columns, and is the same at all frequencies across.

    Parameters
    ----------
    image
        Noisy values, channels first, in any units.
    is_observed
        False where a value is missing.
    """
    spectrum = noise_spectrum(image, is_observed)
    if spectrum is None or spectrum.shape != (SIDE, SIDE) or not (spectrum > 0).all():
        return False
    return any(_falls_along_rows(each) for each in (spectrum, spectrum.T))


def _falls_along_rows(spectrum: Float[np.ndarray, "a b"]) -> bool:
    ratio = spectrum[FASTER, SLOWER].mean() / spectrum[SLOWER, FASTER].mean()
    logarithm = np.log(spectrum[LOWEST_ACROSS:, SLOWER.start :])
    return bool(ratio > LEAST_RATIO and (logarithm - logarithm.mean(0)).std() < LARGEST_SPREAD)
