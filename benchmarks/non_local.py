"""The constants of the non-local estimate, and the network's share in the image, on the images by which settings may be chosen.

    python benchmarks/non_local.py --data FOLDER [--part constants] [--size 256]

FOLDER is described in cases.py. The part ``constants`` changes one constant of the estimate at a time; its table has the mean PSNR over the
images with white noise, and the time. The part ``correlated`` compares the two ways to combine patches where the noise is correlated, and
levels that it is taken to have. The part ``volumes`` compares patches of volumes, on two generated ones and a real one with little noise,
to which noise is added. The part ``shares`` has, for each image, the share of the network that the preset ``default`` finds, and that of
the highest PSNR. The part ``probe`` compares the PSNR that is told of the estimate with the true one. The tables are written to
results/non_local.md. All takes half an hour on two cores.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from scipy.ndimage import gaussian_filter

from cases import Pair, all_cases, choose
from napari_convgen.config import preset
from napari_convgen.core.baselines.frame import NoisyFrame
from napari_convgen.core.baselines.lichi import combine_patches
from napari_convgen.core.image import ImageTensor, Layout, Measured
from napari_convgen.core.non_local import chain, estimate, non_local_estimate, scales
from napari_convgen.core.non_local.patches import Patches
from napari_convgen.run.compare.result import markdown_table
from napari_convgen.run.denoise.run import DenoiseTask
from napari_convgen.run.setup.build import build_noise

RESULTS = Path(__file__).parent / "results" / "non_local.md"

WHITE = [
    "confocal_BPAE_R_noisy",
    "Confocal_FISH_noisy",
    "w2s/044_0",
    "actin-60x-noise1",
    "od0_16bit",
    "mni152_z95:rician5",
    "ssi_nuclei924x624:poisson",
    "set12/01:gauss25",
    "set12/02:gauss25",
    "set12/09:gauss25",
    "set12/01:gauss50",
    "test001:gauss25",
]
"""Tuning images whose noise is white, of each kind."""

CORRELATED = [
    "5dmark3_iso3200_1",
    "Canon5D2_5_200_3200_toy_1",
    "bn_brain_noisy",
    "set12/01:correlated25",
    "set12/09:correlated25",
    "ssi_nuclei924x624:correlated25",
]
"""Tuning images whose noise is correlated."""

LEVELS = (1.0, 1.1, 1.25, 1.4)
"""Levels that correlated noise is taken to have, relative to its own."""

PROBE_SIZES = (0.05, 0.1, 0.15, 0.4)
"""Standard deviations of the probe that are tried, relative to that of the noise."""

SHARES = np.linspace(0, 1, 21)
"""Shares of the network that are tried with the reference."""


def patches(**changes: Any) -> Callable[[], Any]:
    """Return a change of the patches of the plane."""
    return lambda: setting(chain, "PATCHES", chain.PATCHES | {2: replace(chain.PATCHES[2], **changes)})


VARIANTS: dict[str, Callable[[], Any]] = {
    "as it is": lambda: setting(chain, "N_STAGES", chain.N_STAGES),
    "7 stages": lambda: setting(chain, "N_STAGES", 7),
    "12 stages": lambda: setting(chain, "N_STAGES", 12),
    "new groups every second stage": lambda: setting(chain, "N_SHARED_MATCHES", 2),
    "new groups every fifth stage": lambda: setting(chain, "N_SHARED_MATCHES", 5),
    "slack 0.05": lambda: setting(chain, "SLACK", 0.05),
    "slack 1": lambda: setting(chain, "SLACK", 1.0),
    "patches of 5 × 5": patches(size=(1, 5, 5)),
    "patches of 7 × 7": patches(size=(1, 7, 7)),
    "stride 3": patches(stride=(1, 3, 3)),
    "32 in a group": patches(n_similar=32),
    "64 in a group": patches(n_similar=64),
    "reach 24": patches(reach=(0, 24, 24)),
    "one grid": lambda: setting(estimate, "N_SCALES", 1),
    "two grids": lambda: setting(estimate, "N_SCALES", 2),
    "a quarter of the coarse band": lambda: setting(scales, "KEPT_BAND", 0.25),
    "three quarters of the coarse band": lambda: setting(scales, "KEPT_BAND", 0.75),
}
"""Changes of one constant each."""


VOLUMES: dict[str, Patches] = {
    "as it is": chain.PATCHES[3],
    "patches of 2 × 4 × 4": Patches((2, 4, 4), (3, 10, 10), (1, 3, 3), 48),
    "patches of 3 × 4 × 4": Patches((3, 4, 4), (3, 10, 10), (1, 3, 3), 48),
    "patches of 3 × 6 × 6": replace(chain.PATCHES[3], size=(3, 6, 6)),
    "48 in a group": replace(chain.PATCHES[3], n_similar=48),
    "stride 1 along Z": replace(chain.PATCHES[3], stride=(1, 3, 3)),
}
"""Patches of volumes that are compared."""

VOLUME_NOISE = 0.1
"""Standard deviation of the noise that is added to a volume, relative to its range."""


@contextmanager
def setting(module: Any, name: str, value: Any) -> Iterator[None]:
    """Give a constant of a module another value for a while."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--size", type=int, default=256, help="side of the central crop, in pixels")
    parser.add_argument(
        "--part", choices=PARTS, nargs="*", default=list(PARTS), help="parts to compute; all by default"
    )
    options = parser.parse_args()
    sections = _read()
    for name in options.part:
        sections[name] = PARTS[name](options.data, options.size)
        print(sections[name], flush=True)
        RESULTS.write_text("\n".join(sections[each] for each in PARTS if each in sections))


