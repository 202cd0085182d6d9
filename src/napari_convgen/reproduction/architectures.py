"""Figures 4, 8 and 9: which architectures fit an image sooner than noise, and how far their weights move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from napari_convgen.figures.panel import Curve, Plot
from napari_convgen.reproduction.images import phantom, uniform_noise
from napari_convgen.reproduction.nets import (
    MOMENTUM,
    NORM_NOTE,
    Fits,
    Net,
    Trace,
    convolutional,
    count_parameters,
    decoder,
    first_step_below,
)
from napari_convgen.reproduction.study import Claim, Findings, Setting

KINDS = {
    "i": "fixed kernel, with upsampling",
    "ii": "fixed kernel, no upsampling",
    "iii": "learned 3×3 convolutions",
    "iv": "transposed 4×4 convolutions",
}
"""Architectures of appendix B by their number in figure 4."""

RATIOS: Mapping[str, tuple[float, float]] = {
    "i": (100, np.inf),
    "ii": (20, np.inf),
    "iii": (0, 15),
    "iv": (0, 15),
}
"""Steps to half the first loss, those of noise over those of the image: between which two numbers they lie in the authors' curves."""


FITTED = 0.25
"""Share of the first loss that is left when figure 9 compares distances."""

NOTES = (
    "Gradient descent has a momentum of 0.9, and noise is uniform in [0, 1], as in the authors' code; the text names neither.",
    NORM_NOTE,
)


@dataclass(frozen=True)
class _Size:
    """Side of the image in pixels; by architecture, its widths, and its steps for the image and for noise."""

    side: int
    n_scales: int
    widths: Mapping[str, Sequence[int]]
    n_steps: Mapping[str, tuple[int, int]]


_SIZES = {
    True: _Size(
        256,
        4,
        {"i": (128, 256, 512), "ii": (128, 256, 512), "iii": (42, 85, 170), "iv": (42, 85, 170)},
        dict.fromkeys(KINDS, (100_000, 100_000)),
    ),
    False: _Size(
        64,
        4,
        {"i": (32, 64), "ii": (16, 32), "iii": (10, 21), "iv": (10, 21)},
        {"i": (100, 2500), "ii": (100, 900), "iii": (100, 250), "iv": (100, 250)},
    ),
}

_FIGURE9 = {True: (decoder(256, 4), 256, 100_000), False: (decoder(42, 2), 64, 5000)}
"""Net, side of the image in pixels, and steps: so many that noise is nearly fitted."""


def figure4(setting: Setting) -> Findings:
    """Fit the phantom and noise with each architecture, over-parameterized about four times.

    References
    ----------
    Figure 4; the authors' notebook ``noise_vs_img_fitting_different_architectures``.
    """
    return _compare(setting, [1])


def figure8(setting: Setting) -> Findings:
    """Do the same in all widths of the paper; in quick size, in two.

    References
    ----------
    Figure 8 and appendix B.
    """
    return _compare(setting, range(len(_SIZES[setting.is_full].widths["i"])))


def figure9(setting: Setting) -> Findings:
    """Compare how far each layer's weights move for the image and for noise.

    References
    ----------
    Figure 9. There is no notebook for it; its distance is taken as that to the start over the norm of the start, and compared where image
    and noise are fitted equally well.
    """
    net, side, n_steps = _FIGURE9[setting.is_full]
    pair = _pair(Fits(setting, 2), "", net, side, (n_steps, n_steps))
    distances = {name: _distances_when_fitted(trace) for name, trace in pair.items()}
    ratios = [noise / image for image, noise in zip(distances["image"], distances["noise"], strict=True)]
    at_end = [noise[-1] / image[-1] for image, noise in zip(*(pair[name].distances for name in pair), strict=True)]
    names = [*(f"layer {i + 1}" for i in range(len(ratios) - 1)), "output"]
    claims = [
        Claim(
            f"{name}: the weights move much further for noise than for the image",
            f"at a quarter of the first loss: noise {noise:.2f}, image {image:.2f} of the norm at the start: {ratio:.1f} times",
            "3 times or more",
            ratio > 3,
        )
        for name, image, noise, ratio in zip(names, distances["image"], distances["noise"], ratios, strict=True)
    ]
    panels = [
        Plot(
            f"{target.capitalize()}: distance of each layer",
            "step",
            "distance / norm at the start",
            [Curve(name, trace.steps, layer) for name, layer in zip(names, trace.distances, strict=True)],
            "log",
            "log",
        )
        for target, trace in pair.items()
    ]
    at_same_step = (
        f"After the same number of steps, {n_steps}, when the image has long been fitted, noise has moved the layers "
        f"{', '.join(f'{ratio:.1f}' for ratio in at_end)} times as far."
    )
    smaller = (
        []
        if setting.is_full
        else ["Smaller than the paper's: 64² pixels, two scales, 42 channels, and as many steps as fit noise nearly."]
    )
    return Findings(
        claims, panels, {**distances, "layers": names, "ratios_at_end": at_end}, [*NOTES, at_same_step, *smaller]
    )


