import numpy as np
import pytest
from scipy import ndimage

from napari_convgen.core.noise.estimation.correlation import correlation_length


def measure(image):
    return correlation_length(image[None], np.isfinite(image)[None])


def white(shape=(96, 96)):
    return np.random.default_rng(0).standard_normal(shape)


def structure(shape=(96, 96)):
    return 3 * np.sin(np.indices(shape).sum(0) / 9)


@pytest.mark.parametrize("shape", [(96, 96), (12, 64, 64), (500,)])
def test_white_noise_is_independent_from_one_pixel_on(shape):
    assert measure(white(shape) + structure(shape)) == 1


@pytest.mark.parametrize(("width", "length"), [(2, 2), (3, 3)])
def test_noise_averaged_over_a_window_is_independent_from_its_width_on(width, length):
    assert measure(ndimage.uniform_filter(white(), width) + structure() / 10) == length


def limited(scan, share, axes=(0,)):
    """Return what is left of an image without its highest frequencies along some axes."""
    frequencies = [np.abs(np.fft.fftfreq(n)) * 2 for n in scan.shape]
    left = np.fft.fftn(scan)
    for axis in axes:
        left[(slice(None),) * axis + (frequencies[axis] > share,)] = 0
    return np.fft.ifftn(left)


@pytest.mark.parametrize("share", [0.95, 0.8])
@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_noise_without_the_highest_frequencies_is_not_white(share, axes):
    image = white() + structure()
    assert measure(image) == 1
    assert measure(limited(image, share, axes).real) == 2
    assert measure(limited(image, share, axes).real.round(1)) == 2


@pytest.mark.parametrize("weights", [(0.5, 0.3, 0.2), (0.6, 0.25, 0.15), (0.8, 0.2)])
def test_noise_that_is_correlated_along_lines_alone_is_not_white(weights):
    noise = ndimage.convolve1d(white((160, 160)), weights)
    assert measure(noise + structure((160, 160))) == 2
    assert measure((noise + structure((160, 160))).T) == 2


def test_a_texture_of_stripes_with_white_noise_is_none():
    rows, columns = np.indices((160, 160))
    stripes = np.sin(0.9 * columns + 0.4 * rows) * np.sin(rows / 40)
    assert measure(white((160, 160)) + 3 * stripes) == 1


@pytest.mark.parametrize("seed", range(3))
def test_structures_are_not_taken_for_noise_that_reaches_far(seed):
    rows, columns = np.indices((160, 160))
    noise = np.random.default_rng(seed).standard_normal(rows.shape)
    disks = np.hypot(rows % 53 - 26, columns % 53 - 26) < 18
    structures = 2 * np.sin(columns / 5) * np.sin(rows / 7) + 16 * disks
    assert measure(ndimage.gaussian_filter(noise + structures, 0.7)) == 2


def test_missing_values_do_not_count():
    image = ndimage.uniform_filter(white(), 3) + 1000
    image[np.random.default_rng(1).random(image.shape) < 0.2] = np.nan
    assert measure(image) == 3


@pytest.mark.parametrize("shape", [(4, 4), (2, 9), (4,), (1, 40)])
def test_tiny_images_are_taken_for_white(shape):
    assert measure(white(shape)) == 1


def test_length_is_bounded():
    assert measure(ndimage.gaussian_filter(white((256, 256)), 6)) <= 6


def test_a_smooth_image_without_noise_has_no_limit_of_frequencies():
    """Its energy falls steeply everywhere, not at a limit alone."""
    y, x = np.mgrid[-1:1:20j, -1:1:24j]
    smooth = 100 * np.exp(-3 * (x**2 + y**2)) + 50 * np.exp(-20 * ((x - 0.4) ** 2 + (y + 0.3) ** 2))
    assert correlation_length(smooth[np.newaxis], np.ones((1, 20, 24), bool)) == 1
