"""Noisy images with their references, from a folder: real pairs, and clean images with noise added.

The folder has two tables, separated by tabs. INVENTORY.tsv has the columns ``path`` and ``noise``; ``clean`` marks the images to which
noise is added. PAIRS.tsv has the columns ``noisy``, ``gt``, ``data_range`` and ``note``; ``affine fit`` marks pairs whose intensities
were stretched separately.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.measure import block_reduce

from napari_convgen.core.noise.estimation.blocks import Blocks
from napari_convgen.core.noise.estimation.correlation import WHITE
from napari_convgen.core.quality.metrics import match_affine, psnr, reference_range
from napari_convgen.files.images import read_image

Values = np.ndarray
"""Array of pixel values."""

AddNoise = Callable[[Values, float, np.random.Generator], Values]
"""Function of clean values from 0 up, their peak, and a random generator; it returns noisy float values that are not clipped."""


def gaussian(percent: float) -> AddNoise:
    """Add independent noise with a standard deviation in percent of the peak."""
    return lambda clean, peak, rng: clean + percent / 100 * peak * rng.normal(size=clean.shape)


def shared(percent: float) -> AddNoise:
    """Add the same noise to red, green and blue, which are the last axis, with a standard deviation in percent of the peak."""
    return lambda clean, peak, rng: clean + percent / 100 * peak * rng.normal(size=clean.shape[:-1])[..., np.newaxis]


def correlated(percent: float, width: float = 1.0) -> AddNoise:
    """Add noise that was blurred along rows and columns by a Gaussian with a standard deviation of ``width`` pixels."""

    def add(clean: Values, peak: float, rng: np.random.Generator) -> Values:
        noise = gaussian_filter(rng.normal(size=clean.shape), width, mode="wrap")
        return clean + percent / 100 * peak * noise / noise.std()

    return add


def poisson_gaussian(n_photons: float, percent: float = 2.0) -> AddNoise:
    """Count photons, ``n_photons`` at the 99.5th percentile, and add read noise in percent of that."""

    def add(clean: Values, peak: float, rng: np.random.Generator) -> Values:
        bright = np.percentile(clean, 99.5)
        photons = rng.poisson(n_photons * clean / bright) / n_photons
        return bright * (photons + percent / 100 * rng.normal(size=clean.shape))

    return add


def rician(percent: float) -> AddNoise:
    """Return the magnitude of a complex image whose two parts have noise, with a standard deviation in percent of the maximum."""

    def add(clean: Values, peak: float, rng: np.random.Generator) -> Values:
        sigma = percent / 100 * clean.max()
        return np.hypot(clean + sigma * rng.normal(size=clean.shape), sigma * rng.normal(size=clean.shape))

    return add


NOISES: Mapping[str, AddNoise] = {
    "gauss15": gaussian(100 * 15 / 255),
    "gauss25": gaussian(100 * 25 / 255),
    "gauss50": gaussian(100 * 50 / 255),
    "shared25": shared(100 * 25 / 255),
    "shared50": shared(100 * 50 / 255),
    "correlated25": correlated(100 * 25 / 255),
    "poisson10": poisson_gaussian(10),
    "poisson30": poisson_gaussian(30),
    "rician5": rician(5),
    "rician10": rician(10),
}
"""Kinds of noise by name. A number in a name is the standard deviation, of 255, the number of photons, or (Rician) percent of the maximum.

