"""The figures of a kernel's exploration as data, and the sentences beside them; the window and the files show the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_convgen.core.theory.trigonometric import frequencies, trigonometric_basis
from napari_convgen.errors import InputError
from napari_convgen.figures.panel import Curve, Panel, Picture, Plot
from napari_convgen.run.kernels.run import STEPS, Array, Exploration
from napari_convgen.run.labels import format_share

SHOWN = (1, 2, 6, 21)
"""Numbers of the basis functions that are shown by default, counted from one: those in figure 3 of Heckel and Soltanolkotabi, ICLR 2020."""

MOST_SHOWN = 6
"""Largest number of basis functions in one plot. Chosen so that each curve has a color of its own: a plot has six."""

FREQUENCY = "frequency (periods per sample)"
"""Label of a frequency axis; it ends at 0.5, the highest frequency of a sampled signal."""

ERROR = "error / noise"
"""Label of an axis of root mean squared errors in units of the noise: 1 is the error of the noisy image."""

FAINT = 1e-3
"""Smallest value of a kernel that is shown, as a share of its largest: a Gaussian is cut at 2.6 half-widths.

Chosen so that the rest, a thousandth of the peak, would not be visible in a plot."""

LEAST_ERROR = 1e-2
"""Smallest error of the signal that is shown, in units of the noise.

Chosen so that the logarithmic axis of the bound ends at a hundredth of the noise, although the term falls exponentially to zero."""

LEAST_SHADE = 1e-4
"""Smallest relative weight with a shade of its own, as a share of the largest weight; smaller weights are black.

