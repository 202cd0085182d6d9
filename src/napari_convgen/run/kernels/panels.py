"""What an exploration of a kernel shows, as panels: the window draws them, and files are made of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_convgen.core.theory.trigonometric import frequencies, trigonometric_basis
from napari_convgen.errors import InputError
from napari_convgen.figures.panel import Curve, Panel, Picture, Plot
from napari_convgen.run.kernels.run import STEPS, Array, Exploration

SHOWN = (1, 2, 6, 21)
"""Functions of the basis that the paper's figure 3 shows, counted from one."""

MOST_SHOWN = 6

FREQUENCY = "frequency (periods per sample)"
ERROR = "error / noise"

FAINT = 1e-3
"""Share of a kernel's largest value below which its rim is not shown."""

LEAST_ERROR = 1e-2
"""In units of the noise; less is not shown."""

LEAST_SHADE = 1e-4
"""Share of the largest weight that is drawn black at the least."""


def kernel_panels(exploration: Exploration) -> list[Panel]:
    """Show the kernel on a signal and on an image, around its origin."""
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
    """Show the dual kernel on one axis and on two, and the share of the residual that a step draws at each frequency."""
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
        Plot("Drawn in each step, ησ²", FREQUENCY, "share", shares, y_scale="log"),
        Picture(f"Dual kernel in 2-D, from {least:.2g} σ₁ to σ₁", shades, (float(np.log10(least)), 0.0)),
    ]


def basis_panels(exploration: Exploration, functions: Sequence[int] = SHOWN) -> list[Panel]:
    """Show functions of the trigonometric basis, each with its weight.

    Parameters
    ----------
    exploration
        Gives the length and the weights.
    functions
        Their numbers, counted from one by rising frequency, a cosine before its sine.

    Raises
    ------
    InputError
        Numbers out of range, or none, or too many.
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
    """Show the filter after ``step`` steps, and the error that is foreseen over the steps if there is an image."""
    signal, image = exploration.signal_filter, exploration.image_filter
    courses = (signal.response(step), 1 - (1 - image.rate * image.weights[0]) ** step)
    curves = [_over_frequency(name, each) for name, each in zip(_names(exploration), courses, strict=True)]
    panels: list[Panel] = [Plot(f"Filter after {step:,.0f} steps", FREQUENCY, "factor", curves)]
    if (prediction := exploration.prediction) is not None:
        course = Curve("foreseen (SURE)", STEPS, prediction.errors)
        best = float(STEPS[prediction.best])
        marks = [("best", best)] if best == step else [("best", best), ("shown", step)]
        panels.append(Plot("Error foreseen", "step τ", ERROR, [course], "log", "log", marks))
    return panels


def bound_panels(exploration: Exploration, step: float) -> list[Panel]:
    """Show both terms of theorem 1 over the steps beside the error that is foreseen; nothing without an image."""
    if (prediction := exploration.prediction) is None:
        return []
    bound = prediction.bound
    curves = [
        Curve("signal not drawn", bound.steps, np.where(bound.signal > LEAST_ERROR, bound.signal, np.nan)),
        Curve("noise drawn", bound.steps, bound.noise),
        Curve("bound, their sum", bound.steps, bound.signal + bound.noise),
        Curve("foreseen (SURE)", STEPS, prediction.errors, "dashes"),
    ]
    marks = [("τ*", bound.stopping_step), ("shown", step)]
    return [Plot("Theorem 1", "step τ", ERROR, curves, "log", "log", marks)]


def all_panels(exploration: Exploration, step: float, functions: Sequence[int] = SHOWN) -> dict[str, list[Panel]]:
    """Return all panels, in groups by name.

    Raises
    ------
    InputError
        As `basis_panels`.
    """
    return {
        "Kernel": kernel_panels(exploration),
        "Weights": weight_panels(exploration),
        "Basis": basis_panels(exploration, functions),
        "Filter": filter_panels(exploration, step),
        "Bound": bound_panels(exploration, step),
    }


def prediction_words(exploration: Exploration, step: float) -> list[str]:
    """Say what is foreseen at a step, and at the best one; nothing without an image."""
    if (prediction := exploration.prediction) is None:
        return []
    best, noise = prediction.best, prediction.noise
    at = int(np.abs(STEPS - step).argmin())
    words = [f"{noise}."]
    if best == 0 or best == len(STEPS) - 1:
        words.append(
            f"The error is least at the {'first' if best == 0 else 'last'} step foreseen: choose another width."
        )
    words += [
        f"Best step {STEPS[best]:,.0f}: error {_error(prediction.errors[best])} of the noise.",
        f"Shown: error {_error(prediction.errors[at])}, freedom {100 * prediction.freedom[at] / prediction.bound.n:.2g} %.",
    ]
    if noise.correlation_length > 1:
        words.append(
            "The noise of neighboring pixels is alike, which the estimate does not know of: the best step is too late."
        )
    return words


def _error(value: float) -> str:
    """Say an error, which is NaN where its square is estimated below zero."""
    return "unknown" if np.isnan(value) else f"{value:.2f}"


def bound_words(exploration: Exploration) -> list[str]:
    """Say what theorem 1 comes to; nothing without an image."""
    if (prediction := exploration.prediction) is None:
        return []
    bound, terms = prediction.bound, prediction.bound.at_stop
    error = _error(prediction.errors[prediction.best])
    return [
        f"p = {bound.n_signal:,} of n = {bound.n:,}; outside lies {100 * bound.outside:.2g} % of the signal's energy.",
        f"At its step τ* = {bound.stopping_step:.3g}{', not even one' if bound.stopping_step < 1 else ''}: "
        f"signal not drawn {terms.signal:.3g} + noise drawn {terms.noise:.3g} = {terms.total:.3g}.",
        f"Least bound at any step {bound.least:.3g}; foreseen at the best step {error}.",
        "Never below 1, the error of the noisy image: it promises nothing."
        if bound.least >= 1
        else "Below 1, the error of the noisy image: it promises a better one.",
    ]


def _over_frequency(name: str, values: Array) -> Curve:
    """A curve over the frequencies that a transform of real values has."""
    x = np.fft.rfftfreq(len(values))
    return Curve(name, x, values[: len(x)])


def _names(exploration: Exploration) -> tuple[str, str]:
    height, width = exploration.image_kernel.shape
    return f"{exploration.length} samples", f"{height} × {width} pixels, along x"


def _reach(kernel: Array) -> int:
    """How far a kernel reaches from its middle, and one sample more."""
    middle = len(kernel) // 2
    seen = np.flatnonzero(np.abs(kernel) > FAINT * np.abs(kernel).max())
    return min(int(np.abs(seen - middle).max()) + 1, (len(kernel) - 1) // 2)


def _periods(n: int) -> str:
    return f"{n} period" if n == 1 else f"{n} periods"
