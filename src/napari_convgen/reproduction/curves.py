"""Figures 1 and 10: how the error falls over the steps, for images and for noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from napari_convgen.figures.panel import Curve, Panel, Picture, Plot
from napari_convgen.reproduction.images import (
    Values,
    describe_photographs,
    phantom,
    photographs,
    uniform_noise,
    with_noise,
)
from napari_convgen.reproduction.nets import (
    ADAM,
    MOMENTUM,
    NORM_NOTE,
    Fits,
    Net,
    Trace,
    decoder,
    first_step_below,
    skip_network,
)
from napari_convgen.reproduction.study import Claim, Findings, Setting

NOISE_LEVEL = 40
"""Of figure 1, on a scale to 255."""

FITTED = 0.1
"""A target counts as fitted once the loss is at most this share of its variance."""

SOONER = 5
"""An image is fitted sooner than noise if the noise takes this many times the steps."""


@dataclass(frozen=True)
class _Size:
    side: int
    n_channels: int
    n_scales: int
    skip_channels: int
    skip_scales: int
    n_steps: int


_FIGURE1 = {True: _Size(256, 256, 4, 128, 5, 10_010), False: _Size(64, 64, 4, 24, 4, 800)}

_FULL_FIGURE1 = {
    ("deep decoder", "noise"): 0.00887,
    ("deep decoder", "noisy"): 0.00253,
    ("deep image prior", "noisy"): 1.18e-4,
}
"""Losses after the last step in the stored output of the authors' notebook; those of the other fits are as small as rounding."""


def figure1(setting: Setting) -> Findings:
    """Fit a clean image, noise, and their like with noise added: the first is fitted much sooner than noise, the last best on the way.

    References
    ----------
    Figure 1; the authors' notebook ``denoising_MSE_curves``.
    """
    size, rng = _FIGURE1[setting.is_full], np.random.default_rng(0)
    clean = phantom(size.side)
    noise = uniform_noise(clean.shape, rng)
    noise *= np.linalg.norm(clean) / np.linalg.norm(noise)
    targets = {"clean": clean, "noise": noise, "noisy": with_noise(clean, NOISE_LEVEL, rng, is_shared=True)}
    skip = skip_network(size.skip_channels, size.skip_scales, 0)
    nets: dict[str, Mapping[str, Net]] = {"deep image prior": dict.fromkeys(targets, skip), "deep decoder": {}}
    nets["deep decoder"] = {
        name: decoder(size.n_channels, size.n_scales, extra_layer="last" if name == "noisy" else "first")
        for name in targets
    }
    fits = Fits(setting, len(nets) * len(targets))
    traces = {
        (method, name): fits(f"{method}, {name}", net, targets[name], ADAM, size.n_steps, clean=clean)
        for method, by_target in nets.items()
        for name, net in by_target.items()
    }
    claims = []
    for method in nets:
        claims.append(_sooner(method, targets, traces))
        claims.append(_dips(method, traces[method, "noisy"]))
    if setting.is_full:
        claims += [_as_stored(*which, traces[which], loss) for which, loss in _FULL_FIGURE1.items()]
    panels: list[Panel] = [_figure1_plot(method, traces) for method in nets]
    panels.append(Picture("Noisy image", targets["noisy"][0], (0, 1)))
    for method in nets:
        noisy = traces[method, "noisy"]
        panels.append(Picture(f"{method.capitalize()}, step {noisy.best_step}", noisy.best[0], (0, 1)))
        panels.append(Picture(f"{method.capitalize()}, step {noisy.steps[-1]}", noisy.last[0], (0, 1)))
    return Findings(
        claims,
        panels,
        {f"{method}, {name}": _numbers(trace) for (method, name), trace in traces.items()},
        [
            "The noise is uniform and scaled to the norm of the image, as in the authors' code, and the noisy image is clipped to [0, 1].",
            "The decoder has its layer without upsampling first for the clean image and noise, and last for the noisy image, as in the "
            "authors' code.",
            NORM_NOTE,
            *([] if setting.is_full else [_smaller(size)]),
        ],
    )


def _smaller(size: _Size) -> str:
    return (
        f"Smaller than the paper's: {size.side}² pixels instead of 256², a decoder of {size.n_channels} channels instead of 256, "
        f"a skip network of {size.skip_channels} channels and {size.skip_scales} scales instead of 128 and 5, "
        f"{size.n_steps} steps instead of 10,010."
    )


def _sooner(method: str, targets: Mapping[str, Values], traces: Mapping[tuple[str, str], Trace]) -> Claim:
    steps = {
        name: first_step_below(traces[method, name], FITTED * float(np.var(targets[name])))
        for name in ("clean", "noise")
    }
    n_steps = traces[method, "noise"].steps[-1]
    clean, noise = steps["clean"], steps["noise"]
    words = [f"step {step}" if step else f"not within {n_steps} steps" for step in (clean, noise)]
    return Claim(
        f"{method}: the clean image is fitted much sooner than noise",
        f"a tenth of the variance is left: clean {words[0]}, noise {words[1]}",
        f"noise takes {SOONER} times the steps, or more",
        clean is not None and (noise or n_steps) >= SOONER * clean,
    )


