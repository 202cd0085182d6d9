"""A point spread function by numbers: those of the settings, or else of the image."""

import numpy as np
import pytest

from napari_convgen.config import BlurConfig, ConfocalConfig, WidefieldConfig
from napari_convgen.core.optics.microscope import confocal_psf, widefield_psf
from napari_convgen.core.optics.objective import Objective
from napari_convgen.errors import InputError
from napari_convgen.run.setup.point_spreads import point_spread

WATER = Objective(1.1, 0.6, 1.33)
NUMBERS = {"numerical_aperture": 1.1, "wavelength": 600, "refractive_index": 1.33}


def test_the_distances_of_the_settings_go_before_those_of_the_image():
    apart = {"Y": 0.2, "X": 0.1}
    psf = point_spread(WidefieldConfig(**NUMBERS), "YX", (64, 64), apart)
    np.testing.assert_array_equal(psf.values, widefield_psf(WATER, (0.2, 0.1)).values)
    assert "widefield microscope: numerical aperture 1.1, 600 nm" in psf.notes[0]
    assert "pixels of 0.2 × 0.1 micrometers" in psf.notes[0]
    own = point_spread(WidefieldConfig(**NUMBERS, pixel_size=0.15), "YX", (64, 64), apart)
    np.testing.assert_array_equal(own.values, widefield_psf(WATER, (0.15, 0.15)).values)


def test_axes_are_those_of_the_image_in_its_order():
    settings = ConfocalConfig(**NUMBERS, excitation_wavelength=561, pinhole=0.8)
    psf = point_spread(settings, "XZY", (30, 5, 40), {"X": 0.1, "Y": 0.2, "Z": 0.5})
    usual = confocal_psf(WATER, 0.561, 0.8, (0.5, 0.2, 0.1), (5, 40, 30))
    np.testing.assert_array_equal(psf.values, np.moveaxis(usual.values, 2, 0))
    assert "laser 561 nm, pinhole 0.8 Airy units" in psf.notes[0]


@pytest.mark.parametrize(
    ("settings", "spatial", "apart", "sentence"),
    [
        ({}, "YX", {}, r"along Y, and the image does not know it.*Give operator.pixel_size in micrometers\."),
        ({}, "ZYX", {"Y": 0.1, "X": 0.1}, r"along Z.*Give operator.z_step in micrometers\."),
        ({"pixel_size": 0.1}, "ZYX", {}, r"along Z.*Give operator.z_step in micrometers\."),
        ({"numerical_aperture": 1.4}, "YX", {}, "along Y"),
        ({"numerical_aperture": 1.4, "pixel_size": 0.1}, "YX", {}, r"below the refractive index 1\.33, got 1\.4"),
        ({"pixel_size": 65}, "YX", {}, "Pixels are 65 micrometers apart"),
    ],
)
def test_what_is_not_known_or_no_microscope_has_is_refused(settings, spatial, apart, sentence):
    with pytest.raises(InputError, match=sentence):
        point_spread(WidefieldConfig(**NUMBERS | settings), spatial, (16,) * len(spatial), apart)


def test_a_gaussian_larger_than_the_image_is_refused_before_it_is_computed():
    with pytest.raises(InputError, match="must not be larger than the image"):
        point_spread(BlurConfig(sigma=50), "ZYX", (300, 300, 300), {})
