"""Enlarge an image whose pixels are means or samples of finer ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from napari_convgen.config import DownsamplingConfig, operators_of
from napari_convgen.core.fit.loop import Fit
from napari_convgen.core.image import ImageTensor
from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.problem import Problem
from napari_convgen.core.regularized.plug_and_play import without_doubtful_noise
from napari_convgen.core.stopping import Members
from napari_convgen.errors import InputError, mismatch
from napari_convgen.run.reconstruct.problems.base import Given, InverseProblem, Observation
from napari_convgen.run.setup.build import build_operator, random_source
from napari_convgen.run.setup.forecast import CROP, Seconds
from napari_convgen.run.setup.guides import GuideStages
from napari_convgen.run.setup.prepared import Prepared

TRIAL_SOURCE = 1_000_001
"""Number of the source of chance for the entries by which noise levels are compared, behind that of the operator's norm."""


class Enlarge(InverseProblem):
    """Enlarge an image whose pixels are means or samples of finer ones.

    Parameters
    ----------
    given
        The image and its settings.
    """

    operators = operators_of("enlarge")
    settings: ClassVar[Mapping[str, str]] = {"factor": "operator.factor", "weighting": "operator.weighting"}

    def __init__(self, given: Given) -> None:
        super().__init__(given.prepare(operator=partial(build_operator, given.config), kind=_PreparedSmall))

    @classmethod
    def observe(cls, given: Given, truth: NDArray[np.float64], rng: np.random.Generator, **inputs: Any) -> Observation:
        """Make larger pixels, as the settings say."""
        settings, size = given.config.operator, truth.shape[1:]
        assert isinstance(settings, DownsamplingConfig)
        factor = settings.factor
        if any(n % factor for n in size):
            raise InputError(
                mismatch(
                    f"The numbers of the truth's pixels must be multiples of the factor {factor}",
                    expected=tuple(n - n % factor for n in size),
                    got=size,
                    advice="Crop it.",
                )
            )
        operator = build_operator(given.config, (len(truth), *(n // factor for n in size)))
        return Observation(operator.apply(torch.from_numpy(truth)).numpy(), pixel_ratio=1 / factor)

    @property
    def pixel_ratio(self) -> tuple[int, ...]:
        """Enlargement along each spatial axis."""
        sizes = zip(self.prepared.image_size, self.prepared.size, strict=True)
        return tuple(large // n for large, n in sizes)

    def baseline(self) -> NDArray[Any]:
        """Return the mean of the values that a pixel was part of, weighted as it was; NaN where less than half of them were measured.

        That is an image of repeated pixels for the weighting ``"box"``, and an interpolated one for ``"lanczos"``.
        """
        problem = self.prepared.problem(self.scaled)
        operator = problem.forward_model
        assert isinstance(operator, LinearMap)
        is_seen = (problem.weights > 0).to(problem.weights.dtype)
        total, whole = (operator.adjoint(seen) for seen in (is_seen, torch.ones_like(is_seen)))
        mean = operator.adjoint(is_seen * problem.measurement) / total
        return self.units.restore(torch.where(total > whole / 2, mean, torch.nan).cpu().numpy())


class _PreparedSmall(Prepared):
    """The checked image to enlarge, whose estimated noise level is believed only if it predicts the image well."""

    smaller = f"{CROP}, or choose a smaller factor"

    def guides(
        self, problem: Problem, image: ImageTensor, members: Members, is_stopping: Callable[[], bool]
    ) -> GuideStages:
        """Make the estimates that guide the fit, without noise where that predicts the image clearly better."""
        if self.config.generator.is_plug_and_play and self.config.noise.is_estimated:
            source = random_source(self.config.seed, TRIAL_SOURCE)
            problem = without_doubtful_noise(problem, source, self.layout.is_color)
        return (yield from super().guides(problem, image, members, is_stopping))

    def time_guides(self, image: ImageTensor, fit: Fit) -> Seconds:
        """Return about how long that takes: the comparison about as long as the estimate."""
        return super().time_guides(image, fit) * 2
