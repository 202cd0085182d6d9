"""The dock widget *Image against noise*."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox, LineEdit

from napari_convgen.config import GENERATOR_ALONE, Config, fixed_input_presets, preset
from napari_convgen.errors import ConfigError
from napari_convgen.run.image_vs_noise.config import MEAN_KINDS, NOISE_SHAPES, TargetsConfig
from napari_convgen.viewer.image_vs_noise.course import Course
from napari_convgen.viewer.image_vs_noise.request import FitsRequest
from napari_convgen.viewer.image_vs_noise.session import FitsSession
from napari_convgen.viewer.parts.buttons import button, rows_of
from napari_convgen.viewer.parts.chooser import offer_volume
from napari_convgen.viewer.parts.dock import DockWidget
from napari_convgen.viewer.parts.folded import Folded
from napari_convgen.viewer.parts.form import ConfigForm, labeled_rows
from napari_convgen.viewer.parts.image_chooser import ImageChooser
from napari_convgen.viewer.parts.loading import LoadButton, config_of, describe_missing
from napari_convgen.viewer.parts.preferences import keep_config, read_config, recall
from napari_convgen.viewer.parts.presets import PresetBox, nearest_preset
from napari_convgen.viewer.parts.run_controls import RunControls, RunText, Tooltips
from napari_convgen.viewer.plots.curves import REDRAW_SECONDS
from napari_convgen.viewer.plots.panels import PanelView, ask_and_save
from napari_convgen.viewer.reconstruct.inputs import looked_at

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_convgen.run.image_vs_noise.progress import CompareFitsProgress, Moment

OWN_SETTINGS = ("z_axis", "n_steps", "seed", "device")
"""Settings to choose; all others are the preset's. The first is always in sight."""

NO_ADDED_NOISE = "none"

PLOT_HEIGHT = 170
"""Least height of a plot, in pixels."""

GROUP = "image_against_noise"
"""Name of the widget's group of preferences."""

TOOLTIPS = Tooltips(
    run="Fit the generator to the active layer and to noise, from the same start.",
    pause="Pause the fits; press again to resume.",
    stop="End the fits now and keep what there is.",
    cancel="End the fits and leave the viewer as it was.",
    progress="Steps taken; all fits take them together.",
)


PURPOSE = (
    "Fits a network to your image, and the same network to noise. The image is fitted sooner: this is why a fit that is "
    "ended in time removes noise."
)


