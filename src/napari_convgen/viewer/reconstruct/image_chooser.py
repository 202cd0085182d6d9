"""The choice of the image that is reconstructed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from napari.layers import Image, Layer

from napari_convgen.core.image import Layout
from napari_convgen.viewer.layers.door import finest_level, guess_axes
from napari_convgen.viewer.parts.chooser import InputChooser

if TYPE_CHECKING:
    from napari.components import ViewerModel


class ImageChooser(InputChooser):
    """Takes the image that was active last, of a stack the frame on screen: while a mask is drawn over it, another layer is active.

    Parameters
    ----------
    viewer, z_axis
        As for `InputChooser`.
    """

    def __init__(self, viewer: ViewerModel, z_axis: Callable[[], Literal["frames", "volume"]]) -> None:
        super().__init__(viewer, z_axis, is_single=True)

    def layout(self, layer: Image) -> Layout:
        """Return the meaning of the axes of the image.

        Raises
        ------
        InputError
            The axes do not fit.
        """
        return Layout.of(finest_level(layer).shape, self.axes.value or guess_axes(layer), self._z_axis())

    def _choose(self) -> Layer | None:
        active = super()._choose()
        if isinstance(active, Image):
            return active
        if self.layer is not None and self.layer in self.viewer.layers:
            return self.layer
        images = [layer for layer in self.viewer.layers if isinstance(layer, Image)]
        return images[-1] if images else active
