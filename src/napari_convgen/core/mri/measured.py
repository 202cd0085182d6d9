"""K-space made ready for a reconstruction: whitened, scaled, and with the operator that predicts it from an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Complex, Float
from numpy.typing import NDArray
from torch import Tensor

from napari_convgen.core.consistency import conjugate_gradients
from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.mri.espirit import coil_maps, phase_reference
from napari_convgen.core.mri.kspace import KSpaceNoise, Sampling, check_calibration
from napari_convgen.core.operators.fourier import fourier
from napari_convgen.errors import InputError, mismatch

N_START = 4
"""Steps of conjugate gradients to the first image: they fold out coarse structure, and little noise."""


@dataclass(frozen=True, eq=False)
class MeasuredKSpace:
    """K-space in units in which the image has a magnitude of about 1, and what is known of it.

    Attributes
    ----------
    measurement
        K-space, its coils whitened.
    operator
        Map from the image (real and imaginary part) to it; its norm is 1 at most.
    sampling
        Mask of its sampled points, their lines and calibration region.
    noise
        Noise of the coils, in the units of the scanner.
    coil_maps
        Sensitivities of the coils as they were measured: with the image, in its own units, they give k-space.
    phase
        Phase factors of the image, which it is divided by in the reconstruction.
    unit
        Units of the scanner in one of the measurement.
    map_norm
        Largest root of the sum of the squared whitened sensitivities, by which they are divided in the operator.
    """

    measurement: Complex[Tensor, "coils y x"]
    operator: LinearMap
    sampling: Sampling
    noise: KSpaceNoise
    coil_maps: Complex[np.ndarray, "coils y x"]
    phase: Complex[np.ndarray, "y x"]
    unit: float
    map_norm: float

    @classmethod
    def of(
        cls,
        kspace: Complex[np.ndarray, "coils y x"],
        sampling: Sampling,
        noise: KSpaceNoise,
        maps: NDArray[Any] | None = None,
    ) -> MeasuredKSpace:
        """Whiten and scale k-space, and estimate the sensitivities.

        Parameters
        ----------
        kspace
            Checked k-space.
        sampling
            Mask of its sampled points.
        noise
            Noise of the coils.
        maps
            Sensitivities; ``None``, the default, to estimate them from the calibration region.

        Raises
        ------
        InputError
            Sensitivities that do not fit, or too few calibration lines to estimate them.
        """
        if maps is None:
            check_calibration(sampling)
        peak = float(np.abs(kspace).max())
        y = torch.from_numpy(np.tensordot(noise.whitening, kspace / peak * sampling.is_sampled, 1))
        calibration = y[(slice(None), *sampling.calibration_region)]
        if maps is None:
            found = coil_maps(calibration, sampling.is_sampled.shape).numpy()
            own = np.tensordot(np.linalg.inv(noise.whitening), found, 1)
            own /= np.maximum(
                np.linalg.norm(own, axis=0), np.finfo(np.float64).tiny
            )  # as measured their squares sum to 1
        else:
            own = check_maps(maps, kspace.shape)
        whitened = torch.from_numpy(np.tensordot(noise.whitening, own, 1))
        map_norm = float(whitened.abs().square().sum(0).max().sqrt())
        has_phase = bool(calibration.numel()) and map_norm > 0
        phase = phase_reference(calibration, whitened) if has_phase else torch.ones(whitened.shape[1:])
        turned = whitened / (map_norm or 1.0) * phase
        operator = fourier(
            turned.to(torch.complex64),
            torch.from_numpy(sampling.is_sampled),
            readout_axis=sampling.readout_axis,
            n_calibration=sampling.n_calibration,
        )
        first = float(_first_image(operator, y.to(torch.complex64)).norm(dim=0).max())
        measurement = (y / first).to(torch.complex64)
        unit = peak * first
        return cls(measurement, operator, sampling, noise, own.astype(np.complex64), phase.numpy(), unit, map_norm)

    @property
    def level(self) -> float:
        """Root mean square of the noise of a point, in units of the measurement."""
        return self.noise.level / self.unit

    def first_image(self) -> Float[Tensor, "2 y x"]:
        """Return a coarse image, real and imaginary part: it tells the range of values, and is shown before there is a better one."""
        return _first_image(self.operator, self.measurement)

    def image(self, parts: Float[np.ndarray, "2 y x"]) -> Complex[np.ndarray, "y x"]:
        """Return the complex image in the units of the scanner from its parts in the reconstruction; 0 where no coil sees anything."""
        factor = np.where(self.coil_maps.any(0), self.phase, 0) * (self.unit / self.map_norm)
        return np.asarray((parts[0] + 1j * parts[1]) * factor, np.complex64)

    def unwhitened(self, residual: Complex[np.ndarray, "coils y x"]) -> Complex[np.ndarray, "coils y x"]:
        """Return a difference of measurements for the coils as they are, in the units of the scanner."""
        own = np.tensordot(np.linalg.inv(self.noise.whitening), residual * self.unit, 1)
        return np.asarray(own, np.complex64)


def check_maps(maps: NDArray[Any], shape: tuple[int, ...]) -> Complex[np.ndarray, "coils y x"]:
    """Return sensitivities that were given, checked against the shape of k-space.

    Raises
    ------
    InputError
        Another number of coils or pixels.
    """
    if maps.dtype.kind not in "buifc":
        raise InputError(f"The coil sensitivities must be numbers, got {maps.dtype}. Give those of this scan, or none.")
    given = maps if maps.ndim == 3 else maps[np.newaxis]
    if given.shape != shape:
        raise InputError(
            mismatch(
                "The coil sensitivities must have the shape of k-space",
                expected=f"{shape[0]} coils of {shape[1]} × {shape[2]}",
                got=maps.shape,
                advice="Give those of this scan, or none.",
            )
        )
    return given.astype(np.complex128)


def _first_image(operator: LinearMap, y: Tensor) -> Tensor:
    return conjugate_gradients(lambda x: operator.adjoint(operator.apply(x)), operator.adjoint(y), n_steps=N_START).x
