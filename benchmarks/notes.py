"""The notes on images that cannot be denoised well as they are: which of them get one, rightly or wrongly.

    python benchmarks/notes.py --data FOLDER [--part disturbed as-they-are]

FOLDER is described in cases.py. The part ``disturbed`` makes images of each kind that has a note, from clean ones with noise, and counts
how many get the note of their kind. The part ``as-they-are`` lists the images that get a note without having been disturbed: all files of
the folder, and the clean images with each noise of cases.py. The tables are written to results/notes.md.
"""

from __future__ import annotations

import argparse
import io
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.transform import rescale

from cases import all_cases
from napari_convgen.core.image.looks import LOOKS, found_looks
from napari_convgen.run.compare.result import markdown_table
from noise import any_images, clean_images
from sections import write_section

RESULTS = Path(__file__).parent / "results" / "notes.md"

NOISE, LOW, HIGH = 15.0, 50.0, 205.0
"""Standard deviation of the noise, and the least and the greatest value of a scene, of 255: hardly any value is clipped."""

Disturb = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""Function of a clean plane from 0 to 255 and a random generator; it returns the disturbed one, in the type of its file."""


def noisy(clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a plane with noise, within 8 bits."""
    return np.asarray(LOW + (HIGH - LOW) / 255 * clean + NOISE * rng.standard_normal(clean.shape))


def as_bytes(image: np.ndarray) -> np.ndarray:
    """Return values rounded and clipped to 8 bits."""
    return image.round().clip(0, 255).astype(np.uint8)


def saved_as_jpeg(quality: int) -> Disturb:
    """Return what saves a noisy plane as JPEG and reads it again."""

    def disturb(clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        file = io.BytesIO()
        Image.fromarray(as_bytes(noisy(clean, rng))).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file))

    return disturb


def enlarged(factor: float, order: int) -> Disturb:
    """Return what enlarges a noisy plane by splines of an order."""
    return lambda clean, rng: rescale(noisy(clean, rng), factor, order=order, mode="reflect").astype(np.float32)


