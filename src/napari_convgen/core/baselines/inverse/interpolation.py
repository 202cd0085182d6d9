"""Reconstructions that know no noise: missing pixels by the biharmonic equation, larger images by Lanczos' filter."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image
from skimage.restoration import inpaint_biharmonic


def biharmonic(
    values: Float[np.ndarray, "c *spatial"], is_missing: Bool[np.ndarray, "*spatial"]
) -> Float[np.ndarray, "c *spatial"]:
    """Fill in missing pixels by the solution of the biharmonic equation.

    Parameters
    ----------
    values
        Image, channels first.
    is_missing
        True where a pixel is to be filled in.

    References
    ----------
    Damelin and Hoang, "On surface completion and image inpainting by biharmonic functions", Int. J. Math. Math. Sci., 2018.
    """
    known = np.where(is_missing, 0, values)
    return np.asarray(inpaint_biharmonic(known, is_missing, channel_axis=0), np.float64)


def lanczos(values: Float[np.ndarray, "c h w"], factor: int) -> Float[np.ndarray, "c new_h new_w"]:
    """Enlarge an image by a Lanczos filter of three lobes.

    Parameters
    ----------
    values
        Image, channels first.
    factor
        Enlargement along each axis.
    """
    size = (values.shape[2] * factor, values.shape[1] * factor)
    planes = [Image.fromarray(plane.astype(np.float32)).resize(size, Image.Resampling.LANCZOS) for plane in values]
    return np.stack([np.asarray(plane, np.float64) for plane in planes])
