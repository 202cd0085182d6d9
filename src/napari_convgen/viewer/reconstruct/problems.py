"""The problems that the widget offers, and what is theirs in its form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from napari_convgen.config import Config, OperatorSettings, operators_of, presets_for


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
    baseline
        End of the name of the layer with a classical image, to compare with.
    about_baseline
        What that image is.
    """

    title: str
    result: str
    operators: Mapping[str, type[OperatorSettings]]
    preset: str = "quick"
    baseline: str = "classical image"
    about_baseline: str = ""

    @property
    def baseline_title(self) -> str:
        """Text of the check box for that image."""
        return self.baseline[0].upper() + self.baseline[1:]

    def presets(self) -> dict[str, Config]:
        """Return the presets that it can begin with: where the measurement is no image, no generator can draw from it alone."""
        presets = presets_for(next(iter(self.operators.values())).problem)
        if "identity" in self.operators:
            return presets
        able = {name: config.generator for name, config in presets.items()}
        return {name: presets[name] for name, g in able.items() if g.has_guide or not g.draws_from_image}


NO_PROBLEM = Problem("none", "", operators_of("inpaint"))
"""Choice of widgets that look at an image, which need not be a measurement of another one."""

PROBLEMS = {
    "inpaint": Problem(
        "Fill in missing pixels",
        "filled in",
        operators_of("inpaint"),
        baseline="smoothest filling",
        about_baseline="the image of the least curvature that agrees with the other pixels, as far as their noise allows",
    ),
    "deblur": Problem(
        "Deblur",
        "deblurred",
        operators_of("deblur"),
        baseline="Wiener filter",
        about_baseline="the image of the least curvature that agrees with the measurement, as far as its noise allows",
    ),
    "enlarge": Problem(
        "Enlarge",
        "enlarged",
        operators_of("enlarge"),
        baseline="plain enlargement",
        about_baseline="pixels repeated (box) or interpolated (lanczos)",
    ),
    "sense": Problem(
        "MRI scan",
        "magnitude",
        operators_of("sense"),
        "default",
        baseline="zero-filled",
        about_baseline="that of a scan whose missing points are 0",
    ),
    "phase": Problem(
        "Phase microscopy",
        "phase (rad)",
        operators_of("phase"),
        baseline="transport of intensity",
        about_baseline="the phase from two planes next to the focus, through an objective that is taken as perfect",
    ),
}
"""The problems by the names that `napari_convgen.run.reconstruct.run.ReconstructTask` gives them."""
