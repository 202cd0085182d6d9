"""Files of ISMRMRD: HDF5 with a group of ``xml``, the header, and ``data``, one line of all coils after the other as it was read.

References
----------
S. Inati et al., "ISMRM Raw data format: A proposed standard for MRI raw datasets", Magn. Reson. Med. 77(1), 2017.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Complex
from numpy.typing import NDArray

from napari_convgen.errors import FileError
from napari_convgen.files.kspace.scan import Header, Scan

if TYPE_CHECKING:
    import h5py

NOISE, CALIBRATION = 19, 20
"""Numbers of the flags of lines of noise, and of lines for calibration alone."""

NO_IMAGE = (NOISE, 23, 24, 26, 27, 28, 29, 31)
"""Numbers of the flags of lines that no image is made from: noise, navigation, phase correction, feedback and the like."""

COUNTERS = ("slice", "contrast", "phase", "repetition", "set")
"""Counters of a line whose values belong to different images."""

APART = ("separate", "external")
"""Modes in which calibration lines are not those of the image."""


def claims(file: h5py.File) -> bool:
    """Return True for a file of this format."""
    return _group(file) is not None


def _group(file: h5py.File) -> Any:
    """Return the group of the scan; ``None`` if there is none."""
    for name in file:
        group = file[name]
        names: Collection[str] = getattr(group, "keys", tuple)()
        if "xml" in names and "data" in names and {"head", "data"} <= set(group["data"].dtype.names or ()):
            return group
    return None


def open_scan(file: h5py.File) -> Scan:
    """Return the scan of an open file.

    Raises
    ------
    FileError
        It was not read along straight lines of a plane, or has no line of an image.
    """
    group = _group(file)
    header = Header.of(np.ravel(group["xml"][()])[0])
    lines = group["data"][:]
    heads, name = lines["head"], file.filename
    if header.trajectory != "cartesian":
        raise FileError(f"{name} was read along a {header.trajectory} trajectory. Give a scan along straight lines.")
    if header.n_points[2] > 1 or heads["idx"]["kspace_encode_step_2"].any():
        raise FileError(
            f"{name} is the scan of a volume, encoded along three axes. Give a scan of slices, or transform one axis and save its slices."
        )
    is_left_out = _has_flag(heads, *NO_IMAGE)
    if header.calibration_mode in APART:
        is_left_out |= _has_flag(heads, CALIBRATION)
    lines = lines[~is_left_out]
    if not len(lines):
        raise FileError(f"{name} has no line of an image. Give the data of a scan.")
    counters = np.stack([lines["head"]["idx"][counter] for counter in COUNTERS], 1)
    images, number = np.unique(counters, axis=0, return_inverse=True)
    return Scan(
        len(images),
        lambda i: _gridded(name, lines[number.ravel() == i], header),
        readout=1,
        header=header,
        notes=tuple(_notes(name, int(is_left_out.sum()))),
    )


def _has_flag(heads: NDArray[Any], *numbers: int) -> NDArray[np.bool_]:
    """Return True for lines that have one of the flags, whose numbers start at 1."""
    bits = np.uint64(sum(1 << (number - 1) for number in numbers))
    return np.asarray((heads["flags"].astype(np.uint64) & bits) != 0)


def _gridded(name: str, lines: NDArray[Any], header: Header) -> Complex[np.ndarray, "coils y x"]:
    """Return k-space of one image: each line in its place, the mean of those that were read several times."""
    n_columns, n_rows, _ = header.n_points
    n_coils = int(lines["head"]["active_channels"][0])
    total = np.zeros((n_coils, n_rows, n_columns), np.complex64)
    n_read = np.zeros((n_rows, n_columns), np.float32)
    for head, data in zip(lines["head"], lines["data"], strict=True):
        values = np.asarray(data, np.float32).view(np.complex64).reshape(n_coils, -1)
        n = values.shape[1]
        row = int(head["idx"]["kspace_encode_step_1"]) - header.middle_line + n_rows // 2
        first = n_columns // 2 - int(head["center_sample"])
        if not 0 <= row < n_rows or first < 0 or first + n > n_columns:
            raise FileError(
                f"{name} has a line outside of the {n_rows} × {n_columns} points that its header says: row {row}, columns {first} to "
                f"{first + n - 1}. Convert the scan anew."
            )
        used = slice(int(head["discard_pre"]), n - int(head["discard_post"]))
        columns = slice(first + used.start, first + used.stop)
        total[:, row, columns] += values[:, used]
        n_read[row, columns] += 1
    mean: Complex[np.ndarray, "coils y x"] = total / np.maximum(n_read, 1)
    return mean


def _notes(name: str, n_left_out: int) -> Iterator[str]:
    if n_left_out:
        yield f"{n_left_out} lines of {name} are left out: they are for noise, navigation or calibration, not of the image."
