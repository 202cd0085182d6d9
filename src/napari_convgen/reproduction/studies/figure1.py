"""Figure 1: how the error falls over the steps for an image, for noise, and for a noisy image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_convgen.figures.panel import Curve, Panel, Picture, Plot
from napari_convgen.reproduction.images import Values, phantom, uniform_noise, with_noise
from napari_convgen.reproduction.nets import (
    ADAM,
    NORM_NOTE,
    Fits,
    Net,
    Trace,
    decoder,
    first_step_below,
    skip_network,
)
from napari_convgen.reproduction.study import Claim, Study

METHODS = ("deep image prior", "deep decoder")

NOISE_LEVEL = 40
"""Standard deviation of the noise on a scale to 255, from the authors' notebook."""

FITTED = 0.1
"""Share of a target's variance; a target counts as fitted once the loss is at most this. Our choice."""

SOONER = 5
"""Ratio of the steps of noise to those of an image from which the image is fitted much sooner. Our choice."""

RISE = 1.5
"""Ratio of the last error to the smallest from which the error has risen again. Our choice."""

STORED = {
    ("deep decoder", "noise"): 0.00887,
    ("deep decoder", "noisy"): 0.00253,
    ("deep image prior", "noisy"): 1.18e-4,
}
"""Losses after the last step in the stored output of the authors' notebook; those of the other fits are as small as rounding."""


@dataclass(frozen=True)
class _Size:
    """Side of the image in pixels, channels and scales of both nets, and steps."""

    side: int
    n_channels: int
    n_scales: int
    skip_channels: int
    skip_scales: int
    n_steps: int


SIZES = {True: _Size(256, 256, 4, 128, 5, 10_010), False: _Size(64, 64, 4, 24, 4, 800)}
"""The paper's size, and the quick one."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Fits of both nets.

    Attributes
    ----------
    targets
        Images that are fitted: ``"clean"``, ``"noise"`` and ``"noisy"``.
    traces
        Course of each fit, by method and target.
    """

    targets: Mapping[str, Values]
    traces: Mapping[tuple[str, str], Trace]


class Figure1(Study[Measured]):
    """Fit a clean image, noise, and a noisy image, which comes near the clean one on the way.

    References
    ----------
    Figure 1; the authors' notebook ``denoising_MSE_curves``.
    """

    def measure(self) -> Measured:
        """Fit each target by each net."""
        size, rng = SIZES[self.setting.is_full], np.random.default_rng(0)
        clean = phantom(size.side)
        noise = uniform_noise(clean.shape, rng)
        noise *= np.linalg.norm(clean) / np.linalg.norm(noise)
        targets = {"clean": clean, "noise": noise, "noisy": with_noise(clean, NOISE_LEVEL, rng, is_shared=True)}
        fits = Fits(self.setting, len(METHODS) * len(targets))
        traces = {
            (method, name): fits(f"{method}, {name}", _net(size, method, name), target, ADAM, size.n_steps, clean=clean)
            for method in METHODS
            for name, target in targets.items()
        }
        return Measured(targets, traces)

    def claims(self, measured: Measured) -> Sequence[Claim]:
        """Compare when the targets are fitted; in full size, the last losses, too."""
        claims = []
        for method in METHODS:
            claims.append(_sooner(method, measured))
            claims.append(_dips(method, measured.traces[method, "noisy"]))
        if self.setting.is_full:
            claims += [_as_stored(*which, measured.traces[which], loss) for which, loss in STORED.items()]
        return claims

    def panels(self, measured: Measured) -> Sequence[Panel]:
        """Show the curves, the noisy image, and what each net makes of it."""
        panels: list[Panel] = [_curves(method, measured.traces) for method in METHODS]
        panels.append(Picture("Noisy image", measured.targets["noisy"][0], (0, 1)))
        for method in METHODS:
            noisy = measured.traces[method, "noisy"]
            panels.append(Picture(f"{method.capitalize()}, step {noisy.best_step}", noisy.best[0], (0, 1)))
            panels.append(Picture(f"{method.capitalize()}, step {noisy.steps[-1]}", noisy.last[0], (0, 1)))
        return panels

    def numbers(self, measured: Measured) -> Mapping[str, Any]:
        """Return losses and errors of each fit."""
        return {
            f"{method}, {name}": {
                "last_loss": trace.losses[-1],
                "least_error": min(trace.errors),
                "best_step": trace.best_step,
                "last_error": trace.errors[-1],
            }
            for (method, name), trace in measured.traces.items()
        }

    def notes(self, measured: Measured) -> Sequence[str]:
        """Return the differences from the paper's setting."""
        size = SIZES[self.setting.is_full]
        smaller = (
            f"Smaller than the paper's: {size.side}² pixels instead of 256², a decoder of {size.n_channels} channels instead of 256, "
            f"a skip network of {size.skip_channels} channels and {size.skip_scales} scales instead of 128 and 5, "
            f"{size.n_steps} steps instead of 10,010."
        )
        return [
            "The noise is uniform and scaled to the norm of the image, as in the authors' code, and the noisy image is clipped to [0, 1].",
            "The decoder has its layer without upsampling first for the clean image and noise, and last for the noisy image, as in the "
            "authors' code.",
            NORM_NOTE,
            *([] if self.setting.is_full else [smaller]),
        ]


def _net(size: _Size, method: str, target: str) -> Net:
    if method == "deep image prior":
        return skip_network(size.skip_channels, size.skip_scales, 0)
    return decoder(size.n_channels, size.n_scales, extra_layer="last" if target == "noisy" else "first")


def _sooner(method: str, measured: Measured) -> Claim:
    steps = {
        name: first_step_below(measured.traces[method, name], FITTED * float(np.var(measured.targets[name])))
        for name in ("clean", "noise")
    }
    n_steps = measured.traces[method, "noise"].steps[-1]
    clean, noise = steps["clean"], steps["noise"]
    phrases = [f"step {step}" if step else f"not within {n_steps} steps" for step in (clean, noise)]
    return Claim(
        f"{method}: the clean image is fitted much sooner than noise",
        f"a tenth of the variance is left: clean {phrases[0]}, noise {phrases[1]}",
        f"noise takes {SOONER} times the steps, or more",
        clean is not None and (noise or n_steps) >= SOONER * clean,
    )


def _dips(method: str, trace: Trace) -> Claim:
    least = min(trace.errors)
    return Claim(
        f"{method}: the noisy image's distance to the clean one falls and rises again",
        f"mean squared error {least:.4f} at step {trace.best_step}, {trace.errors[-1]:.4f} at step {trace.steps[-1]}",
        f"it ends at {RISE} times the least or more, which is inside",
        trace.errors[-1] >= RISE * least and trace.best_step > trace.steps[0],
    )


def _as_stored(method: str, name: str, trace: Trace, loss: float) -> Claim:
    return Claim(
        f"{method}, {name}: a loss of {loss:.2g} after the last step",
        f"{trace.losses[-1]:.2g}",
        "within a factor of 1.4 (0.15 decades)",
        abs(math.log10(trace.losses[-1] / loss)) <= 0.15,
    )


def _curves(method: str, traces: Mapping[tuple[str, str], Trace]) -> Plot:
    noisy = traces[method, "noisy"]
    curves = [
        Curve(f"{name}, loss", traces[method, name].steps, traces[method, name].losses) for name in ("clean", "noise")
    ]
    curves += [
        Curve("noisy, loss", noisy.steps, noisy.losses, "dashes"),
        Curve("noisy, to the clean image", noisy.steps, noisy.errors),
    ]
    return Plot(method.capitalize(), "step", "mean squared error", curves, "log", "log")
