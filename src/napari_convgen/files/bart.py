"""Arrays of the Berkeley Advanced Reconstruction Toolbox (BART): complex values in a ``.cfl`` file, their shape in a ``.hdr`` file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.core.image import Layout
from napari_convgen.errors import FileError
from napari_convgen.files.atomic import replacing, write_text
from napari_convgen.files.image_file import ImageFile, WritableFormat
from napari_convgen.files.series import choose_series
from napari_convgen.files.tiff.new import new_tags

LETTERS = "XYZCMEFGHITJLKNB"
"""Letters of the dimensions of BART, the fastest first. Space (0 to 2), coils (3) and time (10) have their usual ones; the others count
frames."""

N_DIMENSIONS = 16
"""Number of dimensions that BART writes."""


def _read(path: Path, axes: str | None, series: int) -> ImageFile:
    shape = _read_shape(path)
    n_bytes = 8 * math.prod(shape)
    if path.stat().st_size != n_bytes:
        raise FileError(
            f"{path} has {path.stat().st_size} bytes, and {_header_of(path)} says {n_bytes}. Save both anew."
        )
    choose_series(path, [" × ".join(map(str, shape))], series)
    values: NDArray[Any] = np.fromfile(path, "<c8").reshape(shape[::-1])
    letters = LETTERS[: len(shape)][::-1]
    kept = [i for i, n in enumerate(values.shape) if n > 1 or letters[i] in "XY"]
    values, letters = values.reshape([values.shape[i] for i in kept]), "".join(letters[i] for i in kept)
    data = values.real.copy() if not values.imag.any() else values
    letters = letters if axes is None else Layout.of(data.shape, axes).axes
    return ImageFile(data, letters, new_tags(data.shape, data.dtype, letters), header=shape)


def _header_of(path: Path) -> Path:
    return path.with_suffix(".hdr")


def _parts(path: Path) -> tuple[Path]:
    return (_header_of(path),)


def _read_shape(path: Path) -> tuple[int, ...]:
    """Return the number of values along each dimension, the fastest first."""
    try:
        lines = _header_of(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise FileError(
            f"{path} cannot be read without its shape: {_header_of(path)} is missing. Put it beside it."
        ) from error
    numbers = [lines[i + 1].split() for i, line in enumerate(lines[:-1]) if line.strip() == "# Dimensions"]
    if (
        not numbers
        or not all(number.isdigit() and int(number) for number in numbers[0])
        or len(numbers[0]) > len(LETTERS)
    ):
        raise FileError(
            f"{_header_of(path)} does not say the shape: a line of numbers after '# Dimensions' is missing."
        )
    return tuple(map(int, numbers[0]))


def _shape_of(path: Path, like: ImageFile) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shape that BART gets, the fastest dimension first, and the order in which the image's axes become BART's from the slowest.

    Raises
    ------
    FileError
        BART has no place for one of the axes.
    """
    shape, letters = tuple(like.data.shape), like.axes
    if isinstance(like.header, tuple) and [n for n in like.header if n > 1] == [n for n in shape[::-1] if n > 1]:
        return like.header, tuple(range(len(shape)))
    if unknown := set(letters) - set(LETTERS):
        raise FileError(
            f"{path} cannot hold the axes {letters}: BART has no {' and '.join(sorted(unknown))}. Name the axes with --axes, from X, Y, Z, "
            "C and T, or write a .tif."
        )
    length_of = dict(zip(letters, shape, strict=True))
    dimensions = tuple(length_of.get(letter, 1) for letter in LETTERS[:N_DIMENSIONS])
    return dimensions, tuple(sorted(range(len(letters)), key=lambda i: -LETTERS.index(letters[i])))


def _check(path: Path, like: ImageFile) -> None:
    _shape_of(path, like)


def _write(path: Path, data: NDArray[Any], like: ImageFile) -> None:
    dimensions, order = _shape_of(path, like)
    with replacing(path) as file:
        file.write(data.transpose(order).astype("<c8").tobytes())
    write_text(_header_of(path), f"# Dimensions\n{' '.join(map(str, dimensions))}\n")


FORMAT = WritableFormat((".cfl",), _read, check=_check, write=_write, parts=_parts)
