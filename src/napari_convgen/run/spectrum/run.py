"""Look at a generator's Jacobian beside an image: the verb under the command line, a widget and the Python function."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_convgen.config import Config
from napari_convgen.core import generators
from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.image import ArrayLike, ImageTensor
from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import Outcome, SnapshotStore
from napari_convgen.core.spectra.descent import Descent, paced_descent
from napari_convgen.core.spectra.eigenpairs import Eigenpairs, n_eigenpair_products, paced_eigenpairs
from napari_convgen.core.spectra.jacobian import GROUPS, Group, gram, module_jacobian, observed, remove_mean
from napari_convgen.core.spectra.pace import Paced
from napari_convgen.core.spectra.sensitivity import paced_sensitivity, paced_tail
from napari_convgen.core.spectra.subspaces import energy_shares, paced_alignment, principal_angles
from napari_convgen.errors import ConfigError, FitError, InputError, ShortMemoryError, mismatch
from napari_convgen.run.denoise.run import STATUS_SECONDS, Denoising
from napari_convgen.run.labels import format_bytes, format_place, format_seconds
from napari_convgen.run.setup.build import (
    build_generator,
    build_noise,
    build_optimizer,
    build_rule,
    check_noise_level,
    generator_bytes,
    random_source,
    resolve_scales,
)
from napari_convgen.run.setup.devices import Backend, with_threads
from napari_convgen.run.setup.forecast import ADVICE, check_memory, free_bytes, is_short_memory
from napari_convgen.run.spectrum.result import Spectrum, SpectrumResult

N_NOISE_DRAWS = 20
"""Draws of noise that the image's alignment is compared with."""

N_SENSITIVITY_PROBES = 24
N_TAIL_PRODUCTS = 30
N_DESCENT_PRODUCTS = 100
"""For each of the two quadratures; the last step foreseen is their square."""

N_MATRICES = 5
"""As large as all singular vectors, that are held at once beside those of each step."""

RANDOM_SOURCES = 1000
"""Numbers of the run's own sources of chance begin here; the generators have those before."""


@dataclass(frozen=True)
class SpectrumProgress:
    """Where a run is.

    Attributes
    ----------
    step
        Of the fit, that is looked at or on the way to the next.
    doing
        In words: ``"singular vectors"``.
    n_done, n_total
        Products with the Jacobian, and steps of the fit; some may not be needed.
    seconds
        Spent so far.
    """

    step: int
    doing: str
    n_done: int
    n_total: int
    seconds: float

    @property
    def seconds_left(self) -> float:
        """About; fits and products count alike."""
        return (self.n_total - self.n_done) * self.seconds / max(1, self.n_done)


@dataclass(frozen=True)
class SpectrumForecast:
    """Memory and time of a run.

    Attributes
    ----------
    n_bytes, n_bytes_free
        That it takes at its peak, and that its device has to give; about.
    seconds_per_product
        With the Jacobian and its adjoint, measured.
    n_products
        Of all steps that are looked at.
    n_steps
        Of the fit on the way, whose time does not count here.
    device, n_threads
        Where it will run.
    """

    n_bytes: int
    n_bytes_free: int
    seconds_per_product: float
    n_products: int
    n_steps: int
    device: str
    n_threads: int

    @property
    def seconds(self) -> float:
        """Of the products, about."""
        return self.seconds_per_product * self.n_products

    def __str__(self) -> str:
        fit = f" and {self.n_steps} steps of a fit" if self.n_steps else ""
        return (
            f"About {format_bytes(self.n_bytes)} of memory, {format_bytes(self.n_bytes_free)} are free. "
            f"{1000 * self.seconds_per_product:.0f} ms a product: about {format_seconds(self.seconds)} "
            f"for {self.n_products} products{fit}, on {format_place(self.device, 'torch', self.n_threads)}."
        )


