"""Classical denoisers to measure the generator against.

Each takes what the generator is given, a frame in its units whose noise was made the same everywhere, and the standard
deviation of that noise. All else that it needs follows from these two, by rules from the literature that use no ground truth.
They assume that the noise of different pixels is independent.
"""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable, Mapping

import numpy as np
import pywt
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter, uniform_filter
from scipy.optimize import minimize_scalar
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, denoise_wavelet

from napari_convgen.core.noise.correlation import correlation_length
from napari_convgen.errors import ConfigError, InputError

Baseline = Callable[[Float[np.ndarray, "c *spatial"], Float[np.ndarray, "c"], bool], Float[np.ndarray, "c *spatial"]]
"""Takes values, the standard deviation of each channel's noise (0 or NaN leaves a channel as it is), and whether the channels
are red, green and blue; returns the values without noise."""

Plane = Float[np.ndarray, "*spatial"]

NLM_PATCH, NLM_DISTANCE, NLM_DISTANCE_3D, NLM_CUTOFF = 5, 6, 3, 0.7
"""Sides of the patches and how far away they are looked for, in pixels; cut-off in standard deviations of the noise."""

TV_ITERATIONS, TV_WEIGHTS = 100, (0.2, 5.0)
"""Of Chambolle's algorithm; range in which the weight is looked for, in standard deviations of the noise."""

WAVELET, WAVELET_LEVELS, WAVELET_SHIFTS = "db2", 4, 4
"""Orthogonal wavelet, its levels at most, and shifts along rows and along columns that are averaged over."""

BM3D_LEAST_SIDE = 16
"""Smaller images are mirrored up to this side: the library takes none with a single block."""

FLATTEST = 0.25
"""Share of the pixels, those with the least slope, from which the noise that channels share is told."""

LEAST_WEIGHT = 1e-2
"""Observed pixels under a Gaussian window must weigh more than this, of 1, for their mean to fill its middle."""

OPPONENTS = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
"""Luminance and two color differences, orthonormal: noise that is independent in red, green and blue stays so."""


def non_local_means(
    values: Float[np.ndarray, "c *spatial"], noise_level: Float[np.ndarray, "c"], is_color: bool
) -> Float[np.ndarray, "c *spatial"]:
    """Average pixels whose surroundings are alike; patches of a color image are compared in all its channels.

    The cut-off lies in the range that scikit-image advises where the noise's variance is taken off the distances.

    References
    ----------
    A. Buades, B. Coll, J.-M. Morel, "Non-local means denoising", Image Processing On Line 1, 2011.
    J. Darbon et al., "Fast nonlocal filtering applied to electron cryomicroscopy", IEEE ISBI 2008.
    """
    if not is_color:
        return _each(_non_local_means, values, noise_level)
    level = float(np.sqrt(np.mean(_known(noise_level) ** 2)))
    denoised = (
        _non_local_means(np.moveaxis(values, 0, -1), level, is_color) if level > 0 else np.moveaxis(values, 0, -1)
    )
    return np.moveaxis(denoised, -1, 0)


def _non_local_means(image: Plane, level: float, is_color: bool = False) -> Plane:
    n_spatial = image.ndim - is_color
    rows = image[np.newaxis] if n_spatial == 1 else image
    denoised = denoise_nl_means(
        rows,
        NLM_PATCH,
        NLM_DISTANCE_3D if n_spatial == 3 else NLM_DISTANCE,
        h=NLM_CUTOFF * level,
        sigma=level,
        preserve_range=True,
        channel_axis=-1 if is_color else None,
    )
    return np.reshape(denoised, image.shape)


def total_variation(
    values: Float[np.ndarray, "c *spatial"], noise_level: Float[np.ndarray, "c"], is_color: bool
) -> Float[np.ndarray, "c *spatial"]:
    """Minimize squared distance and total variation; color channels are luminance and color differences.

    The weight is the one with the least of Stein's unbiased estimate of the squared error, whose divergence is probed with one
    random vector. It comes within 0.1 dB of the best weight where the noise is white. (A residual as strong as the noise, the
    discrepancy principle, smooths too much: 1 to 2 dB are lost.)

    References
    ----------
    A. Chambolle, "An algorithm for total variation minimization and applications", J. Math. Imaging Vision 20, 2004.
    S. Ramani, T. Blu, M. Unser, "Monte-Carlo SURE", IEEE TIP 17(9), 2008.
    """
    return _in_opponents(_total_variation, values, noise_level, is_color)


