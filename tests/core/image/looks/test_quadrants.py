import numpy as np
import pytest
from scipy import ndimage

from napari_convgen.core.image import Layout, check_array

N = 128
UPPER, LEFT = (np.arange(N) < N // 2)[:, None], (np.arange(N) < N // 2)[None]


def noisy():
    rng = np.random.default_rng(0)
    return 100 + 300 * ndimage.gaussian_filter(rng.standard_normal((N, N)), 10) + 5 * rng.standard_normal((N, N))


def notes(image):
    return " ".join(check_array(image, Layout.of(image.shape))[0].notes)


def test_offsets_of_halves_and_quadrants_are_named():
    assert "between the upper and lower half, as amplifiers" in notes(noisy() + 15 * UPPER)
    assert "between the left and right half, as amplifiers" in notes(noisy() - 15 * LEFT)
    one = notes(noisy() + 20 * (UPPER & LEFT))
    assert "between the upper and lower half and between the left and right half" in one


@pytest.mark.parametrize("shift", [-20, -1, 1, 2, 3, 10])
def test_an_edge_elsewhere_is_none(shift):
    assert notes(np.roll(noisy() + 15 * UPPER, shift, axis=0)) == ""
    assert notes(noisy()) == ""
    assert notes((noisy() + 15 * UPPER)[:, :32]) == ""


def test_a_weak_offset_is_found_among_edges_of_the_scene_which_are_none():
    y, x = np.indices((N, N))
    rng = np.random.default_rng(1)
    disks = sum((y - a) ** 2 + (x - b) ** 2 < r**2 for a, b, r in rng.uniform((0, 0, 5), (N, N, 16), (25, 3)))
    image = 100 * (disks > 0) + 8 * rng.standard_normal((N, N))
    assert notes(image) == ""
    assert "between the upper and lower half" in notes(image + 14 * UPPER)
    edge = np.where(x < N // 4, 40 * UPPER, 0)  # an object whose edge is in the middle of the frame
    assert notes(image + edge) == ""
