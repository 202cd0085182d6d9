"""The architectures of appendix B, each fitted to an image and to noise: what figures 4, 8 and 9 have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_convgen.figures.panel import Curve, Panel, Plot
from napari_convgen.reproduction.images import phantom, uniform_noise
from napari_convgen.reproduction.nets import (
    MOMENTUM,
    NORM_NOTE,
    Convolution,
    Fits,
    Net,
    Trace,
    convolutional,
    count_parameters,
    decoder,
)
from napari_convgen.reproduction.study import Claim, Study

KINDS = {
    "i": "fixed kernel, with upsampling",
    "ii": "fixed kernel, no upsampling",
    "iii": "learned 3×3 convolutions",
    "iv": "transposed 4×4 convolutions",
}
"""Architectures of appendix B by their number in figure 4."""

CONVOLUTIONS: Mapping[str, tuple[Convolution, int]] = {
    "ii": ("fixed", 4),
    "iii": ("learned", 5),
    "iv": ("transposed", 3),
}
"""Convolutions and hidden layers of the architectures that are no deep decoders."""

RATIOS: Mapping[str, tuple[float, float]] = {
    "i": (100, np.inf),
    "ii": (20, np.inf),
    "iii": (0, 15),
    "iv": (0, 15),
}
"""Bounds on the steps of noise to half the first loss, over those of the image; the ratios of the authors' curves lie between them."""

NOTES = (
    "Gradient descent has a momentum of 0.9, and noise is uniform in [0, 1], as in the authors' code; the text names neither.",
    NORM_NOTE,
)

Pair = Mapping[str, Trace]
"""Course of the fits of ``"image"`` and of ``"noise"`` by one net."""


@dataclass(frozen=True)
class Size:
    """Size of the fits.

    Attributes
    ----------
    side
        Side of the image in pixels.
    n_scales
        Scales of the decoder.
    widths
        Channels by architecture, rising.
    n_steps
        Steps by architecture, for the image and for noise.
    """

    side: int
    n_scales: int
    widths: Mapping[str, Sequence[int]]
    n_steps: Mapping[str, tuple[int, int]]

    def net(self, kind: str, i: int) -> Net:
        """Return the net of an architecture in its i-th width."""
        n_channels = self.widths[kind][i]
        if kind == "i":
            return decoder(n_channels, self.n_scales)
        return convolutional(*CONVOLUTIONS[kind], n_channels)

    def describe_width(self, kind: str, i: int) -> str:
        """Return the channels of a net, and its parameters for each pixel."""
        per_pixel = count_parameters(self.net(kind, i), 1) / self.side**2
        return f"{self.widths[kind][i]} channels ({per_pixel:.1f}×)"


SIZES = {
    True: Size(
        256,
        4,
        {"i": (128, 256, 512), "ii": (128, 256, 512), "iii": (42, 85, 170), "iv": (42, 85, 170)},
        dict.fromkeys(KINDS, (100_000, 100_000)),
    ),
    False: Size(
        64,
        4,
        {"i": (32, 64), "ii": (16, 32), "iii": (10, 21), "iv": (10, 21)},
        {"i": (100, 2500), "ii": (100, 900), "iii": (100, 250), "iv": (100, 250)},
    ),
}
"""The paper's size, and the quick one."""


def fit_pair(fits: Fits, what: str, net: Net, side: int, n_steps: tuple[int, int]) -> Pair:
    """Fit the phantom and noise by a net.

    Parameters
    ----------
    fits
        Fits of the study.
    what
        Description of the net, for the progress.
    net
        Net that is built anew for each fit.
    side
        Side of the image in pixels.
    n_steps
        Steps for the image and for noise.
    """
    image = phantom(side)
    targets = {"image": image, "noise": uniform_noise(image.shape, np.random.default_rng(0))}
    return {
        name: fits(f"{what}{name}", net, target, MOMENTUM, n)
        for (name, target), n in zip(targets.items(), n_steps, strict=True)
    }


@dataclass(frozen=True, eq=False)
class Measured:
    """Fits of image and noise, by architecture and number of its width."""

    pairs: Mapping[tuple[str, int], Pair]


