"""What the verbs have in common that fit generators: the start of a fit, its steps, and another start for one that failed."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Sequence
from typing import Any

from numpy.typing import NDArray

from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.image import ImageTensor
from napari_convgen.core.snapshot import Outcome, StopReason, Units, n_snapshots
from napari_convgen.core.stopping import Iterate
from napari_convgen.errors import FitError
from napari_convgen.run.denoise.progress import DenoiseProgress
from napari_convgen.run.setup.build import generator_entry
from napari_convgen.run.setup.fits import denoising_fit, start_fit
from napari_convgen.run.setup.forecast import Forecast, check_memory, free_bytes, time_step
from napari_convgen.run.setup.groups import FrameGroup, FrameGroups, fits_networks, n_steps_of
from napari_convgen.run.setup.guides import GUIDE_BYTES
from napari_convgen.run.setup.prepared import Prepared
from napari_convgen.run.task import ResultT, Task

STOPPED_BEFORE = "Stopped before the first estimate was finished."
"""Note on a fit that starts from what there was of its guides."""


HELD = 2.3
"""Memory that a fit on the CPU holds, relative to what is in use, where tensors of many sizes are made anew in each step: the C library
seldom uses what was freed whole again. About that in benchmarks/large.py, part growth."""


class FitTask(Task[DenoiseProgress, ResultT]):
    """A task that fits generators to frames, one after another.

    Parameters
    ----------
    prepared
        The checked input.
    n_bytes
        Bytes at the peak, about: the fit, the snapshots that are kept, and the result.

    Raises
    ------
    ShortMemoryError
        Fewer bytes are free.
    """

    def __init__(self, prepared: Prepared, n_bytes: int) -> None:
        super().__init__(prepared)
        check_memory(n_bytes, self.device, prepared.memory_advice)
        self.n_bytes = n_bytes
        self._notes: list[str] = []
        self._n_steps = n_steps_of(prepared)
        self._n_steps_taken = 0
        self._guide: tuple[ImageTensor, NDArray[Any]] | None = None
        self._guide_seconds = 0.0

    @property
    def n_pieces(self) -> int:
        """Number of frames, or tiles of them, that the task goes through."""
        return len(self.prepared.pieces)

    def _forecast(self, image: ImageTensor, units: Units | None = None, groups: FrameGroups | None = None) -> Forecast:
        """Predict memory and time: a few steps of a frame's fit are taken, timed and forgotten."""
        prepared, config, n_free = self.prepared, self.config, free_bytes(self.device)
        fit = denoising_fit(prepared, image, config.seed, config.n_seeds, has_guides=False, units=units)
        return Forecast(
            n_bytes=self.n_bytes,
            n_bytes_free=n_free,
            step=time_step(fit, self.n_threads),
            before=(groups or prepared).time_guides(image, fit),
            n_frames=prepared.n_frames_to_fit,
            has_tiles=prepared.n_tiles > 1,
            n_sharing=groups.n_sharing if groups else 1,
            n_steps=fit.n_steps,
            device=str(self.device),
            backend=prepared.backend,
            n_threads=self.n_threads,
            noise=image.noise,
        )

    def _start(
        self, number: int, image: ImageTensor, seed: int, units: Units | None = None, group: FrameGroup | None = None
    ) -> Generator[DenoiseProgress, None, Fit]:
        """Return the fit of a frame at its start, after the estimates that guide it."""
        n_seeds, is_guided, share = self.config.n_seeds, self.config.generator.has_guide, 0.0
        stages = start_fit(
            self.prepared,
            image,
            seed,
            n_seeds,
            is_stopping=lambda: self._is_stopping,
            units=units,
            number=number,
            group=group,
        )
        while True:
            started = time.perf_counter()
            try:
                stage = next(stages)
            except StopIteration as end:
                self._guide = None
                self._notes += [STOPPED_BEFORE] * (is_guided and share < 1)
                fit: Fit = end.value
                self._add_notes(fit.guide_notes)
                return fit
            finally:
                seconds = (time.perf_counter() - started) * is_guided
                self._seconds, self._guide_seconds = self._seconds + seconds, self._guide_seconds + seconds
            self._guide, share = (image, stage.image), stage.share
            yield self._progress(number, seed, guide_share=share)

    def _take_steps(self, fit: Fit, number: int, seed: int) -> Iterator[DenoiseProgress]:
        """Advance a fit to its end, with a progress at snapshots and now and then."""
        n_reported = n_before = len(fit.curves.loss)
        if self._is_stopping:
            fit.stop()

        def is_due(iterate: Iterate) -> bool:
            if self._is_stopping:
                fit.stop()
            return iterate.is_snapshot

        for iterate in self._paced(iter(fit), is_due):
            fit.curves.fetch()
            yield self._progress(
                number,
                seed,
                step=iterate.step,
                n_steps=fit.n_steps,
                losses=tuple(fit.curves.loss[n_reported:]),
                criteria=tuple(fit.curves.criterion[n_reported:]),
                snapshot=fit.snapshots.get(iterate.step),
                kept_step=fit.kept_step,
                n_steps_taken=self._n_steps_taken + iterate.step - n_before,
            )
            n_reported = len(fit.curves.loss)
        self._n_steps_taken += fit.step - n_before

    def _progress(self, number: int, seed: int, **state: Any) -> DenoiseProgress:
        """Return the progress of a frame's fit: before its first step, or with the state of the fit."""
        generator = self.config.generator
        guide = {"guide_share": 1.0 if generator.has_guide else None, "guide_steps": generator.guide_steps}
        known = {"n_steps": self._n_steps, "n_steps_taken": self._n_steps_taken}
        n_tiles = self.prepared.n_tiles
        frame, tile = divmod(number, n_tiles)
        place = {"frame": frame, "n_frames": self.n_pieces // n_tiles, "tile": tile, "n_tiles": n_tiles, "seed": seed}
        seconds = {"seconds": self._seconds, "guide_seconds": self._guide_seconds}
        return DenoiseProgress(**place | seconds | known | guide | state)

    def _is_to_start_afresh(self, fit: Fit, reason: StopReason, seed: int) -> bool:
        """Return True if a fit failed and another start, with the next seed, takes its place; note what becomes of it.

        Raises
        ------
        FitError
            It failed without a snapshot, and no start is left.
        """
        if reason.outcome not in (Outcome.DIVERGED, Outcome.COLLAPSED):
            return False
        if seed - self.config.seed < self.config.n_restarts and not (self._is_stopping or fit.is_extended):
            self._notes.append(f"{reason} It was started afresh with seed {seed + 1}.")
            return True
        if not len(fit.snapshots):
            raise FitError(f"{reason} So did every other start. Lower optimizer.learning_rate.")
        self._notes.append(f"{reason} No start was left; step {fit.kept_step} is kept. Lower optimizer.learning_rate.")
        return False

    def _add_notes(self, notes: Sequence[str]) -> None:
        """Add notes that are not among those that there are."""
        self._notes += [note for note in notes if note not in self._notes]


def peak_bytes(
    prepared: Prepared, n_values: int, itemsize: int, n_fits: int = 1, *, keeps_snapshots: bool = True
) -> int:
    """Return about how many bytes a task takes at its peak: a fit, the snapshots that are kept, and the result.

    The fit is that of a frame or, if it is cut, of a tile with the pixels around it.

    Parameters
    ----------
    prepared
        The checked input.
    n_values
        Number of values of the result.
    itemsize
        Bytes of each.
    n_fits
        Number of fits, each of a frame or a tile, that the values are of; default 1.
    keeps_snapshots
        True, the default, if snapshots of all steps are kept, within their bound; False for two of each fit that has ended.
    """
    config = prepared.config
    n, bound = n_snapshots(n_steps_of(prepared)), config.snapshot_memory * 2**20
    snapshots = n_values * (2 * itemsize + 4 * (config.n_seeds > 1))  # of all frames
    under_way = min(bound, n * snapshots / n_fits)
    kept = max(min(2, n) * snapshots, min(bound, n * snapshots) if keeps_snapshots else under_way)
    fit = 0 if config.generator.is_guide_alone or not fits_networks(prepared) else prepared.generator_bytes()
    if generator_entry(config).network.makes_tensors_anew and prepared.device.type == "cpu":
        fit = int(HELD * fit)
    guides = GUIDE_BYTES * math.prod(prepared.image_size) * prepared.n_outputs * config.generator.has_guide
    return max(fit, guides) + int(kept) + n_values * itemsize
