"""What a reconstruction returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.config import Config
from napari_convgen.core.image import Layout
from napari_convgen.core.snapshot import Snapshot, StopReason


@dataclass(frozen=True, eq=False)
class ReconstructResult:
    """The outcome of a reconstruction.

    Attributes
    ----------
    image
        Reconstructed image in the measurement's units, near the generator's and in agreement with the measurement; float32 but for
        ``"inpaint"``. It has the measurement's axes, with more pixels along them for ``"enlarge"``.
    generator_image
        Image of the generator at the step that is kept.
    rho
        Weight of the distance between both, relative to the squared norm of the operator; infinite if they are the same.
    residual
        Difference between the measurement that ``image`` predicts and the actual one, in its units, channels first; NaN where nothing was
        measured.
    config
        Configuration that reproduces it.
    measurement_error
        Root mean square error with which entries of the measurement are predicted that were held out, noise included, in the units of
        the measurement: it is not the error of the image. ``None`` if nothing was held out, or channels have different units.
    extras
        Other results by name. ``"sense"`` has ``coil_maps``, ``is_sampled`` and ``start``, the image that the reconstruction starts from.
    step
        Step that is kept.
    reason
        Reason why the fit ended.
    seed
        Seed of the start that led here: the configuration's, or a later one after a restart.
    loss, criterion
        Loss and criterion by step, from step 1; the criterion is NaN where the rule has none.
    snapshots
        Images of the generator at some steps; the one at ``step`` is among them.
    notes
        Sentences that the user should know.
    pixel_ratio
        Number of the image's pixels in one of the measurement along each spatial axis: 1 but for ``"enlarge"``.
    layout
        Meaning of the measurement's axes.
    input
        Measurement that was given; NaN where it was to be filled in.
    device, n_threads, backend
        Device, number of threads of the CPU, and what computed the generator.
    seconds
        Seconds that it took, without loading and pauses.
    """

    image: NDArray[Any]
    generator_image: NDArray[Any]
    rho: float
    residual: NDArray[np.float32]
    measurement_error: float | None
    extras: Mapping[str, NDArray[Any]]
    config: Config
    step: int
    reason: StopReason
    seed: int
    loss: tuple[float, ...]
    criterion: tuple[float, ...]
    snapshots: tuple[Snapshot, ...]
    notes: tuple[str, ...]
    pixel_ratio: tuple[int, ...]
    layout: Layout
    input: Any
    device: str
    n_threads: int
    backend: str
    seconds: float
