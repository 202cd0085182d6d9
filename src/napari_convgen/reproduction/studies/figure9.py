"""Figure 9: how far the weights move for an image and for noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from napari_convgen.figures.panel import Curve, Panel, Plot
from napari_convgen.reproduction.architectures import NOTES, Pair, fit_pair
from napari_convgen.reproduction.nets import Fits, Trace, decoder, first_step_below
from napari_convgen.reproduction.study import Claim, Study

FITTED = 0.25
"""Share of the first loss that is left when distances are compared. Our choice."""

LEAST_RATIO = 3
"""Ratio of the distances from which noise moves the weights much further. Our choice, after the paper's curves."""

SIZES = {True: (decoder(256, 4), 256, 100_000), False: (decoder(42, 2), 64, 5000)}
"""Net, side of the image in pixels, and steps, enough to fit noise nearly: the paper's size, and the quick one."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Fits of image and noise.

    Attributes
    ----------
    pair
        Course of both fits.
    layers
        Names of the layers.
    """

    pair: Pair
    layers: Sequence[str]

    @property
    def distances(self) -> Mapping[str, Sequence[float]]:
        """Distance of each layer when the target is fitted, for the image and for noise."""
        return {name: _distances_when_fitted(trace) for name, trace in self.pair.items()}

    @property
    def ratios_at_end(self) -> Sequence[float]:
        """Distance of each layer for noise, over that for the image, after the last step."""
        image, noise = (self.pair[name].distances for name in self.pair)
        return [b[-1] / a[-1] for a, b in zip(image, noise, strict=True)]


class Figure9(Study[Measured]):
    """Compare how far each layer's weights move for the image and for noise.

    References
    ----------
    Figure 9. There is no notebook for it; its distance is taken as that to the start over the norm of the start, and compared where image
    and noise are fitted equally well.
    """

    def measure(self) -> Measured:
        """Fit both targets."""
        net, side, n_steps = SIZES[self.setting.is_full]
        pair = fit_pair(Fits(self.setting, 2), "", net, side, (n_steps, n_steps))
        n_layers = len(pair["image"].distances)
        return Measured(pair, [*(f"layer {i + 1}" for i in range(n_layers - 1)), "output"])

    def claims(self, measured: Measured) -> Sequence[Claim]:
        """Compare the distances of each layer."""
        distances = measured.distances
        return [
            Claim(
                f"{name}: the weights move much further for noise than for the image",
                f"at a quarter of the first loss: noise {noise:.2f}, image {image:.2f} of the norm at the start: {noise / image:.1f} times",
                f"{LEAST_RATIO} times or more",
                noise / image > LEAST_RATIO,
            )
            for name, image, noise in zip(measured.layers, distances["image"], distances["noise"], strict=True)
        ]

    def panels(self, measured: Measured) -> Sequence[Panel]:
        """Show the distances over the steps."""
        return [
            Plot(
                f"{target.capitalize()}: distance of each layer",
                "step",
                "distance / norm at the start",
                [Curve(name, trace.steps, layer) for name, layer in zip(measured.layers, trace.distances, strict=True)],
                "log",
                "log",
            )
            for target, trace in measured.pair.items()
        ]

    def numbers(self, measured: Measured) -> Mapping[str, Any]:
        """Return the distances when fitted, and their ratios after the last step."""
        return {**measured.distances, "layers": measured.layers, "ratios_at_end": measured.ratios_at_end}

    def notes(self, measured: Measured) -> Sequence[str]:
        """Return the differences from the paper's setting."""
        smaller = (
            "Smaller than the paper's: 64² pixels, two scales, 42 channels, and as many steps as fit noise nearly."
        )
        return [
            *NOTES,
            f"After the same number of steps, {SIZES[self.setting.is_full][2]}, when the image has long been fitted, noise has moved "
            f"the layers {', '.join(f'{ratio:.1f}' for ratio in measured.ratios_at_end)} times as far.",
            *([] if self.setting.is_full else [smaller]),
        ]


def _distances_when_fitted(trace: Trace) -> list[float]:
    """Return each layer's distance at the first step noted with a quarter of the first loss, or at the last step."""
    step = first_step_below(trace, FITTED * trace.losses[0]) or trace.steps[-1]
    return [layer[trace.steps.index(step)] for layer in trace.distances]