class ImageAgainstNoiseWidget(DockWidget):
    """Fit a generator to the active layer and to noise of the same norm, side by side, and say which of them it fits first.

    Parameters
    ----------
    napari_viewer
        The viewer that the widget is docked in.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(PURPOSE)
        self.viewer = napari_viewer
        self.session = FitsSession(napari_viewer)
        self._moments: list[Moment] = []  # of the run under way
        self._course: Course | None = None
        self._drawn = 0.0
        self._settings = ConfigForm(OWN_SETTINGS)
        self._input = ImageChooser(napari_viewer, lambda: self._settings.editors["z_axis"].value)
        self._problem = looked_at(napari_viewer, self._input)
        self._preset = PresetBox(fixed_input_presets())
        self._noise = ComboBox(
            choices=NOISE_SHAPES,
            label="Pure noise",
            tooltip="Distribution of the noise that is fitted beside the image: uniform as in the paper's code, or gaussian.",
        )
        self._mean = ComboBox(
            choices=MEAN_KINDS,
            label="Its mean",
            tooltip="removed: the noise lies around the image's mean and varies as strongly. kept: mean and variation together have the "
            "image's norm, and three quarters of it are the mean, as in the paper's code.",
        )
        self._added = LineEdit(
            value=NO_ADDED_NOISE,
            label="Added noise",
            tooltip="Standard deviation, in the image's units, of Gaussian noise added to the image for one more fit; 'none': no such fit.",
        )
        self._targets = {"noise": self._noise, "mean": self._mean, "added_noise": self._added}
        self._build()
        self._connect()
        self._preset.value, config = read_config(GROUP, fixed_input_presets(), GENERATOR_ALONE)
        self._settings.show_config(config)
        recall(GROUP, self._targets)
        self._input.follow_layers()
        self._show_current()

    def config(self) -> tuple[Config, TargetsConfig]:
        """Return the configuration of the generator and that of the targets.

        Raises
        ------
        ConfigError
            A value out of its range.
        """
        base = preset(self._preset.value).replace(self._settings.values())
        text = self._added.value.strip()
        try:
            added = 0.0 if text in ("", NO_ADDED_NOISE) else float(text)
        except ValueError as error:
            raise ConfigError(f"The added noise must be a number, or '{NO_ADDED_NOISE}', got '{text}'.") from error
        return base, TargetsConfig(self._noise.value, self._mean.value, added)

    def run(self) -> None:
        """Start fitting."""
        with self._controls.error.shown_errors():
            request = self._request()
            self.session.run(request)
            kept = {name: editor.value for name, editor in self._targets.items()}
            keep_config(GROUP, self._preset.value, request.config, kept)
            self._moments, self._course = [], None
            self._draw()

    def save(self) -> None:
        """Ask for a file, and save the plots of the last run."""
        if self.session.result is not None:
            ask_and_save(self, self.session.result.panels(), "fits")

    def _request(self) -> FitsRequest:
        measured, (config, targets) = self._problem.read(), self.config()
        config = config.replace(measured.settings)
        if measured.place is not None:  # no layer has the shape of both the measurement and the image
            return FitsRequest(measured.place, config, targets, None, measured)
        return FitsRequest(self._input.read(), config, targets, self._input.reference_data(), measured)

    def _build(self) -> None:
        self._controls = RunControls(self.session, TOOLTIPS, self._request)
        self._save = button("Save …", "Save the plots as PNG or SVG, or the points of all curves as CSV.")
        self._load = LoadButton(self.viewer, self._controls.error.shown_errors)
        self._errors, self._distances = PanelView(self.viewer.theme), PanelView(self.viewer.theme)
        for view in (self._errors, self._distances):
            view.setMinimumHeight(PLOT_HEIGHT)
        self._errors.setToolTip(
            "Share of each target that is left to fit, by step: 100 % is an even gray, 0 % the target itself. "
            "Dashed: how far the fit is from the clean image."
        )
        self._distances.setToolTip(
            "How far the weights of each layer have moved from where they started, over the norm of the start."
        )
        self._text = RunText(self.session)

        self.column.addWidget(self._input.description)
        targets = [self._noise, self._mean, self._added, self._input.reference]
        z_axis, n_steps, *folded = self._settings.editors.values()
        more = Folded()
        more.addWidget(labeled_rows([*folded, self._input.axes]))
        self.column.addWidget(labeled_rows([*self._problem.rows(), z_axis, *targets, self._preset, n_steps]))
        self.column.addWidget(self._problem.hint)
        self.column.addWidget(self._controls)
        self.column.addWidget(self._text)
        self.column.addWidget(self._errors, stretch=1)
        self.column.addWidget(self._distances, stretch=1)
        self.column.addLayout(rows_of((self._save, self._load)))
        self.column.addWidget(more)
        self.column.addStretch()

    def _connect(self) -> None:
        self._controls.run_clicked.connect(self.run)
        self._save.clicked.connect(self.save)
        self._load.loaded.connect(self._show_report)
        self._preset.changed.connect(self._choose_preset)
        self._settings.editors["z_axis"].changed.connect(self._input.describe)
        offer_volume(self._settings, self._input, lambda: self._problem.shows_image, [self._problem.name])
        self.session.progressed.connect(self._on_progress)
        self.session.finished.connect(self._show_current)
        self.session.turned.connect(self._show_current)
        self.session.step_changed.connect(self._draw)
        self.viewer.events.theme.connect(self._follow_theme)

    def _choose_preset(self) -> None:
        own = {name: value for name, value in self._settings.values().items() if name != "n_steps"}
        self._settings.show_config(preset(self._preset.value).replace(own))

    def _show_report(self, report: Mapping[str, Any]) -> None:
        """Show the settings of another run, and its targets if it was one of this widget."""
        config = config_of(report, self._settings.values())
        self._preset.value = nearest_preset(config, fixed_input_presets())
        self._settings.show_config(config)
        if "mean" in report:
            self._noise.value, self._mean.value = report["noise"], report["mean"]
            self._added.value = str(report["added_noise"] or NO_ADDED_NOISE)
        self._text.setText(describe_missing(config, self.config()[0]))

    def _follow_theme(self) -> None:
        for view in (self._errors, self._distances):
            view.follow_theme(self.viewer.theme)

    def _on_progress(self, progress: CompareFitsProgress) -> None:
        self._text.setText(str(progress))
        task = self.session.task
        if progress.moment is None or task is None:
            return
        self._moments.append(progress.moment)
        if time.perf_counter() - self._drawn > REDRAW_SECONDS:
            self._course = Course.of_moments(task, self._moments)
            self._draw()

    def _show_current(self) -> None:
        """Show the current run: after a cancel the one before it, if there was one."""
        result = self.session.result
        self._save.setEnabled(result is not None)
        self._course = None if result is None else Course.of_result(result)
        lines = () if result is None else (*result.sentences(), *self._problem.unsaid(result.notes))
        self._text.setText("\n".join(lines))
        self._draw()

    def _draw(self) -> None:
        """Draw the curves so far, and the weights' distances at the step on screen."""
        self._drawn = time.perf_counter()
        step = None if self.session.layers is None else self.session.layers.step_on_screen()
        plots = (None, None) if self._course is None else self._course.plots(step)
        for view, plot in zip((self._errors, self._distances), plots, strict=True):
            view.show_panel(plot)
