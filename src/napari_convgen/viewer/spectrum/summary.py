"""A spectrum in a few lines for the user, as rich text."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from napari_convgen.run.labels import format_place, format_seconds, format_share
from napari_convgen.viewer.spectrum.fit_record import FitRecord
from napari_convgen.viewer.spectrum.panels import Interval, PredictedStop, predict_stop

if TYPE_CHECKING:
    from napari_convgen.run.spectrum.result import Spectrum, SpectrumResult

CONCERNED = ("generator", "noise", "optimizer")
"""Groups of settings in which a fit may differ from the run that it is compared with."""

NO_NOISE = "The noise level is not known, so the descent cannot be predicted."


def summarize(spectrum: Spectrum, notes: Iterable[str]) -> str:
    """Say how much larger Jᵀy is for the image than for noise, how few vectors hold the image, and what the user should know."""
    return _alignment(spectrum) + _table(spectrum) + "<br>".join(map(html.escape, notes))


def describe_cost(result: SpectrumResult) -> str:
    """Say how long it took, where, and for which parameters."""
    place = format_place(result.device, "torch", result.n_threads)
    return f"{format_seconds(result.seconds)} on {place}. Parameters: {', '.join(result.groups)}."


def describe_components(spectrum: Spectrum, n: int) -> str:
    """Say what the slider shows when ``n`` vectors are taken."""
    if n == 0:
        return "<b>No vector</b>: the projection is the mean of each channel."
    value, error = spectrum.singular_values[n - 1], spectrum.errors[n - 1]
    image, noise = format_share(spectrum.image_energy[n - 1]), format_share(spectrum.noise_energy[n - 1])
    those = "It holds" if n == 1 else f"The first {n} hold"
    return f"<b>Vector {n}</b>: σ = {value:.3g} ± {error:.1g}. {those} {image} of the image and {noise} of white noise."


def describe_stop(result: SpectrumResult, position: int) -> str:
    """Say at which step gradient descent is predicted to be best, from one of the steps that were looked at."""
    stop = predict_stop(result, position)
    if stop is None:
        return _why_not(result, position)
    start = f"From step {result.spectra[position].step:,}, gradient descent is predicted to be best"
    if stop.steps[1] is None:
        return f"{start} after more than the {stop.end:,} steps that can be predicted."
    return f"{start} after {stop.steps[1]:,} steps ({_interval(stop.steps)})."


def describe_fit(result: SpectrumResult, fit: FitRecord) -> str:
    """Say at which steps of a fit the prediction puts its best."""
    stop = predict_stop(result)
    return _why_not(result, 0) if stop is None else "<br>".join(_fit_lines(result, stop, fit))


def _why_not(result: SpectrumResult, position: int) -> str:
    """Say why no descent is predicted from a step, unless the notes say it."""
    return "" if result.spectra[position].step > 0 else NO_NOISE


def _fit_lines(result: SpectrumResult, stop: PredictedStop, fit: FitRecord) -> Iterator[str]:
    steps, kept = stop.of_fit(fit), f"it kept step {fit.kept_step:,}"
    first, best, _ = steps
    if stop.losses[1] is None:
        bound = "" if first is None else f" later than at step {first:,}"
        yield f"The fit is predicted to be best{bound} at a lower loss than can be predicted; {kept}."
    elif best is None:
        yield f"The fit has not reached the loss that is predicted to be best; {kept}."
    else:
        yield f"The fit reaches the loss that is predicted to be best at step <b>{best:,}</b> ({_interval(steps)}); {kept}."
        if (psnr := fit.psnr_at(best)) is not None:
            top = max(fit.psnr, key=fit.psnr.__getitem__)
            yield f"PSNR {psnr:.2f} dB there, {fit.psnr_at(fit.kept_step):.2f} as kept, {fit.psnr[top]:.2f} at best (step {top:,})."
    own = result.config.model_dump()
    if others := [part for part in CONCERNED if fit.config.get(part) != own[part]]:
        yield f"<i>The fit was made with other settings of: {', '.join(others)}.</i>"


def _alignment(spectrum: Spectrum) -> str:
    draws = spectrum.noise_alignment
    image, noise, spread = spectrum.alignment, float(draws.mean()), float(draws.std(ddof=1))
    return (
        f"<b>Step {spectrum.step:,}.</b> The image moves the weights <b>{image / noise:.1f} times</b> as far as noise of the same norm: "
        f"|Jᵀy| is {image:.3g} |y| against {noise:.3g} ± {spread:.1g} in {len(draws)} draws of noise."
    )


def _table(spectrum: Spectrum) -> str:
    """Make the table of how many vectors hold a share of the image, and the same share of noise; what is beyond the rank is said once."""
    n_values = 1 / float(spectrum.noise_energy[0])
    of_image = [f"{n:,}" for n in spectrum.marks.values() if n is not None]
    n_beyond = len(spectrum.marks) - len(of_image)
    rows = {
        "Vectors that hold": map(format_share, spectrum.marks),
        "of the image": of_image,
        "of white noise": (f"{int(np.ceil(mark * n_values)):,}" for mark in spectrum.marks),
    }
    cells = {name: "".join(f"<td align=right>&nbsp;{text}</td>" for text in texts) for name, texts in rows.items()}
    if n_beyond:
        cells["of the image"] += f"<td align=center colspan={n_beyond}>&nbsp;&gt; {spectrum.rank:,}</td>"
    lines = "".join(f"<tr><td>{name}&nbsp;</td>{line}</tr>" for name, line in cells.items())
    return f"<table cellspacing=0>{lines}</table>"


def _interval(steps: Interval) -> str:
    first, _, last = steps
    if first is None:
        return f"up to {last:,}"
    return f"{first:,} on" if last is None else f"{first:,} to {last:,}"
