"""Enlarge an image whose pixels are means or samples of finer ones."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from napari_convgen.config import DownsamplingConfig
from napari_convgen.errors import InputError, mismatch
from napari_convgen.run.reconstruct.problems.base import Given, InverseProblem, Observation
from napari_convgen.run.setup.build import build_operator


class Enlarge(InverseProblem):
    """Enlarge an image whose pixels are means or samples of finer ones.

    Parameters
    ----------
    given
        The image and its settings.
    """

    operator = DownsamplingConfig
    settings: ClassVar[Mapping[str, str]] = {"factor": "operator.factor", "weighting": "operator.weighting"}

    def __init__(self, given: Given) -> None:
        super().__init__(given.prepare(operator=partial(build_operator, given.config)))

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
