"""Values that ImageJ shows in other units than its files store them."""

import numpy as np
import pytest
import tifffile

from napari_convgen.files.images import check_image, read_image, write_image
from napari_convgen.files.stack import write_stack

SIGNED = {"cf": 0, "c0": -32768.0, "c1": 1.0, "vunit": "Gray Value"}


def save(path, stored, **described):
    tifffile.imwrite(path, stored, imagej=True, metadata=described)


def line_of(path):
    """Return offset and slope in ImageJ's description."""
    with tifffile.TiffFile(path) as file:
        return file.imagej_metadata.get("c0"), file.imagej_metadata.get("c1")


def test_numbers_with_a_sign_have_it_and_are_stored_as_imagej_stores_them(tmp_path):
    values = np.random.default_rng(0).integers(-1024, 3000, (6, 7)).astype("int16")
    save(tmp_path / "ct.tif", (values.astype("int32") + 32768).astype("uint16"), **SIGNED)
    image = read_image(tmp_path / "ct.tif")
    np.testing.assert_array_equal(image.data, values)
    check_image(tmp_path / "copy.tif", image)
    write_image(tmp_path / "copy.tif", image.data, image)
    assert line_of(tmp_path / "copy.tif") == (-32768, 1)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "copy.tif"), tifffile.imread(tmp_path / "ct.tif"))
    for name in ("float.tif", "copy.nii", "copy.ome.tif"):
        write_image(tmp_path / name, values if name != "float.tif" else values.astype("float32"), image)
        np.testing.assert_array_equal(read_image(tmp_path / name).data, values)
    assert line_of(tmp_path / "float.tif") == (None, None)
    write_stack(tmp_path / "steps.tif", [values, values + 1], "step", [1, 2], image)
    np.testing.assert_array_equal(read_image(tmp_path / "steps.tif").data[1], values + 1)


@pytest.mark.parametrize(("curve", "expected"), [(0, [5.5, 6.0]), (1, [1, 2])])
def test_a_straight_line_is_applied_and_other_curves_are_kept(tmp_path, curve, expected):
    save(tmp_path / "current.tif", np.array([[1, 2]] * 6, "uint16"), cf=curve, c0=5.0, c1=0.5, vunit="nA")
    image = read_image(tmp_path / "current.tif")
    np.testing.assert_array_equal(image.data[0], expected)
    write_image(tmp_path / "copy.tif", image.data, image)
    np.testing.assert_array_equal(read_image(tmp_path / "copy.tif").data, image.data)
    assert line_of(tmp_path / "copy.tif") == ((None, None) if curve == 0 else (5.0, 0.5))
