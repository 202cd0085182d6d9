"""What a frame looks like, apart from its noise: kinds of images that cannot be denoised well as they are, and what to do with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float

from napari_convgen.core.image.looks.cut_off import cut_off_note
from napari_convgen.core.image.looks.drift import drift_note
from napari_convgen.core.image.looks.enlarged import enlarged_note
from napari_convgen.core.image.looks.labels import labels_note
from napari_convgen.core.image.looks.median import median_note
from napari_convgen.core.image.looks.mosaic import mosaic_note
from napari_convgen.core.image.looks.overflow import overflow_note
from napari_convgen.core.image.looks.periodic import periodic_note
from napari_convgen.core.image.looks.phase import phase_note
from napari_convgen.core.image.looks.quadrants import quadrants_note
from napari_convgen.core.image.looks.saved_as_jpeg import jpeg_note
from napari_convgen.core.image.looks.signed import signed_note
from napari_convgen.core.image.looks.two_way import two_way_note

Look = Callable[[Float[np.ndarray, "c *spatial"], Bool[np.ndarray, "c *spatial"], np.dtype], str]
"""Function of a frame's values, channels first, of where they are observed, and of their type in the file; it returns a note, or ``""``."""

LOOKS: Sequence[Look] = (
    phase_note,
    overflow_note,
    labels_note,
    mosaic_note,
    jpeg_note,
    signed_note,
    enlarged_note,
    median_note,
    quadrants_note,
    periodic_note,
    drift_note,
    two_way_note,
    cut_off_note,
)
"""A function for each kind, in the order of the notes."""


def notes_on_looks(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"], dtype: np.dtype
) -> tuple[str, ...]:
    """Return the notes of all `LOOKS` that a frame has; arguments are those of `found_looks`."""
    return tuple(found_looks(values, is_observed, dtype).values())


def found_looks(
    values: Float[np.ndarray, "c *spatial"], is_observed: Bool[np.ndarray, "c *spatial"], dtype: np.dtype
) -> dict[Look, str]:
    """Return the `LOOKS` that a frame has, with their notes. Of labels nothing else can be said: they have no noise.

    Parameters
    ----------
    values
        Values, channels first.
    is_observed
        False where a value is missing.
    dtype
        Type of the values before they became float64.
    """
    found = {look: note for look in LOOKS if (note := look(values, is_observed, dtype))}
    return {labels_note: found[labels_note]} if labels_note in found else found
