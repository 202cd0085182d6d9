"""The dock widget *Denoise (convolutional generator)*."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, ComboBox
from magicgui.widgets.bases import ValueWidget
from napari.layers import Image
from qtpy.QtWidgets import QGridLayout, QSpinBox
from superqt import QCollapsible

from napari_convgen.config import PRESETS, Config, preset, setting_fields
from napari_convgen.errors import ConvgenError
from napari_convgen.viewer.denoise.request import DenoiseRequest, Outputs
from napari_convgen.viewer.denoise.session import DenoiseSession
from napari_convgen.viewer.denoise.summary import summarize
from napari_convgen.viewer.parts.buttons import button, in_two_columns, rows_of
from napari_convgen.viewer.parts.chooser import InputChooser
from napari_convgen.viewer.parts.dock import DockWidget
from napari_convgen.viewer.parts.errors import shown_errors
from napari_convgen.viewer.parts.form import ConfigForm, labeled_rows
from napari_convgen.viewer.parts.labels import text_label
from napari_convgen.viewer.parts.run_controls import LOADING, RunControls, Tooltips
from napari_convgen.viewer.plots.curves import CurvePlot
from napari_convgen.viewer.worker.session import State

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

CUSTOM = "custom"

EXPECTED_ERROR = (
    "Add the error to expect at each pixel, in the image's units, as a layer, hidden at first: "
    "a structure fainter than this may be invented."
)
NO_EXPECTED_ERROR = "The expected error is how much fits with different starts differ: it needs two 'Seeds' or more."

TOOLTIPS = Tooltips(
    run="Denoise the active layer.",
    pause="Pause the fit; press again to resume.",
    stop="End the fit now and keep the best image so far.",
    cancel="End the fit and leave the viewer as it was.",
    progress="Steps taken of those allowed; the stopping rule may end the fit sooner.",
)

PLOT_TOOLTIP = (
    "Mean squared error of the fitted pixels and what the stopping rule watches, by step. The dashed line marks the step that is kept: "
    "after a run, drag it to keep another one. Shaded: steps that cannot be told from the best. Marks below: what each rule would keep."
)


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
        self.session = DenoiseSession(napari_viewer)
        self._noise_of: tuple[Image | None, NoiseModel | None] = (None, None)
        self._noise_before: tuple[Image | None, NoiseModel | None] = (
            None,
            None,
        )  # before the run or the forecast under way
        self._build()
        self._connect()
        self._choose_preset("default")
        self._input.follow_layers()
        self._on_state(State.IDLE)

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
        with shown_errors():
            request = self._request()
            self.session.run(request)
            self._begin()
            self._plot.name_criterion(request.config.stopping.criterion)
            self._plot.clear_curves()

    def forecast(self) -> None:
        """Find out what memory and time a run would take."""
        with shown_errors():
            self.session.forecast(self._request())
            self._begin()

    def _request(self) -> DenoiseRequest:
        return DenoiseRequest(self._input.read(), self.config(), self._outputs(), self._input.reference_data())

    def _begin(self) -> None:
        self._noise_before, self._noise_of = self._noise_of, (self._input.layer, None)
        self._show_noise()
        self._text.setText(LOADING)

    def _outputs(self) -> Outputs:
        return Outputs(
            self._snapshots.value, self._residual.value, self._expected_error.enabled and self._expected_error.value
        )

    def _build(self) -> None:
        self._build_settings()
        more = QCollapsible("More settings")
        more.addWidget(labeled_rows(self._folded_rows()))
        more.setToolTip("Axes, generator, optimizer, stopping rule, noise and memory.")
        self._noise = text_label(tooltip="The model of the noise; set more of it in 'Noise' and 'More settings'.")
        self._controls = RunControls(self.session, TOOLTIPS, bound="at most")
        self._plot = CurvePlot(self.viewer.theme)
        self._plot.setMinimumHeight(140)
        self._plot.setToolTip(PLOT_TOOLTIP)
        self._text = text_label()

        self.column.addWidget(self._input.description)
        self.column.addWidget(self._noise)
        self.column.addWidget(labeled_rows([self._preset, *self._at_hand.editors.values(), self._input.reference]))
        boxes = (self._snapshots, self._residual, self._expected_error)
        self.column.addLayout(in_two_columns(box.native for box in boxes))
        self.column.addWidget(self._controls)
        self.column.addLayout(self._build_choice())
        self.column.addWidget(self._plot, stretch=1)
        self.column.addWidget(self._text)
        self.column.addWidget(more)

    def _build_settings(self) -> None:
        self._at_hand = ConfigForm(AT_HAND)
        folded = (name for name in setting_fields() if name not in AT_HAND and not name.startswith("operator."))
        self._folded = ConfigForm(folded, self._at_hand)
        self._input = InputChooser(self.viewer, lambda: self._folded.editors["z_axis"].value)
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
        self._expected_error = CheckBox(value=False, text="Expected error", tooltip=EXPECTED_ERROR)

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

    def _build_choice(self) -> QGridLayout:
        """Build what chooses another step of a finished run."""
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
        self._more_steps.setAccessibleName("Steps to add")
        self._more_steps.setToolTip("Number of steps that 'Continue' adds.")
        return rows_of((self._continue, self._more_steps), (self._promote,))

    def _connect(self) -> None:
        self._controls.run_clicked.connect(self.run)
        self._controls.forecast_clicked.connect(self.forecast)
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
        self.session.state_changed.connect(self._on_state)
        self.session.progressed.connect(self._on_progress)
        self.session.finished.connect(self._on_finish)
        self.session.kept.connect(self._show_kept)
        self.session.forecasted.connect(self._on_forecast)
        self.viewer.dims.events.point.connect(self._name_snapshot)
        self.viewer.events.theme.connect(self._follow_theme)

    def leave(self) -> None:
        """End the run, which delivers what it has."""
        self.session.stop()

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
        """Disable the expected error of a single fit, which has no other fit to differ from."""
        self._expected_error.enabled = self._folded.editors["n_seeds"].value > 1
        self._expected_error.tooltip = EXPECTED_ERROR if self._expected_error.enabled else NO_EXPECTED_ERROR

    def _show_noise(self) -> None:
        """Say what the noise of the layer that was last denoised is, while that layer is the active one."""
        layer, noise = self._noise_of
        is_known = noise is not None and layer == self._input.layer
        self._noise.setText(f"{noise}." if is_known else "")
        self._noise.setVisible(is_known)

    def _follow_theme(self) -> None:
        self._plot.follow_theme(self.viewer.theme)

    def _continue_run(self) -> None:
        with shown_errors():
            self.session.continue_from_here(self._more_steps.value())
            self._noise_before = self._noise_of

    def _name_snapshot(self) -> None:
        """Say on the button which step is on screen."""
        try:
            step = f" (step {self.session.step_on_screen()})"
        except ConvgenError:
            step = ""
        self._promote.setText(f"Promote this snapshot{step}")

    def _promote_snapshot(self) -> None:
        with shown_errors():
            self.session.promote()

    def _on_state(self, state: State) -> None:
        """Enable what chooses another step where there is something to choose."""
        step, layers = self.session.step_to_continue, self.session.layers
        self._continue.setEnabled(step is not None)
        self._continue.setText("Continue" if step is None else f"Continue from step {step}")
        self._more_steps.setEnabled(step is not None)
        self._promote.setEnabled(state is State.IDLE and layers is not None and layers.snapshots is not None)
        self._name_snapshot()
        if state is State.PAUSED:
            self._plot.redraw()

    def _on_progress(self, progress: DenoiseProgress) -> None:
        if progress.step - len(progress.losses) < self._plot.n_steps:  # a new frame or a fresh start
            self._plot.clear_curves()
        self._plot.extend(progress.losses, progress.criteria, progress.kept_step)
        self._set_noise(self.session.noise)
        if not progress.step:
            self._text.setText(f"Estimate that guides the fit: {progress.guide_share:.0%}.")
            return
        frame = f"Frame {progress.frame + 1} of {progress.n_frames}, " if progress.n_frames > 1 else ""
        tile = f"tile {progress.tile + 1} of {progress.n_tiles}, " if progress.n_tiles > 1 else ""
        place = f"{frame}{tile}step"
        self._text.setText(
            f"{place[0].upper()}{place[1:]} {progress.step} of at most {progress.n_steps}, {1000 * progress.seconds_per_step:.0f} ms each. "
            + (f"Step {progress.kept_step} is the best so far." if progress.kept_step else "")
        )

    def _set_noise(self, noise: NoiseModel | None) -> None:
        if noise != self._noise_of[1]:
            self._noise_of = self._noise_of[0], noise
            self._show_noise()

    def _on_forecast(self, forecast: Forecast | None) -> None:
        self._text.setText("" if forecast is None else str(forecast))
        if forecast is None:
            self._noise_of = self._noise_before
            self._show_noise()
        else:
            self._set_noise(forecast.noise)

    def _on_finish(self, finished: DenoiseResult | None) -> None:
        """Show the last run: after a cancel the one before it, if there was one."""
        if finished is None:
            self._noise_of = self._noise_before
            self._show_noise()
        result = self.session.result
        if result is None:
            self._plot.clear_curves()
            self._text.setText("")
            return
        last = result.frames[-1]
        self._plot.show_curves(last.loss, last.criterion)
        self._plot.show_choice([snapshot.step for snapshot in last.snapshots], last.interval, last.votes)
        self._show_kept(result)

    def _show_kept(self, result: DenoiseResult) -> None:
        self._on_state(self.session.state)
        self._plot.mark_kept(result.frames[-1].step)
        self._text.setText(summarize(result, self.session.report))
        self._text.setToolTip(str(result.reason))
