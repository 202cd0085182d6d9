"""BM3D, by its authors' package, which is optional."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from jaxtyping import Float

from napari_convgen.core.baselines.channels import denoise_channels
from napari_convgen.core.baselines.color import from_opponents, to_opponents
from napari_convgen.core.baselines.frame import NoisyFrame
from napari_convgen.core.noise.estimation.spectrum import shaping_filter
from napari_convgen.errors import ConfigError, InputError

LEAST_SIDE = 16
"""Side, in pixels, up to which smaller images are mirrored: the library takes none with a single block."""


def bm3d(frame: NoisyFrame) -> Float[np.ndarray, "c *spatial"]:
    """Filter stacks of similar blocks together; a volume is filtered slice by slice.

    Blocks of a color image are matched in its luminance, as in CBM3D. The power of correlated noise at each frequency is given.

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
    denoise = partial(_bm3d, spectrum=frame.noise_spectrum)
    if not frame.is_color:
        return denoise_channels(denoise, values, noise_level)
    luminance_and_differences, levels = to_opponents(values, noise_level)
    return from_opponents(denoise(luminance_and_differences, levels)) if levels[0] > 0 else values


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


def _bm3d(
    image: Float[np.ndarray, "*c h w"],
    level: float | Float[np.ndarray, "c"],
    spectrum: Float[np.ndarray, "a b"] | None,
) -> Float[np.ndarray, "*c h w"]:
    import bm3d as library

    *_, h, w = image.shape
    missing = [(0, max(0, LEAST_SIDE - n)) for n in (h, w)]
    padded = np.pad(image, [(0, 0)] * (image.ndim - 2) + missing, mode="symmetric")
    channels_last = np.moveaxis(padded, 0, -1) if image.ndim == 3 else padded
    noise = level if spectrum is None else np.multiply.outer(_power(spectrum, padded.shape[-2:]), np.square(level))
    with _trapezoids():
        denoised = library.bm3d(channels_last, noise)
    return np.asarray(np.moveaxis(denoised, -1, 0) if image.ndim == 3 else denoised)[..., :h, :w]


@contextlib.contextmanager
def _trapezoids() -> Iterator[None]:
    """Give NumPy its former name of the trapezoidal rule, which the library (bm4d 4.2.5) calls and NumPy 2.4 has no more."""
    if hasattr(np, "trapz"):
        yield
        return
    vars(np)["trapz"] = np.trapezoid
    try:
        yield
    finally:
        del vars(np)["trapz"]


def _power(spectrum: Float[np.ndarray, "a b"], size: tuple[int, int]) -> Float[np.ndarray, "h w"]:
    """Return the power, at each frequency of `numpy.fft.fft2`, of noise with a variance of 1."""
    gain = np.fft.fft2(np.fft.irfft2(shaping_filter(spectrum, size), size))
    return np.asarray(np.abs(gain) ** 2 * size[0] * size[1])
