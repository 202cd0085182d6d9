"""Remove the blur of a point spread function from an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from napari_convgen.config import BlurConfig, Config
from napari_convgen.core.image import ArrayLike
from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.operators.blurring import blurring
from napari_convgen.core.optics.point_spread import PointSpread, gaussian_psf
from napari_convgen.run.reconstruct.problems.base import Given, InverseProblem
from napari_convgen.run.setup.inputs import as_array


class Deblur(InverseProblem):
    """Remove the blur of a point spread function.

    Parameters
    ----------
    given
        The blurred image and its settings.
    psf
        Point spread function over the spatial axes; ``None``, the default, for the Gaussian one of the settings.
    """

    operator = BlurConfig
    inputs: ClassVar[Mapping[str, str]] = {"psf": "point spread function"}
    settings: ClassVar[Mapping[str, str]] = {"sigma": "operator.sigma"}

    def __init__(self, given: Given, *, psf: ArrayLike | None = None) -> None:
        measured = None if psf is None else PointSpread.of(np.asarray(as_array(psf, "point spread function")))

        def spread(n_axes: int) -> PointSpread:
            return _gaussian(given.config, n_axes) if measured is None else measured

        def operator(shape: Sequence[int]) -> LinearMap:
            return blurring(shape, spread(len(shape) - 1))

        prepared = given.prepare(operator=operator)
        used = spread(len(prepared.size))
        super().__init__(prepared, used.field_of_view, used.notes)


def _gaussian(config: Config, n_axes: int) -> PointSpread:
    assert isinstance(config.operator, BlurConfig)
    return gaussian_psf([config.operator.sigma] * n_axes)
