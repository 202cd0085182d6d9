import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from napari_convgen.core.quality.metrics import match_affine, psnr, reference_range, ssim


def pair(shape=(24, 31), dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    return tuple((200 * rng.random(shape)).astype(dtype) for _ in range(2))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64", "bool"])
def test_psnr_equals_scikit_image(dtype):
    image, reference = pair(dtype=dtype)
    image.flat[0] = not image.flat[0]
    expected = peak_signal_noise_ratio(reference.astype(float), image.astype(float), data_range=180)
    assert psnr(image, reference, 180) == pytest.approx(expected, rel=1e-12)


def test_psnr_of_a_known_error():
    assert psnr(np.full((4, 4), 3.0), np.full((4, 4), 2.0), 10) == pytest.approx(20)


def test_psnr_leaves_out_pixels_that_are_missing_in_either_image():
    image, reference = pair()
    expected = psnr(image[:, 2:], reference[:, 2:], 200)
    image[:, 0] = reference[:, 1] = np.nan
    assert psnr(image, reference, 200) == pytest.approx(expected, rel=1e-12)


def test_psnr_of_equal_images_is_infinite():
    image, _ = pair()
    assert psnr(image, image, 200) == np.inf


@pytest.mark.parametrize(
    ("shape", "channel"), [((24, 31), None), ((24, 31, 3), 2), ((2, 24, 31), 0), ((9, 10, 11), None), ((40,), None)]
)
def test_ssim_equals_scikit_image(shape, channel):
    image, reference = pair(shape)
    expected = structural_similarity(image, reference, data_range=200, channel_axis=channel)
    assert ssim(image, reference, 200, channel) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("side", "window"), [(3, 3), (4, 3), (5, 5), (6, 5), (7, 7), (8, 7)])
def test_the_window_of_ssim_shrinks_with_small_images(side, window):
    image, reference = pair((side, 20))
    expected = structural_similarity(image, reference, data_range=200, win_size=window)
    assert ssim(image, reference, 200, None) == pytest.approx(expected, rel=1e-12)


def test_ssim_of_images_too_small_for_a_window_is_nan():
    assert np.isnan(ssim(*pair((2, 30)), 200, None))


def test_ssim_leaves_out_windows_with_missing_pixels_and_its_input_alone():
    image, reference = pair()
    expected = ssim(image[:, :-8], reference[:, :-8], 200, None)
    image[:, -8:] = np.nan
    image[0, -1] = np.inf
    assert ssim(image, reference, 200, None) == pytest.approx(expected, rel=1e-12)
    assert np.isnan(image).sum() == 8 * len(image) - 1
    colors = (np.stack([each] * 2, -1) for each in (image, reference))
    assert ssim(*colors, 200, 2) == pytest.approx(expected, rel=1e-12)
    nothing = np.full(image.shape, np.nan)
    assert np.isnan([ssim(image, nothing, 200, None), psnr(image, nothing, 200)]).all()


def test_psnr_is_over_the_pixels_that_are_finite_in_both():
    image, reference = pair()
    expected = psnr(image[1:], reference[1:], 200)
    image[0, :3], reference[0, 3:] = np.inf, np.nan
    assert psnr(image, reference, 200) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (np.array([3, 7], np.uint8), 255),
        (np.array([True, False]), 1),
        (np.array([100, 4100], np.uint16), 4000),
        (np.array([-32768, 32767], np.int16), 65535),
        (np.array([-1.5, np.nan, 2]), 3.5),
    ],
)
def test_data_range_of_a_reference(reference, expected):
    assert reference_range(reference) == expected


def test_gain_and_offset_are_undone_by_least_squares():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 255, (20, 30))
    noisy = truth + rng.normal(size=truth.shape)
    matched = match_affine(0.6 * noisy + 12, truth)
    gain, offset = np.polyfit(noisy.ravel(), truth.ravel(), 1)
    np.testing.assert_allclose(matched, gain * noisy + offset)
    holes = noisy.copy()
    holes[3, 4] = np.nan
    assert np.isnan(match_affine(holes, truth)).sum() == 1
    np.testing.assert_allclose(match_affine(np.full((4, 4), 9), truth[:4, :4]), truth[:4, :4].mean())
