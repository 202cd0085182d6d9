"""What the verbs have in common that fit generators: the start of a fit, its steps, and another start for one that failed."""

from __future__ import annotations

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
from napari_convgen.run.setup.fits import denoising_fit, start_fit
from napari_convgen.run.setup.forecast import Forecast, check_memory, free_bytes, seconds_per_step
from napari_convgen.run.setup.guides import guide_seconds
from napari_convgen.run.setup.prepared import Prepared
from napari_convgen.run.task import ResultT, Task

STOPPED_BEFORE = "Stopped before the estimates that guide the fit were finished."
"""Note on a fit that starts from what there was of its guides."""


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
        check_memory(n_bytes, self.device)
        self.n_bytes = n_bytes
        self._notes: list[str] = []
        self._n_steps_taken = 0
        self._guide: tuple[ImageTensor, NDArray[Any]] | None = None
        self._guide_seconds = 0.0

    @property
    def n_frames(self) -> int:
        """Number of frames that the task goes through."""
        return self.prepared.n_frames

    def _forecast(self, image: ImageTensor, units: Units | None = None) -> Forecast:
        """Predict memory and time: a few steps of a frame's fit are taken, timed and forgotten."""
        prepared, config, n_free = self.prepared, self.config, free_bytes(self.device)
        fit = denoising_fit(prepared, image, config.seed, config.n_seeds, has_guides=False, units=units)
        return Forecast(
            n_bytes=self.n_bytes,
            n_bytes_free=n_free,
            seconds_per_step=seconds_per_step(fit, self.n_threads),
            seconds_before=guide_seconds(image, prepared.layout, fit, self.device, config.generator.is_plug_and_play),
            n_frames=prepared.n_frames_to_fit,
            n_steps=config.n_steps,
            device=str(self.device),
            backend=prepared.backend,
            n_threads=self.n_threads,
            noise=image.noise,
        )

    def _start(
        self, number: int, image: ImageTensor, seed: int, units: Units | None = None
    ) -> Generator[DenoiseProgress, None, Fit]:
        """Return the fit of a frame at its start, after the estimates that guide it."""
        n_seeds, is_guided, share = self.config.n_seeds, self.config.generator.has_guide, 0.0
        stages = start_fit(self.prepared, image, seed, n_seeds, is_stopping=lambda: self._is_stopping, units=units)
        while True:
            started = time.perf_counter()
            try:
                stage = next(stages)
            except StopIteration as end:
                self._guide = None
                self._notes += [STOPPED_BEFORE] * (is_guided and share < 1)
                fit: Fit = end.value
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
        share = 1.0 if self.config.generator.has_guide else None
        known = {"n_steps": self.config.n_steps, "n_steps_taken": self._n_steps_taken, "guide_share": share}
        place = {"frame": number, "n_frames": self.n_frames, "seed": seed}
        seconds = {"seconds": self._seconds, "guide_seconds": self._guide_seconds}
        return DenoiseProgress(**place | seconds | known | state)

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


def peak_bytes(prepared: Prepared, n_values: int, itemsize: int) -> int:
    """Return about how many bytes a task takes at its peak: a fit, the snapshots that are kept, and the result.

    Parameters
    ----------
    prepared
        The checked input.
    n_values
        Number of values of the result.
    itemsize
        Bytes of each.
    """
    config = prepared.config
    snapshot = n_values * (2 * itemsize + 4 * (config.n_seeds > 1))
    n = n_snapshots(config.n_steps)
    kept = max(min(2, n) * snapshot, min(config.snapshot_memory * 2**20, n * snapshot))  # two are never let go
    return prepared.generator_bytes() + int(kept) + n_values * itemsize
