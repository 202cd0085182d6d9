"""The accuracy of the estimated noise: synthetic noise of known strength, and real pairs.

    python benchmarks/noise.py --data FOLDER [--part gaussian poisson rician pairs own stripes defects]

FOLDER is described in cases.py; it has clean images in natural/, fluo/clean/ and mri/clean/. Each part writes its section of
benchmarks/results/noise.md; without a name, all do.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage.restoration import estimate_sigma

from cases import all_cases
from napari_convgen.core.image import ImageTensor, Layout, channels_first
from napari_convgen.core.image.bad_lines import find_bad_lines
from napari_convgen.core.image.looks.enlarged import find_enlargement
from napari_convgen.core.image.looks.periodic import periodic_note
from napari_convgen.core.image.looks.quadrants import quadrants_note
from napari_convgen.core.noise import NoiseModel, estimate_noise
from napari_convgen.core.noise.estimation.blocks import Blocks
from napari_convgen.core.noise.estimation.checkerboard import measure_checkerboard
from napari_convgen.core.noise.estimation.interference import Wave, find_waves
from napari_convgen.core.noise.estimation.stripes import measure_stripes, without_stripes
from napari_convgen.errors import ConvgenError
from napari_convgen.files.images import read_image
from napari_convgen.run.compare.result import markdown_table
from sections import write_section

NATURAL = ("set12", "bsd68", "kodak24", "skimage")
"""Folders of photographs in natural/."""

MAGNITUDES = ("mni152_z95", "mri", "phantom256")
"""Names of images of heads, the last of which is that of Shepp and Logan."""

SIZE = 512
"""Side of the crop of an image, in pixels, at most. Chosen so that all images of bsd68 and set12 are used whole."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--part", choices=PARTS, nargs="*", default=list(PARTS), help="parts to measure; all by default"
    )
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "noise.md")
    arguments = parser.parse_args()
    for name in arguments.part:
        title, measure = PARTS[name]
        write_section(arguments.output, title, measure(arguments.data))


def clean_images(folders: list[Path], channel: int | None = None) -> Iterator[tuple[str, np.ndarray]]:
    """Yield gray images from 0 to 255."""
    for folder in folders:
        for path in sorted(folder.iterdir()):
            image = read_image(path)
            data = np.asarray(image.data, dtype=float)
            while data.ndim > 2:
                data = data[..., :3].mean(-1) if image.axes.endswith("S") and data.ndim == 3 else data[0]
            data = data[:SIZE, :SIZE]
            yield path.stem, 255 * (data - data.min()) / (data.max() - data.min())


def estimate(image: np.ndarray, **given: object) -> NoiseModel:
    return estimate_noise(image[None], np.isfinite(image)[None], **given)  # type: ignore[arg-type]


def summary(errors: list[float]) -> list[str]:
    """Return the median of relative errors, and the mean and the 90th percentile of their magnitudes, in percent."""
    e = 100 * np.array(errors)
    return [f"{np.median(e):+.1f}", f"{np.abs(e).mean():.1f}", f"{np.quantile(np.abs(e), 0.9):.1f}"]


ERRORS = ["median", "mean size", "90 %"]
"""Heads of the columns that `summary` fills."""


def gaussian(data: Path) -> str:
    rows = []
    images = list(clean_images([data / "natural" / name for name in NATURAL]))
    for sigma in (10, 25, 50):
        rng = np.random.default_rng(0)
        ours, others, kinds = [], [], []
        for _, clean in images:
            noisy = clean + sigma * rng.standard_normal(clean.shape)
            kinds.append(estimate(noisy).kind)
            ours.append(estimate(noisy, kind="gaussian").sigma[0] / sigma - 1)
            others.append(estimate_sigma(noisy) / sigma - 1)
        right = f"{kinds.count('gaussian')} of {len(kinds)}"
        rows.append([f"{sigma} of 255", *summary(ours), right, *summary(others)])
        print(rows[-1], flush=True)
    head = ["sigma", *ERRORS, "taken for Gaussian", *(f"wavelets: {word}" for word in ERRORS)]
    return f"Gaussian noise on {len(images)} photographs, error of sigma in %:\n\n" + markdown_table(head, rows)


