import numpy as np
import pytest
from scipy import ndimage

from napari_convgen.core.image.looks.two_way import find_shift, two_way_note


def scene(side=128):
    smooth = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((side, side)), 2)
    return 30 * (smooth - smooth.min()) / np.ptp(smooth)


def shifted(shift, seed=0):
    image = scene()
    image[1::2] = ndimage.shift(image, (0, shift), order=1, mode="nearest")[1::2]
    return np.random.default_rng(seed).poisson(image).astype(float)


def note(image):
    return two_way_note(image[None], np.isfinite(image[None]), image.dtype)


@pytest.mark.parametrize("shift", [-3.0, -1.5, 2.0, 5.0])
def test_the_shift_of_every_other_row_is_measured_and_told(shift):
    assert find_shift(shifted(shift)) == pytest.approx(shift, abs=0.3)
    assert note(shifted(shift)).startswith(
        f"Rows 1, 3, 5 and so on (from 0) are shifted by {find_shift(shifted(shift)):+.1f}"
    )
    assert note(shifted(shift).T).startswith("Columns 1, 3, 5")


def images():
    yield "not shifted", shifted(0.0)
    yield "noise", np.random.default_rng(0).standard_normal((128, 128))
    y, x = np.mgrid[:128, :128]
    yield "fine slanted lines", 10 * np.sin((x + 3 * y) * 1.1) + np.random.default_rng(0).standard_normal((128, 128))
    yield "constant", np.ones((128, 128))
    yield "missing", np.where(x == 5, np.nan, shifted(2.0))
    yield "small", shifted(2.0)[:40]


@pytest.mark.parametrize(("name", "image"), list(images()))
def test_nothing_is_said_of_other_images(name, image):
    assert note(image) == ""
