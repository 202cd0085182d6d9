import sys
import types

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_convgen.core import baselines
from napari_convgen.core.baselines.methods import BASELINES, fill_missing, noise_covariance, to_opponents
from napari_convgen.errors import ConfigError, InputError
from napari_convgen.run import labels as words

INSTALLED = {name: baseline for name, baseline in BASELINES.items() if name != "bm3d"}
EACH = pytest.mark.parametrize("baseline", INSTALLED.values(), ids=INSTALLED)


def scene(shape=(48, 40), seed=5):
    """Smooth shapes with edges, in [0.2, 0.8]."""
    rough = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 4)
    return 0.3 + 0.4 * (rough > 0) + 0.1 * np.tanh(rough / rough.std())


def noise(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def error(a, b):
    return float(np.sqrt(np.mean((a - b) ** 2)))


def levels(*values):
    return np.array(values, dtype=float)


def test_every_baseline_has_a_title():
    assert set(BASELINES) == set(words.BASELINES)


@EACH
def test_most_of_the_noise_goes_and_the_structure_stays(baseline):
    clean = scene()[np.newaxis]
    noisy = clean + 0.1 * noise(clean.shape)
    denoised = baseline(noisy, levels(0.1), False)
    assert error(denoised, clean) < 0.6 * 0.1
    assert noisy.shape == denoised.shape


@EACH
def test_only_the_noise_level_sets_the_unit(baseline):
    noisy = scene()[np.newaxis] + 0.1 * noise((1, 48, 40))
    expected = baseline(noisy, levels(0.1), False)
    np.testing.assert_allclose(baseline(7 * noisy - 3, levels(0.7), False), 7 * expected - 3, atol=1e-6)
    stronger = baseline(noisy, levels(0.2), False)
    assert error(stronger, noisy) > error(expected, noisy)


@EACH
def test_channels_have_their_own_noise_and_one_without_stays(baseline):
    clean = np.stack([scene(), scene(seed=2), scene(seed=3)])
    noisy = clean + np.array([0.1, 0.03, 0])[:, None, None] * noise(clean.shape)
    denoised = baseline(noisy, levels(0.1, 0.03, np.nan), False)
    for i, level in enumerate([0.1, 0.03]):
        np.testing.assert_allclose(denoised[i], baseline(noisy[i : i + 1], levels(level), False)[0])
    np.testing.assert_array_equal(denoised[2], noisy[2])


@EACH
@pytest.mark.parametrize("shape", [(1, 40), (1, 30, 1), (1, 6, 7), (1, 4, 4), (1, 2, 9, 8), (3, 5, 5)])
def test_small_frames_of_all_dimensions_are_taken(baseline, shape):
    noisy = 0.5 + 0.1 * noise(shape)
    denoised = baseline(noisy, np.full(shape[0], 0.1), shape[0] == 3)
    assert denoised.shape == shape
    assert np.isfinite(denoised).all()


@EACH
def test_a_volume_is_denoised_in_all_three_dimensions(baseline):
    clean = np.broadcast_to(scene((32, 32)), (1, 12, 32, 32))
    noisy = clean + 0.15 * noise(clean.shape)
    slices = np.stack([baseline(noisy[:, i], levels(0.15), False) for i in range(12)], axis=1)
    assert error(baseline(noisy, levels(0.15), False), clean) < 0.9 * error(slices, clean)


@EACH
def test_color_has_no_less_from_each_other_channel(baseline):
    clean = scene() * np.array([0.9, 0.6, 0.8])[:, None, None]
    noisy = clean + 0.1 * noise(clean.shape)
    level = levels(0.1, 0.1, 0.1)
    denoised = baseline(noisy, level, True)
    assert denoised.shape == clean.shape
    assert error(denoised, clean) < error(baseline(noisy, level, False), clean)


def test_the_weight_of_total_variation_is_near_the_best():
    clean = scene((64, 64))
    noisy = clean + 0.15 * noise(clean.shape)
    best = min(
        error(baselines.denoise_tv_chambolle(noisy, weight, eps=0, max_num_iter=100), clean)
        for weight in 0.15 * np.geomspace(0.3, 3, 25)
    )
    assert error(baselines.total_variation(noisy[np.newaxis], levels(0.15), False)[0], clean) < 1.03 * best


def test_wavelets_do_not_depend_on_where_the_grid_lies():
    noisy = scene((64, 64)) + 0.1 * noise((64, 64))
    shifted = np.roll(noisy, 1, axis=1)
    a = baselines.wavelet_shrinkage(noisy[np.newaxis], levels(0.1), False)[0]
    b = np.roll(baselines.wavelet_shrinkage(shifted[np.newaxis], levels(0.1), False)[0], -1, axis=1)
    one = [
        np.roll(baselines.denoise_wavelet(image, 0.1, "db2"), -i, axis=1) for i, image in enumerate([noisy, shifted])
    ]
    inner = slice(12, -12), slice(12, -12)
    assert error(a[inner], b[inner]) < 0.5 * error(one[0][inner], one[1][inner])


@pytest.mark.parametrize(("share", "luminance", "difference"), [(0, 1, 1), (0.5, 2**0.5, 0.5**0.5), (1, 3**0.5, 0)])
def test_the_noise_that_channels_share_lies_in_the_luminance(share, luminance, difference):
    clean = scene((96, 96)) * np.array([0.9, 0.6, 0.8])[:, None, None]
    shared = np.sqrt(share) * noise((96, 96), 1) + np.sqrt(1 - share) * noise((3, 96, 96), 2)
    opponents, level = to_opponents(clean + 0.05 * shared, levels(0.05, 0.05, 0.05))
    np.testing.assert_allclose(level / 0.05, [luminance, difference, difference], atol=0.15)
    np.testing.assert_allclose(baselines.from_opponents(opponents), clean + 0.05 * shared)


def test_structure_that_channels_share_is_not_taken_for_noise():
    texture = np.random.default_rng(0).normal(size=(96, 96))
    values = 0.1 * texture + 0.05 * noise((3, 96, 96), 1)
    covariance = noise_covariance(values, levels(0.05, 0.05, 0.05))
    np.testing.assert_allclose(covariance, 0.05**2 * np.eye(3), atol=0.1 * 0.05**2)


def test_missing_pixels_get_a_mean_of_their_surroundings():
    ramp = np.broadcast_to(np.linspace(0, 1, 40), (2, 30, 40)).copy()
    is_observed = np.random.default_rng(0).random(ramp.shape) > 0.2
    is_observed[0, 8:20, 10:25] = False
    is_observed[1] = False
    filled = fill_missing(np.where(is_observed, ramp, 0.5), is_observed)
    np.testing.assert_array_equal(filled[is_observed], ramp[is_observed])
    assert np.abs(filled[0] - ramp[0]).max() < 0.15
    assert np.isfinite(filled).all()
    white = noise((1, 40, 40))
    is_observed = np.ones(white.shape, bool)
    is_observed[0, 10:30, 10:30] = False
    assert fill_missing(white, is_observed)[~is_observed].std() < 0.35
    lone = np.zeros((1, 30, 40), bool)
    lone[0, 3, 3] = True
    np.testing.assert_allclose(fill_missing(np.where(lone, 0.7, 0.5), lone), 0.7)


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
    denoised = baselines.bm3d(np.ones((2, 3, 9, 20)), levels(0.1, 0.2), False)
    np.testing.assert_allclose(denoised, 1 - np.array([0.1, 0.2])[:, None, None, None] * np.ones((2, 3, 9, 20)))
    assert calls == [((16, 20), level) for _ in range(3) for level in (0.1, 0.2)]


def test_bm3d_sees_color_as_luminance_first_with_the_noise_of_each(calls):
    gray = np.broadcast_to(scene((96, 96)) + 0.05 * noise((96, 96)), (3, 96, 96))
    baselines.bm3d(gray, levels(0.05, 0.05, 0.05), True)
    [(shape, level)] = calls
    assert shape == (96, 96, 3)
    np.testing.assert_allclose(level / 0.05, [3**0.5, 0, 0], atol=0.25)


def test_bm3d_needs_rows_and_columns(calls):
    with pytest.raises(InputError, match="BM3D needs rows and columns"):
        baselines.bm3d(np.ones((1, 40)), levels(0.1), False)


def test_bm3d_that_is_not_installed_names_the_extra(monkeypatch):
    monkeypatch.setattr(baselines.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"non-commercial use only.*pip install 'napari-convgen\[bm3d\]'"):
        baselines.bm3d(np.ones((1, 20, 20)), levels(0.1), False)


def test_the_real_bm3d_denoises_and_takes_color_together():
    pytest.importorskip("bm3d")
    clean = scene((32, 32))[np.newaxis]
    noisy = clean + 0.1 * noise(clean.shape)
    gray = error(baselines.bm3d(noisy, levels(0.1), False), clean)
    assert gray < 0.45 * 0.1
    color = np.repeat(clean, 3, 0)
    assert error(baselines.bm3d(color + 0.1 * noise(color.shape), levels(0.1, 0.1, 0.1), True), color) < gray
