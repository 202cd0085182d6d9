"""Choices that outlive napari: on this plugin's page of napari's preferences, where napari has such pages (0.9 and later)."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping
from typing import Any

from magicgui.widgets.bases import ValueWidget

from napari_convgen.config import PRESETS, Config
from napari_convgen.errors import ConfigError

PLUGIN = "napari-convgen"

_log = logging.getLogger(__name__)


def page(group: str) -> Any:
    """Return a group of preferences, whose attributes are kept on the disk when they are set; ``None`` where napari has none."""
    try:
        from napari.settings import get_plugin_settings

        return getattr(get_plugin_settings(PLUGIN), group)
    except (ImportError, KeyError, AttributeError):  # an older napari, or a plugin that is not installed
        return None


def read_config(group: str, presets: Mapping[str, Config] = PRESETS, default: str = "default") -> tuple[str, Config]:
    """Return the preset that was used last and the configuration with what was changed in it.

    Parameters
    ----------
    group
        Name of the group of preferences.
    presets
        Presets that there are to choose from, by name; all by default.
    default
        Preset where nothing is known, or another one is kept.
    """
    kept = page(group)
    name = default if kept is None or kept.preset not in presets else kept.preset
    if kept is None:
        return name, presets[name]
    try:
        changes = dict(part.split("=", 1) for part in shlex.split(kept.changes))
        return name, presets[name].replace(changes)
    except (ConfigError, ValueError) as error:
        _log.warning("The changes %r in the preferences cannot be read, and are not used: %s", kept.changes, error)
        return name, presets[name]


def recall(group: str, boxes: Mapping[str, ValueWidget[Any]]) -> None:
    """Show further choices that `keep_config` has kept, by the name of the preference."""
    if (kept := page(group)) is not None:
        for name, box in boxes.items():
            box.value = getattr(kept, name)


def keep_config(
    group: str, name: str, config: Config, others: Mapping[str, Any], presets: Mapping[str, Config] = PRESETS
) -> None:
    """Keep the preset, what is changed in it, and other preferences of a group by name."""
    changes = shlex.join(f"{key}={value}" for key, value in config.changes_from(presets[name]).items())
    keep(group, preset=name, changes=changes, **others)


def keep(group: str, **values: Any) -> None:
    """Keep preferences of a group."""
    kept = page(group)
    for key, value in values.items():
        if kept is not None and getattr(kept, key) != value:
            setattr(kept, key, value)