class SpectrumRun:
    """The Jacobian of a generator at one or several steps, beside an image: iterate over it to advance, then ask for its `result`.

    All input is checked here, before anything starts, and goes through the same model of the noise and the same scaling as in
    `napari_convgen.run.denoise.run.Denoising`. `stop`, called from anywhere, ends the run after the next product.

    Parameters
    ----------
    image
        Noisy array that is a single frame; see `napari_convgen.run.denoise.run.Denoising`.
    config
        Of the generator and, if later steps are looked at, its fit: that of all pixels, by a single generator, in single precision.
        The default preset if ``None``.
    axes
        A letter for each axis of ``image``; guessed if ``None``.
    rank
        Singular values and vectors; as many as the image has values at most, each channel's mean taken out.
    n_passes
        Of the subspace iteration, at least 1: more make the last of the singular vectors more exact.
    at_steps
        Steps that the fit has taken when it is looked at; 0 is the start.
    groups
        Parameters that the Jacobian is taken for: ``"convolutions"``, ``"norms"``, ``"output"``.
    n_spared_threads
        That ``n_threads = "auto"`` leaves to others, such as a window.

    Attributes
    ----------
    at_steps, groups
        In order, each once.
    config
        That is used.
    image
        The frame in the generator's units.
    device, n_threads
        Where it is computed, and on how many threads of the CPU.

    Raises
    ------
    InputError, ConfigError, DeviceError, ShortMemoryError
        What cannot be done, in a sentence.
    """

    def __init__(
        self,
        image: ArrayLike,
        config: Config | None = None,
        *,
        axes: str | None = None,
        rank: int = 100,
        n_passes: int = 2,
        at_steps: Sequence[int] = (0,),
        groups: Collection[Group] = GROUPS,
        n_spared_threads: int = 0,
    ) -> None:
        self.at_steps = _check_steps(at_steps)
        self.groups = _check_groups(groups)
        changes = {"n_seeds": 1, "stopping.kind": "fixed", "precision": "float32", "n_steps": max(1, self.at_steps[-1])}
        self.config = (config or Config()).replace(changes)
        checked = Denoising(image, self.config, axes=axes, n_spared_threads=n_spared_threads)
        if checked.n_frames > 1:
            raise InputError(
                f"The spectrum is that of a single image, got {checked.n_frames} frames. Choose one of them."
            )
        self.device, self.n_threads, self._backend = checked.device, checked.n_threads, checked.backend
        frame = np.asarray(checked.image[checked.indices[0]])
        self.image = ImageTensor.of(frame, checked.layout, build_noise(frame, checked.layout, self.config.noise))
        self._problem = Problem.of(self.image, self.device)
        check_noise_level(self.config, self._problem)
        self._n_scales = resolve_scales(self.config, self.image.values.shape[1:])
        self._n_values = int(self.image.is_observed.sum()) - len(self.image.values)
        self.rank, self.n_passes = _check_rank(rank, self._n_values), n_passes
        if n_passes < 1:
            raise ConfigError(f"n_passes must be at least 1, got {n_passes}.")
        check_memory(self.n_bytes, self.device)
        self._spectra: list[Spectrum] = []
        self._first_vectors: Tensor | None = None
        self._n_done = 0
        self._seconds = 0.0
        self._is_stopping = False
        self._computation: Generator[tuple[int, str], None, None] | None = None

    @property
    def n_products(self) -> int:
        """Products with the Jacobian, of all steps."""
        n_each = n_eigenpair_products(self.image.values.size, self.rank, self.n_passes)
        n_each += 1 + N_NOISE_DRAWS + N_SENSITIVITY_PROBES + N_TAIL_PRODUCTS
        n_each += 2 * N_DESCENT_PRODUCTS if self._problem.noise_level is not None else 0
        return n_each * len(self.at_steps)

    @property
    def n_bytes(self) -> int:
        """Bytes that it takes at its peak, about: the generator with its derivative, and the vectors."""
        size, n_outputs = self.image.values.shape[1:], len(self.image.values)
        generator = 2 * generator_bytes(self.config, size, n_outputs, self._n_scales, "torch")
        n_matrices = N_MATRICES + len(self.at_steps)
        return generator + torch.float32.itemsize * n_matrices * self.rank * self.image.values.size

    @property
    def n_steps_done(self) -> int:
        """Steps that were looked at to the end."""
        return len(self._spectra)

    def forecast(self) -> SpectrumForecast:
        """Say what the run will take: two products are taken and timed, and forgotten."""

        def products() -> Iterator[float]:
            linear_map = self._jacobian(self._generator("torch"))
            image = torch.zeros_like(self._problem.measurement).flatten()
            for _ in range(3):
                started = time.perf_counter()
                float(gram(linear_map)(image).sum())
                yield time.perf_counter() - started

        n_free = free_bytes(self.device)
        _, *seconds = with_threads(products(), self.n_threads)
        return SpectrumForecast(
            n_bytes=self.n_bytes,
            n_bytes_free=n_free,
            seconds_per_product=min(seconds),
            n_products=self.n_products,
            n_steps=self.at_steps[-1],
            device=str(self.device),
            n_threads=self.n_threads,
        )

    def __iter__(self) -> Iterator[SpectrumProgress]:
        """Advance. A run that was left goes on where it was; one that has ended yields nothing.

        Raises
        ------
        FitError
            The fit failed on its way to a later step.
        ShortMemoryError
            Memory ran out after all.
        """
        if self._computation is None:
            self._computation = self._go_through()
        n_total = self.n_products + self.at_steps[-1]
        told = started = time.perf_counter()
        try:
            for step, doing in with_threads(self._computation, self.n_threads):
                self._n_done += 1
                now = time.perf_counter()
                if self._is_stopping:
                    self._computation.close()
                    break
                if now - told < STATUS_SECONDS:
                    continue
                self._seconds += now - started
                yield SpectrumProgress(step, doing, self._n_done, n_total, self._seconds)
                told = started = time.perf_counter()
        except Exception as error:
            if not is_short_memory(error):
                raise
            raise ShortMemoryError(f"Memory ran out on {self.device}. {ADVICE}") from error
        self._seconds += time.perf_counter() - started

    def stop(self) -> None:
        """End the run after the next product; steps that were looked at before are kept. May be called from another thread."""
        self._is_stopping = True

    def result(self) -> SpectrumResult:
        """Return what there is: all steps, or those that were done before it was stopped.

        Raises
        ------
        FitError
            No step is done yet.
        """
        if not self._spectra:
            raise FitError("No step has been looked at to its end: there is no result. Go through the run first.")
        return SpectrumResult(
            spectra=tuple(self._spectra),
            groups=self.groups,
            config=self.config,
            image=self.image,
            notes=tuple(self._notes()),
            seconds=self._seconds,
            device=str(self.device),
            n_threads=self.n_threads,
        )

    def _notes(self) -> Iterator[str]:
        if n_left := len(self.at_steps) - len(self._spectra):
            yield f"{n_left} of {len(self.at_steps)} steps were not looked at."
        if self._problem.noise_level is None:
            yield "The noise level is not known: the descent is not foreseen."
        if self.config.generator.draws_from_image:
            yield (
                "The network draws from the image, or from its own of then: the noise in that is among its first singular vectors, and the "
                "descent is foreseen as if its input stayed as it is."
            )
        if self._problem.correlation_length > 1:
            yield "The noise of neighbors is alike: the generator draws it sooner than the white noise that it is compared with."
        if n_missing := int((~self.image.is_observed).sum()):
            yield f"{n_missing} values that are missing or impulses were left out."

    def _go_through(self) -> Generator[tuple[int, str], None, None]:
        """Pause after each product and each step of the fit."""
        generator = self._generator("torch")
        fit: Fit | None = None
        for at_step in self.at_steps:
            if at_step > 0:
                fit = self._new_fit() if fit is None else fit
                for step in _fit_until(fit, at_step):
                    yield step, "fit"
                _copy_state(fit.generator, generator)
            spectrum = yield from self._look(generator, at_step)
            self._spectra.append(spectrum)

    def _look(self, generator: generators.Generator, step: int) -> Generator[tuple[int, str], None, Spectrum]:
        """Take the Jacobian apart."""
        problem = self._problem
        image = remove_mean(problem.measurement, problem.weights)
        whole = self._jacobian(generator)
        part = observed(whole, problem.weights)
        rng = random_source(self.config.seed, RANDOM_SOURCES + step)
        pairs = yield from _named(
            step, "singular vectors", paced_eigenpairs(gram(part), image.flatten(), self.rank, self.n_passes, rng)
        )
        alignment, draws = yield from _named(
            step, "alignment", paced_alignment(part, image, problem.weights, N_NOISE_DRAWS, rng)
        )
        sensitivity = yield from _named(step, "sensitivity", paced_sensitivity(part, pairs, N_SENSITIVITY_PROBES, rng))
        tail = yield from _named(step, "other singular values", paced_tail(gram(part), pairs, N_TAIL_PRODUCTS, 1, rng))
        descent: Descent | None = None
        if problem.noise_level is not None:
            with torch.no_grad():
                start = generator.eval()()
            descent = yield from _named(step, "descent", self._foresee(whole, start[0], problem.noise_level, rng))
        signs = _signs(pairs)
        vectors = pairs.vectors * signs
        if self._first_vectors is None:
            self._first_vectors = vectors
        values = pairs.values.sqrt()
        length = float(image.norm())
        shape = tuple(image.shape)
        return Spectrum(
            step=step,
            singular_values=_numpy(values),
            errors=_numpy(pairs.errors / values.clamp_min(torch.finfo(values.dtype).tiny)),
            left_vectors=_numpy(vectors.T).reshape(-1, *shape),
            coefficients=_numpy(vectors.T @ image.flatten()),
            image_energy=_numpy(energy_shares(vectors, image.flatten())),
            noise_energy=np.arange(1, self.rank + 1) / self._n_values,
            sensitivity=_numpy(sensitivity.values).reshape(shape),
            sensitivity_error=_numpy(sensitivity.errors).reshape(shape),
            trace=sensitivity.trace,
            trace_error=sensitivity.trace_error,
            tail_ranks=_numpy(tail.ranks),
            tail_values=_numpy(tail.values.sqrt()),
            alignment=alignment / length,
            noise_alignment=_numpy(draws / length),
            descent=descent,
            angles=_numpy(principal_angles(self._first_vectors, vectors)),
        )

    def _foresee(self, whole: LinearMap, start: Tensor, level: Tensor, rng: torch.Generator) -> Paced[Descent]:
        """Foresee the descent to the observed values, their means among them."""
        problem = self._problem
        places = (problem.weights.flatten() > 0).nonzero().squeeze(1)

        def gram_at_places(values: Tensor) -> Tensor:
            image = start.new_zeros(start.numel()).index_copy(0, places, values)
            return gram(whole)(image)[places]

        residual = (start - problem.measurement).flatten()[places]
        levels = level.view(-1, *(1,) * (start.ndim - 1)).expand_as(start).flatten()[places]
        return paced_descent(gram_at_places, residual, levels, rng, N_DESCENT_PRODUCTS)

    def _jacobian(self, generator: generators.Generator) -> LinearMap:
        return module_jacobian(generator, self.groups)

    def _generator(self, backend: Backend) -> generators.Generator:
        problem, size, n_outputs = self._problem, self.image.values.shape[1:], len(self.image.values)
        built = build_generator(self.config, size, n_outputs, self._n_scales, [0], self.config.seed, backend).to(
            self.device
        )
        built.prepare(problem.measurement[None], problem.weights[None], problem.noise_level, problem.noise_spectrum)
        return built

    def _new_fit(self) -> Fit:
        rule = build_rule(self.config, lambda: self._generator("torch"))
        members = rule.members(self._problem, 1, random_source(self.config.seed, 0))
        generator = self._generator(self._backend)
        store = SnapshotStore(0, self.image, self.config.output)
        optimizer = build_optimizer(self.config, generator)
        return Fit(self._problem, generator, optimizer, rule, members, store, self.at_steps[-1], self.config.averaging)


