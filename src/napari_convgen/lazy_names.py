"""Names of a package that are loaded when they are first used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any


def load_name(package: str, homes: Mapping[str, str], name: str) -> Any:
    """Return what a package has under a name, from the module that it is in.

    Parameters
    ----------
    package
        Name of the package.
    homes
        Module of each name, relative to the package.
    name
        Name that was asked for.

    Raises
    ------
    AttributeError
        The package has no such name.
    """
    if name not in homes:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
