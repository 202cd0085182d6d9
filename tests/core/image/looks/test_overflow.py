import numpy as np
import pytest
from scipy import ndimage

from napari_convgen.core.image.looks import notes_on_looks

RNG = np.random.default_rng(0)
SHAPE = (96, 128)
BLOBS = (ndimage.gaussian_filter(RNG.standard_normal(SHAPE), 5) > 0.03) * 1.0
SCENE = ndimage.gaussian_filter(BLOBS, 1.5)
NOISE = RNG.standard_normal(SHAPE)
PHOTONS = RNG.poisson(20 + 60 * SCENE)
LETTERS = np.where(RNG.random((24, 32)).repeat(4, 0).repeat(4, 1) > 0.7, 8, 247)


def has_note(image):
    notes = notes_on_looks(image[None].astype(float), np.ones((1, *image.shape), bool), image.dtype)
    return any("passed its end" in note for note in notes)


def with_hot(image, low, high):
    image = image.copy()
    image[RNG.random(SHAPE) < 0.01] = RNG.integers(low, high)
    image[3, 4] = high
    return image


@pytest.mark.parametrize(
    "image",
    [
        PHOTONS.astype(np.uint16) - np.uint16(20),
        PHOTONS.astype(np.uint8) - np.uint8(20),
        PHOTONS.astype(np.uint32) - np.uint32(20),
        PHOTONS.astype(np.uint8) - RNG.poisson(20 + 60 * SCENE).astype(np.uint8),
        (60 + 230 * SCENE + 10 * NOISE).round().astype(int).astype(np.uint8),
        (32000 + 2000 * SCENE + 100 * NOISE).round().astype(int).astype(np.int16),
    ],
    ids=["16 bits", "8 bits", "32 bits", "difference", "too bright", "signed"],
)
def test_integers_that_passed_the_end_of_their_range_are_noted(image):
    assert has_note(image)


@pytest.mark.parametrize(
    "image",
    [
        PHOTONS.astype(np.uint16),
        (PHOTONS - 20).astype(np.int16),
        PHOTONS.astype(np.uint16) - 20.0,
        (20 + 230 * SCENE + 40 * NOISE).round().clip(0, 255).astype(np.uint8),
        *((LETTERS + sigma * NOISE).round().clip(0, 255).astype(np.uint8) for sigma in (2, 4, 6, 15)),
        ndimage.gaussian_filter(LETTERS + 30 * NOISE, 0.6).round().clip(0, 255).astype(np.uint8),
        (255 * BLOBS).astype(np.uint8),
        RNG.integers(0, 256, SHAPE).astype(np.uint8),
        with_hot(PHOTONS.astype(np.uint16), 60000, 65535),
        np.where(BLOBS > 0, PHOTONS, 65535).astype(np.uint16),
    ],
    ids=[
        "photons",
        "signed",
        "floats",
        "noisy",
        "letters 2",
        "letters 4",
        "letters 6",
        "letters 15",
        "blurred letters",
        "mask",
        "random",
        "hot",
        "padded",
    ],
)
def test_other_images_have_no_note(image):
    assert not has_note(image)
