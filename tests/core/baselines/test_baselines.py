import subprocess
import sys

import numpy as np
import pytest
from skimage.data import camera

from napari_convgen.core.baselines import BASELINES
from napari_convgen.core.baselines.frame import NoisyFrame
from napari_convgen.core.baselines.lichi import combine_patches
from napari_convgen.core.baselines.missing import fill_missing
from napari_convgen.run import labels

INSTALLED = {name: baseline for name, baseline in BASELINES.items() if name != "bm3d"}
EACH = pytest.mark.parametrize("baseline", INSTALLED.values(), ids=INSTALLED)


def noise(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def error(a, b):
    return float(np.sqrt(np.mean((a - b) ** 2)))


def levels(*values):
    return np.array(values, dtype=float)


def test_titles_cost_no_library():
    statement = (
        "import napari_convgen.run.labels, sys; print({'numpy', 'torch', 'scipy', 'skimage'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", statement], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_method_s_title_is_that_of_its_baseline():
    assert labels.format_method("nlm") == BASELINES["nlm"].title == "Non-local means"


@EACH
def test_most_of_the_noise_goes_and_the_structure_stays(baseline, scene):
    clean = scene()[np.newaxis]
    noisy = clean + 0.1 * noise(clean.shape)
    denoised = baseline(NoisyFrame(noisy, levels(0.1)))
    assert error(denoised, clean) < 0.6 * 0.1
    assert noisy.shape == denoised.shape


@EACH
def test_only_the_noise_level_sets_the_unit(baseline, scene):
    noisy = scene()[np.newaxis] + 0.1 * noise((1, 48, 40))
    expected = baseline(NoisyFrame(noisy, levels(0.1)))
    np.testing.assert_allclose(baseline(NoisyFrame(7 * noisy - 3, levels(0.7))), 7 * expected - 3, atol=1e-4)
    stronger = baseline(NoisyFrame(noisy, levels(0.2)))
    assert error(stronger, noisy) > error(expected, noisy)


@EACH
def test_channels_have_their_own_noise_and_one_without_stays(baseline, scene):
    clean = np.stack([scene(), scene(seed=2), scene(seed=3)])
    noisy = clean + np.array([0.1, 0.03, 0])[:, None, None] * noise(clean.shape)
    denoised = baseline(NoisyFrame(noisy, levels(0.1, 0.03, np.nan)))
    for i, level in enumerate([0.1, 0.03]):
        np.testing.assert_allclose(denoised[i], baseline(NoisyFrame(noisy[i : i + 1], levels(level)))[0])
    np.testing.assert_array_equal(denoised[2], noisy[2])


@EACH
@pytest.mark.parametrize("shape", [(1, 40), (1, 30, 1), (1, 6, 7), (1, 4, 4), (1, 2, 9, 8), (3, 5, 5)])
def test_small_frames_of_all_dimensions_are_taken(baseline, shape):
    noisy = 0.5 + 0.1 * noise(shape)
    denoised = baseline(NoisyFrame(noisy, np.full(shape[0], 0.1), shape[0] == 3))
    assert denoised.shape == shape
    assert np.isfinite(denoised).all()


@EACH
def test_a_volume_is_denoised_in_all_three_dimensions(baseline, scene):
    clean = np.broadcast_to(scene((32, 32)), (1, 12, 32, 32))
    noisy = clean + 0.15 * noise(clean.shape)
    slices = np.stack([baseline(NoisyFrame(noisy[:, i], levels(0.15))) for i in range(12)], axis=1)
    assert error(baseline(NoisyFrame(noisy, levels(0.15))), clean) < 0.9 * error(slices, clean)


@EACH
def test_color_has_no_less_from_each_other_channel(baseline, scene):
    clean = scene() * np.array([0.9, 0.6, 0.8])[:, None, None]
    noisy = clean + 0.1 * noise(clean.shape)
    level = levels(0.1, 0.1, 0.1)
    denoised = baseline(NoisyFrame(noisy, level, True))
    assert denoised.shape == clean.shape
    assert error(denoised, clean) < error(baseline(NoisyFrame(noisy, level)), clean)


def test_noise_far_below_the_range_is_not_replaced_by_larger_errors():
    clean = camera()[100:164, 200:264] / 255
    noise = 1e-4 * np.random.default_rng(0).standard_normal(clean.shape)
    found = combine_patches(NoisyFrame((clean + noise)[np.newaxis], np.array([1e-4])))
    assert np.std(found[0] - clean) < 1.02 * np.std(noise)


def test_a_color_of_which_one_sample_is_missing_is_missing_in_the_differences_of_colors_too():
    clean = 0.5 + 0.3 * np.sin(np.indices((40, 40)).sum(0) / 4) * np.array([1.0, 0.8, 0.6])[:, None, None]
    noisy = clean + 0.05 * np.random.default_rng(0).standard_normal(clean.shape)
    is_observed = np.ones(noisy.shape, bool)
    is_observed[0, 16:24, 16:24] = False
    filled = fill_missing(np.where(is_observed, noisy, 0.5), is_observed)
    frame = NoisyFrame(filled, np.full(3, 0.05), is_color=True, is_observed=is_observed)
    error = np.abs(combine_patches(frame)[0, 16:24, 16:24] - clean[0, 16:24, 16:24]).mean()
    assert error < 0.011  # 0.014 where the red that was filled in counts in the differences of colors
