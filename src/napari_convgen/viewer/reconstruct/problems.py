"""The problems that the widget offers, and what is theirs in its form."""

from __future__ import annotations

from dataclasses import dataclass

from napari_convgen.config import PRESETS, Config, for_reconstruction


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
    preset
        Preset that it begins with; default ``"quick"``.
    """

    title: str
    result: str
    operators: tuple[str, ...]
    preset: str = "quick"

    def presets(self) -> dict[str, Config]:
        """Return the presets that it can begin with: where the measurement is no image, no generator can draw from it alone."""
        presets = {name: for_reconstruction(config) for name, config in PRESETS.items()}
        if self.operators == ("identity",):
            return presets
        able = {name: config.generator for name, config in presets.items()}
        return {name: presets[name] for name, g in able.items() if g.has_guide or not g.draws_from_image}


NO_PROBLEM = Problem("none", "", ("identity",))
"""Choice of widgets that look at an image, which need not be a measurement of another one."""

PROBLEMS = {
    "inpaint": Problem("Fill in missing pixels", "filled in", ("identity",)),
    "deblur": Problem("Deblur", "deblurred", ("blur", "widefield", "confocal")),
    "enlarge": Problem("Enlarge", "enlarged", ("downsampling",)),
    "sense": Problem("MRI scan", "magnitude", ("fourier",), "default"),
    "phase": Problem("Phase microscopy", "phase (rad)", ("through-focus", "led-array")),
}
"""The problems by the names that `napari_convgen.run.reconstruct.run.ReconstructTask` gives them."""


def problem_of(config: Config) -> str:
    """Return the name of the first problem that can have the operator of a configuration."""
    return next(name for name, problem in PROBLEMS.items() if config.operator.kind in problem.operators)
