"""The settings of *Why it works*."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from magicgui.widgets import CheckBox, LineEdit, SpinBox
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_convgen.config import GENERATOR_ALONE, PRESETS, Config, fixed_input_presets, preset
from napari_convgen.errors import ConfigError
from napari_convgen.viewer.parts.buttons import in_two_columns
from napari_convgen.viewer.parts.chooser import InputChooser, offer_volume
from napari_convgen.viewer.parts.folded import Folded
from napari_convgen.viewer.parts.form import ConfigForm, labeled_rows
from napari_convgen.viewer.parts.loading import config_of, describe_missing
from napari_convgen.viewer.parts.preferences import keep_config, read_config, recall
from napari_convgen.viewer.parts.presets import PresetBox, nearest_preset, preset_beside
from napari_convgen.viewer.reconstruct.inputs import ProblemInputs
from napari_convgen.viewer.spectrum.request import SpectrumSettings

OWN_SETTINGS = (
    "generator.kind",
    "generator.n_channels",
    "generator.n_scales",
    "noise.kind",
    "z_axis",
    "seed",
    "device",
)
"""Settings in the form; all others are the preset's."""

GROUP = "why_it_works"
"""Name of the widget's group of preferences."""

GROUPS = {
    "convolutions": ("Convolutions", "The hidden convolutions."),
    "norms": ("Norms", "Scales and offsets of the channel norms."),
    "output": ("Output", "The layer that makes the image."),
}
"""Groups of parameters, with their titles and tooltips."""

MAX_STEPS = 5
"""Number of steps that the plots can tell apart."""


class SpectrumForm(QWidget):
    """What the Jacobian is taken for, and of what.

    Attributes
    ----------
    z_axis
        Editor of how a Z axis is fitted.
    """

    def __init__(self) -> None:
        super().__init__()
        self._config = ConfigForm(OWN_SETTINGS)
        self.z_axis = self._config.editors["z_axis"]
        self._preset = PresetBox(_preset_names())
        self._rank = SpinBox(
            value=SpectrumSettings.rank,
            min=1,
            max=100_000,
            label="Vectors",
            tooltip="Number of singular values and vectors that are found.",
        )
        self._passes = SpinBox(
            value=SpectrumSettings.n_passes,
            min=1,
            max=20,
            label="Passes",
            tooltip="Passes of the iteration that finds the vectors: more make the last of them more exact.",
        )
        self._steps = LineEdit(
            value="0",
            label="At steps",
            tooltip="Steps of a fit at which the generator is looked at, separated by commas; 0 is its start.",
        )
        self._groups = {name: CheckBox(value=True, text=text, tooltip=tip) for name, (text, tip) in GROUPS.items()}
        self._grid = CheckBox(value=True, text="Side by side", tooltip="Show the layers in napari's grid.")
        self._preset.changed.connect(self._choose_preset)
        self._preset.value, config = read_config(GROUP, PRESETS, GENERATOR_ALONE)
        self._config.show_config(config)
        recall(GROUP, {"vectors": self._rank})

    def lay_out(self, chooser: InputChooser, problem: ProblemInputs) -> None:
        """Place the editors below each other, and among them that of the axes of the image that is chosen, and those of the problem."""
        boxes = QWidget()
        boxes.setLayout(in_two_columns(box.native for box in (*self._groups.values(), self._grid)))
        more = Folded()
        more.setToolTip("Parameters, axes, generator and noise.")
        more.addWidget(boxes)
        folded = (editor for editor in self._config.editors.values() if editor is not self.z_axis)
        more.addWidget(labeled_rows([self._passes, chooser.axes, *folded]))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(labeled_rows([*problem.rows(), self.z_axis, self._preset, self._rank, self._steps]))
        column.addWidget(problem.hint)
        column.addWidget(more)
        offer_volume(self._config, chooser, lambda: problem.shows_image, [problem.name])

    def config(self) -> Config:
        """Return the preset with the settings in the form.

        Raises
        ------
        ConfigError
            A value out of its range.
        """
        return preset(self._preset.value).replace(self._config.values())

    def settings(self) -> SpectrumSettings:
        """Return the settings of the look at the Jacobian.

        Raises
        ------
        ConfigError
            Steps that are no whole numbers, or too many.
        """
        return SpectrumSettings(
            rank=self._rank.value,
            n_passes=self._passes.value,
            at_steps=tuple(_read_steps(self._steps.value)),
            groups=tuple(name for name, box in self._groups.items() if box.value),
            has_grid=self._grid.value,
        )

    def show_report(self, report: Mapping[str, Any]) -> str:
        """Show the settings of another run, and what was looked at if it was one of this widget; say what the form does not have."""
        config = config_of(report, self._config.values())
        self._preset.value = nearest_preset(config)
        self._config.show_config(config)
        if spectra := report.get("spectra"):
            self._rank.value = max(spectrum["rank"] for spectrum in spectra)
            self._steps.value = ", ".join(str(spectrum["step"]) for spectrum in spectra)
            for name, box in self._groups.items():
                box.value = name in report["groups"]
        return describe_missing(config, self.config())

    def keep(self) -> None:
        """Keep what is chosen for the next session."""
        keep_config(GROUP, self._preset.value, self.config(), {"vectors": self._rank.value})

    def _choose_preset(self, name: str) -> None:
        self._config.show_config(preset_beside(name, self._config.values()))


def _read_steps(text: str) -> Iterable[int]:
    try:
        steps = [int(word) for word in text.split(",")]
    except ValueError:
        raise ConfigError(f"Steps must be whole numbers, got {text!r}. Separate them by commas: 0, 50, 200.") from None
    if len(steps) > MAX_STEPS:
        raise ConfigError(
            f"At most {MAX_STEPS} steps can be told apart in the plots, got {len(steps)}. Leave some out."
        )
    return steps


def _preset_names() -> tuple[str, ...]:
    """Return the names of the presets, those of a generator alone first."""
    alone = fixed_input_presets()
    return (*alone, *(name for name in PRESETS if name not in alone))
