"""The choice of a preset, and what was changed in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from magicgui.widgets import ComboBox
from qtpy.QtCore import Qt

from napari_convgen.config import PRESET_USES, PRESETS, Config, setting_fields
from napari_convgen.config.fields import title_of

OF_MACHINE = ("device", "n_threads", "backend")
"""Settings of the machine, which another run leaves as they are."""

NOT_IN_PRESETS = ("seed", "z_axis", *OF_MACHINE)
"""Settings of the machine and of the image, which a preset leaves as they are."""


def preset_beside(name: str, values: Mapping[str, Any], presets: Mapping[str, Config] = PRESETS) -> Config:
    """Return a preset with those of a form's values, by dotted name, that no preset changes; what is empty is the preset's."""
    own = {key: value for key, value in values.items() if key in NOT_IN_PRESETS and value not in ("", None)}
    return presets[name].replace(own)


def nearest_preset(config: Config, presets: Mapping[str, Config] = PRESETS) -> str:
    """Return the name of the preset, of some, in which the least is to be changed to get a configuration."""
    return min(presets, key=lambda name: len(config.changes_from(presets[name])))


class PresetBox(ComboBox):
    """A choice among presets that says when to use each; one that was changed keeps its name.

    Parameters
    ----------
    names
        Names of the presets; all by default.
    """

    def __init__(self, names: Iterable[str] = PRESETS) -> None:
        self._names = tuple(names)
        self._changed = ""
        super().__init__(choices=self._names, label="Preset")
        self.changed.connect(self._explain)
        self._explain()

    def show_preset(self, name: str, changes: Mapping[str, Any]) -> None:
        """Show a preset, and what is changed in it, by dotted name."""
        self._changed = f"{name}, {_describe(changes)}" if changes else ""
        shown = self._changed or name
        with self.changed.blocked():
            self.choices = (*self._names, *([self._changed] if changes else []))
            self.value = shown
        self._explain()
        if changes:
            listed = ", ".join(f"{key} = {value}" for key, value in changes.items())
            self.tooltip = f"{PRESET_USES.get(name, '')} Changed: {listed}."

    def _explain(self) -> None:
        box = self.native
        for i in range(box.count()):
            box.setItemData(i, PRESET_USES.get(box.itemText(i), ""), Qt.ItemDataRole.ToolTipRole)
        self.tooltip = PRESET_USES.get(self.value, "Named settings to begin with.")


def _describe(changes: Mapping[str, Any]) -> str:
    """Say in a word or two what is changed: a number of steps, one setting, or how many."""
    if list(changes) == ["n_steps"]:
        return f"{changes['n_steps']} steps"
    if len(changes) == 1:
        [name] = changes
        return f"{title_of(name, next(iter(setting_fields()[name].values())))} changed"
    return f"{len(changes)} settings changed"
