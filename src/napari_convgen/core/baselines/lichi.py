"""Linear combinations of patches, by this project's non-local estimate."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float

from napari_convgen.core.baselines.color import from_opponents, to_opponents
from napari_convgen.core.baselines.frame import NoisyFrame
from napari_convgen.core.non_local import non_local_estimate


def combine_patches(frame: NoisyFrame) -> Float[np.ndarray, "c *spatial"]:
    """Combine similar patches with the weights of the least estimated risk, in stages, on three grids.

    Patches of a color image are matched in its luminance. Parameters are those of `napari_convgen.core.baselines.Baseline.__call__`.

    References
    ----------
    S. Herbreteau, C. Kervrann, "Linear combinations of patches are unreasonably effective for single-image denoising" (LIChI),
    arXiv:2212.00422; see `napari_convgen.core.non_local` for what is different here.
    """
    values, levels = frame.values, frame.noise_level
    if frame.is_color:
        values, levels = to_opponents(values, levels)
    estimate = non_local_estimate(
        torch.from_numpy(values.astype(np.float32)),
        torch.from_numpy(levels.astype(np.float32)),
        is_joint=frame.is_color,
        is_observed=None if frame.is_observed is None else torch.from_numpy(frame.is_observed),
        noise_spectrum=frame.noise_spectrum,
    )
    denoised = np.where(_column(levels, values) > 0, estimate.numpy(), values)
    return from_opponents(denoised) if frame.is_color else denoised


def _column(levels: Float[np.ndarray, "c"], values: Float[np.ndarray, "c *spatial"]) -> Float[np.ndarray, "..."]:
    return levels.reshape(-1, *(1,) * (values.ndim - 1))
