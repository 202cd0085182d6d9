"""Compare denoisers on one array: the generator and classical baselines, all given the same model of the noise."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_convgen.config import AutoNoiseConfig, Config, preset
from napari_convgen.core.baselines import BASELINES
from napari_convgen.core.baselines.bm3d import check_bm3d
from napari_convgen.core.baselines.missing import fill_missing
from napari_convgen.core.image import ArrayLike, ImageTensor, Layout, channels_first, check_array
from napari_convgen.core.noise import NoiseModel
from napari_convgen.core.quality.metrics import Scores, match_affine
from napari_convgen.core.quality.residual import Residual, residual_of
from napari_convgen.errors import ConfigError
from napari_convgen.run.compare.result import ComparisonResult, MethodResult
from napari_convgen.run.denoise.result import Result, score, without_alpha
from napari_convgen.run.denoise.run import Denoising, Progress
from napari_convgen.run.labels import OURS
from napari_convgen.run.setup.build import build_noise
from napari_convgen.run.setup.inputs import as_array, check_reference

METHODS = (*BASELINES, OURS)
"""What can be compared; ``convgen:NAME`` takes a preset."""

DEFAULT_METHODS = ("nlm", "tv", "wavelet", OURS)
"""Those that are always installed."""

OF_THE_RUN = ("seed", "device", "n_threads", "backend", "precision", "z_axis")
"""Settings that a named preset takes over from the configuration of the comparison."""


@dataclass(frozen=True)
class ComparisonProgress:
    """Where a comparison is.

    Attributes
    ----------
    method, position, n_methods
        The method at work, its place from 0, and how many there are.
    frame, n_frames
        Frame that it works on, from 0, and how many there are.
    fit
        Where the generator's run is; ``None`` for a baseline, which tells only when it begins a frame.
    done
        What came of the method, if it has just ended.
    """

    method: str
    position: int
    n_methods: int
    frame: int
    n_frames: int
    fit: Progress | None = None
    done: MethodResult | None = None


Work: TypeAlias = Generator[ComparisonProgress, None, MethodResult | None]


class Comparison:
    """A comparison over one array: iterate over it to advance, then ask for its `result`.

    One method after the other denoises all frames. Each baseline gets what the generator gets: the frame after the variance
    of its noise was stabilized, and the standard deviation that the noise then has; its output goes the same way back. What
    fails in one method is kept as that method's outcome.

    All input is checked here, before anything starts. `stop`, called from anywhere, ends the comparison after the
    generator's next step or the baseline's present frame; methods that have begun by then are kept as far as they came.

    Parameters
    ----------
    image
        Noisy array, as `napari_convgen.run.denoise.run.Denoising` takes it. A baseline fills missing pixels with a mean of their
        surroundings first.
    methods
        In this order: ``"nlm"``, ``"tv"``, ``"wavelet"``, ``"bm3d"`` (an optional package), ``"convgen"`` (the generator with
        ``config``), ``"convgen:NAME"`` (with a preset, and the configuration's seed, device, threads, backend, precision and
        Z axis).
    config
        Of the generator, and of the noise; the default preset if ``None``.
    axes, reference, data_range, n_spared_threads
        As for `napari_convgen.run.denoise.run.Denoising`.
    fit_affine
        Score after the gain and offset that bring an image closest to the reference, for pairs that were stretched separately.

    Attributes
    ----------
    methods
        That are compared.
    n_frames
        Frames that each goes through.

    Raises
    ------
    InputError, ConfigError, DeviceError, ShortMemoryError
        What cannot be run, in a sentence.
    """

    def __init__(
        self,
        image: ArrayLike,
        methods: Sequence[str] = DEFAULT_METHODS,
        config: Config | None = None,
        *,
        axes: str | None = None,
        reference: ArrayLike | None = None,
        data_range: float | None = None,
        fit_affine: bool = False,
        n_spared_threads: int = 0,
    ) -> None:
        self.config = config or Config()
        self.methods = tuple(methods)
        configs = {method: _config_of(method, self.config) for method in _checked(self.methods)}
        self.image = as_array(image)
        self.layout = Layout.of(self.image.shape, axes, self.config.z_axis)
        self._checks = check_array(self.image, self.layout)
        self._reference = check_reference(reference, data_range, self.image.shape)
        self._fit_affine = fit_affine
        self._indices = list(self.layout.frames(self.image.shape))
        self._runs = {
            method: Denoising(self.image, own, axes=self.layout.axes, n_spared_threads=n_spared_threads)
            for method, own in configs.items()
            if own is not None
        }
        self._noise: dict[int, NoiseModel] = {}
        self._done: list[MethodResult] = []
        self._is_stopping = False

    @property
    def n_frames(self) -> int:
        """Frames that each method goes through."""
        return len(self._indices)

    def __iter__(self) -> Iterator[ComparisonProgress]:
        """Advance. A comparison that was left goes on with the method after the last that ended."""
        for position, method in enumerate(self.methods[len(self._done) :], start=len(self._done)):
            if self._is_stopping:
                return
            here = ComparisonProgress(method, position, len(self.methods), 0, self.n_frames)
            work = self._denoise(here) if method in self._runs else self._filter(here)
            try:
                done = yield from work
            except (ArithmeticError, MemoryError, OSError, RuntimeError, ValueError) as error:
                done = MethodResult(method, error=" ".join(str(error).split()) or type(error).__name__)
            if done is None:
                return
            self._done.append(done)
            yield replace(here, frame=self.n_frames - 1, done=done)

    def stop(self) -> None:
        """End after the generator's next step or the baseline's present frame. May be called from another thread."""
        self._is_stopping = True
        for run in self._runs.values():
            run.stop()

    def result(self) -> ComparisonResult:
        """Return what there is: all methods, or those that a stop left time for."""
        n_missing = sum(check.n_missing for check in self._checks if not check.is_constant)
        notes = [f"{n_missing} missing (NaN) pixels were filled in."] * (n_missing > 0)
        if left := self.methods[len(self._done) :]:
            notes.append(f"Stopped before {', '.join(left)}.")
        return ComparisonResult(
            methods=tuple(self._done),
            config=self.config,
            noise=tuple(self._noise.get(number) for number in range(self.n_frames)),
            notes=tuple(notes),
            layout=self.layout,
            input=self.image,
            input_scores=self._scores(np.asarray(self.image)),
            reference=self._reference,
            fit_affine=self._fit_affine,
        )

    def _filter(self, here: ComparisonProgress) -> Work:
        """Go through the frames with a baseline; return its outcome, ``None`` if not even one frame was done."""
        image, seconds, n_done = np.copy(np.asarray(self.image)), 0.0, 0
        for number, index in enumerate(self._indices):
            if self._is_stopping:
                break
            yield replace(here, frame=number)
            if not self._checks[number].is_constant:
                tensor = self._tensor(number)
                started = time.perf_counter()
                image[index] = _restored(here.method, tensor, self.layout)
                seconds += time.perf_counter() - started
            n_done += 1
        if not n_done:
            return None
        return self._outcome(here.method, image, seconds, n_done)

    def _denoise(self, here: ComparisonProgress) -> Work:
        """Let the generator's run go to its end; return its outcome, ``None`` if nothing was fitted."""
        run = self._runs[here.method]
        for progress in run:
            yield replace(here, frame=progress.frame, fit=progress)
        if not run.n_frames_done:
            return None
        result = run.result()
        return self._outcome(here.method, result.image, result.seconds, self.n_frames, result)

    def _outcome(
        self, method: str, image: NDArray[np.generic], seconds: float, n_done: int, fit: Result | None = None
    ) -> MethodResult:
        notes = () if fit is None else fit.notes
        if n_done < self.n_frames:
            notes = (*notes, f"{self.n_frames - n_done} of {self.n_frames} frames were not reached.")
        lengths = {self._noise_model(number).correlation_length for number in self._fitted()}
        if fit is None and max(lengths) > 1:
            notes = (*notes, "The noise of neighbors is alike, but this method takes it for independent.")
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
        return [number for number, check in enumerate(self._checks) if not check.is_constant]

    def _scores(self, image: NDArray[np.generic]) -> Scores | None:
        if self._reference is None:
            return None
        if self._fit_affine:
            truth = without_alpha(self._reference.image, self.layout)
            image = match_affine(without_alpha(image, self.layout), truth)
        return score(image, self._reference, self.layout)

    def _residual(self, image: NDArray[np.generic]) -> Residual:
        parts = []
        for number in self._fitted():
            index = self._indices[number]
            noisy, is_observed = channels_first(np.asarray(self.image[index]), self.layout)
            denoised, _ = channels_first(image[index], self.layout)
            parts.append(residual_of(noisy, denoised, is_observed, self._noise_model(number)))
        return Residual.mean(parts)

    def _tensor(self, number: int) -> ImageTensor:
        return ImageTensor.of(np.asarray(self.image[self._indices[number]]), self.layout, self._noise_model(number))

    def _noise_model(self, number: int) -> NoiseModel:
        """Return the model of a frame's noise; estimated where the configuration fits the image as it is."""
        if number not in self._noise:
            settings = self.config.noise if self.config.noise.is_modeled else AutoNoiseConfig()
            model = build_noise(np.asarray(self.image[self._indices[number]]), self.layout, settings)
            assert model is not None
            self._noise[number] = model
        return self._noise[number]


