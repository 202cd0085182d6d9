"""Reading of k-space of one slice, whatever file it is in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Complex
from numpy.typing import NDArray

from napari_convgen.core.image import Image
from napari_convgen.errors import FileError
from napari_convgen.files import bart, hdf5
from napari_convgen.files.explained import explained
from napari_convgen.files.image_file import Calibration, ImageFile
from napari_convgen.files.images import read_image
from napari_convgen.files.kspace import fastmri, ismrmrd
from napari_convgen.files.kspace.scan import Scan
from napari_convgen.files.optional import load
from napari_convgen.files.tiff.new import new_tags

SUFFIXES = (*hdf5.SUFFIXES, ".mrd")
"""Endings of files that may hold the raw data of a scanner."""

ORDER = "QCYX"
"""Axes of an array whose file does not name them: slices, coils, rows and columns, of which the first ones may be missing."""


@dataclass(frozen=True, eq=False)
class KSpaceFile:
    """K-space of a slice, and what its file says of it.

    Attributes
    ----------
    kspace
        Complex values, of the shape (coils, rows, columns), their origin at index n // 2, and 0 where nothing was sampled.
    is_sampled
        True where k-space was sampled, of the shape (rows, columns); ``None`` if the file does not say.
    slice_number, n_slices
        Number of the slice, from 0, and of all slices of the file.
    calibration
        Distance between the rows and between the columns of the image, and their unit; ``None`` if the file does not say.
    notes
        Sentences about the reading for the user.
    """

    kspace: Complex[np.ndarray, "coils y x"]
    is_sampled: Bool[np.ndarray, "y x"] | None
    slice_number: int
    n_slices: int
    calibration: Calibration | None
    notes: tuple[str, ...] = ()

    @property
    def image(self) -> Image:
        """K-space as `napari_convgen.reconstruct` takes it."""
        return Image(self.kspace, "CYX")

    @property
    def like(self) -> ImageFile:
        """File of an image of the slice, float32, with the distance between its pixels."""
        size = self.kspace.shape[1:]
        values = np.broadcast_to(np.zeros((), np.float32), size)
        tags = new_tags(size, values.dtype, "YX", self.calibration)
        return ImageFile(values, "YX", tags, calibration=self.calibration)


def read_kspace(path: str | Path, slice_number: int | None = None, axes: str | None = None) -> KSpaceFile:
    """Read k-space of one slice.

    Oversampling along the readout is removed where the header of the file tells of it.

    Parameters
    ----------
    path
        fastMRI or ISMRMRD file (HDF5), BART file, or another file of an array of complex numbers: (coils, rows, columns), maybe with
        slices before or without coils.
    slice_number
        Number of the slice, from 0; ``None``, the default, for the middle one. Contrasts, repetitions and the like count as slices.
    axes
        One letter for each axis of the array, if the file names none or wrong ones: ``C`` for coils, ``Y`` for rows, ``X`` for columns,
        any other for slices. ``None``, the default, for the order above. Raw data of a scanner need none.

    Raises
    ------
    FileError
        The file is missing, damaged or of another format, is the scan of a volume, or has no slice of this number.
    InputError
        ``axes`` do not fit.
    """
    path = Path(path)
    if path.name.lower().endswith(SUFFIXES) and path.is_file() and axes is None:
        h5py = load("h5py", "hdf5", "HDF5 files")
        with explained(path), h5py.File(path, "r") as file:
            for kind in (ismrmrd, fastmri):
                if kind.claims(file):
                    return _take(path, kind.open_scan(file), slice_number)
    return _take(path, _of_array(path, read_image(path, axes), axes), slice_number)


def _of_array(path: Path, image: ImageFile, axes: str | None) -> Scan:
    """Return the scan of an array, by the meaning of its axes."""
    values, letters = np.asarray(image.data), image.axes
    if axes is None and not path.name.lower().endswith(bart.FORMAT.suffixes):
        letters = ORDER[-values.ndim :]
    elif axes is None:
        letters = _plane_of_bart(path, letters, values.shape)
    if values.ndim != len(letters):
        raise FileError(
            f"{path} has {values.ndim} axes, and k-space has up to 4: slices, coils, rows and columns. Name them with axes, such as QTCYX."
        )
    if "C" not in letters:
        values, letters = values[np.newaxis], f"C{letters}"
    others = [i for i, letter in enumerate(letters) if letter not in "CYX"]
    ordered = values.transpose([*others, *map(letters.index, "CYX")])
    slices = ordered.reshape(-1, *ordered.shape[-3:])
    return Scan(len(slices), lambda number: slices[number])


def _plane_of_bart(path: Path, letters: str, shape: tuple[int, ...]) -> str:
    """Return letters of which X and Y are those of the two axes of BART's k-space that have several points."""
    long = [letter for letter, n in zip(letters, shape, strict=True) if letter in "ZYX" and n > 1]
    if len(long) > 2:
        raise FileError(
            f"{path} is the k-space of a volume, encoded along three axes. Transform the one that was read out (bart fft -i 1), and give "
            "one of its slices."
        )
    if "Z" not in letters:
        return letters
    short = next(letter for letter, n in zip(letters, shape, strict=True) if letter in "YX" and n == 1)
    others = "ZY" if short == "X" else "ZX"
    meaning = {others[0]: "Y", others[1]: "X", short: "Q"}
    return "".join(meaning.get(letter, letter) for letter in letters)


