"""The dock widget *Reconstruct*."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, ComboBox

from napari_convgen.config import Config, setting_fields
from napari_convgen.errors import ConvgenError, InputError
from napari_convgen.viewer.parts.buttons import NO_NETWORK, allow, in_two_columns
from napari_convgen.viewer.parts.chooser import offer_volume
from napari_convgen.viewer.parts.dock import DockWidget
from napari_convgen.viewer.parts.folded import Folded
from napari_convgen.viewer.parts.form import ConfigForm, grouped_rows, labeled_rows
from napari_convgen.viewer.parts.image_chooser import ImageChooser
from napari_convgen.viewer.parts.loading import LoadButton, config_of
from napari_convgen.viewer.parts.preferences import keep_config, page, read_config, recall
from napari_convgen.viewer.parts.presets import nearest_preset, preset_beside
from napari_convgen.viewer.parts.run_controls import RunControls, RunText, Tooltips
from napari_convgen.viewer.plots.curves import CurvePlot
from napari_convgen.viewer.plots.panels import PanelView
from napari_convgen.viewer.reconstruct.inputs import ProblemInputs
from napari_convgen.viewer.reconstruct.problems import PROBLEMS
from napari_convgen.viewer.reconstruct.request import Outputs, ReconstructRequest
from napari_convgen.viewer.reconstruct.session import ReconstructSession
from napari_convgen.viewer.reconstruct.summary import summarize
from napari_convgen.viewer.worker.session import State

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_convgen.run.denoise.progress import DenoiseProgress

GROUP = "reconstruct"
"""Name of the widget's group of preferences."""

AT_HAND = ("z_axis", "n_steps")
"""Settings that are always in sight; the others are folded away."""

SNAPSHOTS = "Add the generator's images during the fit as a layer with an iteration axis, hidden at first."
GENERATOR_IMAGE = "Add the generator's image, before it is moved to where it agrees with the measurement, as a layer, hidden at first."
BASELINE = "Add a classical image as a layer, to compare with, hidden at first: {}."

TOOLTIPS = Tooltips(
    run="Reconstruct the frame that is shown.",
    pause="Pause the fit; press again to resume.",
    stop="End the fit now and reconstruct from the best step so far.",
    cancel="End the fit and leave the viewer as it was.",
    progress="Steps taken of those allowed; the stopping rule may end the fit sooner.",
)

PLOT_TOOLTIP = (
    "Mean squared error of the fitted part of the measurement and what the stopping rule watches, by step. The dashed line marks the step "
    "that is kept."
)


