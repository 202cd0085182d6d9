"""The image files that a user names: files, folders and patterns."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from napari_convgen.errors import FileError
from napari_convgen.files.formats import FORMATS, find_format, split_place


def find_inputs(names: Sequence[str | Path]) -> tuple[Path, ...]:
    """Return the image files that are named, each once, in the order of the names; those of a folder or a pattern are sorted.

    Parameters
    ----------
    names
        Files, folders (whose image files are meant, without those of folders within; slices of a scanner in DICOM files are one
        image), patterns such as ``"data/**/*.tif"``, and places within files or patterns, such as ``"scan.h5:/raw/0"``.

    Raises
    ------
    FileError
        A name leads to no image file.
    """
    found = {os.path.realpath(path): path for name in names for path in _files(name)}
    if not found:
        raise FileError("There is nothing to do: no input is named. Name image files, folders or patterns.")
    return tuple(found.values())


def _files(name: str | Path) -> Iterator[Path]:
    path = Path(name)
    if path.is_file() or (path.is_dir() and _is_image(path)):
        find_format(path)
        yield path
        return
    file, place = split_place(path)
    if place and (files := [file] if file.is_file() else sorted(map(Path, glob.glob(str(file), recursive=True)))):
        yield from (Path(str(path).replace(str(file), str(each), 1)) for each in files)
        return
    if path.is_dir():
        images = sorted(each for each in path.iterdir() if _is_image(each))
        claiming = next((each for each in FORMATS if each.claims(path)), None)
        may_be_one = bool(images) or any(map(_may_be_slice, path.iterdir()))
        is_one = claiming is not None and may_be_one and all(find_format(each) is claiming for each in images)
        images = [path] if is_one else images  # such as the slices of a scanner, whose names may have no ending
        what = f"The folder {path} holds no image file"
    elif glob.has_magic(str(name)):
        images = sorted(each for each in map(Path, glob.glob(str(name), recursive=True)) if _is_image(each))
        what = f"No image file matches {name}"
    else:
        raise FileError(f"{path} does not exist. Name an image file, a folder or a pattern.")
    if not images:
        raise FileError(f"{what}: names must end in {', '.join(_suffixes())}. Name another one.")
    yield from images


def _may_be_slice(path: Path) -> bool:
    """Return True for a file whose name has no ending, or a number in its place, as slices of a scanner have."""
    return path.is_file() and (not path.suffix or path.suffix[1:].isdigit()) and not path.name.startswith(".")


def _is_image(path: Path) -> bool:
    return path.name.lower().endswith(tuple(_suffixes())) and not path.name.startswith(".")


def _suffixes() -> list[str]:
    return [suffix for each in FORMATS for suffix in each.suffixes]
