"""The problems that the widget offers, and what is theirs in its form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_convgen.config import PRESETS, fixed_input_presets

EQUAL_NOISE = {"noise.kind": "gaussian", "noise.is_shared": "no"}
"""Settings of the noise where a measurement is not the image itself: its noise cannot be made the same everywhere by a transform."""


@dataclass(frozen=True)
class Problem:
    """A problem in the form.

    Attributes
    ----------
    title
        Name in the list of problems.
    result
        End of the name of the layer with its result.
    operators
        Kinds of operators that it can have.
    changes
        Settings by dotted name in which it differs from a preset; none by default.
    """

    title: str
    result: str
    operators: tuple[str, ...]
    changes: Mapping[str, Any] = field(default_factory=dict)

    def presets(self) -> tuple[str, ...]:
        """Return the presets that it can begin with: where the measurement is no image, those whose generator draws from a latent alone."""
        return tuple(PRESETS) if self.operators == ("identity",) else fixed_input_presets()


PROBLEMS = {
    "inpaint": Problem("Fill in missing pixels", "filled in", ("identity",)),
    "deblur": Problem("Deblur", "deblurred", ("blur", "widefield", "confocal"), EQUAL_NOISE),
    "enlarge": Problem("Enlarge", "enlarged", ("downsampling",), EQUAL_NOISE),
}
"""The problems by the names that `napari_convgen.run.reconstruct.run.ReconstructTask` gives them."""
