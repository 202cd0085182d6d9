"""The dock widget *Denoise (convolutional generator)*."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, ComboBox
from magicgui.widgets.bases import ValueWidget
from napari.layers import Image
from napari.utils.notifications import show_error
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QGridLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSpinBox,
)
from superqt import QCollapsible

from napari_convgen.config import PRESETS, Config, preset, setting_fields
from napari_convgen.errors import ConvgenError
from napari_convgen.run.labels import format_seconds
from napari_convgen.viewer.denoise.session import Session, State
from napari_convgen.viewer.denoise.summary import summarize
from napari_convgen.viewer.denoise.work import Outputs
from napari_convgen.viewer.parts.chooser import InputChooser
from napari_convgen.viewer.parts.dock import DockWidget
from napari_convgen.viewer.parts.form import ConfigForm, labeled_rows
from napari_convgen.viewer.plots.curves import CurvePlot

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_convgen.core.noise import NoiseModel
    from napari_convgen.run.denoise.progress import DenoiseProgress
    from napari_convgen.run.denoise.result import DenoiseResult
    from napari_convgen.run.setup.forecast import Forecast

AT_HAND = ("noise.kind", "stopping.kind", "n_steps", "seed", "device")
"""Settings that are always in sight; the others are folded away."""

NOT_IN_PRESETS = ("seed", "device", "n_threads", "backend")
"""Settings that a preset leaves as they are."""

LOADING = "Loading … The first fit on a machine takes some seconds more: it compiles what is then kept."

CUSTOM = "custom"

TRUST = (
    "May I trust this structure? Add the error to expect at each pixel, in the image's units, as a layer, hidden at first: "
    "a structure fainter than this may be invented."
)
NO_TRUST = "The error to expect is told by how much fits with different starts differ: needs two 'Seeds' or more."


class DenoiseWidget(DockWidget):
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
        self._noise_of: tuple[Image | None, NoiseModel | None] = (None, None)
        self._build()
        self._connect()
        self._choose_preset("default")
        self._input.follow_layers()
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
            source, config = self._input.read(), self.config()
            self.session.run(source, config, self._outputs(), self._input.reference_data())
        except ConvgenError as error:
            show_error(str(error))
            return
        self._begin()
        self._plot.name_criterion(config.stopping.criterion)
        self._plot.clear_curves()

    def forecast(self) -> None:
        """Find out what memory and time a run would take."""
        try:
            self.session.forecast(self._input.read(), self.config())
        except ConvgenError as error:
            show_error(str(error))
            return
        self._begin()

    def _begin(self) -> None:
        self._noise_of = self._input.layer, None
        self._show_noise()
        self._words.setText(LOADING)

    def _outputs(self) -> Outputs:
        return Outputs(
            self._snapshots.value, self._residual.value, self._expected_error.enabled and self._expected_error.value
        )

    def _build(self) -> None:
        self._at_hand = ConfigForm(AT_HAND)
        folded = (name for name in setting_fields() if name not in AT_HAND and not name.startswith("operator."))
        self._folded = ConfigForm(folded, self._at_hand)
        self._input = InputChooser(self.viewer, lambda: self._folded.editors["z_axis"].value)
        self._noise = QLabel()
        self._noise.setWordWrap(True)
        self._noise.setToolTip("The model of the noise; say more of it in 'Noise' and 'More settings'.")
        self._preset = ComboBox(
            choices=(*PRESETS, CUSTOM), label="Preset", tooltip="Ready settings; 'custom' once you have changed one."
        )
        self._snapshots = CheckBox(
            value=True, text="Snapshots", tooltip="Add the images of the fit as a layer with an iteration axis."
        )
        self._residual = CheckBox(
            value=False,
            text="Residual",
            tooltip="Add what was taken away, input minus result, as a layer, hidden at first.",
        )
        self._expected_error = CheckBox(value=False, text="Expected error", tooltip=TRUST)
        more = QCollapsible("More settings")
        more.addWidget(labeled_rows(self._folded_rows()))
        more.setToolTip("Axes, generator, optimizer, stopping rule, noise and memory.")
        outputs = QGridLayout()
        outputs.setSpacing(4)
        for i, box in enumerate((self._snapshots, self._residual, self._expected_error)):
            outputs.addWidget(box.native, i // 2, i % 2)

        self._plot = CurvePlot(self.viewer.theme)
        self._plot.setMinimumHeight(140)
        self._plot.setToolTip(
            "Mean squared error of the fitted pixels and what the stopping rule watches, by step. The dashed line marks the step that is "
            "kept: after a run, drag it to keep another one. Shaded: steps that cannot be told from the best. Marks below: what each rule "
            "would keep."
        )
        self._progress = QProgressBar()
        self._progress.setToolTip("Steps taken of those allowed; the stopping rule may end the fit sooner.")
        self._words = QLabel()
        self._words.setWordWrap(True)
        self._words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._words.setAlignment(Qt.AlignmentFlag.AlignTop)

        self.column.addWidget(self._input.description)
        self.column.addWidget(self._noise)
        self.column.addWidget(labeled_rows([self._preset, *self._at_hand.editors.values(), self._input.reference]))
        self.column.addLayout(outputs)
        self.column.addLayout(self._build_buttons())
        self.column.addWidget(self._progress)
        self.column.addWidget(self._plot, stretch=1)
        self.column.addWidget(self._words)
        self.column.addWidget(more)

    def _folded_rows(self) -> Iterator[ValueWidget[Any] | str]:
        """Go through the settings that are folded away, each group under its title."""
        yield self._input.axes
        title = ""
        for name, editor in sorted(self._folded.editors.items(), key=lambda item: "." in item[0]):
            group = name.rpartition(".")[0].capitalize()
            if group != title:
                yield group
            title = group
            yield editor

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
        self._continue = button(
            "Continue",
            "Give the finished fit of a single image more steps: from its end, or from the step you went back to, or the nearest one whose "
            "networks are kept; the button names it.",
        )
        self._more_steps = QSpinBox()
        self._more_steps.setRange(1, 10_000_000)
        self._more_steps.setValue(500)
        self._more_steps.setSuffix(" steps")
        self._more_steps.setToolTip("How many steps 'Continue' adds.")
        grid = QGridLayout()
        grid.setSpacing(4)
        rows = (
            (self._run, self._forecast),
            (self._pause, self._stop, self._cancel),
            (self._continue, self._more_steps),
            (self._promote,),
        )
        for i, row in enumerate(rows):
            width = 6 // len(row)
            for j, widget in enumerate(row):
                grid.addWidget(widget, i, j * width, 1, width)
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
        for form in (self._at_hand, self._folded):
            form.edited.connect(self._show_preset_of_form)
        self._folded.editors["z_axis"].changed.connect(self._input.describe)
        self._folded.editors["n_seeds"].changed.connect(self._allow_expected_error)
        self._input.changed.connect(self._show_noise)
        self._plot.dragged.connect(self.session.show_step)
        self._plot.dropped.connect(self.session.keep)
        self.session.state_changed.connect(self._show_state)
        self.session.progressed.connect(self._show_progress)
        self.session.finished.connect(self._show_end)
        self.session.kept.connect(self._show_kept)
        self.session.forecasted.connect(self._show_forecast)
        self.viewer.dims.events.point.connect(self._name_snapshot)
        self.viewer.events.theme.connect(self._follow_theme)

    def leave(self) -> None:
        """End the run, which delivers what it has."""
        self.session.stop_and_keep()

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

    def _allow_expected_error(self) -> None:
        """One generator has nothing to differ from."""
        self._expected_error.enabled = self._folded.editors["n_seeds"].value > 1
        self._expected_error.tooltip = TRUST if self._expected_error.enabled else NO_TRUST

    def _show_noise(self) -> None:
        """Say what the noise of the layer that was last denoised is, while that layer is the active one."""
        layer, noise = self._noise_of
        is_known = noise is not None and layer == self._input.layer
        self._noise.setText(f"{noise}." if is_known else "")
        self._noise.setVisible(is_known)

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
            step = f" (step {self.session.step_on_screen()})"
        except ConvgenError:
            step = ""
        self._promote.setText(f"Promote this snapshot{step}")

    def _promote_snapshot(self) -> None:
        try:
            self.session.promote()
        except ConvgenError as error:
            show_error(str(error))

    def _show_state(self, state: State) -> None:
        is_running = state in (State.RUNNING, State.PAUSED)
        self._run.setEnabled(state is State.IDLE)
        self._forecast.setEnabled(state is State.IDLE)
        self._pause.setEnabled(is_running)
        self._pause.setText("Continue" if state is State.PAUSED else "Pause")
        self._stop.setEnabled(is_running)
        self._cancel.setEnabled(state is not State.IDLE)
        can_continue = self.session.can_continue
        self._continue.setEnabled(can_continue)
        self._continue.setText(f"Continue from step {self.session.step_to_continue}" if can_continue else "Continue")
        self._more_steps.setEnabled(can_continue)
        layers = self.session.layers
        self._promote.setEnabled(state is State.IDLE and layers is not None and layers.snapshots is not None)
        self._name_snapshot()
        if state is State.LOADING:
            self._progress.setRange(0, 0)
        elif state is State.IDLE:
            self._progress.setRange(0, 1)
            self._progress.setValue(0)
            self._progress.setFormat("")

    def _show_progress(self, where: DenoiseProgress) -> None:
        if where.step - len(where.losses) < self._plot.n_steps:  # a new frame or a fresh start
            self._plot.clear_curves()
        self._plot.extend(where.losses, where.criteria, where.kept_step)
        self._tell_noise(self.session.noise)
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

    def _tell_noise(self, noise: NoiseModel | None) -> None:
        if noise != self._noise_of[1]:
            self._noise_of = self._noise_of[0], noise
            self._show_noise()

    def _show_forecast(self, forecast: Forecast | None) -> None:
        self._words.setText("" if forecast is None else str(forecast))
        if forecast is not None:
            self._tell_noise(forecast.noise)

    def _show_end(self, result: DenoiseResult | None) -> None:
        self._show_state(self.session.state)
        self._words.setText("")
        if self.session.result is None:
            return
        last = self.session.result.frames[-1]
        self._plot.show_curves(last.loss, last.criterion)
        self._plot.show_choice([snapshot.step for snapshot in last.snapshots], last.interval, last.votes)
        self._show_kept(self.session.result)

    def _show_kept(self, result: DenoiseResult) -> None:
        self._show_state(self.session.state)
        self._plot.mark_kept(result.frames[-1].step)
        self._words.setText(summarize(result, self.session.report))
        self._words.setToolTip(str(result.reason))
