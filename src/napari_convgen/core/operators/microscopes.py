"""Microscopes whose images show a phase: through focus, or under an array of lights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.fft import next_fast_len

from napari_convgen.core.operators.phase import PhaseImaging
from napari_convgen.core.optics.objective import Objective
from napari_convgen.errors import InputError, mismatch

MOST_REACH = 4.0
"""Largest distance that light may spread on its way from the focus, relative to the width of the images: beyond that a distance has another
unit. Our choice, no benchmark."""

MOST_LATERAL = 3.0
"""Largest reach of light in focus, relative to the third dark ring of a point's image: there is no end to it under a light at the very edge
of the aperture. Our choice, no benchmark."""


def through_focus(
    objective: Objective,
    spacing: Sequence[float],
    depths: Sequence[float],
    size: Sequence[int],
    n_zernikes: int = 0,
    has_absorption: bool = False,
    is_periodic: bool = False,
) -> PhaseImaging:
    """Return the imaging of an object through focus, lit by light along the axis.

    Parameters
    ----------
    objective
        Objective and light.
    spacing
        Distance between neighboring pixels along rows and columns, in micrometers.
    depths
        Distance of each plane from the focus in micrometers.
    size
        Number of rows and columns of the images.
    n_zernikes
        Number of aberrations; default 0.
    has_absorption
        True if the object absorbs light; default False.
    is_periodic
        True for an object that goes on at the other end; False, the default, for one that is larger than its images by the light's reach.

    Raises
    ------
    InputError
        Pixels too coarse for the aperture, or phase that no plane shows.
    """
    _check_sampling(objective, spacing, size)
    farthest = max(map(abs, depths), default=0.0)
    reach = farthest * math.tan(objective.angle) + objective.airy_radius
    width = max(n * d for n, d in zip(size, spacing, strict=True))
    if reach > MOST_REACH * width:
        raise InputError(
            f"The farthest plane is {farthest:.3g} micrometers from the focus: the light of a point is {2 * reach:.3g} micrometers wide "
            f"there, and the images are {width:.3g} wide. Check that the distances of the planes are in micrometers, and which plane is in "
            "focus."
        )
    margins = [0 if is_periodic else _margin(reach / d, n) for n, d in zip(size, spacing, strict=True)]
    return PhaseImaging(
        objective,
        (spacing[0], spacing[1]),
        (size[0] + 2 * margins[0], size[1] + 2 * margins[1]),
        (margins[0], margins[1]),
        np.asarray(depths, np.float64),
        np.zeros((len(depths), 2)),
        n_zernikes,
        has_absorption=has_absorption,
    )


def led_array(
    objective: Objective,
    spacing: Sequence[float],
    waves: Float[np.ndarray, "*lights"],
    size: Sequence[int],
    n_zernikes: int = 0,
    factor: int = 1,
    has_absorption: bool = False,
    is_periodic: bool = False,
) -> PhaseImaging:
    """Return the imaging of an object in focus, lit from several directions one after the other.

    Parameters
    ----------
    objective, n_zernikes, has_absorption, is_periodic
        As for `through_focus`.
    spacing
        Distance between neighboring pixels of the object, ``factor`` times finer than the camera's.
    waves
        Direction of each light, ``(rows, columns)`` as sin θ times the refractive index.
    size
        Number of rows and columns of the images.
    factor
        Number of the object's pixels along each side of a camera's pixel; default 1.

    Raises
    ------
    InputError
        Pixels too coarse for the aperture, or lights without a direction each.
    """
    lights = np.asarray(waves, np.float64)
    if lights.ndim != 2 or lights.shape[1] != 2 or not np.isfinite(lights).all():
        raise InputError(
            mismatch(
                "The lights must have a direction each, along rows and columns",
                expected="(images, 2) finite numbers",
                got=lights.shape,
                advice="Give sin θ times the refractive index along both.",
            )
        )
    _check_sampling(objective, [d * factor for d in spacing], size)
    _check_lights(objective, spacing, lights)
    reach = _lateral_reach(objective, lights, min(factor * n * d for n, d in zip(size, spacing, strict=True)))
    margins = [0 if is_periodic else _margin(reach / d, factor * n, factor) for n, d in zip(size, spacing, strict=True)]
    return PhaseImaging(
        objective,
        (spacing[0], spacing[1]),
        (factor * size[0] + 2 * margins[0], factor * size[1] + 2 * margins[1]),
        (margins[0], margins[1]),
        np.zeros(len(lights)),
        lights,
        n_zernikes,
        factor,
        has_absorption,
    )


def _lateral_reach(objective: Objective, lights: Float[np.ndarray, "k 2"], width: float) -> float:
    """Return how far light reaches in focus, in micrometers; of images so wide, if it is far, a quarter of the width at most.

    Under a light near the edge of the aperture, on either side, the edge cuts waves that are nearly as long as the inverse of the distance.
    """
    from_edge = float(np.abs(objective.numerical_aperture - np.hypot(*lights.T)).min(initial=np.inf))
    longest = objective.wavelength / max(from_edge, 1e-9)
    usual = objective.lateral_reach
    return max(usual, min(longest, MOST_LATERAL * usual, width / 4))


def _margin(reach: float, n: int, factor: int = 1) -> int:
    """Return at least ``reach`` pixels beyond both ends, and a few more with which Fourier transforms of the whole are fast."""
    margin = factor * math.ceil(reach / factor)
    while next_fast_len(n + 2 * margin) > n + 2 * margin:
        margin += factor
    return margin


def _check_lights(objective: Objective, spacing: Sequence[float], lights: Float[np.ndarray, "k 2"]) -> None:
    """Refuse lights so oblique that the pixels of the object miss what the objective lets through of them."""
    for waves, distance in zip(lights.T, spacing, strict=True):
        oblique, most = float(np.abs(waves).max(initial=0)), objective.wavelength / (2 * distance)
        if oblique + objective.numerical_aperture > most:
            raise InputError(
                f"The lights are too oblique for the pixels: sin θ is up to {oblique:.3g}, and pixels of {distance:.3g} micrometers "
                f"show up to {most - objective.numerical_aperture:.3g} with the numerical aperture of {objective.numerical_aperture:g}. "
                "Choose a larger operator.factor, or leave these lights out."
            )


def _check_sampling(objective: Objective, spacing: Sequence[float], size: Sequence[int]) -> None:
    """Refuse pixels that miss what the objective lets through."""
    most = objective.wavelength / (2 * objective.numerical_aperture)
    if len(spacing) != 2 or not all(0 < d < math.inf for d in spacing):
        raise InputError(
            f"Phase needs the distance between pixels along rows and columns in micrometers, got {tuple(spacing)}."
        )
    if max(spacing) > most:
        raise InputError(
            f"Pixels are too coarse for the aperture: they are {max(spacing):.3g} micrometers apart, and at numerical aperture "
            f"{objective.numerical_aperture:g} and {1000 * objective.wavelength:.0f} nm they may be {most:.3g} at most. Check the pixel "
            "size and its unit, the wavelength and the aperture."
        )