Chosen so that the gray scale spans at most four factors of ten, which can still be told apart."""


def kernel_panels(exploration: Exploration) -> list[Panel]:
    """Return panels of the kernel on a signal and on an image, around its origin."""
    signal, image = (np.fft.fftshift(each) for each in (exploration.signal_kernel, exploration.image_kernel))
    middle, reach = len(signal) // 2, _reach(signal)
    x = np.arange(-reach, reach + 1)
    rows, columns = (slice(max(0, n // 2 - reach), n // 2 + reach + 1) for n in image.shape)
    return [
        Plot("Kernel", "sample", "value, norm 1", [Curve("", x, signal[(middle + x) % len(signal)])]),
        Picture(
            f"Kernel on an image, {2 * reach + 1} pixels wide", image[rows, columns], is_signed=bool(image.min() < 0)
        ),
    ]


def weight_panels(exploration: Exploration) -> list[Panel]:
    """Return panels of the dual kernel on one axis and on two, and of the share of the residual that each step fits, by frequency."""
    signal, image = exploration.signal_filter, exploration.image_filter
    cut = image.weights[0]
    names = _names(exploration)
    duals = [_over_frequency(name, np.sqrt(w)) for name, w in zip(names, (signal.weights, cut), strict=True)]
    shares = [
        _over_frequency(name, rate * w)
        for name, rate, w in zip(names, (signal.rate, image.rate), (signal.weights, cut), strict=True)
    ]
    relative = np.sqrt(np.fft.fftshift(image.weights) / image.weights.max())
    least = max(float(relative.min()), LEAST_SHADE)
    shades = np.log10(np.maximum(relative, least))
    return [
        Plot("Dual kernel", FREQUENCY, "weight σ", duals, y_scale="log"),
        Plot("Fitted in each step, ησ²", FREQUENCY, "share", shares, y_scale="log"),
        Picture(f"Dual kernel in 2-D, from {least:.2g} σ₁ to σ₁", shades, (float(np.log10(least)), 0.0)),
    ]


def basis_panels(exploration: Exploration, functions: Sequence[int] = SHOWN) -> list[Panel]:
    """Return a panel of functions of the trigonometric basis, each with its weight.

    Parameters
    ----------
    exploration
        Exploration of a kernel, which has the length of the signal and the weights.
    functions
        Numbers of the functions, 1 to the length of the signal, by rising frequency, cosine before sine; 1 to `MOST_SHOWN` of them.

    Raises
    ------
    InputError
        A number is out of range, or there is none, or there are too many.
    """
    n = exploration.length
    if not 1 <= len(functions) <= MOST_SHOWN or min(functions) < 1 or max(functions) > n:
        raise InputError(
            f"Functions of the basis must be 1 to {MOST_SHOWN} numbers from 1 to {n}, got {', '.join(map(str, functions)) or 'none'}."
        )
    basis, periods = trigonometric_basis(n, is_sorted=True), np.sort(frequencies(n), kind="stable")
    weights = exploration.signal_filter.weights
    curves = [
        Curve(f"{i}: {_periods(periods[i - 1])}, σ² = {weights[periods[i - 1]]:.3g}", np.arange(n), basis[:, i - 1])
        for i in functions
    ]
    return [Plot("Functions of the trigonometric basis", "sample", "value", curves)]


def filter_panels(exploration: Exploration, step: float) -> list[Panel]:
    """Return panels of the filter after ``step`` steps and, if there is an image, of the predicted error at each step."""
    signal, image = exploration.signal_filter, exploration.image_filter
    courses = (signal.response(step), 1 - (1 - image.rate * image.weights[0]) ** step)
    curves = [_over_frequency(name, each) for name, each in zip(_names(exploration), courses, strict=True)]
    panels: list[Panel] = [Plot(f"Filter after {step:,.0f} steps", FREQUENCY, "factor", curves)]
    if (prediction := exploration.prediction) is not None:
        course = Curve("predicted (SURE)", STEPS, prediction.errors)
        best = float(STEPS[prediction.best])
        marks = [("best", best)] if best == step else [("best", best), ("shown", step)]
        panels.append(Plot("Predicted error", "step τ", ERROR, [course], "log", "log", marks))
    return panels


def bound_panels(exploration: Exploration, step: float) -> list[Panel]:
    """Return a panel of both terms of theorem 1 and of the predicted error at each step; none without an image."""
    if (prediction := exploration.prediction) is None:
        return []
    bound = prediction.bound
    curves = [
        Curve("signal not fitted", bound.steps, np.where(bound.signal > LEAST_ERROR, bound.signal, np.nan)),
        Curve("noise fitted", bound.steps, bound.noise),
        Curve("bound, their sum", bound.steps, bound.signal + bound.noise),
        Curve("predicted (SURE)", STEPS, prediction.errors, "dashes"),
    ]
    marks = [("τ*", bound.stopping_step), ("shown", step)]
    return [Plot("Theorem 1", "step τ", ERROR, curves, "log", "log", marks)]


def all_panels(exploration: Exploration, step: float, functions: Sequence[int] = SHOWN) -> dict[str, list[Panel]]:
    """Return all panels, in groups by name.

    Parameters
    ----------
    exploration
        Exploration of a kernel.
    step
        Step at which the filter is shown, 0 or more.
    functions
        Numbers of the basis functions that are shown, see `basis_panels`.

    Raises
    ------
    InputError
        The numbers of the basis functions are not valid, see `basis_panels`.
    """
    return {
        "Kernel": kernel_panels(exploration),
        "Weights": weight_panels(exploration),
        "Basis": basis_panels(exploration, functions),
        "Filter": filter_panels(exploration, step),
        "Bound": bound_panels(exploration, step),
    }


def prediction_words(exploration: Exploration, step: float) -> list[str]:
    """Return sentences on the prediction at a step and at the best step; none without an image."""
    if (prediction := exploration.prediction) is None:
        return []
    best, noise = prediction.best, prediction.noise
    at = int(np.abs(STEPS - step).argmin())
    words = [f"{noise}."]
    if best == 0 or best == len(STEPS) - 1:
        words.append(
            f"The error is lowest at the {'first' if best == 0 else 'last'} predicted step: choose another width."
        )
    words += [
        f"Best step {STEPS[best]:,.0f}: error {_error(prediction.errors[best])} of the noise.",
        f"Shown step: error {_error(prediction.errors[at])}, freedom {format_share(prediction.freedom[at] / prediction.bound.n)}.",
    ]
    if noise.correlation_length > 1:
        words.append(
            "The noise of neighboring pixels is correlated, which the prediction does not account for: the best step is too late."
        )
    return words


def _error(value: float) -> str:
    """Return an error as text; an error is unknown (NaN) if its square is estimated to be negative."""
    return "unknown" if np.isnan(value) else f"{value:.2f}"


def bound_words(exploration: Exploration) -> list[str]:
    """Return sentences on the bound of theorem 1; none without an image."""
    if (prediction := exploration.prediction) is None:
        return []
    bound, terms = prediction.bound, prediction.bound.at_stop
    error = _error(prediction.errors[prediction.best])
    return [
        f"p = {bound.n_signal:,} of n = {bound.n:,}; outside lies {format_share(bound.outside)} of the signal's energy.",
        f"At its step τ* = {bound.stopping_step:.3g}{', not even one' if bound.stopping_step < 1 else ''}: "
        f"signal not fitted {terms.signal:.3g} + noise fitted {terms.noise:.3g} = {terms.total:.3g}.",
        f"Lowest bound at any step {bound.least:.3g}; predicted error at the best step {error}.",
        "The bound is never below 1, the error of the noisy image: it promises nothing."
        if bound.least >= 1
        else "The bound falls below 1, the error of the noisy image: it promises a better one.",
    ]


def _over_frequency(name: str, values: Array) -> Curve:
    """Return a curve over the frequencies of a real signal, from 0 up."""
    x = np.fft.rfftfreq(len(values))
    return Curve(name, x, values[: len(x)])


def _names(exploration: Exploration) -> tuple[str, str]:
    """Return the legend's labels of the signal and of a cut through the image."""
    height, width = exploration.image_kernel.shape
    return f"{exploration.length} samples", f"{height} × {width} pixels, along x"


def _reach(kernel: Array) -> int:
    """Return the number of samples from a kernel's middle to its last visible value, and one more."""
    middle = len(kernel) // 2
    seen = np.flatnonzero(np.abs(kernel) > FAINT * np.abs(kernel).max())
    return min(int(np.abs(seen - middle).max()) + 1, (len(kernel) - 1) // 2)


def _periods(n: int) -> str:
    return f"{n} period" if n == 1 else f"{n} periods"
