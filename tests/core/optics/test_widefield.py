import re

import numpy as np
import pytest
from scipy.special import j1

from napari_convgen.core.optics.widefield import Objective, widefield_psf
from napari_convgen.errors import InputError

OIL = Objective(1.4, 0.52, 1.515)


def test_a_low_aperture_has_the_airy_pattern_in_focus_and_a_squared_sinc_along_the_axis():
    low = Objective(0.1, 0.5, 1.0)
    r = np.linspace(0.1, 8, 50)
    v = 2 * np.pi * 0.1 * r / 0.5
    intensity = low.intensity(np.r_[0, r], 0.0)
    np.testing.assert_allclose(intensity[1:] / intensity[0], (2 * j1(v) / v) ** 2, atol=2e-3)
    for z in (20.0, 60.0, 130.0):
        along = low.intensity(np.zeros(1), z)[0] / intensity[0]
        assert along == pytest.approx(np.sinc(z * 0.1**2 / (2 * 0.5)) ** 2, abs=5e-3)


def test_the_middle_is_as_narrow_as_in_the_literature():
    """Zhang, Zerubia and Olivo-Marin 2007, table 2: the lateral standard deviation of the Gaussian that touches the pattern's top."""
    c = np.cos(OIL.angle)
    sigma = ((4 - 7 * c**1.5 + 3 * c**3.5) / (7 * (1 - c**1.5))) ** -0.5 / OIL.wavenumber
    r = 1e-3
    top, beside = OIL.intensity(np.array([0, r]), 0.0)
    assert r / np.sqrt(-2 * np.log(beside / top)) == pytest.approx(sigma, rel=1e-4)


def test_more_angles_change_nothing():
    r = np.linspace(0, 5, 30)
    for z in (0.0, 0.7, 4.0):
        np.testing.assert_allclose(OIL.intensity(r, z), OIL.intensity(r, z, n_angles=400), atol=1e-12)


def test_the_psf_is_symmetric_sums_to_one_and_narrows_with_the_aperture():
    narrow = widefield_psf(OIL, (0.1, 0.1)).values
    wide = widefield_psf(Objective(0.7, 0.52, 1.0), (0.1, 0.1)).values
    for psf in (narrow, wide):
        assert psf.sum() == pytest.approx(1)
        np.testing.assert_allclose(psf, psf[::-1, ::-1], atol=1e-12)
        np.testing.assert_allclose(psf, psf.T, atol=1e-12)
    assert narrow.max() > 2 * wide.max()
    assert narrow.shape < wide.shape


def test_a_volume_is_in_focus_in_its_middle():
    psf = widefield_psf(OIL, (0.3, 0.1, 0.1), (7, 21, 25)).values
    assert psf.shape == (7, 21, 25)
    assert np.unravel_index(psf.argmax(), psf.shape) == (3, 10, 12)
    np.testing.assert_allclose(psf, psf[::-1], atol=1e-12)
    usual = widefield_psf(Objective(0.5, 0.52, 1.0), (2.0, 0.4, 0.4)).values
    assert usual.ndim == 3
    light = usual.sum((1, 2))
    assert light.min() > 0.8 * light.max()  # the cone of light is within the planes


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ((1.4, 520, 1.515), "got 520. Give it in micrometers: 0.52 for 520 nanometers"),
        ((1.4, 5.2e-7, 1.515), "between 0.2 and 2.0 micrometers"),
        ((1.4, 0.52, 1.33), "below the refractive index 1.33, got 1.4"),
        ((0.0, 0.52, 1.33), "above 0"),
        ((0.5, 0.52, 0.9), "at least 1 and below 4"),
        ((float("nan"), 0.52, 1.33), "got nan"),
    ],
)
def test_what_no_objective_has_is_refused(values, sentence):
    with pytest.raises(InputError, match=re.escape(sentence)):
        Objective(*values)


@pytest.mark.parametrize("spacing", [(0.1,), (0.1, 0.0), (0.1, float("inf")), (1, 1, 1, 1)])
def test_distances_between_pixels_must_be_positive(spacing):
    with pytest.raises(InputError, match="positive distances between pixels in micrometers"):
        widefield_psf(OIL, spacing)
