import numpy as np
import pytest
from scipy import stats

from napari_convgen.core.noise.models.rician.rice import rice_density, rice_mean, rice_variance


@pytest.mark.parametrize("nu", [0.0, 0.5, 1.0, 3.0, 20.0])
def test_moments_and_density_are_those_of_scipy(nu):
    mean, variance = stats.rice.stats(nu, moments="mv")
    assert rice_mean(np.array(nu)) == pytest.approx(mean, rel=1e-9)
    assert rice_variance(np.array(nu)) == pytest.approx(variance, rel=1e-6)
    m = np.linspace(0, nu + 5, 20)
    np.testing.assert_allclose(rice_density(m, np.array(nu)), stats.rice.pdf(m, nu), atol=1e-12)


def test_variance_far_from_zero_goes_on_smoothly():
    near, far = rice_variance(np.array([99.9, 100.1]))
    assert near == pytest.approx(far, rel=1e-6)
