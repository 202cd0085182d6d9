"""File forms of a configuration: TOML in and out, JSON in."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from napari_convgen.config.base import Kind, Settings, summary_of
from napari_convgen.config.fields import describe
from napari_convgen.errors import ConfigError


def read_toml(text: str, source: str) -> dict[str, Any]:
    """Return the nested values of a TOML text; ``source`` names it in errors.

    Raises
    ------
    ConfigError
        Text that is not TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{source} is not valid TOML: {error}. Correct it, or begin with: napari-convgen new-config."
        ) from error


def read_values(path: Path) -> dict[str, Any]:
    """Return the nested values of a TOML or JSON file; of a JSON report, those of its ``config``.

    Raises
    ------
    ConfigError
        A file that cannot be read, or whose content is no table of values.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"The configuration {path} cannot be read: {error.strerror}. Name another file.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"The configuration {path} is no text. Name a .toml file, or the report (.json) of a run."
        ) from error
    if path.suffix.lower() != ".json":
        return read_toml(text, str(path))
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path} is not valid JSON: {error}. Name the report of a run.") from error
    if isinstance(values, dict):
        values = values.get("config", values)
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path} is no report of a run: it must hold a JSON object. Name the report of a run, or its config."
        )
    return values


def write_toml(config: Settings, fields: Mapping[str, Mapping[str, FieldInfo]]) -> str:
    """Return settings as TOML, a comment over each.

    Parameters
    ----------
    config
        Values; those that are models of their own become tables.
    fields
        Field of each setting, by dotted name and kind.
    """
    lines: list[str] = []
    tables: list[str] = []
    for name, value in config:
        if isinstance(value, Settings):
            tables += _table(name, value, fields)
        else:
            lines += _lines(name, fields[name][""], value)
    return "\n".join([*lines, *tables]) + "\n"


def _table(group: str, settings: Settings, fields: Mapping[str, Mapping[str, FieldInfo]]) -> Iterator[str]:
    yield f"\n# {summary_of(type(settings))}.\n[{group}]"
    for name, value in settings:
        by_kind = fields[f"{group}.{name}"]
        field = by_kind.get(settings.kind) if isinstance(settings, Kind) else None
        yield from _lines(name, field or by_kind[""], value)


def _lines(name: str, field: FieldInfo, value: str | float | bool) -> Iterator[str]:
    yield f"# {describe(field)}"
    yield f"{name} = {json.dumps(value)}"  # JSON's text, numbers and truth values are TOML's too