class ReconstructWidget(DockWidget):
    """Fill in missing pixels, deblur or enlarge an image, make that of an MRI scan, or find a phase, and watch it.

    Parameters
    ----------
    napari_viewer
        The viewer that the widget is docked in.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.session = ReconstructSession(napari_viewer)
        self._build()
        self._connect()
        self._choose_problem()
        self._input.follow_layers()
        self._recall()

    def config(self) -> Config:
        """Return the configuration that the form shows.

        Raises
        ------
        ConfigError
            A value out of its range.
        """
        return Config().replace(self._at_hand.values() | self._folded.values() | self._problem.settings())

    def run(self) -> None:
        """Start reconstructing."""
        with self._controls.error.shown_errors():
            request = self._request()
            self.session.run(request)
            boxes = {name: box.value for name, box in self._boxes.items()}
            others = {"problem": request.measured.problem, **boxes}
            keep_config(GROUP, self._preset.value, request.config, others, self._problem.problem.presets())
            self._plot.begin(request.config)

    def _request(self) -> ReconstructRequest:
        config, measured = self.config(), self._problem.read()
        return ReconstructRequest(measured.place or self._input.read(), config, measured, self._outputs())

    def _outputs(self) -> Outputs:
        return Outputs(**{f"has_{name}": box.enabled and box.value for name, box in self._boxes.items()})

    def _build(self) -> None:
        self._build_settings()
        more = Folded()
        more.addWidget(labeled_rows([self._input.axes, *grouped_rows(self._folded)]))
        more.setToolTip("Axes, generator, optimizer, stopping rule, noise and memory.")
        self._controls = RunControls(self.session, TOOLTIPS, self._request, bound="at most")
        self._load = LoadButton(self.viewer, self._controls.error.shown_errors)
        self._plot = CurvePlot(self.viewer.theme)
        self._plot.setMinimumHeight(140)
        self._plot.setToolTip(PLOT_TOOLTIP)
        self._text = RunText(self.session)
        self._instrument = [PanelView(self.viewer.theme) for _ in range(2)]

        self.column.addWidget(self._input.description)
        self.column.addWidget(labeled_rows([*self._problem.rows(), self._preset, *self._at_hand.editors.values()]))
        self.column.addWidget(self._problem.hint)
        self.column.addLayout(in_two_columns(box.native for box in self._boxes.values()))
        self.column.addWidget(self._controls)
        self.column.addWidget(self._text)
        self.column.addWidget(self._plot, stretch=1)
        for panel in self._instrument:
            self.column.addWidget(panel)
        self.column.addWidget(self._load)
        self.column.addWidget(more)
        self.column.addStretch()

    def _build_settings(self) -> None:
        self._at_hand = ConfigForm(AT_HAND)
        self._folded = ConfigForm(
            name for name in setting_fields() if name not in AT_HAND and not name.startswith("operator.")
        )
        self._input = ImageChooser(self.viewer, lambda: self._at_hand.editors["z_axis"].value)
        self._problem = ProblemInputs(self.viewer, self._input)
        self._preset = ComboBox(
            choices=(self._problem.problem.preset,),
            label="Preset",
            tooltip="Settings to begin with; change them here and below.",
        )
        self._snapshots = CheckBox(value=True, text="Snapshots", tooltip=SNAPSHOTS)
        self._generator = CheckBox(value=False, text="Generator's image", tooltip=GENERATOR_IMAGE)
        self._residual = CheckBox(
            value=False,
            text="Residual",
            tooltip="Add the measurement that the result predicts, minus the actual one, as a layer, hidden at first: in the pixels of the "
            "image, for each image of a phase, or the logarithm of its magnitude over k-space.",
        )
        self._baseline = CheckBox(value=False, text=self._problem.problem.baseline_title)
        self._boxes = {
            "snapshots": self._snapshots,
            "generator_image": self._generator,
            "residual": self._residual,
            "baseline": self._baseline,
        }

    def _connect(self) -> None:
        self._controls.run_clicked.connect(self.run)
        self._problem.name.changed.connect(self._choose_problem)
        for row in self._problem.rows():
            if hasattr(row, "changed"):
                row.changed.connect(self._controls.error.forget)  # it was about other inputs
        self._preset.changed.connect(self._choose_preset)
        for form in (self._at_hand, self._folded):
            form.edited.connect(self._allow_boxes)
        self._load.loaded.connect(self._show_report)
        self._at_hand.editors["z_axis"].changed.connect(self._input.describe)
        offer_volume(self._at_hand, self._input, lambda: self._problem.shows_image)
        self.session.state_changed.connect(self._on_state)
        self.session.progressed.connect(self._on_progress)
        self.session.finished.connect(self._show_present)
        self.session.turned.connect(self._show_present)
        self.viewer.events.theme.connect(self._follow_theme)

    def _choose_problem(self) -> None:
        """Offer the presets that suit the problem, and keep the one that is chosen if it is among them and not only the usual one."""
        names = tuple(self._problem.problem.presets())
        usual = {problem.preset for problem in PROBLEMS.values()}
        with self._preset.changed.blocked():
            kept = self._preset.value
            self._preset.choices = names
            self._preset.value = kept if kept in names and kept not in usual else self._problem.problem.preset
        self._at_hand.show_rows()
        self._baseline.native.setText(self._problem.problem.baseline_title)
        self._baseline.tooltip = BASELINE.format(self._problem.problem.about_baseline)
        self._choose_preset()

    def _choose_preset(self) -> None:
        beside = self._at_hand.values() | self._folded.values()
        config = preset_beside(self._preset.value, beside, self._problem.problem.presets())
        for form in (self._at_hand, self._folded):
            form.show_config(config)
        self._allow_boxes()

    def _allow_boxes(self) -> None:
        """Leave out what is about networks where none is fitted."""
        with suppress(ConvgenError):  # what is typed is no value yet
            reason = NO_NETWORK if self.config().generator.is_guide_alone else ""
            self._at_hand.show_row_if("n_steps", lambda: not reason)
            allow(self._snapshots, SNAPSHOTS, reason)
            allow(self._generator, GENERATOR_IMAGE, reason)

    def _recall(self) -> None:
        """Show the choices of the last run, also of an earlier session."""
        if (kept := page(GROUP)) is None:
            return
        self._problem.name.value = kept.problem
        problem = self._problem.problem
        self._show(*read_config(GROUP, problem.presets(), problem.preset))
        recall(GROUP, self._boxes)

    def _show_report(self, report: Mapping[str, Any]) -> None:
        """Show the settings of another run, and its problem.

        Raises
        ------
        ConvgenError
            The settings are of another version, or of a problem that is not one of this widget.
        """
        shown = self._at_hand.values() | self._folded.values()
        config = config_of(report, shown, self._problem.problem.presets())
        name = report.get("problem") or config.operator.problem
        if name not in PROBLEMS:
            raise InputError(
                f"These settings are of the problem '{name}', which this widget does not solve. Solve it on the command line, with "
                f"napari-convgen reconstruct --problem {name}, or load other settings."
            )
        self._problem.name.value = name
        self._show(nearest_preset(config, self._problem.problem.presets()), config)

    def _show(self, name: str, config: Config) -> None:
        """Show a configuration, with the preset that it is made from."""
        with self._preset.changed.blocked():
            self._preset.value = name
        for form in (self._at_hand, self._folded, self._problem):
            form.show_config(config)
        self._allow_boxes()

    def _follow_theme(self) -> None:
        self._plot.follow_theme(self.viewer.theme)
        for panel in self._instrument:
            panel.follow_theme(self.viewer.theme)

    def _on_state(self, state: State) -> None:
        if state is State.PAUSED:
            self._plot.redraw()

    def _on_progress(self, progress: DenoiseProgress) -> None:
        self._plot.show_progress(progress)
        self._text.setText(str(progress))

    def _show_present(self) -> None:
        """Show the present run: after a cancel the one before it, if there was one."""
        result, request = self.session.result, self.session.request
        found = [] if result is None else result.instrument_panels()
        for view, panel in itertools.zip_longest(self._instrument, found):
            view.show_panel(panel)
        if result is None or request is None:
            self._plot.clear_curves()
            self._text.setText("")
            return
        self._plot.name_criterion(result.config.stopping.criterion)
        self._plot.show_curves(result.loss, result.criterion)
        self._plot.mark_kept(result.step)
        self._text.setText(summarize(result, request, self._problem.unsaid(result.notes)))