def _distances_when_fitted(trace: Trace) -> list[float]:
    """Each layer's distance when the loss is down to a quarter for the first time, or at the end."""
    step = first_step_below(trace, FITTED * trace.losses[0]) or trace.steps[-1]
    return [layer[trace.steps.index(step)] for layer in trace.distances]


def _compare(setting: Setting, factors: Sequence[int]) -> Findings:
    size = _SIZES[setting.is_full]
    fits = Fits(setting, 2 * len(KINDS) * len(factors))
    pairs = {
        (kind, i): _pair(
            fits,
            f"{kind}) {size.widths[kind][i]} channels, ",
            _net(kind, size.widths[kind][i], size.n_scales),
            size.side,
            size.n_steps[kind],
        )
        for kind in KINDS
        for i in factors
    }
    claims = [_claim(kind, _width(size, kind, i), pair) for (kind, i), pair in pairs.items()]
    if len(factors) > 1:
        claims += [_narrowing(kind, [pairs[kind, i] for i in factors]) for kind in ("iii", "iv")]
    panels = [
        Plot(
            f"{kind}) {words}",
            "step",
            "mean squared error",
            [
                Curve(
                    f"{target}, {_width(size, kind, i)}",
                    trace.steps,
                    trace.losses,
                    "line" if target == "noise" else "dashes",
                )
                for i in factors
                for target, trace in pairs[kind, i].items()
            ],
            "log",
            "log",
        )
        for kind, words in KINDS.items()
    ]
    numbers = {
        f"{kind}, {size.widths[kind][i]} channels": {
            name: {"half_step": trace.half_step, "last_loss": trace.losses[-1], "last_step": trace.steps[-1]}
            for name, trace in pair.items()
        }
        for (kind, i), pair in pairs.items()
    }
    return Findings(claims, panels, numbers, _notes(setting, size))


def _pair(fits: Fits, what: str, net: Net, side: int, n_steps: tuple[int, int]) -> dict[str, Trace]:
    """The phantom and noise, fitted by a net for so many steps each."""
    image = phantom(side)
    targets = {"image": image, "noise": uniform_noise(image.shape, np.random.default_rng(0))}
    return {
        name: fits(f"{what}{name}", net, target, MOMENTUM, n)
        for (name, target), n in zip(targets.items(), n_steps, strict=True)
    }


def _width(size: _Size, kind: str, i: int) -> str:
    """How wide a net is, in words."""
    n_channels = size.widths[kind][i]
    per_pixel = count_parameters(_net(kind, n_channels, size.n_scales), 1) / size.side**2
    return f"{n_channels} channels ({per_pixel:.1f}×)"


def _net(kind: str, n_channels: int, n_scales: int) -> Net:
    if kind == "i":
        return decoder(n_channels, n_scales)
    convolution, n_layers = {"ii": ("fixed", 4), "iii": ("learned", 5), "iv": ("transposed", 3)}[kind]
    return convolutional(convolution, n_channels, n_layers)


def _ratio(pair: Mapping[str, Trace]) -> float:
    """Steps to half the first loss, noise over image; at least so many if noise does not get there."""
    image, noise = pair["image"], pair["noise"]
    return (noise.half_step or noise.steps[-1]) / (image.half_step or np.inf)


def _claim(kind: str, width: str, pair: Mapping[str, Trace]) -> Claim:
    low, high = RATIOS[kind]
    noise = pair["noise"]
    words = f"{noise.half_step} steps" if noise.half_step else f"more than {noise.steps[-1]} steps"
    is_bounded = high < np.inf
    return Claim(
        f"{kind}) {KINDS[kind]}, {width}: noise is fitted "
        + ("nearly as soon as" if is_bounded else "much later than")
        + " the image",
        f"half the first loss: noise after {words}, image after {pair['image'].half_step}: "
        f"{'' if noise.half_step else 'more than '}{_ratio(pair):.1f} times",
        f"less than {high:.0f} times" if is_bounded else f"more than {low:.0f} times",
        low < _ratio(pair) < high and (noise.half_step is not None or not is_bounded),
    )


def _narrowing(kind: str, pairs: Sequence[Mapping[str, Trace]]) -> Claim:
    ratios = [_ratio(pair) for pair in pairs]
    return Claim(
        f"{kind}) the wider, the sooner noise is fitted, towards twice the steps of the image",
        " → ".join(f"{ratio:.1f}" for ratio in ratios) + " times",
        "it falls, to 4 times or less",
        ratios[-1] < ratios[0] and ratios[-1] <= 4,
    )


def _notes(setting: Setting, size: _Size) -> list[str]:
    notes = [
        *NOTES,
        "The fixed kernel without upsampling is reflected at the edges; the authors' code adds zeros there.",
    ]
    if not setting.is_full:
        notes += [
            "Smaller than the paper's: 64² pixels instead of 256², and fewer steps than 100,000. "
            "In brackets, parameters for each pixel; the paper has about 1, 4 and 16.",
            "In small images the fixed kernel without upsampling tells less from noise, so its nets are narrower here: "
            "with 4 parameters for each pixel noise takes 18 times the steps of the image, less than the 20 asked for.",
        ]
    return notes
