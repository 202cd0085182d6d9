"""The dock widget *Denoise*."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox
from napari.layers import Image

from napari_convgen.config import PRESETS, Config, setting_fields
from napari_convgen.errors import ConvgenError
from napari_convgen.viewer.denoise.before_after.controls import BeforeAfter
from napari_convgen.viewer.denoise.request import DenoiseRequest, Outputs
from napari_convgen.viewer.denoise.save_menu import SaveMenu
from napari_convgen.viewer.denoise.session import DenoiseSession
from napari_convgen.viewer.denoise.step_choice import StepChoice
from napari_convgen.viewer.denoise.summary import summarize
from napari_convgen.viewer.denoise.try_menu import TryMenu
from napari_convgen.viewer.large.into_file import IntoFile
from napari_convgen.viewer.parts.buttons import NO_NETWORK, allow, in_two_columns
from napari_convgen.viewer.parts.chooser import InputChooser, offer_volume
from napari_convgen.viewer.parts.dock import DockWidget
from napari_convgen.viewer.parts.folded import Folded
from napari_convgen.viewer.parts.form import ConfigForm, grouped_rows, labeled_rows
from napari_convgen.viewer.parts.labels import text_label
from napari_convgen.viewer.parts.loading import config_of
from napari_convgen.viewer.parts.preferences import keep_config, read_config, recall
from napari_convgen.viewer.parts.presets import PresetBox, nearest_preset, preset_beside
from napari_convgen.viewer.parts.run_controls import RunControls, RunText, Tooltips
from napari_convgen.viewer.parts.values import ValuesChoice
from napari_convgen.viewer.plots.curves import CurvePlot
from napari_convgen.viewer.worker.session import State

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_convgen.core.noise import NoiseModel
    from napari_convgen.run.denoise.progress import DenoiseProgress
    from napari_convgen.run.denoise.result import DenoiseResult
    from napari_convgen.run.setup.forecast import Forecast

AT_HAND = ("z_axis", "noise.kind", "stopping.kind", "n_steps")
"""Settings that are in sight, the role of the Z axis where there is one; the others are folded away."""

OF_NETWORKS = ("stopping.kind", "n_steps")
"""Those of them that are hidden where no network is fitted."""

GROUP = "denoise"
"""Name of the widget's group of preferences."""

