"""Figures 4, 8 and 9: which architectures fit an image sooner than noise, and how far their weights move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from napari_convgen.core.panel import Curve, Plot
from napari_convgen.run.reproduction.images import phantom, uniform_noise
from napari_convgen.run.reproduction.nets import MOMENTUM, NORM_NOTE, Fits, Net, Trace, convolutional, decoder
from napari_convgen.run.reproduction.study import Claim, Findings, Setting

KINDS = {
    "i": "fixed kernel, with upsampling",
    "ii": "fixed kernel, no upsampling",
    "iii": "learned 3×3 convolutions",
    "iv": "transposed 4×4 convolutions",
}
"""Architectures of appendix B by their number in figure 4."""

FACTORS = (1, 4, 16)
"""About how many parameters there are for each pixel."""

RATIOS: Mapping[str, tuple[float, float]] = {
    "i": (100, np.inf),
    "ii": (20, np.inf),
    "iii": (0, 15),
    "iv": (0, 15),
}
"""Steps to half the first loss, those of noise over those of the image: between which two numbers they lie in the authors' curves."""


@dataclass(frozen=True)
class _Size:
    """Sides and widths by architecture, a width for each factor; steps for the image and for noise."""

    sides: Mapping[str, int]
    n_scales: int
    widths: Mapping[str, Sequence[int]]
    n_steps: Mapping[str, tuple[int, int]]


_SIZES = {
    True: _Size(
        dict.fromkeys(KINDS, 256),
        4,
        {"i": (128, 256, 512), "ii": (128, 256, 512), "iii": (42, 85, 170), "iv": (42, 85, 170)},
        dict.fromkeys(KINDS, (100_000, 100_000)),
    ),
    False: _Size(
        {"i": 64, "ii": 128, "iii": 64, "iv": 64},
        4,
        {"i": (32, 64), "ii": (64, 128), "iii": (10, 21), "iv": (10, 21)},
        {"i": (2500, 2500), "ii": (60, 600), "iii": (100, 150), "iv": (100, 150)},
    ),
}


def figure4(setting: Setting) -> Findings:
    """Fit the phantom and noise with each architecture, over-parameterized about four times.

    References
    ----------
    Figure 4; the authors' notebook ``noise_vs_img_fitting_different_architectures``.
    """
    return _compare(setting, [1])


def figure8(setting: Setting) -> Findings:
    """Do the same with about one, four and 16 parameters for each pixel; in quick size, one and four.

    References
    ----------
    Figure 8 and appendix B.
    """
    return _compare(setting, range(len(_SIZES[setting.is_full].widths["i"])))


def figure9(setting: Setting) -> Findings:
    """Compare how far each layer's weights move for the image and for noise.

    References
    ----------
    Figure 9. There is no notebook for it; its distance is taken as that to the start over the norm of the start.
    """
    size = _SIZES[setting.is_full]
    fits = Fits(setting, 2)
    pair = _pair(fits, size, "i", 1)
    distances = {name: [max(layer) for layer in trace.distances] for name, trace in pair.items()}
    ratios = [noise / image for image, noise in zip(distances["image"], distances["noise"], strict=True)]
    names = [*(f"layer {i + 1}" for i in range(len(ratios) - 1)), "output"]
    claims = [
        Claim(
            f"{name}: the weights move much further for noise than for the image",
            f"noise {noise:.2f}, image {image:.2f} of the norm at the start: {ratio:.1f} times",
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
    return Findings(claims, panels, {**distances, "layers": names}, _notes(setting, size))


def _compare(setting: Setting, factors: Sequence[int]) -> Findings:
    size = _SIZES[setting.is_full]
    fits = Fits(setting, 2 * len(KINDS) * len(factors))
    pairs = {(kind, i): _pair(fits, size, kind, i) for kind in KINDS for i in factors}
    claims = [_claim(kind, size.widths[kind][i], i, pair) for (kind, i), pair in pairs.items()]
    if len(factors) > 1:
        claims += [_narrowing(kind, [pairs[kind, i] for i in factors]) for kind in ("iii", "iv")]
    panels = [
        Plot(
            f"{kind}) {words}",
            "step",
            "mean squared error",
            [
                Curve(f"{target}, {FACTORS[i]}×", trace.steps, trace.losses, "line" if target == "noise" else "dashes")
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


def _pair(fits: Fits, size: _Size, kind: str, i: int) -> dict[str, Trace]:
    """The phantom and noise, fitted by an architecture with the factor of that number."""
    image = phantom(size.sides[kind])
    noise = uniform_noise(image.shape, np.random.default_rng(0))
    net = _net(kind, size.widths[kind][i], size.n_scales)
    return {
        name: fits(f"{kind}) {FACTORS[i]}×, {name}", net, target, MOMENTUM, n_steps)
        for (name, target), n_steps in zip({"image": image, "noise": noise}.items(), size.n_steps[kind], strict=True)
    }


def _net(kind: str, n_channels: int, n_scales: int) -> Net:
    if kind == "i":
        return decoder(n_channels, n_scales)
    convolution, n_layers = {"ii": ("fixed", 4), "iii": ("learned", 5), "iv": ("transposed", 3)}[kind]
    return convolutional(convolution, n_channels, n_layers)


def _ratio(pair: Mapping[str, Trace]) -> float:
    """Steps to half the first loss, noise over image; at least so many if noise does not get there."""
    image, noise = pair["image"], pair["noise"]
    return (noise.half_step or noise.steps[-1]) / (image.half_step or np.inf)


def _claim(kind: str, n_channels: int, i: int, pair: Mapping[str, Trace]) -> Claim:
    low, high = RATIOS[kind]
    noise = pair["noise"]
    words = f"{noise.half_step} steps" if noise.half_step else f"more than {noise.steps[-1]} steps"
    is_bounded = high < np.inf
    return Claim(
        f"{kind}) {KINDS[kind]}, {FACTORS[i]}×: noise is fitted "
        + ("nearly as soon as" if is_bounded else "much later than")
        + " the image",
        f"{n_channels} channels, half the first loss: noise after {words}, image after {pair['image'].half_step}: "
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
        "Gradient descent has a momentum of 0.9, and noise is uniform in [0, 1], as in the authors' code; the text names neither.",
        "The fixed kernel without upsampling is reflected at the edges; the authors' code adds zeros there.",
        NORM_NOTE,
    ]
    if not setting.is_full:
        sizes = "; ".join(
            f"{kind}) {size.sides[kind]}², {' or '.join(map(str, widths))} channels"
            for kind, widths in size.widths.items()
        )
        notes.append(
            "Smaller than the paper's 256² pixels, with one and four parameters for each pixel as there, and fewer steps than 100,000: "
            f"{sizes}. With 16, a small image is too easy: the fixed kernel without upsampling then tells it less from noise."
        )
    return notes
