"""Reconstruct an image: the verb under the Python function."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_convgen.config import Config, DownsamplingConfig, IdentityConfig
from napari_convgen.core.consistency import choose_rho, make_consistent
from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.image import ArrayLike, Image, removed
from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.snapshot import Outcome, Units, n_snapshots
from napari_convgen.core.stopping import Iterate
from napari_convgen.errors import FitError
from napari_convgen.run.denoise.progress import DenoiseProgress
from napari_convgen.run.reconstruct.inputs import choose_config, prepare
from napari_convgen.run.reconstruct.result import ReconstructResult
from napari_convgen.run.reconstruct.units import ReconstructionUnits
from napari_convgen.run.setup.build import random_source
from napari_convgen.run.setup.fits import denoising_fit, start_fit
from napari_convgen.run.setup.forecast import Forecast, check_memory, free_bytes, seconds_per_step
from napari_convgen.run.setup.guides import guide_seconds
from napari_convgen.run.task import Task

NORM_SOURCE = 1_000_000
"""Number of the source of chance for the operator's norm; the generators have those before."""

ALL_HELD = (
    "Nothing of the measurement was held out, so nothing tells how far the image may be from the generator's: it is the generator's. "
    "Choose stopping.kind = 'auto' or 'held-out' for one that agrees with the measurement better."
)


@dataclass(frozen=True, eq=False)
class _Ended:
    """A fit that has ended: its images in the generator's units, and what there is to report."""

    image: Tensor
    generator_image: Tensor
    rho: float
    seed: int
    report: dict[str, Any]


