"""Reconstruct the phase of a thin object from images through focus, or under an array of lights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_convgen.config import PhaseConfig, operators_of
from napari_convgen.core.baselines.inverse.phase import tuned_transport
from napari_convgen.core.fit.guides import Guides
from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.image import HIGH, LOW, ArrayLike, Image, ImageTensor, Layout, Measured
from napari_convgen.core.noise.estimate import estimate_noise
from napari_convgen.core.non_local import Stage
from napari_convgen.core.optics.zernike import FIRST, name_of
from napari_convgen.core.phase.calibration import Calibration, Estimate
from napari_convgen.core.phase.linear import LinearizedPhase
from napari_convgen.core.phase.measured import LEAST_SIDE, MeasuredImages
from napari_convgen.core.phase.refinement import refined_stages, take_few
from napari_convgen.core.phase.starts import Verdict, hold_out, try_starts
from napari_convgen.core.phase.visibility import check_determined, check_visible
from napari_convgen.core.problem import Problem
from napari_convgen.core.regularized.plug_and_play import measured_levels
from napari_convgen.core.snapshot import Units
from napari_convgen.core.stopping import Members
from napari_convgen.errors import InputError, mismatch
from napari_convgen.run.reconstruct.microscope import build_imaging, describe_imaging
from napari_convgen.run.reconstruct.problems.base import ALONE, SIMULATION, Given, InverseProblem, Observation
from napari_convgen.run.reconstruct.units import CenteredUnits
from napari_convgen.run.setup.build import random_source
from napari_convgen.run.setup.forecast import Seconds, check_memory
from napari_convgen.run.setup.guides import GuideStages
from napari_convgen.run.setup.inputs import as_array
from napari_convgen.run.setup.prepared import Prepared

STARTS, HELD_OUT = 2_000_000, 2_999_999
"""Numbers of the sources of chance of the starts, and of what they hold out; those before are the generators'."""

HEADROOM = 0.3
"""Share of half the range of the phase at the start by which that of the generator reaches beyond it, at either end."""

LEAST_RANGE = 0.2
"""Least range of the generator's phase in radians, for an object that hardly delays light."""

USUAL_STEPS = 14
"""Number of steps that a start usually takes, for a forecast of the share that is done, and of the time."""

COPIES = 24
"""Complex arrays of the size of the images that are held at once: fields, slopes by the aberrations, temporaries of the transforms."""

SIMULATED_COPIES = 8
"""Complex arrays of double precision of that size while images are simulated."""


