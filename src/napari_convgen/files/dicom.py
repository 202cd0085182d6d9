"""DICOM files, which are only read: one file, or the files of a series in a folder as a volume."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.core.image import Layout
from napari_convgen.errors import FileError
from napari_convgen.files.image_file import Calibration, Format, ImageFile
from napari_convgen.files.magnetic_resonance import NO_MAGNITUDES, NOTE, RICIAN, Part, is_magnitude, part_of
from napari_convgen.files.optional import load
from napari_convgen.files.series import choose_series
from napari_convgen.files.tiff.new import new_tags

if TYPE_CHECKING:
    from pydicom import Dataset

UNEVEN = 0.01
"""Largest relative difference of the distances between slices that counts as rounding. Our choice, no benchmark."""

FRAMES = "Q"
"""Letter of an axis whose meaning the file does not say: it counts frames."""


@dataclass(frozen=True, eq=False)
class _Part:
    """A plane, or several planes of one file that belong together.

    Attributes
    ----------
    values
        Values of shape (planes, rows, columns) or, in color, (planes, rows, columns, samples).
    positions
        Place of each plane in millimeters; ``None`` if the file does not say.
    orientation
        Directions of a row and of a column; ``None`` likewise.
    """

    values: NDArray[Any]
    positions: NDArray[np.float64] | None
    orientation: NDArray[np.float64] | None


def _read(path: Path, axes: str | None, series: int) -> ImageFile:
    found = _find_series(path)
    notes = choose_series(path, [_describe(each) for each in found.values()], series)
    files = list(found.values())[series]
    headers = [header for _, header in files]
    parts = [_read_part(file) for file, _ in files]
    planes = np.concatenate([part.values for part in parts])
    data, letters, depth, note = _arrange(planes, parts, headers)
    letters += "S" * (planes.ndim == 4)
    calibration = _calibration(headers[0], letters, depth)
    words = [word for header in headers for word in _words(header)]
    magnitude = is_magnitude(headers[0].get("Modality"), words, data)
    letters = letters if axes is None else Layout.of(data.shape, axes).axes
    tags = new_tags(data.shape, data.dtype, letters, calibration)
    if headers[0].get("PhotometricInterpretation") == "MONOCHROME1":
        tags = {**tags, "photometric": "miniswhite"}
    return ImageFile(
        data,
        letters,
        tags,
        notes=(*notes, *note, *(NOTE.format(path),) * magnitude),
        calibration=calibration,
        noise_kind=RICIAN if magnitude else None,
    )


def _part(path: Path) -> Part | None:
    """Return which part of complex values a file has, or the first of a folder."""
    pydicom = load("pydicom", "dicom", "DICOM files")
    file = path if path.is_file() else min(each for each in path.iterdir() if each.is_file())
    header = pydicom.dcmread(file, stop_before_pixels=True)
    return part_of(header.get("Modality"), sorted(_words(header)))


def _find_series(path: Path) -> Mapping[Any, list[tuple[Path, Dataset]]]:
    """Return files and their headers without pixels, by the image that they belong to.

    Raises
    ------
    FileError
        There are none.
    """
    pydicom = load("pydicom", "dicom", "DICOM files")
    candidates = [path] if path.is_file() else sorted(each for each in path.iterdir() if each.is_file())
    found: dict[Any, list[tuple[Path, Dataset]]] = {}
    for each in candidates:
        try:
            header = pydicom.dcmread(each, stop_before_pixels=True)
        except pydicom.errors.InvalidDicomError:
            if path.is_file():
                raise
            continue
        if "Rows" in header:
            found.setdefault(_image_of(header), []).append((each, header))
    if not found:
        what = "is a folder without DICOM images" if path.is_dir() else "holds no image"
        raise FileError(f"{path} {what}. Name an image file, or the folder of a DICOM series.")
    return dict(sorted(found.items(), key=lambda item: str(item[0])))


def _image_of(header: Dataset) -> tuple[Any, ...]:
    """Return what the files of an image have in common: series, size, orientation, and the part of complex values."""
    orientation = header.get("ImageOrientationPatient")
    directions = None if orientation is None else tuple(np.round(np.asarray(orientation, float), 2).tolist())
    number = f"{int(header.get('SeriesNumber') or 0):09d}"
    size = header.Rows, header.Columns, header.get("SamplesPerPixel", 1)
    return number, header.get("SeriesInstanceUID"), size, directions, *sorted(_words(header) & NO_MAGNITUDES)


def _words(header: Dataset) -> set[str]:
    """Return the words that say what the values of an image are."""
    words = [*(header.get("ImageType") or ()), header.get("ComplexImageComponent") or ""]
    return {str(word).strip().upper() for word in words}


def _describe(files: Sequence[tuple[Path, Dataset]]) -> str:
    header = files[0][1]
    n_planes = sum(int(each.get("NumberOfFrames") or 1) for _, each in files)
    name = f"'{header.get('SeriesDescription')}' " if header.get("SeriesDescription") else ""
    return f"{name}{n_planes} × {header.Rows} × {header.Columns} {header.get('Modality', '')}".rstrip()


def _read_part(path: Path) -> _Part:
    """Read the values of a file, in the units that it says, and where its planes lie."""
    import pydicom
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.pixels.utils import pixel_array

    dataset = pydicom.dcmread(path)
    try:
        values = pixel_array(dataset)  # colors as red, green and blue
    except RuntimeError as error:
        raise FileError(
            f"{path} cannot be read: its pixels are compressed as {dataset.file_meta.TransferSyntaxUID.name}, which needs another package. "
            "Install it with: pip install 'pylibjpeg[all]'."
        ) from error
    if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
        values = apply_color_lut(values, dataset)
    is_color = dataset.get("SamplesPerPixel", 1) > 1 or dataset.get("PhotometricInterpretation") == "PALETTE COLOR"
    values = values.reshape(-1, *values.shape[-2 - is_color :])
    groups = dataset.get("PerFrameFunctionalGroupsSequence") or [dataset] * len(values)
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [dataset])[0]
    if not is_color:
        values = np.stack([_in_units(plane, dataset, shared, own) for plane, own in zip(values, groups, strict=True)])
    places = [_item("PlanePositionSequence", "ImagePositionPatient", own, dataset) for own in groups]
    orientation = _item("PlaneOrientationSequence", "ImageOrientationPatient", groups[0], shared, dataset)
    has_places = all(place is not None for place in places) and (len(values) == 1 or groups[0] is not dataset)
    return _Part(
        values,
        np.asarray(places, float) if has_places else None,
        None if orientation is None else np.asarray(orientation, float),
    )


def _item(sequence: str, name: str, *datasets: Dataset) -> Any:
    """Return an attribute from the first of some datasets that has it, itself or in a sequence."""
    for dataset in datasets:
        for each in (*(dataset.get(sequence) or ())[:1], dataset):
            if each.get(name) is not None:
                return each.get(name)
    return None


def _in_units(plane: NDArray[Any], dataset: Dataset, shared: Dataset, own: Dataset) -> NDArray[Any]:
    """Return the values of a plane in the units that the file says; whole numbers where the slope is 1 and the offset whole."""
    from pydicom.pixels.processing import apply_modality_lut

    if "ModalityLUTSequence" in dataset:
        return np.asarray(apply_modality_lut(plane, dataset))
    where = "PixelValueTransformationSequence"
    slope = float(_item(where, "RescaleSlope", own, shared, dataset) or 1)
    intercept = float(_item(where, "RescaleIntercept", own, shared, dataset) or 0)
    if (slope, intercept) == (1, 0):
        return plane
    if slope == 1 and intercept.is_integer() and plane.dtype.itemsize <= 2:
        whole = plane.astype(np.int32) + int(intercept)
        fits = whole.min() >= -(2**15) and whole.max() < 2**15
        return whole.astype(np.int16) if fits else whole
    return (plane * slope + intercept).astype(np.float32)


def _arrange(
    planes: NDArray[Any], parts: Sequence[_Part], headers: Sequence[Dataset]
) -> tuple[NDArray[Any], str, float | None, tuple[str, ...]]:
    """Return planes in the order of their places, the letters of the axes, the distance of the slices, and sentences for the user."""
    if len(planes) == 1:
        return planes[0], "YX", None, ()
    numbers = [int(header.get("InstanceNumber") or 0) for header in headers]
    order = np.repeat(np.argsort(np.argsort(numbers, kind="stable")), [len(part.values) for part in parts])
    if parts[0].orientation is None or any(part.positions is None for part in parts):
        is_movie = len(parts) == 1 and any(name in headers[0] for name in ("FrameTime", "FrameTimeVector", "CineRate"))
        return planes[np.argsort(order, kind="stable")], ("T" if is_movie else FRAMES) + "YX", None, ()
    normal = np.cross(parts[0].orientation[:3], parts[0].orientation[3:])
    places = np.concatenate([part.positions for part in parts if part.positions is not None]) @ normal
    heights = np.round(places, 3)
    counts = Counter(heights.tolist())
    by_place = np.lexsort((order, heights))
    if len(set(counts.values())) > 1:
        most = max(counts.values())
        raise FileError(
            f"The DICOM series lacks images: it has {min(counts.values())} to {most} at a place, {len(planes)} at {len(counts)} places. "
            "Put all of them into the folder, or name one file."
        )
    n_each = next(iter(counts.values()))
    data = planes[by_place].reshape(len(counts), n_each, *planes.shape[1:])
    steps = np.diff(sorted(counts))
    depth = float(np.median(steps)) if len(steps) else None
    note: tuple[str, ...] = ()
    if depth and np.ptp(steps) > UNEVEN * depth:
        note = (
            f"The slices are {steps.min():g} to {steps.max():g} mm apart; the distance is taken to be {depth:g} mm.",
        )
    if n_each == 1:
        return data[:, 0], "ZYX", depth, note
    if len(counts) == 1:
        return data[0], f"{FRAMES}YX", None, note
    return np.ascontiguousarray(data.swapaxes(0, 1)), f"{FRAMES}ZYX", depth, note


def _calibration(header: Dataset, letters: str, depth: float | None) -> Calibration | None:
    """Return distances in millimeters, and of a movie in milliseconds; ``None`` if the file does not say them."""
    shared = (header.get("SharedFunctionalGroupsSequence") or [header])[0]
    own = (header.get("PerFrameFunctionalGroupsSequence") or [header])[0]
    spacing = _item("PixelMeasuresSequence", "PixelSpacing", own, shared, header) or header.get("ImagerPixelSpacing")
    if spacing is None:
        return None
    sizes = {"Y": float(spacing[0]), "X": float(spacing[1])} | ({} if depth is None else {"Z": depth})
    known = {x: (size, "mm") for x, size in sizes.items()}
    if header.get("FrameTime"):
        known["T"] = float(header.FrameTime), "ms"
    along = [known.get(x, (1.0, "pixel")) for x in letters]
    return tuple(distance for distance, _ in along), tuple(unit for _, unit in along)


FORMAT = Format((".dcm", ".dicom", ".ima"), _read, claims=Path.is_dir, part=_part)
