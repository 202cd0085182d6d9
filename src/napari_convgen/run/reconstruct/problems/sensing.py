"""Reconstruct an image from fewer sums of its pixels than it has pixels: compressive sensing."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from napari_convgen.config import AutoNoiseConfig, GaussianNoiseConfig, WeightedSumsConfig, operators_of
from napari_convgen.core.baselines.inverse.held_out import choose_strength
from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.image import LOW, ArrayLike, Image, ImageTensor, Measured
from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.operators.sensing import cosine_sensing, gaussian_patterns, pattern_sensing
from napari_convgen.core.problem import Problem
from napari_convgen.core.regularized.plug_and_play import N_TURNS, with_likeliest_noise
from napari_convgen.core.regularized.smoothest import smoothest
from napari_convgen.core.stopping import Members
from napari_convgen.errors import ConfigError, InputError, mismatch
from napari_convgen.run.reconstruct.problems.base import ALONE, Given, InverseProblem, Observation
from napari_convgen.run.reconstruct.units import ReconstructionUnits
from napari_convgen.run.setup.build import random_source
from napari_convgen.run.setup.forecast import Seconds, check_memory
from napari_convgen.run.setup.guides import GUIDE_BYTES, GuideStages, make_plug_and_play_guides
from napari_convgen.run.setup.inputs import as_array
from napari_convgen.run.setup.prepared import Prepared

FORM = "Give a row of numbers, or one for each channel with axes = 'CX'."
"""Sentence on what is expected."""

SUM_NOISE = AutoNoiseConfig, GaussianNoiseConfig
"""Settings of noise that sums of pixels can have."""

TURNS, FIRST_LEVEL = 48, 0.05
"""Number of turns with the measurement, and noise level of the first: a sum of all pixels tells little of each, so that it takes more of
them. Chosen on the tuning images of benchmarks/inverse.py; twice as many gain 0.1 dB. Fewer in the trials of noise levels choose too low
ones, since they stop before the noise is fitted."""

FEWER = "Measure fewer pixels"
"""What makes sums of pixels need less memory."""

N_TRIALS = 6
"""Number of noise levels that are usually tried, for the forecast."""

HEADROOM = 0.1
"""Share of the range of the smoothest image by which that of the reconstruction is wider at each end: it is sharper. Our choice, no
benchmark."""

FIRST_STRENGTH = 0.01
"""Strength from which the search for that of the smoothest image begins; a better one is found from any."""

STRENGTH_SOURCE, TRIAL_SOURCE = 1_000_002, 1_000_003
"""Numbers of the sources of chance for the entries by which strengths and noise levels are compared."""


class Sensing(InverseProblem):
    """Reconstruct an image from weighted sums of all its pixels.

    Parameters
    ----------
    given
        The sums, a row of numbers or one for each channel, and the settings; NaN marks those that were not measured.
    patterns
        Weights of the pixels in each sum, of the shape (sums, rows, columns); ``None``, the default, draws them as the settings say.
    """

    operators = operators_of("sensing")
    measures_image = False
    inputs: ClassVar[Mapping[str, str]] = {"patterns": "patterns of weights"}
    settings: ClassVar[Mapping[str, str]] = {
        name: f"operator.{name}" for name in WeightedSumsConfig.model_fields if name != "kind"
    }
    replaced: ClassVar[Mapping[str, Collection[str]]] = {"patterns": set(settings.values())}

    def __init__(self, given: Given, *, patterns: ArrayLike | None = None) -> None:
        sums = _sums(given)
        noise = given.config.noise
        if noise.is_modeled and not isinstance(noise, SUM_NOISE):
            raise ConfigError(
                f"The noise of sums of pixels is Gaussian, got noise.kind = {noise.kind!r}. Choose 'auto', 'gaussian' or 'none'."
            )
        operator, norm = _operator(given, sums.shape, patterns)
        prepared = _PreparedSums(given, sums / norm, norm, operator)
        super().__init__(prepared, measured=np.asarray(given.image.data))

    @classmethod
    def observe(cls, given: Given, truth: NDArray[np.float64], rng: np.random.Generator, **inputs: Any) -> Observation:
        """Return as many sums as patterns are given, or a share ``measured`` of the number of pixels, 0.25 by default."""
        if truth.ndim != 3:
            raise InputError(f"The truth of compressive sensing must be an image, got {truth.ndim - 1} spatial axes.")
        n_channels, *size = truth.shape
        drawn: dict[str, Any] = {}
        if "patterns" in inputs:
            n_sums = len(np.asarray(as_array(inputs["patterns"], "patterns")))
        else:
            share = inputs.get("measured", 0.25)
            if share > 1:
                raise InputError(f"The share of sums must be above 0 and at most 1, got {share:g}.")
            n_sums = max(2, round(share * math.prod(size)))
            drawn = {"operator.n_rows": size[0], "operator.n_columns": size[1]}
        given = replace(given, config=given.config.replace(drawn))
        operator, norm = _operator(given, (n_channels, n_sums), inputs.get("patterns"))
        if operator.in_shape != truth.shape:
            raise InputError(_other_size(size, operator.in_shape[1:]))
        sums = norm * operator.apply(torch.from_numpy(truth)).numpy()
        return Observation(sums, axes="CX", settings=drawn)

    def difference(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return a difference of sums in their units."""
        return np.asarray(self._norm * super().difference(values), np.float32)

    @property
    def measurement_unit(self) -> float | None:
        """Units of the sums in one of the generator's."""
        unit = super().measurement_unit
        return None if unit is None else unit * self._norm

    @property
    def _norm(self) -> float:
        assert isinstance(self.prepared, _PreparedSums)
        return self.prepared.norm

    @property
    def extras(self) -> Mapping[str, NDArray[Any]]:
        """The first image, the smoothest one."""
        return {"first_image": self.units.restore(self.scaled.values)}

    def left_out(self) -> Iterator[str]:
        """Say how many sums are missing."""
        assert isinstance(self.prepared, _PreparedSums)
        if n_missing := int((~self.prepared.is_measured).sum()):
            yield f"{n_missing} missing (NaN) sums were left out."


