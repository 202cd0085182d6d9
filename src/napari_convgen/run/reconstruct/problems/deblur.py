"""Remove the blur of a point spread function from an image."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from napari_convgen.config import BlurConfig, MicroscopeConfig, operators_of
from napari_convgen.core.image.lengths import distances
from napari_convgen.core.operators.blurring import blurring
from napari_convgen.core.optics.point_spread import PointSpread
from napari_convgen.errors import ConfigError, InputError, mismatch
from napari_convgen.run.reconstruct.problems.base import Given, InverseProblem, Observation
from napari_convgen.run.setup.inputs import ImageLike, as_image
from napari_convgen.run.setup.point_spreads import point_spread

SAME_SIZE = 0.01
"""Relative difference of two pixel sizes that is none: files round them, and one percent changes a point spread function by less than the
noise of a measured one."""


class Deblur(InverseProblem):
    """Remove the blur of a point spread function.

    Parameters
    ----------
    given
        The blurred image and its settings.
    psf
        Point spread function over the spatial axes; ``None``, the default, for that of the settings. Of an `Image` that knows the distance
        between its pixels, it must be that of the blurred image.
    """

    operators = operators_of("deblur")
    inputs: ClassVar[Mapping[str, str]] = {"psf": "point spread function"}
    settings: ClassVar[Mapping[str, str]] = {
        name: f"operator.{name}" for kind in operators.values() for name in kind.model_fields if name != "kind"
    }
    replaced: ClassVar[Mapping[str, Collection[str]]] = {"psf": set(settings.values())}

    def __init__(self, given: Given, *, psf: ImageLike | None = None) -> None:
        spread = _point_spread(given, psf)
        prepared = given.prepare(operator=lambda shape: blurring(shape, spread))
        super().__init__(prepared, spread.field_of_view, spread.notes)

    @classmethod
    def observe(cls, given: Given, truth: NDArray[np.float64], rng: np.random.Generator, **inputs: Any) -> Observation:
        """Blur the truth, mirrored at its borders, by the point spread function ``psf`` or that of the settings."""
        spread = _point_spread(given, inputs.get("psf"))
        around = np.pad(truth, [(0, 0), *((margin, margin) for margin in spread.margins)], mode="reflect")
        blurred = blurring(truth.shape, spread).apply(torch.from_numpy(around)).numpy()
        return Observation(blurred, psf=spread.values, notes=spread.notes)


def _point_spread(given: Given, psf: ImageLike | None) -> PointSpread:
    """Return the point spread function that is given, or else that of the settings."""
    layout, settings = given.layout, given.config.operator
    size, apart = layout.spatial_shape(given.image.data.shape), distances(given.image, layout.axes)
    assert isinstance(settings, BlurConfig | MicroscopeConfig)
    if psf is None:
        return point_spread(settings, layout.spatial, size, apart)
    if isinstance(settings, MicroscopeConfig):
        raise ConfigError(
            f"A point spread function is given, and operator.kind = '{settings.kind}' computes another. Leave it out, or choose 'blur'."
        )
    return _measured_psf(psf, layout.spatial, apart)


def _measured_psf(psf: ImageLike, spatial: str, apart: Mapping[str, float]) -> PointSpread:
    """Return a point spread function that is given; refuse one whose pixels are known to have another size than the image's."""
    given = as_image(psf, "point spread function")
    spread = PointSpread.of(np.asarray(given.data))
    own = distances(given, spatial)
    for letter in spatial:
        if letter in own and letter in apart and not math.isclose(own[letter], apart[letter], rel_tol=SAME_SIZE):
            raise InputError(
                mismatch(
                    f"The point spread function must have the image's distance between pixels along {letter}",
                    expected=f"{apart[letter]:.4g} micrometers",
                    got=f"{own[letter]:.4g}",
                    advice="Resample it, or correct the scale of one of them.",
                )
            )
    return spread
