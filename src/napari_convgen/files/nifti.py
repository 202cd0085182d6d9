"""NIfTI files, compressed or not: the header is kept whole, and an image is read from its slowest axis to its fastest."""

from __future__ import annotations

import contextlib
import gzip
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import psutil
from numpy.typing import NDArray

from napari_convgen.core.image import ArrayLike, Layout
from napari_convgen.errors import FileError
from napari_convgen.files.atomic import replacing
from napari_convgen.files.converted import converted
from napari_convgen.files.image_file import RECIPE, Calibration, ImageFile, WritableFormat
from napari_convgen.files.magnetic_resonance import NOTE, RICIAN, Part, is_magnitude, is_nowhere_negative, part_of
from napari_convgen.files.optional import load
from napari_convgen.files.series import choose_series
from napari_convgen.files.tiff.new import new_tags
from napari_convgen.files.units import in_unit, symbol_of

if TYPE_CHECKING:
    import nibabel

LETTERS = "XYZTCQI"
"""Axes of NIfTI, in its order, from the fastest: space, time, and what the standard calls the vector dimension and two more."""

UNITS = {"meter": "m", "mm": "mm", "micron": "µm", "sec": "s", "msec": "ms", "usec": "µs"}
"""Units of NIfTI that distances can have, and how the other formats write them."""

LENGTHS = ("m", "mm", "µm")
"""Those of space."""

UNASKED = (
    "{} does not say what was measured. Magnitude images of magnetic resonance have Rician noise, and need noise.kind = 'rician' "
    "(--set noise.kind=rician)."
)
COLORS = {3: "RGB", 4: "RGBA"}

LONGEST = 32_767
"""Number of values along an axis that the header has room for (16 bits with a sign)."""

COMMENT = 6
"""Code of a header's extension with text."""


def _load() -> Any:
    return load("nibabel", "nifti", "NIfTI files")


def _read(path: Path, axes: str | None, series: int) -> ImageFile:
    file = _load().load(path)
    with file.file_map["image"].get_prepare_fileobj("rb") as content:
        header = type(file.header).from_fileobj(content)  # as it is: of a loaded image, slope and offset are gone
    choose_series(path, [" × ".join(map(str, header.get_data_shape()))], series)
    if path.name.lower().endswith(".gz"):
        _refuse_too_large(path, header)
    else:
        _refuse_cut_off(path, header)
    stored = np.asanyarray(file.dataobj.get_unscaled()).T
    letters = LETTERS[: stored.ndim][::-1]
    if stored.dtype.fields:
        n_colors = len(stored.dtype.fields)
        stored, letters = stored.view(np.uint8).reshape(*stored.shape, n_colors), letters.replace("C", "P") + "S"
    data = _in_units(stored, *header.get_slope_inter())
    calibration = _calibration(header, letters)
    letters = letters if axes is None else Layout.of(data.shape, axes).axes
    says_magnitude = (
        _says_magnitude(path, data) if header["intent_code"] == 0 else False
    )  # else statistics, labels, vectors
    notes = [NOTE.format(path)] if says_magnitude else [] if says_magnitude is False else [UNASKED.format(path)]
    return ImageFile(
        data,
        letters,
        new_tags(data.shape, data.dtype, letters, calibration),
        notes=tuple(notes),
        calibration=calibration,
        noise_kind=RICIAN if says_magnitude else None,
        header=header,
    )


def _refuse_too_large(path: Path, header: nibabel.Nifti1Header) -> None:
    """Refuse a compressed image that does not fit into memory: all of it is read, as its parts cannot be found in the file.

    Raises
    ------
    FileError
        Less memory is free than its values take.
    """
    n_bytes = _value_bytes(header)
    n_free = psutil.virtual_memory().available + psutil.swap_memory().free
    if n_bytes > n_free:
        raise FileError(
            f"{path} is compressed, and is therefore read as a whole, which takes {n_bytes / 2**30:.1f} GiB of memory, but only "
            f"{n_free / 2**30:.1f} GiB are free. Decompress it: gunzip --keep {path}. Of a .nii, only what is needed is read."
        )


