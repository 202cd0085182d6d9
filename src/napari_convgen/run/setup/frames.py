"""The frames of an array, or their tiles: read, checked, and what of them was measured."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_convgen.config import TilesConfig
from napari_convgen.core.image import (
    ArrayLike,
    Division,
    FrameCheck,
    Layout,
    LeftOut,
    Measured,
    check_frame,
    check_kind,
    is_doubtful,
    refuse_constant,
)
from napari_convgen.errors import InputError
from napari_convgen.run.setup.forecast import CROP, check_memory

MEASURED_BYTES = 9
"""Bytes of a value that is looked at: float64, and whether it was measured."""


class Frames:
    """An array as a sequence of frames, or of their tiles; each is read when its turn comes, and checked once.

    Parameters
    ----------
    image
        The array.
    layout
        Meaning of its axes.
    tiles
        Size of tiles; ``None`` for whole frames.

    Attributes
    ----------
    image, layout
        The array, and the meaning of its axes.
    pieces, n_tiles
        The frames or, if these are cut, their tiles, for which all holds that is said of a frame; and number of tiles of a frame.
    size
        Number of pixels along each spatial axis of a frame.

    Raises
    ------
    InputError
        Values that cannot be fitted.
    ShortMemoryError
        Fewer bytes are free than a frame takes to look at.
    """

    def __init__(self, image: ArrayLike, layout: Layout, tiles: TilesConfig | None = None) -> None:
        self.image, self._tiles = image, tiles
        self._divide(layout)

    def _divide(self, layout: Layout) -> None:
        """Divide the array into the frames of a layout, or their tiles, and check them; what was read before is forgotten."""
        self.layout, tiles = layout, self._tiles
        size, overlap = ("whole", 0) if tiles is None else (tiles.size, tiles.overlap)
        division = Division.of(layout, self.image.shape, size, overlap)
        self.pieces, self.n_tiles, self.size = division.pieces, division.n_tiles, division.size
        self._checks: dict[int, FrameCheck] = {}
        self._latest: tuple[int, NDArray[Any]] | None = None
        self._measured: tuple[int, Measured] | None = None
        self._fitted: tuple[int, Measured] | None = None
        n_values = math.prod(self.size) * layout.n_channels(self.image.shape)
        check_memory(MEASURED_BYTES * n_values, torch.device("cpu"), self.memory_advice)
        self._check_values()

    @property
    def memory_advice(self) -> str:
        """Sentence on how to need less memory."""
        return f"{CROP}."

    @property
    def n_frames(self) -> int:
        """Number of frames, or of all tiles of all frames."""
        return len(self.pieces)

    def frame(self, number: int) -> NDArray[Any]:
        """Return the values of a frame, checked; the latest is remembered, so that a lazy array computes each once.

        Raises
        ------
        InputError
            Infinite values.
        """
        if self._latest is None or self._latest[0] != number:
            frame = np.asarray(self.image[(window := self.pieces[number].window)])
            if number not in self._checks:
                self._checks[number], measured = check_frame(frame, window, self.layout)
                self._measured = number, measured
            if isinstance(self.image, np.ndarray):
                return frame
            self._latest = number, frame
        return self._latest[1]

    def unfitted(self, number: int) -> NDArray[Any]:
        """Return what is kept of a frame as it is, or zero if a lazy array that failed cannot compute it."""
        piece = self.pieces[number]
        try:
            return self.frame(number)[piece.inside]
        except InputError:
            return np.asarray(self.image[piece.index])
        except Exception:
            return np.zeros((), np.dtype(self.image.dtype))

    def check(self, number: int) -> FrameCheck:
        """Return what a look at a frame found; it is read if it has not been read yet."""
        if number not in self._checks:
            self.frame(number)
        return self._checks[number]

    @property
    def n_frames_to_fit(self) -> int:
        """Number of frames, without those that are known to be constant."""
        return self.n_frames - sum(check.is_constant for check in self._checks.values())

    def measured(self, number: int) -> Measured:
        """Return what of a frame was measured; the latest is remembered."""
        if self._fitted is None or self._fitted[0] != number:
            frame = self.frame(number)
            if self._measured is None or self._measured[0] != number:
                self._measured = number, Measured.of(frame, self.layout)
            self._fitted = number, self._fitted_part(number, self._measured[1])
        return self._fitted[1]

    def _fitted_part(self, number: int, measured: Measured) -> Measured:
        """Return what is fitted of what was measured: here all."""
        return measured

    def first_frame(self) -> int:
        """Return the number of the first frame that is not constant."""
        return next(number for number in range(self.n_frames) if not self.check(number).is_constant)

    def look_notes(self) -> Iterator[str]:
        """Say what is left out of the frames that were read and are not constant, and what they look like."""
        checks = [check for check in self._checks.values() if not check.is_constant]
        yield from LeftOut.sum([check.left_out for check in checks]).sentences()
        yield from dict.fromkeys(note for check in checks for note in check.notes)

    def _check_values(self) -> None:
        """Check the frames up to the first with something to fit, and of an array in memory those that could be refused."""
        check_kind(self.image, self.layout)
        if all(self.check(number).is_constant for number in range(self.n_frames)):
            refuse_constant([self._checks[number] for number in range(self.n_frames)])
        if type(self.image) is np.ndarray:
            for number, piece in enumerate(self.pieces):
                if number not in self._checks and is_doubtful(self.image[piece.window]):
                    self.check(number)
