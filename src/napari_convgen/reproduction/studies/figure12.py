"""Figure 12: the Jacobian passes images and stops noise."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from skimage.data import shepp_logan_phantom
from skimage.transform import resize

from napari_convgen.core.generators import DeepDecoder, Generator, SkipNetwork
from napari_convgen.core.spectra.centering import remove_mean
from napari_convgen.core.spectra.jacobian import module_jacobian
from napari_convgen.figures.panel import Curve, Panel, Plot
from napari_convgen.reproduction.study import Claim, Study

KINDS = ("decoder", "skip network")
"""Generators of the paper's figure, the second one that of the deep image prior."""

NORM_INITS = ("uniform", "ones")
"""Scales of the channel norm at the start: of the paper's time, and of today."""

SIGNALS = ("image", "noise", "image, mean removed", "noise, mean removed")
"""Images x whose J'x is computed."""

SIDE = 256
"""Side of the image in pixels, as in the paper."""

LENGTH = 85.78
"""Length of the image as a vector, as in the authors' notebook."""

PUBLISHED = (8600, 580, 53000, 15000)
"""Lengths of J'x in the authors' histograms: of image and noise, by the decoder and by the deep image prior."""

LEAST_RATIO = 5
"""Ratio of the lengths from which the decoder passes an image far better than noise. Our choice."""

N_STARTS = {True: 100, False: 2}
"""Random starts of each net in full and in quick size; 5000 in the paper."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Lengths of J'x.

    Attributes
    ----------
    lengths
        Length by signal, for each start; by kind of generator and scales of the norm.
    """

    lengths: Mapping[tuple[str, str], Sequence[Mapping[str, float]]]

    def mean(self, kind: str, init: str, signal: str) -> float:
        """Return the mean length over the starts."""
        return statistics.fmean(each[signal] for each in self.lengths[kind, init])

    def ratio(self, kind: str, init: str, suffix: str = "") -> float:
        """Return the mean length of the image over that of noise."""
        return self.mean(kind, init, f"image{suffix}") / self.mean(kind, init, f"noise{suffix}")