def spectrum(
    image: ArrayLike,
    config: Config | None = None,
    *,
    axes: str | None = None,
    rank: int = 100,
    n_passes: int = 2,
    at_steps: Sequence[int] = (0,),
    groups: Collection[Group] = GROUPS,
    seed: int | None = None,
    callback: Callable[[SpectrumProgress], None] | None = None,
) -> SpectrumResult:
    """Say what a generator's Jacobian holds of an image: singular values and vectors, energies, sensitivity, alignment, descent.

    Parameters
    ----------
    image, config, axes, rank, n_passes, at_steps, groups
        As for `SpectrumRun`.
    seed
        Overrides the configuration's.
    callback
        Called with each `SpectrumProgress`, every 50 ms.

    Returns
    -------
    SpectrumResult
        One `Spectrum` for each step.

    Raises
    ------
    InputError, ConfigError, DeviceError, ShortMemoryError
        What cannot be done, in a sentence, before anything starts.
    FitError
        The fit failed on its way to a later step.
    """
    config = config or Config()
    run = SpectrumRun(
        image,
        config if seed is None else config.replace({"seed": seed}),
        axes=axes,
        rank=rank,
        n_passes=n_passes,
        at_steps=at_steps,
        groups=groups,
    )
    for progress in run:
        if callback is not None:
            callback(progress)
    return run.result()