class Phase(InverseProblem):
    """Reconstruct the phase of a thin object, and find the aberrations of the microscope with it.

    Parameters
    ----------
    given
        Intensities, ``(images, rows, columns)``, and the settings.
    depths
        Distance of each plane from the focus in micrometers; ``None``, the default, for equal steps.
    lights
        Direction of the light of each image along rows and columns, as sin θ times the refractive index; ``None``, the default, for a stack
        through focus.
    """

    operators = operators_of("phase")
    measures_image = False
    find_out_share = 0.5
    stop_doubt = (
        "The images hardly show coarse structure of the phase, so that the step that is kept can be some decibels worse than the best one. "
        "Choose the preset 'quick' or 'default', which need no such stop."
    )
    inputs: ClassVar[Mapping[str, str]] = {
        "depths": "distances of the planes from the focus",
        "lights": "directions of the lights",
    }
    settings: ClassVar[Mapping[str, str]] = {
        name: f"operator.{name}" for kind in operators.values() for name in kind.model_fields if name != "kind"
    }

    def __init__(self, given: Given, *, depths: ArrayLike | None = None, lights: ArrayLike | None = None) -> None:
        images = np.asarray(as_array(given.image.data, "stack"))
        if images.ndim == 2:
            images = images[np.newaxis]
        if images.ndim != 3 or images.dtype.kind not in "buif" or min(images.shape[1:]) < LEAST_SIDE:
            raise InputError(
                mismatch(
                    "Phase needs a stack of intensities",
                    expected=f"(images, rows, columns) of real numbers, {LEAST_SIDE} rows and columns at least",
                    got=f"{images.shape} of {images.dtype}",
                    advice="Give the planes through focus, or the images under each light, as one array.",
                )
            )
        self.imaging = imaging = build_imaging(given, images.shape, depths, lights)
        n_bytes = COPIES * 8 * imaging.n_images * math.prod(imaging.size)
        check_memory(n_bytes, torch.device("cpu"))
        check_visible(imaging)
        settings = given.config.noise
        options = settings.model_dump() if settings.is_modeled else {}
        measured = MeasuredImages.of(images, lambda x, seen: estimate_noise(x, seen, is_color=False, **options))
        doubts = check_determined(imaging, measured.level)
        self.calibration = Calibration(imaging, measured.values, measured.variance)
        self._light = measured.light
        self.verdict: Verdict | None = None
        prepared = _PreparedPhase(given, self.calibration, measured.is_observed)
        super().__init__(prepared, imaging.view, (describe_imaging(imaging), *doubts), images)

    @classmethod
    def observe(cls, given: Given, truth: NDArray[np.float64], rng: np.random.Generator, **inputs: Any) -> Observation:
        """Return the images of a phase in radians, the truth, mirrored at its borders.

        ``n_planes`` planes, by default 7, are ``operator.z_step`` apart, or the ``lights`` have a direction each. ``aberrations`` are the
        coefficients in radians from defocus on; by default there are none.
        """
        if len(truth) != 1 or truth.ndim != 3:
            raise InputError(
                f"The truth must be an image of one channel, the phase in radians, got {truth.shape}. Give one."
            )
        coefficients = [float(each) for each in inputs.get("aberrations", ())]
        chosen = given.config.replace({"operator.n_zernikes": len(coefficients)})
        assert isinstance(chosen.operator, PhaseConfig)
        n_planes = inputs.get("n_planes", len(inputs.get("depths", range(7))))
        shape = (n_planes if inputs.get("lights") is None else len(inputs["lights"]), *truth.shape[1:])
        imaging = build_imaging(
            replace(given, config=chosen), shape, inputs.get("depths"), inputs.get("lights"), is_truth=True
        )
        n_bytes = SIMULATED_COPIES * 16 * imaging.n_images * math.prod(imaging.size)
        check_memory(n_bytes, torch.device("cpu"), "Crop it, or use fewer images.", SIMULATION)
        around = np.pad(truth, [(0, 0), *((margin, margin) for margin in imaging.margins)], mode="reflect")
        parameters = torch.tensor([*coefficients, 0.0], dtype=torch.float64)
        images = imaging.joint(torch.from_numpy(around), parameters)[0].numpy()
        rows, columns = (imaging.factor * d for d in imaging.spacing)
        seen = Observation(images, depths=imaging.depths, spacing=(rows, columns), pixel_ratio=1 / imaging.factor)
        settings: dict[str, Any] = {}
        if seen.depth_step is not None:
            settings["operator.focus"] = -float(imaging.depths[0]) / seen.depth_step
        if chosen.operator.pixel_size != "auto":  # the camera's, which are larger than the truth's
            settings["operator.pixel_size"] = rows
        return replace(seen, settings=settings)

    def find_out(self, is_stopping: Callable[[], bool]) -> Iterator[tuple[NDArray[Any], float]]:
        """Find the aberrations and a phase near the one that is sought, from several starts; yield the phase so far, and the share done."""
        prepared, config = self._prepared, self.prepared.config
        settings = config.operator
        assert isinstance(settings, PhaseConfig)
        observed = prepared.is_observed
        out = (
            hold_out(self.imaging.model(prepared.estimate.parameters), observed, random_source(config.seed, HELD_OUT))
            * observed
        )
        rngs = [random_source(config.seed, STARTS + number) for number in range(settings.n_starts)]
        usual = USUAL_STEPS * (settings.n_starts + 1)
        for number, found in enumerate(try_starts(self.calibration, observed.to(out), out, rngs), 1):
            if isinstance(found, Verdict):
                self.verdict = found
                break
            yield found.image.cpu().numpy()[(slice(None), *self.imaging.view)][0], min(0.99, number / usual)
            if is_stopping():
                self.notes = (*self.notes, "Stopped before the aberrations were found: the phase may be wrong.")
                prepared.estimate = found
                self._restart()
                return
        assert self.verdict is not None
        estimate = self.verdict.estimate
        for better in self.calibration.improve(estimate, observed.to(out), stronger=1.0):
            estimate = better
            if is_stopping():
                break
        prepared.estimate = estimate
        self.notes = (*self.notes, *self._findings(estimate))
        self._restart()

    @property
    def _prepared(self) -> _PreparedPhase:
        assert isinstance(self.prepared, _PreparedPhase)
        return self.prepared

    def _restart(self) -> None:
        """Take the units of the phase that was found."""
        super().__init__(self.prepared, self.imaging.view, self.notes, self.measured)

    def _findings(self, estimate: Estimate) -> Iterator[str]:
        assert self.verdict is not None
        yield from self.verdict.doubts
        if self.verdict.n_rejected:
            n, n_starts = self.verdict.n_rejected, len(self.verdict.starts)
            rejected = "was rejected: it explains" if n == 1 else "were rejected: they explain"
            yield f"{n} of {n_starts} starts {rejected} the images clearly worse."
        if self.imaging.n_zernikes:
            found = estimate.parameters[:-1].tolist()
            largest = max(range(len(found)), key=lambda i: abs(found[i]))
            total = math.sqrt(sum(each**2 for each in found))
            yield (
                f"The aberrations that were found are {total:.2g} radians (root mean square), the largest {name_of(FIRST + largest)} "
                f"({found[largest]:.2g})."
            )

    @property
    def units(self) -> Units:
        """Radians, with a mean of 0."""
        return CenteredUnits(self._operator_units)

    def residual(self, values: Tensor, image: NDArray[Any]) -> NDArray[Any]:
        """Return the predicted minus the measured images, in their units; NaN where nothing was measured."""
        low, unit = _range(self.scaled)
        estimate, calibration = self._prepared.estimate, self.calibration
        y = calibration.measurement
        problem = Problem(y, torch.ones_like(y), operator=self.imaging.model(estimate.parameters))
        residual = problem.residual(low + unit * values.to(y))
        kept = torch.where(self._prepared.is_observed.to(y.device), residual, torch.nan)
        return self._light * kept.cpu().numpy()

    def difference(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return a difference of measurements of the linear problem in the units of the images."""
        problem = self.prepared.problem(self.scaled)
        assert problem.noise_level is not None
        deviation = self._prepared.linearized.deviation.cpu().numpy()
        return np.asarray(self._light / float(problem.noise_level[0]) * deviation * values)

    @property
    def has_baseline(self) -> bool:
        """True for planes at two distances from the focus under one light."""
        return len(np.unique(self.imaging.depths)) > 1 and not self.imaging.waves.any()

    def baseline(self) -> NDArray[Any]:
        """Return the phase in radians by the transport of intensity, which takes the objective as perfect."""
        phase = tuned_transport(self.imaging, self.calibration.measurement.cpu())[0].numpy()[self.imaging.view]
        return np.asarray(phase - phase.mean(dtype=np.float64), np.float32)

    @property
    def measurement_unit(self) -> float:
        """Units of the measurement in one of the generator's, where the noise is as strong as in the mean."""
        problem = self.prepared.problem(self.scaled)
        assert problem.noise_level is not None
        deviation = self._prepared.linearized.deviation
        return self._light * float(deviation.square().mean().sqrt()) / float(problem.noise_level[0])

    @property
    def held_out_error(self) -> float | None:
        """Root mean square error of the best start at entries held out, in the units of the images."""
        if self.verdict is None:
            return None
        deviation = self._prepared.linearized.deviation
        return (
            self._light
            * float(deviation.square().mean().sqrt())
            * math.sqrt(self.verdict.starts[self.verdict.best].error)
        )

    @property
    def extras(self) -> Mapping[str, NDArray[Any]]:
        """Aberrations in radians, and the phase of the pupil; held-out errors of the starts, and of the twin at the end."""
        found = self._prepared.estimate.parameters[:-1].double().cpu().numpy()
        extras = {"zernikes": found, "pupil": self.imaging.aberration(found.tolist()).astype(np.float32)}
        if self.verdict is not None:
            each = [*self.verdict.starts, self.verdict.twin]
            extras["held_out_errors"] = np.array([start.error for start in each])
        return extras

    def aligned(self, reference: NDArray[Any]) -> NDArray[Any]:
        """Return a truth with a mean of 0: no image shows the mean of a phase."""
        return np.asarray(reference, np.float64) - float(np.nanmean(reference))

    def place(self, image: NDArray[Any]) -> Image:
        """Return a phase with the distance between its pixels in micrometers."""
        return Image(image, "YX", self.imaging.spacing, ("micrometer", "micrometer"))

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Numbers of rows and columns of the phase."""
        return tuple(part.stop - part.start for part in self.imaging.view)

    @property
    def layout(self) -> Layout:
        """Rows and columns."""
        return Layout("YX", "YX")

    def left_out(self) -> Iterator[str]:
        """Say how much was not measured."""
        n = int((~self._prepared.is_observed).sum())
        if n:
            yield f"{n} values that are not a number are left out of the fit."


class _PreparedPhase(Prepared):
    """The checked input of a fit to images of a phase: in the place of an image, the phase near which the images are linear."""

    def __init__(self, given: Given, calibration: Calibration, is_observed: Tensor) -> None:
        self.calibration, self.is_observed = calibration, is_observed
        self._linearized: LinearizedPhase | None = None
        self._estimate = calibration.start(random_source(0, STARTS))
        super().__init__(
            Image(self._estimate.image[0].cpu().numpy(), notes=given.image.notes),
            given.config,
            axes="YX",
            n_spared_threads=given.n_spared_threads,
            single=ALONE,
            operator=lambda shape: calibration.imaging.linearized(self._estimate.image, self._estimate.parameters),
        )

    @property
    def estimate(self) -> Estimate:
        """Object and parameters near which the images are linear."""
        return self._estimate

    @estimate.setter
    def estimate(self, estimate: Estimate) -> None:
        self._estimate, self._linearized = estimate, None

    @property
    def linearized(self) -> LinearizedPhase:
        """The linear problem near the estimate."""
        if self._linearized is None:
            self._linearized = LinearizedPhase.of(self.calibration, self._estimate)
        return self._linearized

    def scaled(self, number: int) -> ImageTensor:
        """Return the phase of the estimate in the generator's units."""
        phase = self._estimate.image.cpu().numpy()
        seen = phase[(slice(None), *self.calibration.imaging.view)]
        middle, half = (seen.max() + seen.min()) / 2, max(seen.max() - seen.min(), LEAST_RANGE) / 2
        whole = Measured.whole(phase[0], self.layout)
        low, high = (np.full(1, middle + sign * (1 + HEADROOM) * half, np.float64) for sign in (-1, 1))
        image = replace(ImageTensor.of(phase[0], self.layout, None, whole), low=low, high=high)
        return replace(image, values=image.scale(whole.values))

    def problem(self, image: ImageTensor) -> Problem:
        """Return the linear problem in the generator's units."""
        low, unit = _range(image)
        weights = self.is_observed.to(self.device, torch.float32)
        return self.linearized.problem(low, unit, weights)

    def guides(
        self, problem: Problem, image: ImageTensor, members: Members, is_stopping: Callable[[], bool]
    ) -> GuideStages:
        """Make the phase that guides the fit, from all images: a network that is mixed in has seen no less."""
        config, weights = self.config, problem.weights
        out = hold_out(problem.forward_model, self.is_observed, random_source(config.seed, HELD_OUT)).to(weights)
        whole = torch.full(problem.forward_model.in_shape, 0.5).to(weights)
        for stage in refined_stages(problem, weights, out):
            whole = stage.image
            yield Stage(whole.cpu().numpy(), stage.share)
            if is_stopping():
                break
        return Guides(whole, torch.stack([whole] * len(members)), noise_level=measured_levels(problem).flatten())

    def time_guides(self, image: ImageTensor, fit: Fit) -> Seconds:
        """Return about how long it takes to find the aberrations and to make the guides, measured on a few steps of each."""
        settings, problem = self.config.operator, fit.problem
        assert isinstance(settings, PhaseConfig)
        observed = self.is_observed.to(self._estimate.image)
        start = torch.as_tensor(image.values).to(problem.weights)
        total = Seconds()
        for _ in range(2):  # the first time loads what is needed
            began = Seconds.now()
            next(self.calibration.improve(self._estimate, observed, stronger=1.0))
            total = (Seconds.now() - began) * (USUAL_STEPS * (settings.n_starts + 1))
            began = Seconds.now()
            for usual in take_few(problem, start):
                total += (Seconds.now() - began) * usual
                began = Seconds.now()
        return total

    def generator_bytes(self, *args: Any, **changes: Any) -> int:
        """Return about how many bytes the fit takes, fields of the light included."""
        imaging = self.calibration.imaging
        return super().generator_bytes(*args, **changes) + COPIES * 8 * imaging.n_images * math.prod(imaging.size)


def _range(image: ImageTensor) -> tuple[float, float]:
    """Return the phase of the generator's 0, and of one of its units, in radians."""
    zero, one = (float(image.low[0]) + (x - LOW) * _unit(image) for x in (0.0, 1.0))
    return zero, one - zero


def _unit(image: ImageTensor) -> float:
    return float((image.high - image.low)[0]) / (HIGH - LOW)
