"""The point spread function (PSF) of a widefield microscope, computed from its objective."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.special import j0

from napari_convgen.core.optics.point_spread import PointSpread
from napari_convgen.errors import InputError

THIRD_ZERO = 10.1735
"""Third zero of the Bessel function J1: the third dark ring of the Airy pattern, which holds 94 % of the light (Born and Wolf, 8.5.2)."""

N_SUBPIXELS = 4
"""Number of places in a pixel, along each lateral axis, over which the intensity is averaged."""

SHORTEST, LONGEST = 0.2, 2.0
"""Wavelengths in micrometers between which light microscopes work."""


@dataclass(frozen=True)
class Objective:
    """A widefield objective and the light that it collects.

    Attributes
    ----------
    numerical_aperture
        Numerical aperture, above 0 and below the refractive index.
    wavelength
        Wavelength of the emitted light in vacuum, in micrometers.
    refractive_index
        Refractive index of immersion and specimen; 1 for air, 1.33 for water, 1.515 for oil.

    Raises
    ------
    InputError
        Values that no objective has, or in another unit.
    """

    numerical_aperture: float
    wavelength: float
    refractive_index: float

    def __post_init__(self) -> None:
        if not SHORTEST <= self.wavelength <= LONGEST:
            raise InputError(
                f"The wavelength must be between {SHORTEST} and {LONGEST} micrometers, got {self.wavelength:g}. "
                "Give it in micrometers: 0.52 for 520 nanometers."
            )
        if not 1 <= self.refractive_index < 4:
            raise InputError(
                f"The refractive index must be at least 1 and below 4, got {self.refractive_index:g}. Use 1 for air, 1.33 for water, "
                "1.515 for oil."
            )
        if not 0 < self.numerical_aperture < self.refractive_index:
            raise InputError(
                f"The numerical aperture must be above 0 and below the refractive index {self.refractive_index:g}, got "
                f"{self.numerical_aperture:g}. Give the index of the objective's immersion."
            )

    @property
    def angle(self) -> float:
        """Half the angle of the cone of light that it collects, in radians."""
        return math.asin(self.numerical_aperture / self.refractive_index)

    @property
    def wavenumber(self) -> float:
        """Wavenumber in the specimen, in radians per micrometer."""
        return 2 * math.pi * self.refractive_index / self.wavelength

    @property
    def lateral_reach(self) -> float:
        """Radius of the third dark ring in focus, in micrometers."""
        return THIRD_ZERO * self.wavelength / (2 * math.pi * self.numerical_aperture)

    @property
    def axial_reach(self) -> float:
        """Distance from the focus to the second dark point on the axis, in micrometers."""
        return 2 * self.wavelength / (self.refractive_index * (1 - math.cos(self.angle)))

    def intensity(
        self, radii: Float[np.ndarray, "n"], depth: float, n_angles: int | None = None
    ) -> Float[np.ndarray, "n"]:
        r"""Return the intensity of a point's image, by the scalar Debye integral over the cone of light of an aplanatic objective.

        .. math:: h(r, z) = \left| \int_0^\alpha \sqrt{\cos \theta} \, J_0(k r \sin \theta) \, e^{i k z \cos \theta}
            \sin \theta \, d\theta \right|^2

        Parameters
        ----------
        radii
            Distances from the axis, in micrometers.
        depth
            Distance from the focus along the axis, in micrometers.
        n_angles
            Number of angles at which the integrand is evaluated; ``None`` for as many as its oscillations ask for.

        References
        ----------
        Born and Wolf, "Principles of Optics", section 8.8. Zhang, Zerubia and Olivo-Marin, "Gaussian approximations of fluorescence
        microscope point-spread function models", Appl. Opt. 46, 2007, equation 3.
        """
        phase = self.wavenumber * (
            float(np.max(radii)) * math.sin(self.angle) + abs(depth) * (1 - math.cos(self.angle))
        )
        nodes, weights = np.polynomial.legendre.leggauss(n_angles or 24 + math.ceil(phase))
        theta = self.angle * (nodes + 1) / 2
        pupil = weights * np.sqrt(np.cos(theta)) * np.sin(theta) * np.exp(1j * self.wavenumber * depth * np.cos(theta))
        waves = j0(self.wavenumber * np.multiply.outer(radii, np.sin(theta)))
        intensity: Float[np.ndarray, "n"] = np.abs(waves @ pupil) ** 2
        return intensity


def widefield_psf(objective: Objective, pixel_size: Sequence[float], shape: Sequence[int] | None = None) -> PointSpread:
    """Return the PSF of a widefield microscope, averaged over the area of its pixels.

    Parameters
    ----------
    objective
        Objective and light.
    pixel_size
        Distance between neighboring pixels in micrometers: of rows and columns, after that of planes in a volume.
    shape
        Number of pixels along each axis; ``None``, the default, for odd numbers that hold the third dark ring, in a volume two dark points
        on each side of the focus and the cone of light between them.

    Raises
    ------
    InputError
        Distances that are not positive, or fewer or more than two or three.
    """
    spacing = tuple(map(float, pixel_size))
    if len(spacing) not in (2, 3) or not all(0 < d < math.inf for d in spacing):
        raise InputError(
            f"A widefield point spread function needs two or three positive distances between pixels in micrometers, got {spacing}. "
            "A volume needs the distance of its planes too."
        )
    size = tuple(_usual_shape(objective, spacing) if shape is None else shape)
    rows, columns = (_subpixels(n, d) for n, d in zip(size[-2:], spacing[-2:], strict=True))
    radii = np.hypot(rows[:, None], columns)
    depths = (np.arange(size[0]) - size[0] // 2) * spacing[0] if len(size) == 3 else np.zeros(1)
    fine = objective.wavelength / objective.numerical_aperture / 40  # the intensity varies over half of λ / NA
    line = np.arange(0, radii.max() + 2 * fine, fine)
    blocks = (size[-2], N_SUBPIXELS, size[-1], N_SUBPIXELS)
    planes = [CubicSpline(line, objective.intensity(line, z))(radii).reshape(blocks).mean((1, 3)) for z in depths]
    return PointSpread.of(np.maximum(np.stack(planes) if len(size) == 3 else planes[0], 0))


def _usual_shape(objective: Objective, spacing: Sequence[float]) -> list[int]:
    reach, shape = objective.lateral_reach, []
    if len(spacing) == 3:
        shape = [2 * math.ceil(objective.axial_reach / spacing[0]) + 1]
        reach += objective.axial_reach * math.tan(objective.angle)
    return shape + [2 * math.ceil(reach / d) + 1 for d in spacing[-2:]]


def _subpixels(n: int, spacing: float) -> Float[np.ndarray, "m"]:
    """Return places in micrometers from the center of the middle pixel, `N_SUBPIXELS` in each of n pixels."""
    return ((np.arange(n * N_SUBPIXELS) + 0.5) / N_SUBPIXELS - n // 2 - 0.5) * spacing
