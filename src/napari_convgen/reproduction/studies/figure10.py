"""Figure 10: how the error falls over the steps, for many images and as many noise images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.figures.panel import Curve, Panel, Picture, Plot
from napari_convgen.reproduction.images import Values, describe_photographs, photographs, uniform_noise
from napari_convgen.reproduction.nets import MOMENTUM, NORM_NOTE, Fits, Trace, decoder
from napari_convgen.reproduction.study import Claim, Study

BRIGHTEST = 0.9
"""Largest value of the noise, which is uniform from 0 on, in the authors' notebook."""

N_SHOWN = 3
"""Photographs in the picture."""


@dataclass(frozen=True)
class _Size:
    """Side of the images in pixels, channels and scales of the decoder, steps, and images."""

    side: int
    n_channels: int
    n_scales: int
    n_steps: int
    n_images: int


SIZES = {True: _Size(512, 256, 5, 10_000, 25), False: _Size(64, 38, 3, 700, 6)}
"""The size of the authors' notebook, and the quick one."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Fits of a decoder.

    Attributes
    ----------
    images
        Photographs, with their names.
    traces
        Course of each fit, of ``"images"`` and of ``"noise"``.
    """

    images: Sequence[tuple[str, Values]]
    traces: Mapping[str, Sequence[Trace]]

    @property
    def losses(self) -> Mapping[str, NDArray[np.float64]]:
        """Losses of images and of noise, ``(fits, steps)``."""
        return {kind: np.array([trace.losses for trace in group]) for kind, group in self.traces.items()}

    def mean_loss(self, i: int) -> Mapping[str, float]:
        """Return the mean loss of images and of noise at the i-th step that was noted."""
        return {kind: float(losses[:, i].mean()) for kind, losses in self.losses.items()}


class Figure10(Study[Measured]):
    """Fit a narrow decoder to photographs and to as many noise images.

    References
    ----------
    Figure 10; the authors' notebook ``image_fitted_faster_than_noise_on_imgnet``.
    """

    def measure(self) -> Measured:
        """Fit each photograph and each noise image."""
        size, rng = SIZES[self.setting.is_full], np.random.default_rng(0)
        images = photographs(self.setting, size.side, size.n_images)
        net = decoder(size.n_channels, size.n_scales)
        fits = Fits(self.setting, 2 * len(images))
        traces: dict[str, list[Trace]] = {"images": [], "noise": []}
        for seed, (name, image) in enumerate(images):
            noise = BRIGHTEST * uniform_noise(image.shape, rng)
            traces["images"].append(fits(name, net, image, MOMENTUM, size.n_steps, seed=seed))
            traces["noise"].append(fits(f"noise {seed + 1}", net, noise, MOMENTUM, size.n_steps, seed=seed))
        return Measured(images, traces)

    def claims(self, measured: Measured) -> Sequence[Claim]:
        """Compare the losses of images and of noise."""
        losses, first, last = measured.losses, measured.mean_loss(0), measured.mean_loss(-1)
        claims = [
            Claim(
                "images are fitted much better than noise",
                f"mean loss after {SIZES[self.setting.is_full].n_steps} steps: "
                f"images {last['images']:.2g}, noise {last['noise']:.2g}",
                "noise has 5 times the loss of images or more, and more than the worst image",
                last["noise"] >= 5 * last["images"]
                and bool(losses["noise"][:, -1].min() > losses["images"][:, -1].max()),
            ),
            Claim(
                "noise is hardly fitted: its loss falls from 0.0762 to 0.0595",
                f"from {first['noise']:.4f} to {last['noise']:.4f}",
                "it keeps 70 % or more",
                last["noise"] >= 0.7 * first["noise"],
            ),
        ]
        if self.setting.is_full:
            claims.append(
                Claim(
                    "noise has a loss of 0.0595 after 10,000 steps",
                    f"{last['noise']:.4f}",
                    "within 2 %",
                    abs(last["noise"] / 0.0595 - 1) <= 0.02,
                )
            )
        return claims

    def panels(self, measured: Measured) -> Sequence[Panel]:
        """Show the losses' means and ranges, and a few photographs."""
        steps = measured.traces["images"][0].steps
        curves = []
        for kind, losses in measured.losses.items():
            curves.append(Curve(f"{kind}, mean", steps, losses.mean(0)))
            curves.append(Curve(f"{kind}, least", steps, losses.min(0), "dashes"))
            curves.append(Curve(f"{kind}, most", steps, losses.max(0), "dashes"))
        return [
            Plot("Loss of images and of noise", "step", "mean squared error", curves, "log", "log"),
            *(Picture(name, np.moveaxis(image, 0, -1)) for name, image in measured.images[:N_SHOWN]),
        ]

    def numbers(self, measured: Measured) -> Mapping[str, Any]:
        """Return the last loss of each fit, and the first mean losses."""
        pairs = zip(measured.images, measured.traces["images"], strict=True)
        return {
            "images": {name: trace.losses[-1] for (name, _), trace in pairs},
            "noise": [trace.losses[-1] for trace in measured.traces["noise"]],
            "first": measured.mean_loss(0),
        }

    def notes(self, measured: Measured) -> Sequence[str]:
        """Return the differences from the paper's setting."""
        size = SIZES[self.setting.is_full]
        smaller = f"Smaller than the paper's: {size.n_channels} channels instead of 256, {size.n_steps} steps instead of 10,000."
        return [
            describe_photographs(self.setting, len(measured.images), size.side),
            "The text says 100 images and an over-parameterized net; the authors' code takes 25 and a net with half as many parameters as "
            "there are values, and so do we.",
            "The noise is uniform in [0, 0.9], independent in the three channels.",
            NORM_NOTE,
            *([] if self.setting.is_full else [smaller]),
        ]
