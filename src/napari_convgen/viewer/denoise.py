"""The dock widget *Denoise (convolutional generator)*."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import CheckBox, ComboBox, LineEdit
from magicgui.widgets.bases import ValueWidget
from napari.layers import Image, Layer
from napari.utils.notifications import show_error
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import (
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_convgen.config import PRESETS, Config, preset
from napari_convgen.core.image import Layout
from napari_convgen.errors import ConvgenError
from napari_convgen.run.words import format_place, format_seconds
from napari_convgen.viewer.form import ConfigForm, setting_fields
from napari_convgen.viewer.layers import LayerInput, guess_axes, read_layer
from napari_convgen.viewer.plot import CurvePlot
from napari_convgen.viewer.session import Outputs, Session, State

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_convgen.run.denoise import Progress
    from napari_convgen.run.forecast import Forecast
    from napari_convgen.run.result import Result

AT_HAND = ("stopping.rule", "n_steps", "seed", "device")
"""Settings that are always in sight; the others are folded away."""

NOT_IN_PRESETS = ("seed", "device", "n_threads", "backend", "precision")
"""Settings that a preset leaves as they are."""

LOADING = "Loading … The first fit on a machine takes some seconds more: it compiles what is then kept."

CUSTOM = "custom"
NO_REFERENCE = "none"


class DenoiseWidget(QScrollArea):
    """Denoise the active layer, watch it, and keep the best step.

    Parameters
    ----------
    napari_viewer
        The viewer that the widget is docked in.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.session = Session(napari_viewer)
        self._active: Layer | None = None
        self._typed_axes: list[tuple[Layer, str]] = []
        self._layer: Image | None = None
        self._wanted_reference: Image | None = None
        self._build()
        self._connect()
        self._choose_preset("default")
        self._follow_layers()
        self._show_state(State.IDLE)

    def config(self) -> Config:
        """Return the configuration that the form shows.

        Raises
        ------
        ConfigError
            A value out of its range.
        """
        return Config().replace(self._at_hand.values() | self._folded.values())

    def run(self) -> None:
        """Start denoising the active layer."""
        try:
            source, config = self._read()
            self.session.run(
                source, config, Outputs(self._snapshots.value, self._residual.value), self._reference_data()
            )
        except ConvgenError as error:
            show_error(str(error))
            return
        self._plot.clear_curves()
        self._words.setText(LOADING)

    def forecast(self) -> None:
        """Find out what memory and time a run would take."""
        try:
            self.session.forecast(*self._read())
        except ConvgenError as error:
            show_error(str(error))
            return
        self._words.setText(LOADING)

    def _read(self) -> tuple[LayerInput, Config]:
        """Return what would be denoised, and how.

        Raises
        ------
        ConvgenError
            What cannot be run.
        """
        config = self.config()
        source = read_layer(self._layer or self.viewer.layers.selection.active, self._axes.value or None)
        Layout.of(source.data.shape, source.axes, config.z_axis)
        return source, config

    def _build(self) -> None:
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(6, 6, 6, 6)
        self.setWidget(content)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumWidth(300)

        self._image = QLabel()
        self._image.setWordWrap(True)
        self._image.setToolTip("The active image layer: select another one in the layer list.")
        self._preset = ComboBox(
            choices=(*PRESETS, CUSTOM), label="Preset", tooltip="Ready settings; 'custom' once you have changed one."
        )
        self._at_hand = ConfigForm(AT_HAND)
        self._reference = ComboBox(
            choices=(NO_REFERENCE,),
            label="Reference",
            tooltip="A clean image of the same shape, if there is one: only to report PSNR and SSIM.",
        )
        self._snapshots = CheckBox(
            value=True, text="Snapshots", tooltip="Add the images of the fit as a layer with an iteration axis."
        )
        self._residual = CheckBox(
            value=False, text="Residual", tooltip="Add what was taken away, input minus result, as a layer."
        )
        self._axes = LineEdit(
            label="Axes",
            tooltip="A letter for each axis of the layer: X, Y, Z, C (channels, fitted together), others are frames.",
        )
        self._folded = ConfigForm(name for name in setting_fields() if name not in AT_HAND)
        more = QCollapsible("More settings")
        more.addWidget(_rows([self._axes, *self._folded.editors.values()]))
        more.setToolTip("Axes, generator, optimizer, stopping rule and memory.")
        outputs = QHBoxLayout()
        for box in (self._snapshots, self._residual):
            outputs.addWidget(box.native)

        self._plot = CurvePlot(self.viewer.theme)
        self._plot.setMinimumHeight(140)
        self._plot.setToolTip(
            "Mean squared error of the fitted pixels and of those left out, by step; the dashed line marks the step that is kept."
        )
        self._progress = QProgressBar()
        self._progress.setToolTip("Steps taken of those allowed; the stopping rule may end the fit sooner.")
        self._words = QLabel()
        self._words.setWordWrap(True)
        self._words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._words.setAlignment(Qt.AlignmentFlag.AlignTop)

        column.addWidget(self._image)
        column.addWidget(_rows([self._preset, *self._at_hand.editors.values(), self._reference]))
        column.addLayout(outputs)
        column.addLayout(self._build_buttons())
        column.addWidget(self._progress)
        column.addWidget(self._plot, stretch=1)
        column.addWidget(self._words)
        column.addWidget(more)

    def _build_buttons(self) -> QGridLayout:
        def button(text: str, tooltip: str) -> QPushButton:
            widget = QPushButton(text)
            widget.setToolTip(tooltip)
            return widget

        self._run = button("Run", "Denoise the active layer.")
        self._forecast = button("Forecast", "Try a few steps and say what memory and time a run would take.")
        self._pause = button("Pause", "Hold the fit; press again to go on.")
        self._stop = button("Stop and keep", "End the fit now and keep the best image so far.")
        self._cancel = button("Cancel", "End the fit and leave the viewer as it was.")
        self._promote = button("Promote this snapshot", "Make the snapshot on screen the result.")
        self._continue = button("Continue from here", "Give the finished fit of a single image more steps.")
        self._more_steps = QSpinBox()
        self._more_steps.setRange(1, 10_000_000)
        self._more_steps.setValue(500)
        self._more_steps.setSuffix(" steps")
        self._more_steps.setToolTip("How many steps 'Continue from here' adds.")
        grid = QGridLayout()
        grid.setSpacing(4)
        grid.addWidget(self._run, 0, 0)
        grid.addWidget(self._forecast, 0, 1)
        grid.addWidget(self._pause, 1, 0)
        grid.addWidget(self._cancel, 1, 1)
        grid.addWidget(self._stop, 2, 0, 1, 2)
        grid.addWidget(self._continue, 3, 0)
        grid.addWidget(self._more_steps, 3, 1)
        grid.addWidget(self._promote, 4, 0, 1, 2)
        return grid

    def _connect(self) -> None:
        self._run.clicked.connect(self.run)
        self._forecast.clicked.connect(self.forecast)
        self._pause.clicked.connect(self._toggle_pause)
        self._stop.clicked.connect(self.session.stop_and_keep)
        self._cancel.clicked.connect(self.session.cancel)
        self._promote.clicked.connect(self._promote_snapshot)
        self._continue.clicked.connect(self._continue_run)
        self._preset.changed.connect(self._choose_preset)
        self._reference.changed.connect(self._want_reference)
        for form in (self._at_hand, self._folded):
            form.edited.connect(self._show_preset_of_form)
        self._axes.changed.connect(self._remember_axes)
        self._folded.editors["z_axis"].changed.connect(self._describe_image)
        self.session.state_changed.connect(self._show_state)
        self.session.progressed.connect(self._show_progress)
        self.session.finished.connect(self._show_end)
        self.session.forecasted.connect(self._show_forecast)
        layers = self.viewer.layers
        layers.selection.events.active.connect(self._follow_layers)
        for event in (layers.events.inserted, layers.events.removed, layers.events.renamed):
            event.connect(self._follow_layers)
        self.viewer.dims.events.point.connect(self._name_snapshot)
        self.viewer.events.theme.connect(self._follow_theme)

    def event(self, event: QEvent | None) -> bool:
        """When napari takes the widget out of its dock, the run ends and delivers what it has."""
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.session.stop_and_keep()
        return bool(super().event(event))

    def _choose_preset(self, name: str) -> None:
        if name == CUSTOM:
            return
        values = self._at_hand.values() | self._folded.values()
        own = {name: value for name, value in values.items() if name in NOT_IN_PRESETS and value not in ("", None)}
        for form in (self._at_hand, self._folded):
            form.show_config(preset(name).replace(own))

    def _show_preset_of_form(self) -> None:
        """Name the preset that the form shows, or call it custom."""
        try:
            config = self.config()
        except ConvgenError:
            name = CUSTOM
        else:
            own = {name: value for name, value in config.model_dump().items() if name in NOT_IN_PRESETS}
            name = next((name for name, known in PRESETS.items() if known.replace(own) == config), CUSTOM)
        with self._preset.changed.blocked():
            self._preset.value = name

    def _follow_layers(self) -> None:
        """Show what would be denoised, and offer the references that fit it."""
        active = self.viewer.layers.selection.active
        is_new = active != self._active
        self._active = active
        self._layer = active if isinstance(active, Image) else None
        references: list[Image] = []
        if active is None:
            self._image.setText("<i>Select an image layer to denoise.</i>")
        elif self._layer is None:
            self._image.setText(
                f"<i>'{html.escape(active.name)}' is a {active.__class__.__name__} layer. Select an image layer.</i>"
            )
        else:
            data = active.data[0] if active.multiscale else active.data
            references = [
                layer
                for layer in self.viewer.layers
                if isinstance(layer, Image)
                and layer != active
                and not layer.multiscale
                and layer.data.shape == data.shape
            ]
            if is_new:
                with self._axes.changed.blocked():
                    self._axes.value = self._axes_of(active)
            self._describe_image()
        with self._reference.changed.blocked():
            self._reference.choices = (NO_REFERENCE, *(layer.name for layer in references))
            wanted = next((layer for layer in references if layer == self._wanted_reference), None)
            self._reference.value = NO_REFERENCE if wanted is None else wanted.name

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
        self._describe_image()

    def _describe_image(self) -> None:
        """Say what a run would take: the layer, its pixels, and into how many frames its axes divide them."""
        layer = self._layer
        if layer is None:
            return
        data = layer.data[0] if layer.multiscale else layer.data
        words = f"<b>{html.escape(layer.name)}</b> · {_times(data.shape)} · {np.dtype(data.dtype)}"
        try:
            layout = Layout.of(data.shape, self._axes.value or None, self._folded.values()["z_axis"])
            if counted := layout.frame_axes():
                n_frames = math.prod(data.shape[i] for i in counted)
                words += f" · {n_frames} frames of {_times(layout.frame_shape(data.shape))}, one after another"
        except ConvgenError as error:
            words += f"<br><i>{error}</i>"
        self._image.setText(words)

    def _want_reference(self, name: str) -> None:
        self._wanted_reference = None if name == NO_REFERENCE else self.viewer.layers[name]

    def _reference_data(self) -> Any:
        name = self._reference.value
        return None if name == NO_REFERENCE else self.viewer.layers[name].data

    def _follow_theme(self) -> None:
        self._plot.follow_theme(self.viewer.theme)

    def _toggle_pause(self) -> None:
        if self.session.state is State.PAUSED:
            self.session.resume()
        else:
            self.session.pause()

    def _continue_run(self) -> None:
        try:
            self.session.continue_from_here(self._more_steps.value())
        except ConvgenError as error:
            show_error(str(error))

    def _name_snapshot(self) -> None:
        """Say on the button which step is on screen."""
        try:
            step = f" (step {self.session.snapshot_on_screen().step})"
        except ConvgenError:
            step = ""
        self._promote.setText(f"Promote this snapshot{step}")

    def _promote_snapshot(self) -> None:
        try:
            snapshot = self.session.promote()
        except ConvgenError as error:
            show_error(str(error))
            return
        self._plot.mark_kept(snapshot.step)
        self._words.setText(f"Step {snapshot.step}, which you chose, is the result.")

    def _show_state(self, state: State) -> None:
        is_running = state in (State.RUNNING, State.PAUSED)
        self._run.setEnabled(state is State.IDLE)
        self._forecast.setEnabled(state is State.IDLE)
        self._pause.setEnabled(is_running)
        self._pause.setText("Continue" if state is State.PAUSED else "Pause")
        self._stop.setEnabled(is_running)
        self._cancel.setEnabled(state is not State.IDLE)
        self._continue.setEnabled(self.session.can_continue)
        self._more_steps.setEnabled(self.session.can_continue)
        self._promote.setEnabled(state is State.IDLE and self.session.snapshots_layer is not None)
        self._name_snapshot()
        if state is State.LOADING:
            self._progress.setRange(0, 0)
        elif state is State.IDLE:
            self._progress.setRange(0, 1)
            self._progress.setValue(0)
            self._progress.setFormat("")

    def _show_progress(self, where: Progress) -> None:
        if where.step - len(where.losses) < self._plot.n_steps:  # a new frame or a fresh start
            self._plot.clear_curves()
        self._plot.extend(where.losses, where.criteria, where.kept_step)
        self._progress.setRange(0, where.n_frames * where.n_steps)
        n_done = where.frame * where.n_steps + where.step
        self._progress.setValue(n_done)
        self._progress.setFormat(f"%p % · at most {format_seconds(where.seconds_left)} left")
        frame = f"Frame {where.frame + 1} of {where.n_frames}, step" if where.n_frames > 1 else "Step"
        pace = where.seconds / where.n_steps_taken * 1000
        self._words.setText(
            f"{frame} {where.step} of at most {where.n_steps}, {pace:.0f} ms each. "
            + (f"Step {where.kept_step} is the best so far." if where.kept_step else "")
        )

    def _show_forecast(self, forecast: Forecast | None) -> None:
        self._words.setText("" if forecast is None else str(forecast))

    def _show_end(self, result: Result | None) -> None:
        self._show_state(self.session.state)
        if result is None:
            self._words.setText("")
            return
        last = result.frames[-1]
        self._plot.show_curves(last.loss, last.criterion)
        self._plot.mark_kept(last.step)
        place = format_place(result.device, result.backend, result.n_threads)
        words = [str(result.reason), *result.notes, f"The fit took {format_seconds(result.seconds)} on {place}."]
        if result.reference is not None:
            report = self.session.report
            words.append(
                f"PSNR {report['input_psnr']:.2f} → {report['psnr']:.2f} dB, SSIM {report['input_ssim']:.3f} → {report['ssim']:.3f} "
                f"(data range {report['data_range']:g}); the best snapshot, step {report['best_step']}, has {report['best_psnr']:.2f} dB."
            )
        self._words.setText(" ".join(words))


def _times(shape: Iterable[int]) -> str:
    return " × ".join(map(str, shape))


def _rows(editors: Iterable[ValueWidget[Any]]) -> QWidget:
    """Lay editors out below each other, their labels in a column; a label has its editor's tooltip."""
    widget = QWidget()
    layout = QFormLayout(widget)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setVerticalSpacing(3)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    for editor in editors:
        label = QLabel(editor.label)
        label.setToolTip(editor.tooltip or "")
        editor.native.setMinimumWidth(80)
        layout.addRow(label, editor.native)
    return widget
