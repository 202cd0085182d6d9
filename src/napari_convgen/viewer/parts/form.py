"""A form for a configuration: one row a setting, made from the models' fields."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from annotated_types import Ge, Le, Lt
from magicgui.widgets import CheckBox, ComboBox, LineEdit, SpinBox
from magicgui.widgets.bases import ValueWidget
from psygnal import Signal
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from qtpy.QtWidgets import QFormLayout, QLabel, QWidget

from napari_convgen.config import AUTO_OR_NUMBER, Config

DEVICES = ("auto", "cpu", "cuda", "mps")

_LABELS = {
    "n_steps": "Steps at most",
    "n_seeds": "Seeds",
    "stopping.rule": "Stop",
    "z_axis": "Z axis is",
    "n_threads": "Threads",
    "backend": "Computed by",
    "n_restarts": "Restarts",
    "snapshot_memory": "Snapshots (MiB)",
    "averaging": "Averaging share",
    "generator.n_channels": "Channels",
    "generator.n_scales": "Scales",
    "generator.n_fine_channels": "Finest channels",
    "generator.n_skip_channels": "Skip channels",
    "generator.n_latent_channels": "Latent channels",
    "generator.order": "Order",
    "generator.output_map": "Output map",
    "generator.extra_layer": "Extra layer",
    "generator.norm_init": "Norm starts at",
    "generator.kernel": "Upsampling kernel",
    "optimizer.method": "Method",
    "optimizer.learning_rate": "Learning rate",
    "stopping.held_out_fraction": "Share held out",
    "stopping.held_out_size": "Squares held out",
    "stopping.min_patience": "Least patience",
    "noise.kind": "Noise",
    "noise.sigma": "Standard deviation",
    "noise.gain": "Gain (per photon)",
    "noise.offset": "Offset",
    "noise.correlation_length": "Alike within (pixels)",
    "noise.is_shared": "Same in channels",
    "noise.has_impulses": "Impulses",
}


class ConfigForm:
    """Editors for some settings of a `Config`; it neither adds nor rounds anything.

    Parameters
    ----------
    names
        Dotted names of the settings.

    Attributes
    ----------
    editors
        A magicgui widget for each name, in their order.
    """

    edited = Signal()

    def __init__(self, names: Iterable[str]) -> None:
        fields = setting_fields()
        self.editors = {name: _editor(name, fields[name]) for name in names}
        for editor in self.editors.values():
            editor.changed.connect(self._on_edit)

    def show_config(self, config: Config) -> None:
        """Show a configuration's values."""
        with self.edited.blocked():
            for name, editor in self.editors.items():
                value: Any = config
                for part in name.split("."):
                    value = getattr(value, part)
                editor.value = str(value) if isinstance(editor, LineEdit) else value

    def _on_edit(self) -> None:
        self.edited.emit()

    def values(self) -> dict[str, Any]:
        """Return what the rows say, by dotted name; `Config.replace` reads and checks it."""
        return {name: editor.value for name, editor in self.editors.items()}


def setting_fields(model: type[BaseModel] = Config, prefix: str = "") -> Mapping[str, FieldInfo]:
    """Return the fields of all settings by dotted name."""
    fields: dict[str, FieldInfo] = {}
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            fields |= setting_fields(annotation, f"{prefix}{name}.")
        else:
            fields[prefix + name] = field
    return fields


def _editor(name: str, field: FieldInfo) -> ValueWidget[Any]:
    label = _LABELS.get(name, name.rpartition(".")[2].replace("_", " ").capitalize())
    common: dict[str, Any] = {"name": name.replace(".", "_"), "label": label, "tooltip": field.description or ""}
    if name == "device":
        return ComboBox(choices=DEVICES, **common)
    if name in AUTO_OR_NUMBER:
        return LineEdit(**common)
    if typing.get_origin(field.annotation) is Literal:
        return ComboBox(choices=typing.get_args(field.annotation), **common)
    if field.annotation is bool:
        editor = CheckBox(**common)
        editor.native.setText("")  # the row has a label
        return editor
    if field.annotation is int:
        low, high = _bounds(field)
        return SpinBox(min=low, max=high, value=low, **common)
    return LineEdit(**common)


def _bounds(field: FieldInfo) -> tuple[int, int]:
    low, high = 0, 2**31 - 1
    for constraint in field.metadata:
        if isinstance(constraint, Ge):
            low = int(typing.cast(int, constraint.ge))
        elif isinstance(constraint, Le):
            high = int(typing.cast(int, constraint.le))
        elif isinstance(constraint, Lt):
            high = min(high, int(typing.cast(int, constraint.lt)) - 1)
    return low, high


def labeled_rows(rows: Iterable[ValueWidget[Any] | str]) -> QWidget:
    """Lay editors out below each other, their labels in a column, with titles between them; a label has its editor's tooltip."""
    widget = QWidget()
    layout = QFormLayout(widget)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setVerticalSpacing(3)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    for row in rows:
        if isinstance(row, str):
            layout.addRow(QLabel(f"<b>{row}</b>"))
            continue
        label = QLabel(row.label)
        label.setToolTip(row.tooltip or "")
        row.native.setMinimumWidth(80)
        layout.addRow(label, row.native)
    return widget