class Figure12(Study[Measured]):
    """Compare the length of J'x for an image and for noise of the same length, over some starts of a decoder and a skip network.

    References
    ----------
    Figure 12.
    """

    def measure(self) -> Measured:
        """Compute the lengths for each generator, norm and start."""
        n_starts = N_STARTS[self.setting.is_full]
        lengths: dict[tuple[str, str], list[dict[str, float]]] = {}
        cases = [(kind, init) for kind in KINDS for init in NORM_INITS]
        for i, (kind, init) in enumerate(cases):
            lengths[kind, init] = []
            for seed in range(n_starts):
                share = (i + seed / n_starts) / len(cases)
                self.setting.report_progress(f"{kind}, scales {init}, start {seed + 1}", share)
                key = {"study": "fig12", "kind": kind, "init": init, "seed": seed}
                compute = partial(_lengths, kind, init, seed, self.setting.device)
                lengths[kind, init].append(self.setting.keep(key, compute))
        return Measured(lengths)

    def claims(self, measured: Measured) -> Sequence[Claim]:
        """Compare the lengths with the authors', and those of images with those of noise."""
        mean, ratio, removed = measured.mean, measured.ratio, ", mean removed"
        decoder, skip = (ratio(kind, "uniform") for kind in KINDS)
        decoder_removed, skip_removed = (ratio(kind, "uniform", removed) for kind in KINDS)
        ours = [mean(kind, "uniform", signal) for kind in KINDS for signal in ("image", "noise")]
        today = [mean("decoder", "ones", signal) for signal in ("image", "noise")]
        return [
            Claim(
                "length of J'x in the authors' histograms: decoder, image 8600 and noise 580; deep image prior, 53000 and 15000",
                f"{ours[0]:.0f} and {ours[1]:.0f}; {ours[2]:.0f} and {ours[3]:.0f}",
                "25 %, with the norms' scales uniform in [0, 1] as they were when the paper was written",
                all(abs(a / b - 1) <= 0.25 for a, b in zip(ours, PUBLISHED, strict=True)),
                f"With today's scales of one the decoder has {today[0]:.0f} and {today[1]:.0f}.",
            ),
            Claim(
                "the decoder's Jacobian passes an image far better than noise of the same length",
                f"{decoder:.1f} times; {ratio('decoder', 'ones'):.1f} with scales of one; {decoder_removed:.1f} with the means removed",
                f"more than {LEAST_RATIO} times each",
                min(decoder, ratio("decoder", "ones"), decoder_removed) > LEAST_RATIO,
            ),
            Claim(
                "it separates the two by more than the deep image prior's",
                f"{decoder:.1f} against {skip:.1f} times; with the means removed {decoder_removed:.1f} against {skip_removed:.1f}",
                "with the means and without",
                decoder > skip and decoder_removed > skip_removed,
                "Three quarters of the noise's energy is its mean, as it is uniform in [0, 1]. The decoder's convolutions hardly move "
                "the mean, those of the other net do: the mean makes the difference.",
            ),
        ]

    def panels(self, measured: Measured) -> Sequence[Panel]:
        """Show how the lengths are distributed over the starts."""
        return [
            _distribution(f"{kind.capitalize()}, scales {init}", lengths)
            for (kind, init), lengths in measured.lengths.items()
        ]

    def numbers(self, measured: Measured) -> Mapping[str, Any]:
        """Return the lengths at each start."""
        return {f"{kind}, scales {init}": lengths for (kind, init), lengths in measured.lengths.items()}

    def notes(self, measured: Measured) -> Sequence[str]:
        """Return the differences from the paper's setting."""
        return [
            f"{N_STARTS[self.setting.is_full]} starts instead of 5000, each with a latent of its own.",
            "Convolutions alone, the output's among them; the norms' scales and offsets are left out, as in the authors' code.",
            "The image is Shepp and Logan's phantom as scikit-image has it, scaled to the length of the authors'.",
        ]


def _lengths(kind: str, init: str, seed: int, device: torch.device) -> dict[str, float]:
    """Return the length of J'x for each signal."""
    phantom = resize(shepp_logan_phantom(), (SIDE, SIDE), anti_aliasing=True)
    image = torch.from_numpy(phantom).float()[None]
    rng = torch.Generator().manual_seed(seed)
    linear_map = module_jacobian(_net(kind, init, rng).to(device), ["convolutions", "output"])
    noise, ones = torch.rand(image.shape, generator=rng), torch.ones_like(image)
    signals = (image, noise, remove_mean(image, ones), remove_mean(noise, ones))
    scaled = [signal[None].to(device) * LENGTH / signal.norm() for signal in signals]
    return {name: float(linear_map.adjoint(signal).norm()) for name, signal in zip(SIGNALS, scaled, strict=True)}


def _net(kind: str, init: str, rng: torch.Generator) -> Generator:
    """Return a net at its start."""
    if kind == "decoder":
        options: Any = {"order": "relu-norm", "norm_init": init, "extra_layer": "last"}
        return DeepDecoder((SIDE, SIDE), 1, n_channels=256, n_scales=4, rngs=[rng], **options)
    settings: Any = {"n_channels": 128, "n_fine_channels": 128, "padding": "reflection"}
    net = SkipNetwork((SIDE, SIDE), 1, rngs=[rng], n_scales=5, **settings)
    if init == "uniform":
        with torch.no_grad():
            for name, parameter in net.named_parameters():
                if name.endswith("norm.scale"):
                    parameter.copy_(torch.rand(parameter.shape, generator=rng))
    return net


def _distribution(title: str, lengths: Sequence[Mapping[str, float]]) -> Plot:
    """Return how the lengths of each signal are distributed over the starts."""
    shares = (np.arange(len(lengths)) + 0.5) / len(lengths)
    curves = [Curve(signal, np.sort([each[signal] for each in lengths]), shares, "dots") for signal in SIGNALS]
    return Plot(title, "length of J'x", "share of starts below", curves)
