"""Arrays checked at the door, frame by frame, before anything is fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from napari_convgen.core.image.layout import Layout, frame_channels_first
from napari_convgen.errors import InputError

MIN_SIDE = 4
"""The longest side of a frame must have at least this many pixels: a generator doubles a coarser grid."""


class ArrayLike(Protocol):
    """What is asked of an array: numpy, dask, zarr and other lazy arrays have it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values along each axis."""
        ...

    @property
    def dtype(self) -> Any:
        """Of the values, as numpy understands it."""
        ...

    def __getitem__(self, index: Any, /) -> Any: ...


@dataclass(frozen=True)
class FrameCheck:
    """What a look at one frame found.

    Attributes
    ----------
    n_missing
        NaN values.
    is_constant
        Whether nothing is there to fit: all values the same, or all missing.
    """

    n_missing: int
    is_constant: bool


def check_array(array: ArrayLike, layout: Layout) -> list[FrameCheck]:
    """Look at every frame, one at a time, and refuse what cannot be fitted.

    Raises
    ------
    InputError
        Complex or non-numeric values, no values, frames too small, infinite values, or an image that is constant throughout.
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
    checks = []
    for index in layout.frames(array.shape):
        frame = frame_channels_first(np.asarray(array[index]), layout)
        if np.isinf(frame).any():
            raise InputError(
                f"The image has {np.isinf(frame).sum()} infinite values{_where(index, layout)}. "
                "Replace them by NaN, which marks missing pixels."
            )
        valid = frame[~np.isnan(frame)] if dtype.kind == "f" else frame
        n_missing = frame.size - valid.size
        checks.append(FrameCheck(n_missing, not valid.size or bool((valid == valid.flat[0]).all())))
    if all(check.is_constant for check in checks):
        value = "missing (NaN)" if all(check.n_missing == frame.size for check in checks) else "the same"
        raise InputError(
            f"The image is constant: all its values are {value}. There is nothing to denoise; choose another one."
        )
    return checks


def _where(index: tuple[int | slice, ...], layout: Layout) -> str:
    places = [f"{layout.axes[i]} = {index[i]}" for i in layout.frame_axes()]
    return f" at {', '.join(places)}" if places else ""
