"""Sample images, as they were measured and as they are, computed by formula.

They need no download, are the same every time, and have noise like that of the instruments that they imitate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.signal import fftconvolve

from napari_convgen.core.optics.microscope import widefield_psf
from napari_convgen.core.optics.objective import Objective

if TYPE_CHECKING:
    from napari_convgen.core.mri.simulation import Scan

PHASE_SIZE = 128
"""Number of pixels along each side of a phase: its images are several times as many values."""

SIZE = 256
"""Number of pixels along each side of a sample: small enough to denoise in seconds."""


@dataclass(frozen=True, eq=False)
class Sample:
    """An image as it was measured, and its clean reference.

    Attributes
    ----------
    name
        Name of the kind of image that it imitates.
    noisy, clean
        Images of shape (256, 256) with the same dtype and units, or volumes; where nothing was measured, ``noisy`` is NaN. Of a phase,
        ``noisy`` is a stack of intensities, ``(planes, 128, 128)``, and ``clean`` the phase in radians.
    pixel_size
        Side of a pixel, in ``unit``.
    unit
        Unit of length, as napari names it.
    is_missing
        True where nothing was measured; ``None``, the default, if all was.
    psf
        Point spread function by which the measurement is blurred; ``None``, the default, if it is not.
    z_step
        Distance between neighboring planes of a stack or a volume, in ``unit``; ``None``, the default, for a single image.
    """

    name: str
    noisy: NDArray[Any]
    clean: NDArray[Any]
    pixel_size: float
    unit: str
    is_missing: NDArray[np.bool_] | None = None
    psf: NDArray[np.floating[Any]] | None = None
    z_step: float | None = None


def fluorescence() -> Sample:
    """Return nuclei, cytoplasm and filaments as a camera counts them: Poisson noise at gain 2, read noise of 4 counts, offset 100.

    Values are 16-bit camera counts; the brightest structures have about 50 photoelectrons.
    """
    rng = np.random.default_rng(2020)
    photons = _cells(rng) / 4
    clean = 2 * photons + 100
    noisy = 2 * rng.poisson(photons) + 100 + rng.normal(0, 4, photons.shape)
    return Sample("fluorescence", _to_uint16(noisy), _to_uint16(clean), 0.108, "micron")


def mri() -> Sample:
    """Return an axial slice of a head as a magnitude image: Rician noise with 4 % of the signal of white matter.

    Values are float32 in arbitrary units, white matter at about 600.
    """
    rng = np.random.default_rng(1946)
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    radius = np.hypot(x / 0.72, y / 0.88)
    wobble = ndimage.gaussian_filter(rng.standard_normal((SIZE, SIZE)), 14)
    radius = radius + 0.25 * wobble / np.abs(wobble).max() * np.clip(radius, 0, 1) * 0.3
    folds = ndimage.gaussian_filter(rng.standard_normal((SIZE, SIZE)), 4.5)
    folds /= folds.std()
    brain = radius < 0.86
    depth = (0.86 - radius) / 0.86
    gray = brain & ((depth < 0.05) | ((depth < 0.30) & (np.abs(folds) < 0.42)))
    sulci = brain & (depth < 0.24) & (np.abs(folds) < 0.12)
    ventricles = np.hypot((np.abs(x) - 0.10) / 0.07, (y + 0.05) / 0.26) < 1
    nuclei = np.hypot((np.abs(x) - 0.25) / 0.09, (y - 0.02) / 0.17) < 1
    signal = np.zeros((SIZE, SIZE))
    signal[radius < 1.0] = 780.0  # scalp fat
    signal[radius < 0.955] = 60.0  # skull
    signal[radius < 0.885] = 160.0  # fluid
    signal[brain] = 600.0  # white matter
    signal[nuclei & brain] = 470.0
    signal[gray] = 400.0
    signal[sulci] = 190.0
    signal[ventricles & brain] = 150.0
    clean = ndimage.gaussian_filter(signal, 0.7) * (1.05 - 0.18 * x + 0.12 * y)
    sigma = 0.04 * 600
    noisy = np.hypot(clean + rng.normal(0, sigma, clean.shape), rng.normal(0, sigma, clean.shape))
    return Sample("MRI", noisy.astype(np.float32), clean.astype(np.float32), 0.9, "mm")


VOLUME_SIZE = 24, 96, 96
"""Numbers of slices, rows and columns of the volume, whose voxels are cubes."""


def mri_volume() -> Sample:
    """Return the upper part of a head as a volume of magnitudes: Rician noise with 6 % of the signal of white matter.

    Values are float32 in arbitrary units, white matter at about 600; voxels have sides of 2 mm.
    """
    rng = np.random.default_rng(1971)
    z, y, x = np.mgrid[
        0 : VOLUME_SIZE[0] / 48 : VOLUME_SIZE[0] * 1j, -1 : 1 : VOLUME_SIZE[1] * 1j, -1 : 1 : VOLUME_SIZE[2] * 1j
    ]
    folds = ndimage.gaussian_filter(rng.standard_normal(VOLUME_SIZE), 1.8)
    folds /= folds.std()
    radius = np.sqrt((x / 0.72) ** 2 + (y / 0.88) ** 2 + (z / 0.8) ** 2)
    depth = 1 - radius / 0.86
    signal = np.zeros(VOLUME_SIZE)
    signal[radius < 1.0] = 780.0  # scalp fat
    signal[radius < 0.955] = 60.0  # skull
    signal[radius < 0.885] = 160.0  # fluid
    signal[depth > 0] = 600.0  # white matter
    signal[(depth > 0) & ((depth < 0.05) | ((depth < 0.30) & (np.abs(folds) < 0.42)))] = 400.0  # gray matter
    signal[(depth > 0) & (depth < 0.24) & (np.abs(folds) < 0.12)] = 190.0  # fluid between the folds
    signal[((np.abs(x) - 0.10) / 0.07) ** 2 + ((y + 0.05) / 0.26) ** 2 + (z / 0.3) ** 2 < 1] = 150.0  # ventricles
    clean = ndimage.gaussian_filter(signal, 0.6) * (1.05 - 0.18 * x + 0.12 * y)
    sigma = 0.06 * 600
    noisy = np.hypot(clean + rng.normal(0, sigma, clean.shape), rng.normal(0, sigma, clean.shape))
    return Sample("MRI volume", noisy.astype(np.float32), clean.astype(np.float32), 2.0, "mm", z_step=2.0)


def sparse_confocal() -> Sample:
    """Return nuclei and filaments of which a confocal microscope visited a random 40 % of the pixels, to spare the specimen light.

    Values are photons, float32; the brightest structures have about 200.
    """
    rng = np.random.default_rng(1957)
    clean = _cells(rng)
    is_missing = rng.random(clean.shape) < 0.6
    noisy = np.where(is_missing, np.nan, rng.poisson(clean)).astype(np.float32)
    return Sample("confocal", noisy, clean.astype(np.float32), 0.08, "micron", is_missing=is_missing)


def blurred_beads() -> Sample:
    """Return fluorescent beads in a dry widefield microscope of aperture 0.5, at a wavelength of 600 nm.

    Values are photons, float32; the brightest pixel of the measurement has about 800.
    """
    rng = np.random.default_rng(1835)
    psf = widefield_psf(Objective(0.5, 0.6, 1.0), (0.15, 0.15)).values
    margin = len(psf) // 2
    y, x = np.mgrid[-margin : SIZE + margin, -margin : SIZE + margin].astype(float)
    sharp = np.full(y.shape, 4.0)
    for _ in range(200):
        row, column = rng.uniform(-margin, SIZE + margin, 2)
        sharp += rng.uniform(500, 2500) * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * 1.1**2))
    noisy = rng.poisson(fftconvolve(sharp, psf, "valid").clip(0)).astype(np.float32)
    clean = sharp[margin:-margin, margin:-margin].astype(np.float32)
    return Sample("beads", noisy, clean, 0.15, "micron", psf=psf.astype(np.float32))


def kspace() -> Scan:
    """Return the scan of a head by 8 coils: every fourth row of k-space and 24 in the middle, noise of 1 % of the image's maximum.

    The image has 192 × 160 pixels; values are in arbitrary units.
    """
    from napari_convgen.core.mri.simulation import equispaced, head, scan  # loads PyTorch

    size = (192, 160)
    return scan(head(size), equispaced(size, 4), noise=0.01)


CELLS_SEED, CELLS_PIXEL, CELLS_STEP, CELLS_PLANES, CELLS_PHOTONS = 1953, 0.2, 2.0, 7, 200.0
"""Seed of the cells through focus, side of a pixel and distance of the planes in micrometers, number of planes, and photons a pixel."""

CELLS_ABERRATIONS = (0.0, 0.0, 0.5, 0.0, -0.4, 0.0, 0.0, 0.4, 0.0)
"""Their aberrations: Zernike coefficients in radians from defocus on, in Noll's order."""