def _sums(given: Given) -> Float[np.ndarray, "c n"]:
    """Return the sums of each channel, checked."""
    data, axes = np.asarray(as_array(given.image.data, "measurement")), given.axes or given.image.axes
    if data.dtype.kind not in "buif":
        raise InputError(f"Sums of pixels must be real numbers, got {data.dtype}. {FORM}")
    sums = data.astype(np.float64)
    if sums.ndim != 2 or (axes or "").upper() != "CX":
        sums = sums.reshape(1, -1) if sums.size == max(sums.shape, default=0) else sums
    if sums.ndim != 2 or (len(sums) > 1 and (axes or "").upper() != "CX"):
        raise InputError(
            f"The measurement of compressive sensing must be a row of numbers, got the shape {data.shape}. {FORM}"
        )
    if np.isinf(sums).any():
        raise InputError("Sums of pixels must be finite, and some are infinite. Mark what was not measured by NaN.")
    for number, channel in enumerate(sums):
        known = channel[~np.isnan(channel)]
        if len(known) < 2 or not known.any():
            raise InputError(
                f"There must be two sums of pixels at least, and not all of them 0, got {len(known)} in channel {number} (from 0). "
                "Measure more."
            )
    return sums


def _operator(given: Given, shape: tuple[int, ...], patterns: ArrayLike | None) -> tuple[LinearMap, float]:
    """Return the map from an image to its sums, scaled so that the rows of its matrix have a norm of 1 in the mean, and this norm.

    Parameters
    ----------
    given
        The settings.
    shape
        Numbers of channels and of sums of each.
    patterns
        Patterns of weights that are given.
    """
    settings = given.config.operator
    assert isinstance(settings, WeightedSumsConfig)
    n_channels, n_sums = shape
    if patterns is not None:
        weights = _patterns(patterns, n_sums)
    else:
        n_rows, n_columns = settings.n_rows, settings.n_columns
        if isinstance(n_rows, str) or isinstance(n_columns, str):
            raise InputError(
                "The sums do not tell the size of the image. Give n_rows and n_columns, or the patterns of weights."
            )
        check_memory(GUIDE_BYTES * n_channels * n_rows * n_columns, torch.device("cpu"), f"{FEWER}.")
        rng = random_source(settings.matrix_seed)
        if settings.matrix == "cosines":
            return cosine_sensing((n_channels, n_rows, n_columns), n_sums, rng), 1.0
        weights = gaussian_patterns((n_rows, n_columns), n_sums, rng)
    norm = float(weights.double().square().flatten(1).sum(1).mean().sqrt())
    return pattern_sensing(n_channels, weights / norm), norm


def _patterns(given: ArrayLike, n_sums: int) -> Float[Tensor, "n y x"]:
    """Return patterns of weights, checked."""
    patterns = np.asarray(as_array(given, "patterns"))
    if patterns.ndim != 3 or len(patterns) != n_sums:
        raise InputError(
            mismatch(
                "There must be a pattern of weights for each sum",
                expected=f"the shape ({n_sums}, rows, columns)",
                got=patterns.shape,
                advice="Give those of this measurement, in its order.",
            )
        )
    if patterns.dtype.kind not in "buif" or not np.isfinite(patterns).all():
        raise InputError("Patterns of weights must be finite real numbers. Replace those that are not.")
    if (patterns == patterns[0]).all():
        raise InputError(
            "All patterns of weights are the same: they tell one number of the image. Give different ones."
        )
    check_memory(2 * patterns.size * np.dtype(np.float32).itemsize, torch.device("cpu"), f"{FEWER}.")
    return torch.from_numpy(patterns.astype(np.float32))


