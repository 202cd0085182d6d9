"""A form for a configuration: one row a setting, made from the models' fields, and the rows of the kinds that are chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

from magicgui.widgets import ComboBox, LineEdit, SpinBox
from magicgui.widgets.bases import ValueWidget, Widget
from psygnal import Signal
from pydantic.fields import FieldInfo
from qtpy.QtWidgets import QFormLayout, QLabel, QLayoutItem, QWidget

from napari_convgen.config import GROUPS, Config, setting_fields
from napari_convgen.config.fields import Numbers, choices_of, describe, title_of, words_beside
from napari_convgen.viewer.parts.devices import explain_devices, offered_devices
from napari_convgen.viewer.parts.labels import RowLabel

LEAST_WIDTH = 80
"""Least width of an editor, in pixels: a choice among long names asks for no more."""

IS_LEFT_OUT = "is_left_out"
"""Property of an editor's Qt widget: true where its row is hidden."""

DECIDING = {f"{group}.kind" for group in GROUPS} | {
    f"{group}.{other}"
    for group, kinds in GROUPS.items()
    for model in kinds.values()
    for other, _ in model.used_with.values()
}
"""Settings that decide which others there are, or are used."""


class ConfigForm:
    """Editors for some settings of a `Config`; it neither adds nor rounds anything.

    Where the form has the row of a kind, such as ``generator.kind``, it shows the settings that this kind has and that are used beside the
    others; values of settings that several kinds have stay when the kind is changed.

    Parameters
    ----------
    names
        Dotted names of the settings; those that only some kinds have may be among them.
    chooser
        Form that has the rows of the kinds, if this one has not.

    Attributes
    ----------
    editors
        A magicgui widget for each name, in their order, also for settings that the present kind has not.
    """

    edited = Signal()

    def __init__(self, names: Iterable[str], chooser: ConfigForm | None = None) -> None:
        fields = setting_fields()
        self._fields = {name: fields[name] for name in names}
        self.editors = {name: _editor(name, by_kind) for name, by_kind in self._fields.items()}
        self._config = Config()
        self._conditions: dict[str, Callable[[], bool]] = {}
        forms = [self] if chooser is None else [chooser, self]
        self._choosers = {name: form.editors[name] for form in forms for name in DECIDING if name in form.editors}
        for editor in self._choosers.values():
            editor.changed.connect(self.show_rows)
        for editor in self.editors.values():
            editor.changed.connect(self._on_edit)
        self.show_config(self._config)

    def show_config(self, config: Config) -> None:
        """Show a configuration's values, and the defaults of what its kinds have not."""
        self._config = config
        with self.edited.blocked():
            for name, editor in self.editors.items():
                value: Any = next(iter(self._fields[name].values())).default
                if config.has(name):
                    value = config
                    for part in name.split("."):
                        value = getattr(value, part)
                if isinstance(editor, ComboBox) and value not in editor.choices:  # a device of another machine
                    editor.choices = (*editor.choices, value)
                editor.value = str(value) if isinstance(editor, LineEdit) else value
            self.show_rows()

    def show_row_if(self, name: str, is_wanted: Callable[[], bool]) -> None:
        """Show the row of a setting only where a function says so; call `show_rows` whenever it may say something else."""
        self._conditions[name] = is_wanted
        self.show_rows()

    def values(self) -> dict[str, Any]:
        """Return what the rows say that are shown, by dotted name; `Config.replace` reads and checks it."""
        return {name: editor.value for name, editor in self.editors.items() if self._field(name) is not None}

    def _field(self, name: str) -> FieldInfo | None:
        """Return the field of a setting for the kind that is chosen; ``None`` if that kind has no such setting, or nothing uses it."""
        by_kind, (group, _, setting) = self._fields[name], name.partition(".")
        if "" in by_kind:
            return by_kind[""]
        chooser = self._choosers.get(f"{group}.kind")
        kind: str = getattr(self._config, group).kind if chooser is None else chooser.value
        other, values = GROUPS[group][kind].used_with.get(setting, ("kind", (kind,)))
        chooser = self._choosers.get(f"{group}.{other}")
        return by_kind.get(kind) if chooser is None or chooser.value in values else None

    def show_rows(self) -> None:
        """Show the rows of the kinds that are chosen, and hide the others."""
        layouts = set()
        for name, editor in self.editors.items():
            field = self._field(name)
            is_wanted = self._conditions.get(name)
            editor.native.setProperty(IS_LEFT_OUT, field is None or (is_wanted is not None and not is_wanted()))
            if field is not None:
                editor.label, editor.tooltip = title_of(name, field), _tooltip(name, field)
            parent = editor.native.parentWidget()
            if parent is not None and isinstance(parent.layout(), QFormLayout):
                _name_row(parent.layout(), editor)
                layouts.add(parent.layout())
        for layout in layouts:
            _arrange(layout)

    def _on_edit(self) -> None:
        self.edited.emit()


