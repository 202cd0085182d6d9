import numpy as np
import pytest
from scipy import ndimage

from napari_convgen.config import PRESETS
from napari_convgen.core.noise import estimate_noise
from napari_convgen.core.noise.estimation import level
from napari_convgen.core.noise.estimation.level import LevelMap
from napari_convgen.core.noise.models import PoissonGaussianNoise
from napari_convgen.core.noise.models.poisson_gaussian import PoissonGaussianStabilizer
from napari_convgen.run.denoise.run import denoise

SIDE, SIGMA = 128, 6.0
Y, X = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
LEVELS = {
    "corners": 1 + X**2 + Y**2,
    "middle": 1 + 1.5 * np.exp(-(X**2 + Y**2) / 0.3),
    "depth": np.exp(0.55 * (Y + 1)),
    "halves": np.where(X < 0, 1.0, 2.0),
    "quadrants": np.where(X < 0, np.where(Y < 0, 1.0, 2.2), np.where(Y < 0, 1.7, 1.2)),
    "tiles": np.where(X < -0.2, np.where(Y < 0.1, 4.0, 1.0), np.where(Y < 0.1, 1.5, 3.0)),
}


def noise(seed=0, shape=(SIDE, SIDE)):
    return np.random.default_rng(seed).standard_normal(shape)


def scene():
    """Blobs, an edge and a bar, in gray levels."""
    image = 100 + 300 * ndimage.gaussian_filter(noise(8), 4)
    image[40:60, 30:90] += 60
    image[:, 100:] += 30
    return image


def estimate(image, **given):
    return estimate_noise(image, np.isfinite(image), **given)


@pytest.mark.parametrize("name", LEVELS)
def test_the_level_at_each_place_is_measured(name):
    level = LEVELS[name]
    model = estimate((scene() + SIGMA * level * noise(1))[None])
    assert model.level_map.ratio == pytest.approx(level.max() / level.min(), rel=0.3)
    assert model.sigma[0] == pytest.approx(SIGMA, rel=0.12)
    deviation = np.sqrt(model.variance_in(scene()[None])[0])
    assert np.abs(np.log(deviation / SIGMA / level)).mean() < 0.08
    assert f"times as strong in other {'tiles' if name == 'tiles' else 'places'}" in str(model)


def test_noise_that_depends_on_the_signal_can_be_stronger_in_some_places_too():
    photons = 30 + 60 * (ndimage.gaussian_filter(noise(3), 4) > 0)
    flat = 1 / LEVELS["corners"]
    rng = np.random.default_rng(0)
    image = (2 * rng.poisson(photons * flat) + 3 * noise(5)) / flat
    model = estimate(image[None])
    true = (4 * photons * flat + 9) / flat**2
    assert model.kind == "poisson-gaussian"
    assert np.abs(np.log(model.variance_in(2.0 * photons[None])[0] / true)).mean() < 0.15
    assert estimate(image[None], is_uniform="yes").level_map is None


