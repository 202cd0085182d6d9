"""Packages that only one format needs, and that need not be installed."""

from __future__ import annotations

import importlib
from types import ModuleType

from napari_convgen.errors import FileError


def load(package: str, extra: str, files: str) -> ModuleType:
    """Return a package that reads a format.

    Parameters
    ----------
    package
        Name under which it is imported.
    extra
        Name of the optional dependencies of this package that install it.
    files
        Name of the files in the message: ``"NIfTI files"``.

    Raises
    ------
    FileError
        It is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise FileError(
            f"{files} need the package {package.partition('.')[0]}, which is not installed. "
            f"Install it with: pip install 'napari-convgen[{extra}]'."
        ) from error
