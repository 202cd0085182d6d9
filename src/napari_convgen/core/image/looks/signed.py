"""Values of 8 bits with a sign, to which a reader cut those of 16."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

NOTE = (
    "The values are of 8 bits with a sign, which hardly any instrument writes: some readers of DICOM cut values of 16 bits to these, "
    "and bright pixels become negative. If the image looks torn, open the file in another way, such as napari_convgen.read_image(path)."
)
"""Advice for such an image."""


def signed_note(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"], dtype: np.dtype
) -> str:
    """Return advice for a frame of int8 with negative values; empty for others. Arguments are those of `notes_on_looks`."""
    return NOTE if dtype == np.int8 and is_observed.any() and values[is_observed].min() < 0 else ""
