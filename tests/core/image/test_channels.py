import numpy as np
import pytest
from scipy import ndimage

from napari_convgen.core.image.channels import share_structure


def blobs(seed, shape=(64, 60)):
    image = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 3)
    return image / image.std()


def frame(*channels, noise=0.3):
    clean = np.stack(channels)
    return clean + noise * np.random.default_rng(9).standard_normal(clean.shape)


LIKE = frame(blobs(0), 3 * blobs(0) + 40, -blobs(0))
UNLIKE = frame(blobs(0), blobs(1), blobs(2))


@pytest.mark.parametrize(
    ("values", "is_shared"),
    [
        (LIKE, True),
        (UNLIKE, False),
        (frame(*(blobs(seed) + 3 * np.linspace(-1, 1, 64)[:, None] for seed in range(3))), False),  # illuminated alike
        (frame(blobs(0), blobs(0), blobs(2)), False),
        (frame(blobs(0), blobs(0), blobs(1), blobs(1)), True),
        (LIKE[:1], True),
        (frame(blobs(0) + 50 * blobs(5) * (np.indices((64, 60)) < 0).any(0), blobs(0)), True),
    ],
)
def test_structures_that_channels_share_are_found(values, is_shared):
    seen = np.random.default_rng(1).random(values.shape) > 0.2
    assert share_structure(np.where(seen, values, np.nan), seen) == is_shared
    assert share_structure(np.where(seen, 1e4 * values, np.nan), seen) == is_shared


def test_a_few_bright_pixels_do_not_decide():
    values = UNLIKE.copy()
    values[:, 10, 10] = 1e6
    assert not share_structure(values, np.ones(values.shape, bool))
