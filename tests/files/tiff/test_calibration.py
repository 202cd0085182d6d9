import numpy as np
import pytest
import tifffile

from napari_convgen.files.images import read_image
from napari_convgen.run.setup.prepared import Prepared

STACK = np.random.default_rng(0).integers(0, 200, (5, 12, 13)).astype(np.uint8)


def test_an_imagej_file_knows_the_distance_between_its_pixels(tmp_path):
    path = tmp_path / "stack.tif"
    metadata = {"axes": "ZYX", "unit": "um", "spacing": 0.5}
    tifffile.imwrite(path, STACK, imagej=True, resolution=(10.0, 5.0), metadata=metadata)
    image = read_image(path).image
    assert image.scale == pytest.approx((0.5, 0.2, 0.1))
    assert image.units == ("um",) * 3
    assert Prepared(image).spacing == pytest.approx((0.2, 0.1))


def test_an_ome_file_knows_the_distance_between_its_pixels(tmp_path):
    path = tmp_path / "stack.ome.tif"
    metadata = {
        "axes": "ZYX",
        "PhysicalSizeX": 0.1,
        "PhysicalSizeY": 0.2,
        "PhysicalSizeZ": 300,
        "PhysicalSizeZUnit": "nm",
    }
    tifffile.imwrite(path, STACK, metadata=metadata)
    image = read_image(path).image
    assert image.scale == pytest.approx((300, 0.2, 0.1))
    assert image.units == ("nm", "µm", "µm")


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_a_file_without_a_calibration_has_none(tmp_path, suffix):
    path = tmp_path / f"plain{suffix}"
    if suffix == ".tif":
        tifffile.imwrite(path, STACK)
    else:
        import PIL.Image

        PIL.Image.fromarray(STACK[0]).save(path)
    image = read_image(path).image
    assert (image.scale, image.units) == (None, None)
    np.testing.assert_array_equal(image.data, STACK if suffix == ".tif" else STACK[0])
