"""The microscope that takes images of a phase, from the settings, and from what the images know of their pixels."""

from __future__ import annotations

import numpy as np

from napari_convgen.config import LedArrayConfig, PhaseConfig, ThroughFocusConfig
from napari_convgen.core.image import ArrayLike
from napari_convgen.core.image.lengths import distances
from napari_convgen.core.operators.microscopes import led_array, through_focus
from napari_convgen.core.operators.phase import PhaseImaging
from napari_convgen.core.optics.objective import Objective
from napari_convgen.errors import InputError, mismatch
from napari_convgen.run.reconstruct.problems.base import Given
from napari_convgen.run.setup.inputs import as_numbers
from napari_convgen.run.setup.point_spreads import NANOMETER


def build_imaging(
    given: Given,
    shape: tuple[int, ...],
    depths: ArrayLike | None = None,
    lights: ArrayLike | None = None,
    is_truth: bool = False,
) -> PhaseImaging:
    """Return the microscope of the settings, for a stack of images.

    Parameters
    ----------
    given
        Images, which may know the distances between their pixels, and the settings.
    shape
        Number of images, rows and columns.
    depths, lights
        As for `napari_convgen.run.reconstruct.problems.phase.Phase`.
    is_truth
        True if the image is the phase, whose images are simulated: then rows, columns and distances are its own; default False.

    Raises
    ------
    InputError
        What no microscope has, in a sentence.
    """
    settings = given.config.operator
    assert isinstance(settings, PhaseConfig)
    if depths is not None and lights is not None:
        raise InputError(
            "Both depths and lights are given: images are taken either through focus or under several lights. Give one of them."
        )
    axes = given.image.axes if given.axes is None else given.axes
    apart = distances(given.image, axes) if axes is not None else {}
    objective = Objective(settings.numerical_aperture, NANOMETER * settings.wavelength, settings.refractive_index)
    spacing = [_distance(settings.pixel_size, "pixel_size", apart.get(letter), letter) for letter in "YX"]
    if lights is not None or isinstance(settings, LedArrayConfig):
        factor = settings.factor if isinstance(settings, LedArrayConfig) else 1
        waves = _directions(lights, shape[0])
        if is_truth and any(n % factor for n in shape[1:]):
            raise InputError(
                mismatch(
                    "The truth must have a multiple of operator.factor pixels along rows and columns",
                    expected=f"multiples of {factor}",
                    got=tuple(shape[1:]),
                    advice="Crop it, or choose another factor.",
                )
            )
        size = [n // factor for n in shape[1:]] if is_truth else shape[1:]
        fine = spacing if is_truth else [d / factor for d in spacing]
        return led_array(objective, fine, waves, size, settings.n_zernikes, factor)
    assert isinstance(settings, ThroughFocusConfig)
    planes = _planes(settings, shape[0], apart.get("Z")) if depths is None else _given_planes(depths, shape[0])
    return through_focus(objective, spacing, planes.tolist(), shape[1:], settings.n_zernikes)


def describe_imaging(imaging: PhaseImaging) -> str:
    """Say what a microscope was computed from."""
    objective, reach = imaging.objective, np.abs(imaging.depths).max()
    what = f"planes up to {reach:.3g} micrometers from the focus" if not imaging.waves.any() else "lights"
    return (
        f"The microscope has a numerical aperture of {objective.numerical_aperture:g} at {1000 * objective.wavelength:.0f} nm, refractive "
        f"index {objective.refractive_index:g}, pixels of {imaging.spacing[0]:.4g} × {imaging.spacing[1]:.4g} micrometers, and "
        f"{imaging.n_images} {what}. {imaging.n_zernikes} aberrations are found with the phase, whose mean is 0."
    )


def _planes(settings: ThroughFocusConfig, n_planes: int, known: float | None) -> np.ndarray:
    """Return the distances of equal steps from the focus, in micrometers; of a single plane there is no step."""
    focus = (n_planes - 1) / 2 if settings.focus == "auto" else settings.focus
    step = _distance(settings.z_step, "z_step", known, "Z")
    return step * (np.arange(n_planes) - focus)


def _given_planes(depths: ArrayLike, n_planes: int) -> np.ndarray:
    planes = as_numbers(depths, "distances of the planes from the focus")
    if planes.shape != (n_planes,) or not np.isfinite(planes).all():
        raise InputError(
            mismatch(
                "Each plane must have a distance from the focus",
                expected=f"{n_planes} finite numbers in micrometers",
                got=planes.shape,
                advice="Give one for each plane, in their order.",
            )
        )
    return planes


def _directions(lights: ArrayLike | None, n_images: int) -> np.ndarray:
    if lights is None:
        raise InputError(
            "An array of lights needs the direction of each. Give lights, or operator.kind = 'through-focus'."
        )
    waves = as_numbers(lights, "directions of the lights")
    if waves.shape != (n_images, 2):
        raise InputError(
            mismatch(
                "Each image must have the direction of its light",
                expected=(n_images, 2),
                got=waves.shape,
                advice="Give sin θ along rows and columns, in the order of the images.",
            )
        )
    if not (np.hypot(*waves.T) < 1).all():
        raise InputError(
            f"Lights in air have sin θ below 1, got up to {np.hypot(*waves.T).max():.3g}. Give sines, not angles or places in millimeters."
        )
    return waves


def _distance(given: float | str, name: str, known: float | None, letter: str) -> float:
    if isinstance(given, float):
        return given
    if known is None:
        raise InputError(
            f"Phase needs the distance between neighboring pixels along {letter}, and the image does not know it in a unit of length. Give "
            f"operator.{name} in micrometers."
        )
    return known