def _dips(method: str, trace: Trace) -> Claim:
    least = min(trace.errors)
    return Claim(
        f"{method}: the noisy image's distance to the clean one falls and rises again",
        f"mean squared error {least:.4f} at step {trace.best_step}, {trace.errors[-1]:.4f} at step {trace.steps[-1]}",
        "it ends at 1.5 times the least or more, which is inside",
        trace.errors[-1] >= 1.5 * least and trace.best_step > trace.steps[0],
    )


def _as_stored(method: str, name: str, trace: Trace, loss: float) -> Claim:
    return Claim(
        f"{method}, {name}: a loss of {loss:.2g} after the last step",
        f"{trace.losses[-1]:.2g}",
        "within a factor of 1.4 (0.15 decades)",
        abs(math.log10(trace.losses[-1] / loss)) <= 0.15,
    )


def _figure1_plot(method: str, traces: Mapping[tuple[str, str], Trace]) -> Plot:
    noisy = traces[method, "noisy"]
    curves = [
        Curve(f"{name}, loss", traces[method, name].steps, traces[method, name].losses) for name in ("clean", "noise")
    ]
    curves += [
        Curve("noisy, loss", noisy.steps, noisy.losses, "dashes"),
        Curve("noisy, to the clean image", noisy.steps, noisy.errors),
    ]
    return Plot(method.capitalize(), "step", "mean squared error", curves, "log", "log")


def _numbers(trace: Trace) -> dict[str, object]:
    return {
        "last_loss": trace.losses[-1],
        "least_error": min(trace.errors),
        "best_step": trace.best_step,
        "last_error": trace.errors[-1],
    }


_FIGURE10 = {True: _Size(512, 256, 5, 0, 0, 10_000), False: _Size(64, 38, 3, 0, 0, 700)}
_N_IMAGES = {True: 25, False: 6}
_BRIGHTEST = 0.9
"""The noise of figure 10 is uniform in [0, 0.9]."""


def figure10(setting: Setting) -> Findings:
    """Fit a narrow decoder to photographs and to as many noise images.

    References
    ----------
    Figure 10; the authors' notebook ``image_fitted_faster_than_noise_on_imgnet``.
    """
    size, rng = _FIGURE10[setting.is_full], np.random.default_rng(0)
    images = photographs(setting, size.side, _N_IMAGES[setting.is_full])
    net = decoder(size.n_channels, size.n_scales)
    fits = Fits(setting, 2 * len(images))
    traces: dict[str, list[Trace]] = {"images": [], "noise": []}
    for seed, (name, image) in enumerate(images):
        noise = _BRIGHTEST * uniform_noise(image.shape, rng)
        traces["images"].append(fits(name, net, image, MOMENTUM, size.n_steps, seed=seed))
        traces["noise"].append(fits(f"noise {seed + 1}", net, noise, MOMENTUM, size.n_steps, seed=seed))
    losses = {kind: np.array([trace.losses for trace in group]) for kind, group in traces.items()}
    first, last = ({kind: float(x[:, i].mean()) for kind, x in losses.items()} for i in (0, -1))
    claims = [
        Claim(
            "images are fitted much better than noise",
            f"mean loss after {size.n_steps} steps: images {last['images']:.2g}, noise {last['noise']:.2g}",
            "noise has 5 times the loss of images or more, and more than the worst image",
            last["noise"] >= 5 * last["images"] and bool(losses["noise"][:, -1].min() > losses["images"][:, -1].max()),
        ),
        Claim(
            "noise is hardly fitted: its loss falls from 0.0762 to 0.0595",
            f"from {first['noise']:.4f} to {last['noise']:.4f}",
            "it keeps 70 % or more",
            last["noise"] >= 0.7 * first["noise"],
        ),
    ]
    if setting.is_full:
        claims.append(
            Claim(
                "noise has a loss of 0.0595 after 10,000 steps",
                f"{last['noise']:.4f}",
                "within 2 %",
                abs(last["noise"] / 0.0595 - 1) <= 0.02,
            )
        )
    steps = traces["images"][0].steps
    curves = []
    for kind, by_image in losses.items():
        curves.append(Curve(f"{kind}, mean", steps, by_image.mean(0)))
        curves.append(Curve(f"{kind}, least", steps, by_image.min(0), "dashes"))
        curves.append(Curve(f"{kind}, most", steps, by_image.max(0), "dashes"))
    return Findings(
        claims,
        [Plot("Loss of images and of noise", "step", "mean squared error", curves, "log", "log")]
        + [Picture(name, np.moveaxis(image, 0, -1)) for name, image in images[:3]],
        {
            "images": {name: trace.losses[-1] for (name, _), trace in zip(images, traces["images"], strict=True)},
            "noise": [trace.losses[-1] for trace in traces["noise"]],
            "first": first,
        },
        [
            describe_photographs(setting, len(images), size.side),
            "The text says 100 images and an over-parameterized net; the authors' code takes 25 and a net with half as many parameters as "
            "there are values, and so do we.",
            "The noise is uniform in [0, 0.9], independent in the three channels.",
            NORM_NOTE,
            *(
                []
                if setting.is_full
                else [
                    f"Smaller than the paper's: {size.n_channels} channels instead of 256, {size.n_steps} steps instead of 10,000."
                ]
            ),
        ],
    )
