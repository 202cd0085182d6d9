"""Image quality against a reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.ndimage import minimum_filter
from skimage.metrics import structural_similarity


@dataclass(frozen=True)
class Scores:
    """Quality of an image against a reference.

    Attributes
    ----------
    psnr
        Peak signal-to-noise ratio in dB.
    ssim
        Mean structural similarity; NaN for images with fewer than 3 pixels along a side.
    """

    psnr: float
    ssim: float


def reference_range(reference: NDArray[Any], dtype: DTypeLike | None = None) -> float:
    """Return the data range of the scores: 255 for uint8, 1 for bool, else the maximum of the reference minus its minimum.

    Parameters
    ----------
    reference
        Image that is scored against.
    dtype
        Type in which its values were recorded; ``None``, the default, for its own.
    """
    recorded = np.dtype(reference.dtype if dtype is None else dtype)
    if recorded == np.uint8:
        return 255.0
    if recorded.kind == "b":
        return 1.0
    return float(np.nanmax(reference)) - float(np.nanmin(reference))


def psnr(image: NDArray[Any], reference: NDArray[Any], data_range: float) -> float:
    """Return the peak signal-to-noise ratio in dB, over the pixels where both images are finite.

    Parameters
    ----------
    image, reference
        Images of the same shape and units.
    data_range
        Peak value, in the units of the images.
    """
    difference = image.astype(np.float64) - reference.astype(np.float64)
    known = difference[np.isfinite(difference)]
    if not known.size:
        return float("nan")
    error = np.mean(known**2)
    return float(10 * np.log10(data_range**2 / error)) if error else float("inf")


def ssim(image: NDArray[Any], reference: NDArray[Any], data_range: float, channel: int | None) -> float:
    """Return the mean structural similarity over uniform windows of 7 pixels, scikit-image's default.

    Parameters
    ----------
    image, reference
        Images of the same shape and units; windows with a pixel that is not finite in one of them do not count.
    data_range
        As for `psnr`.
    channel
        Position of the channel axis; ``None`` if there is none.
    """
    a, b = image.astype(np.float64), reference.astype(np.float64)
    is_known = np.isfinite(a) & np.isfinite(b)
    side = min(n for axis, n in enumerate(a.shape) if axis != channel)
    if side < 3:
        return float("nan")
    window = min(7, side - (side + 1) % 2)
    if is_known.all():
        return float(structural_similarity(a, b, win_size=window, data_range=data_range, channel_axis=channel))
    a, b = (np.where(is_known, each, 0.0) for each in (a, b))
    _, each = structural_similarity(a, b, win_size=window, data_range=data_range, channel_axis=channel, full=True)
    sides = [1 if axis == channel else window for axis in range(a.ndim)]
    counts = minimum_filter(is_known.astype(np.uint8), sides).astype(bool)
    inside = tuple(
        slice(None) if axis == channel else slice(window // 2, n - window // 2) for axis, n in enumerate(a.shape)
    )
    counted = each[inside][counts[inside]]
    return float(counted.mean()) if counted.size else float("nan")


def match_affine(image: NDArray[Any], reference: NDArray[Any]) -> NDArray[np.float64]:
    """Return the image with the gain and offset that fit it to the reference by least squares.

    This makes scores meaningful if the intensities of both images were rescaled separately.

    Parameters
    ----------
    image, reference
        Images of the same shape; pixels that are not finite in one of them are left out of the fit.
    """
    values, truth = image.astype(np.float64), reference.astype(np.float64)
    is_known = np.isfinite(values) & np.isfinite(truth)
    columns = np.stack([values[is_known], np.ones(is_known.sum())], axis=1)
    gain, offset = np.linalg.lstsq(columns, truth[is_known], rcond=None)[0]
    return np.asarray(gain * values + offset)
