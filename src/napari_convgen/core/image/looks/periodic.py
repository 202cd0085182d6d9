"""Waves all over the image: interference, or a lattice of the specimen, which only the user can tell apart."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.image.looks.planes import middle_plane
from napari_convgen.core.noise.estimation.interference import find_waves


def periodic_note(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"], dtype: np.dtype
) -> str:
    """Return advice for a frame that waves cover evenly; empty for others. Arguments are those of `notes_on_looks`."""
    waves = find_waves(middle_plane(values, is_observed))
    if not waves:
        return ""
    return (
        f"Waves cover the whole image evenly, {waves[0].length:.1f} pixels from crest to crest, and are kept where they are no stripes. If "
        "they are interference, such as that of electronics or room light, and no lattice of the specimen, have them taken away: "
        "noise.has_interference = 'yes'."
    )
