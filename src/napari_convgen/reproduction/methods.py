"""Figure 2 and table 1: images denoised by each method."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_convgen.core.baselines.bm3d import bm3d
from napari_convgen.figures.panel import Panel, Picture
from napari_convgen.reproduction.images import Values, describe_photographs, photographs, with_noise
from napari_convgen.reproduction.nets import (
    ADAM,
    NORM_NOTE,
    Fits,
    Net,
    decoder,
    digest,
    packed,
    skip_network,
    unpacked,
)
from napari_convgen.reproduction.study import Claim, Findings, Setting

INPUT_NOISE = 0.7 / 30
"""Standard deviation in the deep image prior: the authors' code takes 0.7 of the 1/30 that it is given."""

DIP, NARROW, WIDE = "deep image prior", "under-parameterized decoder", "over-parameterized decoder"
PAPERS_BM3D, BM3D = "BM3D told of independent noise", "BM3D"

TOLERANCE = 0.3
"""In dB, of seeds and of the noise."""


@dataclass(frozen=True)
class _Task:
    """A study's methods, and its photographs.

    Attributes
    ----------
    nets
        By method, with their steps.
    noise_level
        Standard deviation on a scale to 255.
    is_shared
        Whether the paper adds the same noise to red, green and blue.
    side, n_images
        Of the photographs.
    published
        PSNR in the paper, in dB.
    """

    nets: Mapping[str, tuple[Net, int]]
    noise_level: float
    is_shared: bool
    side: int
    n_images: int
    published: Mapping[str, float]


def _full(wide_order: str, n_steps: Sequence[int]) -> dict[str, tuple[Net, int]]:
    """The paper's nets, with the steps of each."""
    nets = (
        skip_network(128, 5, INPUT_NOISE),
        decoder(128, 5, extra_layer="first"),
        decoder(512, 5, order=wide_order),
    )
    return dict(zip((DIP, NARROW, WIDE), zip(nets, n_steps, strict=True), strict=True))


def _quick(
    n_channels: Sequence[int], n_scales: int, wide_order: str, n_steps: Sequence[int]
) -> dict[str, tuple[Net, int]]:
    """Smaller nets with about as many parameters for each value as the paper's: 2.8, 0.13 and 2."""
    skip, narrow, wide = n_channels
    nets = (
        skip_network(skip, n_scales + 1, INPUT_NOISE),
        decoder(narrow, n_scales, extra_layer="first"),
        decoder(wide, n_scales, order=wide_order),
    )
    return dict(zip((DIP, NARROW, WIDE), zip(nets, n_steps, strict=True), strict=True))


_FIGURE2 = {"noisy": 19.08, DIP: 29.07, NARROW: 29.54, WIDE: 29.84, PAPERS_BM3D: 28.62}
_TABLE1 = {"noisy": 20.60, DIP: 25.77, NARROW: 27.84, WIDE: 28.08, PAPERS_BM3D: 25.52}


def figure2(setting: Setting) -> Findings:
    """Denoise one photograph by each method: scikit-image's of an astronaut, where the authors' file is another one of her.

    References
    ----------
    Figure 2; the authors' notebooks ``denoising_performance_example`` and ``denoising_bm3d_example``.
    """
    if setting.is_full:
        task = _Task(_full("relu-norm", (1900, 1900, 1500)), 30, False, 512, 1, _FIGURE2)
    else:
        task = _Task(_quick((24, 40, 128), 3, "relu-norm", (500, 500, 200)), 30, False, 128, 1, _FIGURE2)
    return _denoise(dataclasses.replace(setting, images=None), task)


def table1(setting: Setting) -> Findings:
    """Denoise many photographs by each method.

    References
    ----------
    Table 1; the authors' notebooks ``denoising_imagenet_selected100_paper`` and ``denoising_bm3d_imagenet_selected100_paper``.
    """
    if setting.is_full:
        task = _Task(_full("norm-relu", (1800, 3000, 1500)), 25, True, 512, 100, _TABLE1)
    else:
        task = _Task(_quick((16, 20, 80), 3, "norm-relu", (400, 400, 150)), 25, True, 64, 4, _TABLE1)
    return _denoise(setting, task)


def _denoise(setting: Setting, task: _Task) -> Findings:
    images = photographs(setting, task.side, task.n_images)
    fits = Fits(setting, 2 * len(images) * len(task.nets))
    scores: dict[bool, list[dict[str, float]]] = {task.is_shared: [], not task.is_shared: []}
    panels: list[Panel] = []
    for is_shared, rows in scores.items():
        for seed, (name, clean) in enumerate(images):
            noisy = with_noise(clean, task.noise_level, np.random.default_rng(seed), is_shared=is_shared)
            found = _by_method(setting, fits, task, name, clean, noisy, seed)
            rows.append({method: psnr for method, (_, psnr) in found.items()})
            if seed == 0:
                panels += [
                    Picture(f"{method}, {psnr:.1f} dB\n(noise {_words(is_shared)})", np.moveaxis(image, 0, -1))
                    for method, (image, psnr) in found.items()
                ]
    means = {
        is_shared: {method: float(np.mean([row[method] for row in rows])) for method in rows[0]}
        for is_shared, rows in scores.items()
    }
    return Findings(
        _claims(setting, task, means),
        panels,
        {
            f"noise {_words(is_shared)}": {
                "mean": means[is_shared],
                "images": dict(zip([name for name, _ in images], rows, strict=True)),
            }
            for is_shared, rows in scores.items()
        },
        _notes(setting, task, len(images)),
    )


def _words(is_shared: bool) -> str:
    return "the same in all channels" if is_shared else "independent"


