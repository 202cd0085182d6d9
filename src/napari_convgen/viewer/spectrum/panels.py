"""The stop that a spectrum predicts for a fit, and the plots of both, by the tab that they are on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from napari_convgen.figures.panel import Curve, Panel, Plot
from napari_convgen.viewer.spectrum.fit_record import FitRecord

if TYPE_CHECKING:
    from napari_convgen.run.spectrum.result import Spectrum, SpectrumResult

TOLERANCE = 0.02
"""Largest excess of the error over its minimum in the interval, in variances of the noise; as for ``stopping.kind = "linearized"``."""


Interval: TypeAlias = "tuple[int | None, int | None, int | None]"
"""First, best and last step; ``None`` for one that is not known."""


@dataclass(frozen=True)
class PredictedStop:
    """The step at which the error of gradient descent is predicted to be smallest.

    Attributes
    ----------
    steps
        Steps of gradient descent; ``None`` for one at the end of the prediction or beyond.
    losses
        Losses predicted at these steps; another optimizer reaches them at other steps.
    end
        Last step of the prediction.
    """

    steps: Interval
    losses: tuple[float | None, float | None, float | None]
    end: int

    def of_fit(self, fit: FitRecord) -> Interval:
        """Return the first step of a fit at which its loss is not above each of the losses."""
        first, best, last = (None if loss is None else _reach(fit, loss) for loss in self.losses)
        return first, best, last


def predict_stop(result: SpectrumResult, position: int = 0) -> PredictedStop | None:
    """Predict the stop from one of the steps that were looked at; ``None`` if the noise level is not known."""
    descent = result.spectra[position].descent
    if descent is None:
        return None
    first, last = descent.near_best(TOLERANCE * descent.noise_variance)
    end = len(descent.steps) - 1
    known = [None if i == end else i for i in (first, descent.best, last)]
    steps = [None if i is None else int(descent.steps[i]) for i in known]
    losses = [None if i is None else float(descent.loss[i]) for i in known]
    return PredictedStop((steps[0], steps[1], steps[2]), (losses[0], losses[1], losses[2]), int(descent.steps[end]))


def spectrum_panels(result: SpectrumResult, position: int, fit: FitRecord | None) -> dict[str, list[Panel]]:
    """Return the plots by tab; a tab may have none.

    Parameters
    ----------
    result
        Result of the run; all its steps are compared.
    position
        Number of the step whose estimated singular values and predicted descent are shown, from 0.
    fit
        Fit to compare with the prediction from the first step; ``None`` if there is none.
    """
    values, energies, alignment, *descent = (panel for panel in result.panels() if isinstance(panel, Plot))
    return {
        "Values": [_values(values, result.spectra[position].step)],
        "Energy": [replace(energies, y_label="share"), _alignment(alignment)],
        "Descent": list(_descent(result, position, descent)),
        "Fit": [] if fit is None else list(_fit(result, fit)),
        "Change": _change(result.spectra),
    }


def _values(plot: Plot, step: int) -> Plot:
    """Leave out the estimates beyond the largest values at other steps."""
    curves = [curve for curve in plot.curves if curve.style == "line" or curve.label.startswith(f"step {step},")]
    return replace(plot, curves=curves)


def _alignment(plot: Plot) -> Plot:
    """Shorten the labels of the marks."""
    marks = [(label.removeprefix("image, ") if len(plot.marks) > 1 else "image", place) for label, place in plot.marks]
    return replace(plot, y_label="share below", marks=marks)


def _descent(result: SpectrumResult, position: int, plots: Sequence[Plot]) -> list[Plot]:
    """Show the descent from one step, and mark the interval where its error is near the least."""
    stop = predict_stop(result, position)
    if stop is None:
        return []
    marks, span = _marks(stop.steps), _span(stop.steps, stop.end)
    start = f"from step {result.spectra[position].step}"
    courses, freedom = (
        replace(plot, marks=marks, span=span, curves=[curve for curve in plot.curves if curve.label.endswith(start)])
        for plot in plots
    )
    return [courses, replace(freedom, y_label="values")]


def _marks(steps: Interval) -> list[tuple[str, float]]:
    """Mark the best step."""
    return [] if steps[1] is None else [("best", float(steps[1]))]


def _span(steps: Interval, end: int) -> tuple[float, float] | None:
    """Return the interval from the first to the last step; it reaches to the end where the last is not known."""
    first, _, last = steps
    return None if first is None else (float(first), float(end if last is None else last))


def _fit(result: SpectrumResult, fit: FitRecord) -> list[Plot]:
    """Draw the fit's own curve with the error that is predicted at its losses."""
    steps = np.arange(1, len(fit.loss) + 1)
    curves = [Curve("loss of the fit", steps, fit.loss)]
    marks = [("kept", float(fit.kept_step))] if fit.kept_step else []  # step 0 has no place on the axis
    stop, descent, span = predict_stop(result), result.spectra[0].descent, None
    if stop is not None and descent is not None:
        loss, risk = (np.asarray(each)[::-1] for each in (descent.loss, descent.risk.clamp_min(0)))
        error = np.interp(fit.loss, loss, risk, left=np.nan, right=np.nan)  # NaN beyond the prediction
        curves.append(Curve("error predicted at that loss", steps, error, style="dashes"))
        steps_of_fit = stop.of_fit(fit)
        marks, span = _marks(steps_of_fit) + marks, _span(steps_of_fit, len(fit.loss))
    plots = [Plot(f"{fit.name}: loss", "step", "mean squared", curves, "log", "log", marks, span)]
    if scored := [step for step in fit.psnr if step > 0]:
        psnr = Curve("", scored, [fit.psnr[step] for step in scored])
        plots.append(Plot("Against the reference", "step", "PSNR (dB)", [psnr], "log", marks=marks, span=span))
    return plots


def _change(spectra: Sequence[Spectrum]) -> list[Panel]:
    first, *later = spectra
    if not later:
        return []
    ranks = np.arange(1, first.rank + 1)
    curves = [Curve(f"step {each.step}", ranks, np.degrees(each.angles)) for each in later]
    return [Plot(f"Angles to the vectors' space at step {first.step}", "number", "degrees", curves)]


def _reach(fit: FitRecord, loss: float) -> int | None:
    reached = np.flatnonzero(fit.loss <= loss)
    return int(reached[0]) + 1 if reached.size else None
