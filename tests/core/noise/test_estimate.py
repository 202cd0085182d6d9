import numpy as np
import pytest
from scipy import ndimage

from napari_convgen.core.noise import estimate_noise
from napari_convgen.errors import ConfigError

GAIN, OFFSET = 2.0, 100.0


def scene(seed=0, side=256):
    """Blobs and edges between 0 and 1, with a dark background."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.standard_normal((side, side)), 12)
    blobs = np.maximum(smooth / np.abs(smooth).max(), 0)
    y, x = np.mgrid[:side, :side]
    return np.clip(blobs + 0.5 * (np.hypot(x - 60, y - 170) < 30), 0, 1)


def estimate(image, **given):
    values = image if image.ndim == 3 else image[None]
    return estimate_noise(values, np.isfinite(values), **given)


def gaussian(sigma, seed=0):
    return 255 * scene() + sigma * np.random.default_rng(seed).standard_normal((256, 256))


def photons(peak, read=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return OFFSET + GAIN * rng.poisson(peak * scene()) + read * rng.standard_normal((256, 256))


@pytest.mark.parametrize("sigma", [3, 10, 25, 50])
def test_gaussian_noise_is_measured(sigma):
    model = estimate(gaussian(sigma))
    assert (model.kind, model.correlation_length, model.impulses) == ("gaussian", 1, 0)
    assert model.sigma[0] == pytest.approx(sigma, rel=0.03)


def test_texture_is_not_taken_for_noise():
    image = gaussian(10)
    image[:, :128] += 60 * ndimage.gaussian_filter(np.random.default_rng(1).standard_normal((256, 128)), 0.8)
    assert estimate(image).sigma[0] == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize("peak", [10, 30, 100])
@pytest.mark.parametrize("read", [0.0, 2.0])
def test_photon_noise_is_measured(peak, read):
    model = estimate(photons(peak, read))
    assert model.kind == "poisson-gaussian"
    assert model.gain[0] == pytest.approx(GAIN, rel=0.1)
    # The line is what can be measured: its value in the dark is the read noise's variance.
    assert GAIN * (OFFSET - model.offset[0]) + model.sigma[0] ** 2 == pytest.approx(read**2, abs=1.0)


def test_photon_noise_is_seen_where_most_is_dark_and_the_rest_bright():
    y, x = np.mgrid[:160, :160]
    inside = (np.hypot(y - 80, x - 80) < 50) | (np.abs(np.hypot(y - 80, x - 80) - 62) < 5)
    image = np.random.default_rng(0).poisson(20 + ndimage.gaussian_filter(180.0 * inside + x * inside / 8, 0.7))
    model = estimate(16.0 * image)
    assert (model.kind, model.gain[0]) == ("poisson-gaussian", pytest.approx(16, rel=0.3))


@pytest.mark.parametrize("signal_to_noise", [1.5, 2.5])
def test_faint_magnitudes_are_rician(signal_to_noise):
    y, x = np.mgrid[-1 : 1 : 192 * 1j, -1 : 1 : 192 * 1j]
    clean = ndimage.gaussian_filter((np.hypot(x, y) < 0.75) * (650 + 300 * np.sin(9 * x) * np.cos(11 * y)), 1)
    sigma = 650 / signal_to_noise
    real, imaginary = sigma * np.random.default_rng(0).standard_normal((2, 192, 192))
    model = estimate(np.hypot(clean + real, imaginary))
    assert (model.kind, model.sigma[0]) == ("rician", pytest.approx(sigma, rel=0.05))


@pytest.mark.parametrize(("background", "top"), [(3.5, 5.6), (3.5, 7.7), (4.0, 8.8), (4.5, 7.2)])
def test_few_photons_with_read_noise_are_no_faint_magnitudes(background, top):
    y, x = np.mgrid[-1 : 1 : 160 * 1j, -1 : 1 : 160 * 1j]
    inside = ndimage.gaussian_filter((np.hypot(x, y) < 0.75) * 1.0, 2)
    rng = np.random.default_rng(int(10 * background))
    image = rng.poisson(background + (top - background) * inside) + 0.8 * rng.standard_normal(inside.shape)
    assert estimate(np.maximum(image, 0)).kind == "poisson-gaussian"


@pytest.mark.parametrize(("background", "top"), [(2.5, 12.0), (3.0, 9.0), (3.0, 12.0)])
def test_photons_of_a_small_dark_place_are_no_magnitudes(background, top):
    clean = np.full((128, 128), 0.75 * top)
    clean[:, 80:], clean[:40], clean[100:, :60] = top, 0.6 * top, background
    rng = np.random.default_rng(5)
    image = rng.poisson(ndimage.gaussian_filter(clean, 1)) + 0.5 * rng.standard_normal(clean.shape)
    assert estimate(np.maximum(image, 0)).kind == "poisson-gaussian"


def test_photons_that_were_moved_by_half_a_pixel_are_no_magnitudes():
    clean = ndimage.gaussian_filter(np.random.default_rng(5).standard_normal((192, 192)), 8)
    image = np.random.default_rng(6).poisson(2 + 25 * np.maximum(clean / clean.max(), 0)).astype(float)
    model = estimate((image + np.roll(image, 1, 1)) / 2)
    assert (model.kind, model.correlation_length) == ("poisson-gaussian", 2)


@pytest.mark.parametrize("unit", [1e-30, 1e-12, 1e25])
def test_photon_noise_is_measured_in_values_of_any_size(unit):
    image = np.random.default_rng(0).poisson(30 * scene(side=128)).astype(float)
    model, in_units = estimate(image), estimate(unit * image)
    assert (in_units.kind, model.kind) == ("poisson-gaussian", "poisson-gaussian")
    assert in_units.gain[0] / unit == pytest.approx(model.gain[0], rel=1e-3)
    assert in_units.sigma[0] / unit == pytest.approx(model.sigma[0], rel=1e-3)


def test_what_is_given_is_taken():
    image = photons(30, 2.0)
    model = estimate(image, offset=OFFSET)
    assert (model.offset, model.kind) == ((OFFSET,), "poisson-gaussian")
    assert model.sigma[0] == pytest.approx(2, rel=0.15)
    model = estimate(image, sigma=2.0)
    assert (model.sigma, model.offset[0]) == ((2.0,), pytest.approx(OFFSET, abs=1))
    model = estimate(image, sigma=2.0, offset=OFFSET)
    assert model.gain[0] == pytest.approx(GAIN, rel=0.05)
    model = estimate(image, gain=3.0, sigma=2.0, offset=90.0, correlation_length=2)
    assert (model.gain, model.sigma, model.offset, model.correlation_length) == ((3.0,), (2.0,), (90.0,), 2)
    assert estimate(image, kind="gaussian", sigma=7.0).sigma == (7.0,)


@pytest.mark.parametrize("percent", [3, 5, 10])
def test_rician_noise_is_measured(percent):
    rng = np.random.default_rng(0)
    sigma = 2.55 * percent
    clean = 255 * np.where(scene() > 0.1, scene(), 0)
    image = np.hypot(clean + sigma * rng.standard_normal(clean.shape), sigma * rng.standard_normal(clean.shape))
    assert estimate(image, kind="rician").sigma[0] == pytest.approx(sigma, rel=0.05)
    assert estimate(image).kind in ("rician", "gaussian")


@pytest.mark.parametrize("percent", [2, 4, 10])
def test_a_phantom_of_flat_areas_is_recognized_as_rician_in_any_unit_and_rounded(percent):
    y, x = np.mgrid[:256, :256]
    radius = np.hypot((y - 128) / 1.3, x - 128)
    clean = np.select(
        [radius > 90, radius > 84, np.hypot(y - 90, x - 110) < 25, np.hypot(y - 150, x - 140) < 12],
        [0, 255, 90, 150],
        60,
    )
    rng = np.random.default_rng(0)
    real, imaginary = 2.55 * percent * rng.standard_normal((2, 256, 256))
    image = np.hypot(clean + real, imaginary)
    others = (0.01 * image, 0.01), (1000 * image, 1000), (0.3 * image.round(), 0.3)
    for each, unit in ((image, 1), (image.round(), 1), *(others if percent == 4 else ())):
        model = estimate(each)
        assert model.kind == "rician"
        assert model.sigma[0] == pytest.approx(2.55 * percent * unit, rel=0.04)


@pytest.mark.parametrize("sigma", [15, 30, 50])
def test_magnitudes_of_an_object_with_soft_edges_are_rician(sigma):
    y, x = np.mgrid[:160, :160]
    inside = np.hypot((y - 80) / 67, (x - 80) / 58) < 1
    clean = ndimage.gaussian_filter(inside * (650 + 300 * np.sin(x / 23) * np.cos(y / 17)), 1)
    real, imaginary = sigma * np.random.default_rng(0).standard_normal((2, 160, 160))
    model = estimate(np.hypot(clean + real, imaginary))
    assert model.kind == "rician"
    assert model.sigma[0] == pytest.approx(sigma, rel=0.04)


@pytest.mark.parametrize("share", [1, 0.95, 0.8])
def test_magnitudes_of_a_scan_that_was_filled_up_with_zeros_are_correlated(share):
    y, x = np.mgrid[:160, :160]
    clean = ndimage.gaussian_filter((np.hypot(y - 80, x - 80) < 60) * (650 + 300 * np.sin(x / 23) * np.cos(y / 17)), 1)
    real, imaginary = 60 * np.random.default_rng(0).standard_normal((2, 160, 160))
    scan = np.fft.fft2(clean + real + 1j * imaginary)
    scan[np.abs(np.fft.fftfreq(160)) * 2 > share] = 0
    model = estimate(np.abs(np.fft.ifft2(scan)))
    assert (model.kind, model.correlation_length) == ("rician", 1 if share == 1 else 2)
    assert model.sigma[0] == pytest.approx(60 * np.sqrt(share), rel=0.06)


@pytest.mark.parametrize("n_looks", [1, 8, 64])
def test_noise_that_grows_as_the_signal_is_taken_for_that_of_photons_and_told(n_looks):
    clean = 20 + 200 * (scene() - scene().min()) / np.ptp(scene())
    image = clean * np.random.default_rng(0).gamma(n_looks, 1 / n_looks, clean.shape)
    model = estimate(image)
    assert (model.kind, model.is_proportional) == ("poisson-gaussian", True)
    assert "grows as the signal itself" in str(model)
    photons = estimate(np.random.default_rng(0).poisson(clean).astype(float))
    assert (photons.kind, photons.is_proportional) == ("poisson-gaussian", False)


@pytest.mark.parametrize("offset", [50, 100])
def test_photons_above_the_offset_of_a_camera_are_no_speckle(offset):
    photons = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((160, 160)), 6)
    photons = offset * (photons - photons.min()) / np.ptp(photons)
    image = 2 * np.random.default_rng(1).poisson(photons) + offset
    model = estimate(image + np.random.default_rng(2).standard_normal((160, 160)))
    assert (model.kind, model.is_proportional) == ("poisson-gaussian", False)


@pytest.mark.parametrize("n_coils", [2, 5, 16])
def test_the_floor_of_magnitudes_of_several_coils_is_told(n_coils):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:160, :160]
    inside = np.hypot((y - 80) / 67, (x - 80) / 58) < 1
    clean = ndimage.gaussian_filter(inside * (650 + 300 * np.sin(x / 23) * np.cos(y / 17)), 1)
    parts = 30 * rng.standard_normal((2 * n_coils, 160, 160))
    parts[0] += clean
    model = estimate(np.sqrt((parts**2).sum(0)))
    assert (model.kind, model.is_of_coils) == ("poisson-gaussian", True)
    assert "of several coils" in str(model)
    assert "cannot be told" in model.untold
    camera = estimate(rng.poisson(clean) + 100 + 20 * rng.standard_normal(clean.shape))
    assert (camera.kind, camera.is_of_coils, camera.untold) == ("poisson-gaussian", False, "")


def test_noise_that_is_correlated_over_many_pixels_is_taken_for_rician_only_if_that_is_said():
    y, x = np.mgrid[:512, :512]
    clean = 200.0 * (np.hypot(y - 256, x - 256) < 180) + 100 * (np.hypot(y - 200, x - 250) < 80)
    real, imaginary = 10 * np.random.default_rng(0).standard_normal((2, 512, 512))
    image = np.hypot(clean + real, imaginary)
    assert [estimate(image, correlation_length=n).kind for n in (3, 4)] == ["rician", "gaussian"]
    assert estimate(image, correlation_length=4, kind="rician").kind == "rician"


@pytest.mark.parametrize("image", [gaussian(10), np.abs(gaussian(25)), photons(30)])
def test_other_noise_is_not_taken_for_rician(image):
    assert estimate(image).kind != "rician"


@pytest.mark.parametrize("width", [2, 3])
def test_the_strength_of_correlated_noise_is_that_of_a_pixel(width):
    noise = ndimage.uniform_filter(np.random.default_rng(0).standard_normal((512, 512)), width) * width * 20
    model = estimate(255 * scene(side=512) + noise)
    assert model.correlation_length == width
    assert model.sigma[0] == pytest.approx(noise.std(), rel=0.06)


def test_noise_that_was_cut_off_does_not_count():
    clean = 255 * scene()
    noisy = np.clip(clean + 20 * np.random.default_rng(0).standard_normal(clean.shape), 0, 255)
    model = estimate(noisy)
    assert model.kind == "gaussian"
    assert model.sigma[0] == pytest.approx(20, rel=0.06)
    assert model.clipped_low == pytest.approx((noisy == 0).mean())


def test_channels_with_the_same_noise_are_told_from_others():
    rng = np.random.default_rng(0)
    clean = 200 * np.stack([scene(), scene(1), scene(2)])
    same = clean + 15 * rng.standard_normal((256, 256))
    model = estimate(same, is_color=True)
    assert (model.is_shared, model.n_channels) == (True, 3)
    assert model.sigma == (pytest.approx(15, rel=0.03),) * 3
    own = clean + 15 * rng.standard_normal(clean.shape)
    assert not estimate(own, is_color=True).is_shared
    assert not estimate(same).is_shared
    assert estimate(own, is_shared="yes").is_shared


def test_impulses_are_found_and_left_out():
    image = gaussian(10)
    is_hit = np.random.default_rng(1).random(image.shape) < 0.02
    image[is_hit] = 400
    model = estimate(image)
    assert model.impulses == pytest.approx(0.02, rel=0.2)
    assert model.sigma[0] == pytest.approx(10, rel=0.05)
    assert estimate(image, has_impulses="no").impulses == 0
    assert estimate(gaussian(10), has_impulses="yes").impulses < 1e-4


def test_missing_values_do_not_count():
    image = gaussian(10)
    image[np.random.default_rng(1).random(image.shape) < 0.2] = np.nan
    assert estimate(image).sigma[0] == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize("shape", [(4, 4), (1, 40), (40,), (2, 9), (3, 5, 5), (4,)])
def test_small_images_have_some_noise(shape):
    image = np.random.default_rng(0).standard_normal((1, *shape))
    model = estimate_noise(image, np.isfinite(image))
    assert 0 <= model.sigma[0] < 3


def test_a_signal_and_a_volume_are_measured():
    rng = np.random.default_rng(0)
    for shape in [(20_000,), (12, 64, 64)]:
        image = 20 * np.sin(np.indices(shape).sum(0) / 30) + 3 * rng.standard_normal(shape)
        assert estimate_noise(image[None], np.isfinite(image)[None]).sigma[0] == pytest.approx(3, rel=0.05)


def test_a_channel_that_is_missing_or_constant_has_no_noise():
    image = np.stack([gaussian(10), np.full((256, 256), np.nan), np.full((256, 256), 7.0)])
    assert estimate(image).sigma == (pytest.approx(10, rel=0.03), 0, 0)


@pytest.mark.parametrize("image", [np.eye(64), np.indices((64, 64)).sum(0) % 2.0, np.indices((64, 64)).sum(0) * 1.0])
def test_an_image_without_noise_is_no_obstacle(image):
    assert 0 <= estimate(image).sigma[0] < 1


def test_only_gaussian_noise_is_shared():
    with pytest.raises(ConfigError, match=r"noise\.is_shared cannot be 'yes' where noise\.kind is 'rician'"):
        estimate(np.abs(gaussian(10)), kind="rician", is_shared="yes")


@pytest.mark.parametrize(("n_events", "kind"), [(0.4, "poisson-gaussian"), (40.0, "poisson-gaussian"), (1.0, "rician")])
def test_how_much_noise_the_stabilized_image_has_is_measured(n_events, kind):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:192, :192] / 192
    clean = n_events * (1 + 8 * (x > 0.6) + 20 * (x > 0.8) + y)
    if kind == "rician":
        noisy = np.hypot(clean + rng.normal(size=clean.shape), rng.normal(size=clean.shape))
    else:
        noisy = rng.poisson(clean).astype(float)
    model = estimate_noise(noisy[np.newaxis], np.ones((1, 192, 192), bool), kind=kind)
    [each] = model.stabilizers()
    noisy = np.stack([each.forward(v) for v in noisy[np.newaxis]])[0]
    again = (
        np.hypot(clean + rng.normal(size=clean.shape), rng.normal(size=clean.shape))
        if kind == "rician"
        else rng.poisson(clean)
    )
    expected = np.sqrt(((noisy - each.forward(again.astype(float))) ** 2).mean() / 2)
    [stable] = model.stable
    assert stable.level == pytest.approx(expected, rel=0.06)
    assert max(stable.variance) <= max(1.04, each.noise_variance(np.array(stable.mean)).max())
    spread = np.square(noisy - each.forward(again.astype(float))) / 2
    means = (noisy + each.forward(again.astype(float))) / 2
    for part in (x < 0.58, x > 0.82):
        assert stable.variance_at(means[part]).mean() == pytest.approx(spread[part].mean(), rel=0.12)


def test_a_noise_that_was_given_is_not_measured_again():
    noisy = np.random.default_rng(0).poisson(5.0, (1, 64, 64)).astype(float)
    assert estimate_noise(noisy, np.ones(noisy.shape, bool), kind="poisson-gaussian", gain=1.0).stable is None


def test_a_channel_whose_noise_does_not_grow_has_the_noise_that_is_there():
    rng = np.random.default_rng(0)
    bright = (np.arange(128) > 64) * np.ones((128, 1))
    falling = 0.3 + 0.4 * bright + (0.06 - 0.02 * bright) * rng.normal(size=bright.shape)
    model = estimate(np.stack([0.01 * rng.poisson(20 + 80 * bright), falling]), kind="poisson-gaussian")
    assert model.gain[1] == 0 < model.gain[0]
    stable = model.stable[1]
    assert stable.level == pytest.approx(model.sigma[1])
    assert stable.variance_at(np.array([0.3, 0.7])).tolist() == pytest.approx([stable.level**2] * 2)


def test_an_object_on_a_blank_ground_is_judged_by_what_is_not_blank():
    image = gaussian(10) + 100
    y, x = np.mgrid[:256, :256]
    image[np.hypot(x - 128, y - 128) > 45] = 0
    assert estimate(image).sigma[0] == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize("blur", [0.38, 0.44])
def test_noise_that_falls_a_little_with_the_frequency_is_not_taken_for_structure(blur):
    image = 10 * ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((256, 256)), blur)
    model = estimate(image)
    assert model.correlation_length == 1
    assert model.sigma[0] > 0.8 * image.std()