def _read() -> dict[str, str]:
    """Return the sections of the last results by the name of their part."""
    if not RESULTS.exists():
        return {}
    sections = [f"### {text}" for text in RESULTS.read_text().split("### ")[1:]]
    return {name: text for name in PARTS for text in sections if text.startswith(TITLES[name])}


TITLES = {
    "constants": "### Constants of the estimate",
    "correlated": "### Correlated noise",
    "volumes": "### Volumes",
    "shares": "### Share of the network",
    "probe": "### Size of the probe",
}


def constants(folder: Path, size: int) -> str:
    """Return the table of the estimate's constants."""
    pairs = list(_pairs(folder, WHITE, size))
    rows, first = [], None
    for name, change in VARIANTS.items():
        with change():
            started = time.perf_counter()
            psnr = np.mean([_denoised(pair) for _, pair in pairs])
            seconds = (time.perf_counter() - started) / len(pairs)
        first = first or (psnr, seconds)
        rows.append([name, f"{psnr:.2f}", f"{psnr - first[0]:+.3f}", f"{seconds / first[1]:.2f}"])
    head = ["constants", "PSNR", "gain", "time, relative"]
    return f"{TITLES['constants']}\n\nMean of {len(pairs)} images, in dB.\n\n{markdown_table(head, rows)}\n"


def correlated(folder: Path, size: int) -> str:
    """Return the table of images with correlated noise."""
    head = ["image", "noisy", "taken for white", *(f"level × {level}" for level in LEVELS)]
    rows = []
    for name, pair in _pairs(folder, CORRELATED, size):
        psnr = [pair.psnr(pair.noisy), _denoised(pair, is_white=True)]
        for level in LEVELS:
            with setting(estimate, "CORRELATED_LEVEL", level):
                psnr.append(_denoised(pair))
        rows.append([name, *(f"{each:.2f}" for each in psnr)])
    text = "PSNR in dB: with patches combined as for white noise, and with pixels combined, for levels relative to that of the noise."
    return f"{TITLES['correlated']}\n\n{text}\n\n{markdown_table(head, rows)}\n"


def volumes(folder: Path, size: int) -> str:
    """Return the table of patches in volumes."""
    rng = np.random.default_rng(0)
    clean = {
        f"generated, {name}": gaussian_filter(rng.standard_normal((28, 72, 72)), widths)[8:-8, 8:-8, 8:-8]
        for name, widths in {"coarse": (3, 4, 4), "fine": (1.5, 2, 2)}.items()
    }
    clean["ovule"] = tifffile.imread(folder / "stacks3d" / "ovule_raw_u8.tif")[8:20, 30:86, 30:86].astype(float)
    clean = {name: (x - x.min()) / np.ptp(x) / VOLUME_NOISE for name, x in clean.items()}
    noisy = {name: torch.from_numpy(x + rng.standard_normal(x.shape)).float() for name, x in clean.items()}

    def row(title: str, denoised: Callable[[torch.Tensor], torch.Tensor]) -> list[str]:
        cells = [title]
        for name, truth in clean.items():
            errors = ((denoised(noisy[name]).numpy() - truth) ** 2).mean((1, 2)) * VOLUME_NOISE**2
            cells += [f"{-10 * np.log10(x):.2f}" for x in (errors.mean(), errors[[0, -1]].mean())]
        return cells

    level = torch.ones(1)
    rows = [row("frame by frame", lambda x: torch.cat([non_local_estimate(plane[None], level) for plane in x]))]
    for title, of_volumes in VOLUMES.items():
        with setting(chain, "PATCHES", chain.PATCHES | {3: of_volumes}):
            rows.append(row(title, lambda x: non_local_estimate(x[None], level)[0]))
    head = ["patches", *(text for name in clean for text in (name, "its ends"))]
    return f"{TITLES['volumes']}\n\nPSNR in dB, and that of the first and the last slice.\n\n{markdown_table(head, rows)}\n"


