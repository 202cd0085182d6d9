"""Drift: the offset of rows or columns wanders, as where a laser or an amplifier changes while an image is scanned."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.noise.estimation.stripes import has_drift


def drift_note(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"], dtype: np.dtype
) -> str:
    """Return a note on lines whose offset drifts; empty for other frames. Arguments are those of `notes_on_looks`."""
    found = zip(("rows", "columns"), has_drift(values, is_observed), strict=True)
    if not (lines := " and ".join(name for name, is_drifting in found if is_drifting)):
        return ""
    return (
        f"The offset of {lines} drifts, as where a laser or an amplifier changes during a scan. It cannot be told from structure, and is "
        "kept. Correct it first, by a part of each line where the specimen is the same everywhere, such as the background."
    )