The strengths are those of the usual benchmarks: 15, 25 and 50 of 255 for photographs, as in Zhang et al., DnCNN, 2017."""

ADDED: Mapping[str, tuple[str, ...]] = {
    "natural/set12": ("gauss15", "gauss25", "gauss50", "correlated25"),
    "natural/bsd68": ("gauss25", "gauss50"),
    "natural/cbsd68": ("gauss25", "shared25"),
    "natural/kodak24": ("gauss25", "gauss50", "shared25", "shared50"),
    "seed/astronaut": ("gauss25", "shared25"),
    "seed/mri": ("rician5", "rician10"),
    "fluo/clean": ("poisson10", "poisson30", "correlated25"),
    "mri/clean": ("rician5", "rician10"),
}
"""Kinds of noise that are added to the clean images of a folder, or to one image."""

TUNING = {
    "fluo/fmd/confocal_BPAE_R_noisy",
    "fluo/fmd_test/Confocal_FISH_noisy",
    "fluo/fmd/confocal_FISH3_noisy",
    "fluo/w2s/044_0_noisy",
    "fluo/gigadb/actin-60x-noise1_noisy",
    "fluo/bacteria/od0_16bit_noisy",
    "fluo/bacteria/od0_8bit_noisy",
    "natural_real/cc15/5dmark3_iso3200_1_real",
    "natural_real/polyu/Canon5D2_5_200_3200_toy_1_real",
    "mri/pairs/bn_brain_noisy",
    "mri/clean/mni152_z95:rician5",
    "fluo/clean/ssi_nuclei924x624",
    "natural/set12/01",
    "natural/set12/02",
    "natural/set12/09",
    "natural/bsd68/test001",
    "natural/bsd68/test002",
    "natural/bsd68/test003",
    "natural/cbsd68/101085",
    "natural/cbsd68/101087",
    "natural/cbsd68/102061",
    "natural/kodak24/kodim05",
    "natural/kodak24/kodim23",
    "seed/astronaut",
}
"""Images by which settings may be chosen, about a third of each kind; all others evaluate the settings.

A name stands for all kinds of noise that are added to the image, unless a kind is given after a colon. Images of the same scene are on the
same side: two exposures of the FISH field, the bacteria in 8 and 16 bits, the first three scenes of bsd68 and of cbsd68. There are two
exceptions, because nothing else is available: od1_8bit, another exposure of the bacteria, and mni152 with its other noise evaluate."""


BINNED = {"fluo/clean/ssi_cells1024x1024": 4}
"""Side, in pixels, of the squares that are averaged in a clean image before noise is added; 1 for all other images.

