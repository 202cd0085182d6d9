"""The dock widget *Image against noise*."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from magicgui.widgets import ComboBox, LineEdit
from napari.utils.notifications import show_error
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QGridLayout,
    QLabel,
    QProgressBar,
    QPushButton,
)
from superqt import QCollapsible

from napari_convgen.config import Config, fixed_input_presets, preset
from napari_convgen.errors import ConfigError, ConvgenError
from napari_convgen.figures.panel import Plot
from napari_convgen.run.image_vs_noise.config import MEAN_KINDS, NOISE_SHAPES, TargetsConfig
from napari_convgen.run.image_vs_noise.panels import distance_plot, error_plot
from napari_convgen.run.labels import format_seconds
from napari_convgen.viewer.denoise.session import State
from napari_convgen.viewer.denoise.widget import LOADING
from napari_convgen.viewer.image_vs_noise.session import FitsSession
from napari_convgen.viewer.parts.chooser import InputChooser
from napari_convgen.viewer.parts.dock import DockWidget
from napari_convgen.viewer.parts.form import ConfigForm, labeled_rows
from napari_convgen.viewer.plots.curves import REDRAW_SECONDS
from napari_convgen.viewer.plots.panels import PanelView, ask_and_save
from napari_convgen.viewer.worker.job import PROGRESS_PARTS

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_convgen.run.image_vs_noise.result import CompareFitsResult
    from napari_convgen.run.image_vs_noise.run import CompareFitsProgress, Moment

OWN_SETTINGS = ("n_steps", "seed", "z_axis", "device")
"""Settings to choose; all others are the preset's. The first is always in sight."""

NO_ADDED_NOISE = "none"

PLOT_HEIGHT = 170
"""Pixels that a plot has at least."""