def _editor(name: str, by_kind: Mapping[str, FieldInfo]) -> ValueWidget[Any]:
    field = next(iter(by_kind.values()))
    common: dict[str, Any] = {
        "name": name.replace(".", "_"),
        "label": title_of(name, field),
        "tooltip": _tooltip(name, field),
    }
    if name == "device":
        return ComboBox(choices=offered_devices(), **common)
    if choices := choices_of(field):
        return ComboBox(choices=choices, **common)
    ranges = [numbers for each in by_kind.values() if (numbers := Numbers.of(each)) and not words_beside(each)]
    if ranges and all(numbers.is_whole for numbers in ranges):
        low, high = min(numbers.low for numbers in ranges), max(numbers.last for numbers in ranges)
        low = int(max(low, 0))
        return SpinBox(min=low, max=int(min(high, 2**31 - 1)), value=low, **common)
    return LineEdit(**common)


def _tooltip(name: str, field: FieldInfo) -> str:
    return " ".join(filter(None, [describe(field), explain_devices() if name == "device" else ""]))


def labeled_rows(rows: Iterable[Widget | str]) -> QWidget:
    """Lay editors out below each other, their labels in a column, with titles between them; a label has its editor's tooltip."""
    widget = QWidget()
    layout = QFormLayout(widget)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setHorizontalSpacing(4)
    layout.setVerticalSpacing(3)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    for row in rows:
        if isinstance(row, str):
            layout.addRow(QLabel(f"<b>{row}</b>"))
            continue
        row.native.setMinimumWidth(LEAST_WIDTH)
        layout.addRow(RowLabel(), row.native)
        _name_row(layout, row)
    _arrange(layout)
    return widget


def leave_out(editor: Widget, is_left_out: bool) -> None:
    """Hide the row of an editor in `labeled_rows`, or show it again."""
    editor.native.setProperty(IS_LEFT_OUT, is_left_out)
    _arrange(cast(QFormLayout, editor.native.parentWidget().layout()))


def grouped_rows(form: ConfigForm) -> Iterator[ValueWidget[Any] | str]:
    """Go through the editors of a form for `labeled_rows`, each group of settings under its title."""
    title = ""
    for name, editor in sorted(form.editors.items(), key=lambda item: "." in item[0]):
        group = name.rpartition(".")[0].capitalize()
        if group != title:
            yield group
        title = group
        yield editor


def _name_row(layout: QFormLayout, editor: Widget) -> None:
    label = _label_of(layout, editor.native)
    label.setText(editor.label)
    label.setToolTip(editor.tooltip or "")


def _label_of(layout: QFormLayout, editor: QWidget) -> QLabel:
    return cast(QLabel, layout.labelForField(editor))


def _arrange(layout: QFormLayout) -> None:
    """Hide the rows that are left out, and titles with no row below them."""
    title: QWidget | None = None
    for i in range(layout.rowCount()):
        if (spanning := layout.itemAt(i, QFormLayout.ItemRole.SpanningRole)) is not None:
            title = cast(QWidget, spanning.widget())
            title.setVisible(False)
            continue
        editor = cast(QWidget, cast(QLayoutItem, layout.itemAt(i, QFormLayout.ItemRole.FieldRole)).widget())
        is_shown = not editor.property(IS_LEFT_OUT)
        editor.setVisible(is_shown)
        _label_of(layout, editor).setVisible(is_shown)
        if is_shown and title is not None:
            title.setVisible(True)