def _refuse_cut_off(path: Path, header: nibabel.Nifti1Header) -> None:
    """Refuse a file that is shorter than its header says, before memory is taken for what is not there.

    Raises
    ------
    FileError
        Values are missing.
    """
    n_bytes, n_there = _value_bytes(header), max(0, path.stat().st_size - int(header["vox_offset"]))
    if n_there < n_bytes:
        raise FileError(
            f"{path} cannot be read: its header tells of {n_bytes} bytes of values, and it has {n_there}. It was cut off, or is damaged. "
            "Copy it anew."
        )


def _value_bytes(header: nibabel.Nifti1Header) -> int:
    n_values: int = math.prod(header.get_data_shape())
    return n_values * int(header.get_data_dtype().itemsize)


def _in_units(stored: NDArray[Any], slope: float | None, intercept: float | None) -> ArrayLike:
    """Return values in the units that the header says, in the order of bytes of this machine."""
    if slope is not None and (slope, intercept) != (1, 0):
        factor, offset = np.float64(slope), np.float64(intercept or 0)
        dtype = np.complex64 if stored.dtype.kind == "c" else np.float32
        return converted(stored, dtype, lambda part: part * factor + offset)
    return stored if stored.dtype.isnative else converted(stored, stored.dtype.newbyteorder("="))


def _says_magnitude(path: Path, data: ArrayLike) -> bool | None:
    """Return what the BIDS description beside a file says of it; ``None`` if there is none that names a modality."""
    said = _description(path)
    if "Modality" in said:
        return is_magnitude(said["Modality"], said.get("ImageType") or (), data)
    return None if is_nowhere_negative(data) else False


def _part(path: Path) -> Part | None:
    """Return which part of complex values the BIDS description beside a file says that it has."""
    said = _description(path)
    return part_of(said.get("Modality"), said.get("ImageType") or ())


def _description(path: Path) -> Mapping[str, Any]:
    """Return the BIDS description beside a file; empty if there is none."""
    (description,) = _beside(path)
    with contextlib.suppress(OSError, ValueError):
        said = json.loads(description.read_text(encoding="utf-8"))
        if isinstance(said, dict):
            return said
    return {}


def _beside(path: Path) -> tuple[Path]:
    name = path.name[: -len(next(each for each in FORMAT.suffixes if path.name.lower().endswith(each)))]
    return (path.with_name(f"{name}.json"),)


def _calibration(header: nibabel.Nifti1Header, letters: str) -> Calibration:
    """Return distances and units, from the slowest axis to the fastest; along axes without a distance 1 pixel."""
    of_space, of_time = (UNITS.get(unit, "pixel") for unit in header.get_xyzt_units())
    zooms = dict(zip(LETTERS, map(float, header.get_zooms()), strict=False))
    units = dict.fromkeys("XYZ", of_space) | {"T": of_time}
    return tuple(zooms[x] if x in units else 1.0 for x in letters), tuple(units.get(x, "pixel") for x in letters)


def _check(path: Path, like: ImageFile) -> None:
    header, _ = _header_for(path, like)
    try:
        header.set_data_dtype(_stored_type(like.data.dtype, like.axes, like.data.shape))
    except Exception as error:
        raise FileError(f"{path} cannot hold {like.data.dtype} values. Write a .tif instead.") from error


def _write(path: Path, data: NDArray[Any], like: ImageFile) -> None:
    header, order = _header_for(path, like)
    dtype = _stored_type(data.dtype, like.axes, data.shape)
    header.set_data_dtype(dtype)
    if like.recipe is not None:
        comment = json.dumps({RECIPE: like.recipe}).encode()
        header.extensions.append(_load().nifti1.Nifti1Extension("comment", comment))
        header["vox_offset"] = 0  # is set as it is written
    if header.get_slope_inter() not in ((None, None), (1, 0)):
        header.set_slope_inter(1, 0)
    if "S" in like.axes:
        data = np.ascontiguousarray(np.moveaxis(data, like.axes.index("S"), -1)).view(dtype)[..., 0]
    values = data.transpose(order)
    with replacing(path) as file:
        if path.name.lower().endswith(".gz"):
            with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as compressed:
                _store(compressed, header, values, dtype)  # type: ignore[arg-type]
        else:
            _store(file, header, values, dtype)


