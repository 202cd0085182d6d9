import numpy as np
import pytest
from napari.layers import Image

from napari_convgen.files.images import read_image
from napari_convgen.viewer.writing import write_nifti, write_ome_tiff, write_ome_zarr, write_tiff


def test_of_a_multiscale_layer_the_finest_level_is_written(tmp_path):
    fine = np.random.default_rng(0).random((16, 16), np.float32)
    data, attributes, _ = Image([fine, fine[::2, ::2]], multiscale=True).as_layer_data_tuple()
    [path] = write_ome_tiff(str(tmp_path / "levels"), data, attributes)
    np.testing.assert_array_equal(read_image(path).data, fine)


@pytest.mark.parametrize(
    ("write", "units", "is_said"),
    [
        (write_tiff, ("pixel", "pixel"), True),
        (write_nifti, ("pixel", "pixel"), False),
        (write_tiff, ("um", "um"), False),
        (write_ome_zarr, ("pixel", "pixel"), False),
        (write_ome_tiff, ("pixel", "pixel"), False),
    ],
)
def test_a_scale_without_a_unit_that_a_file_cannot_hold_is_said(tmp_path, notes, write, units, is_said):
    layer = Image(np.ones((8, 9), np.float32), name="cells", scale=(0.5, 0.5), units=units)
    [path] = write(str(tmp_path / "cells"), *layer.as_layer_data_tuple()[:2])
    calibration = read_image(path).calibration
    assert [("cells" in note.message and "no unit of length" in note.message) for note in notes] == [True] * is_said
    assert (calibration is not None and calibration[0] == pytest.approx((0.5, 0.5))) != is_said
