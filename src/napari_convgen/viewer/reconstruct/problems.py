"""The problems that the widget offers, and what is theirs in its form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from napari_convgen.config import PRESETS, Config, Kind, for_reconstruction, operators_of


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
        Operators that it can have, by the name of their kind; the usual one is the first.
    preset
        Preset that it begins with; default ``"quick"``.
    """

    title: str
    result: str
    operators: Mapping[str, type[Kind]]
    preset: str = "quick"

    def presets(self) -> dict[str, Config]:
        """Return the presets that it can begin with: where the measurement is no image, no generator can draw from it alone."""
        presets = {name: for_reconstruction(config) for name, config in PRESETS.items()}
        if "identity" in self.operators:
            return presets
        able = {name: config.generator for name, config in presets.items()}
        return {name: presets[name] for name, g in able.items() if g.has_guide or not g.draws_from_image}


NO_PROBLEM = Problem("none", "", operators_of("inpaint"))
"""Choice of widgets that look at an image, which need not be a measurement of another one."""

PROBLEMS = {
    "inpaint": Problem("Fill in missing pixels", "filled in", operators_of("inpaint")),
    "deblur": Problem("Deblur", "deblurred", operators_of("deblur")),
    "enlarge": Problem("Enlarge", "enlarged", operators_of("enlarge")),
    "sense": Problem("MRI scan", "magnitude", operators_of("sense"), "default"),
    "phase": Problem("Phase microscopy", "phase (rad)", operators_of("phase")),
}
"""The problems by the names that `napari_convgen.run.reconstruct.run.ReconstructTask` gives them."""
