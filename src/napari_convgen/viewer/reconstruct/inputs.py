"""The choice of a problem, and of what it needs beside the image."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import ComboBox, FileEdit
from magicgui.widgets.bases import Widget
from napari.layers import Image, Labels, Layer, Shapes
from numpy.typing import NDArray

from napari_convgen.config import Config, setting_fields
from napari_convgen.core import image as core
from napari_convgen.core.image import Layout
from napari_convgen.errors import ConvgenError, InputError
from napari_convgen.files.lights import read_lights
from napari_convgen.viewer.layers.door import read_layer
from napari_convgen.viewer.layers.kspace import image_source, images_among
from napari_convgen.viewer.layers.mask import mask_of, may_mark
from napari_convgen.viewer.layers.units import format_lengths
from napari_convgen.viewer.parts.form import ConfigForm, leave_out
from napari_convgen.viewer.parts.image_chooser import ImageChooser
from napari_convgen.viewer.parts.labels import text_label
from napari_convgen.viewer.reconstruct.measured import Measured
from napari_convgen.viewer.reconstruct.problems import NO_PROBLEM, PROBLEMS, Problem
from napari_convgen.viewer.reconstruct.scan_chooser import ScanChooser
from napari_convgen.viewer.reconstruct.stack import read_stack

if TYPE_CHECKING:
    from napari.components import ViewerModel

NAN = "NaN of the image"
"""Choice of a mask for an image that marks its missing pixels itself."""

PSFS = {"blur": "Gaussian", "widefield": "Widefield", "confocal": "Confocal"}
"""Titles of the point spread functions that are computed, by the kind of operator."""

STACKS = {"through-focus": "planes through focus", "led-array": "one for each light"}
"""Titles of what the images of a phase are, by the kind of operator."""

MASK_LAYERS = (Labels, Shapes, Image)
"""Kinds of layers that can mark pixels."""

FWHM = 2 * math.sqrt(2 * math.log(2))
"""Full width of a Gaussian at half its maximum, in standard deviations."""

KIND = "operator.kind"
"""Name of the setting that the problem decides."""


def looked_at(viewer: ViewerModel, image: ImageChooser) -> ProblemInputs:
    """Return editors of what an image is the measurement of, at first of nothing but itself."""
    return ProblemInputs(viewer, image, {"": NO_PROBLEM, **PROBLEMS})


class ProblemInputs:
    """Editors of the problem and its inputs; those of other problems are hidden.

    Once `rows` were laid out, `follow_layers` shows what there is to choose from.

    Parameters
    ----------
    viewer
        Viewer whose layers there are to choose from.
    image
        Choice of the measurement.
    problems
        Problems to choose from, by name; all by default.

    Attributes
    ----------
    name
        Editor of the problem.
    scan
        Choice of k-space.
    hint
        Label that says more of what is chosen.
    """

    def __init__(self, viewer: ViewerModel, image: ImageChooser, problems: Mapping[str, Problem] = PROBLEMS) -> None:
        self.viewer = viewer
        self._image, self._problems = image, problems
        self.name = ComboBox(
            choices=[(problem.title, name) for name, problem in problems.items()],
            label="Problem",
            tooltip="What happened to the image when it was measured.",
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
        self._images = ComboBox(
            choices=[(title, kind) for kind, title in STACKS.items()],
            label="Images are",
            tooltip="What differs from image to image of the stack: the distance from the focus, or the direction of the light in focus.",
        )
        self._lights = FileEdit(
            label="Light directions",
            filter="Text (*.csv *.txt);;All files (*)",
            nullable=True,
            tooltip="Text file with a row for each image: sin θ of its light along rows and along columns.",
        )
        self.scan = ScanChooser(viewer)
        self._wanted: dict[ComboBox, Layer | str] = {}
        self._settings = ConfigForm(name for name in setting_fields() if name.startswith("operator."))
        self.hint = text_label()
        self._hinted = ""
        self.name.changed.connect(self._show_inputs)
        for chooser in (self._images, self._lights):
            chooser.changed.connect(self._show_inputs)
        for editor in (self._mask, self._psf):
            editor.changed.connect(lambda chosen, editor=editor: self._want(editor, chosen))
        self._settings.edited.connect(self._on_settings)
        self.scan.changed.connect(self._show_inputs)
        image.changed.connect(self.follow_layers)

    @property
    def problem(self) -> Problem:
        """The problem that is chosen."""
        return self._problems[self.name.value]

    @property
    def shows_image(self) -> bool:
        """True if the measurement is an image; that of an MRI scan or a phase is none."""
        return self.name.value not in ("sense", "phase")

    def rows(self) -> list[Widget | str]:
        """Return the editors for `napari_convgen.viewer.parts.form.labeled_rows`."""
        settings = [editor for name, editor in self._settings.editors.items() if name != KIND]
        return [self.name, *self.scan.rows(), self._mask, self._psf, self._images, self._lights, *settings]

    def settings(self) -> dict[str, Any]:
        """Return the settings of the operator, by dotted name."""
        return self._settings.values()

    def show_config(self, config: Config) -> None:
        """Show the settings of an operator, and the point spread function that is computed by it; the problem is chosen already."""
        self._settings.show_config(config)
        if self.name.value == "deblur" and config.operator.kind in PSFS:
            self._psf.value = config.operator.kind
        if self.name.value == "phase" and config.operator.kind in STACKS:
            self._images.value = config.operator.kind
        self._show_inputs()

    def _read_mask(self) -> NDArray[np.bool_] | None:
        """Return the mask of the missing pixels; ``None`` if the problem has none, or the image marks them itself.

        Raises
        ------
        InputError
            Shapes without an area.
        """
        layer, image = self._mask.value, self._image.layer
        if self.name.value != "inpaint" or image is None or not isinstance(layer, MASK_LAYERS):
            return None
        return mask_of(layer, image, spatial_axes(self._image.layout(image)), self.viewer.dims.point)

    def _read_psf(self) -> core.Image | None:
        """Return the point spread function; ``None`` if the problem has none, or it is computed."""
        layer, image = self._psf.value, self._image.layer
        if self.name.value != "deblur" or image is None or not isinstance(layer, Image):
            return None
        psf = read_layer(layer).image
        extra = layer.ndim - len(self._image.layout(image).spatial)
        if extra <= 0 or set(psf.data.shape[:extra]) != {1}:
            return psf
        assert psf.scale is not None
        assert psf.units is not None
        plane = np.asarray(psf.data).reshape(psf.data.shape[extra:])
        return core.Image(plane, None, psf.scale[extra:], psf.units[extra:], psf.name)

    def read(self) -> Measured:
        """Return what was measured, and the problem that it poses.

        Raises
        ------
        InputError, FileError
            Shapes without an area, no k-space, no stack, or no directions of the lights.
        """
        name, settings = self.name.value, self.settings()
        if name == "sense":
            scan, title = self.scan.read()
            beside = {"is_sampled": scan.file.is_sampled, "coil_maps": self.scan.read_maps()}
            return Measured(name, settings, beside, scan.file, image_source(scan, scan_title(title)))
        if name == "phase":
            lights = self._read_lights()
            stack, place = read_stack(self._image.layer, "plane" if lights is None else "light")
            return Measured(name, settings, {"lights": lights}, stack, place)
        return Measured(name, settings, {"is_missing": self._read_mask(), "psf": self._read_psf()})

    def _read_lights(self) -> NDArray[np.float64] | None:
        """Return the directions of the lights; ``None`` if all images have the same.

        Raises
        ------
        InputError, FileError
            No file is chosen, or it cannot be read.
        """
        if self.name.value != "phase" or self._images.value != "led-array":
            return None
        path = self._lights.value
        if not isinstance(path, Path) or not path.is_file():
            raise InputError(
                "The directions of the lights are missing. Choose the file with sin θ of the light of each image, along rows and columns."
            )
        return read_lights(path)

    def unsaid(self, notes: Iterable[str]) -> Iterator[str]:
        """Return those of a run's notes that the hint does not say already."""
        return (note for note in notes if note not in self._hinted)

    def follow_layers(self) -> None:
        """Offer the layers that there are."""
        others = [layer for layer in self.viewer.layers if layer != self._image.layer]
        images = [layer for layer in images_among(others) if not layer.rgb]
        drawn = [layer for layer in reversed(others) if isinstance(layer, Labels | Shapes)]
        active = self.viewer.layers.selection.active
        usual = next((layer for layer in drawn if may_mark(layer) or layer is active), NAN)
        self._offer(self._mask, [*((layer.name, layer) for layer in (*drawn, *images)), (NAN, NAN)], usual)
        computed = [(PSFS[kind], kind) for kind in PROBLEMS["deblur"].operators]
        self._offer(self._psf, [*computed, *((layer.name, layer) for layer in images)], computed[0][1])
        self.scan.follow_layers()

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

    def _show_inputs(self) -> None:
        """Show what the problem needs; a point spread function that is given has no settings."""
        name, kind = self.name.value, next(iter(self.problem.operators))
        leave_out(self._mask, name != "inpaint")
        leave_out(self._psf, name != "deblur")
        leave_out(self._images, name != "phase")
        leave_out(self._lights, name != "phase" or self._images.value != "led-array")
        self.scan.show(name == "sense")
        self._image.description.setVisible(name != "sense")
        if self._image.is_stack != (name == "phase"):
            self._image.is_stack = name == "phase"
            self._image.describe()
        kind = {"deblur": self._psf.value, "phase": self._images.value}.get(name, kind)
        editor, kind = self._settings.editors[KIND], kind if isinstance(kind, str) else "identity"
        if editor.value != kind:
            editor.value = kind
            self._show_defaults(kind)
        self._show_hint()

    def _show_defaults(self, kind: str) -> None:
        """Show the defaults of a kind in editors that show those of another."""
        fields = setting_fields()
        for name, editor in self._settings.editors.items():
            if kind in fields[name]:
                own, others = fields[name][kind].default, {str(field.default) for field in fields[name].values()}
                if str(editor.value) in others and str(editor.value) != str(own):
                    editor.value = str(own) if isinstance(editor.value, str) else own

    def _on_settings(self) -> None:
        if self.name.value == "sense":
            self.scan.describe(self._settings.values()["operator.n_calibration"])
        else:
            self._show_hint()

    def _show_hint(self) -> None:
        """Say where k-space was sampled, what a point spread function is computed for, in units of the image, or what the lights are."""
        image, text = self._image.layer, self.scan.text if self.name.value == "sense" else ""
        if image is not None and self.name.value == "deblur":
            with suppress(ConvgenError, ValueError):  # numbers and axes that are being typed
                text = describe_psf(self._settings.values(), image, self._image.layout(image))
        if self.name.value == "phase" and self._lights.value is not None:
            try:
                text = describe_lights(self._read_lights())
            except ConvgenError as error:
                text = str(error)
        self._hinted = text
        self.hint.setText(text)
        self.hint.setVisible(bool(text))