def _by_method(
    setting: Setting, fits: Fits, task: _Task, name: str, clean: Values, noisy: Values, seed: int
) -> dict[str, tuple[Values, float]]:
    """Each method's image and its PSNR in dB, the noisy image's first."""
    found = {"noisy": (noisy, _psnr(float(np.mean((noisy - clean) ** 2))))}
    for method, (net, n_steps) in task.nets.items():
        trace = fits(f"{method}, {name}", net, noisy, ADAM, n_steps, seed=seed, clean=clean)
        found[method] = trace.last, _psnr(trace.final_error)
    if _has_bm3d():
        setting.tell(f"BM3D, {name}", fits.n_done / fits.n)
        for method in (PAPERS_BM3D, BM3D):
            found[method] = _by_bm3d(setting, method, clean, noisy, task.noise_level / 255)
    return found


def _has_bm3d() -> bool:
    return importlib.util.find_spec("bm3d") is not None


def _by_bm3d(setting: Setting, method: str, clean: Values, noisy: Values, level: float) -> tuple[Values, float]:
    def compute() -> dict[str, Any]:
        denoise = _papers_bm3d if method == PAPERS_BM3D else _own_bm3d
        image = denoise(noisy, level)
        return {"image": packed(image), "error": float(np.mean((image - clean) ** 2))}

    key = {"method": method, "noisy": digest(noisy), "clean": digest(clean), "level": level}
    kept = setting.keep(key, compute)
    return unpacked(kept["image"], noisy.shape), _psnr(kept["error"])


def _papers_bm3d(noisy: Values, level: float) -> Values:
    """Denoise as if the noise of red, green and blue were independent, whatever it is."""
    import bm3d as library

    return np.moveaxis(library.bm3d_rgb(np.moveaxis(noisy, 0, -1), level), -1, 0)


def _own_bm3d(noisy: Values, level: float) -> Values:
    """Denoise after a look at how far the noise of red, green and blue is the same."""
    return bm3d(noisy, np.full(len(noisy), level), is_color=True)


def _psnr(error: float) -> float:
    return float(-10 * np.log10(error))


def _claims(setting: Setting, task: _Task, means: Mapping[bool, Mapping[str, float]]) -> list[Claim]:
    ours, other = means[task.is_shared], means[not task.is_shared]
    too_small = (
        ""
        if setting.is_full
        else f"The image has {task.side}² pixels instead of 512², which may decide the order; it was not tried."
    )
    claims = [_higher(ours, task, pair, too_small) for pair in ((WIDE, DIP), (NARROW, DIP), (WIDE, NARROW))]
    if not _has_bm3d():
        return claims + _as_published(setting, task, ours)
    claims.append(_higher(ours, task, (WIDE, PAPERS_BM3D), _BECAUSE[task.is_shared]))
    claims.append(
        Claim(
            "the over-parameterized decoder is better than BM3D",
            f"BM3D that looks whether the channels have the same noise: {ours[BM3D]:.2f} dB, decoder {ours[WIDE]:.2f} dB",
            "the decoder's is higher",
            ours[WIDE] > ours[BM3D],
            "" if ours[WIDE] > ours[BM3D] else "BM3D that is run for the noise as it is, is better than the nets.",
        )
    )
    claims.append(
        Claim(
            f"(not in the paper) noise {_words(not task.is_shared)}",
            "; ".join(f"{method} {psnr:.2f} dB" for method, psnr in other.items()),
            "all are better than the noisy image",
            min(psnr for method, psnr in other.items() if method != "noisy") > other["noisy"],
        )
    )
    return claims + _as_published(setting, task, ours)


_BECAUSE = {
    True: "",
    False: "The paper's BM3D is that of another library, which gives 28.6 dB where the present one gives 32.2 dB.",
}


def _higher(psnr: Mapping[str, float], task: _Task, pair: tuple[str, str], because: str) -> Claim:
    better, worse = pair
    is_so = psnr[better] > psnr[worse]
    return Claim(
        f"{better} {task.published[better]:.2f} dB, {worse} {task.published[worse]:.2f} dB",
        f"{psnr[better]:.2f} dB and {psnr[worse]:.2f} dB",
        "the first is higher",
        is_so,
        "" if is_so else because,
    )


def _as_published(setting: Setting, task: _Task, psnr: Mapping[str, float]) -> list[Claim]:
    """The paper's numbers themselves, where the sizes are the paper's and the images may be."""
    if not setting.is_full or setting.images is None:
        return []
    return [
        Claim(
            f"{method}: {published:.2f} dB",
            f"{psnr[method]:.2f} dB",
            f"within {TOLERANCE} dB",
            abs(psnr[method] - published) <= TOLERANCE,
        )
        for method, published in task.published.items()
        if method in psnr
    ]


def _notes(setting: Setting, task: _Task, n_images: int) -> list[str]:
    notes = [
        describe_photographs(setting, n_images, task.side),
        f"The noise has a standard deviation of {task.noise_level}/255 and is {_words(task.is_shared)} in the paper. "
        "The noisy image is clipped to [0, 1], which the text does not name.",
        "All nets are fitted by Adam for a number of steps chosen beforehand, and the last image is taken; "
        "the authors' code takes that of the least loss.",
        "The narrow decoder has its layer without upsampling first, and the wide one of table 1 has the norm before the ReLU, "
        "as in the authors' code.",
        NORM_NOTE,
    ]
    if not _has_bm3d():
        notes.append("BM3D was left out: the package bm3d is not installed, see the extra 'bm3d'.")
    if not setting.is_full:
        steps = ", ".join(f"{method} {n}" for method, (_, n) in task.nets.items())
        notes.append(
            f"Smaller than the paper's: {task.side}² pixels instead of 512², narrower nets, and steps that suit them: {steps}."
        )
    return notes