class ImageAgainstNoiseWidget(DockWidget):
    """Fit a generator to the active layer, to noise of the same norm and to more, side by side, and say which is drawn sooner.

    Parameters
    ----------
    napari_viewer
        The viewer that the widget is docked in.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.session = FitsSession(napari_viewer)
        self._moments: list[Moment] = []
        self._drawn = 0.0
        self._settings = ConfigForm(OWN_SETTINGS)
        self._input = InputChooser(napari_viewer, lambda: self._settings.editors["z_axis"].value)
        self._preset = ComboBox(choices=fixed_input_presets(), label="Preset", tooltip="Settings of the generator.")
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
            tooltip="Also fit the image with Gaussian noise of this standard deviation added, in the image's units; 'none' does not.",
        )
        self._build()
        self._connect()
        self._choose_preset()
        self._input.follow_layers()
        self._show_state(State.IDLE)

    def config(self) -> tuple[Config, TargetsConfig]:
        """Return what the form shows.

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
        try:
            self.session.start(self._input.read(), *self.config(), self._input.reference_data())
        except ConvgenError as error:
            show_error(str(error))
            return
        self._moments = []
        self._draw()
        self._say([LOADING])

    def save(self) -> None:
        """Ask for a file, and save the plots of the last run."""
        assert self.session.result is not None
        ask_and_save(self, self.session.result.panels(), "fits")

    def _build(self) -> None:
        self._progress = QProgressBar()
        self._progress.setRange(0, PROGRESS_PARTS)
        self._progress.setToolTip("Steps taken; all fits take them together.")
        self._errors, self._distances = PanelView(self.viewer.theme), PanelView(self.viewer.theme)
        for view in (self._errors, self._distances):
            view.setMinimumHeight(PLOT_HEIGHT)
        self._errors.setToolTip(
            "How much of each target's variance is left to be drawn, by step. Dashed: how far the fit is from the clean image."
        )
        self._distances.setToolTip(
            "How far the weights of each layer have moved from where they started, over the norm of the start."
        )
        self._words, self._details = QLabel(), QLabel()
        for label in (self._words, self._details):
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            label.setAlignment(Qt.AlignmentFlag.AlignTop)

        self.column.addWidget(self._input.description)
        targets = [self._noise, self._mean, self._added, self._input.reference]
        n_steps, *folded = self._settings.editors.values()
        more = QCollapsible("More settings")
        more.addWidget(labeled_rows([*folded, self._input.axes]))
        self.column.addWidget(labeled_rows([*targets, self._preset, n_steps]))
        self.column.addLayout(self._build_buttons())
        self.column.addWidget(self._progress)
        self.column.addWidget(self._words)
        self.column.addWidget(self._errors, stretch=1)
        self.column.addWidget(self._distances, stretch=1)
        self.column.addWidget(self._details)
        self.column.addWidget(more)

    def _build_buttons(self) -> QGridLayout:
        def button(text: str, tooltip: str) -> QPushButton:
            widget = QPushButton(text)
            widget.setToolTip(tooltip)
            return widget

        self._run = button("Run", "Fit the generator to the active layer and to noise, from the same start.")
        self._pause = button("Pause", "Hold the fits; press again to go on.")
        self._stop = button("Stop", "End the fits now and keep what there is.")
        self._cancel = button("Cancel", "End the fits and leave the viewer as it was.")
        self._save = button("Save plots …", "As a picture (PNG, SVG), or the points of all curves as a table (CSV).")
        grid = QGridLayout()
        grid.setSpacing(4)
        for i, row in enumerate(((self._run, self._save), (self._pause, self._stop, self._cancel))):
            width = 6 // len(row)
            for j, widget in enumerate(row):
                grid.addWidget(widget, i, j * width, 1, width)
        return grid

    def _connect(self) -> None:
        self._run.clicked.connect(self.run)
        self._pause.clicked.connect(self._toggle_pause)
        self._stop.clicked.connect(self.session.stop)
        self._cancel.clicked.connect(self.session.cancel)
        self._save.clicked.connect(self.save)
        self._preset.changed.connect(self._choose_preset)
        self._settings.editors["z_axis"].changed.connect(self._input.describe)
        self.session.state_changed.connect(self._show_state)
        self.session.progressed.connect(self._show_progress)
        self.session.finished.connect(self._show_end)
        self.session.step_changed.connect(self._draw)
        self.viewer.events.theme.connect(self._follow_theme)

    def leave(self) -> None:
        """End the run, which delivers what it has."""
        self.session.stop()

    def _choose_preset(self) -> None:
        own = {name: value for name, value in self._settings.values().items() if name != "n_steps"}
        self._settings.show_config(preset(self._preset.value).replace(own))

    def _toggle_pause(self) -> None:
        if self.session.state is State.PAUSED:
            self.session.resume()
        else:
            self.session.pause()

    def _follow_theme(self) -> None:
        for view in (self._errors, self._distances):
            view.follow_theme(self.viewer.theme)

    def _show_state(self, state: State) -> None:
        is_running = state in (State.RUNNING, State.PAUSED)
        self._run.setEnabled(state is State.IDLE)
        self._pause.setEnabled(is_running)
        self._pause.setText("Continue" if state is State.PAUSED else "Pause")
        self._stop.setEnabled(is_running)
        self._cancel.setEnabled(state is not State.IDLE)
        self._save.setEnabled(self.session.result is not None)
        if state is State.IDLE:
            self._progress.setValue(0)
        self._progress.setTextVisible(state is not State.IDLE)

    def _show_progress(self, where: CompareFitsProgress) -> None:
        self._progress.setValue(round(PROGRESS_PARTS * where.step / where.n_steps))
        self._progress.setFormat(f"%p % · about {format_seconds(where.seconds_left)} left")
        self._say([f"Step {where.step} of {where.n_steps}."])
        if where.moment is not None:
            self._moments.append(where.moment)
            if time.perf_counter() - self._drawn > REDRAW_SECONDS:
                self._draw()

    def _show_end(self, result: CompareFitsResult | None) -> None:
        self._show_state(self.session.state)
        if result is None:
            self._moments = []
            self._say(())
        else:
            self._say((*result.sentences(), *result.notes))
        self._draw()

    def _say(self, sentences: Sequence[str]) -> None:
        """Put the first sentence above the plots, and all others below them."""
        sentences = [sentence.replace(" %", "\N{NO-BREAK SPACE}%") for sentence in sentences]
        self._words.setText("".join(sentences[:1]))
        self._details.setText("\n".join(sentences[1:]))

    def _draw(self) -> None:
        """Draw the curves so far, and the weights' distances at the step on screen."""
        self._drawn = time.perf_counter()
        run, moments = self.session.run, self._moments
        if run is None or not moments:
            self._errors.show_panel(None)
            self._distances.show_panel(None)
            return
        shown = self._moment_on_screen()
        steps = [moment.step for moment in moments]
        losses, errors = (np.array([getattr(m, name) for m in moments]).T for name in ("losses", "errors"))
        curves = error_plot(list(zip(run.names, losses, errors, strict=True)), steps)
        title = f"What is left (line: step {shown.step})"
        self._errors.show_panel(replace(curves, title=title, marks=[("", shown.step)]))
        distances: Plot = distance_plot(list(zip(run.names, shown.distances, strict=True)), run.layers, shown.step)
        self._distances.show_panel(distances)

    def _moment_on_screen(self) -> Moment:
        """Return what was noted at the step that the slider points to, or else last."""
        step = None if self.session.layers is None else self.session.layers.step_on_screen()
        return next((moment for moment in self._moments if moment.step == step), self._moments[-1])
