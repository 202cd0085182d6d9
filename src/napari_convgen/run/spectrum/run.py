"""Look at a generator's Jacobian beside an image: the verb under the command line, a widget and the Python function."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_convgen.config import GENERATOR_ALONE, Config
from napari_convgen.core import generators
from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.image import ImageTensor
from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.pace import Paced
from napari_convgen.core.spectra.descent import Descent, paced_descent
from napari_convgen.core.spectra.eigenpairs import n_eigenpair_products, paced_eigenpairs
from napari_convgen.core.spectra.jacobian import GROUPS, Group, gram, module_jacobian, observed
from napari_convgen.core.spectra.sensitivity import paced_sensitivity, paced_tail
from napari_convgen.core.spectra.subspaces import energy_shares, paced_alignment, principal_angles
from napari_convgen.errors import ConfigError, FitError
from napari_convgen.run.reconstruct.entries import Entries, as_array
from napari_convgen.run.reconstruct.look import pose_look
from napari_convgen.run.setup.build import random_source
from napari_convgen.run.setup.devices import Backend
from napari_convgen.run.setup.fits import denoising_fit
from napari_convgen.run.setup.forecast import check_memory, free_bytes
from napari_convgen.run.setup.host_state import with_isolation
from napari_convgen.run.setup.inputs import ImageLike, resolve_config
from napari_convgen.run.spectrum.fitted import copy_state, fit_until
from napari_convgen.run.spectrum.options import check_groups, check_rank, check_steps
from napari_convgen.run.spectrum.progress import INSTRUMENT, SpectrumForecast, SpectrumProgress, named
from napari_convgen.run.spectrum.result import FITTED, Spectrum, SpectrumResult
from napari_convgen.run.task import Task

N_NOISE_DRAWS = 20
"""Number of noise images that the image's alignment is compared with: enough for a mean and a spread."""

N_SENSITIVITY_PROBES = 24
"""Number of random vectors that the sensitivity is estimated with: a standard error of about 30 % a pixel, see `benchmarks/spectrum.py`."""

N_TAIL_PRODUCTS = 30
"""Number of products for the singular values beyond the largest, see `benchmarks/spectrum.py`."""

TINY = torch.finfo(torch.float32).tiny
"""Least singular value that an error is divided by: a bound against division by zero."""

N_DESCENT_PRODUCTS = 100
"""Number of products for each of the two quadratures; the last step predicted is their square."""

N_MATRICES = 5
"""Number of matrices as large as all singular vectors that are held at once beside those of each step."""

RANDOM_SOURCES = 1000
"""First number of the task's own sources of chance; the generators have those before."""


def own_settings(at_steps: Sequence[int]) -> dict[str, Any]:
    """Return the settings of every spectrum: of a single generator, in float32, that no rule stops before the last of these steps."""
    return {"n_seeds": 1, "stopping.kind": "fixed", "precision": "float32", "n_steps": max([1, *at_steps])}


