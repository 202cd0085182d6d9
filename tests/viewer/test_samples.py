import numpy as np
import pytest
from napari.layers import Layer

from napari_convgen.viewer.samples import open_fluorescence, open_mri


@pytest.mark.parametrize("open_sample", [open_fluorescence, open_mri])
def test_sample_opens_as_a_noisy_layer_over_its_hidden_reference(open_sample):
    reference, noisy = (Layer.create(*data) for data in open_sample())
    assert "reference" in reference.name
    assert not reference.visible
    assert noisy.visible
    assert noisy.data.shape == reference.data.shape
    assert noisy.data.dtype == reference.data.dtype
    assert noisy.units == reference.units
    np.testing.assert_array_equal(noisy.scale, reference.scale)


@pytest.mark.parametrize("open_sample", [open_fluorescence, open_mri])
def test_sample_is_the_same_every_time(open_sample):
    np.testing.assert_array_equal(open_sample()[1][0], open_sample()[1][0])
