"""K-space in the units of the reconstruction, and the way back to those of the scanner."""

import numpy as np
import pytest

from napari_convgen.core.mri.kspace import KSpaceNoise, find_sampling
from napari_convgen.core.mri.measured import MeasuredKSpace
from napari_convgen.core.mri.simulation import head, scan
from napari_convgen.errors import InputError

SIZE = (32, 24)
SCAN = scan(head(SIZE), np.ones(SIZE, bool), n_coils=3, noise=0)


def measured(kspace, maps):
    return MeasuredKSpace.of(kspace, find_sampling(kspace), KSpaceNoise.known(1.0, len(kspace)), maps)


@pytest.mark.parametrize("gain", [0.02, 300.0])
def test_images_and_kspace_come_back_in_the_units_of_the_scanner(gain):
    found = measured(gain * SCAN.kspace, SCAN.coil_maps)
    first = found.first_image()
    assert first.norm(dim=0).max() == pytest.approx(1, rel=1e-3)
    np.testing.assert_allclose(
        found.image(first.numpy()), gain * SCAN.image, atol=2e-3 * gain * np.abs(SCAN.image).max()
    )
    peak = np.abs(SCAN.kspace).max()
    np.testing.assert_allclose(found.unwhitened(found.measurement.numpy()), gain * SCAN.kspace, atol=1e-5 * gain * peak)


def test_the_map_of_one_coil_needs_no_axis_for_coils():
    kspace = SCAN.kspace[:1]
    both = [measured(kspace, maps) for maps in (np.ones(SIZE), np.ones((1, *SIZE)))]
    np.testing.assert_array_equal(*(each.measurement for each in both))
    with pytest.raises(InputError, match=r"expected 3 coils of 32 × 24, got \(32, 24\)"):
        measured(SCAN.kspace, np.ones(SIZE))
