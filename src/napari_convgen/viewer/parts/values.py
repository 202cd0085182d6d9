"""What the values of an image are: the choice that the noise of an MRI image follows from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox
from magicgui.widgets.bases import ValueWidget
from napari.layers import Layer

from napari_convgen.config import Config
from napari_convgen.errors import InputError
from napari_convgen.files.images import part_of_file
from napari_convgen.viewer.layers.door import LayerInput
from napari_convgen.viewer.parts.chooser import InputChooser

if TYPE_CHECKING:
    from napari_convgen.core.noise import NoiseModel

INTENSITIES = "intensities"

TITLES = {
    INTENSITIES: "intensities",
    "magnitude": "magnitude (MRI)",
    "real": "real or phase (MRI)",
    "complex": "complex pair (MRI)",
}
"""Choices, by what `napari_convgen.files.magnetic_resonance.part_of` calls them."""

NOISE_KINDS = {INTENSITIES: "auto", "magnitude": "rician", "real": "gaussian", "complex": "gaussian"}
"""Kind of the noise that follows from each: that of magnitudes is Rician, that of parts of complex values Gaussian."""

JOINT = "joint"
"""Way in which the two channels of a complex pair are fitted: their structures agree, also where they look different."""

TOOLTIP = (
    "What the values are. Intensities of a camera or a detector: the kind of noise is found in the image. Magnitudes of MRI: Rician "
    "noise. Real or imaginary parts, or phases: Gaussian noise. Complex pair: a layer with an axis C of two, the real and the imaginary "
    "part, which are fitted together. It is chosen by what a DICOM file, or the BIDS description beside a NIfTI file, says."
)


class ValuesChoice:
    """A choice of what the values are, which sets the kind of the noise, and follows the file of a layer until the user chooses.

    Parameters
    ----------
    chooser
        Choice of the image.
    noise, channels
        Editors of the kind of the noise, and of how channels are fitted; a form may have none of these, ``None``, the default.

    Attributes
    ----------
    box
        The editor.
    is_recognized
        True if what is chosen was found in the file or in the image, and not chosen by the user.
    """

    def __init__(
        self, chooser: InputChooser, noise: ValueWidget[Any], channels: ValueWidget[Any] | None = None
    ) -> None:
        self._input = chooser
        self._noise, self._channels = noise, channels
        self._shown = INTENSITIES
        self._layer: Layer | None = None
        self.is_recognized = False
        self.box = ComboBox(
            choices=[(title, name) for name, title in TITLES.items()], label="Values are", tooltip=TOOLTIP
        )
        self.box.changed.connect(self._choose)
        noise.changed.connect(self._follow_noise)
        chooser.changed.connect(self._follow_layer)

    def settings(self) -> dict[str, Any]:
        """Return the settings that follow from what the values are, by dotted name; none for intensities."""
        if self._shown == INTENSITIES:
            return {}
        return {"noise.kind": NOISE_KINDS[self._shown]} | ({"channels": JOINT} if self._shown == "complex" else {})

    def kept(self, config: Config) -> Config:
        """Return a configuration as it is kept for other images: without what was found in the file of this one."""
        return config.replace(dict.fromkeys(self.settings(), "auto")) if self.is_recognized else config

    def check(self, source: LayerInput) -> None:
        """Refuse an image that is no complex pair, if that is chosen.

        Raises
        ------
        InputError
            It has no axis of two channels.
        """
        sizes = dict(zip(source.axes, source.data.shape, strict=False))
        if self.box.value == "complex" and sizes.get("C") != 2:
            raise InputError(
                "A complex pair is an image with two channels, the real and the imaginary part: an axis C of length 2. "
                f"The axes of this image are {source.axes}, of the lengths {tuple(source.data.shape)}. Put both parts into one layer, and "
                "name its axis C in 'Axes', or choose 'real or phase' for one part."
            )

    def recognize(self, noise: NoiseModel | None) -> None:
        """Show magnitudes where their noise was found in an image of which nothing else is known."""
        if noise is not None and noise.kind == "rician" and self.box.value == INTENSITIES:
            self._show("magnitude")
            self.is_recognized = True

    def _choose(self, values: str) -> None:
        self.is_recognized = False
        self._take(values)

    def _take(self, values: str) -> None:
        """Set what follows from a choice."""
        self._noise.value = NOISE_KINDS[values]
        self._show(values)
        axes = self._input.axes.value
        if values == "complex" and self._input.layer is not None and "C" not in axes.upper():
            shape = self._input.layer.data.shape
            if shape[0] == 2 and len(axes) == len(shape) > 2:
                self._input.axes.value = f"C{axes[1:]}"

    def _show(self, values: str) -> None:
        if self._channels is not None and (values == "complex") != (self._shown == "complex"):
            self._channels.value = JOINT if values == "complex" else "auto"
        self._shown = values
        with self.box.changed.blocked():
            self.box.value = values

    def _follow_noise(self, kind: str) -> None:
        """Show what a kind of noise that was chosen says of the values."""
        if kind == "rician":
            self._show("magnitude")
        elif kind != NOISE_KINDS[self.box.value]:
            self._show(INTENSITIES)

    def _follow_layer(self) -> None:
        """Take what the file of another layer says; what was taken of the one before it is not kept."""
        layer = self._input.layer
        if layer is None or layer == self._layer:
            return
        self._layer = layer
        said = None if layer.source.path is None else part_of_file(layer.source.path)
        if said is not None or self.is_recognized:
            self._take(said or INTENSITIES)
            self.is_recognized = said is not None