EXPECTED_ERROR = (
    "Add the error to expect at each pixel, in the image's units, as a layer, hidden at first: "
    "a structure fainter than this may be invented."
)
SNAPSHOTS = "Add the images of the fit as a layer with an iteration axis."
NO_EXPECTED_ERROR = (
    "The expected error is computed from the differences between fits with different starts: set 'Seeds' to 2 or more."
)

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
        self._chosen_preset = "default"
        self._recall()
        self._input.follow_layers()

    def config(self) -> Config:
        """Return the configuration that the form shows.

        Raises
        ------
        ConfigError
            A value out of its range.
        """
        return Config().replace(self._at_hand.values() | self._folded.values())

    def run(self, part: Sequence[slice] | None = None) -> None:
        """Start denoising the active layer.

        Parameters
        ----------
        part
            Part of the layer that is taken, a slice for each axis; ``None``, the default, for all of it.
        """
        with self._controls.error.shown_errors():
            request = self._request(part)
            self.session.run(request)
            self._keep_choices(request)
            self._begin()
            self._plot.begin(request.config)

    def _request(self, part: Sequence[slice] | None = None) -> DenoiseRequest:
        source = self._input.read()
        self._values.check(source)
        request = DenoiseRequest(source, self.config(), self._outputs(), self._input.reference_data())
        return request if part is None else request.of_part(part)

    def _begin(self) -> None:
        self._noise_before, self._noise_of = self._noise_of, (self._input.layer, None)
        self._show_noise()

    def _outputs(self) -> Outputs:
        return Outputs(**{f"has_{name}": box.enabled and box.value for name, box in self._boxes.items()})

    def _build(self) -> None:
        self._build_settings()
        more = Folded()
        more.addWidget(labeled_rows([self._input.axes, *grouped_rows(self._folded)]))
        more.setToolTip("Axes, generator, optimizer, stopping rule, noise and memory.")
        self._noise = text_label(tooltip="Noise that was found. If it is wrong, set it in 'Noise' and 'More settings'.")
        self._try = TryMenu(self.session, self._input, lambda: self._controls.error.shown_errors())
        self._controls = RunControls(self.session, TOOLTIPS, self._request, bound="at most", others=[self._try])
        self._into_file = IntoFile(self.viewer, self._input, self.config, self.session)
        self._choice = StepChoice(self.session)
        self._before_after = BeforeAfter(self.session, self._controls.error.shown_errors)
        self._save = SaveMenu(self.session, self._controls.error.shown_errors)
        self._plot = CurvePlot(self.viewer.theme)
        self._plot.setMinimumHeight(140)
        self._plot.setToolTip(PLOT_TOOLTIP)
        self._text = RunText(self.session)

        self.column.addWidget(self._input.description)
        self.column.addWidget(self._noise)
        rows = [self._values.box, self._preset, *self._at_hand.editors.values(), self._input.reference]
        self.column.addWidget(labeled_rows(rows))
        self.column.addLayout(in_two_columns(box.native for box in self._boxes.values()))
        self.column.addWidget(self._controls)
        self.column.addWidget(self._text)
        self.column.addWidget(self._choice)
        self.column.addWidget(self._before_after)
        self.column.addWidget(self._plot, stretch=1)
        self.column.addWidget(self._save)
        self.column.addWidget(self._into_file)
        self.column.addWidget(more)
        self.column.addStretch()

    def _build_settings(self) -> None:
        self._at_hand = ConfigForm(AT_HAND)
        folded = (name for name in setting_fields() if name not in AT_HAND and not name.startswith("operator."))
        self._folded = ConfigForm(folded, self._at_hand)
        self._input = InputChooser(self.viewer, lambda: self._at_hand.editors["z_axis"].value)
        self._values = ValuesChoice(self._input, self._at_hand.editors["noise.kind"], self._folded.editors["channels"])
        self._preset = PresetBox()
        self._snapshots = CheckBox(value=True, text="Snapshots", tooltip=SNAPSHOTS)
        self._residual = CheckBox(
            value=False,
            text="Residual",
            tooltip="Add what was taken away, input minus result, as a layer, hidden at first.",
        )
        self._expected_error = CheckBox(value=False, text="Expected error", tooltip=EXPECTED_ERROR)
        self._boxes = {
            "snapshots": self._snapshots,
            "residual": self._residual,
            "expected_error": self._expected_error,
        }

    def _connect(self) -> None:
        self._controls.run_clicked.connect(self.run)
        self._controls.forecasting.connect(self._begin)
        self._try.chosen.connect(self.run)
        self._choice.promote_clicked.connect(self._promote_snapshot)
        self._choice.continue_clicked.connect(self._continue_run)
        self._before_after.plotted.connect(lambda: self.bring_into_sight(self._before_after))
        self._save.loaded.connect(self._load)
        self._preset.changed.connect(self._choose_preset)
        for form in (self._at_hand, self._folded):
            form.edited.connect(self._show_preset_of_form)
        self._at_hand.editors["z_axis"].changed.connect(self._input.describe)
        self._input.changed.connect(self._show_noise)
        offer_volume(self._at_hand, self._input)
        self._plot.dragged.connect(self.session.show_step)
        self._plot.dropped.connect(self.session.keep)
        self._into_file.session.state_changed.connect(lambda state: self._controls.block(state is not State.IDLE))
        self.session.state_changed.connect(self._on_state)
        self.session.progressed.connect(self._on_progress)
        self.session.finished.connect(self._on_finish)
        self.session.kept.connect(self._show_kept)
        self.session.turned.connect(self._show_current)
        self.session.forecasted.connect(self._on_forecast)
        self.viewer.dims.events.point.connect(self._mark_shown)
        self.viewer.events.theme.connect(self._follow_theme)

    def _choose_preset(self, name: str) -> None:
        if name not in PRESETS:
            return
        self._chosen_preset = name
        config = preset_beside(name, self._at_hand.values() | self._folded.values())
        self.show_config(config.replace(self._values.settings()) if config.noise.is_modeled else config)

    def show_config(self, config: Config) -> None:
        """Show a configuration in the form."""
        for form in (self._at_hand, self._folded):
            form.show_config(config)
        self._show_preset_of_form()

    def _show_preset_of_form(self) -> None:
        """Name the preset that the form shows, or the last with what is changed in it."""
        try:
            config = self.config()
        except ConvgenError:
            return  # what is typed is no value yet
        self._allow_boxes(config)
        beside = {name: preset_beside(name, config.model_dump()) for name in PRESETS}
        self._chosen_preset = next((name for name, known in beside.items() if known == config), self._chosen_preset)
        self._preset.show_preset(self._chosen_preset, config.changes_from(beside[self._chosen_preset]))

    def _load(self, report: Mapping[str, Any]) -> None:
        """Show the settings of another run, as changes of the preset that is nearest."""
        config = config_of(report, self._at_hand.values() | self._folded.values())
        self._chosen_preset = nearest_preset(config)
        self.show_config(config)

    def _recall(self) -> None:
        """Show the choices of the last run, also of an earlier session."""
        self._chosen_preset, config = read_config(GROUP)
        recall(GROUP, self._boxes)
        self.show_config(config)

    def _keep_choices(self, request: DenoiseRequest) -> None:
        boxes = {name: box.value for name, box in self._boxes.items()}
        keep_config(GROUP, self._chosen_preset, self._values.kept(request.config), boxes)

    def _allow_boxes(self, config: Config) -> None:
        """Leave out what is about networks where none is fitted, and the expected error of a single one, which differs from no other."""
        no_network = NO_NETWORK if config.generator.is_guide_alone else ""
        for name in OF_NETWORKS:
            self._at_hand.show_row_if(name, lambda: not no_network)
        allow(self._snapshots, SNAPSHOTS, no_network)
        allow(self._expected_error, EXPECTED_ERROR, no_network or (NO_EXPECTED_ERROR if config.n_seeds == 1 else ""))

    def _show_noise(self) -> None:
        """Say what the noise of the layer that was last denoised is, while that layer is the active one."""
        layer, noise = self._noise_of
        is_known = noise is not None and layer == self._input.layer
        self._noise.setText(f"{noise}." if is_known else "")
        self._noise.setVisible(is_known)

    def _follow_theme(self) -> None:
        for part in (self._plot, self._before_after):
            part.follow_theme(self.viewer.theme)

    def _mark_shown(self) -> None:
        """Mark the step of the snapshot on screen in the plot, where it is not the one that is kept."""
        try:
            step = self.session.step_on_screen()
        except ConvgenError:
            step = None
        result = self.session.result
        self._plot.mark_shown(None if result is None or self.session.is_busy or step == result.step else step)

    def _continue_run(self, n_steps: int) -> None:
        with self._controls.error.shown_errors():
            self.session.continue_from_here(n_steps)
            self._noise_before = self._noise_of

    def _promote_snapshot(self) -> None:
        with self._controls.error.shown_errors():
            self.session.promote()

    def _on_state(self, state: State) -> None:
        if state is State.PAUSED:
            self._plot.redraw()

    def _on_progress(self, progress: DenoiseProgress) -> None:
        self._plot.show_progress(progress)
        self._set_noise(self.session.noise)
        self._text.setText(str(progress))

    def _set_noise(self, noise: NoiseModel | None) -> None:
        if noise != self._noise_of[1]:
            self._values.recognize(noise)
            self._noise_of = self._noise_of[0], noise
            self._show_noise()

    def _on_forecast(self, forecast: Forecast | None) -> None:
        if forecast is None:
            self._noise_of = self._noise_before
            self._show_noise()
        else:
            self._set_noise(forecast.noise)

    def _on_finish(self, finished: DenoiseResult | None) -> None:
        """Show the current run: after a cancel the one before it, if there was one."""
        if finished is None:
            self._noise_of = self._noise_before
            self._show_noise()
        self._show_current()

    def _show_current(self) -> None:
        """Show the current run."""
        result = self.session.result
        if result is None:
            self._plot.clear_curves()
            self._text.setText("")
            self._text.setToolTip("")
            return
        last = result.frames[-1]
        self._plot.name_criterion(result.config.stopping.criterion)
        self._plot.show_curves(last.loss, last.criterion)
        self._plot.show_choice([snapshot.step for snapshot in last.snapshots], last.interval, last.votes)
        self._show_kept(result)

    def _show_kept(self, result: DenoiseResult) -> None:
        self._plot.mark_kept(result.frames[-1].step)
        self._mark_shown()
        layers = self.session.layers
        name = layers.result.name if len(self.session.all_layers) > 1 and layers is not None and layers.result else ""
        self._text.setText(summarize(result, self.session.report, name))
        self._text.setToolTip(str(result.reason))
