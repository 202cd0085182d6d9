"""The choice of a single frame as the input: that of the last active image which is on screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from napari.layers import Image, Layer

from napari_convgen.core.image import Layout
from napari_convgen.viewer.layers.door import LayerInput, finest_level, guess_axes, read_layer
from napari_convgen.viewer.layers.shown_frame import describe_place, index_on_screen
from napari_convgen.viewer.parts.chooser import InputChooser

if TYPE_CHECKING:
    from napari.components import ViewerModel


class FrameChooser(InputChooser):
    """Takes one frame of an image: of a stack that which is on screen.

    While a layer is active that is no image, such as a mask that is being drawn, the image that was active before stays the input.

    Parameters
    ----------
    viewer, z_axis
        As for `InputChooser`.
    """

    def __init__(self, viewer: ViewerModel, z_axis: Callable[[], Literal["frames", "volume"]]) -> None:
        super().__init__(viewer, z_axis)
        viewer.dims.events.point.connect(self.describe)

    def read(self) -> LayerInput:
        """Return the frame on screen, with axes of length 1 along those that count frames.

        Raises
        ------
        ConvgenError
            There is no image layer, or its axes do not fit.
        """
        if self.layer is None:
            return super().read()  # which says what to do
        layout = self.layout(self.layer)
        return read_layer(self.layer, layout.axes, self._index(self.layer, layout))

    def layout(self, layer: Image) -> Layout:
        """Return the meaning of the axes of the layer that is the input.

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

    def _describe_frames(self, layer: Image, layout: Layout) -> str:
        return describe_place(self._index(layer, layout), finest_level(layer).shape)

    def _index(self, layer: Image, layout: Layout) -> tuple[int | slice, ...]:
        """Return the index of the frame on screen."""
        counted = layout.frame_axes()
        is_counted = [axis in counted for axis in range(len(layout.axes))]
        return index_on_screen(layer, is_counted, self.viewer.dims.point)
