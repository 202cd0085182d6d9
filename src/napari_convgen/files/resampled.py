"""An image file like another one, with more or fewer pixels in the same place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import DTypeLike

from napari_convgen.files.image_file import ImageFile
from napari_convgen.files.tiff.resampling import resampled_tags


def resampled(like: ImageFile, shape: Sequence[int], dtype: DTypeLike, ratios: Mapping[str, float]) -> ImageFile:
    """Return an image file of zeros with the metadata of another one, and smaller or larger pixels.

    Parameters
    ----------
    like
        The other image, with the same axes.
    shape, dtype
        Shape and type of the values.
    ratios
        Number of pixels in one of the other image, by the letter of the axis; those that are left out are 1.
    """
    ratios = {letter: ratio for letter, ratio in ratios.items() if ratio != 1}
    n_pixels = dict(zip(like.axes, shape, strict=True))
    calibration = like.calibration
    if calibration is not None:
        sizes = tuple(d / ratios.get(letter, 1) for letter, d in zip(like.axes, calibration[0], strict=True))
        calibration = sizes, calibration[1]
    png = dict(like.png)
    if png.get("dpi") is not None:
        png["dpi"] = tuple(ratios.get(letter, 1) * dots for letter, dots in zip("XY", png["dpi"], strict=True))
    return replace(
        like,
        data=np.broadcast_to(np.zeros((), dtype), tuple(shape)),
        tiff=resampled_tags(like.tiff, ratios, n_pixels, n_pixels.get("S")),
        png=png,
        calibration=calibration,
        header=None if ratios else like.header,
    )
