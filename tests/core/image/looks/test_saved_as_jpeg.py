import io

import numpy as np
import pytest
from PIL import Image

from napari_convgen.core.image.looks import notes_on_looks

SCENE = 120 + 60 * np.sin(np.indices((96, 120)) / 9).prod(0)
NOISY = (SCENE + 20 * np.random.default_rng(0).standard_normal(SCENE.shape)).round().clip(0, 255).astype("uint8")
WEAK = (SCENE + 10 * np.random.default_rng(0).standard_normal(SCENE.shape)).round().astype("uint8")
COLOR = (
    (SCENE[..., None] * (1, 0.8, 0.6) + 20 * np.random.default_rng(0).standard_normal((*SCENE.shape, 3)))
    .round()
    .clip(0, 255)
    .astype("uint8")
)


def saved(image, quality):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def has_note(image):
    values = np.moveaxis(np.atleast_3d(image), -1, 0).astype(float)
    notes = notes_on_looks(values, np.ones(values.shape, bool), image.dtype)
    return any(note.startswith("The image was saved as JPEG") for note in notes)


@pytest.mark.parametrize("quality", [50, 60, 75])
@pytest.mark.parametrize("image", [NOISY, COLOR], ids=["gray", "color"])
def test_noise_that_jpeg_has_thinned_out_is_noted(image, quality):
    assert has_note(saved(image, quality))
    assert not has_note(saved(image, quality)[4:, 4:])  # the blocks begin elsewhere


@pytest.mark.parametrize("quality", [25, 40])
def test_a_low_quality_is_noted_where_no_fine_noise_is_left(quality):
    assert has_note(saved(WEAK, quality))
    assert not has_note(saved(WEAK, quality)[4:, 4:])


@pytest.mark.parametrize(
    "image",
    [NOISY, COLOR, saved(NOISY, 97), saved(SCENE.astype("uint8"), 50), SCENE.astype("uint8"), NOISY[:20, :20]],
    ids=["gray", "color", "hardly compressed", "without noise", "smooth", "small"],
)
def test_other_images_have_no_note(image):
    assert not has_note(image)