def _take(path: Path, scan: Scan, slice_number: int | None) -> KSpaceFile:
    """Return one slice of a scan."""
    n = scan.n_slices
    number = n // 2 if slice_number is None else slice_number
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < n:
        last = "only slice 0" if n == 1 else f"slices 0 to {n - 1}"
        raise FileError(f"{path} has {last}, and none with the number {number}. Choose another one.")
    kspace, mask, notes = scan.read(number), scan.is_sampled, list(scan.notes)
    if n > 1 and slice_number is None:
        notes.append(f"{path} holds {n} slices; number {number}, the middle one, is read. --slice N chooses another.")
    calibration = None
    header, axis = scan.header, scan.readout
    if header is not None and axis is not None:
        lengths = list(header.field_of_view[:2]) if axis == 0 else list(header.field_of_view[1::-1])
        calibration = tuple(d / m for d, m in zip(lengths, kspace.shape[1:], strict=True)), ("mm", "mm")
        n_kept = round(kspace.shape[1 + axis] * header.wanted_length / lengths[axis])
        if 0 < n_kept < kspace.shape[1 + axis]:
            notes.append(f"Oversampling along the readout is removed: {n_kept} of {kspace.shape[1 + axis]} points.")
            kspace = without_oversampling(kspace, n_kept, axis)
            mask = None if mask is None else np.take(mask, range(n_kept), axis)  # the same all along the readout
    return KSpaceFile(np.asarray(kspace), mask, number, n, calibration, tuple(notes))


def without_oversampling(
    kspace: Complex[np.ndarray, "coils y x"], n_kept: int, axis: int
) -> Complex[np.ndarray, "coils y x"]:
    """Return k-space of the middle of the image, which oversampling along the readout has made too long.

    Parameters
    ----------
    kspace
        K-space, its origin at index n // 2.
    n_kept
        Number of pixels to keep.
    axis
        Axis of the readout, 0 for columns of points and 1 for rows.
    """
    along = axis + 1
    n = kspace.shape[along]
    image = _centered(np.fft.ifft, kspace, along)
    middle = np.take(image, range(n // 2 - n_kept // 2, n // 2 - n_kept // 2 + n_kept), along)
    return np.asarray(_centered(np.fft.fft, middle, along), np.complex64)


def _centered(transform: Any, values: NDArray[Any], axis: int) -> NDArray[Any]:
    moved = transform(np.fft.ifftshift(values, axis), axis=axis, norm="ortho")
    return np.fft.fftshift(moved, axis)