class ArchitectureStudy(Study[Measured]):
    """Fit the phantom and noise with each architecture, in one width or in several."""

    @abstractmethod
    def which_widths(self) -> Sequence[int]:
        """Return the numbers of the widths in `Size.widths`, from 0."""

    @property
    def size(self) -> Size:
        """Size of the fits."""
        return SIZES[self.setting.is_full]

    def measure(self) -> Measured:
        """Fit both targets by each net."""
        size, widths = self.size, self.which_widths()
        fits = Fits(self.setting, 2 * len(KINDS) * len(widths))
        return Measured(
            {
                (kind, i): fit_pair(
                    fits,
                    f"{kind}) {size.widths[kind][i]} channels, ",
                    size.net(kind, i),
                    size.side,
                    size.n_steps[kind],
                )
                for kind in KINDS
                for i in widths
            }
        )

    def claims(self, measured: Measured) -> Sequence[Claim]:
        """Compare the steps of image and noise; with several widths, how they change with the width, too."""
        claims = [_later(kind, self.size.describe_width(kind, i), pair) for (kind, i), pair in measured.pairs.items()]
        widths = self.which_widths()
        if len(widths) > 1:
            claims += [_sooner_if_wide(kind, [measured.pairs[kind, i] for i in widths]) for kind in ("iii", "iv")]
        return claims

    def panels(self, measured: Measured) -> Sequence[Panel]:
        """Show the losses of each architecture."""
        panels = []
        for kind, title in KINDS.items():
            curves = [
                Curve(
                    f"{target}, {self.size.describe_width(kind, i)}",
                    trace.steps,
                    trace.losses,
                    "line" if target == "noise" else "dashes",
                )
                for i in self.which_widths()
                for target, trace in measured.pairs[kind, i].items()
            ]
            panels.append(Plot(f"{kind}) {title}", "step", "mean squared error", curves, "log", "log"))
        return panels

    def numbers(self, measured: Measured) -> Mapping[str, Any]:
        """Return the steps to half the first loss, and the last loss."""
        return {
            f"{kind}, {self.size.widths[kind][i]} channels": {
                name: {"half_step": trace.half_step, "last_loss": trace.losses[-1], "last_step": trace.steps[-1]}
                for name, trace in pair.items()
            }
            for (kind, i), pair in measured.pairs.items()
        }

    def notes(self, measured: Measured) -> Sequence[str]:
        """Return the differences from the paper's setting."""
        notes = [
            *NOTES,
            "The fixed kernel without upsampling is reflected at the edges; the authors' code adds zeros there.",
        ]
        if not self.setting.is_full:
            notes += [
                "Smaller than the paper's: 64² pixels instead of 256², and fewer steps than 100,000. "
                "In brackets, parameters for each pixel; the paper has about 1, 4 and 16.",
                "In small images the fixed kernel without upsampling separates image and noise less well, so its nets are narrower here: "
                "with 4 parameters for each pixel noise takes 18 times the steps of the image, less than the 20 asked for.",
            ]
        return notes


def _ratio(pair: Pair) -> float:
    """Steps of noise to half the first loss, over those of the image; a lower bound if noise does not get there."""
    image, noise = pair["image"], pair["noise"]
    return (noise.half_step or noise.steps[-1]) / (image.half_step or np.inf)


def _later(kind: str, width: str, pair: Pair) -> Claim:
    low, high = RATIOS[kind]
    noise = pair["noise"]
    steps = f"{noise.half_step} steps" if noise.half_step else f"more than {noise.steps[-1]} steps"
    is_bounded = high < np.inf
    return Claim(
        f"{kind}) {KINDS[kind]}, {width}: noise is fitted "
        + ("nearly as soon as" if is_bounded else "much later than")
        + " the image",
        f"half the first loss: noise after {steps}, image after {pair['image'].half_step}: "
        f"{'' if noise.half_step else 'more than '}{_ratio(pair):.1f} times",
        f"less than {high:.0f} times" if is_bounded else f"more than {low:.0f} times",
        low < _ratio(pair) < high and (noise.half_step is not None or not is_bounded),
    )


def _sooner_if_wide(kind: str, pairs: Sequence[Pair]) -> Claim:
    ratios = [_ratio(pair) for pair in pairs]
    return Claim(
        f"{kind}) the wider, the sooner noise is fitted, towards twice the steps of the image",
        " → ".join(f"{ratio:.1f}" for ratio in ratios) + " times",
        "it falls, to 4 times or less",
        ratios[-1] < ratios[0] and ratios[-1] <= 4,
    )