def _store(file: BinaryIO, header: nibabel.Nifti1Header, values: NDArray[Any], dtype: np.dtype[Any]) -> None:
    """Write a header with its extensions, and values of a type from the slowest axis to the fastest, plane by plane."""
    header.write_to(file)
    file.write(b"\0" * (int(header["vox_offset"]) - file.tell()))
    for place in np.ndindex(values.shape[:-2]):
        file.write(values[place].astype(dtype.newbyteorder(header.endianness)).tobytes())


def _stored_type(dtype: np.dtype[Any], axes: str, shape: tuple[int, ...]) -> np.dtype[Any]:
    """Return the type with which values are stored: truth values as bytes, half precision as single, colors as structures."""
    if "S" in axes:
        if dtype != np.uint8:
            raise ValueError(f"colors of type {dtype}")
        return np.dtype([(letter, np.uint8) for letter in COLORS[shape[axes.index("S")]]])
    others: dict[str, np.dtype[Any]] = {"bool": np.dtype(np.uint8), "float16": np.dtype(np.float32)}
    return others.get(dtype.name, dtype.newbyteorder("="))


def _header_for(path: Path, like: ImageFile) -> tuple[nibabel.Nifti1Header, tuple[int, ...]]:
    """Return the header for an image, and the order in which its axes, without color, become those of NIfTI from the slowest.

    Raises
    ------
    FileError
        NIfTI has no place for one of the axes, or for its length.
    """
    nifti = _load()
    letters = like.axes.replace("S", "")
    lengths = [n for n, letter in zip(like.data.shape, like.axes, strict=True) if letter != "S"]
    if isinstance(like.header, nifti.Nifti1Header) and tuple(like.header.get_data_shape()) == tuple(lengths[::-1]):
        return like.header.copy(), tuple(range(len(letters)))
    if unknown := set(letters) - set(LETTERS[:5]):
        raise FileError(
            f"{path} cannot hold the axes {like.axes}: NIfTI has no {' and '.join(sorted(unknown))}. Name the axes with --axes, from "
            f"{', '.join(LETTERS[:5])}, or write a .tif."
        )
    if max(lengths) > LONGEST:
        raise FileError(
            f"{path} cannot hold an image of shape {tuple(lengths)}: NIfTI counts {LONGEST:,} values along an axis at most. "
            "Write a .tif instead."
        )
    n_axes = max(LETTERS.index(letter) for letter in letters) + 1
    length_of = dict(zip(letters, lengths, strict=True))
    header = nifti.Nifti1Header()
    header.set_data_shape([length_of.get(letter, 1) for letter in LETTERS[:n_axes]])
    _set_distances(header, like, LETTERS[:n_axes])
    return header, tuple(letters.index(letter) for letter in LETTERS[:n_axes][::-1] if letter in letters)


def _set_distances(header: nibabel.Nifti1Header, like: ImageFile, letters: str) -> None:
    """Write distances in a unit that NIfTI has: that of X, or micrometers; without a unit if they have none."""
    distances, units = ((), ()) if like.calibration is None else like.calibration
    known = {letter: (abs(d), symbol_of(unit)) for letter, d, unit in zip(like.axes, distances, units, strict=False)}
    names = {own: name for name, own in UNITS.items()}
    unit = known["X"][1] if "X" in known and known["X"][1] in LENGTHS else "µm"
    unit = "pixel" if all(known[letter][1] == "pixel" for letter in "XYZ" if letter in known) else unit
    apart = {letter: in_unit(*known[letter], unit) for letter in "XYZ" if letter in known}
    if not all(map(math.isfinite, apart.values())):
        apart = {}
    of_space = names.get(unit) if apart else None
    of_time = names.get(known["T"][1]) if "T" in known else None
    if of_time is not None:
        apart["T"] = known["T"][0]
    header.set_xyzt_units(of_space, of_time)
    header.set_zooms([apart.get(x, 1.0) for x in letters])


def _read_recipe(path: Path) -> Any:
    """Return the recipe in the extensions of the header; raises any exception if there is none."""
    comments = [
        bytes(each.get_content()) for each in _load().load(path).header.extensions if each.get_code() == COMMENT
    ]
    texts = [comment.rstrip(b"\0") for comment in comments]
    return next(json.loads(text)[RECIPE] for text in texts if text.startswith(f'{{"{RECIPE}":'.encode()))


FORMAT = WritableFormat(
    (".nii.gz", ".nii"), _read, check=_check, write=_write, part=_part, recipe=_read_recipe, beside=_beside
)
