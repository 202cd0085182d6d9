"""Wavelet shrinkage, averaged over shifts of the image."""

from __future__ import annotations

import itertools

import numpy as np
import pywt
from jaxtyping import Float
from skimage.restoration import denoise_wavelet

from napari_convgen.core.baselines.channels import Plane, denoise_opponents
from napari_convgen.core.baselines.frame import NoisyFrame

WAVELET = "db2"
"""Daubechies' orthogonal wavelet with two vanishing moments. Our choice, no benchmark."""

MOST_LEVELS = 4
"""Levels of the transform at most. Our choice, no benchmark: coarser coefficients hold 1/256 of the noise of an image or less."""

N_SHIFTS = 4
"""Shifts along rows and along columns that are averaged over. Our choice, no benchmark: 16 transforms for each channel."""


def wavelet_shrinkage(frame: NoisyFrame) -> Float[np.ndarray, "c *spatial"]:
    """Shrink wavelet coefficients by BayesShrink, and average over shifts of the image (cycle spinning).

    Color channels are luminance and color differences. Parameters are those of `napari_convgen.core.baselines.Baseline.__call__`.

    References
    ----------
    S. G. Chang, B. Yu, M. Vetterli, "Adaptive wavelet thresholding for image denoising and compression", IEEE TIP 9(9), 2000.
    R. R. Coifman, D. L. Donoho, "Translation-invariant de-noising", Wavelets and Statistics, 1995.
    """
    return denoise_opponents(_wavelet_shrinkage, frame.values, frame.noise_level, frame.is_color)


def _wavelet_shrinkage(image: Plane, level: float) -> Plane:
    n_levels = min(MOST_LEVELS, pywt.dwtn_max_level(image.shape, WAVELET))
    axes = tuple(range(image.ndim))[-2:]
    shifts = list(itertools.product(range(N_SHIFTS), repeat=len(axes)))
    total = np.zeros_like(image)
    for shift in shifts:
        there = np.roll(image, shift, axes)
        shrunk = denoise_wavelet(there, level, WAVELET, wavelet_levels=n_levels, method="BayesShrink")
        total += np.roll(shrunk, [-n for n in shift], axes)
    return total / len(shifts)
