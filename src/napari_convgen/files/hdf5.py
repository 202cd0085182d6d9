"""Datasets of HDF5 files, which are only read, as their values are needed: ``file.h5:/path/to/dataset``, or the only one of a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_convgen.core.image import Layout, guess_axes
from napari_convgen.errors import FileError
from napari_convgen.files.image_file import Calibration, Format, ImageFile
from napari_convgen.files.optional import load
from napari_convgen.files.series import N_NAMED, choose_series
from napari_convgen.files.tiff.new import new_tags
from napari_convgen.files.tiff.tags import layout_letters

if TYPE_CHECKING:
    import h5py

SUFFIXES = (".h5", ".hdf5", ".hdf")
SEPARATOR = ":/"
"""What stands between the name of a file and the path of a dataset in it."""


def _split(path: Path) -> tuple[Path, str]:
    """Return the file, and the dataset that is named in it; empty if none is."""
    for suffix in SUFFIXES:
        file, separator, dataset = str(path).partition(f"{suffix}{SEPARATOR}")
        if separator:
            return Path(file + suffix), dataset
    return path, ""


def _claims(path: Path) -> bool:
    return bool(_split(path)[1])


def _read(path: Path, axes: str | None, series: int) -> ImageFile:
    h5py = load("h5py", "hdf5", "HDF5 files")
    file_path, name = _split(path)
    if not file_path.is_file():
        raise FileError(f"{file_path} does not exist. Name an image file.")
    data = _find(file_path, h5py.File(file_path, "r"), name)  # stays open: values are read as they are needed
    choose_series(path, [" × ".join(map(str, data.shape))], series)
    own, note = _letters(path, data) if axes is None else (axes, ())
    letters = Layout.of(data.shape, own).axes
    calibration = _calibration(data, letters)
    return ImageFile(
        data, letters, new_tags(data.shape, data.dtype, letters, calibration), notes=note, calibration=calibration
    )


def _find(path: Path, file: h5py.File, name: str) -> h5py.Dataset:
    """Return the dataset of a name or, without one, the only one with two axes or more.

    Raises
    ------
    FileError
        There is none of this name, or there are several.
    """
    import h5py

    found: list[str] = []

    def note(each: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and len(item.shape or ()) >= 2 and item.dtype.kind in "buifc":
            found.append(each)

    file.visititems(note)
    if not name and len(found) == 1:
        name = found[0]
    if name and isinstance(dataset := file.get(name), h5py.Dataset):
        return dataset
    shapes = [f"{each} ({' × '.join(map(str, file[each].shape))})" for each in found[:N_NAMED]]
    more = f", and {len(found) - N_NAMED} more" if len(found) > N_NAMED else ""
    file.close()
    if not found:
        raise FileError(f"{path} holds no dataset with two axes or more. Name another file.")
    what = f"no dataset {name}, but" if name else "several datasets"
    raise FileError(f"{path} holds {what}: {', '.join(shapes)}{more}. Name one: {path}{SEPARATOR}{found[0]}")


def _letters(path: Path, data: h5py.Dataset) -> tuple[str, tuple[str, ...]]:
    """Return the letters of the axes as the labels of the dimensions or ilastik's tags say, or a guess with a sentence that says so."""
    labels = [dimension.label for dimension in data.dims]
    if not all(labels) and "axistags" in data.attrs:
        said = data.attrs["axistags"]
        tags = json.loads(said.decode() if isinstance(said, bytes) else str(said))["axes"]
        labels = [tag["key"] for tag in tags]
    if len(labels) == data.ndim and all(labels):
        letters = "".join(label.upper() if len(label) == 1 and label.isalpha() else "?" for label in labels)
        return layout_letters(letters, data.shape, is_color=False), ()
    letters = guess_axes(data.shape, is_color=False)
    return letters, (
        f"{path} does not name its axes; they are taken to be {letters}. --axes, or axes in Python, names others.",
    )


def _calibration(data: h5py.Dataset, letters: str) -> Calibration | None:
    """Return distances in micrometers as the attribute ``element_size_um`` says, for the axes of space in order; ``None`` without it."""
    said: Sequence[float] = tuple(map(float, data.attrs.get("element_size_um", ())))
    space = [letter for letter in letters if letter in "XYZ"]
    sizes = dict(zip(space[::-1], said[::-1], strict=False))
    if not sizes:
        return None
    return tuple(sizes.get(x, 1.0) for x in letters), tuple("µm" if x in sizes else "pixel" for x in letters)


FORMAT = Format(SUFFIXES, _read, claims=_claims, split=_split)
