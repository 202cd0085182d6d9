"""The choice of what is denoised: the active layer, its axes, and a reference."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal

import numpy as np
from magicgui.widgets import ComboBox, LineEdit
from napari.layers import Image, Layer
from psygnal import Signal

from napari_convgen.core.image import ArrayLike, Layout
from napari_convgen.errors import ConvgenError
from napari_convgen.viewer.layers.door import LayerInput, finest_level, guess_axes, read_layer
from napari_convgen.viewer.parts.labels import text_label

if TYPE_CHECKING:
    from napari.components import ViewerModel

NO_REFERENCE = "none"


class InputChooser:
    """Takes the active layer as the input, once `follow_layers` was called after its editors were laid out.

    Parameters
    ----------
    viewer
        Viewer whose layers there are to choose from.
    z_axis
        Function that returns ``"frames"`` or ``"volume"``: how a Z axis is fitted.

    Attributes
    ----------
    description
        Label that says what would be denoised.
    axes, reference
        Editors of the axes' letters and of the reference.
    layer
        Active layer if it is an image, else ``None``.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel, z_axis: Callable[[], Literal["frames", "volume"]]) -> None:
        self.viewer = viewer
        self.layer: Image | None = None
        self._z_axis = z_axis
        self._active: Layer | None = None
        self._typed_axes: list[tuple[Layer, str]] = []
        self._wanted_reference: Image | None = None
        self.description = text_label(tooltip="The active image layer: select another one in the layer list.")
        self.axes = LineEdit(
            label="Axes",
            tooltip="One letter for each axis of the layer: X, Y, Z, C (channels, fitted together); other axes count frames.",
        )
        self.reference = ComboBox(
            choices=(NO_REFERENCE,),
            label="Reference",
            tooltip="Clean image of the same shape, if there is one. It is used for scores only, not for the fit.",
        )
        self.axes.changed.connect(self._remember_axes)
        self.reference.changed.connect(self._want_reference)
        layers = viewer.layers
        layers.selection.events.active.connect(self.follow_layers)
        for event in (layers.events.inserted, layers.events.removed, layers.events.renamed):
            event.connect(self.follow_layers)

    def read(self) -> LayerInput:
        """Return what would be denoised.

        Raises
        ------
        ConvgenError
            There is no image layer, or its axes do not fit.
        """
        source = read_layer(self.layer or self.viewer.layers.selection.active, self.axes.value or None)
        Layout.of(source.data.shape, source.axes, self._z_axis())
        return source

    def reference_data(self) -> ArrayLike | None:
        """Return the pixels of the reference, if one is chosen."""
        name = self.reference.value
        return None if name == NO_REFERENCE else self.viewer.layers[name].data

    def follow_layers(self) -> None:
        """Show what would be denoised, and offer the references that fit it."""
        active = self._choose()
        is_new = active != self._active
        self._active = active
        self.layer = active if isinstance(active, Image) else None
        references: list[Image] = []
        if active is None:
            self.description.setText("<i>Select an image layer.</i>")
        elif self.layer is None:
            self.description.setText(
                f"<i>'{html.escape(active.name)}' is a {active.__class__.__name__} layer. Select an image layer.</i>"
            )
        else:
            data = finest_level(active)
            references = [
                layer
                for layer in self.viewer.layers
                if isinstance(layer, Image)
                and layer != active
                and not layer.multiscale
                and layer.data.shape == data.shape
            ]
            if is_new:
                with self.axes.changed.blocked():
                    self.axes.value = self._axes_of(active)
            self.describe()
        with self.reference.changed.blocked():
            self.reference.choices = (NO_REFERENCE, *(layer.name for layer in references))
            wanted = next((layer for layer in references if layer == self._wanted_reference), None)
            self.reference.value = NO_REFERENCE if wanted is None else wanted.name
        self.changed.emit()

    def describe(self) -> None:
        """Say what a run would take: the layer, its pixels, and into how many frames its axes divide them."""
        layer = self.layer
        if layer is None:
            return
        data = finest_level(layer)
        text = f"<b>{html.escape(layer.name)}</b> · {_times(data.shape)} · {np.dtype(data.dtype)}"
        try:
            layout = Layout.of(data.shape, self.axes.value or None, self._z_axis())
            if layout.frame_axes():
                text += f" · {self._describe_frames(layer, layout)}"
        except ConvgenError as error:
            text += f"<br><i>{error}</i>"
        self.description.setText(text)

    def _choose(self) -> Layer | None:
        """Return the layer that is to be the input, if it is an image."""
        return self.viewer.layers.selection.active

    def _describe_frames(self, layer: Image, layout: Layout) -> str:
        """Say what becomes of the frames of a stack."""
        shape = finest_level(layer).shape
        n_frames = math.prod(shape[i] for i in layout.frame_axes())
        return f"{n_frames} frames of {_times(layout.frame_shape(shape))}, one after another"

    def _axes_of(self, layer: Layer) -> str:
        """Return the axes that were typed for a layer, or a guess."""
        self._typed_axes = [(known, axes) for known, axes in self._typed_axes if known in self.viewer.layers]
        typed = [axes for known, axes in self._typed_axes if known == layer]
        try:
            return typed[-1] if typed else guess_axes(layer)
        except ConvgenError:
            return ""

    def _remember_axes(self, axes: str) -> None:
        if self._active is not None:
            self._typed_axes.append((self._active, axes))
        self.describe()

    def _want_reference(self, name: str) -> None:
        self._wanted_reference = None if name == NO_REFERENCE else self.viewer.layers[name]


def _times(shape: Iterable[int]) -> str:
    return " × ".join(map(str, shape))