class SpectrumTask(Task[SpectrumProgress, SpectrumResult]):
    """Compute the spectrum of a generator's Jacobian at one or several steps, beside an image.

    The image goes through the same model of the noise and the same scaling as when it is denoised. A stop ends the task after the next
    product.

    Parameters
    ----------
    image
        Noisy array that is a single frame; see `napari_convgen.run.setup.prepared.Prepared`.
    config
        Configuration of the generator and, for later steps, its fit: that of all pixels, by a single generator, in single precision.
        Or the name of a preset; ``None`` for the preset ``"deep-decoder"``.
    axes
        One letter for each axis of ``image``; guessed if ``None``.
    n_spared_threads
        Number of threads that ``n_threads = "auto"`` leaves to others, such as a window; default 0.
    rank
        Number of singular values and vectors, at most as many as the image has values, without each channel's mean; default 100.
    n_passes
        Number of passes of the subspace iteration, at least 1; default 2. More make the last of the singular vectors more exact.
    at_steps
        Steps of the fit at which the Jacobian is computed, from 0, which is the start; default only 0.
    groups
        Groups of parameters that the Jacobian is taken for: ``"convolutions"``, ``"norms"``, ``"output"``; default all.
    problem
        Name of the problem that the image is the measurement of, such as ``"deblur"`` or ``"sense"``: then the Jacobian is that of the
        measurement of the generator's image; of ``"phase"``, near the phase that is found first. ``None``, the default, for the generator's
        image itself.
    **inputs
        What the problem needs beside the image, as for `napari_convgen.reconstruct`.

    Attributes
    ----------
    at_steps, groups
        Steps and groups in order, each once.
    look
        The checked image or measurement.

    Raises
    ------
    InputError, ConfigError, DeviceError, ShortMemoryError
        What cannot be done, in a sentence.
    """

    def __init__(
        self,
        image: ImageLike,
        config: Config | str | None = None,
        *,
        axes: str | None = None,
        n_spared_threads: int = 0,
        rank: int = 100,
        n_passes: int = 2,
        at_steps: Sequence[int] = (0,),
        groups: Collection[Group] = GROUPS,
        problem: str | None = None,
        **inputs: Any,
    ) -> None:
        self.at_steps = check_steps(at_steps)
        self.groups = check_groups(groups)
        single = "The spectrum is that of a single image"
        whole = resolve_config(config, default=GENERATOR_ALONE).replace(own_settings(self.at_steps))
        self.look = pose_look(problem, image, whole, axes, n_spared_threads, single, inputs)
        super().__init__(self.look.prepared)
        self._take_problem()
        self.rank, self.n_passes = check_rank(rank, self._entries.centered.n_values, self._n_parameters()), n_passes
        if n_passes < 1:
            raise ConfigError(f"n_passes must be at least 1, got {n_passes}.")
        check_memory(self.n_bytes, self.device, self.prepared.memory_advice)
        self._spectra: list[Spectrum] = []
        self._first_vectors: Tensor | None = None
        self._n_done = 0
        self._found, self._seconds_before = float(not self.look.has_instrument), 0.0
        self._computation = self._go_through()

    @property
    def scaled(self) -> ImageTensor:
        """Frame in the generator's units; where the measurement is no image, what takes its place."""
        return self.look.scaled

    def _take_problem(self) -> None:
        self._problem = self.look.problem()
        self._entries = Entries(self._problem, self.look.measures_image)

    @property
    def n_products(self) -> int:
        """Number of products with the Jacobian, for all steps."""
        n_each = n_eigenpair_products(self._entries.image.numel(), self.rank, self.n_passes)
        n_each += 0 if self.look.measures_image else self.rank
        n_each += 1 + N_NOISE_DRAWS + N_SENSITIVITY_PROBES + N_TAIL_PRODUCTS
        has_descent = self._problem.noise_level is not None and 0 in self.at_steps
        return n_each * len(self.at_steps) + 2 * N_DESCENT_PRODUCTS * has_descent

    @property
    def n_bytes(self) -> int:
        """Bytes at the peak, about: the generator with its derivative, and the vectors."""
        generator = 2 * self.prepared.generator_bytes(len(self.scaled.values), "torch")
        n_matrices = N_MATRICES + len(self.at_steps)
        return generator + torch.float32.itemsize * n_matrices * self.rank * self._entries.image.numel()

    @property
    def has_result(self) -> bool:
        """True once the Jacobian of a step is done."""
        return bool(self._spectra)

    def forecast(self) -> SpectrumForecast:
        """Predict memory and time: two products are taken, timed and forgotten."""

        def products() -> Iterator[float]:
            linear_map = self._entries.jacobian(self._jacobian(self._generator("torch")))
            image = torch.zeros_like(self._entries.image).flatten()
            for _ in range(3):
                started = time.perf_counter()
                float(gram(linear_map)(image).sum())
                yield time.perf_counter() - started

        n_free = free_bytes(self.device)
        _, *seconds = with_isolation(products(), self.n_threads)
        return SpectrumForecast(
            n_bytes=self.n_bytes,
            n_bytes_free=n_free,
            seconds_per_product=min(seconds),
            n_products=self.n_products,
            n_steps=self.at_steps[-1],
            device=str(self.device),
            n_threads=self.n_threads,
            leaves_out_search=self.look.has_instrument,
        )

    def _advance(self) -> Iterator[SpectrumProgress]:
        n_total = self.n_products + self.at_steps[-1]

        def counted() -> Iterator[tuple[int, str]]:
            for place in self._computation:
                self._n_done += place[1] != INSTRUMENT
                if self._is_stopping:
                    self._computation.close()
                    return
                yield place

        for step, doing in self._paced(counted()):
            if doing == INSTRUMENT:
                self._seconds_before = self._seconds
            pace = {"seconds": self._seconds, "seconds_before": self._seconds_before}
            search = {"before": self.look.find_out_share, "found": self._found}
            yield SpectrumProgress(step=step, doing=doing, n_done=self._n_done, n_total=n_total, **pace, **search)

    def _let_go(self) -> None:
        self._computation.close()

    def result(self) -> SpectrumResult:
        """Return what there is: all steps, or those that were done before a stop.

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
            config=self.prepared.config_again,
            image=self.scaled,
            notes=tuple(self._notes()),
            seconds=self._seconds,
            device=str(self.device),
            n_threads=self.n_threads,
            units=None if self.look.measures_image else self.look.units,
            field_of_view=self.look.field_of_view,
        )

    def _notes(self) -> Iterator[str]:
        if n_left := len(self.at_steps) - len(self._spectra):
            yield f"{n_left} of {len(self.at_steps)} steps were not looked at."
        if self._problem.noise_level is None:
            yield "The noise level is not known: the descent is not predicted."
        elif self.at_steps[-1] > 0:
            yield FITTED
        if self.config.generator.draws_from_image:
            yield (
                "The network's input is the image, or its own result so far: its noise is among the first singular vectors, and the "
                "descent is predicted as if the input stayed as it is."
            )
        if self._problem.correlation_length > 1:
            yield "The noise is correlated: the generator fits it sooner than the white noise that it is compared with."
        yield from self.look.notes()

    def _go_through(self) -> Generator[tuple[int, str], None, None]:
        """Pause after each product and each step of the fit."""
        if self.look.has_instrument:
            for share in self.look.find_out(lambda: self._is_stopping):
                self._found = share
                yield 0, INSTRUMENT
            self._take_problem()
        generator = self._generator("torch")
        fit: Fit | None = None
        for at_step in self.at_steps:
            if at_step > 0:
                fit = self._new_fit() if fit is None else fit
                for step in fit_until(fit, at_step):
                    yield step, "fit"
                copy_state(fit.generator, generator)
            spectrum = yield from self._look_at(generator, at_step)
            self._spectra.append(spectrum)

    def _look_at(self, generator: generators.Generator, step: int) -> Generator[tuple[int, str], None, Spectrum]:
        """Take the Jacobian apart."""
        entries, image = self._entries, self._entries.image
        images = self._jacobian(generator)
        whole = entries.jacobian(images)
        part = observed(whole, entries.centered)
        rng = random_source(self.config.seed, RANDOM_SOURCES + step)
        pairs = yield from named(
            step, "singular vectors", paced_eigenpairs(gram(part), image.flatten(), self.rank, self.n_passes, rng)
        )
        alignment, draws = yield from named(
            step, "alignment", paced_alignment(part, image, entries.centered, N_NOISE_DRAWS, rng)
        )
        sensitivity = yield from named(step, "sensitivity", paced_sensitivity(part, pairs, N_SENSITIVITY_PROBES, rng))
        tail = yield from named(step, "other singular values", paced_tail(gram(part), pairs, N_TAIL_PRODUCTS, 1, rng))
        descent: Descent | None = None
        if step == 0 and (level := entries.noise_level) is not None:
            with torch.no_grad():
                start = generator.eval()()
            descent = yield from named(step, "descent", self._predict(whole, start[0], level, rng))
        signs = pairs.signs
        vectors = pairs.vectors * signs
        if self._first_vectors is None:
            self._first_vectors = vectors
        measured_as: Tensor | None = None
        if not self.look.measures_image:
            found = yield from named(step, "images of the vectors", entries.images(images, part, pairs))
            measured_as = signs.view(-1, *(1,) * (found.ndim - 1)) * found
        values = pairs.values.sqrt()
        length = float(image.norm())
        return Spectrum(
            step=step,
            singular_values=as_array(values),
            errors=as_array(torch.minimum(pairs.errors / values.clamp_min(TINY), pairs.errors.sqrt())),
            left_vectors=entries.shaped(vectors),
            coefficients=as_array(vectors.T @ image.flatten()),
            image_energy=as_array(energy_shares(vectors, image.flatten())),
            noise_energy=np.arange(1, self.rank + 1) / entries.centered.n_values,
            sensitivity=entries.power(sensitivity.values),
            sensitivity_error=entries.error(sensitivity.errors),
            trace=sensitivity.trace,
            trace_error=sensitivity.trace_error,
            tail_ranks=as_array(tail.ranks),
            tail_values=as_array(tail.values.sqrt()),
            alignment=alignment / length,
            noise_alignment=as_array(draws / length),
            descent=descent,
            angles=as_array(principal_angles(self._first_vectors, vectors)),
            images=None if measured_as is None else as_array(measured_as),
            levels=None if entries.levels is None else as_array(entries.levels),
        )

    def _predict(self, whole: LinearMap, start: Tensor, levels: Tensor, rng: torch.Generator) -> Paced[Descent]:
        """Predict the descent to the observed values, their means among them."""
        entries = self._entries

        def gram_at_places(values: Tensor) -> Tensor:
            return entries.gathered(gram(whole)(entries.spread(values)))

        return paced_descent(gram_at_places, entries.residual(start), levels, rng, N_DESCENT_PRODUCTS)

    def _n_parameters(self) -> int:
        """Return the number of parameters that the spectrum is about, which is the largest rank of the Jacobian."""
        generator = self._generator("torch")
        named = generator.named_parameters()
        return sum(each.numel() for name, each in named if generator.parameter_group(name) in self.groups)

    def _jacobian(self, generator: generators.Generator) -> LinearMap:
        return module_jacobian(generator, self.groups)

    def _generator(self, backend: Backend) -> generators.Generator:
        problem = self._problem
        built = self.prepared.generator(self.scaled, [0], self.config.seed, backend)
        built.prepare(problem.measurement[None], problem.weights[None], problem.noise_level, problem.noise_spectrum)
        return built

    def _new_fit(self) -> Fit:
        return denoising_fit(self.prepared, self.scaled, self.config.seed, 1, max_bytes=0, units=self.look.units)


def spectrum(
    image: ImageLike,
    config: Config | str | None = None,
    *,
    axes: str | None = None,
    seed: int | None = None,
    device: str | None = None,
    callback: Callable[[SpectrumProgress], None] | None = None,
    rank: int = 100,
    n_passes: int = 2,
    at_steps: Sequence[int] = (0,),
    groups: Collection[Group] = GROUPS,
    problem: str | None = None,
    **inputs: Any,
) -> SpectrumResult:
    """Compute what a generator's Jacobian says of an image: singular values and vectors, energies, sensitivity, alignment, descent.

    Parameters
    ----------
    image, axes, seed, device
        As for `napari_convgen.denoise`; the image is a single frame.
    config
        Configuration, or name of a preset that fits a generator alone: ``"deep-decoder"``, ``"paper"``, ``"paper-narrow"`` or
        ``"deep-image-prior"``; ``None``, the default, for ``"deep-decoder"``.
    callback
        Function that is called with each `SpectrumProgress`, every 50 ms.
    rank, n_passes, at_steps, groups, problem, **inputs
        As for `SpectrumTask`.

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
    chosen = resolve_config(config, {"seed": seed, "device": device}, default=GENERATOR_ALONE)
    options = {"rank": rank, "n_passes": n_passes, "at_steps": at_steps, "groups": groups}
    task = SpectrumTask(image, chosen, axes=axes, problem=problem, **(inputs | options))
    return task.finish(callback)
