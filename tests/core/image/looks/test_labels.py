import numpy as np
import pytest
from scipy import ndimage

from napari_convgen.core.image.looks import notes_on_looks

RNG = np.random.default_rng(0)
CELLS = RNG.permutation(64).reshape(8, 8).repeat(12, 0).repeat(12, 1)
SCENE = 30 + 20 * np.sin(np.indices((96, 96)) / 9).prod(0)


def has_note(image):
    notes = notes_on_looks(image[None].astype(float), np.ones((1, *image.shape), bool), image.dtype)
    return any(note.startswith("The image looks like labels or a drawing") for note in notes)


@pytest.mark.parametrize("labels", [CELLS, np.where(CELLS < 20, CELLS, 0), CELLS % 3], ids=["all", "few", "classes"])
@pytest.mark.parametrize("dtype", ["int32", "uint8"])
def test_labels_are_noted(labels, dtype):
    assert has_note(labels.astype(dtype))
    assert not has_note(labels.astype("float32"))


def test_nothing_else_is_said_of_labels():
    labels = ndimage.label(ndimage.gaussian_filter(np.random.default_rng(2).standard_normal((256, 256)), 6) > 0)[0]
    enlarged = labels.repeat(2, 0).repeat(2, 1)
    assert len(notes_on_looks(enlarged[None].astype(float), np.ones((1, *enlarged.shape), bool), enlarged.dtype)) == 1


@pytest.mark.parametrize(
    "image",
    [
        (SCENE + 5 * RNG.standard_normal(SCENE.shape)).astype("int32"),
        SCENE.astype("uint8"),
        RNG.poisson(0.02, (96, 96)),
        np.clip(SCENE + 30 * RNG.standard_normal(SCENE.shape), 25, 60).astype("uint8"),
        CELLS[0],
    ],
    ids=["noisy", "gradients", "few photons", "cut off", "line"],
)
def test_other_images_have_no_note(image):
    assert not has_note(image)
