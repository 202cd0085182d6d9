"""Linear combinations of patches, by this project's non-local estimate."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from napari_convgen.core.baselines.color import from_opponents, to_opponents
from napari_convgen.core.baselines.frame import NoisyFrame
from napari_convgen.core.columns import as_column
from napari_convgen.core.non_local import Stage, non_local_stages
from napari_convgen.core.non_local.passes import computed_on

SINGLE_LEVEL, LEAST_LEVEL = 2e-3, 1e-6
"""Standard deviations of the noise, relative to the range of the values: below the first, errors of single precision can be larger than the
noise that is removed, so that double precision is taken; the second is the least that is assumed then. Our choice, no benchmark."""


def combine_patches(frame: NoisyFrame) -> Float[np.ndarray, "c *spatial"]:
    """Combine similar patches with the weights of the least estimated risk, in stages, on three grids.

    Patches of a color image are matched in its luminance. Parameters are those of `napari_convgen.core.baselines.Baseline.__call__`.

    References
    ----------
    S. Herbreteau, C. Kervrann, "Linear combinations of patches are unreasonably effective for single-image denoising" (LIChI),
    arXiv:2212.00422; see `napari_convgen.core.non_local` for what is different here.
    """
    image = frame.values
    for stage in patch_stages(frame, torch.device("cpu")):
        image = stage.image
    return image


def patch_stages(frame: NoisyFrame, device: torch.device) -> Iterator[Stage[NDArray[np.floating]]]:
    """Do the same, and yield the denoised frame after each stage.

    Parameters
    ----------
    frame
        Frame and what is known of its noise.
    device
        Device that computes.
    """
    values, levels, is_observed = frame.values, frame.noise_level, frame.is_observed
    if frame.is_color:
        values, levels = to_opponents(values, levels)
        if is_observed is not None:  # an opponent is known where all colors are
            is_observed = np.broadcast_to(is_observed.all(0), is_observed.shape)
    size, has_noise = float(np.nanmax(values) - np.nanmin(values)), levels > 0
    dtype = np.float64 if (levels[has_noise] < SINGLE_LEVEL * size).any() else np.float32
    stages = non_local_stages(
        torch.from_numpy(values.astype(dtype)).to(computed_on(device)),
        torch.from_numpy(np.maximum(levels, LEAST_LEVEL * size).astype(dtype)),
        is_joint=frame.is_color,
        is_observed=None if is_observed is None else torch.from_numpy(is_observed.copy()),
        noise_spectrum=frame.noise_spectrum,
        is_stack=frame.is_stack,
    )
    is_changed = as_column(has_noise, values.ndim)
    for stage in stages:
        denoised = np.where(is_changed, stage.image.cpu().numpy(), values)
        yield Stage(from_opponents(denoised) if frame.is_color else denoised, stage.share)