def _other_size(size: Collection[int], got: Collection[int]) -> str:
    return mismatch(
        "The patterns of weights must have the size of the truth",
        expected=tuple(size),
        got=tuple(got),
        advice="Crop one of them.",
    )


class _PreparedSums(Prepared):
    """The checked input of a fit to sums of pixels: in the place of an image, the smoothest one that has them.

    Parameters
    ----------
    given
        The settings.
    sums
        Sums of each channel in units of the scaled operator; NaN where they are missing.
    norm
        Units of the measurement in one of these.
    operator
        The scaled operator.
    """

    smaller = FEWER

    def __init__(self, given: Given, sums: Float[np.ndarray, "c n"], norm: float, operator: LinearMap) -> None:
        self.is_measured, self.norm, self._map = ~np.isnan(sums), norm, operator
        self._y, self._weights = (
            torch.from_numpy(each.astype(np.float32)) for each in (np.nan_to_num(sums), self.is_measured)
        )
        first = _first_image(self._y, self._weights, operator)
        is_single = len(first) == 1
        super().__init__(
            Image(first[0] if is_single else first, notes=given.image.notes),
            given.config,
            axes="YX" if is_single else "CYX",
            n_spared_threads=given.n_spared_threads,
            single=ALONE,
            operator=lambda shape: operator,
        )

    def scaled(self, number: int) -> ImageTensor:
        """Return the image in the generator's units, whose range is wider than its own."""
        frame = self.frame(number)
        whole = Measured.whole(frame, self.layout)
        low, high = (end(whole.values, axis=(1, 2)) for end in (np.min, np.max))
        margin = HEADROOM * (high - low)
        image = replace(ImageTensor.of(frame, self.layout, None, whole), low=low - margin, high=high + margin)
        return replace(image, values=image.scale(whole.values))

    def problem(self, image: ImageTensor) -> Problem:
        """Return the problem in the generator's units: the sums of an image that is shifted and scaled."""
        units = ReconstructionUnits(image).unit
        low, unit = (torch.from_numpy(each).to(self._y)[:, None] for each in (image.low, units))
        shape = self._map.in_shape
        offset = self._map.apply((LOW - low / unit)[..., None].expand(shape).contiguous())
        return Problem(
            (self._y / unit + offset).to(self.device),
            self._weights.to(self.device),
            self._noise_level(unit[:, 0]),
            operator=self._map,
        )

    def _noise_level(self, unit: Tensor) -> Tensor | None:
        noise = self.config.noise
        if not isinstance(noise, SUM_NOISE) or isinstance(noise.sigma, str) or not noise.sigma:
            return None
        return (noise.sigma / self.norm / unit).to(self.device)

    def guides(
        self, problem: Problem, image: ImageTensor, members: Members, is_stopping: Callable[[], bool]
    ) -> GuideStages:
        """Make the estimates that guide the fit, with the noise level that predicts sums best which are held out, if none is given."""
        if self.config.noise.is_estimated and not is_stopping():
            source = random_source(self.config.seed, TRIAL_SOURCE)
            problem = with_likeliest_noise(problem, source, TURNS, FIRST_LEVEL)
        return (
            yield from make_plug_and_play_guides(
                problem, self.layout, members, is_stopping, TURNS, FIRST_LEVEL, n_share_turns=TURNS
            )
        )

    def time_guides(self, image: ImageTensor, fit: Fit) -> Seconds:
        """Return about how long these estimates take, the trials of noise levels included."""
        n_trials = 1 + N_TRIALS * self.config.noise.is_estimated
        return super().time_guides(image, fit) * (TURNS / N_TURNS * (1 + n_trials / len(fit.members)))


def _first_image(y: Tensor, weights: Tensor, operator: LinearMap) -> Float[np.ndarray, "c y x"]:
    """Return the smoothest image with these sums, as smooth as held-out ones ask for."""
    size = y.square().mean(1, keepdim=True).sqrt()
    problem = Problem(y / size, weights, operator=operator)
    strength = choose_strength(problem, smoothest, FIRST_STRENGTH, random_source(0, STRENGTH_SOURCE))
    image = size[..., None] * smoothest(problem, strength)
    if (image.flatten(1).amax(1) <= image.flatten(1).amin(1)).any():
        raise InputError("The sums of pixels are those of a constant image: there is nothing to reconstruct.")
    return np.asarray(image.numpy())
