"""The choice of the image that is reconstructed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from napari.layers import Image, Layer

from napari_convgen.core.image import Layout
from napari_convgen.viewer.layers.door import finest_level, guess_axes
from napari_convgen.viewer.parts.chooser import InputChooser, times

if TYPE_CHECKING:
    from napari.components import ViewerModel


class ImageChooser(InputChooser):
    """Takes the image that was active last, of a stack the frame on screen: while a mask is drawn over it, another layer is active.

    Parameters
    ----------
    viewer, z_axis
        As for `InputChooser`.

    Attributes
    ----------
    is_stack
        True if the images of a stack are the measurement of one image together; False, the default, if each is a measurement of its own.
    """

    def __init__(self, viewer: ViewerModel, z_axis: Callable[[], Literal["frames", "volume"]]) -> None:
        super().__init__(viewer, z_axis, is_single=True)
        self.is_stack = False

    def layout(self, layer: Image) -> Layout:
        """Return the meaning of the axes of the image.

        Raises
        ------
        InputError
            The axes do not fit.
        """
        return Layout.of(finest_level(layer).shape, self.axes.value or guess_axes(layer), self._z_axis())

    def _describe_taken(self, shape: tuple[int, ...]) -> str:
        if not self.is_stack:
            return super()._describe_taken(shape)
        return f" · {shape[0]} images of {times(shape[1:])}, all taken" if len(shape) == 3 else ""

    def _choose(self) -> Layer | None:
        active = super()._choose()
        if isinstance(active, Image):
            return active
        if self.layer is not None and self.layer in self.viewer.layers:
            return self.layer
        images = [layer for layer in self.viewer.layers if isinstance(layer, Image)]
        return images[-1] if images else active
