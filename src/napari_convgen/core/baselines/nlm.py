"""Non-local means."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from skimage.restoration import denoise_nl_means

from napari_convgen.core.baselines.channels import Plane, denoise_channels
from napari_convgen.core.baselines.color import known_noise_level
from napari_convgen.core.baselines.frame import NoisyFrame

PATCH_SIDE, SEARCH_RADIUS = 5, 6
"""Side of the patches and radius of the search, in pixels: those of scikit-image's example on non-local means."""

SEARCH_RADIUS_3D = 3
"""Radius of the search in volumes, in pixels: its 7³ candidates are twice the 13² of a plane. Our choice, no benchmark."""

CUTOFF = 0.7
"""Cut-off distance, in standard deviations of the noise: between the 0.6 and 0.8 of scikit-image's example."""


def non_local_means(frame: NoisyFrame) -> Float[np.ndarray, "c *spatial"]:
    """Average pixels with similar surroundings; patches of a color image are compared in all its channels.

    The variance of the noise is subtracted from the distances between patches.

    Parameters are those of `napari_convgen.core.baselines.Baseline.__call__`.

    References
    ----------
    A. Buades, B. Coll, J.-M. Morel, "Non-local means denoising", Image Processing On Line 1, 2011.
    J. Darbon et al., "Fast nonlocal filtering applied to electron cryomicroscopy", IEEE ISBI 2008.
    """
    if not frame.is_color:
        return denoise_channels(_non_local_means, frame.values, frame.noise_level)
    level = float(np.sqrt(np.mean(known_noise_level(frame.noise_level) ** 2)))
    colors = np.moveaxis(frame.values, 0, -1)
    return np.moveaxis(_non_local_means(colors, level, is_color=True) if level > 0 else colors, -1, 0)


def _non_local_means(image: Plane, level: float, is_color: bool = False) -> Plane:
    n_spatial = image.ndim - is_color
    rows = image[np.newaxis] if n_spatial == 1 else image
    denoised = denoise_nl_means(
        rows,
        PATCH_SIDE,
        SEARCH_RADIUS_3D if n_spatial == 3 else SEARCH_RADIUS,
        h=CUTOFF * level,
        sigma=level,
        preserve_range=True,
        channel_axis=-1 if is_color else None,
    )
    return np.reshape(denoised, image.shape)