def compare(
    image: ArrayLike,
    methods: Sequence[str] = DEFAULT_METHODS,
    config: Config | None = None,
    callback: Callable[[ComparisonProgress], None] | None = None,
    *,
    axes: str | None = None,
    reference: ArrayLike | None = None,
    data_range: float | None = None,
    fit_affine: bool = False,
) -> ComparisonResult:
    """Denoise an image by several methods that are given the same model of the noise.

    Parameters
    ----------
    image, methods, config, axes, reference, data_range, fit_affine
        As for `Comparison`.
    callback
        Called with each `ComparisonProgress`.

    Returns
    -------
    ComparisonResult
        Image, time, scores and residual of each method, as a table and as a report.

    Raises
    ------
    InputError, ConfigError, DeviceError
        What cannot be run, in a sentence, before anything starts.
    """
    comparison = Comparison(
        image, methods, config, axes=axes, reference=reference, data_range=data_range, fit_affine=fit_affine
    )
    for progress in comparison:
        if callback is not None:
            callback(progress)
    return comparison.result()


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
    return preset(name).replace({key: getattr(config, key) for key in OF_THE_RUN}) if colon else config


def _restored(method: str, image: ImageTensor, layout: Layout) -> NDArray[np.generic]:
    """Return a frame as a baseline leaves it."""
    values = fill_missing(image.values, image.is_observed)
    is_color = layout.is_color and len(values) == len("RGB")
    return image.restore(BASELINES[method](values, image.noise_level, is_color))
