"""Compare denoisers on one array: the generator and classical baselines, all given the same model of the noise."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_convgen.config import Config, preset
from napari_convgen.core.baselines import BASELINES
from napari_convgen.core.baselines.bm3d import check_bm3d
from napari_convgen.core.baselines.frame import NoisyFrame
from napari_convgen.core.image import ImageTensor, Layout
from napari_convgen.core.noise import NoiseModel
from napari_convgen.core.quality.metrics import Scores, match_affine
from napari_convgen.core.quality.residual import Residual, residual_of
from napari_convgen.errors import ConfigError
from napari_convgen.run.compare.progress import CompareForecast, CompareProgress
from napari_convgen.run.compare.result import CompareResult, MethodResult
from napari_convgen.run.denoise.progress import DenoiseProgress
from napari_convgen.run.denoise.result import DenoiseResult, score, without_alpha
from napari_convgen.run.denoise.run import DenoiseTask
from napari_convgen.run.labels import OURS
from napari_convgen.run.setup.forecast import free_bytes
from napari_convgen.run.setup.inputs import ImageLike, as_image, check_reference, refuse_operator, resolve_config
from napari_convgen.run.setup.prepared import Prepared
from napari_convgen.run.task import Task

METHODS = (*BASELINES, OURS)
"""Methods that can be compared; ``convgen:NAME`` takes a preset."""

DEFAULT_METHODS = ("nlm", "tv", "wavelet", "lichi", OURS)
"""Methods that are always installed."""

SHARED_SETTINGS = ("seed", "device", "n_threads", "backend", "precision", "z_axis", "channels", "frames.fit")
"""Settings that a named preset takes over from the configuration of the comparison."""

N_IMAGES = 8
"""Images in float64 that a baseline has at once, about: the frame, its copies, and what is averaged."""


Work: TypeAlias = Generator[CompareProgress, None, MethodResult | None]


class CompareTask(Task[CompareProgress, CompareResult]):
    """Compare methods on one array.

    One method after the other denoises all frames. Each baseline gets what the generator gets: the frame after the variance
    of its noise was stabilized, and the standard deviation that the noise then has; its output goes the same way back. An error of one
    method is kept as that method's outcome.

    A stop ends the comparison after the generator's next step or the baseline's present frame; methods that have begun by then are kept
    as far as they came.

    Parameters
    ----------
    image, axes, n_spared_threads
        As for `napari_convgen.run.setup.prepared.Prepared`. A baseline fills missing pixels with a mean of their surroundings first.
    reference, data_range
        As for `napari_convgen.run.setup.inputs.check_reference`. They have no influence on the images.
    config
        Configuration of the generator and of the noise, name of a preset, or ``None`` for the preset ``"default"``.
    methods
        Names of the methods, in order: those of `napari_convgen.core.baselines.BASELINES` (``"nlm"``, ``"tv"``, ``"wavelet"``, ``"lichi"``,
        ``"bm3d"``, an optional package), ``"convgen"`` (the generator with ``config``), ``"convgen:NAME"`` (with a preset, and the
        configuration's seed, device, threads, backend, precision and Z axis).
    fit_affine
        True to score after the gain and offset that bring an image closest to the reference, for pairs that were stretched separately;
        default False.

    Attributes
    ----------
    methods
        Names of the methods.

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
        axes: str | None = None,
        reference: ImageLike | None = None,
        data_range: float | None = None,
        n_spared_threads: int = 0,
        methods: Sequence[str] = DEFAULT_METHODS,
        fit_affine: bool = False,
    ) -> None:
        if fit_affine and reference is None:
            raise ConfigError(
                "fit_affine scales and shifts images to fit a reference, and there is none. Give the reference too, or leave it out."
            )
        self.methods = tuple(methods)
        chosen, image = resolve_config(config), as_image(image, axes=axes)
        configs = {method: _config_of(method, chosen) for method in _checked(self.methods)}
        refuse_operator(chosen)
        super().__init__(Prepared(image, chosen, axes=axes, n_spared_threads=n_spared_threads))
        self.reference = check_reference(reference, data_range, self.image.shape)
        self._fit_affine = fit_affine
        one_type = {"dtype": self.prepared.result_type.setting}
        self._runs = {
            method: DenoiseTask(image, own.replace(one_type), axes=self.layout.axes, n_spared_threads=n_spared_threads)
            for method, own in configs.items()
            if own is not None
        }
        self._noise: dict[int, NoiseModel] = {}
        self._warnings: dict[str, None] = {}
        self._done: list[MethodResult] = []

    @property
    def n_frames(self) -> int:
        """Number of frames that each method goes through."""
        return self.prepared.n_frames

    @property
    def layout(self) -> Layout:
        """Meaning of the array's axes."""
        return self.prepared.layout

    @property
    def has_result(self) -> bool:
        """True once a method has ended; those that have not begun are left out of the result."""
        return bool(self._done)

    def forecast(self) -> CompareForecast:
        """Predict memory and time: a few steps of each generator are taken, timed and forgotten."""
        frame = np.float64().itemsize * math.prod(self.prepared.size) * self.prepared.n_outputs
        fits = {method: run.forecast() for method, run in self._runs.items()}
        return CompareForecast(fits, N_IMAGES * frame, free_bytes(self.device))

    def _advance(self) -> Iterator[CompareProgress]:
        for position, method in enumerate(self.methods[len(self._done) :], start=len(self._done)):
            if self._is_stopping:
                return
            here = _Place(method, position, len(self.methods), self.n_frames)
            work = self._denoise(here) if method in self._runs else self._filter(here)
            try:
                done = yield from work
            except (ArithmeticError, MemoryError, OSError, RuntimeError, ValueError) as error:
                done = MethodResult(method, error=" ".join(str(error).split()) or type(error).__name__)
            if done is None:
                return
            self._done.append(done)
            yield here.progress(self._seconds, self.n_frames - 1, done=done)

    def _let_go(self) -> None:
        """Hold on to nothing: what a method takes is its own, and gone with it."""

    def stop(self) -> None:
        """End after the generator's next step or the baseline's present frame. May be called from another thread."""
        super().stop()
        for run in self._runs.values():
            run.stop()

    def result(self) -> CompareResult:
        """Return what there is: all methods, or those that a stop left time for."""
        notes = [*self.prepared.input_notes(), *self._warnings, *self.prepared.result_notes]
        if left := self.methods[len(self._done) :]:
            notes.append(f"Stopped before {', '.join(left)}.")
        return CompareResult(
            methods=tuple(self._done),
            config=self.prepared.config_again,
            noise=tuple(self._noise.get(number) for number in range(self.n_frames)),
            notes=tuple(notes),
            layout=self.layout,
            input=self.image,
            input_scores=self._scores(np.asarray(self.image)),
            reference=self.reference,
            fit_affine=self._fit_affine,
        )

    def _filter(self, here: _Place) -> Work:
        """Go through the frames with a baseline; return its outcome, ``None`` if not even one frame was done."""
        image, seconds, n_done = np.array(self.image, self.prepared.result_type.dtype), 0.0, 0
        for number, piece in enumerate(self.prepared.pieces):
            if self._is_stopping:
                break
            yield here.progress(self._seconds, number)
            if not self.prepared.check(number).is_constant:
                tensor = self._tensor(number)
                started = time.perf_counter()
                image[piece.index] = _restored(here.method, tensor, self.layout)
                seconds += time.perf_counter() - started
                self._seconds += time.perf_counter() - started
            n_done += 1
        if not n_done:
            return None
        return self._outcome(here.method, image, seconds, n_done)

    def _denoise(self, here: _Place) -> Work:
        """Let the generator's run go to its end; return its outcome, ``None`` if nothing was fitted."""
        run = self._runs[here.method]
        before = self._seconds
        for progress in run:
            yield here.progress(before + progress.seconds, progress.frame, fit=progress)
        if not run.has_result:
            return None
        result = run.result()
        self._seconds = before + result.seconds
        return self._outcome(here.method, result.image, result.seconds, self.n_frames, result)

    def _outcome(
        self, method: str, image: NDArray[np.generic], seconds: float, n_done: int, fit: DenoiseResult | None = None
    ) -> MethodResult:
        notes = () if fit is None else fit.notes
        if n_done < self.n_frames:
            notes = (*notes, f"{self.n_frames - n_done} of {self.n_frames} frames were not reached.")
        lengths = {self._noise_model(number).correlation_length for number in self._fitted()}
        if fit is None and BASELINES[method].is_for_white_noise and max(lengths) > 1:
            notes = (*notes, "The noise is correlated, but this method takes it for white.")
        return MethodResult(
            method=method,
            image=image,
            seconds=seconds,
            scores=self._scores(image),
            residual=self._residual(image),
            notes=notes,
            fit=fit,
        )

    def _fitted(self) -> list[int]:
        return [number for number in range(self.n_frames) if not self.prepared.check(number).is_constant]

    def _scores(self, image: NDArray[np.generic]) -> Scores | None:
        if self.reference is None:
            return None
        if self._fit_affine:
            truth = without_alpha(self.reference.image, self.layout)
            image = match_affine(without_alpha(image, self.layout), truth)
        return score(image, self.reference, self.layout)

    def _residual(self, image: NDArray[np.generic]) -> Residual:
        parts = []
        for number in self._fitted():
            index = self.prepared.pieces[number].index
            measured = self.prepared.measured(number)
            denoised = measured.take(image[index], self.layout)
            noise = self._noise_model(number)
            values = noise.without_artifacts(measured.values, measured.is_observed)
            parts.append(residual_of(values, denoised, measured.is_observed, noise))
        return Residual.mean(parts)

    def _tensor(self, number: int) -> ImageTensor:
        image = self.prepared.scaled_for(number, self._noise_model(number))
        self._warnings |= dict.fromkeys(image.noise_warnings)
        return image

    def _noise_model(self, number: int) -> NoiseModel:
        """Return the model of a frame's noise; estimated where the configuration fits the image as it is."""
        if number not in self._noise:
            self._noise[number] = self.prepared.any_noise_model(number)
        return self._noise[number]