class ReconstructTask(Task[DenoiseProgress, ReconstructResult]):
    """Reconstruct an image from what was measured of it.

    A generator is fitted through the operator to the measurement, stopped by entries that were held out, and its image moved to where it
    agrees with the measurement, as far as those entries ask for it.

    Parameters
    ----------
    image, config, problem, axes, is_missing, psf
        As for `reconstruct`.
    changes
        New settings by dotted name, in the place of the configuration's.
    n_spared_threads
        Number of threads that ``n_threads = "auto"`` leaves to others, such as a window; default 0.

    Raises
    ------
    InputError, ConfigError, DeviceError, ShortMemoryError
        What cannot be run, in a sentence.
    """

    def __init__(
        self,
        image: ArrayLike | Image,
        config: Config | str | None = None,
        *,
        problem: str,
        axes: str | None = None,
        is_missing: ArrayLike | None = None,
        psf: ArrayLike | None = None,
        changes: dict[str, Any] | None = None,
        n_spared_threads: int = 0,
    ) -> None:
        chosen = choose_config(problem, config, changes or {})
        prepared, spread = prepare(image, chosen, axes, is_missing, psf, n_spared_threads)
        super().__init__(prepared)
        check_memory(self.n_bytes, self.device)
        self._scaled = prepared.scaled(0)
        self._units: Units = self._scaled
        if not isinstance(chosen.operator, IdentityConfig):
            self._units = ReconstructionUnits(self._scaled, ... if spread is None else spread.field_of_view)
        self._notes = list(spread.notes if spread is not None else ())
        self._seed = self.config.seed
        self._fit: Fit | None = None
        self._ended: _Ended | None = None
        self._n_steps_taken = 0
        self._guide_seconds = 0.0

    @property
    def has_result(self) -> bool:
        """True once the fit has ended."""
        return self._ended is not None

    @property
    def n_bytes(self) -> int:
        """Bytes at the peak, about: the fit, the snapshots that are kept, and the result."""
        prepared, config = self.prepared, self.config
        n_values = math.prod(prepared.image_size) * prepared.n_outputs
        snapshot = n_values * (8 + 4 * (config.n_seeds > 1))
        n = n_snapshots(config.n_steps)
        kept = max(min(2, n) * snapshot, min(config.snapshot_memory * 2**20, n * snapshot))  # two are never let go
        return prepared.generator_bytes() + int(kept) + 8 * n_values

    def forecast(self) -> Forecast:
        """Predict memory and time: a few steps are taken, timed and forgotten."""
        prepared, n_free, config = self.prepared, free_bytes(self.device), self.config
        fit = denoising_fit(prepared, self._scaled, config.seed, config.n_seeds, has_guides=False, units=self._units)
        return Forecast(
            n_bytes=self.n_bytes,
            n_bytes_free=n_free,
            seconds_per_step=seconds_per_step(fit, self.n_threads),
            seconds_before=guide_seconds(self._scaled, prepared.layout, fit, self.device),
            n_frames=1,
            n_steps=config.n_steps,
            device=str(self.device),
            backend=prepared.backend,
            n_threads=self.n_threads,
            noise=self._scaled.noise,
        )

    def result(self) -> ReconstructResult:
        """Return the reconstruction.

        Raises
        ------
        FitError
            The fit has not ended.
        """
        if self._ended is None:
            raise FitError("Nothing has been reconstructed yet. Go through the run first; stop() ends it early.")
        ended, prepared = self._ended, self.prepared
        image, generator_image = (self._restored(each) for each in (ended.image, ended.generator_image))
        return ReconstructResult(
            image=image,
            generator_image=generator_image,
            rho=ended.rho,
            residual=self._residual(ended.image, image),
            config=self.config,
            seed=ended.seed,
            notes=tuple(self._all_notes()),
            pixel_ratio=self._pixel_ratio(),
            layout=prepared.layout,
            input=self.image,
            device=str(self.device),
            n_threads=self.n_threads,
            backend=prepared.backend,
            seconds=self._seconds,
            **ended.report,
        )

    def _advance(self) -> Iterator[DenoiseProgress]:
        while self._ended is None and not (self._is_stopping and self._fit is None):
            if self._fit is None:
                self._fit = yield from self._start()
            yield from self._take_steps(self._fit)
            self._finish(self._fit)

    def _let_go(self) -> None:
        self._fit = None

    def _start(self) -> Generator[DenoiseProgress, None, Fit]:
        """Return the fit at its start, after the estimates that guide it, if any do."""
        stages = start_fit(
            self.prepared,
            self._scaled,
            self._seed,
            self.config.n_seeds,
            is_stopping=lambda: self._is_stopping,
            units=self._units,
        )
        while True:
            started = time.perf_counter()
            try:
                stage = next(stages)
            except StopIteration as end:
                fit: Fit = end.value
                return fit
            finally:
                seconds = time.perf_counter() - started
                self._seconds, self._guide_seconds = self._seconds + seconds, self._guide_seconds + seconds
            yield self._progress(guide_share=stage.share)

    def _take_steps(self, fit: Fit) -> Iterator[DenoiseProgress]:
        """Advance the fit to its end, with a progress at snapshots and now and then."""
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
                step=iterate.step,
                losses=tuple(fit.curves.loss[n_reported:]),
                criteria=tuple(fit.curves.criterion[n_reported:]),
                snapshot=fit.snapshots.get(iterate.step),
                kept_step=fit.kept_step,
                n_steps_taken=self._n_steps_taken + iterate.step - n_before,
            )
            n_reported = len(fit.curves.loss)
        self._n_steps_taken += fit.step - n_before

    def _progress(self, **state: Any) -> DenoiseProgress:
        share = 1.0 if self.config.generator.has_guide else None
        known = {"n_steps": self.config.n_steps, "n_steps_taken": self._n_steps_taken, "guide_share": share}
        place = {"frame": 0, "n_frames": 1, "seed": self._seed}
        seconds = {"seconds": self._seconds, "guide_seconds": self._guide_seconds}
        return DenoiseProgress(**place | seconds | known | state)

    def _finish(self, fit: Fit) -> None:
        """Keep the result of a fit that has ended, or let another start take its place if it failed and there are some left."""
        reason, judgment = fit.reason, fit.judgment
        assert reason is not None
        if reason.outcome in (Outcome.DIVERGED, Outcome.COLLAPSED):
            if self._seed - self.config.seed < self.config.n_restarts and not self._is_stopping:
                self._seed += 1
                self._notes.append(f"{reason} It was started afresh with seed {self._seed}.")
                self._fit = None
                return
            if judgment is None or not len(fit.snapshots):
                raise FitError(f"{reason} So did every other start. Lower optimizer.learning_rate.")
            self._notes.append(
                f"{reason} No start was left; step {fit.kept_step} is kept. Lower optimizer.learning_rate."
            )
        self._notes += () if judgment is None else judgment.warnings
        started = time.perf_counter()
        report = {
            "step": fit.kept_step,
            "reason": reason,
            "loss": tuple(fit.curves.loss),
            "criterion": tuple(fit.curves.criterion),
            "snapshots": tuple(fit.snapshots),
        }
        self._ended = _Ended(*self._consistent(fit), self._seed, report)
        self._fit = None
        self._seconds += time.perf_counter() - started

    def _consistent(self, fit: Fit) -> tuple[Tensor, Tensor, float]:
        """Return the image that agrees with the measurement, the generator's, and rho: of the step that is kept, taken once more."""
        problem, members, output = fit.problem, fit.members, self.config.output
        fit.go_back(fit.kept_step)
        fit.extend(1)
        iterate = next(iter(fit))
        image = iterate.image(output)
        kept = list(iterate.kept)
        seen = members.weights[kept]
        operator = problem.forward_model
        if not isinstance(operator, LinearMap) or not (problem.weights * (seen == 0)).flatten(1).any(1).all():
            self._notes.append(ALL_HELD)
            return image, image, math.inf
        norm = operator.norm(problem.weights, random_source(self.config.seed, NORM_SOURCE))
        rho = choose_rho(problem, iterate.kept_images(output), seen, norm)
        return make_consistent(problem, image, rho), image, rho / norm**2

    def _restored(self, image: Tensor) -> NDArray[Any]:
        return self._units.restore(image.cpu().numpy())

    def _residual(self, values: Tensor, image: NDArray[Any]) -> NDArray[np.float32]:
        if not isinstance(self._units, ReconstructionUnits):
            return -removed(self.image, image)
        problem = self.prepared.problem(self._scaled)
        residual = torch.where(problem.weights > 0, problem.residual(values), torch.nan)
        return self._units.residual(residual.cpu().numpy())

    def _pixel_ratio(self) -> tuple[int, ...]:
        is_enlarged = isinstance(self.config.operator, DownsamplingConfig)
        sizes = zip(self.prepared.image_size, self.prepared.size, strict=True)
        return tuple(large // n if is_enlarged else 1 for large, n in sizes)

    def _all_notes(self) -> Iterator[str]:
        yield from self.prepared.backend_notes
        left_out = self.prepared.check(0).left_out
        yield from replace(left_out, n_filled=Counter()).sentences()
        if n_filled := left_out.n_filled.total():
            kept = "unchanged" if self._units is self._scaled else "filled in"
            yield (
                f"{n_filled} pixels in large areas of one exact value were taken for a mask or padding: they were left out of the fit and "
                f"are {kept}."
            )
        yield from self._notes


def reconstruct(
    image: ArrayLike | Image,
    config: Config | str | None = None,
    *,
    problem: str,
    axes: str | None = None,
    is_missing: ArrayLike | None = None,
    psf: ArrayLike | None = None,
    sigma: float | None = None,
    factor: int | None = None,
    seed: int | None = None,
    device: str | None = None,
    n_steps: int | None = None,
    callback: Callable[[DenoiseProgress], None] | None = None,
) -> ReconstructResult:
    """Reconstruct an image from what was measured of it: fill in missing pixels, deblur, or enlarge.

    Parameters
    ----------
    image
        Measured image, a single frame; NaN marks missing pixels.
    config
        Configuration, or name of a preset; ``None``, the default, for ``"deep-decoder"``. To fill in pixels of a noisy image, ``"default"``
        can be better. Unless pixels are filled in, the noise is taken to be the same everywhere (``noise.kind = "gaussian"``).
    problem
        Name of the problem: ``"inpaint"``, ``"deblur"`` or ``"enlarge"``.
    axes
        One letter for each axis of ``image``; guessed if ``None``.
    is_missing
        Mask of the pixels to fill in, in the shape of the image without its channels; not zero where they are. ``None`` takes NaN.
    psf
        Point spread function over the spatial axes, for ``"deblur"``; ``None`` for a Gaussian one.
    sigma
        Standard deviation of the Gaussian point spread function, in pixels; that of the configuration if ``None``.
    factor
        Enlargement along each axis, at least 2; that of the configuration if ``None``.
    seed, device, n_steps
        Seed, device, and steps at most, in the place of the configuration's; ``None`` leaves them.
    callback
        Function that is called with each `DenoiseProgress`, every 50 ms and at each snapshot.

    Returns
    -------
    ReconstructResult
        Reconstructed image, with the generator's, the step, the reason, snapshots and the configuration.

    Raises
    ------
    InputError, ConfigError, DeviceError
        What cannot be run, in a sentence, before anything starts.
    """
    changes = {
        "seed": seed,
        "device": device,
        "n_steps": n_steps,
        "operator.sigma": sigma,
        "operator.factor": factor,
    }
    task = ReconstructTask(image, config, problem=problem, axes=axes, is_missing=is_missing, psf=psf, changes=changes)
    return task.finish(callback)
