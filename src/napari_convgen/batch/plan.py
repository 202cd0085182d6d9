"""The plan of a file: where what is done lies, and how far it is."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from napari_convgen import __version__
from napari_convgen.batch.cut import Cut, Request, has_chains, pieces_of
from napari_convgen.batch.records import (
    DONE,
    FAILED,
    Ended,
    EndedPieces,
    hash_values,
    read_head,
    read_record,
    write_record,
)
from napari_convgen.batch.source import is_another, state_of, state_of_image
from napari_convgen.config import Config
from napari_convgen.core.image import Division, Image, Layout, Piece
from napari_convgen.errors import FileError
from napari_convgen.files.formats import FORMATS, split_place, stem_of
from napari_convgen.run.setup.groups import PartOfStack, neighbor_axis

WORK = ".pieces"
"""Folder, in that of the outputs, for what is done of files that are not finished."""

RECORDED = {"digest", "cut"}
"""Entries that tell the record of an output from other JSON files."""

N_DIGITS = 12
"""Number of digits of a plan's hash in the name of its folder: two plans for one file will not share them."""


Works = Mapping[str, Sequence[Path]]


@dataclass(frozen=True, eq=False)
class Plan:
    """The plan of a file.

    Attributes
    ----------
    path
        The file.
    request
        What is asked.
    digest
        Hash of all that decides the result: the state of the file (`napari_convgen.batch.source.state_of_image`), the settings, and
        the version of this package.
    cut
        How it is cut.
    """

    path: Path
    request: Request
    digest: str
    cut: Cut

    @classmethod
    def of(cls, path: Path, request: Request, *, is_shared: bool = False) -> Self:
        """Plan a file, or read the plan that was made before, also by another batch which has not begun.

        Parameters
        ----------
        path, request
            The file, and what is asked.
        is_shared
            True to let other batches find the plan before this one has begun; see `remove_shared`. False, the default, to write nothing.

        Raises
        ------
        FileError, InputError, ConfigError, DeviceError
            The file cannot be read or denoised.
        """
        digest = _digest(path, request)
        for finished in _finished(path, request):
            if finished["digest"] == digest:
                return cls(path, request, digest, Cut.from_record(finished["cut"]))
        work = _work_folder(path, request, digest)
        found = read_record(work / "plan.json") or read_record(_shared(work))
        if found is not None:
            return cls(path, request, digest, Cut.from_record(found))
        cut = Cut.of(path, request)
        if is_shared:
            with contextlib.suppress(OSError, FileError):  # what one does not find, it finds out itself
                work.parent.mkdir(parents=True, exist_ok=True)
                write_record(_shared(work), asdict(cut))
        return cls(path, request, digest, cut)

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process gets: the pieces are many, and it is told its own."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @property
    def output(self) -> Path:
        """File of the result."""
        return self.request.folder / self.cut.output

    @property
    def record(self) -> Path:
        """Record of the result; once it is there, the file is done."""
        return self.output.with_name(f"{self.output.name}.json")

    @functools.cached_property
    def work(self) -> Path:
        """Folder for the pieces, until the file is done."""
        return _work_folder(self.path, self.request, self.digest)

    @functools.cached_property
    def layout(self) -> Layout:
        """Meaning of the axes."""
        layout = Layout.of(self.cut.shape, self.cut.axes, self.request.config.z_axis)
        return replace(layout, is_joint=self.cut.is_joint)

    @functools.cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """The pieces."""
        tiles = self.request.config.tiles
        division = Division.of(self.layout, self.cut.shape, tiles.size, tiles.overlap)
        return pieces_of(division, self.layout, self.cut.shape, self.cut.n_together, self.request.config)

    @property
    def config(self) -> Config:
        """Settings of a piece: what was decided for the whole file is no longer automatic."""
        is_joint = self.cut.n_together > 0 and not has_chains(self.request.config)
        fit, channels = ("joint" if each else "separate" for each in (is_joint, self.cut.is_joint))
        decided = {"tiles.size": "whole", "dtype": self.cut.dtype_setting, "frames.fit": fit, "channels": channels}
        return self.request.config.replace(decided)

    def part_of(self, number: int, piece: Piece) -> PartOfStack | None:
        """Return what is read of a piece, by its number, if it is a group of frames; ``None`` if it is a frame or a tile of one."""
        if not self.cut.n_together:
            return None
        shape, counted = self.cut.shape, self.layout.frame_axes()
        axis, distance = neighbor_axis(self.layout, shape)
        starts = [each.start if isinstance(each, slice) else each for each in piece.window]
        first = int(np.ravel_multi_index([starts[each] for each in counted], [shape[each] for each in counted]))
        place = sum(isinstance(each, slice) for each in piece.window[:axis])
        own: slice = piece.inside[place]  # type: ignore[assignment]
        n_tiles = self.cut.n_tiles
        return PartOfStack(
            axis=place,
            own=range(own.start, own.stop),
            first=first * n_tiles + number % n_tiles,
            step=distance * n_tiles,
            n_tiles=n_tiles,
        )

    def window_of(self, image: Image, piece: Piece) -> Image:
        """Return what is read of a piece, as an image of its own."""
        kept = [axis for axis, each in enumerate(piece.window) if isinstance(each, slice)]
        scale = None if image.scale is None else tuple(image.scale[axis] for axis in kept)
        units = None if image.units is None else tuple(image.units[axis] for axis in kept)
        letters = self.layout.letters_of_part(kept)
        return replace(image, data=np.asarray(image.data[piece.window]), axes=letters, scale=scale, units=units)

    def values_of(self, number: int) -> Path:
        """Return the file of a piece's values."""
        return self.work / f"{number:06}.npy"

    def record_of(self, number: int) -> Path:
        """Return the file of a piece's record."""
        return self.work / f"{number:06}.json"

    @property
    def unwritten(self) -> Path:
        """Record of why the output could not be written, of pieces that are all done."""
        return self.work / "output.json"

    @property
    def replaced(self) -> Path:
        """Record of the output of another plan that this one replaces: a run that goes on need not be asked again."""
        return self.work / "replaced.json"

    @property
    def is_done(self) -> bool:
        """True if the output is there, and of this plan."""
        record = read_head(self.record)
        return record is not None and self._is_own(record) and self.output.exists()

    def _is_own(self, record: Mapping[str, Any]) -> bool:
        """Return True if a record is of this plan, and not of another input that looks alike."""
        return record.get("digest") == self.digest and not is_another(record["input"], self.path)

    def ended(self) -> dict[int, Ended]:
        """Return what the records say of the pieces that have any, by their number."""
        return self._ended.read()

    @functools.cached_property
    def _ended(self) -> EndedPieces:
        return EndedPieces(self.work)

    def statuses(self) -> dict[int, str]:
        """Return the status of the pieces that have ended, by their number."""
        return {number: ended.status for number, ended in self.ended().items()}

    def begin(self, works: Works | None = None, *, retries_failed: bool = False) -> None:
        """Make the folder for the pieces; remove what is there of other plans, and of pieces that failed if these are tried again.

        Parameters
        ----------
        works
            Folders for pieces, from `works_in`; listed if ``None``, the default. With many files, list them once.
        retries_failed
            True to try pieces that failed again; by default False.
        """
        others = self.others(works)
        while not self.work.is_dir():
            with contextlib.suppress(
                FileNotFoundError
            ):  # another batch has just removed the folder around it, which was empty
                self.work.mkdir(parents=True, exist_ok=True)
        write_record(self.work / "plan.json", asdict(self.cut))
        if self.output in others:
            write_record(self.replaced, {"state": _state_of_output(self.output)})
        for other in others:
            if other in (self.output, self.record):
                self.record.unlink(missing_ok=True)
            else:
                shutil.rmtree(other, ignore_errors=True)
        if retries_failed:
            for number, status in self.statuses().items():
                if status == FAILED:
                    self.record_of(number).unlink(missing_ok=True)

    def others(self, works: Works | None = None) -> list[Path]:
        """Return what is there in the way of the output: of other settings, of another input, or a file that is not of a batch.

        Parameters
        ----------
        works
            Folders for pieces, from `works_in`; listed if ``None``, the default. With many files, list them once.
        """
        # Another process that is ready writes the record, and then removes the pieces: these are looked at first.
        is_ready = count(self.statuses())[0] == self.cut.n_pieces
        record = read_head(self.record)
        is_own = is_ready if record is None else self._is_own(record)
        works = works_in(self.request.folder) if works is None else works
        others = [each for each in works.get(_work_name(self.path), ()) if each != self.work]
        is_foreign = record is not None and not record.keys() >= RECORDED
        is_in_the_way = self.output.exists() and not is_own and not self._may_replace
        return others + [self.record] * is_foreign + [self.output] * is_in_the_way

    @property
    def _may_replace(self) -> bool:
        """True if a run that was ended has begun to replace the output, which was asked for and is still the same."""
        begun = read_record(self.replaced)
        return begun is not None and begun["state"] == _state_of_output(self.output)


