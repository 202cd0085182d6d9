"""BM3D, by its authors' package, which is optional."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from napari_convgen.core.baselines.channels import denoise_channels
from napari_convgen.core.baselines.color import from_opponents, to_opponents
from napari_convgen.core.baselines.frame import NoisyFrame
from napari_convgen.errors import ConfigError, InputError

LEAST_SIDE = 16
"""Side, in pixels, up to which smaller images are mirrored: the library takes none with a single block."""


def bm3d(frame: NoisyFrame) -> Float[np.ndarray, "c *spatial"]:
    """Filter stacks of similar blocks together; a volume is filtered slice by slice.

    Blocks of a color image are matched in its luminance, as in CBM3D.

    Parameters are those of `napari_convgen.core.baselines.Baseline.__call__`.

    Raises
    ------
    ConfigError
        The package bm3d is not installed.
    InputError
        The frame has no rows and columns.

    References
    ----------
    K. Dabov, A. Foi, V. Katkovnik, K. Egiazarian, "Image denoising by sparse 3-D transform-domain collaborative filtering", IEEE
    TIP 16(8), 2007.
    Y. Mäkinen, L. Azzari, A. Foi, "Collaborative filtering of correlated noise", IEEE TIP 29, 2020 (the library).
    """
    check_bm3d()
    values, noise_level = frame.values, frame.noise_level
    if values.ndim == 2:
        raise InputError("BM3D needs rows and columns, got a single line of pixels. Leave out the method bm3d.")
    if values.ndim == 4:
        return np.stack([bm3d(replace(frame, values=slice_)) for slice_ in values.swapaxes(0, 1)], axis=1)
    if not frame.is_color:
        return denoise_channels(_bm3d, values, noise_level)
    luminance_and_differences, levels = to_opponents(values, noise_level)
    return from_opponents(_bm3d(luminance_and_differences, levels)) if levels[0] > 0 else values


def check_bm3d() -> None:
    """Raise an error if the package bm3d is not installed.

    Raises
    ------
    ConfigError
        The package bm3d is not installed.
    """
    if importlib.util.find_spec("bm3d") is None:
        raise ConfigError(
            "The method bm3d needs the package bm3d, which is free for non-commercial use only. "
            "Install it with: pip install 'napari-convgen[bm3d]'."
        )


def _bm3d(image: Float[np.ndarray, "*c h w"], level: float | Float[np.ndarray, "c"]) -> Float[np.ndarray, "*c h w"]:
    import bm3d as library

    *_, h, w = image.shape
    missing = [(0, max(0, LEAST_SIDE - n)) for n in (h, w)]
    padded = np.pad(image, [(0, 0)] * (image.ndim - 2) + missing, mode="symmetric")
    channels_last = np.moveaxis(padded, 0, -1) if image.ndim == 3 else padded
    denoised = library.bm3d(channels_last, level)
    return np.asarray(np.moveaxis(denoised, -1, 0) if image.ndim == 3 else denoised)[..., :h, :w]
