"""An image as both doors, the layers of a window and the files, hand it over."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.core.image.layout import Layout
from napari_convgen.core.image.lazy import ArrayLike


@dataclass(frozen=True, eq=False)
class Image:
    """An array with the meaning of its axes.

    Attributes
    ----------
    data
        Values: an array, or a lazy array that is computed frame by frame.
    axes
        One letter for each axis, see `napari_convgen.core.image.Layout`; ``None``, the default, to guess them.
    scale
        Distance between neighboring values along each axis, in ``units``; 1 along axes that have no distance. ``None``, the default, if
        it is not known.
    units
        Unit along each axis, such as ``"micrometer"``; ``None``, the default, if it is not known.
    name
        Name for titles and messages; default ``"image"``.
    noise_kind
        Kind of noise that the image's source says it has, such as ``rician`` for magnitudes of magnetic resonance; it is taken where a
        configuration leaves the kind to the image (``"auto"``). ``None``, the default, if the source does not say.
    notes
        Sentences about the reading for the user, which the notes of a result begin with; none by default.
    """

    data: ArrayLike
    axes: str | None = None
    scale: tuple[float, ...] | None = None
    units: tuple[str, ...] | None = None
    name: str = "image"
    noise_kind: str | None = None
    notes: tuple[str, ...] = ()

    def spacing(self, layout: Layout) -> tuple[float, ...] | None:
        """Return the distance of pixels along each spatial axis; ``None`` if it is not known, or in different units."""
        spatial = [axis for axis, letter in enumerate(layout.axes) if letter in layout.spatial]
        if self.scale is None or len({self.units[axis] for axis in spatial if self.units is not None}) > 1:
            return None
        apart = tuple(abs(float(self.scale[axis])) for axis in spatial)
        return apart if all(0 < d < math.inf for d in apart) else None


def removed(image: ArrayLike, result: NDArray[Any]) -> NDArray[np.float32]:
    """Return what a denoiser removed from an image, in the image's units: the image minus the result.

    It is the residual of denoising as users see it, with the sign of the noise; the fit itself asks
    `napari_convgen.core.problem.Problem.residual`.

    Parameters
    ----------
    image, result
        Noisy and denoised image of one shape.
    """
    difference: NDArray[np.float32] = np.subtract(np.asarray(image), result, dtype=np.float64).astype(np.float32)
    return difference


def magnitude(image: NDArray[Any]) -> NDArray[Any]:
    """Return the magnitude of a complex image; a real one as it is."""
    return np.abs(image) if np.iscomplexobj(image) else image