def mosaic(clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return one color a pixel, of a scene that is reddish."""
    gains = np.ones(clean.shape)
    gains[::2, ::2], gains[1::2, 1::2] = 1.3, 0.7
    return as_bytes(noisy(0.75 * clean * gains, rng))


def wrapped(clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a phase of up to four turns, wrapped."""
    phase = ndimage.gaussian_filter(clean, 8) / 255 * 8 * np.pi + 0.3 * rng.standard_normal(clean.shape)
    return np.asarray(np.angle(np.exp(1j * phase)), np.float32)


def labeled(clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the numbers of connected bright areas."""
    smooth = ndimage.gaussian_filter(clean, 3)
    areas, n = ndimage.label(smooth > np.median(smooth))
    return np.asarray([0, *rng.permutation(n) + 1], np.int32)[areas]


def shifted(clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return rows that were scanned to and fro, every second one three pixels late."""
    image = clean.copy()
    image[1::2] = np.roll(image[1::2], 3, 1)
    return noisy(image, rng).astype(np.float32)


def drifting(clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return rows with an offset that is a random walk."""
    walk = np.cumsum(4 * rng.standard_normal(len(clean)))[:, None]
    return (noisy(clean, rng) + walk).astype(np.float32)


def stepped(clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a plane whose lower half has an offset."""
    return (noisy(clean, rng) + 24.0 * (np.arange(len(clean)) >= len(clean) // 2)[:, None]).astype(np.float32)


def with_wave(clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a plane with a wave all over it."""
    y, x = np.indices(clean.shape)
    return (noisy(clean, rng) + 20 * np.cos(2 * np.pi * (0.131 * y + 0.2222 * x))).astype(np.float32)


def cut_off(clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a dim plane whose noise is cut off at 0."""
    return as_bytes(clean / 8 + NOISE * rng.standard_normal(clean.shape))


def signed(clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return bytes that were read as signed."""
    return as_bytes(noisy(clean, rng)).view(np.int8)


def subtracted(clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return counts less their background, in 16 bits without a sign."""
    return np.asarray(rng.poisson(20 + clean / 4).astype(np.uint16) - np.uint16(20))


def after_median(size: int) -> Disturb:
    """Return what applies a median filter to a noisy plane."""
    return lambda clean, rng: ndimage.median_filter(as_bytes(noisy(clean, rng)), size)


DISTURBED: Mapping[str, tuple[str, Disturb]] = {
    "wrapped phase": ("phase_note", wrapped),
    "labels": ("labels_note", labeled),
    "one color a pixel": ("mosaic_note", mosaic),
    "JPEG, quality 30": ("jpeg_note", saved_as_jpeg(30)),
    "JPEG, quality 60": ("jpeg_note", saved_as_jpeg(60)),
    "JPEG, quality 90": ("jpeg_note", saved_as_jpeg(90)),
    "bytes read as signed": ("signed_note", signed),
    "subtracted below 0": ("overflow_note", subtracted),
    "enlarged 2 times, linear": ("enlarged_note", enlarged(2, 1)),
    "enlarged 1.33 times, linear": ("enlarged_note", enlarged(1.33, 1)),
    "enlarged 1.33 times, cubic": ("enlarged_note", enlarged(1.33, 3)),
    "enlarged 1.7 times, cubic": ("enlarged_note", enlarged(1.7, 3)),
    "median of 3 × 3 pixels": ("median_note", after_median(3)),
    "median of 5 × 5 pixels": ("median_note", after_median(5)),
    "an offset of one half": ("quadrants_note", stepped),
    "a wave": ("periodic_note", with_wave),
    "rows that drift": ("drift_note", drifting),
    "rows shifted by turns": ("two_way_note", shifted),
    "noise cut off at 0": ("cut_off_note", cut_off),
}
"""Kinds of disturbed images, the note that each should get, and what makes it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--part", choices=PARTS, nargs="*", default=list(PARTS), help="parts to measure; all by default"
    )
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    for name in arguments.part:
        title, measure = PARTS[name]
        text = measure(arguments.data)
        print(text, flush=True)
        write_section(arguments.output, title, text)


def notes_of(image: np.ndarray) -> list[str]:
    """Return the names of the notes that a plane gets."""
    values, is_observed = image[None].astype(float), np.isfinite(image)[None]
    return [look.__name__ for look in found_looks(values, is_observed, image.dtype)]


def disturbed(data: Path) -> str:
    """Return the table of disturbed images."""
    images = [plane for _, plane in clean_images([data / "natural" / "set12", data / "fluo" / "clean"])]
    rows = []
    for title, (expected, disturb) in DISTURBED.items():
        others: dict[str, int] = defaultdict(int)
        n_found = 0
        for seed, clean in enumerate(images):
            found = notes_of(disturb(clean, np.random.default_rng(seed)))
            n_found += expected in found
            for name in set(found) - {expected}:
                others[_words(name)] += 1
        wrong = ", ".join(f"{n} {name}" for name, n in sorted(others.items())) or "none"
        rows.append([title, f"{n_found} of {len(images)}", wrong])
        print(rows[-1], flush=True)
    table = markdown_table(["image", "gets its note", "other notes"], rows)
    return f"{len(images)} clean images with noise of {NOISE:.0f} of 255, disturbed in several ways:\n\n{table}\n"


def as_they_are(data: Path) -> str:
    """Return the lists of images that get a note without having been disturbed."""
    found: dict[str, list[str]] = {look.__name__: [] for look in LOOKS}
    n_images = 0
    for name, image in _undisturbed(data):
        n_images += 1
        for note in notes_of(image):
            found[note].append(name)
    rows = [[_words(note), str(len(names)), ", ".join(names) or "none"] for note, names in found.items()]
    table = markdown_table(["note", "number", "images"], rows)
    return f"Of {n_images} images, files as they are and clean ones with added noise, these get a note:\n\n{table}\n"


def _undisturbed(data: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the first plane of each file, and each clean image with each of its noises."""
    yield from any_images(data)
    for case in all_cases(data):
        if case.noise is not None:
            noisy_image = case.load(512, seed=0).noisy
            plane = noisy_image[..., 1] if noisy_image.ndim == 3 else noisy_image  # green
            yield case.name, np.ascontiguousarray(plane)


def _words(name: str) -> str:
    return name.removesuffix("_note").replace("_", " ")


PARTS = {
    "disturbed": ("Disturbed images", disturbed),
    "as-they-are": ("Images as they are", as_they_are),
}
"""Title of each part, and the function that measures it."""


if __name__ == "__main__":
    main()
