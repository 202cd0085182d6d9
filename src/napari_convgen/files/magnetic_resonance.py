"""What files say of images of magnetic resonance: whether they are magnitudes, whose noise is Rician."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

RICIAN = "rician"
NOTE = "{} is a magnitude image of magnetic resonance, so its noise is taken to be Rician, unless noise.kind names another."
NO_MAGNITUDES = {"P", "PHASE", "PHASE MAP", "R", "REAL", "I", "IMAGINARY", "COMPLEX", "MIXED"}
"""Words of DICOM's Image Type, and of BIDS, for images of magnetic resonance that are no magnitudes."""


def is_magnitude(modality: Any, image_type: Sequence[Any], data: NDArray[Any]) -> bool:
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
    words = {str(word).strip().upper() for word in image_type}
    return modality == "MR" and not words & NO_MAGNITUDES and data.dtype.kind in "uif" and bool(np.nanmin(data) >= 0)
