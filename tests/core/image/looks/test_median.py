import numpy as np
import pytest
from scipy import ndimage

from napari_convgen.core.image.looks import notes_on_looks

RNG = np.random.default_rng(0)
SCENE = 300 + 40 * np.sin(np.indices((96, 128)) / 9).prod(0)
NOISY = SCENE + 20 * RNG.standard_normal(SCENE.shape)
PHOTONS = RNG.poisson(SCENE).astype("uint16")
TILE = RNG.choice([0.3, 0.5, 1, 1.7, 2.3], (6, 8)).repeat(16, 0).repeat(16, 1)


def rates(counts, dtype=np.float64):
    """Return counts divided by the exposure time, which differs from tile to tile."""
    return (RNG.poisson(counts * TILE) / TILE).astype(dtype)


def equalized(image):
    """Return the image with an equalized histogram, in 8 bits."""
    return (255 * np.searchsorted(np.sort(image, None), image) / image.size).round().astype(np.uint8)


def has_note(image):
    notes = notes_on_looks(image[None].astype(float), np.isfinite(image)[None], image.dtype)
    return any(note.startswith("Many neighbors have exactly the same value") for note in notes)


@pytest.mark.parametrize(
    "image", [NOISY, PHOTONS, 3 * PHOTONS, rates(SCENE)], ids=["floats", "photons", "steps of three", "rates"]
)
@pytest.mark.parametrize("footprint", [np.ones((3, 3)), [[0, 1, 0], [1, 1, 1], [0, 1, 0]]], ids=["square", "cross"])
def test_an_image_after_a_median_filter_is_noted(image, footprint):
    filtered = ndimage.median_filter(image, footprint=footprint)
    assert has_note(filtered)
    assert has_note(filtered.clip(265, None))
    assert has_note((filtered / 30).astype(np.float32))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("photons", [0.5, 3, 10, 30])
def test_counts_divided_by_the_exposure_time_have_no_note(photons, dtype):
    counts = RNG.poisson(SCENE / SCENE.mean() * photons)
    assert not has_note((counts / 30).astype(dtype))
    assert not has_note((0.37 * counts + 100).astype(dtype))
    assert not has_note((4 * counts).astype(np.uint16))
    assert not has_note(rates(SCENE / SCENE.mean() * photons, dtype))


@pytest.mark.parametrize(
    "image",
    [
        NOISY,
        NOISY.round(),
        (NOISY / 10).round(),
        PHOTONS,
        equalized(NOISY.round()),
        equalized(RNG.poisson(SCENE / 30)),
        (1.5 * RNG.poisson(SCENE / 10)).round(),
        ndimage.gaussian_filter(NOISY, 1).round(),
        ndimage.median_filter(SCENE.round(), footprint=np.ones((3, 3))),
        NOISY[:, np.arange(128) * 3 // 4][np.arange(96) * 3 // 4],
        NOISY.clip(290, 310),
        np.where(SCENE > 300, NOISY, np.nan),
        NOISY[:20],
        NOISY[0],
    ],
    ids=[
        "floats",
        "rounded",
        "few levels",
        "photons",
        "equalized",
        "photons, equalized",
        "stretched",
        "blurred",
        "clean",
        "repeated",
        "cut off",
        "mask",
        "small",
        "line",
    ],
)
def test_other_images_have_no_note(image):
    assert not has_note(image)
