"""The meaning of each axis of an array, and its division into frames.

A frame is what one generator is fitted to: it has the spatial axes (columns, rows, or a volume) and the channels. All other axes count
frames.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from napari_convgen.errors import InputError, mismatch

MOST_CHANNELS, LEAST_SIDE = 5, 32
"""Largest length of a last axis that is taken for channels if none are named, and least length of the two before it. Our choice: images
that narrow are rare, and arrays with channels last are common."""


@dataclass(frozen=True)
class Layout:
    """The meaning of each axis of an array.

    Attributes
    ----------
    axes
        Letters of the axes in the array's order, one each: ``X``, ``Y`` and ``Z`` for space, ``C`` for channels, ``S`` for color samples
        (RGB or RGBA); any other letter counts frames.
    spatial
        Letters of the spatial axes of a frame, in the array's order: ``"X"``, ``"YX"`` or ``"ZYX"``, for example.
    is_joint
        True, the default, if the channels belong to one frame; False if a channel axis ``C`` counts frames too.
    """

    axes: str
    spatial: str
    is_joint: bool = True

    @classmethod
    def of(
        cls, shape: Sequence[int], axes: str | None = None, z_axis: Literal["frames", "volume"] = "frames"
    ) -> Layout:
        """Return the layout of an array with these axes, or with axes that are guessed from its shape.

        Parameters
        ----------
        shape
            Shape of the array.
        axes
            Letters of the axes, see `Layout`; ``None``, the default, guesses them, see `guess_axes`.
        z_axis
            Role of a ``Z`` axis: part of a frame (``"volume"``) or a count of frames (``"frames"``, the default). An image with one row,
            column or slice is a plane of the other two axes, whatever the role.

        Raises
        ------
        InputError
            The axes do not fit the array, or they lack rows or columns.
        """
        axes = guess_axes(shape) if axes is None else axes.upper()
        if len(axes) != len(shape):
            raise InputError(
                mismatch(
                    "axes must name each axis of the image once",
                    expected=f"{len(shape)} letters for shape {tuple(shape)}",
                    got=f"{axes!r}",
                    advice="Name the axes in order, for example 'TYX'.",
                )
            )
        if not axes.isalpha() or len(set(axes)) < len(axes) or {"C", "S"} <= set(axes):
            raise InputError(
                f"axes must be different letters with at most one of C and S, got {axes!r}. Use for example 'TCYX' or 'YXS'."
            )
        if "S" in axes and shape[axes.index("S")] not in (3, 4):
            raise InputError(
                f"The color axis S must have 3 or 4 samples, got {shape[axes.index('S')]} in axes {axes!r}. Use C for other channels."
            )
        spatial = "".join(letter for letter in axes if letter in "YX")
        if "X" not in spatial or ("Y" not in spatial and set(axes) - {"X", "C"}):
            raise InputError(f"axes must name the rows Y and the columns X, got {axes!r}. Use for example 'ZYX'.")
        if z_axis == "volume":
            if "Z" not in axes or "Y" not in axes:
                raise InputError(
                    f"A Z axis that is a volume (z_axis = 'volume') needs the axes Z, Y and X, got {axes!r}. Give 'ZYX' as the axes, or "
                    "let the Z axis be frames (z_axis = 'frames')."
                )
            spatial = "".join(letter for letter in axes if letter in "ZYX")
        return cls(axes, _thin_plane(shape, axes) or spatial)

    @property
    def channel(self) -> int | None:
        """Position of the channel or color axis in the array; ``None`` without one."""
        return next((i for i, letter in enumerate(self.axes) if letter in "CS"), None)

    @property
    def frame_channel(self) -> int | None:
        """Position of the channel or color axis in a frame; ``None`` without one."""
        kept = [letter for letter in self.axes if letter in self._of_frame]
        return next((i for i, letter in enumerate(kept) if letter in "CS"), None)

    @property
    def _of_frame(self) -> str:
        return self.spatial + ("CS" if self.is_joint else "S")

    @property
    def is_color(self) -> bool:
        """True if the channels are the samples of one color image, which share one intensity range."""
        return "S" in self.axes

    def frame_axes(self) -> list[int]:
        """Return the positions of the axes that count frames."""
        return [i for i, letter in enumerate(self.axes) if letter not in self._of_frame]

    def frame_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape of one frame of an array of ``shape``."""
        counted = self.frame_axes()
        return tuple(n for i, n in enumerate(shape) if i not in counted)

    def spatial_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the lengths of the spatial axes of an array of ``shape``."""
        return tuple(n for n, letter in zip(shape, self.axes, strict=True) if letter in self.spatial)

    def letters_of_part(self, kept: Sequence[int]) -> str:
        """Return the letters of some axes, among them those of a frame, as those of an array of its own: a plane has rows and columns.

        Parameters
        ----------
        kept
            Positions of the axes.
        """
        letters = "".join(self.axes[axis] for axis in kept)
        absent = "".join(letter for letter in "YX" if letter not in self.spatial)
        return letters.replace("Z", absent) if len(self.spatial) == 2 and absent else letters

    def n_channels(self, shape: Sequence[int]) -> int:
        """Return the number of channels of a frame of an array of ``shape``."""
        return math.prod(self.frame_shape(shape)) // math.prod(self.spatial_shape(shape))

    def frames(self, shape: Sequence[int]) -> Iterator[tuple[int | slice, ...]]:
        """Yield the index of each frame of an array of ``shape``; the last of the axes that count frames changes fastest."""
        counted = self.frame_axes()
        for numbers in itertools.product(*(range(shape[i]) for i in counted)):
            index: list[int | slice] = [slice(None)] * len(shape)
            for i, number in zip(counted, numbers, strict=True):
                index[i] = number
            yield tuple(index)


def guess_axes(shape: Sequence[int], is_color: bool | None = None) -> str:
    """Return a guess of the letter of each axis.

    From the last axis to the first these are color (S) if there is any, columns (X), rows (Y), Z and T. An array with five axes and no
    color also has channels (C), between T and Z. Axes before these are named A. A last axis of at most five values after two of at least
    32 counts channels (C), if it is no color.

    Parameters
    ----------
    shape
        Shape of the array.
    is_color
        True if the last axis holds color samples; ``None``, the default, decides that 3 or 4 values after two longer axes are.

    Raises
    ------
    InputError
        There are more than five axes beside color.
    """
    if is_color is None:
        is_color = len(shape) >= 3 and shape[-1] in (3, 4) and min(shape[-3:-1]) > 4
        if len(shape) >= 3 and not is_color and shape[-1] <= MOST_CHANNELS and min(shape[-3:-1]) >= LEAST_SIDE:
            return guess_axes(shape[:-1], False).replace("C", "A") + "C"
    n = len(shape) - is_color
    if n > len("TCZYX"):
        raise InputError(
            f"The axes of an image of shape {tuple(shape)} cannot be guessed. Name them, for example 'ATCZYX'."
        )
    letters = "TZYX" if is_color or n < len("TCZYX") else "TCZYX"
    return ("A" * (n - len(letters)) + letters[-n:] if n else "") + "S" * is_color


def _thin_plane(shape: Sequence[int], axes: str) -> str:
    """Return the two axes of space that are longer than 1, of an image that has all three; empty if not just two are."""
    long = "".join(letter for n, letter in zip(shape, axes, strict=True) if letter in "ZYX" and n > 1)
    return long if len(long) == 2 and set("ZYX") <= set(axes) else ""


def frame_channels_first(frame: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """Return a frame with its channels first, a single one if it has no channel axis; alpha is left out."""
    channel = layout.frame_channel
    if channel is None:
        return frame[np.newaxis]
    return np.moveaxis(frame, channel, 0)[: 3 if layout.is_color else None]


def channels_first(
    frame: NDArray[Any], layout: Layout
) -> tuple[Float[np.ndarray, "c *spatial"], Bool[np.ndarray, "c *spatial"]]:
    """Return a frame's values with its channels first, and a mask that is True where they are observed (not NaN); alpha is left out."""
    values = frame_channels_first(frame, layout).astype(np.float64)
    return values, ~np.isnan(values)
