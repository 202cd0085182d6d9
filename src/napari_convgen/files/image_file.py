"""What all image files share: the image that is read from one, and what a format provides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_convgen.core.image import ArrayLike, Image
from napari_convgen.core.image.lazy import held_bytes
from napari_convgen.files.magnetic_resonance import Part
from napari_convgen.files.orientation import UPRIGHT, is_sideways

Calibration = tuple[tuple[float, ...], tuple[str, ...]]
"""Distance between neighboring values along each axis, and the unit of each."""

Tags = Mapping[str, Any]
"""Keyword arguments of `tifffile.imwrite`."""

Recipe = Mapping[str, Any]
"""Plain values on how an image was made."""

RECIPE = "convgen"
"""Key of the recipe in what a file says of its image; ImageJ shows it in *Image → Show Info*."""


@dataclass(frozen=True, eq=False)
class ImageFile:
    """An image, with the metadata that is needed to write another one like it.

    Attributes
    ----------
    data
        Values, in image units, as the image is looked at; those of some formats are read as they are needed.
    axes
        One letter for each axis, as `napari_convgen.core.image.Layout` defines them: ``"CZYX"``.
    tiff
        Keyword arguments of `tifffile.imwrite` for such an image. Every format provides them, since stacks are written as TIFF.
    png
        Keyword arguments of Pillow's `save` for such an image, empty by default.
    notes
        Sentences about the reading for the user.
    calibration
        Distance between neighboring values along each axis, and the unit of each; ``None`` if the file does not store them.
    orientation
        Side from which the stored image is looked at, see `napari_convgen.files.orientation`, by default 1: as it is stored. Images
        like this one are stored in the same way, and their tags, which are those of the stored image, say so.
    noise_kind
        Kind of noise that the file says the image has, see `napari_convgen.core.image.Image`; ``None``, the default, if it does not.
    header
        What the format of the file keeps of it beside this, to write another file like it; of a type of the format's own.
        ``None``, the default, for formats that need no more.
    recipe
        Plain values on how the image was made, which a file of a format that has a place for it carries; ``None``, the default, for none.
    smaller
        The image in lower resolutions, as the file has them, the largest first; none by default.
    """

    data: ArrayLike
    axes: str
    tiff: Tags
    png: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    calibration: Calibration | None = None
    orientation: int = UPRIGHT
    noise_kind: str | None = None
    header: Any = None
    recipe: Recipe | None = None
    smaller: tuple[ArrayLike, ...] = ()

    def of_type(self, dtype: DTypeLike) -> ImageFile:
        """Return the image of a file with zeros of another type: what the file of a result is like."""
        return replace(self, data=np.broadcast_to(np.zeros((), dtype), self.data.shape))

    @property
    def n_held_bytes(self) -> int:
        """Bytes of memory that the values hold all the time; 0 if they are read as they are needed."""
        return held_bytes(self.data)

    @property
    def turned_calibration(self) -> Calibration | None:
        """Distances and units of the picture as it is looked at, if these are as it is stored, and the other way around."""
        if self.calibration is None or not is_sideways(self.orientation):
            return self.calibration
        order = list(range(len(self.axes)))
        y, x = self.axes.index("Y"), self.axes.index("X")
        order[y], order[x] = x, y
        distances, units = self.calibration
        return tuple(distances[k] for k in order), tuple(units[k] for k in order)

    @property
    def image(self) -> Image:
        """The image as a verb takes it, with its axes, distances and units."""
        scale, units = (None, None) if self.calibration is None else self.calibration
        return Image(self.data, self.axes, scale, units, noise_kind=self.noise_kind)


def never(path: Path) -> bool:
    """Return False: a format recognizes its files by their endings alone."""
    return False


def whole(path: Path) -> tuple[Path, str]:
    """Return a path, and no place within it: an image is a file, or a folder."""
    return path, ""


def without_recipe(path: Path) -> Any:
    """Raise an error: files of a format have no place for how an image was made."""
    raise ValueError(f"{path.suffix} files carry no recipe")


def unsaid(path: Path, axes: str = "") -> None:
    """Return ``None``: files of a format do not say."""


def alone(path: Path) -> tuple[Path, ...]:
    """Return no other files: an image of a format is in one file, or in one folder."""
    return ()


@dataclass(frozen=True, eq=False)
class Format:
    """A file format that can be read. Its functions may raise any exception; `napari_convgen.files.images` turns it into one sentence.

    Attributes
    ----------
    suffixes
        Endings of its files, in lower case with the dot; new files get the first one.
    read
        Function that reads a file, as it is stored. Its second argument is the axes that the user gives, or ``None`` for those of the
        file; the third is the number of the image among those of the file, from 0.
    claims
        Function that recognizes paths which are no files with such an ending and can be read all the same: folders, and places within
        a file. By default there are none.
    split
        Function that returns the file or folder that a path leads to, and the place of the image in it; empty, the default, if it is all.
    part
        Function that reads of an image of magnetic resonance which part of complex values it has, without its pixels. By default files
        do not say.
    recipe
        Function that returns how an image was made, from a file that this program has written. By default files do not say.
    pixel_size
        Function that reads the distances between pixels along axes, given by a letter each, without the pixels. By default files do not
        say; a format has it where napari's own reader leaves them out.
    beside
        Function that returns the files beside one that are read with it, whether they are there or not. By default there are none.
    parts
        Function that returns the other files in which the image of a file is, read and written with it. By default there are none.
    """

    suffixes: tuple[str, ...]
    read: Callable[[Path, str | None, int], ImageFile]
    claims: Callable[[Path], bool] = never
    split: Callable[[Path], tuple[Path, str]] = whole
    part: Callable[[Path], Part | None] = unsaid
    recipe: Callable[[Path], Any] = without_recipe
    pixel_size: Callable[[Path, str], Calibration | None] = unsaid
    beside: Callable[[Path], tuple[Path, ...]] = alone
    parts: Callable[[Path], tuple[Path, ...]] = alone


@dataclass(frozen=True, eq=False, kw_only=True)
class WritableFormat(Format):
    """A file format that can be written too.

    Attributes
    ----------
    check
        Function that raises `napari_convgen.errors.FileError` if the format cannot hold an image like this, or not under this name.
    write
        Function that writes values, as they are stored, to a path, completely or not at all (`napari_convgen.files.atomic.replacing`),
        with the metadata of an image that was read.
    has_orientation
        True if files say from which side their pictures are looked at, see `napari_convgen.files.orientation`; default False: pictures are
        written as they are looked at.
    """

    check: Callable[[Path, ImageFile], None]
    write: Callable[[Path, NDArray[Any], ImageFile], None]
    has_orientation: bool = False
