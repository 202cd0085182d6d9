import numpy as np
import pytest

from napari_convgen.core.image.looks import notes_on_looks

SCENE = 300 + 200 * np.sin(np.indices((96, 128)) / 9).prod(0)
NOISE = 20 * np.random.default_rng(0).standard_normal(SCENE.shape)


def times(gains):
    return SCENE * np.tile(gains, (SCENE.shape[0] // 2, SCENE.shape[1] // 2))


def has_note(image, n_channels=1):
    values = np.stack([image] * n_channels)
    notes = notes_on_looks(values, np.isfinite(values), image.dtype)
    return any(note.startswith("The image looks like the mosaic of a color camera") for note in notes)


@pytest.mark.parametrize("gains", [[[0.4, 1], [1, 0.7]], [[1, 0.4], [0.7, 1]], [[0.5, 1], [1, 0.5]]])
def test_a_mosaic_is_noted(gains):
    image = times(gains) + NOISE
    assert has_note(image)
    assert has_note(np.where(NOISE > 50, np.nan, image))
    assert not has_note(image, n_channels=3)


@pytest.mark.parametrize(
    "image",
    [
        SCENE + NOISE,
        SCENE,
        NOISE,
        SCENE + NOISE + 60 * np.tile([[1, -1], [-1, 1]], (48, 64)),
        SCENE + NOISE + 60 * np.tile([[1], [-1]], (48, 128)),
        times([[0.6, 0.6], [1, 1]]),
        (SCENE + NOISE)[:40, :40],
        SCENE[0],
        np.indices((96, 128)).sum(0) + 0.1 * NOISE / 20,
    ],
    ids=["scene", "clean", "noise", "checkerboard", "offset of rows", "factor of rows", "small", "line", "slope"],
)
def test_other_images_have_no_note(image):
    assert not has_note(image)