def poisson(data: Path) -> str:
    rows = []
    gain, offset = 2.0, 100.0
    images = [(name, ndimage.gaussian_filter(clean, 1)) for name, clean in clean_images([data / "fluo" / "clean"])]
    for photons in (10, 30, 100):
        for read in (0.0, 2.0):
            rng = np.random.default_rng(0)
            gains, darks, kinds = [], [], []
            for _, clean in images:
                low, high = np.quantile(clean, [0.001, 0.999])
                expected = photons * np.maximum(clean - low, 0) / (high - low)
                noisy = offset + gain * rng.poisson(expected) + read * rng.standard_normal(clean.shape)
                kinds.append(estimate(noisy).kind)
                model = estimate(noisy, kind="poisson-gaussian", offset=offset)
                gains.append(model.gain[0] / gain - 1)
                darks.append(model.sigma[0])
            right = f"{kinds.count('poisson-gaussian')} of {len(kinds)}"
            rows.append(
                [f"{photons}, {read:g}", *summary(gains), f"{np.median(darks):.2f}", f"{max(darks):.2f}", right]
            )
            print(rows[-1], flush=True)
    head = [
        "photons at the brightest, read noise",
        *ERRORS,
        "read noise: median",
        "largest",
        "taken for Poisson-Gaussian",
    ]
    text = f"Poisson-Gaussian noise, gain {gain:g}, on {len(images)} fluorescence images smoothed by a pixel; error of the gain in %:"
    return text + "\n\n" + markdown_table(head, rows)


def rician(data: Path) -> str:
    rows = []
    for name, clean in clean_images([data / "mri" / "clean", data / "seed"]):
        if name not in MAGNITUDES:
            continue
        for percent in (3, 5, 10):
            rng = np.random.default_rng(0)
            sigma = 2.55 * percent
            parts = sigma * rng.standard_normal((2, *clean.shape))
            noisy = np.hypot(clean + parts[0], parts[1])
            error = estimate(noisy, kind="rician").sigma[0] / sigma - 1
            rows.append([name, f"{percent} % of 255", f"{100 * error:+.1f}", estimate(noisy).kind])
            print(rows[-1], flush=True)
    text = "Rician noise on magnitude images and a phantom, error of sigma in %:"
    return f"{text}\n\n{markdown_table(['image', 'sigma', 'error', 'taken for'], rows)}"


def stripes(data: Path) -> str:
    """Count the photographs in which added stripes are found, and the images of all kinds, without any, in which stripes are found."""
    images = list(clean_images([data / "natural" / "set12"]))
    rows = []
    for strength in (5, 10, 20):
        for name in ("rows", "columns", "alternating rows", "both"):
            rng = np.random.default_rng(0)
            n_found, left = 0, []
            for _, clean in images:
                noisy = clean + 20 * rng.standard_normal(clean.shape)
                lines = strength * _lines(name, clean.shape, rng)
                striped, seen = (noisy + lines)[None], np.ones((1, *clean.shape), bool)
                found = measure_stripes(striped, seen)
                n_found += (found[0] > 0, found[1] > 0) == (name != "columns", name in ("columns", "both"))
                left.append((without_stripes(striped, seen, found)[0] - noisy).std() / lines.std())
            rows.append([name, f"{strength} of 255", f"{n_found} of {len(images)}", f"{np.median(left):.2f}"])
            print(rows[-1], flush=True)
    kinds = (
        "striped",
        "a checkerboard",
        "enlarged",
        "unevenly noisy",
        "one with bad lines",
        "one with waves",
        "one with a step",
    )
    n_images, found_names = 0, {kind: [] for kind in kinds}
    for name, stored in any_images(data):
        n_images += 1
        image = stored.astype(float)
        values, seen = image[None], np.isfinite(image)[None]
        is_found = {
            "striped": any(measure_stripes(values, seen)),
            "a checkerboard": bool(measure_checkerboard(values, seen)),
            "enlarged": find_enlargement(values, seen) > 1,
            "unevenly noisy": estimate(image).level_map is not None,
            "one with bad lines": find_bad_lines(image, seen[0]).any(),
            "one with waves": bool(periodic_note(values, seen, image.dtype)),
            "one with a step": bool(quadrants_note(values, seen, image.dtype)),
        }
        for kind, names in found_names.items():
            names += [name] if is_found[kind] else []
    head = ["stripes", "standard deviation of the offsets", "found right", "left of it, relative, median"]
    table = markdown_table(head, rows)
    counts = [f"{len(names)} for {kind} ({', '.join(names) or 'none'})" for kind, names in found_names.items()]
    false = f"Of {n_images} images of all kinds as they are, there are taken {', '.join(counts)}."
    return f"Stripes on {len(images)} photographs with noise of 20 of 255:\n\n{table}\n\n{false.strip()}\n"


