"""What leaves the window and comes back: results, reports and whole runs as files, settings as text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from napari.utils.notifications import show_info
from psygnal import Signal
from qtpy.QtWidgets import QApplication, QFileDialog, QMenu, QMessageBox, QPushButton

from napari_convgen.files.atomic import write_text
from napari_convgen.viewer.denoise.recipe import command_line, python
from napari_convgen.viewer.denoise.session import DenoiseSession
from napari_convgen.viewer.layers.door import LayerInput, read_layer
from napari_convgen.viewer.layers.kept_place import keep_place
from napari_convgen.viewer.parts.loading import Guard, add_load_actions, guarded_action
from napari_convgen.viewer.writing import write_layer

if TYPE_CHECKING:
    from napari_convgen.run.denoise.result import DenoiseResult

TIFF = "TIFF with pixel size, units and recipe (*.tif *.tiff)"
OTHERS = (
    "OME-TIFF with pixel size, units and recipe (*.ome.tif *.ome.tiff)",
    "NIfTI with pixel size, units and recipe (*.nii.gz *.nii)",
    "OME-Zarr with pixel size, units and recipe (*.zarr)",
    "PNG (*.png)",
)
JSON = "JSON report (*.json)"
RUN = "Saved run (*.npz)"


class SaveMenu(QPushButton):
    """A button with a menu that saves the current run, repeats it elsewhere, and brings settings and runs back.

    Parameters
    ----------
    session
        The session whose current run is saved.
    guard
        Context in which errors are shown to the user.
    """

    loaded = Signal(object)  # the report of a run, or at least its ``config``, as plain values

    def __init__(self, session: DenoiseSession, guard: Guard) -> None:
        super().__init__("Save and load")
        self.setToolTip(
            "Save the result, its report or the whole run; copy it as a command or as Python; load settings or a run."
        )
        self._session = session
        menu = QMenu(self)
        self._of_run = [
            guarded_action(menu, text, do, guard)
            for text, do in (
                ("Save result …", self._save_result),
                ("Save report …", self._save_report),
                ("Save run …", self._save_run),
                ("Copy command line", self._copy_command),
                ("Copy Python", self._copy_python),
            )
        ]
        menu.addSeparator()
        add_load_actions(menu, self, session.viewer, guard, self.loaded)
        self._open = guarded_action(menu, "Open run …", self._open_run, guard)
        self.setMenu(menu)
        session.state_changed.connect(self.refresh)
        session.turned.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Enable what there is a run for."""
        for action in self._of_run:
            action.setEnabled(not self._session.is_busy and self._session.result is not None)
        self._open.setEnabled(not self._session.is_busy)

    def _save_result(self) -> None:
        run = self._session.current_run()
        if path := self._ask_where(f"{run.request.source.name} denoised", TIFF, *OTHERS):
            write_layer(path, run.layers.placed(run.result.image), run.report)

    def _save_report(self) -> None:
        run = self._session.current_run()
        if path := self._ask_where(f"{run.request.source.name} denoised", JSON):
            write_text(path, json.dumps(run.report, indent=2, allow_nan=False) + "\n")

    def _save_run(self) -> None:
        from napari_convgen.run.denoise.saved import save_run

        run = self._session.current_run()
        if path := self._ask_where(f"{run.request.source.name} run", RUN):
            extra = {
                "place": keep_place(run.layers.source),
                "chosen_steps": run.chosen_steps,
                "has_residual": run.request.outputs.has_residual,
            }
            save_run(path, run.ended, extra)

    def _copy_command(self) -> None:
        run = self._session.current_run()
        _copy(command_line(run.request.source, run.result.config, run.result.chosen_step), run.request.source)

    def _copy_python(self) -> None:
        run = self._session.current_run()
        _copy(python(run.request.source, run.result.config, run.result.chosen_step), run.request.source)

    def _open_run(self) -> None:
        from napari_convgen.run.denoise.saved import load_run

        path, _ = QFileDialog.getOpenFileName(self, "Open a run", "", RUN)
        if path:
            result, extra = load_run(path)
            place = extra.get("place") or _plain_place(result, Path(path).stem)
            steps, has_residual = extra.get("chosen_steps", ()), extra.get("has_residual", False)
            self._session.reopen(result, place, tuple(steps), has_residual)
            self.loaded.emit({"config": result.config.model_dump()})

    def _ask_where(self, name: str, *kinds: str) -> Path | None:
        """Ask for a file of one of some kinds; it gets the first ending of the chosen kind if its name has none of these kinds.

        Qt asks before a file is replaced only if its whole name was typed: this asks for the others.
        """
        answer, kind = QFileDialog.getSaveFileName(self, "Save", name.replace("/", "_"), ";;".join(kinds))
        if not answer:
            return None
        if answer.lower().endswith(tuple(ending for each in kinds for ending in _endings(each))):
            return Path(answer)
        path = Path(answer + _endings(kind or kinds[0])[0])
        if path.exists():
            yes = QMessageBox.StandardButton.Yes
            asked = f"{path.name} is there already. Replace it?"
            if QMessageBox.question(self, "Save", asked, yes | QMessageBox.StandardButton.No) != yes:
                return None
        return path


def _endings(kind: str) -> tuple[str, ...]:
    """Return the endings of a kind of file, as the dialog names them."""
    return tuple(re.findall(r"\*(\.[\w.]+)", kind))


def _plain_place(result: DenoiseResult, name: str) -> dict[str, Any]:
    """Return the place of the input of a run that was saved outside of napari, where it has none."""
    axes = result.layout.axes
    return keep_place(read_layer(Image(result.input, name=name, rgb=axes.endswith("S")), axes))


def _copy(text: str, source: LayerInput) -> None:
    """Copy what denoises the file of a layer, and say so where there is no such file."""
    clipboard = QApplication.clipboard()
    if clipboard is not None:
        clipboard.setText(text)
    missing = f" There is no file of '{source.name}': save it first, under the name in the text."
    show_info(f"Copied.{'' if source.path else missing}")
