"""Enlarge an image whose pixels are means or samples of finer ones."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from napari_convgen.config import DownsamplingConfig
from napari_convgen.run.reconstruct.problems.base import Given, InverseProblem
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

    @property
    def pixel_ratio(self) -> tuple[int, ...]:
        """Enlargement along each spatial axis."""
        sizes = zip(self.prepared.image_size, self.prepared.size, strict=True)
        return tuple(large // n for large, n in sizes)
