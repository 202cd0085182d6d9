"""Point spread functions (PSF) in the form: one from a layer, and the width of a Gaussian one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_convgen.core.image import Layout
from napari_convgen.errors import InputError
from napari_convgen.viewer.layers.door import finest_level
from napari_convgen.viewer.layers.units import format_lengths, unit_factors

TOLERANCE = 0.02
"""Relative difference of two pixel sizes that is taken for rounding. Our choice, no benchmark."""

FWHM = 2 * math.sqrt(2 * math.log(2))
"""Full width of a Gaussian at half its maximum, in standard deviations."""


def read_psf(layer: Image, image: Image, layout: Layout) -> NDArray[Any]:
    """Return the values of the PSF in a layer; axes of length 1 are left out where it has more axes than the image.

    Parameters
    ----------
    layer
        Layer of the PSF.
    image, layout
        Layer of the image that is to be deblurred, and the meaning of its axes.

    Raises
    ------
    InputError
        Pixels of another size than the image's.
    """
    values, axes = np.asarray(finest_level(layer)), spatial_axes(layout)
    own, n = np.abs(layer.scale), min(layer.ndim, len(axes))
    size = np.abs(image.scale)[axes]
    units = [image.units[axis] for axis in axes]
    converted = own[-n:] * unit_factors(layer.units, units)
    known = all(a.is_compatible_with(b) for a, b in zip(layer.units[-n:], units[-n:], strict=True))
    if known and not np.allclose(converted, size[-n:], rtol=TOLERANCE, atol=0):
        raise InputError(
            f"The pixels of the point spread function '{layer.name}' must be as large as the image's, expected "
            f"{format_lengths(size[-n:], units[-n:])}, got {format_lengths(own[-n:], layer.units[-n:])}. Resample it, or set its layer's "
            "scale."
        )
    extra = values.ndim - len(axes)
    return values.reshape(values.shape[extra:]) if extra > 0 and set(values.shape[:extra]) == {1} else values


def describe_gaussian(sigma: float, image: Image, layout: Layout) -> str:
    """Say how wide a Gaussian PSF is in the units of the image; nothing if they are pixels.

    Parameters
    ----------
    sigma
        Standard deviation in pixels.
    image, layout
        Layer of the image that is to be deblurred, and the meaning of its axes.
    """
    axes = spatial_axes(layout)
    units = [image.units[axis] for axis in axes]
    widths = sigma * np.abs(image.scale)[axes]
    if all(str(unit) == "pixel" for unit in units):
        return f"Full width at half maximum: {FWHM * sigma:.3g} pixels."
    return f"Standard deviation {format_lengths(widths, units)}, full width at half maximum {format_lengths(FWHM * widths, units)}."


def spatial_axes(layout: Layout) -> list[int]:
    """Return the positions of the spatial axes."""
    return [axis for axis, letter in enumerate(layout.axes) if letter in layout.spatial]
