import numpy as np
import pytest
from scipy import ndimage

from napari_convgen.core.noise import noise_spectrum, shaping_filter


def measure(image):
    return noise_spectrum(image, np.isfinite(image))


def white(*shape):
    return np.random.default_rng(0).standard_normal(shape)


def autocorrelation(spectrum, axis):
    gain = shaping_filter(spectrum, (64, 64))
    return np.fft.irfft2(gain**2, (64, 64)).take(0, 1 - axis)[:6]


@pytest.mark.parametrize("shape", [(1, 256, 256), (3, 192, 160), (1, 6, 160, 128)])
def test_white_noise_has_the_same_power_everywhere(shape):
    spectrum = measure(white(*shape))
    assert spectrum.shape == (8, 8)
    assert spectrum.mean() == pytest.approx(1)
    np.testing.assert_allclose(spectrum, 1, atol=0.25)


@pytest.mark.parametrize("blur", [(0.7, 0.7), (1.0, 0.5), (0.0, 0.8)])
def test_blurred_noise_has_the_same_correlation_along_each_axis(blur):
    noise = ndimage.gaussian_filter(white(256, 256), blur, mode="wrap")
    structure = 5 * np.sin(np.indices(noise.shape).sum(0) / 20)
    spectrum = measure((noise / noise.std() + structure)[None])
    for axis in (0, 1):
        expected = [np.mean(noise * np.roll(noise, i, axis)) / noise.var() for i in range(6)]
        np.testing.assert_allclose(autocorrelation(spectrum, axis), expected, atol=0.05)


def test_missing_values_do_not_count():
    image = ndimage.gaussian_filter(white(1, 128, 128), (0, 1, 1))
    whole = measure(image)
    image[:, :, :40] = np.nan
    np.testing.assert_allclose(measure(image), whole, atol=0.8, rtol=0.3)


def test_channels_of_other_levels_have_the_same_weight():
    noise = ndimage.gaussian_filter(white(2, 128, 128), (0, 1, 1))
    np.testing.assert_allclose(measure(noise * np.array([1, 100])[:, None, None]), measure(noise), rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 40), (2, 3, 60), (1, 60, 3)])
def test_along_a_single_axis_there_is_a_single_row(shape):
    spectrum = measure(white(*shape))
    assert sorted(spectrum.shape) == [1, 8]


@pytest.mark.parametrize("image", [np.ones((1, 40, 40)), np.full((1, 40, 40), np.nan), np.ones((1, 4, 5))])
def test_where_nothing_can_be_said_there_is_none(image):
    assert measure(image) is None


def test_noise_without_some_frequencies_has_a_spectrum_too():
    stripes = np.zeros((1, 64, 64))
    stripes[0] = np.random.default_rng(0).choice([-1.0, 1.0], 64)  # along rows only
    spectrum = measure(stripes)
    assert np.isfinite(spectrum).all()
    assert spectrum[3:].max() < 1e-9


@pytest.mark.parametrize("size", [(40, 64), (33, 21), (1, 50)])
def test_the_filter_leaves_the_variance(size):
    spectrum = np.outer(np.linspace(2, 0.1, 8), np.linspace(1, 0.3, 8))[-min(8, size[0]) :]
    gain = shaping_filter(spectrum, size)
    assert gain.shape == (size[0], size[1] // 2 + 1)
    assert np.fft.irfft2(gain**2, size)[0, 0] == pytest.approx(1)  # the mean power
