"""The dock widget *Compare methods*."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from magicgui.widgets import CheckBox, ComboBox
from napari.utils.notifications import show_error
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QGridLayout,
    QLabel,
    QProgressBar,
    QPushButton,
)

from napari_convgen.config import PRESETS, Config, preset
from napari_convgen.errors import ConfigError, ConvgenError
from napari_convgen.run.labels import BASELINES, OURS, SHORT_BASELINES, format_method
from napari_convgen.viewer.compare.scores_table import ScoresTable
from napari_convgen.viewer.compare.session import ComparisonSession, share_done
from napari_convgen.viewer.parts.chooser import InputChooser
from napari_convgen.viewer.parts.dock import DockWidget
from napari_convgen.viewer.parts.form import ConfigForm, labeled_rows
from napari_convgen.viewer.worker.job import PROGRESS_PARTS

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_convgen.run.compare.progress import CompareProgress
    from napari_convgen.run.compare.result import CompareResult

OWN_SETTINGS = ("noise.kind", "z_axis", "seed", "device")
"""Settings of the comparison; all others are the preset's."""


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
        self.session = ComparisonSession(napari_viewer)
        self._settings = ConfigForm(OWN_SETTINGS)
        self._settings.show_config(Config())
        self._input = InputChooser(napari_viewer, lambda: self._settings.editors["z_axis"].value)
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
        self._preset = ComboBox(choices=tuple(PRESETS), label="Preset", tooltip="Settings of the generator.")
        self._residuals = CheckBox(
            value=False,
            text="Residuals",
            tooltip="Add what each method took away, input minus result, as a layer beside it.",
        )
        self._build()
        self._connect()
        self._input.follow_layers()
        self._show_state()

    def titles(self) -> dict[str, str]:
        """Return the methods that are checked, with the names of their layers."""
        names = SHORT_BASELINES | {OURS: f"{OURS} {self._preset.value}"}
        return {method: names[method] for method, box in self._methods.items() if box.value}

    def config(self) -> Config:
        """Return the preset with the settings of the comparison.

        Raises
        ------
        ConfigError
            A value out of its range.
        """
        own = self._settings.values()
        if own["noise.kind"] == "auto":
            del own["noise.kind"]  # a preset may fit the image as it is
        return preset(self._preset.value).replace(own)

    def run(self) -> None:
        """Start comparing on the active layer."""
        try:
            if not self.titles():
                raise ConfigError("There is nothing to compare. Check a method or more.")
            source, reference = self._input.read(), self._input.reference_data()
            self.session.run(source, self.titles(), self.config(), reference, self._residuals.value)
        except ConvgenError as error:
            show_error(str(error))
            return
        self._table.clear_rows()
        self._words.setText("Loading …")

    def _build(self) -> None:
        boxes = QGridLayout()
        boxes.setSpacing(4)
        for i, box in enumerate((*self._methods.values(), self._residuals)):
            boxes.addWidget(box.native, i // 2, i % 2)
        self._progress = QProgressBar()
        self._progress.setRange(0, PROGRESS_PARTS)
        self._progress.setToolTip("Methods done of those to compare.")
        self._table = ScoresTable()
        self._words = QLabel()
        self._words.setWordWrap(True)
        self._words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._words.setAlignment(Qt.AlignmentFlag.AlignTop)

        self.column.addWidget(self._input.description)
        self.column.addLayout(boxes)
        self.column.addWidget(
            labeled_rows([self._preset, self._input.reference, self._input.axes, *self._settings.editors.values()])
        )
        self.column.addLayout(self._build_buttons())
        self.column.addWidget(self._progress)
        self.column.addWidget(self._table)
        self.column.addWidget(self._words, stretch=1)

    def _build_buttons(self) -> QGridLayout:
        def button(text: str, tooltip: str) -> QPushButton:
            widget = QPushButton(text)
            widget.setToolTip(tooltip)
            return widget

        self._run = button("Run", "Denoise the active layer by every method that is checked, one after the other.")
        self._stop = button("Stop", "End soon and keep the methods that are done, the generator as far as it came.")
        self._cancel = button("Cancel", "End and leave the viewer as it was.")
        grid = QGridLayout()
        grid.setSpacing(4)
        for i, widget in enumerate((self._run, self._stop, self._cancel)):
            grid.addWidget(widget, 0, i)
        return grid

    def _connect(self) -> None:
        self._run.clicked.connect(self.run)
        self._stop.clicked.connect(self.session.stop)
        self._cancel.clicked.connect(self.session.cancel)
        self._settings.editors["z_axis"].changed.connect(self._input.describe)
        self.session.state_changed.connect(self._show_state)
        self.session.progressed.connect(self._show_progress)
        self.session.finished.connect(self._show_end)

    def leave(self) -> None:
        """End the comparison, which delivers what it has."""
        self.session.stop()

    def _show_state(self) -> None:
        self._run.setEnabled(not self.session.is_busy)
        self._stop.setEnabled(self.session.can_stop)
        self._cancel.setEnabled(self.session.is_busy)
        self._progress.setValue(0)
        self._progress.setTextVisible(self.session.is_busy)

    def _show_progress(self, where: CompareProgress) -> None:
        self._progress.setValue(round(PROGRESS_PARTS * share_done(where)))
        if where.done is not None:
            self._table.add_row(where.done, self.session.titles[where.method])
        self._words.setText(f"{format_method(where.method)}, {where.position + 1} of {where.n_methods} …")

    def _show_end(self, result: CompareResult | None) -> None:
        self._table.clear_rows()
        self._words.setText("")
        if result is not None:
            self._table.show_result(result, self.session.titles)
            self._words.setText("\n".join(result.remarks()))
