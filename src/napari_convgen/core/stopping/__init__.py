"""Rules that say which step of a fit to keep, and when to end it, without ground truth: one in each file."""

from napari_convgen.core.stopping.fixed import FixedStep
from napari_convgen.core.stopping.held_out import HeldOut
from napari_convgen.core.stopping.rule import ErrorEstimate, Iterate, Judgment, Members, StoppingRule

__all__ = ["ErrorEstimate", "FixedStep", "HeldOut", "Iterate", "Judgment", "Members", "StoppingRule"]
