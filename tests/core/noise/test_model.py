import numpy as np
import pytest
from scipy import stats

from napari_convgen.core.noise import NoiseModel
from napari_convgen.core.noise.rice import rice_mean, rice_variance


@pytest.mark.parametrize("nu", [0.0, 0.5, 1.0, 3.0, 20.0])
def test_moments_of_the_rice_distribution(nu):
    mean, variance = stats.rice.stats(nu, moments="mv")
    assert rice_mean(np.array(nu)) == pytest.approx(mean, rel=1e-9)
    assert rice_variance(np.array(nu)) == pytest.approx(variance, rel=1e-6)


def test_variance_far_from_zero_goes_on_smoothly():
    near, far = rice_variance(np.array([99.9, 100.1]))
    assert near == pytest.approx(far, rel=1e-6)


def test_variance_of_each_kind():
    x = np.array([[90.0, 100.0, 110.0]])
    assert NoiseModel("gaussian", (3.0,), (0.0,), (0.0,)).variance(x).tolist() == [[9, 9, 9]]
    assert NoiseModel("poisson-gaussian", (3.0,), (2.0,), (100.0,)).variance(x).tolist() == [[9, 9, 29]]
    rician = NoiseModel("rician", (3.0,), (0.0,), (0.0,))
    assert rician.variance(np.array([[0.0, 300.0]])) == pytest.approx(np.array([[9 * (2 - np.pi / 2), 9]]), rel=1e-3)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (
            NoiseModel("poisson-gaussian", (4.1,), (2.31,), (96.0,), clipped_high=0.002),
            "Poisson-Gaussian noise: gain 2.31 per photon, offset 96, read noise 4.1; white; 0.2 % of the pixels saturated",
        ),
        (
            NoiseModel("gaussian", (25.0, 25.0), (0.0, 0.0), (0.0, 0.0), is_shared=True, correlation_length=2),
            "Gaussian noise of standard deviation 25, the same in all channels; alike within 2 pixels",
        ),
        (
            NoiseModel("rician", (5.0, 7.25), (0.0, 0.0), (0.0, 0.0), impulses=0.01),
            "Rician noise of standard deviation 5, 7.25; white; 1 % of the pixels are impulses",
        ),
    ],
)
def test_it_says_what_it_is(model, sentence):
    assert str(model) == sentence