def describe_psf(settings: Mapping[str, Any], image: Image, layout: Layout) -> str:
    """Say what a point spread function is computed for, in the units of the image: its width, or the size of the pixels.

    Parameters
    ----------
    settings
        Settings of the operator, by dotted name.
    image, layout
        Layer of the image that is to be deblurred, and the meaning of its axes.
    """
    axes = spatial_axes(layout)
    units, pixels = [image.units[axis] for axis in axes], np.abs(image.scale)[axes]
    has_lengths = all(unit.is_compatible_with("micrometer") for unit in units)
    if settings[KIND] == "identity":
        return ""
    if settings[KIND] != "blur":
        size = format_lengths(pixels, units)
        return (
            f"Pixels of the layer: {size}."
            if has_lengths
            else "The layer has no unit of length: give the size of its pixels."
        )
    sigma = float(settings["operator.sigma"])
    if not has_lengths:
        return f"Full width at half maximum: {FWHM * sigma:.3g} pixels."
    width, full_width = (format_lengths(factor * sigma * pixels, units) for factor in (1, FWHM))
    return f"Standard deviation {width}, full width at half maximum {full_width}."


def scan_title(name: str) -> str:
    """Return the name of a scan from that of the layer of its k-space."""
    return name.removesuffix(" k-space")


def describe_lights(lights: NDArray[np.float64] | None) -> str:
    """Say how many lights there are, and how far from the axis."""
    return "" if lights is None else f"{len(lights)} lights, sin θ up to {np.hypot(*lights.T).max():.3g}."


def spatial_axes(layout: Layout) -> list[int]:
    """Return the positions of the spatial axes."""
    return [axis for axis, letter in enumerate(layout.axes) if letter in layout.spatial]
