"""The choice of a problem, and of what it needs beside the image."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import ComboBox
from magicgui.widgets.bases import ValueWidget
from napari.layers import Image, Labels, Layer, Shapes
from numpy.typing import NDArray

from napari_convgen.config import setting_fields
from napari_convgen.errors import ConvgenError
from napari_convgen.viewer.layers.mask import mask_of
from napari_convgen.viewer.parts.form import ConfigForm, leave_out
from napari_convgen.viewer.parts.frame_chooser import FrameChooser
from napari_convgen.viewer.parts.labels import text_label
from napari_convgen.viewer.reconstruct.problems import PROBLEMS, Problem
from napari_convgen.viewer.reconstruct.psf import describe_gaussian, read_psf

if TYPE_CHECKING:
    from napari.components import ViewerModel

NAN = "NaN of the image"
"""Choice of a mask for an image that marks its missing pixels itself."""

PSFS = {"blur": "Gaussian"}
"""Titles of the point spread functions that are computed, by the kind of operator."""

MASK_LAYERS = (Labels, Shapes, Image)
"""Kinds of layers that can mark pixels."""

KIND = "operator.kind"
"""Name of the setting that the problem decides."""


class ProblemInputs:
    """Editors of the problem and its inputs; those of other problems are hidden.

    Once `rows` were laid out, `follow_layers` shows what there is to choose from.

    Parameters
    ----------
    viewer
        Viewer whose layers there are to choose from.
    image
        Choice of the measurement.

    Attributes
    ----------
    name
        Editor of the problem.
    hint
        Label that says more of what is chosen.
    """

    def __init__(self, viewer: ViewerModel, image: FrameChooser) -> None:
        self.viewer = viewer
        self._image = image
        self.name = ComboBox(
            choices=[(problem.title, name) for name, problem in PROBLEMS.items()],
            label="Problem",
            tooltip="What happened to the image when it was measured, and is to be undone.",
        )
        self._mask = ComboBox(
            choices=(NAN,),
            label="Missing pixels",
            tooltip="Layer that marks the pixels to fill in: labels or an image that are not zero there, or shapes around them, drawn over "
            "the image. Pixels that are NaN are filled in too.",
        )
        self._psf = ComboBox(
            choices=(next(iter(PSFS.values())),),
            label="Point spread",
            tooltip="Point spread function, the image of a point: computed, or a layer that shows one, in pixels of the image's size.",
        )
        self._wanted: dict[ComboBox, Layer | str] = {}
        self._settings = ConfigForm(name for name in setting_fields() if name.startswith("operator."))
        self.hint = text_label()
        self.name.changed.connect(self._show_inputs)
        for editor in (self._mask, self._psf):
            editor.changed.connect(lambda chosen, editor=editor: self._want(editor, chosen))
        self._settings.edited.connect(self._show_hint)
        image.changed.connect(self.follow_layers)

    @property
    def problem(self) -> Problem:
        """The problem that is chosen."""
        return PROBLEMS[self.name.value]

    def rows(self) -> list[ValueWidget[Any] | str]:
        """Return the editors for `napari_convgen.viewer.parts.form.labeled_rows`."""
        settings = [editor for name, editor in self._settings.editors.items() if name != KIND]
        return [self.name, self._mask, self._psf, *settings]

    def settings(self) -> dict[str, Any]:
        """Return the settings of the operator, by dotted name."""
        return self._settings.values() | {KIND: self._kind}

    def read_mask(self) -> NDArray[np.bool_] | None:
        """Return the mask of the missing pixels; ``None`` if the problem has none, or the image marks them itself.

        Raises
        ------
        InputError
            Shapes without an area.
        """
        layer, image = self._mask.value, self._image.layer
        if self.name.value != "inpaint" or image is None or not isinstance(layer, MASK_LAYERS):
            return None
        layout = self._image.layout(image)
        return mask_of(layer, image, [letter in layout.spatial for letter in layout.axes], self.viewer.dims.point)

    def read_psf(self) -> NDArray[Any] | None:
        """Return the point spread function; ``None`` if the problem has none, or it is computed.

        Raises
        ------
        InputError
            Pixels of another size than the image's.
        """
        layer, image = self._psf.value, self._image.layer
        if self.name.value != "deblur" or image is None or not isinstance(layer, Image):
            return None
        return read_psf(layer, image, self._image.layout(image))

    def follow_layers(self) -> None:
        """Offer the layers that there are."""
        others = [layer for layer in self.viewer.layers if layer != self._image.layer]
        images = [layer for layer in others if isinstance(layer, Image) and not layer.rgb]
        drawn = [layer for layer in reversed(others) if isinstance(layer, Labels | Shapes)]
        self._offer(
            self._mask, [*((layer.name, layer) for layer in (*drawn, *images)), (NAN, NAN)], drawn[0] if drawn else NAN
        )
        computed = [(PSFS[kind], kind) for kind in PROBLEMS["deblur"].operators]
        self._offer(self._psf, [*computed, *((layer.name, layer) for layer in images)], computed[0][1])
        self._show_inputs()

    def _offer(self, editor: ComboBox, choices: Sequence[tuple[str, Layer | str]], usual: Layer | str) -> None:
        """Offer choices; what the user has chosen stays, if it is among them."""
        values = [value for _, value in choices]
        wanted = self._wanted.get(editor, usual)
        with editor.changed.blocked():
            editor.choices = choices
            editor.value = wanted if wanted in values else usual

    def _want(self, editor: ComboBox, chosen: Layer | str) -> None:
        self._wanted[editor] = chosen
        self._show_inputs()

    @property
    def _kind(self) -> str:
        """Kind of the operator."""
        computed = self.name.value == "deblur" and isinstance(self._psf.value, str)
        return self._psf.value if computed else self.problem.operators[0]

    def _show_inputs(self) -> None:
        """Show what the problem needs; a point spread function that is given has no settings."""
        leave_out(self._mask, self.name.value != "inpaint")
        leave_out(self._psf, self.name.value != "deblur")
        is_given = self.name.value == "deblur" and isinstance(self._psf.value, Image)
        self._settings.editors[KIND].value = "identity" if is_given else self._kind
        self._show_hint()

    def _show_hint(self) -> None:
        """Say how wide a Gaussian point spread function is in the units of the image."""
        image, text = self._image.layer, ""
        values = self._settings.values()
        if image is not None and values[KIND] == "blur":
            with suppress(ConvgenError, ValueError):  # numbers and axes that are being typed
                text = describe_gaussian(float(values["operator.sigma"]), image, self._image.layout(image))
        self.hint.setText(text)
        self.hint.setVisible(bool(text))
