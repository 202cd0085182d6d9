"""Checks of what a verb is given: the image, and the ground truth to score against."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from napari_convgen.core.image import ArrayLike
from napari_convgen.core.quality.metrics import reference_range
from napari_convgen.errors import InputError, mismatch
from napari_convgen.run.denoise.result import Reference


def as_array(image: Any) -> ArrayLike:
    """Return an image as an array; one that can be sliced lazily stays as it is.

    Parameters
    ----------
    image
        Array of any library, or nested sequences of numbers.

    Raises
    ------
    InputError
        The image is a masked array, or no array of numbers.
    """
    if isinstance(image, np.ma.MaskedArray):
        raise InputError(
            "The image is a masked array, whose mask would be lost. Fill it: image.astype(float).filled(numpy.nan)."
        )
    try:
        np.dtype(image.dtype)
    except (AttributeError, TypeError):  # a list, or a tensor of another library
        try:
            return np.asarray(image)
        except (TypeError, ValueError) as error:
            raise InputError(f"The image cannot be read as an array: {error}. Give an array of numbers.") from error
    array: ArrayLike = image
    return array


def check_reference(reference: ArrayLike | None, data_range: float | None, shape: tuple[int, ...]) -> Reference | None:
    """Return the ground truth that an image is scored against, with its data range.

    Parameters
    ----------
    reference
        Ground truth; ``None`` for none, which returns ``None``.
    data_range
        Positive range of the ground truth's values, in image units, which PSNR and SSIM refer to; ``None`` takes `reference_range`.
    shape
        Shape of the image.

    Raises
    ------
    InputError
        The ground truth has another shape, no real numbers, or no range.
    """
    if reference is None:
        return None
    truth = np.asarray(reference)
    if truth.shape != tuple(shape):
        raise InputError(
            mismatch(
                "The reference must have the shape of the image",
                expected=tuple(shape),
                got=truth.shape,
                advice="Crop or resample one of them.",
            )
        )
    if truth.dtype.kind not in "buif":
        raise InputError(f"The reference must have real numbers as values, got {truth.dtype}.")
    peak = reference_range(truth) if data_range is None else float(data_range)
    if not (math.isfinite(peak) and peak > 0):
        raise InputError(
            f"The data range of the scores must be positive, got {peak}: give data_range, or a reference that is not constant."
        )
    return Reference(truth, peak)