def works_in(folder: Path) -> Works:
    """Return the folders for pieces that are in the folder for the outputs, by the name of the file, whatever was asked of it."""
    works: dict[str, list[Path]] = {}
    with contextlib.suppress(FileNotFoundError):
        for each in sorted((folder / WORK).iterdir()):
            name, _, digest = each.name.rpartition("-")
            if len(digest) == N_DIGITS:
                works.setdefault(name, []).append(each)
    return works


def count(statuses: Mapping[int, str]) -> tuple[int, int]:
    """Return the number of pieces that are done, and that failed."""
    values = list(statuses.values())
    return values.count(DONE), values.count(FAILED)


def remove_shared(folder: Path, paths: Iterable[Path]) -> None:
    """Remove the plans of files that were written for other batches, of any settings, from the folder for the outputs."""
    names = set(map(_work_name, paths))
    n_behind = len(_shared(Path("-" + "0" * N_DIGITS)).name)
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(folder / WORK):
            if name.endswith(".json") and name[:-n_behind] in names:
                (folder / WORK / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # it is not empty
        (folder / WORK).rmdir()


def _shared(work: Path) -> Path:
    """Return the file of a plan for other batches, beside the folder for its pieces."""
    return work.with_name(f"{work.name}.json")


def _state_of_output(output: Path) -> str:
    """Return a hash of what changes when an output does."""
    return hash_values(state_of(output))


def _digest(path: Path, request: Request) -> str:
    asked = {"axes": request.axes, "series": request.series, "config": request.config.model_dump()}
    return hash_values({"input": state_of_image(path, request.folder), **asked, "version": __version__})


def _work_folder(path: Path, request: Request, digest: str) -> Path:
    return request.folder / WORK / f"{_work_name(path)}-{digest[:N_DIGITS]}"


def _work_name(path: Path) -> str:
    """Return what the folders for the pieces of a file have in common, whatever is asked of it."""
    return stem_of(path) if split_place(path)[1] else path.name


def _finished(path: Path, request: Request) -> Iterator[dict[str, Any]]:
    """Yield the records of outputs that may be those of a file."""
    for each in FORMATS:
        record = read_head(request.folder / f"{stem_of(path)}{each.suffixes[0]}.json")
        if record is not None and record.keys() >= RECORDED:
            yield record