def shares(folder: Path, size: int) -> str:
    """Return the table of the network's share in the image."""
    rows = []
    for name, pair in _pairs(folder, WHITE, size):
        task = DenoiseTask(pair.noisy, preset("default"), axes=pair.axes)
        for _ in task:
            pass
        fit, frame = task._now.fit, task._now.image
        mixture, images = fit._mixture, fit._averages
        whole, step = mixture.guides.mean(0) + mixture.correction, (images - mixture.guides).mean(0)
        psnr = [pair.psnr(frame.restore((whole + float(w) * step).cpu().numpy())) for w in SHARES]
        found = float(mixture.share(images))
        at_found = pair.psnr(frame.restore((whole + found * step).cpu().numpy()))
        best = int(np.argmax(psnr))
        rows.append([name, *(f"{x:.2f}" for x in (psnr[0], psnr[-1], found, at_found, SHARES[best], psnr[best]))])
    head = ["image", "estimate", "network", "share found", "PSNR", "best share", "PSNR at that"]
    steps = preset("default").n_steps
    return f"{TITLES['shares']}\n\nAfter {steps} steps; PSNR in dB.\n\n{markdown_table(head, rows)}\n"


def probe(folder: Path, size: int) -> str:
    """Return the table of Stein's estimates of the PSNR with probes of several sizes."""
    rows = []
    for name, pair in _pairs(folder, WHITE, size):
        if pair.is_stretched:
            continue  # the reference has other units
        layout = Layout.of(pair.noisy.shape, pair.axes)
        measured = Measured.of(pair.noisy, layout)
        image = ImageTensor.of(pair.noisy, layout, build_noise(measured, layout, preset("default").noise), measured)
        frame = NoisyFrame.of(image, layout)
        denoised = combine_patches(frame)
        squares = image.slope(denoised) ** 2 * image.is_observed
        noise = image.noise_variance(denoised)
        residual = float((squares * (image.values - denoised) ** 2).sum())
        told = []
        for probe_size in PROBE_SIZES:
            draws = np.random.default_rng(1).standard_normal(image.values.shape)
            step = probe_size * image.noise_level.reshape(-1, *(1,) * (draws.ndim - 1))
            change = combine_patches(replace(frame, values=frame.values + step * draws)) - denoised
            error = residual + float((squares * noise * (2 * draws * change / step - 1)).sum())
            told.append(10 * np.log10(pair.data_range**2 * image.is_observed.sum() / max(error, 1e-9)))
        rows.append([name, f"{pair.psnr(image.restore(denoised)):.2f}", *(f"{each:.2f}" for each in told)])
    head = ["image", "true", *(f"probe of {each} of the noise" for each in PROBE_SIZES)]
    return f"{TITLES['probe']}\n\nPSNR of the estimate in dB, true and told.\n\n{markdown_table(head, rows)}\n"


def _pairs(folder: Path, names: Sequence[str], size: int) -> Iterator[tuple[str, Pair]]:
    for case in choose(all_cases(folder), "tune", images=names):
        yield case.name, case.load(size, 0)


def _denoised(pair: Pair, is_white: bool = False) -> float:
    """Return the PSNR of the estimate, in dB."""
    layout = Layout.of(pair.noisy.shape, pair.axes)
    image = ImageTensor.of(
        pair.noisy, layout, build_noise(Measured.of(pair.noisy, layout), layout, preset("default").noise)
    )
    frame = NoisyFrame.of(image, layout)
    return pair.psnr(image.restore(combine_patches(replace(frame, noise_spectrum=None) if is_white else frame)))


PARTS = {"constants": constants, "correlated": correlated, "volumes": volumes, "shares": shares, "probe": probe}

if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
