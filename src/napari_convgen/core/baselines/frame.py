"""What a classical denoiser is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.baselines.missing import fill_missing
from napari_convgen.core.image import ImageTensor, Layout


@dataclass(frozen=True, eq=False)
class NoisyFrame:
    """A frame whose noise has the same standard deviation everywhere.

    Attributes
    ----------
    values
        Values, ``(c, h, w)``; a volume has a third spatial axis, a line has one. Missing pixels have been filled in.
    noise_level
        Standard deviation of the noise of each channel, in the unit of ``values``; 0 or NaN for a channel without noise.
    is_color
        True if the three channels are red, green and blue; default False.
    is_observed
        False at pixels that were missing; ``None``, the default, if none were.
    noise_spectrum
        Power of the noise at each frequency along the last two axes, see `napari_convgen.core.noise.noise_spectrum`; ``None``, the
        default, for white noise.
    is_stack
        True if the first spatial axis counts the frames of a stack, see `stack`; default False.
    """

    values: Float[np.ndarray, "c *spatial"]
    noise_level: Float[np.ndarray, "c"]
    is_color: bool = False
    is_observed: Bool[np.ndarray, "c *spatial"] | None = None
    noise_spectrum: Float[np.ndarray, "a b"] | None = None
    is_stack: bool = False

    @classmethod
    def of(cls, image: ImageTensor, layout: Layout, is_seen: Bool[np.ndarray, "c *spatial"] | None = None) -> Self:
        """Return a frame in the generator's units, its missing pixels filled in with a mean of their surroundings.

        Parameters
        ----------
        image
            The frame.
        layout
            Meaning of the array's axes.
        is_seen
            False at pixels to take for missing; those that were not observed if ``None``, the default.
        """
        is_seen = image.is_observed if is_seen is None else is_seen
        return cls(
            values=fill_missing(image.values, is_seen),
            noise_level=image.noise_level,
            is_color=layout.is_color and len(image.values) == len("RGB"),
            is_observed=None if is_seen.all() else is_seen,
            noise_spectrum=image.noise_spectrum,
        )

    @classmethod
    def stack(cls, frames: Sequence[Self]) -> Self:
        """Return frames with the same noise as one, along a first spatial axis.

        Parameters
        ----------
        frames
            Frames of two spatial axes and the same shape, whose noise has the same level in the unit of their values.
        """
        is_observed = None
        if any(frame.is_observed is not None for frame in frames):
            masks = [np.True_ if frame.is_observed is None else frame.is_observed for frame in frames]
            is_observed = np.stack([np.broadcast_to(mask, frames[0].values.shape) for mask in masks], 1)
        values = np.stack([frame.values for frame in frames], 1)
        return replace(frames[0], values=values, is_observed=is_observed, is_stack=True)
