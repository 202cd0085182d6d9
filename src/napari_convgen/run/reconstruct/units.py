"""The conversion of reconstructed images to the user's units, where they have other pixels than the measurement."""

from __future__ import annotations

from dataclasses import dataclass
from types import EllipsisType
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from napari_convgen.core.columns import as_column
from napari_convgen.core.image import ImageTensor
from napari_convgen.core.image.layout import frame_channels_first
from napari_convgen.core.image.scaling import HIGH, LOW


@dataclass(frozen=True, eq=False)
class ReconstructionUnits:
    """The linear conversion from the generator's units to those of a measurement that was not stabilized.

    The result is float32 and not clipped: a point is brighter than its blurred image. Channels that do not vary keep their value, and
    alpha is left out.

    Attributes
    ----------
    image
        Measurement in the generator's units.
    field_of_view
        Part of the generator's image, along the spatial axes, that the measurement shows; all by default.
    """

    image: ImageTensor
    field_of_view: tuple[slice, ...] | EllipsisType = ...

    def restore(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return an image of the generator in the measurement's units, its channel axis where the measurement has it."""
        low, unit = as_column(self.image.low, values.ndim), as_column(self.unit, values.ndim)
        return self._arranged(low + (values.astype(np.float64) - LOW) * unit)

    def restore_error(self, error: NDArray[Any], values: NDArray[Any]) -> NDArray[np.float32]:
        """Return the standard deviation of the error in the measurement's units."""
        return self._arranged(error * as_column(self.unit, values.ndim), is_error=True)

    def residual(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return differences between a predicted and the actual measurement in its units; channels first."""
        difference: NDArray[np.float32] = (values * as_column(self.unit, values.ndim)).astype(np.float32)
        return difference

    @property
    def unit(self) -> Float[np.ndarray, "c"]:
        """Size of one of the generator's units in those of the measurement."""
        return np.asarray((self.image.high - self.image.low) / (HIGH - LOW))

    def _arranged(self, values: NDArray[Any], is_error: bool = False) -> NDArray[np.float32]:
        if not isinstance(self.field_of_view, EllipsisType):
            values = values[(slice(None), *self.field_of_view)]
        measured, layout = frame_channels_first(self.image.frame, self.image.layout), self.image.layout
        whole = np.zeros((len(measured), *values.shape[1:]), np.float32)
        if not is_error:
            constants = np.nan_to_num(np.array([channel.ravel()[0] for channel in measured], np.float64))
            whole[:] = as_column(constants, values.ndim)
        whole[list(self.image.measured.channels)] = values
        return whole[0] if layout.frame_channel is None else np.moveaxis(whole, 0, layout.frame_channel)


@dataclass(frozen=True, eq=False)
class CenteredUnits:
    """The conversion from the generator's units to radians, with a mean of 0: no image shows the mean of a phase.

    Attributes
    ----------
    radians
        Conversion to radians with any mean.
    """

    radians: ReconstructionUnits

    def restore(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return the phase in radians."""
        phase = self.radians.restore(values)
        centered: NDArray[np.float32] = phase - np.float32(phase.mean(dtype=np.float64))
        return centered

    def restore_error(self, error: NDArray[Any], values: NDArray[Any]) -> NDArray[np.float32]:
        """Return the standard deviation of the error in radians."""
        return self.radians.restore_error(error, values)
