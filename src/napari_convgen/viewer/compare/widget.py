"""The dock widget *Compare methods*."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox

from napari_convgen.config import Config, preset
from napari_convgen.errors import ConfigError
from napari_convgen.run.labels import BASELINES, OURS, SHORT_BASELINES, format_method
from napari_convgen.viewer.compare.request import CompareRequest
from napari_convgen.viewer.compare.scores_table import ScoresTable
from napari_convgen.viewer.compare.session import CompareSession
from napari_convgen.viewer.parts.buttons import in_two_columns
from napari_convgen.viewer.parts.chooser import InputChooser, offer_volume
from napari_convgen.viewer.parts.dock import DockWidget
from napari_convgen.viewer.parts.folded import Folded
from napari_convgen.viewer.parts.form import ConfigForm, labeled_rows
from napari_convgen.viewer.parts.loading import LoadButton, config_of, describe_missing
from napari_convgen.viewer.parts.preferences import keep_config, read_config, recall
from napari_convgen.viewer.parts.presets import PresetBox, nearest_preset
from napari_convgen.viewer.parts.run_controls import RunControls, RunText, Tooltips
from napari_convgen.viewer.parts.values import ValuesChoice

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_convgen.run.compare.progress import CompareProgress

OWN_SETTINGS = ("noise.kind", "z_axis", "dtype", "seed", "device")
"""Settings of the comparison; all others are the preset's."""

GROUP = "compare"
"""Name of the widget's group of preferences."""

TOOLTIPS = Tooltips(
    run="Denoise the active layer by every method that is checked, one after the other.",
    forecast="Try a few steps of the generator and say what memory and time it would take.",
    pause="Pause after the generator's next step, or the current frame of another method; press again to resume.",
    stop="End soon. Keep the methods that are done, and the best image of the generator so far.",
    cancel="End the comparison and leave the viewer as it was.",
    progress="Methods done of those to compare.",
)


class CompareWidget(DockWidget):
    """Denoise the active layer by several methods, side by side, with a table of how they did.

    Parameters
    ----------
    napari_viewer
        The viewer that the widget is docked in.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.session = CompareSession(napari_viewer)
        self._settings = ConfigForm(OWN_SETTINGS)
        self._input = InputChooser(napari_viewer, lambda: self._settings.editors["z_axis"].value)
        self._values = ValuesChoice(self._input, self._settings.editors["noise.kind"])
        self._methods = {
            name: CheckBox(value=True, text=SHORT_BASELINES[name], tooltip=title) for name, title in BASELINES.items()
        }
        if find_spec("bm3d") is None:
            box = self._methods["bm3d"]
            box.value, box.enabled, box.text = False, False, "BM3D (not installed)"
            box.tooltip = "BM3D needs the package bm3d, which is free for non-commercial use only: pip install 'napari-convgen[bm3d]'."
        self._methods[OURS] = CheckBox(
            value=True, text="convgen", tooltip="The generator of this plugin, with the preset below."
        )
        self._preset = PresetBox()
        self._residuals = CheckBox(
            value=False,
            text="Residuals",
            tooltip="Add what each method took away, input minus result, as a layer beside it.",
        )
        self._titles: Mapping[str, str] = {}  # of the run under way
        self._build()
        self._connect()
        self._preset.value, config = read_config(GROUP)
        self._settings.show_config(config)
        recall(GROUP, {"residuals": self._residuals})
        self._input.follow_layers()

    def titles(self) -> dict[str, str]:
        """Return the titles of the methods that are checked, by method.

        Raises
        ------
        ConfigError
            No method is checked.
        """
        names = SHORT_BASELINES | {OURS: f"{OURS} {self._preset.value}"}
        titles = {method: names[method] for method, box in self._methods.items() if box.value}
        if not titles:
            raise ConfigError("No method is checked. Check at least one.")
        return titles

    def config(self) -> Config:
        """Return the preset with the settings of the comparison.

        Raises
        ------
        ConfigError
            A value out of its range.
        """
        own = self._settings.values() | self._values.settings()
        if own["noise.kind"] == "auto":
            del own["noise.kind"]  # a preset may fit the image as it is
        return preset(self._preset.value).replace(own)

    def run(self) -> None:
        """Start comparing on the active layer."""
        with self._controls.error.shown_errors():
            request = self._request()
            self.session.run(request)
            kept = self._values.kept(request.config)
            keep_config(GROUP, self._preset.value, kept, {"residuals": self._residuals.value})
            self._titles = request.titles
            self._table.clear_rows()

    def _request(self) -> CompareRequest:
        titles, source, reference = self.titles(), self._input.read(), self._input.reference_data()
        self._values.check(source)
        return CompareRequest(source, self.config(), titles, reference, self._residuals.value)

    def _build(self) -> None:
        self._controls = RunControls(self.session, TOOLTIPS, self._request)
        self._load = LoadButton(self.viewer, self._controls.error.shown_errors)
        self._table = ScoresTable()
        self._text = RunText(self.session)
        self.column.addWidget(self._input.description)
        boxes = (*self._methods.values(), self._residuals)
        self.column.addLayout(in_two_columns(box.native for box in boxes))
        at_hand = dict(self._settings.editors)
        more = Folded()
        more.addWidget(labeled_rows([self._input.axes, at_hand.pop("dtype")]))
        self.column.addWidget(labeled_rows([self._values.box, self._preset, self._input.reference, *at_hand.values()]))
        self.column.addWidget(self._controls)
        self.column.addWidget(self._table)
        self.column.addWidget(self._text)
        self.column.addWidget(self._load)
        self.column.addWidget(more)
        self.column.addStretch()

    def _connect(self) -> None:
        self._controls.run_clicked.connect(self.run)
        self._load.loaded.connect(self._show_report)
        self._settings.editors["z_axis"].changed.connect(self._input.describe)
        offer_volume(self._settings, self._input)
        self.session.progressed.connect(self._on_progress)
        self.session.finished.connect(self._show_current)
        self.session.turned.connect(self._show_current)

    def _show_report(self, report: Mapping[str, Any]) -> None:
        """Show the settings of another run, and check its methods if it was a comparison."""
        config = config_of(report, self._settings.values())
        self._preset.value = nearest_preset(config)
        self._settings.show_config(config)
        compared = {each["method"] for each in report.get("methods", ())}
        for name, box in self._methods.items():
            if compared and box.enabled:
                box.value = name in compared
        self._text.setText(describe_missing(config, self.config()))

    def _on_progress(self, progress: CompareProgress) -> None:
        if progress.done is not None:
            self._table.add_row(progress.done, self._titles[progress.method])
        self._text.setText(f"{format_method(progress.method)}, {progress.position + 1} of {progress.n_methods} …")

    def _show_current(self) -> None:
        """Show the current comparison: after a cancel the one before it, if there was one."""
        self._table.clear_rows()
        self._text.setText("")
        result, layers = self.session.result, self.session.layers
        if result is not None and layers is not None:
            self._table.show_result(result, layers.titles)
            self._text.setText("\n".join(result.remarks()))
