"""Reconstruct an image: the verb under the Python function."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from napari_convgen.config import Config
from napari_convgen.core.consistency import choose_rho, make_consistent
from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.snapshot import Snapshot
from napari_convgen.errors import FitError, InputError
from napari_convgen.run.denoise.progress import DenoiseProgress
from napari_convgen.run.fit_task import FitTask, peak_bytes
from napari_convgen.run.reconstruct.inputs import pose_problem
from napari_convgen.run.reconstruct.result import ReconstructResult
from napari_convgen.run.setup.build import random_source
from napari_convgen.run.setup.forecast import Forecast
from napari_convgen.run.setup.inputs import ImageLike, check_reference

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


class ReconstructTask(FitTask[ReconstructResult]):
    """Reconstruct an image from what was measured of it.

    A generator is fitted through the operator to the measurement, stopped by entries that were held out, and its image moved to where it
    agrees with the measurement, as far as those entries ask for it.

    Parameters
    ----------
    image, config, problem, axes, reference, data_range
        As for `reconstruct`.
    changes
        New settings by dotted name, in the place of the configuration's.
    n_spared_threads
        Number of threads that ``n_threads = "auto"`` leaves to others, such as a window; default 0.
    **inputs
        What the problem needs beside the image, as for `reconstruct`.

    Raises
    ------
    InputError, ConfigError, DeviceError, ShortMemoryError
        What cannot be run, in a sentence.
    """

    def __init__(
        self,
        image: ImageLike,
        config: Config | str | None = None,
        *,
        problem: str,
        axes: str | None = None,
        reference: ImageLike | None = None,
        data_range: float | None = None,
        changes: Mapping[str, Any] | None = None,
        n_spared_threads: int = 0,
        **inputs: Any,
    ) -> None:
        self.posed = posed = pose_problem(problem, image, config, changes or {}, axes, n_spared_threads, inputs)
        known = check_reference(reference, data_range, posed.image_shape)
        self.reference = None if known is None else replace(known, image=posed.aligned(known.image))
        self._name = problem
        itemsize = np.dtype(np.float32).itemsize
        super().__init__(
            posed.prepared, peak_bytes(posed.prepared, posed.n_bytes // itemsize, itemsize) + posed.n_bytes
        )
        self._notes += posed.notes
        if posed.stop_doubt and not self.config.generator.has_guide:
            self._notes.append(posed.stop_doubt)
        self._seed = self.config.seed
        self._fit: Fit | None = None
        self._found: NDArray[Any] | None = None
        self._is_found_out = False
        self._ended: _Ended | None = None

    @property
    def has_result(self) -> bool:
        """True once the fit has ended."""
        return self._ended is not None

    def forecast(self) -> Forecast:
        """Predict memory and time: a few steps are taken, timed and forgotten."""
        return self._forecast(self.posed.scaled, self.posed.units)

    def result(self) -> ReconstructResult:
        """Return the reconstruction.

        Raises
        ------
        FitError
            The fit has not ended.
        """
        if self._ended is None:
            raise FitError("Nothing has been reconstructed yet. Go through the run first; stop() ends it early.")
        ended = self._ended
        image, generator_image = (self._restored(each) for each in (ended.image, ended.generator_image))
        snapshots = ended.report["snapshots"]
        return ReconstructResult(
            problem=self._name,
            image=image,
            generator_image=generator_image,
            rho=ended.rho,
            residual=self.posed.residual(ended.image, image),
            config=self.prepared.config_again,
            seed=ended.seed,
            notes=tuple(self._all_notes()),
            pixel_ratio=self.posed.pixel_ratio,
            layout=self.posed.layout,
            input=self.posed.measured,
            measurement_error=self._measurement_error(ended.report),
            extras=self.posed.extras,
            device=str(self.device),
            n_threads=self.n_threads,
            backend=self.prepared.backend,
            seconds=self._seconds,
            reference=self.reference,
            **ended.report | {"snapshots": tuple(map(self._with_all_axes, snapshots))},
        )

    def preview(self) -> NDArray[Any] | None:
        """Return the generator's image as it is now, in the measurement's units; ``None`` before its first step."""
        if self._guide is not None:
            return self._spread_out(self.posed.units.restore(self._guide[1]))
        if self._fit is None or self._fit.iterate is None:
            return self._found
        return self._restored(self._fit.iterate.image(self.config.output))

    def baseline(self) -> NDArray[Any]:
        """Return a classical image of the measurement, in its units, to compare with; which one, each problem says.

        Raises
        ------
        InputError
            This measurement has none.
        """
        self.check_baseline()
        return self._spread_out(self.posed.baseline())

    def check_baseline(self) -> None:
        """Refuse a classical image where the measurement has none.

        Raises
        ------
        InputError
            It has none.
        """
        if not self.posed.has_baseline:
            raise InputError(
                "This measurement has no classical image to compare with: the transport of intensity needs planes at two distances from "
                "the focus, and one light. Leave it out."
            )

    def _advance(self) -> Iterator[DenoiseProgress]:
        while self._ended is None and not (self._is_stopping and self._fit is None):
            if self._fit is None:
                yield from self._find_out()
                self._fit = yield from self._start(0, self.posed.scaled, self._seed, self.posed.units)
            yield from self._take_steps(self._fit, 0, self._seed)
            self._finish(self._fit)

    def _find_out(self) -> Iterator[DenoiseProgress]:
        """Find out, once, what the measurement tells of the instrument."""
        if self._is_found_out:
            return
        started = time.perf_counter()
        for image, share in self.posed.find_out(lambda: self._is_stopping):
            self._found = image
            seconds, started = time.perf_counter() - started, time.perf_counter()
            self._seconds, self._guide_seconds = self._seconds + seconds, self._guide_seconds + seconds
            yield self._progress(0, self._seed, guide_share=share, found=share)
            started = time.perf_counter()
        self._seconds += time.perf_counter() - started
        self._is_found_out = True
        self._add_notes(self.posed.notes)

    def _progress(self, number: int, seed: int, **state: Any) -> DenoiseProgress:
        """Return the progress; what guides the fit is finding out first, and then the guides."""
        before = self.posed.find_out_share
        if "guide_share" in state:
            share = state["guide_share"]
            state["guide_share"] = before + (1 - before) * share if self._is_found_out else before * share
        return super()._progress(number, seed, **state)

    def _let_go(self) -> None:
        self._fit = None

    def _finish(self, fit: Fit) -> None:
        """Keep the result of a fit that has ended, or let another start take its place if it failed and there are some left."""
        reason, judgment = fit.reason, fit.judgment
        assert reason is not None
        if self._is_to_start_afresh(fit, reason, self._seed):
            self._fit, self._seed = None, self._seed + 1
            return
        self._add_notes(() if judgment is None else judgment.warnings)
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
        """Return the image that agrees with the measurement, the generator's, and rho, of the step that is kept.

        The steps to it from the last state before it are taken once more; of the first step there is none, and the second takes its place.
        """
        problem, members, output, kept_step = fit.problem, fit.members, self.config.output, fit.kept_step
        fit.go_back(max(1, kept_step - 1))
        fit.extend(max(1, kept_step - fit.step))
        *_, iterate = fit
        image = iterate.image(output)
        kept = list(iterate.kept)
        seen = members.weights[kept]
        operator = problem.forward_model
        is_held_out = bool((problem.weights * (seen == 0)).flatten(1).any(1).all())
        # Of a guide that agrees with the measurement only groups of entries that are held out can tell more.
        if self.config.generator.is_plug_and_play and not (is_held_out and operator.entry_groups is not None):
            return image, image, math.inf
        if not isinstance(operator, LinearMap) or not is_held_out:
            self._notes.append(ALL_HELD)
            return image, image, math.inf
        norm = operator.norm(problem.weights, random_source(self.config.seed, NORM_SOURCE))
        rho = choose_rho(problem, iterate.kept_images(output), seen, norm)
        return make_consistent(problem, image, rho), image, rho / norm**2

    def _restored(self, image: Tensor) -> NDArray[Any]:
        return self._spread_out(self.posed.units.restore(image.cpu().numpy()))

    def _spread_out(self, frame: NDArray[Any]) -> NDArray[Any]:
        """Return a frame with the axes of the measurement that count frames, of which there is one."""
        return np.expand_dims(frame, self.prepared.layout.frame_axes())

    def _with_all_axes(self, snapshot: Snapshot) -> Snapshot:
        error = snapshot.expected_error
        return replace(
            snapshot,
            iterate=self._spread_out(snapshot.iterate),
            average=self._spread_out(snapshot.average),
            expected_error=None if error is None else self._spread_out(error),
        )

    def _measurement_error(self, report: dict[str, Any]) -> float | None:
        """Return the error of predicted entries that were held out, in the units of the measurement."""
        unit, held_out = self.posed.measurement_unit, report["criterion"][report["step"] - 1]
        if unit is None or not self.config.stopping.watches_held_out:
            return self.posed.held_out_error
        return unit * math.sqrt(held_out)

    def _all_notes(self) -> Iterator[str]:
        yield from self.prepared.backend_notes
        yield from self.posed.left_out()
        yield from self._notes


def reconstruct(
    image: ImageLike,
    config: Config | str | None = None,
    *,
    problem: str,
    axes: str | None = None,
    reference: ImageLike | None = None,
    data_range: float | None = None,
    seed: int | None = None,
    device: str | None = None,
    n_steps: int | None = None,
    callback: Callable[[DenoiseProgress], None] | None = None,
    **inputs: Any,
) -> ReconstructResult:
    """Reconstruct an image from what was measured of it: fill in missing pixels, deblur, enlarge, make the image of a scan or a phase.

    Parameters
    ----------
    image
        Measured image, a single frame; NaN marks missing pixels. For ``"sense"``, k-space of a slice: complex, of the shape (coils, rows,
        columns), its origin at index n // 2, and 0 where it was not sampled. For ``"sensing"``, a row of sums of pixels, or one for each
        channel with the axes ``"CX"``. For ``"phase"``, intensities of the shape (images, rows, columns), the camera's dark offset
        subtracted. An array, an `Image`, or the path of an image file.
    config
        Configuration, or name of a preset; ``None``, the default, for ``"quick"``, the non-local estimate in turns with the measurement,
        and for ``"sense"`` ``"default"``, which mixes a network into it. ``"deep-decoder"``, ``"paper"``, ``"paper-narrow"`` and
        ``"deep-image-prior"`` fit a generator alone.
    problem
        Name of the problem: ``"inpaint"``, ``"deblur"``, ``"enlarge"``, ``"sense"``, ``"sensing"`` or ``"phase"``.
    axes
        One letter for each axis of ``image``; guessed if ``None``.
    reference
        Ground truth in the shape of the reconstruction, to score it (of a complex one the magnitude), or the path of its file; it does not
        change the result. ``None``, the default, for no scores.
    data_range
        Peak of the scores, in the image's units; that of the reference if ``None``.
    seed, device, n_steps
        Seed, device, and steps at most, in the place of the configuration's; ``None`` leaves them.
    callback
        Function that is called with each `DenoiseProgress`, every 50 ms and at each snapshot.
    **inputs
        What the problem needs beside the image; ``None`` is not given.

        - ``"inpaint"``: ``is_missing``, a mask of the pixels to fill in, in the shape of the image without its channels; not zero where
          they are. Without it, NaN.
        - ``"deblur"``: ``psf``, the point spread function over the spatial axes (an `Image` that knows the distance between its pixels is
          checked for having that of the image); or ``sigma``, the standard deviation of a Gaussian one in pixels; or
          ``numerical_aperture``, ``wavelength`` (of the emitted light, nm), ``refractive_index``, ``pixel_size`` and ``z_step``
          (micrometers; those of the image if they are left out) of a widefield microscope, with ``excitation_wavelength`` (nm) and
          ``pinhole`` (Airy units) of a confocal one. Without any, the one of the configuration.
        - ``"enlarge"``: ``factor``, the enlargement along each axis, at least 2, and ``weighting``, ``"box"`` or ``"lanczos"``; those of
          the configuration without them.
        - ``"sense"``: ``coil_maps``, sensitivities in the shape of k-space, else they are estimated; ``is_sampled``, a mask of the points
          that were sampled, else those that are not 0; ``n_calibration``, the lines in the middle to estimate sensitivities from, else
          those that were fully sampled.
        - ``"phase"``: ``numerical_aperture``, ``wavelength`` (nm), ``refractive_index``, ``pixel_size`` and ``z_step`` (micrometers;
          those of the image if they are left out); ``focus``, the number of the plane in focus, the middle without it, or ``depths``, the
          distance of each plane from the focus in micrometers; or ``lights``, the direction of the light of each image along rows and
          columns, as sin θ, with ``factor``, the number of the phase's pixels in one of the camera. ``n_zernikes``, the number of
          aberrations that are found, and ``n_starts``.
        - ``"sensing"``: ``patterns``, the weights of the pixels in each sum, of the shape (sums, rows, columns); or ``n_rows`` and
          ``n_columns`` of the image, with ``matrix`` (``"cosines"`` or ``"gaussian"``) and ``matrix_seed``, which the weights are drawn
          from.

    Returns
    -------
    ReconstructResult
        Reconstructed image, with the generator's, the step, the reason, snapshots and the configuration.

    Raises
    ------
    InputError, ConfigError, DeviceError
        What cannot be run, in a sentence, before anything starts.
    """
    changes = {"seed": seed, "device": device, "n_steps": n_steps}
    task = ReconstructTask(
        image,
        config,
        problem=problem,
        axes=axes,
        reference=reference,
        data_range=data_range,
        changes=changes,
        **inputs,
    )
    return task.finish(callback)
