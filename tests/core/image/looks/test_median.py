import numpy as np
import pytest
from scipy import ndimage

from napari_convgen.core.image.looks import notes_on_looks

RNG = np.random.default_rng(0)
SCENE = 300 + 40 * np.sin(np.indices((96, 128)) / 9).prod(0)
NOISY = SCENE + 20 * RNG.standard_normal(SCENE.shape)
PHOTONS = RNG.poisson(SCENE).astype("uint16")


def has_note(image):
    notes = notes_on_looks(image[None].astype(float), np.isfinite(image)[None], image.dtype)
    return any(note.startswith("Many neighbors have exactly the same value") for note in notes)


@pytest.mark.parametrize("image", [NOISY, PHOTONS, 3 * PHOTONS], ids=["floats", "photons", "steps of three"])
@pytest.mark.parametrize("footprint", [np.ones((3, 3)), [[0, 1, 0], [1, 1, 1], [0, 1, 0]]], ids=["square", "cross"])
def test_an_image_after_a_median_filter_is_noted(image, footprint):
    filtered = ndimage.median_filter(image, footprint=footprint)
    assert has_note(filtered)
    assert has_note(filtered.clip(265, None))


@pytest.mark.parametrize(
    "image",
    [
        NOISY,
        NOISY.round(),
        (NOISY / 10).round(),
        PHOTONS,
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
