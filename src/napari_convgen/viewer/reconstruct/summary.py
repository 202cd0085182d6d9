"""A reconstruction in a few lines for the user."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from napari_convgen.core.image import magnitude
from napari_convgen.run.labels import format_place, format_seconds
from napari_convgen.viewer.reconstruct.request import ReconstructRequest

if TYPE_CHECKING:
    from napari_convgen.run.reconstruct.result import ReconstructResult


def summarize(result: ReconstructResult, request: ReconstructRequest, notes: Iterable[str]) -> str:
    """Say which step is kept and why, how well the image agrees with the measurement, and what the user should know.

    Parameters
    ----------
    result, request
        Result of the run, and what was asked of it.
    notes
        Those of the notes of the result that are not said elsewhere.
    """
    return "\n".join(_lines(result, request, notes))


def _lines(result: ReconstructResult, request: ReconstructRequest, notes: Iterable[str]) -> Iterator[str]:
    yield str(result.reason)
    off = float(np.sqrt(np.nanmean(np.square(magnitude(result.residual), dtype=np.float64))))
    yield f"The image agrees with the measurement to {off:.3g} (root mean square)."
    if result.prediction:
        yield result.prediction
    if not math.isinf(result.rho):
        yield f"It is the generator's, moved to where it agrees better (ρ = {result.rho:.2g})."
    if request.rounds_colors:
        yield f"Colors are rounded to {request.source.data.dtype}: napari shows others from 0 to 1 only."
    yield from notes
    yield f"{format_seconds(result.seconds)} on {format_place(result.device, result.backend, result.n_threads)}."
