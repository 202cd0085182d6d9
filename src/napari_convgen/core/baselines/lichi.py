"""Linear combinations of patches, by this project's non-local estimate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from napari_convgen.core.baselines.color import from_opponents, to_opponents
from napari_convgen.core.baselines.frame import NoisyFrame
from napari_convgen.core.non_local import non_local_stages


@dataclass(frozen=True, eq=False)
class PatchStage:
    """The denoised frame so far.

    Attributes
    ----------
    image
        Frame, in the unit of the noisy one.
    share
        Share of the work that is done, about; 1 with the last.
    """

    image: Float[np.ndarray, "c *spatial"]
    share: float


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


def patch_stages(frame: NoisyFrame, device: torch.device) -> Iterator[PatchStage]:
    """Do the same stage by stage.

    Parameters
    ----------
    frame
        Frame and what is known of its noise.
    device
        Device that computes.
    """
    values, levels = frame.values, frame.noise_level
    if frame.is_color:
        values, levels = to_opponents(values, levels)
    stages = non_local_stages(
        torch.from_numpy(values.astype(np.float32)).to(device),
        torch.from_numpy(levels.astype(np.float32)),
        is_joint=frame.is_color,
        is_observed=None if frame.is_observed is None else torch.from_numpy(frame.is_observed).to(device),
        noise_spectrum=frame.noise_spectrum,
    )
    has_noise = (levels > 0).reshape(-1, *(1,) * (values.ndim - 1))
    for stage in stages:
        denoised = np.where(has_noise, stage.image.cpu().numpy(), values)
        yield PatchStage(from_opponents(denoised) if frame.is_color else denoised, stage.share)
