"""Point spread functions (PSF), checked and centered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import ndimage

from napari_convgen.errors import InputError, mismatch

N_SIGMAS = 4.0
"""Distance in standard deviations at which a Gaussian PSF ends: what lies beyond is below one in 10,000."""


@dataclass(frozen=True, eq=False)
class PointSpread:
    """A PSF with a sum of 1, its center in the middle.

    Attributes
    ----------
    values
        Share of a point's light in each pixel; an odd number of pixels along each axis.
    notes
        Sentences for the user on what was changed.
    """

    values: Float[np.ndarray, "*spatial"]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, psf: NDArray[Any]) -> Self:
        """Check a measured or computed PSF, center it and divide it by its sum.

        Its centroid, rounded to pixels, becomes its middle; zeros are added around it for that, and borders of zeros cut off.

        Parameters
        ----------
        psf
            Values in any unit, none negative, over 1 to 3 axes.

        Raises
        ------
        InputError
            Values that are no PSF.
        """
        values = _check_values(np.asarray(psf))
        values = values / values.max()  # so that the sum of integers, or of tiny numbers, is one of ordinary numbers
        centroid = ndimage.center_of_mass(values)
        shift = [c - (n - 1) / 2 for c, n in zip(centroid, values.shape, strict=True)]
        notes = []
        if max(map(abs, shift)) > 0.5 + 1e-6:  # half a pixel is what the middle of an even number of pixels is off
            moved = ", ".join(f"{-round(s)}" for s in shift)
            notes.append(f"The point spread function was off center: it was moved by ({moved}) pixels to its centroid.")
        for axis, c in enumerate(centroid):
            values = _center(values, axis, math.floor(c + 0.5))
        return cls(values / values.sum(), tuple(notes))

    @property
    def margins(self) -> tuple[int, ...]:
        """Number of pixels along each axis by which the image reaches beyond the measurement on each side."""
        return tuple(n // 2 for n in self.values.shape)

    @property
    def field_of_view(self) -> tuple[slice, ...]:
        """Part of the image, along the spatial axes, that the measurement shows."""
        return tuple(slice(margin, -margin or None) for margin in self.margins)


def check_psf_size(shape: Sequence[int], size: Sequence[int]) -> None:
    """Refuse a PSF that does not suit a measurement.

    Parameters
    ----------
    shape
        Number of the PSF's pixels along each axis.
    size
        Number of the measurement's pixels along each spatial axis.

    Raises
    ------
    InputError
        Other axes, or fewer pixels than the PSF has.
    """
    if len(size) != len(shape):
        raise InputError(
            mismatch(
                "The point spread function must have the spatial axes of the image",
                expected=f"{len(size)} axes",
                got=f"{len(shape)} axes",
                advice="Give a plane for an image, and a stack of planes for a volume.",
            )
        )
    if any(k > n for k, n in zip(shape, size, strict=True)):
        raise InputError(
            mismatch(
                "The point spread function must not be larger than the image",
                expected=f"at most {tuple(size)} pixels",
                got=f"{tuple(shape)} around its centroid",
                advice="Cut off its dark borders.",
            )
        )


def gaussian_psf(sigmas: Sequence[float], size: Sequence[int] | None = None) -> PointSpread:
    """Return a Gaussian PSF, the product of one along each axis, cut off at `N_SIGMAS` standard deviations.

    Parameters
    ----------
    sigmas
        Standard deviation along each axis, in pixels, not negative; 0 for no blur along an axis.
    size
        Number of the image's pixels along each axis, which the PSF must not exceed; ``None``, the default, for any.

    Raises
    ------
    InputError
        Negative or infinite standard deviations, or a PSF larger than the image.
    """
    if not all(0 <= sigma < math.inf for sigma in sigmas):
        raise InputError(
            f"Standard deviations of a PSF must be at least 0 and finite, got {tuple(sigmas)}. Give them in pixels."
        )
    shape = [2 * math.ceil(N_SIGMAS * sigma) + 1 for sigma in sigmas]
    if size is not None:
        check_psf_size(shape, size)
    values = np.ones(())
    for sigma, n in zip(sigmas, shape, strict=True):
        distance = np.arange(n) - n // 2
        values = np.multiply.outer(values, np.exp(-0.5 * (distance / sigma) ** 2) if sigma else np.ones(1))
    return PointSpread.of(values)


def _check_values(psf: NDArray[Any]) -> Float[np.ndarray, "*spatial"]:
    name = "The point spread function"
    if psf.dtype.kind not in "buif":
        raise InputError(f"{name} must have real numbers as values, got {psf.dtype}. Give intensities.")
    if not 1 <= psf.ndim <= 3 or 0 in psf.shape:
        raise InputError(
            f"{name} must have 1 to 3 axes with pixels, got the shape {psf.shape}. Give a plane or a volume."
        )
    values = psf.astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError(f"{name} has values that are infinite or not a number. Replace them.")
    if (values < 0).any():
        raise InputError(
            f"{name} has negative values, {values.min():g} at least. Subtract its background and cut off at 0."
        )
    if not values.any() or (values.size > 1 and values.min() == values.max()):
        raise InputError(f"{name} is constant, {values.flat[0]:g}: it shows no point. Give the image of one.")
    return values


def _center(values: Float[np.ndarray, "*before"], axis: int, middle: int) -> Float[np.ndarray, "*after"]:
    """Return values with a place along an axis as their middle: zeros added on a side, then zeros cut off on both alike."""
    others = tuple(other for other in range(values.ndim) if other != axis)
    lit = np.flatnonzero(values.any(axis=others))
    reach = max(middle - lit[0], lit[-1] - middle, 0)
    before, after = middle - reach, middle + reach + 1
    missing = [(0, 0)] * values.ndim
    missing[axis] = (max(0, -before), max(0, after - values.shape[axis]))
    return np.pad(values, missing).take(np.arange(before, after) + missing[axis][0], axis)
