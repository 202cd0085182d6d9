"""The problems that can be solved: a file for each, one line for each in `PROBLEMS`."""

from __future__ import annotations

from collections.abc import Mapping

from napari_convgen.run.reconstruct.problems.base import Given, InverseProblem
from napari_convgen.run.reconstruct.problems.deblur import Deblur
from napari_convgen.run.reconstruct.problems.enlarge import Enlarge
from napari_convgen.run.reconstruct.problems.inpaint import Inpaint
from napari_convgen.run.reconstruct.problems.phase import Phase
from napari_convgen.run.reconstruct.problems.sense import Sense
from napari_convgen.run.reconstruct.problems.sensing import Sensing

__all__ = ["PROBLEMS", "Given", "InverseProblem"]

PROBLEMS: Mapping[str, type[InverseProblem]] = {
    "inpaint": Inpaint,
    "deblur": Deblur,
    "enlarge": Enlarge,
    "sense": Sense,
    "sensing": Sensing,
    "phase": Phase,
}
"""Problems by the name under which `napari_convgen.run.reconstruct.run.reconstruct` takes them, in the order of messages and windows."""
