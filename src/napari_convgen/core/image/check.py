"""Arrays checked at the door: what cannot be fitted is refused before anything starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.core.image.fill import LARGEST, LEAST_RANGE
from napari_convgen.core.image.layout import Layout, frame_channels_first
from napari_convgen.core.image.lazy import ArrayLike
from napari_convgen.core.image.looks import notes_on_looks
from napari_convgen.core.image.measured import LeftOut, Measured
from napari_convgen.errors import InputError

MIN_SIDE = 4
"""Least number of pixels along the longest side of a frame: a generator doubles a coarser grid, of 2 pixels at least."""


@dataclass(frozen=True)
class FrameCheck:
    """What a look at one frame found.

    Attributes
    ----------
    left_out
        What is left out of the fit.
    is_constant
        True if there is nothing to fit: all values are the same, or all are missing.
    is_missing
        True if all values are missing.
    notes
        Advice for what the frame looks like, see `notes_on_looks`.
    """

    left_out: LeftOut
    is_constant: bool
    is_missing: bool = False
    notes: tuple[str, ...] = ()


def check_array(array: ArrayLike, layout: Layout) -> list[FrameCheck]:
    """Check an array and each of its frames, one at a time.

    Raises
    ------
    InputError
        Complex or non-numeric values, no values, frames too small, infinite values, or an image that is constant throughout.
    """
    check_kind(array, layout)
    checks = [check_frame(np.asarray(array[index]), index, layout)[0] for index in layout.frames(array.shape)]
    refuse_constant(checks)
    return checks


def check_kind(array: ArrayLike, layout: Layout) -> None:
    """Check what can be known of an array without reading its values.

    Raises
    ------
    InputError
        Complex or non-numeric values, no values, or frames too small.
    """
    dtype = np.dtype(array.dtype)
    if dtype.kind == "c":
        raise InputError(
            f"The image has complex values ({dtype}). Denoise its magnitude, or real and imaginary part as two channels."
        )
    if dtype.kind not in "buif":
        raise InputError(f"The image must have numbers as values, got {dtype}. Convert it to an integer or float type.")
    if 0 in array.shape or not array.shape:
        raise InputError(f"The image has no pixels: its shape is {tuple(array.shape)}. Choose another one.")
    if max(layout.spatial_shape(array.shape)) < MIN_SIDE:
        raise InputError(
            f"The image is too small to denoise: one side at least must have {MIN_SIDE} pixels, "
            f"got {' × '.join(map(str, layout.spatial_shape(array.shape)))} in {layout.spatial}. Choose another one."
        )


def is_doubtful(frame: NDArray[Any]) -> bool:
    """Return True for a frame that `check_frame` could refuse or find constant, from its least and its largest value alone."""
    low, high = (float(extreme.reduce(frame, axis=None)) for extreme in (np.fmin, np.fmax))
    return not (low >= -LARGEST and high <= LARGEST and high - low >= LEAST_RANGE)


def check_frame(frame: NDArray[Any], index: tuple[int | slice, ...], layout: Layout) -> tuple[FrameCheck, Measured]:
    """Check the values of one frame, and return what was found, and what of the frame was measured.

    Parameters
    ----------
    frame
        Values of the frame.
    index
        Place of the frame in the array, for the error.
    layout
        Axes of the array.

    Raises
    ------
    InputError
        Infinite values, or values or differences whose powers cannot be computed.
    """
    values = frame_channels_first(frame, layout)
    if np.isinf(values).any():
        raise InputError(
            f"The image has {np.isinf(values).sum()} infinite values{_where(index, layout)}. "
            "Replace them by NaN, which marks missing pixels."
        )
    measured = Measured.of(frame, layout)
    valid = measured.values[measured.is_observed]
    is_missing = not valid.size
    if not is_missing and (largest := np.abs(valid).max()) > LARGEST:
        raise InputError(
            f"The image has values of up to {largest:.1e}{_where(index, layout)}, and their squares cannot be computed. Divide it by a "
            f"number, so that its values lie within ±{LARGEST:g}, or replace these values by NaN, which marks missing pixels."
        )
    is_constant = is_missing or bool((valid == valid[0]).all())
    if not is_constant and (least := _least_range(measured)) < LEAST_RANGE:
        raise InputError(
            f"The image has values that differ by {least:.1e} at most{_where(index, layout)}, and powers of that cannot be computed. "
            f"Multiply it by a number, so that its values differ by {LEAST_RANGE:g} or more."
        )
    notes = () if is_constant else notes_on_looks(measured.values, measured.is_observed, frame.dtype)
    return FrameCheck(measured.left_out, is_constant, is_missing, notes), measured


def refuse_constant(checks: Sequence[FrameCheck]) -> None:
    """Refuse an image that has nothing to fit in any of its frames.

    Raises
    ------
    InputError
        All frames are constant.
    """
    if all(check.is_constant for check in checks):
        value = "missing (NaN)" if all(check.is_missing for check in checks) else "the same"
        raise InputError(f"The image is constant: all its values are {value}. Choose another one.")


def _least_range(measured: Measured) -> float:
    """Return the least range, over the channels, of what was measured."""
    return min(float(np.ptp(x[seen])) for x, seen in zip(measured.values, measured.is_observed, strict=True))


def _where(index: tuple[int | slice, ...], layout: Layout) -> str:
    places = [f"{layout.axes[i]} = {index[i]}" for i in layout.frame_axes()]
    return f" at {', '.join(places)}" if places else ""
