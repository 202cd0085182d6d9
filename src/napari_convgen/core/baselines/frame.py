"""What a classical denoiser is given."""

from __future__ import annotations

from dataclasses import dataclass
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
    """

    values: Float[np.ndarray, "c *spatial"]
    noise_level: Float[np.ndarray, "c"]
    is_color: bool = False
    is_observed: Bool[np.ndarray, "c *spatial"] | None = None
    noise_spectrum: Float[np.ndarray, "a b"] | None = None

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
