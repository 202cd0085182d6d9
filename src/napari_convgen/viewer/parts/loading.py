"""Settings of an earlier run, from a layer that it made or from a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Layer
from psygnal import EmitLoopError, Signal, SignalInstance
from qtpy.QtWidgets import QFileDialog, QMenu, QPushButton, QWidget

from napari_convgen.config import PRESETS, Config
from napari_convgen.errors import InputError
from napari_convgen.files.images import read_recipe
from napari_convgen.viewer.layers.door import METADATA_KEY
from napari_convgen.viewer.parts.presets import OF_MACHINE, nearest_preset

if TYPE_CHECKING:
    from napari.components import ViewerModel

Guard = Callable[[], AbstractContextManager[None]]
"""Context in which errors are shown to the user."""

FILES = "Settings (*.tif *.tiff *.nii *.nii.gz *.json *.toml .zattrs)"

ZARR_FILES = "zarr.json", ".zattrs"
"""Names of the files that stand for the folder of an OME-Zarr image: a dialog for files chooses no folders."""


class LoadButton(QPushButton):
    """A button with a menu that takes settings from the selected layer or from a file.

    Parameters
    ----------
    viewer
        Viewer with the layers.
    guard
        Context in which errors are shown to the user.
    """

    loaded = Signal(object)  # the report of a run, or at least its ``config``, as plain values

    def __init__(self, viewer: ViewerModel, guard: Guard) -> None:
        super().__init__("Load settings")
        self.setToolTip("Fill the form with the settings of an earlier run: of the selected layer, or of a file.")
        menu = QMenu(self)
        add_load_actions(menu, self, viewer, guard, self.loaded)
        self.setMenu(menu)


def add_load_actions(menu: QMenu, parent: QWidget, viewer: ViewerModel, guard: Guard, loaded: SignalInstance) -> None:
    """Add the actions of a `LoadButton` to a menu; ``loaded`` is emitted with what they find."""

    def load_file() -> None:
        path, _ = QFileDialog.getOpenFileName(parent, "Load settings", "", FILES)
        if path:
            file = Path(path)
            _emit(loaded, report_of_file(file.parent if file.name in ZARR_FILES else file))

    from_layer = "Load settings from this layer"
    guarded_action(menu, from_layer, lambda: _emit(loaded, report_of_layer(viewer.layers.selection.active)), guard)
    guarded_action(menu, "Load settings from a file …", load_file, guard)


def _emit(loaded: SignalInstance, report: Mapping[str, Any]) -> None:
    """Emit a report; an error of the form that shows it is raised as it is."""
    try:
        loaded.emit(report)
    except EmitLoopError as error:
        raise error.__cause__ or error from None


def guarded_action(menu: QMenu, text: str, do: Callable[[], None], guard: Guard) -> Any:
    """Add an action to a menu whose errors are shown to the user, and return it."""

    def act() -> None:
        with guard():
            do()

    action: Any = menu.addAction(text)
    action.triggered.connect(act)
    return action


def report_of_layer(layer: Layer | None) -> Mapping[str, Any]:
    """Return the report of the run that made a layer, or of the file that the layer was opened from.

    Raises
    ------
    ConvgenError
        The layer is of no run.
    """
    if layer is None:
        raise InputError("There is no layer to load settings from. Select the result of a run.")
    report = layer.metadata.get(METADATA_KEY)
    if isinstance(report, Mapping) and "config" in report:
        return report
    if layer.source.path is not None:
        return report_of_file(Path(layer.source.path))
    raise InputError(f"'{layer.name}' is not of a run, so that it has no settings. Select the result of a run.")


def report_of_file(path: Path) -> Mapping[str, Any]:
    """Return the report in an image file or a JSON report, or the configuration of a TOML file as a report.

    Raises
    ------
    ConvgenError
        The file has no settings.
    """
    if path.suffix.lower() not in (".json", ".toml"):
        return read_recipe(path)
    config = Config.from_file(path).model_dump()
    if path.suffix.lower() != ".json":
        return {"config": config}
    return {**json.loads(path.read_text(encoding="utf-8")), "config": config}


def config_of(report: Mapping[str, Any], shown: Mapping[str, Any], presets: Mapping[str, Config] = PRESETS) -> Config:
    """Return the configuration in a report, but for the settings of the machine: another image, or another machine, may not take them.

    Parameters
    ----------
    report
        Report of a run, or at least its ``config``, as plain values.
    shown
        Values of the form, by dotted name, which has some of these settings, or all.
    presets
        Presets of the form, by name; all by default.
    """
    config = Config.from_dict(report["config"]).replace({name: shown.get(name, "auto") for name in OF_MACHINE})
    by_machine = config.replace({"precision": "auto"})
    return by_machine if presets[nearest_preset(by_machine, presets)].precision == "auto" else config


def describe_missing(wanted: Config, shown: Config) -> str:
    """Say which settings of a configuration a form does not have; nothing if it shows all."""
    missing = ", ".join(f"{name} = {value}" for name, value in wanted.changes_from(shown).items())
    return (
        f"Settings of the run that this form does not have, and that are left as in the preset: {missing}."
        if missing
        else ""
    )
