"""The choice of what is denoised: the active layer, its axes, and a reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from magicgui.widgets import ComboBox, LineEdit
from magicgui.widgets.bases import ValueWidget
from napari.layers import Image, Layer
from napari.utils.notifications import show_info
from psygnal import Signal

from napari_convgen.core.image import ArrayLike, Layout
from napari_convgen.errors import ConvgenError
from napari_convgen.viewer.layers.door import LayerInput, finest_level, guess_axes, read_layer
from napari_convgen.viewer.layers.frame import find_frame, frame_index, take_frame
from napari_convgen.viewer.layers.kspace import images_among, refuse_kspace
from napari_convgen.viewer.layers.names import name_events
from napari_convgen.viewer.layers.pixel_size import (
    describe_pixel_size,
    has_no_pixel_size,
    take_pixel_size,
    unread_pixel_size,
)
from napari_convgen.viewer.parts.form import ConfigForm
from napari_convgen.viewer.parts.labels import name_of_layer, text_label

if TYPE_CHECKING:
    from napari.components import ViewerModel

NO_REFERENCE = "none"

TAKE = "<a href='take' style='color: #2f7fd6'>Take it over</a>"
"""Link that gives the layer the size of the pixels in its file, in a blue that can be read in the dark and the light theme."""


class InputChooser:
    """Takes the active layer as the input, once `follow_layers` was called after its editors were laid out.

    Parameters
    ----------
    viewer
        Viewer whose layers there are to choose from.
    z_axis
        Function that returns ``"frames"`` or ``"volume"``: how a Z axis is fitted.
    is_single
        True to take of a stack the frame on screen alone; False, the default, to take all.

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

    def __init__(
        self, viewer: ViewerModel, z_axis: Callable[[], Literal["frames", "volume"]], is_single: bool = False
    ) -> None:
        self.viewer = viewer
        self._is_single = is_single
        self.layer: Image | None = None
        self._z_axis = z_axis
        self._active: Layer | None = None
        self._typed_axes: list[tuple[Layer, str]] = []
        self._wanted_reference: Image | None = None
        self.description = text_label(tooltip="The active image layer: select another one in the layer list.")
        self.description.linkActivated.connect(self._take_pixel_size)
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
        for event in name_events(layers):
            event.connect(self.follow_layers)
        if is_single:
            viewer.dims.events.point.connect(self.describe)

    def read(self) -> LayerInput:
        """Return what would be taken.

        Raises
        ------
        ConvgenError
            There is no image layer, its axes do not fit, or it shows k-space, which is no image.
        """
        layer = self.layer or self.viewer.layers.selection.active
        if layer is not None:
            refuse_kspace(layer)
        source = read_layer(layer, self.axes.value or None)
        Layout.of(source.data.shape, source.axes, self._z_axis())
        return take_frame(source, self.place())

    def reference_data(self) -> ArrayLike | None:
        """Return the pixels of the reference that belong to what would be taken, if one is chosen."""
        name = self.reference.value
        if name == NO_REFERENCE:
            return None
        data: ArrayLike = self.viewer.layers[name].data
        place = self.place()
        return data[frame_index(place, len(data.shape))] if place else data

    def place(self) -> dict[int, int]:
        """Return the place of the frame that would be taken of a stack, by the axes that count frames; none if all would be.

        Raises
        ------
        InputError
            Axes that do not fit.
        """
        return {} if self.layer is None or not self._is_single else self.place_on_screen(self.layer)

    def place_on_screen(self, layer: Image) -> dict[int, int]:
        """Return the place of the frame of a layer that is on screen, by the axes that count frames; none for a single one.

        Raises
        ------
        InputError
            Axes that do not fit.
        """
        point = layer.world_to_data(list(self.viewer.dims.point)[-layer.ndim :])
        return find_frame(finest_level(layer).shape, self.axes.value or None, self._z_axis(), point)

    def follow_layers(self) -> None:
        """Show what would be denoised, and offer the references that fit it."""
        active = self._choose()
        is_new = active != self._active
        if is_new:
            self._follow_data(active)
        self._active = active
        self.layer = active if isinstance(active, Image) else None
        references: list[Image] = []
        if active is None:
            self.description.setText("<i>Select an image layer.</i>")
        elif self.layer is None:
            self.description.setText(
                f"<i>{name_of_layer(active.name)} is a {active.__class__.__name__} layer. Select an image layer.</i>"
            )
        else:
            data = finest_level(active)
            references = [
                layer
                for layer in images_among(self.viewer.layers)
                if layer != active and not layer.multiscale and layer.data.shape == data.shape
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
        text = f"{name_of_layer(layer.name)} · {times(data.shape)} · {np.dtype(data.dtype)}"
        try:
            text += self._describe_taken(data.shape)
        except ConvgenError as error:
            text += f"<br><i>{error}</i>"
        if size := unread_pixel_size(layer, self.axes.value):
            text += f"<br><i>Its file says pixels of {describe_pixel_size(size)}; napari has not read that.</i> {TAKE}"
        self.description.setText(text)

    def _describe_taken(self, shape: tuple[int, ...]) -> str:
        """Say what of a stack would be taken, and into how many frames its axes divide it; nothing of a single image."""
        layout = Layout.of(shape, self.axes.value or None, self._z_axis())
        if place := self.place():
            where = ", ".join(f"{i + 1} of {shape[axis]}" for axis, i in place.items())
            return f" · the shown frame only ({where})"
        if counted := layout.frame_axes():
            n_frames = math.prod(shape[i] for i in counted)
            return f" · {n_frames} frames of {times(layout.frame_shape(shape))}, one after another"
        return ""

    def _take_pixel_size(self) -> None:
        """Give the layer the size of the pixels in its file."""
        layer = self.layer
        if layer is not None and (size := unread_pixel_size(layer, self.axes.value)) is not None:
            take_pixel_size(layer, size)
            self.viewer.reset_view()
            if any(other is not layer and has_no_pixel_size(other) for other in self.viewer.layers):
                show_info(
                    f"'{layer.name}' and the layers of its runs have their pixel size now. Other layers still have none."
                )
        self.describe()

    def _follow_data(self, active: Layer | None) -> None:
        """Notice when the active layer is given other data, and not when that of the layer before is."""
        if self._active is not None:
            self._active.events.data.disconnect(self.follow_layers)
        if active is not None:
            active.events.data.connect(self.follow_layers)

    def _choose(self) -> Layer | None:
        """Return the layer that would be taken, if it is an image."""
        return self.viewer.layers.selection.active

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


def offer_volume(
    form: ConfigForm,
    chooser: InputChooser,
    is_apt: Callable[[], bool] = lambda: True,
    others: Iterable[ValueWidget[Any]] = (),
) -> None:
    """Show the choice between frames and a volume where there is a Z axis, or where the choice does not fit.

    Parameters
    ----------
    form
        Form with the choice.
    chooser
        Choice of the image.
    is_apt
        Function that returns False where images have no such choice; by default all have.
    others
        Editors whose value ``is_apt`` depends on; none by default.
    """
    editor = form.editors["z_axis"]
    form.show_row_if("z_axis", lambda: is_apt() and ("Z" in chooser.axes.value.upper() or editor.value != "frames"))
    for signal in (chooser.changed, chooser.axes.changed, editor.changed, *(other.changed for other in others)):
        signal.connect(form.show_rows)


def times(shape: Iterable[int]) -> str:
    """Return a shape as text: ``"7 × 96 × 96"``."""
    return " × ".join(map(str, shape))