def cells_through_focus() -> Sample:
    """Return unstained cells in transmitted light, 7 planes 2 µm apart, through a dry objective of aperture 0.5 with aberrations.

    Values are photons, float32, about 200 a pixel; ``clean`` is the phase in radians. The light has 520 nm; the aberrations are 0.5 radians
    of astigmatism, -0.4 of horizontal coma and 0.4 of spherical aberration.
    """
    import torch  # not before it is needed

    from napari_convgen.core.operators.microscopes import through_focus

    rng = np.random.default_rng(CELLS_SEED)
    planes = [CELLS_STEP * (number - CELLS_PLANES // 2) for number in range(CELLS_PLANES)]
    pixels = (CELLS_PIXEL, CELLS_PIXEL)
    imaging = through_focus(Objective(0.5, 0.52, 1.0), pixels, planes, (PHASE_SIZE, PHASE_SIZE), 8)
    phase = phase_of_cells(rng, max(imaging.size))[: imaging.size[0], : imaging.size[1]]
    parameters = torch.tensor(CELLS_ABERRATIONS, dtype=torch.float64)
    light = imaging.joint(torch.from_numpy(phase)[None], parameters)[0].numpy()
    noisy = rng.poisson(CELLS_PHOTONS * light).astype(np.float32)
    return Sample("cells", noisy, phase[imaging.view].astype(np.float32), CELLS_PIXEL, "micron", z_step=CELLS_STEP)


SAMPLES = {"fluorescence": fluorescence, "mri": mri}
"""Function that computes each sample to denoise, by name."""

MEASUREMENTS = {"inpaint": sparse_confocal, "deblur": blurred_beads}
"""Function that computes each sample to reconstruct, by the problem that it poses."""


def phase_of_cells(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Return the phase of thin cells in radians: bodies of up to 1, nuclei and texture; 0 between them.

    Parameters
    ----------
    rng
        Source of chance.
    n
        Number of rows and columns.
    """
    y, x = np.mgrid[:n, :n].astype(float)
    phase = np.zeros((n, n))
    for _ in range(round(5 * (n / 96) ** 2) + 2):
        row, column = rng.uniform(0, n, 2)
        a, b, angle = rng.uniform(9, 18), rng.uniform(8, 14), rng.uniform(0, np.pi)
        u = (x - column) * np.cos(angle) + (y - row) * np.sin(angle)
        v = -(x - column) * np.sin(angle) + (y - row) * np.cos(angle)
        texture = ndimage.gaussian_filter(rng.standard_normal((n, n)), 2.0)
        inside = 1 / (1 + np.exp(9 * (np.hypot(u / a, v / b) - 1)))
        phase += rng.uniform(0.4, 0.8) * inside * (1 + 0.25 * texture / texture.std()).clip(0.2, 2)
        phase += rng.uniform(0.2, 0.4) * np.exp(-((np.hypot(u - 2, v + 1) / (0.35 * b)) ** 4))
    return phase


def _cells(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the light of nuclei, cytoplasm and filaments, in photons: about 200 where it is brightest."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(float)
    photons = np.full((SIZE, SIZE), 3.0)
    for _ in range(9):
        cy, cx = rng.uniform(20, SIZE - 20, 2)
        a, b, angle = rng.uniform(13, 22), rng.uniform(10, 16), rng.uniform(0, np.pi)
        u = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        v = -(x - cx) * np.sin(angle) + (y - cy) * np.cos(angle)
        inside = 1 / (1 + np.exp(8 * (np.hypot(u / a, v / b) - 1)))
        texture = ndimage.gaussian_filter(rng.standard_normal((SIZE, SIZE)), 2.5)
        photons += rng.uniform(50, 100) * inside * (1 + 2.0 * texture).clip(0.3, 2)
        photons += 10 * np.exp(-(np.hypot(u / a, v / b) ** 2) / 5)
    filaments = np.zeros((SIZE, SIZE))
    for _ in range(38):
        steps = np.cumsum(rng.normal(0, 0.035, 900)) + rng.uniform(0, 2 * np.pi)
        path = rng.uniform(0, SIZE, (2, 1)) + 0.35 * np.cumsum([np.sin(steps), np.cos(steps)], axis=1)
        rows, columns = np.rint(path).astype(int)
        seen = (rows >= 0) & (rows < SIZE) & (columns >= 0) & (columns < SIZE)
        np.add.at(filaments, (rows[seen], columns[seen]), rng.uniform(0.5, 1.2))
    photons += 38 * ndimage.gaussian_filter(filaments.clip(0, 4), 1.0)
    return photons


def _to_uint16(values: NDArray[Any]) -> NDArray[np.uint16]:
    counts: NDArray[np.uint16] = np.rint(values.clip(0, 65535)).astype(np.uint16)
    return counts