def test_the_borders_of_tiles_are_found_to_the_pixel_and_a_textured_tile_has_its_least_level():
    number = np.add.outer(3 * (np.arange(180) // 60), np.arange(180) // 60)
    strong = np.array([1.0, 4.0, 2.0, 8.0, 1.0, 4.0, 2.0, 8.0, 1.0])[number]
    texture = np.where(number == 4, 40 * ndimage.gaussian_filter(noise(4, (180, 180)), 0.8), 0.0)
    model = estimate((texture + SIGMA * strong * noise(1, (180, 180)))[None])
    level = model.level_in(texture[None])
    changes = [np.flatnonzero(np.diff(level, axis=axis).any(1 - axis)) + 1 for axis in (0, 1)]
    assert [each.tolist() for each in changes] == [[60, 120], [60, 120]]
    others = number != 4
    assert np.abs(np.log(level / strong))[others].max() < 0.15
    assert (level < 4)[~others].all()
    assert level.max() == pytest.approx(model.level_map.ratio)


def even_images():
    yield "even", scene() + SIGMA * noise(1)
    bright = 10 + 200 * np.exp(-3 * (X**2 + Y**2))
    yield "photons of a bright middle", np.random.default_rng(0).poisson(bright).astype(float)
    grass = 30 * ndimage.gaussian_filter(noise(4), 0.8) * (Y > 0)
    yield "texture in a half", 100 + grass + 3 * noise(1)
    yield "clipped where it is dark", (100 * X + 10 * noise(1)).clip(0)
    yield "correlated", 100 + 40 * LEVELS["corners"] * ndimage.gaussian_filter(noise(1), 1.2)
    yield "no noise", scene()
    yield "a horizon", np.where(Y < 0.1, 30.0, 130 + 25 * ndimage.gaussian_filter(noise(4), 0.7)) + 4 * noise(1)


@pytest.mark.parametrize(("name", "image"), list(even_images()))
def test_signal_and_texture_are_not_taken_for_stronger_noise(name, image):
    assert estimate(image[None]).level_map is None


def test_a_strength_that_is_given_holds_everywhere():
    image = (scene() + SIGMA * LEVELS["corners"] * noise(1))[None]
    assert estimate(image, sigma=8.0).level_map is None
    assert estimate(image[..., :40]).level_map is None


def test_volumes_and_colors_have_one_map():
    shape = (8, 96, 96)
    z = np.linspace(-1, 1, 8)[:, None, None]
    volume = estimate((100 + SIGMA * np.exp(0.5 * (z + 1)) * noise(1, shape))[None])
    assert volume.level_map.ratio == pytest.approx(np.e, rel=0.2)
    colors = 100 + SIGMA * LEVELS["corners"] * noise(1)[None] + np.zeros((3, 1, 1))
    shared = estimate(colors, is_color=True)
    assert shared.is_shared
    assert len(shared.level_map.centers) == 3


def test_leveled_values_come_back_and_the_slope_is_that_of_the_way_back():
    level_map = LevelMap((0.1, 0.0, 0.5, 0.0, 0.5, *6 * (0.0,)), (30.0,), 3.0)
    model = PoissonGaussianNoise((1.0,), (2.0,), (5.0,), level_map=level_map)
    [transform] = model.stabilizers_of((SIDE, SIDE))
    x = 400 + 100 * X
    y = transform.forward(x + np.sqrt(model.variance_in(x[None])[0]) * noise())
    assert (y - transform.forward(x)).std() == pytest.approx(1, rel=0.03)
    derivative = (transform.inverse(y + 0.05) - transform.inverse(y - 0.05)) / 0.1
    np.testing.assert_allclose(transform.slope(y), derivative, rtol=0.05)
    assert np.abs(transform.inverse(transform.forward(x)) - x).max() < 5


def magnitudes(seed=0):
    """Return a scan that is faint far from its coil, made even, its clean image and the level of its noise."""
    y, x = np.mgrid[:160, :160]
    sensitivity = np.exp(-1.2 * x / 159)
    clean = ndimage.gaussian_filter((np.hypot(y - 80, x - 80) < 55) * (650 + 300 * np.sin(x / 23) * np.cos(y / 17)), 1)
    real, imaginary = 20 * np.random.default_rng(seed).standard_normal((2, 160, 160))
    return np.hypot(clean * sensitivity + real, imaginary) / sensitivity, clean, 1 / sensitivity


def test_magnitudes_can_have_stronger_noise_in_some_places():
    image, clean, level = magnitudes()
    model = estimate(image[None], kind="rician")
    assert "cannot be told" in model.untold
    bright = clean > 300
    deviation = np.sqrt(model.variance_in(clean[None])[0])
    assert np.abs(np.log(deviation / 20 / level))[bright].mean() < 0.15
    [transform] = model.stabilizers_of(image.shape)
    stable = transform.forward(image)
    assert (stable - transform.forward(np.hypot(clean, 20 * level)))[bright].std() == pytest.approx(1, rel=0.15)
    derivative = (transform.inverse(stable + 0.05) - transform.inverse(stable - 0.05)) / 0.1
    np.testing.assert_allclose(transform.slope(stable)[bright], derivative[bright], rtol=0.05)
    config = PRESETS["quick"].replace({"n_threads": 1, "noise.kind": "rician"})
    leveled, not_leveled = (denoise(image, config.replace({"noise.is_uniform": each})) for each in ("auto", "yes"))
    errors = [float(np.std((result.image - clean)[bright])) for result in (leveled, not_leveled)]
    assert errors[0] < 0.85 * errors[1]


def test_magnitudes_of_parallel_imaging_have_stronger_noise_in_the_middle():
    y, x = np.mgrid[-1 : 1 : 192 * 1j, -1 : 1 : 192 * 1j]
    inside = np.hypot(x, y) < 0.8
    clean = ndimage.gaussian_filter(inside * (650 + 200 * np.sin(9 * x) * np.cos(11 * y)), 1)
    level = 1 + 2 * np.exp(-(x**2 + y**2) / 0.2)
    real, imaginary = 30 * level * np.random.default_rng(0).standard_normal((2, 192, 192))
    model = estimate(np.hypot(clean + real, imaginary)[None])
    assert model.kind == "rician"
    deviation = np.sqrt(model.variance_in(clean[None])[0])
    assert np.abs(np.log(deviation / 30 / level))[clean > 300].mean() < 0.15


def test_a_denoised_image_gains_where_noise_is_weak_and_where_it_is_strong():
    image = (scene() + 2 * SIGMA * LEVELS["corners"] * noise(1)).astype(np.float32)
    config = PRESETS["quick"].replace({"n_threads": 1})
    leveled, not_leveled = (denoise(image, config.replace({"noise.is_uniform": each})) for each in ("auto", "yes"))
    errors = [float(np.std(result.image - scene())) for result in (leveled, not_leveled)]
    assert errors[0] < 0.75 * errors[1]


def test_noise_where_the_model_has_none_tells_nothing_of_its_level():
    values = np.random.default_rng(0).normal(0.3, 0.05, (64, 64))
    assert np.isnan(level._measure(values, values < 1, PoissonGaussianStabilizer(0.0, 1.0, 0.0))).all()
