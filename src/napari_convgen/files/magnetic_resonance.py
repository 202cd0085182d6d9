"""What files say of images of magnetic resonance: whether they are magnitudes, whose noise is Rician, or parts of complex values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from napari_convgen.core.image import ArrayLike

Part = Literal["magnitude", "real", "complex"]
"""What the values of an image of magnetic resonance are: magnitudes; real parts, imaginary parts or phases; or complex values."""

RICIAN = "rician"
NOTE = "{} is a magnitude image of magnetic resonance, so its noise is taken to be Rician, unless noise.kind names another."
NO_MAGNITUDES = {"P", "PHASE", "PHASE MAP", "R", "REAL", "I", "IMAGINARY", "COMPLEX", "MIXED"}
"""Words of DICOM's Image Type, and of BIDS, for images of magnetic resonance that are no magnitudes."""


def part_of(modality: Any, image_type: Sequence[Any]) -> Part | None:
    """Return what the values of an image are; ``None`` for another modality, and for files that mix several parts.

    Parameters
    ----------
    modality, image_type
        Modality and words as for `is_magnitude`.
    """
    words = {str(word).strip().upper() for word in image_type}
    if modality != "MR" or "MIXED" in words:
        return None
    if "COMPLEX" in words:
        return "complex"
    return "real" if words & NO_MAGNITUDES else "magnitude"


def is_magnitude(modality: Any, image_type: Sequence[Any], data: ArrayLike) -> bool:
    """Return True for magnitudes of magnetic resonance: an image of this modality of which nothing says that it is another part.

    Parameters
    ----------
    modality
        Modality as DICOM names it, ``"MR"`` for magnetic resonance; ``None`` if the file does not say.
    image_type
        Words of DICOM's Image Type, in any order.
    data
        Values of the image; magnitudes are not negative.
    """
    return part_of(modality, image_type) == "magnitude" and is_nowhere_negative(data)


def is_nowhere_negative(data: ArrayLike) -> bool:
    """Return True for real numbers of which none is below 0; they are looked at plane by plane."""
    return data.dtype.kind in "uif" and not any((np.asarray(data[place]) < 0).any() for place in range(data.shape[0]))
