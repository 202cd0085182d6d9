import numpy as np
import pytest
from napari.layers import Layer

from napari_convgen.viewer.layers.kspace import scan_of
from napari_convgen.viewer.samples import (
    open_blurred_beads,
    open_fluorescence,
    open_kspace,
    open_mri,
    open_mri_volume,
    open_sparse_confocal,
)

SAMPLES = [open_fluorescence, open_mri, open_mri_volume, open_sparse_confocal, open_blurred_beads]


@pytest.mark.parametrize("open_sample", SAMPLES)
def test_sample_opens_as_a_noisy_layer_over_all_others_that_are_hidden(open_sample):
    reference, *_, noisy = (Layer.create(*data) for data in open_sample())
    assert "reference" in reference.name
    assert not reference.visible
    assert noisy.visible
    assert noisy.data.shape == reference.data.shape
    assert noisy.data.dtype == reference.data.dtype
    assert noisy.units == reference.units
    np.testing.assert_array_equal(noisy.scale, reference.scale)


@pytest.mark.parametrize("open_sample", SAMPLES)
def test_sample_is_the_same_every_time(open_sample):
    np.testing.assert_array_equal(open_sample()[-1][0], open_sample()[-1][0])


def test_missing_pixels_are_labels_and_a_point_spread_function_an_image():
    mask, measured = (Layer.create(*data) for data in open_sparse_confocal()[1:])
    assert type(mask).__name__ == "Labels"
    np.testing.assert_array_equal(mask.data != 0, np.isnan(measured.data))
    psf, measured = (Layer.create(*data) for data in open_blurred_beads()[1:])
    assert psf.data.shape < measured.data.shape
    for layer in (mask, psf):
        assert not layer.visible
        assert layer.units == measured.units
        np.testing.assert_array_equal(layer.scale, (0.08, 0.08) if layer is mask else (0.15, 0.15))


def test_the_sample_of_kspace_is_a_scan_that_can_be_reconstructed():
    reference, kspace = (Layer.create(*data) for data in open_kspace())
    scan = scan_of(kspace)
    assert scan.file.kspace.shape == kspace.data.shape == (8, *reference.data.shape)
    np.testing.assert_array_equal(open_kspace()[1][0], kspace.data)
