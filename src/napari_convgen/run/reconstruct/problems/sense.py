"""Reconstruct the image of a magnetic resonance scan with several coils from undersampled k-space."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Complex
from numpy.typing import NDArray

from napari_convgen.config import AutoNoiseConfig, FourierConfig, GaussianNoiseConfig, operators_of
from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.image import HIGH, LOW, ArrayLike, Image, ImageTensor, Layout, Measured
from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.mri.kspace import MOST_CALIBRATION, KSpaceNoise, Sampling, check_kspace, find_sampling
from napari_convgen.core.mri.measured import MeasuredKSpace
from napari_convgen.core.mri.simulation import equispaced, ring_of_coils, slow_phase
from napari_convgen.core.operators.fourier import centered_fft
from napari_convgen.core.problem import Problem
from napari_convgen.core.snapshot import Units
from napari_convgen.core.stopping import Members
from napari_convgen.errors import InputError
from napari_convgen.run.reconstruct.problems.base import ALONE, SIMULATION, Given, InverseProblem, Observation
from napari_convgen.run.reconstruct.units import ReconstructionUnits
from napari_convgen.run.setup.build import random_source
from napari_convgen.run.setup.forecast import Seconds, check_memory
from napari_convgen.run.setup.guides import GuideStages, make_plug_and_play_guides
from napari_convgen.run.setup.inputs import as_array
from napari_convgen.run.setup.operator_guides import make_operator_guides, time_operator_guides
from napari_convgen.run.setup.prepared import Prepared

HEADROOM = 1.2
"""Largest magnitude that the generator can make, relative to that of the first image."""

PATIENCE = 4
"""Factor of the least patience: lines beyond the middle of k-space are little but noise, so that the error of those held out hardly falls
for a hundred steps, while the image gets much better. Chosen on heads 100 to 102 at 96 × 80 points, two of which ended too early."""

MATRIX_BYTES = 48
"""Bytes of an entry of the matrices that sensitivities are found by, one a pixel and pair of coils: complex, with two temporaries."""

COPIES = 12
"""Arrays of the size of k-space that are held at once: measurement, weights, predictions, and temporaries of the transforms."""

SIMULATED_BYTES = 112
"""Bytes of a point and coil while a scan is simulated: seven complex arrays, those of the noise included."""

FEWER = "Combine the coils into fewer"
"""What makes k-space need less memory."""

EMPTY = (
    "{} points that the mask says were sampled are 0 in all coils. If they were not sampled, the image is wrong: leave the mask out, which "
    "takes the points that are not 0."
)
"""Note on a mask that does not fit."""


class Sense(InverseProblem):
    """Reconstruct the image of a scan with several coils from undersampled k-space.

    Parameters
    ----------
    given
        K-space of a slice, complex, of the shape (coils, rows, columns), and the settings.
    coil_maps
        Sensitivities in the shape of k-space; ``None``, the default, estimates them from the calibration region.
    is_sampled
        Mask of the points that were sampled, of the shape (rows, columns), (rows, 1) for whole rows or (1, columns) for whole columns;
        ``None``, the default, takes those that are not 0.
    """

    operators = operators_of("sense")
    preset = "default"
    measures_image = False
    inputs: ClassVar[Mapping[str, str]] = {
        "coil_maps": "coil sensitivities",
        "is_sampled": "mask of the sampled points",
    }
    settings: ClassVar[Mapping[str, str]] = {"n_calibration": "operator.n_calibration"}

    def __init__(
        self, given: Given, *, coil_maps: ArrayLike | None = None, is_sampled: ArrayLike | None = None
    ) -> None:
        measured = np.asarray(as_array(given.image.data, "k-space"))
        kspace = _check(measured)
        mask = None if is_sampled is None else np.asarray(as_array(is_sampled, "mask of the sampled points"))
        maps = None if coil_maps is None else np.asarray(as_array(coil_maps, "coil sensitivities"))
        settings = given.config.operator
        assert isinstance(settings, FourierConfig)
        n_calibration = None if settings.n_calibration == "auto" else settings.n_calibration
        sampling = find_sampling(kspace, mask, n_calibration)
        noise = _noise(given, kspace, sampling)
        self.kspace = MeasuredKSpace.of(kspace, sampling, noise, maps)
        n_empty = 0 if mask is None else int((sampling.is_sampled & (kspace == 0).all(0)).sum())
        notes = (*_notes(self.kspace), *([EMPTY.format(n_empty)] if n_empty else ()))
        super().__init__(_PreparedKSpace(given, self.kspace), notes=notes, measured=measured)
        self._check_groups()

    @classmethod
    def observe(cls, given: Given, truth: NDArray[np.float64], rng: np.random.Generator, **inputs: Any) -> Observation:
        """Return the k-space of an image with a slowly varying phase, as coils around it see it.

        ``n_coils`` is 8 by default; one row in each ``acceleration``, by default 4, and ``operator.n_calibration`` of them in the middle,
        by default 24, are sampled.
        """
        if len(truth) != 1 or truth.ndim != 3 or truth.min() < 0:
            raise InputError(
                f"The truth of a scan must be an image of one channel without negative values, got {len(truth)} channels with values "
                f"from {truth.min():g}. Give a magnitude image of one slice."
            )
        if {"coil_maps", "is_sampled"} & inputs.keys():
            raise InputError(
                "A simulation makes its own coil sensitivities and sampling. Leave coil_maps and is_sampled out."
            )
        size = truth.shape[1], truth.shape[2]
        settings, acceleration = given.config.operator, inputs.get("acceleration", 4)
        assert isinstance(settings, FourierConfig)
        n_lines = MOST_CALIBRATION if settings.n_calibration == "auto" else settings.n_calibration
        if n_lines > size[0]:
            raise InputError(
                f"n_calibration must be at most {size[0]}, the number of rows, got {n_lines}. Choose fewer."
            )
        n_coils = inputs.get("n_coils", 8)
        check_memory(
            SIMULATED_BYTES * n_coils * truth.size, torch.device("cpu"), "Crop it, or use fewer coils.", SIMULATION
        )
        maps = ring_of_coils(size, n_coils)
        is_sampled = equispaced(size, acceleration, n_lines)
        image = torch.from_numpy(maps * truth[0] * slow_phase(size, rng))
        kspace = centered_fft(image, (1, 2)).numpy()
        return Observation(kspace, coil_maps=maps, is_sampled=is_sampled, axes="CYX")

    @property
    def units(self) -> Units:
        """Those of the scanner; images are complex."""
        return _ComplexUnits(self._operator_units, self.kspace)

    def difference(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return a difference for the coils as they are, in the units of the scanner."""
        return self.kspace.unwhitened(values * float(self._operator_units.unit[0]))

    def _check_groups(self) -> None:
        """Refuse k-space with nothing to hold out, if the stopping rule asks for it: it draws what it leaves out."""
        prepared, seed = self.prepared, self.prepared.config.seed
        rule = prepared.rule(self.scaled, seed)
        rule.members(prepared.problem(self.scaled), prepared.config.n_seeds, random_source(seed, 0))

    def baseline(self) -> NDArray[Any]:
        """Return the image of k-space that is 0 where it was not sampled."""
        problem = self.prepared.problem(self.scaled)
        operator = problem.forward_model
        assert isinstance(operator, LinearMap)
        nothing = problem.weights.new_full(operator.in_shape, (LOW + HIGH) / 2)
        image = nothing - operator.adjoint(problem.weights * problem.residual(nothing))
        return self.units.restore(image.cpu().numpy())

    @property
    def measurement_unit(self) -> float:
        """Units of the scanner in one of the generator's."""
        return self.kspace.unit * float(self._operator_units.unit[0])

    @property
    def extras(self) -> Mapping[str, NDArray[Any]]:
        """Coil sensitivities, where k-space was sampled, and the first image."""
        return {
            "coil_maps": self.kspace.coil_maps,
            "is_sampled": self.kspace.sampling.is_sampled,
            "first_image": self.kspace.image(np.asarray(self.prepared.image)),
        }

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Numbers of rows and columns."""
        return self.prepared.size

    @property
    def layout(self) -> Layout:
        """Rows and columns."""
        return Layout("YX", "YX")

    @property
    def dtype(self) -> np.dtype[Any]:
        """Complex numbers."""
        return np.dtype(np.complex64)

    def left_out(self) -> Iterator[str]:
        """Nothing of what was sampled is."""
        yield from ()


def _check(kspace: NDArray[Any]) -> Complex[np.ndarray, "coils y x"]:
    """Return k-space with a coil axis, checked, once there is memory to look at it."""
    n_coils = len(kspace) if kspace.ndim == 3 else 1
    check_memory(MATRIX_BYTES * n_coils * kspace.size, torch.device("cpu"), f"{FEWER}.")
    return check_kspace(kspace)


def _noise(given: Given, kspace: NDArray[Any], sampling: Sampling) -> KSpaceNoise:
    noise = given.config.noise
    if isinstance(noise, AutoNoiseConfig | GaussianNoiseConfig) and not isinstance(noise.sigma, str):
        return KSpaceNoise.known(math.sqrt(2) * noise.sigma, len(kspace))
    return KSpaceNoise.of(kspace, sampling.is_sampled)


def describe_kspace(
    kspace: NDArray[Any], is_sampled: NDArray[Any] | None = None, n_calibration: int | None = None
) -> str:
    """Return sentences on the size of k-space, and on where it was sampled.

    Parameters
    ----------
    kspace
        K-space of a slice, of the shape (coils, rows, columns).
    is_sampled, n_calibration
        As for `Sense`.

    Raises
    ------
    InputError, ShortMemoryError
        What cannot be reconstructed.
    """
    coils = _check(kspace)
    sampling = find_sampling(coils, is_sampled, n_calibration)
    return f"{len(coils)} coils, {coils.shape[1]} × {coils.shape[2]} points. {_describe(sampling)}"


def _describe(sampling: Sampling) -> str:
    what = "single points" if sampling.readout_axis is None else ("columns", "rows")[sampling.readout_axis]
    return (
        f"{sampling.is_sampled.sum()} of {sampling.is_sampled.size} points of k-space were sampled ({sampling.acceleration:.1f}-fold "
        f"acceleration), as {what}; {sampling.n_calibration} in the middle are for calibration."
    )


def _notes(kspace: MeasuredKSpace) -> Iterator[str]:
    yield _describe(kspace.sampling)
    if kspace.noise.is_bound:
        yield "The corners of k-space have signal, so that the noise is at most as strong as they are."


class _PreparedKSpace(Prepared):
    """The checked input of a fit to k-space: in the place of an image, the first one."""

    smaller = FEWER
    patience = PATIENCE

    def __init__(self, given: Given, kspace: MeasuredKSpace) -> None:
        self.kspace = kspace
        parts = kspace.first_image().numpy()
        super().__init__(
            Image(parts, notes=given.image.notes),
            given.config,
            axes="CYX",
            n_spared_threads=given.n_spared_threads,
            single=ALONE,
            operator=lambda shape: kspace.operator,
        )

    def scaled(self, number: int) -> ImageTensor:
        """Return the image in the generator's units: 0 is in the middle of them, of both parts."""
        frame = self.frame(number)
        whole = Measured.whole(frame, self.layout)
        most = HEADROOM * np.full(len(frame), np.hypot(*frame).max(), np.float64)
        image = replace(ImageTensor.of(frame, self.layout, None, whole), low=-most, high=most)
        return replace(image, values=image.scale(whole.values))

    def problem(self, image: ImageTensor) -> Problem:
        """Return the problem in the generator's units: k-space of an image that is shifted with its units."""
        operator, y = self.kspace.operator, self.kspace.measurement.to(self.device)
        unit = _unit(image)
        weights = torch.from_numpy(self.kspace.sampling.is_sampled).to(y.real).expand(y.shape).contiguous()
        middle = torch.full(operator.in_shape, (LOW + HIGH) / 2).to(weights)
        level = self.kspace.level / unit
        is_known = level > 0 and not self.kspace.noise.is_bound
        noise_level = torch.full((len(y),), level).to(weights) if is_known else None
        return Problem(y / unit + operator.apply(middle), weights, noise_level, operator=operator)

    def guides(
        self, problem: Problem, image: ImageTensor, members: Members, is_stopping: Callable[[], bool]
    ) -> GuideStages:
        """Make the estimates that guide the fit, from k-space; where nothing is held out, with the noise level alone to go by."""
        if not bool((problem.weights * (members.weights == 0)).any()):
            return make_plug_and_play_guides(problem, self.layout, members, is_stopping)
        start, noise = torch.as_tensor(image.values).to(problem.weights), (self.kspace.level / _unit(image)) ** 2
        return make_operator_guides(problem, start, members, noise, is_stopping)

    def time_guides(self, image: ImageTensor, fit: Fit) -> Seconds:
        """Return about how long these estimates take."""
        start = torch.as_tensor(image.values).to(fit.problem.weights)
        return time_operator_guides(fit.problem, start, len(fit.members)) if fit.is_mixed else Seconds()

    def generator_bytes(self, *args: Any, **changes: Any) -> int:
        """Return about how many bytes the fit takes, k-space included."""
        y = self.kspace.measurement
        return super().generator_bytes(*args, **changes) + COPIES * self.config.n_seeds * y.numel() * y.itemsize


def _unit(image: ImageTensor) -> float:
    """Units of the measurement in one of the generator's."""
    return float((image.high - image.low)[0]) / (HIGH - LOW)


@dataclass(frozen=True, eq=False)
class _ComplexUnits:
    """The conversion from the generator's two channels to a complex image in the units of the scanner."""

    parts: ReconstructionUnits
    kspace: MeasuredKSpace

    def restore(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the complex image."""
        return self.kspace.image(self.parts.restore(values))

    def restore_error(self, error: NDArray[Any], values: NDArray[Any]) -> NDArray[np.float32]:
        """Return the standard deviation of the complex image's error, both parts together."""
        parts = self.parts.restore_error(error, values)
        return np.asarray(np.abs(self.kspace.image(np.stack([np.hypot(*parts), np.zeros_like(parts[0])]))), np.float32)
