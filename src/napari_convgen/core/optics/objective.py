"""An objective, and the image of a point that it makes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import j0

from napari_convgen.errors import InputError

FIRST_ZERO = 3.8317
"""First zero of the Bessel function J1: the first dark ring of the Airy pattern (Born and Wolf, "Principles of Optics", 8.5.2)."""

THIRD_ZERO = 10.1735
"""Third zero of the Bessel function J1: the third dark ring of the Airy pattern, which holds 94 % of the light (Born and Wolf, 8.5.2)."""

THINNEST = 0.1
"""Least thickness of a volume, as a share of the axial reach: planes of a thinner one all show the same. Our choice."""

SHORTEST, LONGEST = 0.2, 2.0
"""Wavelengths in micrometers between which light microscopes work."""


@dataclass(frozen=True)
class Objective:
    """An objective and the light that it collects, or focuses.

    Attributes
    ----------
    numerical_aperture
        Numerical aperture, above 0 and below the refractive index.
    wavelength
        Wavelength of the light in vacuum, in micrometers.
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
    def airy_radius(self) -> float:
        """Radius of the first dark ring in focus, in micrometers."""
        return FIRST_ZERO * self.wavelength / (2 * math.pi * self.numerical_aperture)

    @property
    def lateral_reach(self) -> float:
        """Radius of the third dark ring in focus, in micrometers."""
        return THIRD_ZERO * self.wavelength / (2 * math.pi * self.numerical_aperture)

    @property
    def axial_reach(self) -> float:
        """Distance from the focus to the second dark point on the axis, in micrometers."""
        return 2 * self.wavelength / (self.refractive_index * (1 - math.cos(self.angle)))

    def check_sampling(self, spacing: Sequence[float], size: Sequence[int]) -> None:
        """Refuse pixels, or a whole image, that have nothing to do with the size of a point's image.

        Parameters
        ----------
        spacing
            Distance between neighboring pixels in micrometers: of rows and columns, before that of planes in a volume.
        size
            Number of the image's pixels along each axis.

        Raises
        ------
        InputError
            Distances that are not positive, fewer or more than two or three, or in another unit.
        """
        if len(spacing) not in (2, 3) or not all(0 < d < math.inf for d in spacing):
            raise InputError(
                "A microscope's point spread function needs two or three positive distances between pixels in micrometers, "
                f"got {tuple(spacing)}. A volume needs the distance of its planes too."
            )
        check = "Check the distance between pixels and its unit, the wavelength and the aperture."
        spot = f"a point's image is {2 * self.airy_radius:.3g} micrometers wide"
        for d, n in zip(spacing[-2:], size[-2:], strict=True):
            if d > 2 * self.airy_radius:
                raise InputError(f"Pixels are {d:g} micrometers apart, and {spot}: no pixel sees its neighbor. {check}")
            if n * d < 2 * self.airy_radius:
                raise InputError(f"The image is {n * d:.3g} micrometers wide, and {spot}: it does not fit in. {check}")
        depth = f"a point is seen up to {self.axial_reach:.3g} micrometers from its plane"
        for d, n in zip(spacing[:-2], size[:-2], strict=True):
            if d > self.axial_reach:
                raise InputError(f"Planes are {d:g} micrometers apart, and {depth}: none sees its neighbor. {check}")
            if n * d < THINNEST * self.axial_reach:
                raise InputError(
                    f"The volume is {n * d:.3g} micrometers thick, and {depth}: planes are all alike. {check}"
                )

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
