"""The dock widget *Why it works*."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from magicgui.widgets import CheckBox, ComboBox, LineEdit, SpinBox
from napari.layers import Image
from napari.utils.notifications import show_error
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLayout,
    QProgressBar,
    QPushButton,
    QWidget,
)
from superqt import QCollapsible

from napari_convgen.config import PRESETS, Config, preset
from napari_convgen.errors import ConfigError, ConvgenError
from napari_convgen.run.labels import format_seconds
from napari_convgen.viewer.denoise.session import Session
from napari_convgen.viewer.denoise.work import Outputs
from napari_convgen.viewer.layers.door import LayerInput
from napari_convgen.viewer.parts.chooser import InputChooser
from napari_convgen.viewer.parts.dock import DockWidget
from napari_convgen.viewer.parts.form import ConfigForm, labeled_rows
from napari_convgen.viewer.plots.tabs import PlotTabs
from napari_convgen.viewer.spectrum.fit_record import FitRecord, find_fits, read_fit
from napari_convgen.viewer.spectrum.layers import find_frame, take_frame
from napari_convgen.viewer.spectrum.panels import spectrum_panels
from napari_convgen.viewer.spectrum.session import SpectrumSession, Wishes
from napari_convgen.viewer.spectrum.summary import (
    describe_components,
    describe_cost,
    describe_fit,
    describe_stop,
    summarize,
)
from napari_convgen.viewer.worker.job import PROGRESS_PARTS

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_convgen.run.denoise.progress import DenoiseProgress
    from napari_convgen.run.denoise.result import DenoiseResult
    from napari_convgen.run.spectrum.progress import SpectrumForecast, SpectrumProgress
    from napari_convgen.run.spectrum.result import SpectrumResult

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

NOT_IN_PRESETS = ("seed", "device")
"""Settings that a preset leaves as they are."""

GROUPS = {
    "convolutions": ("Convolutions", "The hidden convolutions."),
    "norms": ("Norms", "Scales and offsets of the channel norms."),
    "output": ("Output", "The layer that makes the image."),
}

TABS = {
    "Values": (1, "Singular values: what lies in vectors of large ones is drawn soon."),
    "Energy": (
        2,
        "How much of the image and of white noise the first vectors hold; and how long Jᵀy is for the image, and for draws of noise.",
    ),
    "Descent": (
        2,
        "Error and degrees of freedom at each step of gradient descent, as the linearization foresees them.",
    ),
    "Fit": (2, "What is foreseen, on the course of a real fit."),
    "Change": (1, "How the space of the vectors turns while the generator is fitted."),
}
"""Panels on each tab, at most, and what they show."""

MEANING = (
    "J: derivative of the generator's image with respect to its parameters; y: the image. "
    "Vectors hold a share of its squared length, each channel's mean left out."
)

VIEW_HEIGHT = 180
"""Of a plot, in pixels at least."""

MOST_STEPS = 5
"""That the plots can tell apart."""

NO_FIT = "none"
NO_FIT_YET = "<i>Choose a denoised layer above, or press Fit to denoise the image with these settings.</i>"


@dataclass(frozen=True, eq=False)
class _Frame:
    """What a run looks at.

    Attributes
    ----------
    source
        The frame.
    number
        Of the frame in its layer.
    shapes
        Of layers that may hold it denoised: with the whole stack, or alone.
    """

    source: LayerInput
    number: int
    shapes: tuple[tuple[int, ...], tuple[int, ...]]


class WhyItWorksWidget(DockWidget):
    """Take the Jacobian of a generator apart beside the active layer: what it draws soon, what late, and when to stop.

    Parameters
    ----------
    napari_viewer
        The viewer that the widget is docked in.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.session = SpectrumSession(napari_viewer)
        self.fitting = Session(napari_viewer)
        self._settings = ConfigForm(OWN_SETTINGS)
        self._input = InputChooser(napari_viewer, lambda: self._settings.editors["z_axis"].value)
        self._result: SpectrumResult | None = None
        self._frame: _Frame | None = None  # of the result
        self._next_frame: _Frame | None = None  # of the run under way
        self._foreseen = ""
        self._fits: dict[str, Image] = {}
        self._build()
        self._connect()
        self._choose_preset("default")
        self._input.follow_layers()
        self._describe_input()
        self._show_result()
        self._show_state()

    def config(self) -> Config:
        """Return the preset with the settings in the form.

        Raises
        ------
        ConfigError
            A value out of its range.
        """
        return preset(self._preset.value).replace(self._settings.values())

    def wishes(self) -> Wishes:
        """Return what of the Jacobian is wanted.

        Raises
        ------
        ConfigError
            Steps that are no whole numbers.
        """
        return Wishes(
            rank=self._rank.value,
            n_passes=self._passes.value,
            at_steps=_read_steps(self._steps.value),
            groups=tuple(name for name, box in self._groups.items() if box.value),
            has_grid=self._grid.value,
        )

    def run(self) -> None:
        """Start looking at the active layer's frame on screen."""
        self._start(is_forecast=False)

    def forecast(self) -> None:
        """Find out what memory and time a run would take."""
        self._start(is_forecast=True)

    def fit(self) -> None:
        """Denoise what was looked at, with the same generator, to have a course to compare with; end a fit that is under way."""
        if self.fitting.is_busy:
            self.fitting.stop_and_keep()
            return
        assert self._frame is not None
        try:
            self.fitting.run(self._frame.source, self.config(), Outputs(has_snapshots=False))
        except ConvgenError as error:
            show_error(str(error))

    def _start(self, is_forecast: bool) -> None:
        try:
            source, config, wishes = self._input.read(), self.config(), self.wishes()
            place = self._find_frame()
            frame = take_frame(source, place)
            self.session.run(frame, config, wishes, is_forecast)
        except ConvgenError as error:
            show_error(str(error))
            return
        number = int(np.ravel_multi_index(list(place.values()), [source.data.shape[i] for i in place])) if place else 0
        self._next_frame = _Frame(frame, number, (tuple(source.data.shape), tuple(frame.data.shape)))
        self._words.setText("Loading …")

    def _build(self) -> None:
        self._description = _words_label()
        self._description.setToolTip("The active image layer: select another one in the layer list.")
        self._preset = ComboBox(choices=tuple(PRESETS), label="Preset", tooltip="Settings of the generator.")
        self._rank = SpinBox(
            value=Wishes.rank,
            min=1,
            max=100_000,
            label="Vectors",
            tooltip="Singular values and vectors that are found.",
        )
        self._passes = SpinBox(
            value=Wishes.n_passes,
            min=1,
            max=20,
            label="Passes",
            tooltip="Of the iteration that finds them: more make the last of them more exact.",
        )
        self._steps = LineEdit(
            value="0",
            label="At steps",
            tooltip="Steps of a fit at which the generator is looked at, separated by commas; 0 is its start.",
        )
        self._groups = {name: CheckBox(value=True, text=text, tooltip=tip) for name, (text, tip) in GROUPS.items()}
        self._grid = CheckBox(value=True, text="Side by side", tooltip="Show the layers in napari's grid.")
        more = QCollapsible("More settings")
        more.setToolTip("Parameters, axes, generator and noise.")
        more.addWidget(self._build_boxes())
        more.addWidget(labeled_rows([self._passes, self._input.axes, *self._settings.editors.values()]))
        self._progress = QProgressBar()
        self._progress.setRange(0, PROGRESS_PARTS)
        self._progress.setToolTip("Products with the Jacobian, and steps of the fit, of those to take at most.")
        self._words = _words_label()
        self._at_slider = _words_label()
        self._at_slider.setToolTip("Where napari's slider 'component' is.")

        self.column.addWidget(self._description)
        self.column.addWidget(labeled_rows([self._preset, self._rank, self._steps]))
        self.column.addWidget(more)
        self.column.addLayout(self._build_buttons())
        self.column.addWidget(self._progress)
        self.column.addWidget(self._words)
        self.column.addLayout(self._build_shown_step())
        self.column.addWidget(self._at_slider)
        self.column.addWidget(self._build_tabs(), stretch=1)
        self.column.addWidget(self._save)
        self.column.addStretch()

    def _build_boxes(self) -> QWidget:
        boxes = QWidget()
        grid = QGridLayout(boxes)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        for i, box in enumerate((*self._groups.values(), self._grid)):
            grid.addWidget(box.native, i // 2, i % 2)
        return boxes

    def _build_buttons(self) -> QGridLayout:
        self._run = _button("Run", "Find the singular vectors, and all that follows, for the active layer.")
        self._forecast = _button("Forecast", "Take two products and say what memory and time a run would take.")
        self._stop = _button("Stop", "End soon and keep the steps that are done; before the first is, as Cancel.")
        self._cancel = _button("Cancel", "End and leave the viewer as it was.")
        grid = QGridLayout()
        grid.setSpacing(4)
        for i, widget in enumerate((self._run, self._forecast, self._stop, self._cancel)):
            grid.addWidget(widget, 0, i)
        return grid

    def _build_shown_step(self) -> QHBoxLayout:
        self._shown_step = QComboBox()
        self._shown_step.setToolTip("The step whose vectors are in the layers, and that the words are about.")
        self._shown_step_name = QLabel("Layers show")
        row = QHBoxLayout()
        row.addWidget(self._shown_step_name)
        row.addWidget(self._shown_step, stretch=1)
        return row

    def _build_tabs(self) -> PlotTabs:
        self._fit_of = QComboBox()
        self._fit_of.setToolTip("A denoised layer of the same shape, whose fit is compared with what is foreseen.")
        self._fit = _button("Fit", "")
        self._stop_words = {name: _words_label() for name in ("Descent", "Fit")}
        self._no_change = QLabel("<i>Look at two steps or more, for example 0, 50, 200.</i>")
        self._no_change.setWordWrap(True)
        self._save = _button(
            "Save …", "Save the plots on the open tab as PNG or SVG, or the points of their curves as CSV."
        )
        fits = QHBoxLayout()
        fits.addWidget(self._fit_of, stretch=1)
        fits.addWidget(self._fit)
        above: dict[str, list[QWidget | QLayout]] = {
            "Descent": [self._stop_words["Descent"]],
            "Fit": [fits, self._stop_words["Fit"]],
            "Change": [self._no_change],
        }
        self.tabs = PlotTabs(self.viewer.theme)
        for name, (n_views, meaning) in TABS.items():
            self.tabs.add_page(name, n_views, meaning, above.get(name, []), least_height=VIEW_HEIGHT)
        return self.tabs

    def _connect(self) -> None:
        self._run.clicked.connect(self.run)
        self._forecast.clicked.connect(self.forecast)
        self._stop.clicked.connect(self.session.stop)
        self._cancel.clicked.connect(self.session.cancel)
        self._fit.clicked.connect(self.fit)
        self._save.clicked.connect(self.tabs.save)
        self._preset.changed.connect(self._choose_preset)
        self._settings.editors["z_axis"].changed.connect(self._describe_input)
        self._input.axes.changed.connect(self._describe_input)
        self._input.changed.connect(self._describe_input)
        self._shown_step.activated.connect(self._show_step)
        self._fit_of.activated.connect(self._show_panels)
        self.session.state_changed.connect(self._show_state)
        self.session.forecasted.connect(self._show_forecast)
        self.session.progressed.connect(self._show_progress)
        self.session.finished.connect(self._show_end)
        self.fitting.state_changed.connect(self._show_state)
        self.fitting.progressed.connect(self._show_fitting)
        self.fitting.finished.connect(self._show_fit)
        events = self.viewer.layers.events
        for event in (events.inserted, events.removed, events.renamed):
            event.connect(self._offer_fits)
        self.viewer.dims.events.point.connect(self._follow_sliders)
        self.viewer.events.theme.connect(self._follow_theme)

    def leave(self) -> None:
        """End run and fit, which deliver what they have."""
        self.session.stop()
        self.fitting.stop_and_keep()

    def _choose_preset(self, name: str) -> None:
        own = {key: value for key, value in self._settings.values().items() if key in NOT_IN_PRESETS and value}
        self._settings.show_config(preset(name).replace(own))

    def _follow_sliders(self) -> None:
        self._describe_input()
        self._describe_components()

    def _describe_input(self) -> None:
        """Say what would be looked at: of a stack, the frame that is on screen."""
        layer = self._input.layer
        if layer is None:
            self._description.setText("<i>Select an image layer to look at.</i>")
            return
        data = layer.data[0] if layer.multiscale else layer.data
        words = f"<b>{html.escape(layer.name)}</b> · {' × '.join(map(str, data.shape))} · {np.dtype(data.dtype)}"
        try:
            if place := self._find_frame():
                where = ", ".join(f"{i + 1} of {data.shape[axis]}" for axis, i in place.items())
                words += f" · the shown frame only ({where})"
        except ConvgenError as error:
            words += f"<br><i>{html.escape(str(error))}</i>"
        self._description.setText(words)

    def _find_frame(self) -> dict[int, int]:
        """Find the frame of the active layer that is on screen."""
        layer = self._input.layer
        assert layer is not None
        data = layer.data[0] if layer.multiscale else layer.data
        point = layer.world_to_data(list(self.viewer.dims.point)[-layer.ndim :])
        return find_frame(data.shape, self._input.axes.value or None, self._settings.editors["z_axis"].value, point)

    def _describe_components(self) -> None:
        """Say what the slider of the components shows."""
        layers, result = self.session.layers, self._result
        n = None if layers is None or result is None else layers.n_components
        if result is not None and n is not None:
            self._at_slider.setText(describe_components(result.spectra[self._shown_step.currentIndex()], n))
        self._at_slider.setVisible(n is not None)

    def _offer_fits(self) -> None:
        """Offer the results that may be fits of what was looked at; the one that was chosen stays, or goes with its layer."""
        chosen = self._fits.get(self._fit_of.currentText())
        shapes = () if self._frame is None else self._frame.shapes
        self._fits = {layer.name: layer for layer in find_fits(self.viewer, *shapes)}
        names = [name for name, layer in self._fits.items() if layer is chosen]
        if self._frame is not None:
            names += [name for name in self._fits if name == f"{self._frame.source.name} denoised"]
        self._fit_of.clear()
        self._fit_of.addItems([NO_FIT, *self._fits])
        self._fit_of.setCurrentText(names[0] if names else NO_FIT)
        if self._fits.get(self._fit_of.currentText()) is not chosen:
            self._show_panels()

    def _read_fit(self) -> FitRecord | None:
        layer = self._fits.get(self._fit_of.currentText())
        if layer is None or self._frame is None:
            return None
        is_stack = layer.data.shape != self._frame.source.data.shape
        return read_fit(layer, self._frame.number if is_stack else 0)

    def _show_state(self) -> None:
        is_busy, is_fitting = self.session.is_busy, self.fitting.is_busy
        for button in (self._run, self._forecast):
            button.setEnabled(not (is_busy or is_fitting))
        self._stop.setEnabled(is_busy)
        self._cancel.setEnabled(is_busy)
        self._fit.setEnabled(is_fitting or (self._result is not None and not is_busy))
        self._fit.setText("Stop" if is_fitting else "Fit")
        self._fit.setToolTip(
            "End the fit and keep the best image so far."
            if is_fitting
            else "Denoise what was looked at with these settings, to compare its course with what is foreseen."
        )
        self._progress.setValue(0)
        self._progress.setTextVisible(is_busy or is_fitting)
        self._progress.setFormat("%p %")

    def _show_forecast(self, forecast: SpectrumForecast) -> None:
        self._foreseen = html.escape(str(forecast))
        self._words.setText(self._foreseen)

    def _show_progress(self, where: SpectrumProgress) -> None:
        self._progress.setValue(round(PROGRESS_PARTS * where.n_done / where.n_total))
        self._progress.setFormat(f"%p % · about {format_seconds(where.seconds_left)} left")
        self._words.setText(f"{self._foreseen}<br>Step {where.step:,}: {where.doing} …")

    def _show_end(self, result: SpectrumResult | None) -> None:
        """Show what a run came to, or what there was before it."""
        if result is not None:
            self._result, self._frame = result, self._next_frame
            self._shown_step.clear()
            self._shown_step.addItems([f"step {spectrum.step:,}" for spectrum in result.spectra])
            self._offer_fits()
        self._show_result()
        self._show_state()

    def _show_result(self) -> None:
        result = self._result
        has_steps = result is not None and len(result.spectra) > 1
        self._shown_step_name.setVisible(has_steps)
        self._shown_step.setVisible(has_steps)
        self.tabs.setVisible(result is not None)
        self._save.setVisible(result is not None)
        self._words.setText("" if result is None else summarize(result, self._shown_step.currentIndex()))
        self._words.setToolTip("" if result is None else f"{MEANING} {describe_cost(result)}")
        self._describe_components()
        self._show_panels()

    def _show_step(self, position: int) -> None:
        assert self.session.layers is not None
        self.session.layers.show(position)
        self._show_result()

    def _show_panels(self) -> None:
        if self._result is None:
            return
        fit = self._read_fit()
        position = self._shown_step.currentIndex()
        self.tabs.show_panels(spectrum_panels(self._result, position, fit))
        self._stop_words["Descent"].setText(describe_stop(self._result, position))
        self._stop_words["Fit"].setText(NO_FIT_YET if fit is None else describe_fit(self._result, fit))
        self._no_change.setVisible(len(self._result.spectra) == 1)

    def _show_fitting(self, where: DenoiseProgress) -> None:
        self._progress.setValue(round(PROGRESS_PARTS * where.step / where.n_steps))
        self._progress.setFormat(f"fit: %p % · at most {format_seconds(where.seconds_left)} left")

    def _show_fit(self, result: DenoiseResult | None) -> None:
        """Choose the layer of a fit that has ended."""
        layers = self.fitting.layers
        if result is not None and layers is not None and layers.result is not None:
            self._offer_fits()
            self._fit_of.setCurrentText(layers.result.name)
            self._show_panels()

    def _follow_theme(self) -> None:
        self.tabs.follow_theme(self.viewer.theme)


def _button(text: str, tooltip: str) -> QPushButton:
    widget = QPushButton(text)
    widget.setToolTip(tooltip)
    return widget


def _words_label() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setAlignment(Qt.AlignmentFlag.AlignTop)
    return label


def _read_steps(text: str) -> tuple[int, ...]:
    try:
        steps = tuple(int(word) for word in text.split(","))
    except ValueError:
        raise ConfigError(f"Steps must be whole numbers, got {text!r}. Separate them by commas: 0, 50, 200.") from None
    if len(steps) > MOST_STEPS:
        raise ConfigError(
            f"At most {MOST_STEPS} steps can be told apart in the plots, got {len(steps)}. Leave some out."
        )
    return steps