def _lines(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    rows, columns = rng.standard_normal((shape[0], 1)), rng.standard_normal((1, shape[1]))
    alternating = 2.0 * (np.arange(shape[0])[:, None] % 2) - 1
    parts = {"rows": rows, "columns": columns, "alternating rows": alternating, "both": rows + columns}
    return np.broadcast_to(parts[name], shape)


def defects(data: Path) -> str:
    """Count the images in which a defect of the camera is found exactly where it was added."""
    rows = []
    images = list(clean_images([data / "natural" / "set12", data / "fluo" / "clean"]))
    for name, strengths in {
        "offset": (10, 20, 40),
        "noise": (35, 60, 100),
        "wave": (5, 10, 20),
        "step": (8, 16, 32),
    }.items():
        for strength in strengths:
            n_found = 0
            for _, clean in images:
                rng = np.random.default_rng(0)
                noisy = clean + 20 * rng.standard_normal(clean.shape)
                n_found += _is_defect_found(name, noisy, strength, rng)
            rows.append([DEFECTS[name], f"{strength} of 255", f"{n_found} of {len(images)}"])
            print(rows[-1], flush=True)
    head = ["defect", "strength", "found where it is, and nowhere else"]
    return f"Defects of a camera on {len(images)} images with noise of 20 of 255:\n\n{markdown_table(head, rows)}\n"


DEFECTS = {
    "offset": "one column with an offset",
    "noise": "one column with more noise, its standard deviation added",
    "wave": "a wave, its height",
    "step": "an offset of one half",
}


def _is_defect_found(name: str, image: np.ndarray, strength: float, rng: np.random.Generator) -> bool:
    if name == "wave":
        wave = Wave((0.131, 0.2222), strength, 1.0)
        found = find_waves(image + wave.at(image.shape))
        return len(found) == 1 and np.allclose(found[0].frequency, wave.frequency, atol=1e-3)
    if name == "step":
        stepped = image + strength * (np.arange(len(image)) < len(image) // 2)[:, None]
        return bool(quadrants_note(stepped[None], np.isfinite(stepped)[None], stepped.dtype))
    image[:, 100] += strength * (rng.standard_normal(len(image)) if name == "noise" else 1)
    found = find_bad_lines(image, np.isfinite(image))
    return bool(found[:, 100].all() and found.sum() == len(image))


def any_images(data: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the first plane of each image file of a folder that can be read, in its own units and type."""
    for path in sorted(data.rglob("*.*")):
        try:
            image = np.asarray(read_image(path).data)
        except ConvgenError:
            continue
        while image.ndim > 2:
            image = image[..., 0] if image.ndim == 3 and image.shape[-1] in (3, 4) else image[0]
        if image.ndim == 2:
            yield path.name, image


def pairs(data: Path) -> str:
    rows = []
    for case in all_cases(data):
        if case.noise is not None:
            continue
        pair = case.load(1024, seed=0)
        layout = Layout.of(pair.noisy.shape, pair.axes)
        values, is_observed = channels_first(pair.noisy, layout)
        model = estimate_noise(values, is_observed, is_color=layout.is_color)
        reference, _ = channels_first(pair.reference, layout)
        differences, expected = [], []
        for noisy, truth in zip(values, reference, strict=True):
            slope, start = np.polyfit(truth.ravel(), noisy.ravel(), 1)
            differences.append(noisy - slope * truth - start)
            expected.append(slope * truth + start)
        true = float(np.std(differences))
        ours = float(np.sqrt(model.variance(np.stack(expected)).mean()))
        level = float(np.mean(ImageTensor.of(pair.noisy, layout, model).noise_level))
        numbers = [f"{true:.2f}", f"{ours:.2f}", f"{100 * (ours / true - 1):+.0f}", f"{level:.3f}"]
        rows.append([case.name, case.kind, *numbers, str(model)])
        print(rows[-1], flush=True)
    head = ["image", "kind", "std of difference", "estimated", "error %", "in generator's units", "model"]
    text = "Real pairs: standard deviation of the difference from the reference, and the estimate from the noisy image alone:"
    return text + "\n\n" + markdown_table(head, rows)


def own(data: Path) -> str:
    rows = []
    for name, clean in clean_images([data / "fluo" / "clean", data / "mri" / "clean"]):
        spectrum = Blocks.of(clean, np.isfinite(clean)).spectrum.mean(0)
        rows.append([name, *(f"{np.sqrt(spectrum[i]):.2f}" for i in (0, len(spectrum) // 2, -1))])
    text = "The clean images themselves, of 255: structure fades towards the highest frequencies of a block, noise does not."
    return text + "\n\n" + markdown_table(["image", "upper half, lowest", "middle", "highest"], rows)


PARTS = {
    "gaussian": ("Gaussian noise", gaussian),
    "poisson": ("Poisson-Gaussian noise", poisson),
    "rician": ("Rician noise", rician),
    "pairs": ("Real pairs", pairs),
    "own": ("Clean images", own),
    "stripes": ("Stripes", stripes),
    "defects": ("Defects of a camera", defects),
}
"""Title of each part, and the function that measures it."""


if __name__ == "__main__":
    main()
