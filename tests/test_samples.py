import numpy as np
import pytest
from scipy import ndimage
from scipy.signal import fftconvolve

from napari_convgen.samples import (
    MEASUREMENTS,
    SAMPLES,
    blurred_beads,
    cells_through_focus,
    fluorescence,
    mri,
    mri_volume,
    sparse_confocal,
)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_a_noisy_image_with_its_clean_reference(name):
    sample = SAMPLES[name]()
    assert sample.noisy.shape == sample.clean.shape == (256, 256)
    assert sample.noisy.dtype == sample.clean.dtype
    assert np.isfinite(sample.noisy).all()
    assert np.isfinite(sample.clean).all()
    assert sample.pixel_size > 0
    assert sample.name
    assert sample.unit


@pytest.mark.parametrize("draw", [*SAMPLES.values(), *MEASUREMENTS.values()], ids=[*SAMPLES, *MEASUREMENTS])
def test_a_sample_is_the_same_every_time_and_leaves_the_global_random_state_alone(draw):
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    one, other = draw(), draw()
    np.testing.assert_array_equal(one.noisy, other.noisy)
    np.testing.assert_array_equal(one.clean, other.clean)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_the_fluorescence_sample_has_the_noise_of_a_camera():
    sample = fluorescence()
    assert sample.noisy.dtype == np.uint16
    clean = sample.clean.astype(float)
    noise = sample.noisy - clean
    assert abs(noise.mean()) < 0.25  # the clean image is rounded too, and its background is flat
    # Gain 2 over an offset of 100, a read noise of 4 counts, and the rounding of both images.
    variance = 2 * (clean - 100) + 4**2 + 2 / 12
    for low, high in ((100, 110), (110, 130), (130, 200)):
        inside = (clean >= low) & (clean < high)
        assert inside.sum() > 1000
        assert (noise[inside] ** 2 / variance[inside]).mean() == pytest.approx(1, rel=0.06)


def test_the_mri_sample_has_rician_noise():
    sample = mri()
    assert sample.noisy.dtype == np.float32
    assert sample.noisy.min() >= 0
    sigma = 0.04 * 600
    noisy, clean = sample.noisy.astype(float), sample.clean.astype(float)
    assert (noisy**2 - clean**2).mean() / (2 * sigma**2) == pytest.approx(1, rel=0.05)
    air = ndimage.binary_erosion(clean < 1, iterations=3)
    assert air.sum() > 5000
    assert noisy[air].mean() == pytest.approx(sigma * np.sqrt(np.pi / 2), rel=0.02)
    bright = clean > 300
    assert (noisy - clean)[bright].std() == pytest.approx(sigma, rel=0.03)


def test_the_volume_has_rician_noise_and_structures_that_go_on_from_slice_to_slice():
    sample = mri_volume()
    assert sample.noisy.shape == sample.clean.shape == (24, 96, 96)
    assert sample.z_step == sample.pixel_size
    noisy, clean = sample.noisy.astype(float), sample.clean.astype(float)
    assert (noisy**2 - clean**2).mean() / (2 * (0.06 * 600) ** 2) == pytest.approx(1, rel=0.02)
    steps = np.abs(np.diff(clean, axis=0)).mean(), np.abs(np.diff(clean, axis=1)).mean()
    assert steps[0] < 1.2 * steps[1]


@pytest.mark.parametrize("draw", SAMPLES.values(), ids=SAMPLES)
def test_the_noise_of_a_sample_is_visible_and_leaves_the_image_visible(draw):
    sample = draw()
    clean = sample.clean.astype(float)
    noise = (sample.noisy - clean).std()
    assert 0.02 < noise / (clean.max() - clean.min()) < 0.2
    assert noise < clean.std()


def test_the_confocal_sample_has_photon_noise_at_the_pixels_that_were_visited():
    sample = sparse_confocal()
    np.testing.assert_array_equal(np.isnan(sample.noisy), sample.is_missing)
    assert sample.is_missing.mean() == pytest.approx(0.6, abs=0.01)
    clean = sample.clean[~sample.is_missing].astype(float)
    errors = sample.noisy[~sample.is_missing] - clean
    assert (errors**2 / clean).mean() == pytest.approx(1, rel=0.05)


def test_the_beads_are_blurred_by_their_point_spread_function():
    sample = blurred_beads()
    assert sample.noisy.shape == sample.clean.shape == (256, 256)
    assert sample.psf.sum() == pytest.approx(1)
    blurred = fftconvolve(sample.clean.astype(float), sample.psf, "valid")
    margin = len(sample.psf) // 2
    errors = sample.noisy[margin:-margin, margin:-margin] - blurred
    assert (errors**2 / blurred).mean() == pytest.approx(1, rel=0.05)


def test_the_cells_through_focus_have_more_contrast_out_of_focus():
    sample = cells_through_focus()
    assert sample.noisy.shape == (7, 128, 128)
    assert sample.clean.shape == (128, 128)
    assert 0.5 < sample.clean.max() < 2.2
    assert sample.noisy.mean() == pytest.approx(200, rel=0.05)
    contrast = [np.std(plane) / 200 for plane in sample.noisy]
    assert contrast[0] > 1.4 * min(contrast)
    assert contrast[-1] > 2 * min(contrast)
