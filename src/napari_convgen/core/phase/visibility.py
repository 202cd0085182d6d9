"""What images tell of a phase and of the microscope's own parameters, before they are measured."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float

from napari_convgen.core.operators.phase import PhaseImaging
from napari_convgen.core.phase.prior import SmoothPrior
from napari_convgen.errors import ConfigError, InputError

LEAST_CONTRAST = 0.1
"""Contrast of the images, for a weak phase of one radian, below which they do not show it; out of focus it is up to 2."""

SIDE = 20
"""Side in pixels of the small object on which it is tried what images determine."""

WEAK = 0.02
"""Factor by which that object is made weak, so that its images depend on it linearly: what only a strong object would show, such as an
aberration by a single image, is not relied on."""

WIDE = 3.0
"""Standard deviation, in radians, of a pixel's phase when it is not measured: larger than that of thin objects."""

MOST_ERROR = 0.7
"""Predicted error of an aberration, in radians, above which the images do not determine it: it is then hardly better known than before,
to one radian."""

DOUBTFUL = 0.6
"""Predicted error of all aberrations together, in radians, above which they are said to be hardly determined. Our choice, no benchmark: as
large as the aberrations of the cells in benchmarks/inverse.py. In trials with these, 15 aberrations, predicted to 0.5, were found to 0.3 to
0.5, and 21 to 33, predicted to 0.65 to 0.9, to 0.5 to 1.5."""


def check_visible(imaging: PhaseImaging) -> None:
    """Refuse images that do not show the phase of a weak object.

    Raises
    ------
    InputError
        All images are in focus or too near to it, or all lights are on the axis.
    """
    like = torch.zeros(imaging.in_shape)
    parameters = torch.zeros(imaging.n_parameters)
    contrast = imaging.linearized(like, parameters).norm(like, torch.Generator().manual_seed(0), 1e-2)
    if contrast >= LEAST_CONTRAST:
        return
    farthest, sines = float(np.abs(imaging.depths).max()), np.hypot(*imaging.waves.T)
    if not imaging.waves.any():
        where = f"the farthest plane is {farthest:.3g} micrometers from the focus"
    elif (sines > imaging.objective.numerical_aperture).all():
        where = f"all lights are beyond the aperture, from sin θ = {sines.min():.3g} on"
    else:
        where = "the lights are too near the axis"
    raise InputError(
        f"The phase is not visible: {where}, and a weak phase of one radian changes the intensity by {100 * contrast:.1g} % at most. "
        "Measure planes out of focus, or lights within the aperture, or give z_step and the plane in focus."
    )


def check_determined(imaging: PhaseImaging, noise: float) -> tuple[str, ...]:
    """Refuse more aberrations than the images determine; return a note if they hardly determine them.

    Parameters
    ----------
    imaging
        The microscope.
    noise
        Standard deviation of the noise of an entry, relative to the light.

    Raises
    ------
    ConfigError
        Some would not be known better than before.
    """
    known = _information(imaging, noise)
    errors = [_errors(known[:n, :n]) for n in range(len(known) + 1)]
    n = max(n for n, each in enumerate(errors) if not n or each.max() <= MOST_ERROR)
    if n < imaging.n_zernikes:
        images = "The image" if imaging.n_images == 1 else f"The {imaging.n_images} images"
        if not n:
            raise ConfigError(
                f"{images} cannot tell any aberration. Set operator.n_zernikes to 0, or measure more images."
            )
        raise ConfigError(
            f"{images} cannot tell {imaging.n_zernikes} aberrations, but {n} at most. Set operator.n_zernikes to {n} or less, or measure "
            "more images."
        )
    together = math.sqrt(float(np.square(errors[n]).sum()))
    if together <= DOUBTFUL:
        return ()
    return (
        f"The images hardly determine {n} aberrations: the predicted error of all together is {together:.1f} radians. Set "
        "operator.n_zernikes to fewer, or measure more images.",
    )


def _information(imaging: PhaseImaging, noise: float) -> Float[np.ndarray, "n n"]:
    r"""Return what the images tell of the aberrations: the inverse of the covariance of their errors.

    For a random smooth object the error of the parameters c is predicted from the derivatives of the images by them, as far as no change of
    the object would do the same (the Fisher information, of which the object's part is eliminated). A single image determines none: at each
    frequency it has one number for one of the object.

    Parameters
    ----------
    imaging, noise
        As for `check_determined`.
    """
    if imaging.n_images == 1 or not imaging.n_zernikes:
        return np.zeros((imaging.n_zernikes, imaging.n_zernikes))
    side, factor = SIDE * imaging.factor, imaging.factor
    small = replace(imaging, size=(side, side), margins=(0, 0), factor=factor)
    white = torch.randn(small.in_shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x, parameters = WEAK * SmoothPrior(small.size)(white), torch.zeros(small.n_parameters, dtype=torch.float64)
    # As many pixels as there are in truth see the aberrations.
    n_pixels, n_small = np.prod(imaging.out_shape[2:]), np.prod(small.out_shape[2:])
    level = max(noise, 1e-6)
    slopes = small.parameter_slopes(x, parameters)[:-1].flatten(1).numpy() / (WEAK * level)
    linear = small.linearized(x, parameters)
    columns = torch.eye(white.numel(), dtype=torch.float64).view(-1, *white.shape)
    matrix = np.stack([linear.apply(WIDE * each).flatten().numpy() for each in columns]) / level
    own = matrix @ matrix.T + np.eye(len(matrix))
    shared = matrix @ slopes.T
    return np.asarray((slopes @ slopes.T - shared.T @ np.linalg.solve(own, shared)) * (n_pixels / n_small))


def _errors(known: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n"]:
    """Return the predicted error of each aberration in radians, of which a radian is expected."""
    return np.sqrt(np.diag(np.linalg.inv(known + np.eye(len(known)))))
