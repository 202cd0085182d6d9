import json
from dataclasses import asdict

import numpy as np
import pytest
from pydantic import TypeAdapter
from scipy import ndimage

from napari_convgen.core.noise import estimate_noise
from napari_convgen.core.noise.models.intensity_dependent import (
    EVEN,
    IntensityDependentNoise,
    IntensityStabilizer,
    Shape,
)
from napari_convgen.core.noise.stabilizer import Unchanged

N = 200_000
FALLING = Shape(50.0, 250.0, (0.0, -1.2, 0.3))


def scene(side=160):
    """Blobs from 0 to 1."""
    smooth = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((side, side)), 8)
    return (smooth - smooth.min()) / np.ptp(smooth)


def photons():
    return np.random.default_rng(1).poisson(5 + 40 * scene()).astype(float)


def estimate(image, **given):
    return estimate_noise(image[None], np.isfinite(image[None]), **given)


def test_inverted_photons_have_noise_that_is_stronger_in_the_dark():
    model = estimate(255 - 4 * photons())
    assert model.kind == "intensity-dependent"
    bright = np.array([[90.0, 150.0, 200.0]])
    np.testing.assert_allclose(model.variance(bright), 4 * (255 - bright), rtol=0.2)
    low, high = model.shapes[0].low, model.shapes[0].high
    assert f" at {low:.3g}, " in str(model)
    assert str(model).endswith(f" at {high:.3g}; white")


def test_the_noise_of_a_logarithm_is_measured():
    model = estimate(np.log(photons() + 1))
    mean = np.log(np.array([[10.0, 20.0, 40.0]]))
    assert model.kind == "intensity-dependent"
    np.testing.assert_allclose(model.variance(mean), np.exp(-mean), rtol=0.25)


@pytest.mark.parametrize("image", [photons(), 100 * scene() + 5 * np.random.default_rng(0).standard_normal((160, 160))])
def test_photons_and_noise_that_is_the_same_everywhere_are_none_of_it(image):
    assert estimate(image).kind in ("poisson-gaussian", "gaussian")


def test_texture_in_the_dark_is_no_such_noise():
    rng, clean = np.random.default_rng(0), 100 * scene()
    texture = 6 * ndimage.gaussian_filter(rng.standard_normal(clean.shape), 0.8) * (clean < 45) / 0.35
    assert estimate(clean + texture + 3 * rng.standard_normal(clean.shape)).kind == "gaussian"


def test_a_strength_that_is_given_is_the_root_of_the_mean_variance():
    model = estimate(255 - 4 * photons(), kind="intensity-dependent", sigma=2.0)
    assert model.sigma == (2.0,)
    assert np.sqrt(model.variance(255 - 4 * (5 + 40 * scene()[None])).mean()) == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize("clean", [20.0, 60.0, 130.0, 200.0, 245.0, 300.0])
def test_it_is_stabilized_and_its_mean_comes_back(clean):
    transform = IntensityStabilizer(12.0, FALLING)
    level = 12 * np.sqrt(FALLING.at(np.array(clean)))
    stable = transform.forward(clean + level * np.random.default_rng(0).standard_normal(N))
    mean = np.array([stable.mean()])
    assert stable.std() == pytest.approx(1, rel=0.08)
    assert transform.noise_variance(mean)[0] == pytest.approx(stable.var(), rel=0.02)
    assert transform.inverse(mean)[0] == pytest.approx(clean, abs=5 * level / np.sqrt(N))


def test_channels_keep_their_shapes_and_a_report_brings_them_back():
    parts = [IntensityDependentNoise((12.0,), shapes=(FALLING,)), IntensityDependentNoise((3.0,))]
    model = IntensityDependentNoise.of_channels(parts, correlation_length=1, is_shared=False)
    assert model.shapes == (FALLING, EVEN)
    assert model.stabilizers() == (IntensityStabilizer(12.0, FALLING), Unchanged(3.0))
    values = json.loads(json.dumps(asdict(model)))
    del values["kind"]
    assert TypeAdapter(IntensityDependentNoise).validate_python(values) == model
