"""Images of a phase object as they were measured, checked, and what is known of their noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from napari_convgen.core.noise import NoiseModel
from napari_convgen.errors import InputError

LEAST_SIDE = 16
"""Least number of rows and columns of an image."""

LEAST_VARIANCE = 1e-6
"""Least variance of the noise, relative to the squared light: images of 10 bits have rounding of that size."""

LEAST_SHARE = 0.05
"""Least variance of the noise of an entry, as a share of the mean: where it is dark, rounding and stray light count."""


@dataclass(frozen=True, eq=False)
class MeasuredImages:
    """Images in units of their mean light.

    Attributes
    ----------
    values
        Images; 1 where nothing was measured.
    is_observed
        True where something was measured.
    light
        Mean of the images, in their own units.
    noise
        Model of their noise, in their own units.
    """

    values: Float[Tensor, "1 k rows columns"]
    is_observed: Bool[Tensor, "1 k rows columns"]
    light: float
    noise: NoiseModel

    @classmethod
    def of(
        cls,
        images: NDArray[np.number | np.bool_],
        estimate: Callable[[NDArray[np.float64], NDArray[np.bool_]], NoiseModel],
    ) -> MeasuredImages:
        """Return checked images.

        Parameters
        ----------
        images
            Intensities, ``(images, rows, columns)``, proportional to the light: with the dark offset of the camera subtracted. NaN where
            nothing was measured.
        estimate
            Function from values and where they were observed, one channel, to the model of their noise.

        Raises
        ------
        InputError
            Values that no intensities have.
        """
        values = np.asarray(images, np.float64)[np.newaxis]
        is_observed = ~np.isnan(values)
        if not is_observed.any() or np.isinf(values).any():
            raise InputError(
                "The images have infinite values, or none at all. Replace them by NaN, or crop the images."
            )
        light = float(values[is_observed].mean())
        if light <= 0:
            raise InputError(
                f"The images must be intensities, whose mean is above 0, got {light:.3g}. Give them as they were measured, with the dark "
                "offset of the camera subtracted."
            )
        if np.ptp(values[is_observed]) == 0:
            raise InputError("The images are constant: they show no object. Check the file.")
        known = np.where(is_observed, values, light)
        scaled = torch.from_numpy((known / light).astype(np.float32))
        return cls(scaled, torch.from_numpy(is_observed), light, estimate(known, is_observed))

    def variance(self, clean: Float[Tensor, "1 k rows columns"]) -> Float[Tensor, "1 k rows columns"]:
        """Return the variance of the noise of clean images, in units of the squared light."""
        found = self.noise.variance(clean.double().cpu().numpy() * self.light) / self.light**2
        least = max(LEAST_SHARE * float(found.mean()), LEAST_VARIANCE)
        return torch.from_numpy(np.maximum(found, least)).to(clean)

    @property
    def level(self) -> float:
        """Standard deviation of the noise relative to the light, where it is as bright as the mean."""
        return float(self.variance(torch.ones((1, 1, 1, 1))).sqrt())
