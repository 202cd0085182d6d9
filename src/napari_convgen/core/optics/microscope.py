"""Point spread functions (PSF) of microscopes, computed from their objective."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline

from napari_convgen.core.optics.objective import Objective
from napari_convgen.core.optics.point_spread import PointSpread

N_SUBPIXELS = 4
"""Number of places in a pixel, along each lateral axis, over which the intensity is averaged."""

N_PER_WIDTH = 40
"""Number of radii on λ / NA at which the intensity is computed: it varies over half of that."""

N_NODES = 16
"""Number of circles for each Airy unit of the pinhole, and as many more, over which the light that passes it is summed: twice as many
change a PSF by less than one in 1000."""

CUT = "The point spread function is larger than the image: it was cut to its size."
"""Note on a PSF whose light beyond the image's size is left out."""

Radial = Callable[[Float[np.ndarray, "n"], float], Float[np.ndarray, "n"]]
"""A function from distances from the axis, and one from the focus along it, in micrometers, to intensities."""


def widefield_psf(objective: Objective, spacing: Sequence[float], size: Sequence[int] | None = None) -> PointSpread:
    """Return the PSF of a widefield microscope, averaged over the area of its pixels.

    It has odd numbers of pixels that hold the third dark ring, in a volume two dark points on each side of the focus and the cone of light
    between them.

    Parameters
    ----------
    objective
        Objective and emitted light.
    spacing
        Distance between neighboring pixels in micrometers: of rows and columns, before that of planes in a volume.
    size
        Number of the image's pixels along each axis, to which the PSF is cut; ``None``, the default, for no cut.

    Raises
    ------
    InputError
        Distances that do not suit the objective, see `Objective.check_sampling`.
    """
    cone = objective.axial_reach * math.tan(objective.angle) if len(spacing) == 3 else 0.0
    return _on_pixels(objective.intensity, objective, objective.lateral_reach + cone, spacing, size)


def confocal_psf(
    objective: Objective,
    excitation_wavelength: float,
    pinhole: float,
    spacing: Sequence[float],
    size: Sequence[int] | None = None,
) -> PointSpread:
    r"""Return the PSF of a confocal microscope, averaged over the area of its pixels.

    It has odd numbers of pixels that hold the third dark ring, in a volume two dark points on each side of the focus.
    A point is seen as far as the laser's spot :math:`h_{ex}` reaches it and its own light :math:`h_{em}` passes the pinhole p, a disk:
    :math:`h = h_{ex} \, (h_{em} * p)`.

    Parameters
    ----------
    objective
        Objective and emitted light.
    excitation_wavelength
        Wavelength of the laser in vacuum, in micrometers.
    pinhole
        Diameter of the pinhole in Airy units, above 0.
    spacing, size
        As for `widefield_psf`.

    Raises
    ------
    InputError
        As for `widefield_psf`, or a wavelength in another unit.

    References
    ----------
    Wilson, "Resolution and optical sectioning in the confocal microscope", J. Microsc. 244, 2011.
    """
    laser, radius = replace(objective, wavelength=excitation_wavelength), pinhole * objective.airy_radius
    nodes, weights = np.polynomial.legendre.leggauss(N_NODES + math.ceil(N_NODES * pinhole))

    def intensity(radii: Float[np.ndarray, "n"], depth: float) -> Float[np.ndarray, "n"]:
        line = _line(objective, radii.max() + radius)
        own, r = CubicSpline(line, objective.intensity(line, depth)), radii[:, None]
        low = np.maximum(r - radius, 0)
        s = low + (r + radius - low) * (nodes + 1) / 2
        cosine = np.divide(r**2 + s**2 - radius**2, 2 * r * s, out=np.full_like(s, -1), where=r > 0)
        arc = np.arccos(np.clip(cosine, -1, 1))  # half the part within the disk of a circle around the point
        passed = (own(s) * s * arc * weights).sum(1) * (r + radius - low)[:, 0] / radius**2
        light: Float[np.ndarray, "n"] = laser.intensity(radii, depth) * passed
        return light

    return _on_pixels(intensity, objective, objective.lateral_reach, spacing, size)


def _on_pixels(
    intensity: Radial, objective: Objective, reach: float, spacing: Sequence[float], size: Sequence[int] | None
) -> PointSpread:
    """Return the mean intensity over each pixel, up to a lateral reach in micrometers."""
    size = (sys.maxsize,) * len(spacing) if size is None else size
    objective.check_sampling(spacing, size)
    reaches = [objective.axial_reach] * (len(spacing) - 2) + [reach] * 2
    whole = [2 * math.ceil(r / d) + 1 for r, d in zip(reaches, spacing, strict=True)]
    shape = [min(k, n - 1 + n % 2) for k, n in zip(whole, size, strict=True)]
    rows, columns = (_subpixels(n, d) for n, d in zip(shape[-2:], spacing[-2:], strict=True))
    radii = np.hypot(rows[:, None], columns)
    depths = (np.arange(shape[0]) - shape[0] // 2) * spacing[0] if len(shape) == 3 else np.zeros(1)
    line = _line(objective, radii.max())
    blocks = (shape[-2], N_SUBPIXELS, shape[-1], N_SUBPIXELS)
    planes = [CubicSpline(line, intensity(line, z))(radii).reshape(blocks).mean((1, 3)) for z in depths]
    psf = PointSpread.of(np.maximum(np.stack(planes) if len(shape) == 3 else planes[0], 0))
    return psf if shape == whole else replace(psf, notes=(*psf.notes, CUT))


def _line(objective: Objective, reach: float) -> Float[np.ndarray, "n"]:
    """Return radii in micrometers from 0 to a reach, and a little beyond."""
    fine = objective.wavelength / objective.numerical_aperture / N_PER_WIDTH
    return np.arange(0, reach + 2 * fine, fine)


def _subpixels(n: int, spacing: float) -> Float[np.ndarray, "m"]:
    """Return places in micrometers from the center of the middle pixel, `N_SUBPIXELS` in each of n pixels."""
    return ((np.arange(n * N_SUBPIXELS) + 0.5) / N_SUBPIXELS - n // 2 - 0.5) * spacing
