import re

import numpy as np
import pytest
from scipy import ndimage
from scipy.special import j1

from napari_convgen.core.optics.microscope import CUT, confocal_psf, widefield_psf
from napari_convgen.core.optics.objective import Objective
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


@pytest.mark.parametrize(
    ("spacing", "size", "sentence"),
    [
        ((0.1,), (64,), "positive distances between pixels in micrometers"),
        ((0.1, 0.0), (64, 64), "positive distances between pixels in micrometers"),
        ((0.1, float("inf")), (64, 64), "positive distances between pixels in micrometers"),
        ((1, 1, 1, 1), (9, 9, 9, 9), "positive distances between pixels in micrometers"),
        ((65, 65), (64, 64), "Pixels are 65 micrometers apart, and a point's image is 0.453 micrometers wide"),
        ((65e-9, 65e-9), (64, 64), "The image is 4.16e-06 micrometers wide"),
        ((300, 0.1, 0.1), (9, 64, 64), "Planes are 300 micrometers apart, and a point is seen up to 1.11 micrometers"),
        ((3e-7, 0.1, 0.1), (9, 64, 64), "The volume is 2.7e-06 micrometers thick"),
    ],
)
def test_distances_that_do_not_suit_the_objective_are_refused(spacing, size, sentence):
    with pytest.raises(InputError, match=re.escape(sentence)):
        widefield_psf(OIL, spacing, size)
    with pytest.raises(InputError, match=re.escape(sentence)):
        confocal_psf(OIL, 0.488, 1.0, spacing, size)


def test_a_psf_is_cut_to_the_image_and_this_is_said():
    whole, cut = (widefield_psf(OIL, (0.1, 0.1), size) for size in ((64, 64), (10, 64)))
    assert whole.values.shape == (15, 15)
    assert not whole.notes
    assert cut.values.shape == (9, 15)
    assert cut.notes == (CUT,)


def test_a_closed_pinhole_gives_the_product_of_both_patterns_and_an_open_one_the_laser_spot_alone():
    spacing, size = (0.3, 0.05, 0.05), (5, 21, 21)

    def share(psf):
        return psf.values / psf.values.max()

    same = share(confocal_psf(OIL, 0.52, 1e-3, spacing, size))
    fine = share(widefield_psf(OIL, spacing, size))
    np.testing.assert_allclose(same, fine**2, atol=0.015)  # the mean over a pixel is taken after the product
    wide = share(confocal_psf(OIL, 0.52, 20, spacing, size))
    np.testing.assert_allclose(wide[2], fine[2], atol=0.02)
    assert same[0].sum() < wide[0].sum() < 1.1 * fine[0].sum()


def test_light_through_a_pinhole_is_that_of_a_convolution_with_a_disk():
    low = Objective(0.5, 0.52, 1.0)
    d, radius = 0.05, low.airy_radius
    y, x = np.indices((161, 161)) * d - 80 * d
    r = np.hypot(y, x)
    disk = (np.hypot(*(np.indices((41, 41)) - 20)) * d <= radius) * 1.0
    light = low.intensity(r.ravel(), 0.0).reshape(r.shape)
    expected = light * ndimage.convolve(light, disk, mode="constant")
    psf = confocal_psf(low, 0.52, 1.0, (d, d)).values
    n = psf.shape[0] // 2
    np.testing.assert_allclose(psf / psf.max(), expected[80 - n : 81 + n, 80 - n : 81 + n] / expected.max(), atol=0.02)
