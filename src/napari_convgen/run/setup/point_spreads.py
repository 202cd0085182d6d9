"""From the settings of a blur to its point spread function (PSF)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from napari_convgen.config import BlurConfig, ConfocalConfig, MicroscopeConfig
from napari_convgen.core.optics.microscope import confocal_psf, widefield_psf
from napari_convgen.core.optics.objective import Objective
from napari_convgen.core.optics.point_spread import PointSpread, gaussian_psf
from napari_convgen.errors import InputError

NANOMETER = 1e-3
"""A nanometer in micrometers."""

Psf = Callable[[Any, Objective, Sequence[float], Sequence[int]], PointSpread]
"""A function from settings, objective, distances between pixels and the image's size to a PSF."""


def point_spread(
    settings: BlurConfig | MicroscopeConfig, spatial: str, size: Sequence[int], apart: Mapping[str, float]
) -> PointSpread:
    """Return the PSF of the settings, with a note on what it was computed from.

    Parameters
    ----------
    settings
        Settings of the blur.
    spatial
        Letters of the image's spatial axes.
    size
        Number of the image's pixels along each of them.
    apart
        Distance between neighboring pixels in micrometers, by letter, as far as the image knows it.

    Raises
    ------
    InputError
        Distances that neither the settings nor the image give, or values that no microscope has.
    """
    if isinstance(settings, BlurConfig):
        return gaussian_psf([settings.sigma] * len(size), size)
    order = [spatial.index(letter) for letter in "ZYX" if letter in spatial]
    spacing = [_distance(settings, spatial[axis], apart) for axis in order]
    objective = Objective(settings.numerical_aperture, NANOMETER * settings.wavelength, settings.refractive_index)
    psf = _COMPUTED[settings.kind](settings, objective, spacing, [size[axis] for axis in order])
    values = np.transpose(psf.values, np.argsort(order))
    return replace(psf, values=values, notes=(_describe(settings, spacing), *psf.notes))


def _distance(settings: MicroscopeConfig, letter: str, apart: Mapping[str, float]) -> float:
    """Return the distance between pixels along an axis in micrometers, from the settings or else from the image."""
    given, setting = (settings.z_step, "z_step") if letter == "Z" else (settings.pixel_size, "pixel_size")
    if given != "auto":
        return given
    if letter not in apart:
        raise InputError(
            f"The point spread function needs the distance between pixels along {letter}, and the image does not know it in a unit of "
            f"length. Give operator.{setting} in micrometers."
        )
    return apart[letter]


def _describe(settings: MicroscopeConfig, spacing: Sequence[float]) -> str:
    words = [f"numerical aperture {settings.numerical_aperture:g}", f"{settings.wavelength:g} nm"]
    if isinstance(settings, ConfocalConfig):
        words += [f"laser {settings.excitation_wavelength:g} nm", f"pinhole {settings.pinhole:g} Airy units"]
    pixels = " × ".join(f"{d:.4g}" for d in spacing)
    words += [f"refractive index {settings.refractive_index:g}", f"pixels of {pixels} micrometers"]
    return f"The point spread function is that of a {settings.kind} microscope: {', '.join(words)}."


_COMPUTED: Mapping[str, Psf] = {
    "widefield": lambda s, objective, spacing, size: widefield_psf(objective, spacing, size),
    "confocal": lambda s, objective, spacing, size: confocal_psf(
        objective, NANOMETER * s.excitation_wavelength, s.pinhole, spacing, size
    ),
}
