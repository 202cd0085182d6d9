import sys
import types

import numpy as np
import pytest

from napari_convgen.core.baselines import bm3d as module
from napari_convgen.core.baselines.bm3d import bm3d
from napari_convgen.core.baselines.frame import NoisyFrame
from napari_convgen.core.noise.estimation.spectrum import shaping_filter
from napari_convgen.errors import ConfigError, InputError


def noise(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def error(a, b):
    return float(np.sqrt(np.mean((a - b) ** 2)))


def levels(*values):
    return np.array(values, dtype=float)


@pytest.fixture
def calls(monkeypatch):
    """A package bm3d that notes what it is asked, and subtracts the noise level."""
    calls = []

    def bm3d(image, level):
        calls.append((image.shape, level))
        return image - level

    library = types.ModuleType("bm3d")
    library.__spec__ = types.SimpleNamespace(name="bm3d")
    library.bm3d = bm3d
    monkeypatch.setitem(sys.modules, "bm3d", library)
    return calls


def test_bm3d_goes_through_channels_and_slices_and_never_sees_less_than_a_few_blocks(calls):
    denoised = bm3d(NoisyFrame(np.ones((2, 3, 9, 20)), levels(0.1, 0.2)))
    np.testing.assert_allclose(denoised, 1 - np.array([0.1, 0.2])[:, None, None, None] * np.ones((2, 3, 9, 20)))
    assert calls == [((16, 20), level) for _ in range(3) for level in (0.1, 0.2)]


def test_bm3d_sees_color_as_luminance_first_with_the_noise_of_each(calls, scene):
    gray = np.broadcast_to(scene((96, 96)) + 0.05 * noise((96, 96)), (3, 96, 96))
    bm3d(NoisyFrame(gray, levels(0.05, 0.05, 0.05), True))
    [(shape, level)] = calls
    assert shape == (96, 96, 3)
    np.testing.assert_allclose(level / 0.05, [3**0.5, 0, 0], atol=0.25)


def test_bm3d_is_given_the_power_of_correlated_noise_at_each_frequency(calls):
    spectrum = np.outer(1 / (1 + np.arange(6.0)), np.ones(5))
    color = NoisyFrame(np.ones((3, 18, 20)), levels(0.1, 0.2, 0.3), True, noise_spectrum=spectrum)
    for frame in (NoisyFrame(np.ones((1, 18, 20)), levels(0.1), noise_spectrum=spectrum), color):
        bm3d(frame)
    (_, power), (_, of_color) = calls
    assert (power.shape, of_color.shape) == ((18, 20), (18, 20, 3))
    drawn = np.abs(np.fft.fft2(0.1 * shaped(spectrum, (18, 20), 2000))) ** 2
    np.testing.assert_allclose(power, drawn.mean(0), rtol=0.15)
    np.testing.assert_allclose(of_color[..., 0] / of_color[..., 0].mean(), power / power.mean())


def shaped(spectrum, size, n):
    gain = shaping_filter(spectrum, size)
    return np.fft.irfft2(gain * np.fft.rfft2(noise((n, *size))), size)


def test_bm3d_needs_rows_and_columns(calls):
    with pytest.raises(InputError, match="BM3D needs rows and columns"):
        bm3d(NoisyFrame(np.ones((1, 40)), levels(0.1)))


def test_bm3d_that_is_not_installed_names_the_extra(monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"non-commercial use only.*pip install 'napari-convgen\[bm3d\]'"):
        bm3d(NoisyFrame(np.ones((1, 20, 20)), levels(0.1)))


def test_the_real_bm3d_denoises_and_takes_color_together(scene):
    pytest.importorskip("bm3d")
    clean = scene((32, 32))[np.newaxis]
    noisy = clean + 0.1 * noise(clean.shape)
    gray = error(bm3d(NoisyFrame(noisy, levels(0.1))), clean)
    assert gray < 0.45 * 0.1
    spectrum = 1 / (1 + np.arange(8.0)[:, None] ** 2 + np.arange(8.0) ** 2)
    had_trapezoids = hasattr(np, "trapz")
    smooth = clean + 0.1 * shaped(spectrum, (32, 32), 1)
    told = error(bm3d(NoisyFrame(smooth, levels(0.1), noise_spectrum=spectrum)), clean)
    assert told < 0.9 * error(bm3d(NoisyFrame(smooth, levels(0.1))), clean)
    assert hasattr(np, "trapz") == had_trapezoids
    color = np.repeat(clean, 3, 0)
    assert error(bm3d(NoisyFrame(color + 0.1 * noise(color.shape), levels(0.1, 0.1, 0.1), True)), color) < gray
