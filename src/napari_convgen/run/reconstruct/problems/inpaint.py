"""Fill in the missing pixels of an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_convgen.config import operators_of
from napari_convgen.core.image import ArrayLike, Image, removed
from napari_convgen.core.operators.masking import check_mask
from napari_convgen.core.snapshot import Units
from napari_convgen.errors import InputError
from napari_convgen.run.reconstruct.problems.base import Given, InverseProblem, Observation
from napari_convgen.run.setup.inputs import as_array


class Inpaint(InverseProblem):
    """Fill in missing pixels: those of a mask, those that are NaN, or both.

    Parameters
    ----------
    given
        The image and its settings.
    is_missing
        Mask of the pixels to fill in, in the shape of the image without its channels; ``None``, the default, takes NaN.
    """

    operators = operators_of("inpaint")
    changes: ClassVar[Mapping[str, Any]] = {}
    inputs: ClassVar[Mapping[str, str]] = {"is_missing": "mask of the missing pixels"}

    def __init__(self, given: Given, *, is_missing: ArrayLike | None = None) -> None:
        super().__init__(given.prepare(_with_gaps(given, is_missing)))

    @classmethod
    def observe(cls, given: Given, truth: NDArray[np.float64], rng: np.random.Generator, **inputs: Any) -> Observation:
        """Leave out the pixels of a mask ``is_missing``, or a random share ``missing``, 0.5 by default."""
        if "is_missing" in inputs:
            is_missing = np.asarray(as_array(inputs["is_missing"], "mask")) != 0
        else:
            share = inputs.get("missing", 0.5)
            if not 0 < share < 1:
                raise InputError(f"The share of missing pixels must be above 0 and below 1, got {share:g}.")
            is_missing = rng.random(truth.shape[1:]) < share
        check_mask(torch.from_numpy(np.ascontiguousarray(is_missing)), truth.shape[1:])
        return Observation(truth, is_missing)

    @property
    def units(self) -> Units:
        """Those of the image: its type, its range, and its noise, which can be stabilized."""
        return self.scaled

    @property
    def image_shape(self) -> tuple[int, ...]:
        """That of the image."""
        return tuple(self.prepared.image.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the image, which holds fractions where pixels are missing."""
        return self.prepared.result_type.dtype

    @property
    def measurement_unit(self) -> float | None:
        """That of noise which was not stabilized."""
        return None if self.scaled.is_stabilized else super().measurement_unit

    def residual(self, values: Tensor, image: NDArray[Any]) -> NDArray[Any]:
        """Return the reconstruction minus the image, in the shape of the image."""
        return -removed(self.prepared.image, image)


def _with_gaps(given: Given, is_missing: ArrayLike | None) -> Image:
    """Return an image with NaN where it is to be filled in."""
    image, layout = given.image, given.layout
    data = np.asarray(image.data)
    if is_missing is None:
        if data.dtype.kind != "f" or not np.isnan(data).any():
            raise InputError("There is nothing to fill in: give a mask of the missing pixels, or mark them by NaN.")
        return image
    mask = np.asarray(as_array(is_missing, "mask")) != 0
    check_mask(torch.from_numpy(np.ascontiguousarray(mask)), layout.spatial_shape(data.shape))
    values: NDArray[Any] = data.astype(np.result_type(data.dtype, np.float32))
    first = values[np.newaxis] if layout.channel is None else np.moveaxis(values, layout.channel, 0)
    first[: 3 if layout.is_color else None, ..., mask] = np.nan
    return replace(image, data=values)