As published, this image has white noise of its own, a twentieth of its range (results/noise.md), which would be mistaken for an error
of the denoised image."""


@dataclass(frozen=True)
class Case:
    """A noisy image with its reference; both are read by `load`.

    Attributes
    ----------
    name
        Path of the noisy or the clean file without its suffix, then the side of the averaged squares if it is not 1, then a colon and the
        kind of noise if noise is added.
    kind
        Folders of the path, and the kind of noise if noise is added.
    folder
        Folder of all data.
    path, truth
        Paths of the image and of its reference in the folder; the same file if noise is added.
    noise
        Name in `NOISES` of the noise that is added; ``None`` for a real pair.
    data_range
        Peak value of the PSNR, in image units; ``None`` takes the range of the reference.
    is_stretched
        True if the intensities of the two were stretched separately, so that an image is fitted to the reference before it is scored.
    n_binned
        Side, in pixels, of the squares that are averaged, 1 by default.
    """

    name: str
    kind: str
    folder: Path
    path: str
    truth: str
    noise: str | None
    data_range: float | None
    is_stretched: bool = False
    n_binned: int = 1

    @property
    def is_for_tuning(self) -> bool:
        """True if settings may be chosen by this image."""
        return self.name in TUNING or _name(self.path) in TUNING

    def load(self, size: int, seed: int) -> Pair:
        """Return the central crop, ``size`` pixels on a side; noise that is added is drawn from ``seed``."""
        file = read_image(self.folder / self.truth)
        truth, axes = _crop(_binned(file.data, self.n_binned), file.axes, size), file.axes
        peak = reference_range(truth) if self.data_range is None else self.data_range
        if self.noise is None:
            file = read_image(self.folder / self.path)
            return Pair(_crop(file.data, file.axes, size), truth, axes, peak, self.is_stretched)
        rng = np.random.default_rng([seed, *self.name.encode()])
        noisy = NOISES[self.noise](truth.astype(float), peak, rng).astype(np.float32)
        return Pair(noisy, truth, axes, peak, False)


@dataclass(frozen=True, eq=False)
class Pair:
    """Central crops of a noisy image and its reference.

    Attributes
    ----------
    noisy, reference
        Noisy image and its reference, of the same shape and units.
    axes
        Letters of the axes of both.
    data_range
        Peak value of the PSNR, in image units.
    is_stretched
        True if the intensities of the two were stretched separately, see `Case`.
    """

    noisy: np.ndarray
    reference: np.ndarray
    axes: str
    data_range: float
    is_stretched: bool

    @property
    def is_white(self) -> bool:
        """True if the difference of the two has about as much energy in low as in high frequencies."""
        reference = match_affine(self.reference, self.noisy) if self.is_stretched else self.reference
        difference = self.noisy.astype(float) - reference
        if self.axes.endswith("S"):
            difference = np.moveaxis(difference, -1, 0)
        blocks = [Blocks.of(x, np.isfinite(x)) for x in difference.reshape(-1, *difference.shape[-2:])]
        ratio = np.concatenate([x.middle for x in blocks]).mean() / np.concatenate([x.fine for x in blocks]).mean()
        return bool(1 / WHITE < ratio < WHITE)

    def psnr(self, image: np.ndarray) -> float:
        """Return the PSNR of an image in dB, after a least-squares gain and offset if the pair was stretched."""
        return psnr(
            match_affine(image, self.reference) if self.is_stretched else image, self.reference, self.data_range
        )


def all_cases(folder: Path) -> Iterator[Case]:
    """Yield the real pairs of a folder, then its clean images with each noise that is added to them."""
    for row in _rows(folder / "PAIRS.tsv"):
        name, kind = _name(row["noisy"]), _kind(row["noisy"])
        if not kind.startswith("synthetic/"):
            stretched = "affine fit" in (row["note"] or "")
            yield Case(name, kind, folder, row["noisy"], row["gt"], None, float(row["data_range"]), stretched)
    for row in _rows(folder / "INVENTORY.tsv"):
        name, kind = _name(row["path"]), _kind(row["path"])
        n = BINNED.get(name, 1)
        shown = name if n == 1 else f"{name} / {n}"
        for noise in (ADDED.get(name) or ADDED.get(kind, ())) if row["noise"] == "clean" else ():
            yield Case(f"{shown}:{noise}", f"{kind} {noise}", folder, row["path"], row["path"], noise, None, n_binned=n)


def choose(
    cases: Iterator[Case], split: str | None = None, kinds: Sequence[str] = (), images: Sequence[str] = ()
) -> list[Case]:
    """Return the cases of a split (``tune`` or ``judge``) whose kind begins, and whose name contains, one of the given texts.

    A criterion that is not given does not restrict the cases.
    """
    return [
        case
        for case in cases
        if (split is None or case.is_for_tuning == (split == "tune"))
        and (not kinds or any(case.kind.startswith(kind) for kind in kinds))
        and (not images or any(image in case.name for image in images))
    ]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def _name(path: str) -> str:
    return path.rpartition(".")[0]


def _kind(path: str) -> str:
    return "/".join(Path(path).parts[:-1])


def _binned(data: np.ndarray, n: int) -> np.ndarray:
    return data if n == 1 else block_reduce(data, n, np.mean).round().astype(data.dtype)


def _crop(data: np.ndarray, axes: str, size: int) -> np.ndarray:
    index: list[Any] = [slice(None)] * data.ndim
    for i, letter in enumerate(axes):
        if letter in "YX":
            start = max(0, (data.shape[i] - size) // 2)
            index[i] = slice(start, start + size)
    return np.ascontiguousarray(data[tuple(index)])