def _check_steps(at_steps: Sequence[int]) -> tuple[int, ...]:
    steps = tuple(sorted(set(at_steps)))
    if not steps or steps[0] < 0:
        raise ConfigError(f"at_steps must be whole numbers from 0, at least one, got {list(at_steps)}.")
    return steps


def _check_groups(groups: Collection[Group]) -> tuple[Group, ...]:
    unknown = [group for group in groups if group not in GROUPS]
    if unknown or not groups:
        raise ConfigError(f"groups must be some of {', '.join(GROUPS)}, at least one, got {list(groups)}.")
    return tuple(group for group in GROUPS if group in groups)


def _check_rank(rank: int, n_values: int) -> int:
    if not 1 <= rank <= n_values:
        raise ConfigError(
            mismatch(
                "rank must not exceed the image's observed values, less each channel's mean",
                expected=f"1 to {n_values}",
                got=rank,
                advice="Ask for fewer singular vectors.",
            )
        )
    return rank


def _fit_until(fit: Fit, step: int) -> Iterator[int]:
    """Take steps until there have been so many."""
    steps = iter(fit)
    while fit.step < step:
        iterate = next(steps, None)
        if iterate is None or (fit.reason is not None and fit.reason.outcome in (Outcome.DIVERGED, Outcome.COLLAPSED)):
            raise FitError(f"{fit.reason} Choose another seed, or lower optimizer.learning_rate.")
        yield fit.step


def _copy_state(source: nn.Module, target: nn.Module) -> None:
    """Copy parameters and buffers to a generator that is the same but for what computes it."""
    for pairs in (
        zip(source.parameters(), target.parameters(), strict=True),
        zip(source.buffers(), target.buffers(), strict=True),
    ):
        for value, own in pairs:
            own.detach().copy_(value.detach())


def _named(step: int, doing: str, computation: Paced[Any]) -> Generator[tuple[int, str], None, Any]:
    """Name what a computation does at each of its pauses."""
    while True:
        try:
            next(computation)
        except StopIteration as end:
            return end.value
        yield step, doing


def _signs(pairs: Eigenpairs) -> Tensor:
    """Of each vector's largest value."""
    largest = pairs.vectors.abs().argmax(0, keepdim=True)
    return pairs.vectors.gather(0, largest).sign()


def _numpy(values: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = values.cpu().numpy()
    return array