@dataclass(frozen=True)
class _Place:
    """A method's place in the comparison."""

    method: str
    position: int
    n_methods: int
    n_frames: int

    def progress(
        self, seconds: float, frame: int, fit: DenoiseProgress | None = None, done: MethodResult | None = None
    ) -> CompareProgress:
        """Return the progress at a frame."""
        return CompareProgress(
            seconds=seconds,
            method=self.method,
            position=self.position,
            n_methods=self.n_methods,
            frame=frame,
            n_frames=self.n_frames,
            fit=fit,
            done=done,
        )


def compare(
    image: ImageLike,
    config: Config | str | None = None,
    *,
    axes: str | None = None,
    reference: ImageLike | None = None,
    data_range: float | None = None,
    seed: int | None = None,
    device: str | None = None,
    callback: Callable[[CompareProgress], None] | None = None,
    methods: Sequence[str] = DEFAULT_METHODS,
    fit_affine: bool = False,
    dtype: str | None = None,
) -> CompareResult:
    """Denoise an image by several methods that are given the same model of the noise.

    Parameters
    ----------
    image, config, axes, reference, data_range, seed, device, dtype
        As for `napari_convgen.denoise`. All results have one type.
    callback
        Function that is called with each `CompareProgress`.
    methods, fit_affine
        As for `CompareTask`.

    Returns
    -------
    CompareResult
        Image, time, scores and residual of each method, as a table and as a report.

    Raises
    ------
    InputError, ConfigError, DeviceError
        What cannot be run, in a sentence, before anything starts.
    """
    chosen = resolve_config(config, {"seed": seed, "device": device, "dtype": dtype})
    task = CompareTask(
        image,
        chosen,
        axes=axes,
        reference=reference,
        data_range=data_range,
        methods=methods,
        fit_affine=fit_affine,
    )
    return task.finish(callback)


def _checked(methods: tuple[str, ...]) -> tuple[str, ...]:
    if not methods:
        raise ConfigError(f"There is nothing to compare. Name methods among {', '.join(METHODS)}.")
    for i, method in enumerate(methods):
        if method in methods[:i]:
            raise ConfigError(f"The method {method} is named twice. Name each once.")
        if method.partition(":")[0] != OURS and method not in BASELINES:
            raise ConfigError(f"There is no method '{method}'. The methods are {', '.join(METHODS)} and {OURS}:PRESET.")
    if "bm3d" in methods:
        check_bm3d()
    return methods


def _config_of(method: str, config: Config) -> Config | None:
    """Return the configuration of the generator; ``None`` for a baseline."""
    own, colon, name = method.partition(":")
    if own != OURS:
        return None
    return preset(name).replace({key: attrgetter(key)(config) for key in SHARED_SETTINGS}) if colon else config


def _restored(method: str, image: ImageTensor, layout: Layout) -> NDArray[np.generic]:
    """Return a frame as a baseline leaves it."""
    return image.restore(BASELINES[method](NoisyFrame.of(image, layout)))