def _total_variation(image: Plane, level: float) -> Plane:
    probe = np.random.default_rng(0).choice([-1.0, 1.0], image.shape)
    step = 0.1 * level

    def smooth(noisy: Plane, weight: float) -> Plane:
        return np.asarray(denoise_tv_chambolle(noisy, weight, eps=0, max_num_iter=TV_ITERATIONS))

    def risk(log_weight: float) -> float:
        weight = level * np.exp(log_weight)
        smoothed = smooth(image, weight)
        divergence = np.mean(probe * (smooth(image + step * probe, weight) - smoothed)) / step
        return float(np.mean((smoothed - image) ** 2) + 2 * level**2 * divergence)

    best = minimize_scalar(risk, bounds=np.log(TV_WEIGHTS), method="bounded", options={"xatol": 0.1})
    return smooth(image, level * np.exp(best.x))


def wavelet_shrinkage(
    values: Float[np.ndarray, "c *spatial"], noise_level: Float[np.ndarray, "c"], is_color: bool
) -> Float[np.ndarray, "c *spatial"]:
    """Shrink wavelet coefficients by BayesShrink, and average over shifts of the image (cycle spinning).

    Color channels are luminance and color differences.

    References
    ----------
    S. G. Chang, B. Yu, M. Vetterli, "Adaptive wavelet thresholding for image denoising and compression", IEEE TIP 9(9), 2000.
    R. R. Coifman, D. L. Donoho, "Translation-invariant de-noising", Wavelets and Statistics, 1995.
    """
    return _in_opponents(_wavelet_shrinkage, values, noise_level, is_color)


def _wavelet_shrinkage(image: Plane, level: float) -> Plane:
    n_levels = min(WAVELET_LEVELS, pywt.dwtn_max_level(image.shape, WAVELET))
    axes = tuple(range(image.ndim))[-2:]
    shifts = list(itertools.product(range(WAVELET_SHIFTS), repeat=len(axes)))
    total = np.zeros_like(image)
    for shift in shifts:
        there = np.roll(image, shift, axes)
        shrunk = denoise_wavelet(there, level, WAVELET, wavelet_levels=n_levels, method="BayesShrink")
        total += np.roll(shrunk, [-n for n in shift], axes)
    return total / len(shifts)


