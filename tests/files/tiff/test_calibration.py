import numpy as np
import pytest
import tifffile

from napari_convgen.core.image.lengths import distances
from napari_convgen.files.images import read_image, write_image
from napari_convgen.files.stack import write_stack
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


@pytest.mark.parametrize("name", ["copy.zarr", "copy.nii.gz", "copy.ome.tif"])
@pytest.mark.parametrize("unit", ["um", None])
def test_units_of_each_axis_and_of_time_that_imagej_writes_reach_other_formats(tmp_path, name, unit):
    path = tmp_path / "stack.tif"
    units = {"unit": "um", "yunit": "\\u00B5m", "zunit": "mm"} if unit else {}
    metadata = {"axes": "TZYX", "spacing": 0.001, "finterval": 2500, "tunit": "ms", **units}
    tifffile.imwrite(path, STACK[:4].reshape(2, 2, 12, 13), imagej=True, resolution=(10.0, 5.0), metadata=metadata)
    image = read_image(path)
    assert image.calibration[1] == (("ms", "mm", "µm", "um") if unit else ("ms", "pixel", "pixel", "pixel"))
    write_image(tmp_path / name, image.data, image)
    again = read_image(tmp_path / name)
    place = again.axes.index("T")
    assert (again.calibration[0][place], again.calibration[1][place]) == (2500, "ms")
    if not name.endswith(".nii.gz"):  # NIfTI has one unit for all of space
        known = pytest.approx({"Z": 1.0, "Y": 0.2, "X": 0.1} if unit else {})
        assert distances(again.image, again.axes) == known


def test_a_stack_of_an_ome_image_has_one_unit_and_no_time_of_the_image(tmp_path, describe):
    path, stack = tmp_path / "image.ome.tif", tmp_path / "stack.tif"
    sizes = {"PhysicalSizeX": 100, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 100, "PhysicalSizeYUnit": "nm"}
    tifffile.imwrite(path, STACK, metadata={"axes": "ZYX", "PhysicalSizeZ": 0.3, **sizes})
    image = read_image(path)
    write_stack(stack, [image.data] * 2, "step", [1, 2], image)
    assert distances(read_image(stack).image, "TZYX") == pytest.approx({"Z": 0.3, "Y": 0.1, "X": 0.1})
    tifffile.imwrite(path, STACK, metadata={"axes": "TYX", "TimeIncrement": 2, **sizes})
    image = read_image(path)
    assert image.calibration[1] == ("s", "nm", "nm")
    write_stack(stack, [image.data] * 2, "step", [1, 2], image)
    read = read_image(stack).image
    assert read.units == ("pixel", "pixel", "nm", "nm")
    assert "finterval" not in describe(stack)["imagej"]


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
