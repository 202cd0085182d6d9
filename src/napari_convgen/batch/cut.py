"""How an image is cut into pieces, and what is asked of all files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from napari_convgen.config import Config
from napari_convgen.core.image import Division, Layout, Piece
from napari_convgen.files.formats import find_writable_format, stem_of, suffix_like
from napari_convgen.files.image_file import ImageFile
from napari_convgen.files.images import check_image, read_image
from napari_convgen.run.denoise.run import JOINT
from napari_convgen.run.fit_task import peak_bytes
from napari_convgen.run.setup.groups import N_AROUND, frame_groups, neighbor_axis
from napari_convgen.run.setup.prepared import Prepared
from napari_convgen.run.setup.starts import PREVIOUS_NOTE, chain_of, previous_starts

N_COPIES_READ = 3
"""Copies of an image in memory while it is read as a whole: what is stored, its parts, and the values that they become (a DICOM series)."""


@dataclass(frozen=True)
class Request:
    """What is asked of all files.

    Attributes
    ----------
    folder
        Folder for the outputs.
    config
        Settings; ``n_threads`` is a number, so that any number of workers gives the same bits.
    axes
        One letter for each axis of the images; ``None`` for those that the files name.
    series
        Number of the image of a file that holds several, from 0.
    """

    folder: Path
    config: Config
    axes: str | None = None
    series: int = 0


@dataclass(frozen=True)
class Cut:
    """How an image is cut into pieces, and what its result is like; kept as a record beside the pieces.

    Attributes
    ----------
    output
        Name of the file of its result.
    shape, axes
        Shape of the image, and a letter for each axis.
    is_joint
        True if its channels are fitted together.
    n_together
        Number of neighboring frames of a piece, which are denoised together, or in a chain; 0 if a piece is a frame, or a tile of one,
        for itself.
    dtype
        Type of the result.
    dtype_setting
        Setting that gives each piece this type.
    n_pieces, n_tiles
        Number of pieces, and of those that a frame or a group of frames is cut into.
    n_values
        Number of values that are read of each frame or tile.
    n_bytes
        Bytes that the fit of each takes at its peak, about.
    notes
        Sentences for the user.
    n_held_bytes
        Bytes that an image that is read as a whole takes all the time; 0, the default, for one that is read as it is needed.
    """

    output: str
    shape: tuple[int, ...]
    axes: str
    is_joint: bool
    n_together: int
    dtype: str
    dtype_setting: str
    n_pieces: int
    n_tiles: int
    n_values: int
    n_bytes: int
    notes: tuple[str, ...]
    n_held_bytes: int = 0

    @classmethod
    def of(cls, path: Path, request: Request) -> Self:
        """Open an image file and find out; its first piece is read, and nothing is fitted.

        Raises
        ------
        FileError, InputError, ConfigError, DeviceError
            The file cannot be read or denoised, or its result cannot be written.
        """
        file = read_image(path, request.axes, request.series)
        cut = cls.of_prepared(Prepared(file.image, request.config, has_tiles=True))
        like = file.of_type(cut.dtype)
        output = stem_of(path) + suffix_like(path, like)
        _check_output(request.folder / output, like)
        return replace(cut, output=output, notes=(*file.notes, *cut.notes), n_held_bytes=file.n_held_bytes)

    @classmethod
    def of_prepared(cls, prepared: Prepared, output: str = "") -> Self:
        """Find out about an image that was checked, with its tiles; its result will be in the file ``output``."""
        result_type = prepared.result_type
        n_values = math.prod(prepared.size) * prepared.n_outputs
        layout, shape, groups = prepared.layout, tuple(prepared.image.shape), frame_groups(prepared)
        is_chained = previous_starts(prepared) is not None
        n_together = groups.size if groups else chain_of(prepared.config) if is_chained else 0
        division = Division(prepared.pieces, prepared.n_tiles, prepared.size)
        n_fits, itemsize = max(1, n_together), result_type.dtype.itemsize
        n_bytes = peak_bytes(prepared, n_values * n_fits, itemsize, n_fits, keeps_snapshots=False)
        return cls(
            output=output,
            shape=shape,
            axes=layout.axes,
            is_joint=layout.is_joint,
            n_together=n_together,
            dtype=str(result_type.dtype),
            dtype_setting=result_type.setting,
            n_pieces=len(pieces_of(division, layout, shape, n_together, prepared.config)),
            n_tiles=prepared.n_tiles,
            n_values=n_values,
            n_bytes=n_bytes + (0 if groups is None else groups.n_bytes),
            notes=(*prepared.notes, *[JOINT] * (groups is not None), *[PREVIOUS_NOTE] * is_chained),
        )

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Read the form that a record has."""
        return cls(**{**record, "shape": tuple(record["shape"]), "notes": tuple(record["notes"])})

    @property
    def n_peak_bytes(self) -> int:
        """Bytes that a process takes at its peak, beside what is loaded: as it reads an image as a whole, or as it fits a piece."""
        return max(N_COPIES_READ * self.n_held_bytes, self.n_held_bytes + self.n_bytes)

    @property
    def n_result_bytes(self) -> int:
        """Bytes of the result's values."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def pieces_of(
    division: Division, layout: Layout, shape: tuple[int, ...], n_together: int, config: Config
) -> tuple[Piece, ...]:
    """Return the pieces of an image: its frames or tiles, or groups of as many neighboring ones; chains know nothing of those around."""
    if not n_together:
        return division.pieces
    axis, _ = neighbor_axis(layout, shape)
    return division.groups(axis, shape[axis], n_together, 0 if has_chains(config) else N_AROUND)


def _check_output(path: Path, like: ImageFile) -> None:
    """Refuse an output that could not be written, before anything is fitted; its folder may still be to be made."""
    if path.parent.is_dir():
        check_image(path, like)
    else:
        find_writable_format(path).check(path, like)


def has_chains(config: Config) -> bool:
    """Return True if the network of a frame starts from the frame before."""
    return config.frames.start == "previous"