def bm3d(
    values: Float[np.ndarray, "c *spatial"], noise_level: Float[np.ndarray, "c"], is_color: bool
) -> Float[np.ndarray, "c *spatial"]:
    """Filter stacks of similar blocks together; a volume slice by slice.

    Blocks of a color image are matched in its luminance, as in CBM3D.

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
    if values.ndim == 2:
        raise InputError("BM3D needs rows and columns, got a single line of pixels. Leave the method bm3d away.")
    if values.ndim == 4:
        return np.stack([bm3d(slice_, noise_level, is_color) for slice_ in values.swapaxes(0, 1)], axis=1)
    if not is_color:
        return _each(_bm3d, values, noise_level)
    luminance_and_differences, levels = to_opponents(values, noise_level)
    return from_opponents(_bm3d(luminance_and_differences, levels)) if levels[0] > 0 else values


def _bm3d(image: Float[np.ndarray, "*c h w"], level: float | Float[np.ndarray, "c"]) -> Float[np.ndarray, "*c h w"]:
    import bm3d as library

    *_, h, w = image.shape
    missing = [(0, max(0, BM3D_LEAST_SIDE - n)) for n in (h, w)]
    padded = np.pad(image, [(0, 0)] * (image.ndim - 2) + missing, mode="symmetric")
    channels_last = np.moveaxis(padded, 0, -1) if image.ndim == 3 else padded
    denoised = library.bm3d(channels_last, level)
    return np.asarray(np.moveaxis(denoised, -1, 0) if image.ndim == 3 else denoised)[..., :h, :w]


def check_bm3d() -> None:
    """Refuse to go on without the package bm3d.

    Raises
    ------
    ConfigError
        It is not installed.
    """
    if importlib.util.find_spec("bm3d") is None:
        raise ConfigError(
            "The method bm3d needs the package bm3d, which is free for non-commercial use only. "
            "Install it with: pip install 'napari-convgen[bm3d]'."
        )


BASELINES: Mapping[str, Baseline] = {
    "nlm": non_local_means,
    "tv": total_variation,
    "wavelet": wavelet_shrinkage,
    "bm3d": bm3d,
}
"""By the name under which `napari_convgen.run.compare.run` knows them."""


def fill_missing(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"]
) -> Float[np.ndarray, "c *spatial"]:
    """Fill what is missing with a weighted mean of its surroundings, as narrow as they allow; a channel without values stays."""
    return np.stack([_filled(*each) if each[1].any() else each[0] for each in zip(values, is_observed, strict=True)])


def _filled(values: Plane, is_observed: Bool[np.ndarray, "*spatial"]) -> Plane:
    observed = np.where(is_observed, values, 0.0)
    filled, is_missing, width = observed.copy(), ~is_observed, 1.0
    while is_missing.any():
        least = LEAST_WEIGHT if width < max(values.shape) else 0.0
        weight = gaussian_filter(is_observed.astype(float), width, truncate=6)
        is_new = is_missing & (weight > least)
        filled[is_new] = gaussian_filter(observed, width, truncate=6)[is_new] / weight[is_new]
        is_missing, width = is_missing & ~is_new, 2 * width
    return filled


def to_opponents(
    values: Float[np.ndarray, "3 *spatial"], noise_level: Float[np.ndarray, "3"]
) -> tuple[Float[np.ndarray, "3 *spatial"], Float[np.ndarray, "3"]]:
    """Return luminance and color differences, and the standard deviation of each one's noise.

    Where red, green and blue have the same noise, as in a gray image, all of it lies in the luminance.
    """
    covariance = noise_covariance(values, _known(noise_level))
    variances = np.einsum("ij,jk,ik->i", OPPONENTS, covariance, OPPONENTS)
    return np.asarray(np.tensordot(OPPONENTS, values, 1)), np.sqrt(np.maximum(variances, 0))


def from_opponents(values: Float[np.ndarray, "3 *spatial"]) -> Float[np.ndarray, "3 *spatial"]:
    """Return red, green and blue."""
    return np.asarray(np.tensordot(OPPONENTS.T, values, 1))


def noise_covariance(
    values: Float[np.ndarray, "c *spatial"], noise_level: Float[np.ndarray, "c"]
) -> Float[np.ndarray, "c c"]:
    """Estimate how far the noise of one channel is that of another, where its standard deviations are known.

    Differences along the last two axes, between pixels with independent noise, cancel what is smooth; the quarter of the pixels
    where the mean over the channels changes least is used. What the differences have beyond the noise is structure, which is
    taken to be alike in all channels.
    """
    distance = correlation_length(values, np.ones(values.shape, bool))
    axes = [axis for axis in range(max(1, values.ndim - 2), values.ndim) if values.shape[axis] > distance + 1]
    smooth = uniform_filter(values.mean(0), 5)
    differences, slope = values, np.sum([np.abs(np.gradient(smooth, axis=axis - 1)) for axis in axes], axis=0)
    for axis in axes:
        n = values.shape[axis]
        ahead, here = range(distance, n), range(n - distance)
        differences = np.take(differences, ahead, axis) - np.take(differences, here, axis)
        slope = np.take(slope, here, axis - 1)
    flat = differences[:, slope <= np.quantile(slope, FLATTEST)]
    covariance = flat @ flat.T / flat.shape[1] / 2 ** len(axes)
    structure = np.sqrt(np.maximum(np.diag(covariance) - noise_level**2, 0))
    most = np.outer(noise_level, noise_level)
    covariance = np.asarray(np.clip(covariance - np.outer(structure, structure), 0, most))
    np.fill_diagonal(covariance, noise_level**2)
    return np.asarray(covariance)


def _known(noise_level: Float[np.ndarray, "c"]) -> Float[np.ndarray, "c"]:
    return np.asarray(np.where(noise_level > 0, noise_level, 0.0))


def _each(
    denoise: Callable[..., Plane], values: Float[np.ndarray, "c *spatial"], levels: Float[np.ndarray, "c"]
) -> Float[np.ndarray, "c *spatial"]:
    """Denoise channel by channel; one without noise stays as it is."""
    pairs = zip(values, levels, strict=True)
    return np.stack([denoise(channel, float(level)) if level > 0 else channel for channel, level in pairs])


def _in_opponents(
    denoise: Callable[..., Plane],
    values: Float[np.ndarray, "c *spatial"],
    noise_level: Float[np.ndarray, "c"],
    is_color: bool,
) -> Float[np.ndarray, "c *spatial"]:
    if not is_color:
        return _each(denoise, values, noise_level)
    return from_opponents(_each(denoise, *to_opponents(values, noise_level)))
