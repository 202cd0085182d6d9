"""Plots of fits to an image and to noise, while they go on and afterwards. Nothing here loads torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from napari_convgen.figures.panel import Curve, Plot

TITLES = {"image": "image", "noise": "noise", "reference": "reference", "added noise": "noisier image"}
"""What targets are called in plots and sentences."""


def error_plot(curves: Sequence[tuple[str, ArrayLike, ArrayLike]], steps: Sequence[int]) -> Plot:
    """Return the plot of what is left of each target by step, as in the paper's figure 1.

    Parameters
    ----------
    curves
        Name, losses and errors of each target; errors are NaN where there are none.
    steps
        Steps at which they were noted.
    """
    x = np.array(steps)
    lines = [Curve(TITLES[name], x, np.array(losses)) for name, losses, _ in curves]
    lines += [
        Curve(f"{TITLES[name]} to clean", x, np.array(errors), "dashes")
        for name, _, errors in curves
        if np.isfinite(errors).all()
    ]
    return Plot("Left to fit", "step", "share left to fit", lines, "log", "log")


def distance_plot(curves: Sequence[tuple[str, ArrayLike]], layers: Sequence[str], step: int) -> Plot:
    """Return the plot of how far each layer's weights are from their start, as in the paper's figure 9.

    Parameters
    ----------
    curves
        Name of each target, and the relative distance of each layer.
    layers
        Names of the layers; the last is the output's.
    step
        Number of the step after which the distances were measured.
    """
    numbers = np.arange(1, len(layers) + 1)
    lines = [Curve(TITLES[name], numbers, np.array(distances)) for name, distances in curves]
    return Plot(
        f"How far the weights moved, step {step}",
        f"layer of the network ({len(layers)}: output)",
        "relative distance",
        lines,
    )
