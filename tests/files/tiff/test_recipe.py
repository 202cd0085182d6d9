import numpy as np
import pytest

from napari_convgen.core.image import Image
from napari_convgen.core.image.lengths import distances
from napari_convgen.errors import FileError
from napari_convgen.files.images import read_image, read_recipe, write_image
from napari_convgen.files.stack import write_stack
from napari_convgen.files.tiff.recipe import as_file

RECIPE = {"config": {"n_steps": 3}, "note": "µm and ±"}


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "int16", "int32", "float64"])
@pytest.mark.parametrize(("axes", "shape"), [("YX", (5, 7)), ("ZYX", (3, 5, 7)), ("TZYX", (2, 3, 5, 7))])
def test_pixel_size_units_and_recipe_are_read_again(tmp_path, dtype, axes, shape):
    data = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    scale = (1.0, 2.0, 0.5, 0.25)[-len(shape) :]
    units = ("pixel", *("micrometer",) * 3)[-len(shape) :]
    file = as_file(Image(data, axes, scale, units), RECIPE)
    write_image(tmp_path / "a.tif", data, file)
    read = read_image(tmp_path / "a.tif")
    assert (read.axes, read.data.dtype) == (axes, dtype)
    np.testing.assert_array_equal(read.data, data)
    spatial = min(3, len(shape))
    assert read.calibration[0][-spatial:] == pytest.approx(scale[-spatial:])
    assert read.calibration[1][-spatial:] == ("µm",) * spatial
    assert read_recipe(tmp_path / "a.tif") == RECIPE


KINDS = [("a.tif", "uint8"), ("a.tif", "int64"), ("a.tif", "float64"), ("a.ome.tif", "uint8")]
"""Files of ImageJ, plain ones, those of OME without and with its ending."""


@pytest.mark.parametrize(("name", "dtype"), KINDS)
@pytest.mark.parametrize(
    ("scale", "units", "expected"),
    [
        ((0.001, 0.1, 0.1), ("millimeter", "micrometer", "micrometer"), (1, 0.1, 0.1)),
        ((1, 2, 100), ("pixel", "micrometer", "nanometer"), (None, 2, 0.1)),
        ((2, 1, 1), ("micrometer", "millimeter", "micrometer"), (2, 1000, 1)),
        ((2, -0.3, 0.1), ("micrometer",) * 3, (2, 0.3, 0.1)),
        ((0, 0.3, 0.1), ("micrometer",) * 3, (None, 0.3, 0.1)),
    ],
)
def test_distances_are_the_same_in_all_units_and_without_a_sign(tmp_path, name, dtype, scale, units, expected):
    data = np.zeros((3, 5, 7), dtype)
    write_image(tmp_path / name, data, as_file(Image(data, "ZYX", scale, units), RECIPE))
    known = {letter: d for letter, d in zip("ZYX", expected, strict=True) if d}
    assert distances(read_image(tmp_path / name).image, "ZYX") == pytest.approx(known)


def test_rows_and_columns_without_a_common_unit_get_no_distance(tmp_path):
    data = np.zeros((5, 7), "uint8")
    write_image(tmp_path / "a.tif", data, as_file(Image(data, "YX", (2, 0.5), ("pixel", "micrometer")), RECIPE))
    assert read_image(tmp_path / "a.tif").calibration is None


@pytest.mark.parametrize(("name", "dtype"), KINDS)
@pytest.mark.parametrize(
    ("scale", "units", "expected"),
    [
        ((2.0, 0.25, 0.5), ("second", "micrometer", "micrometer"), ((2.0, 0.25, 0.5), ("s", "µm", "µm"))),
        ((30.0, 1.0, 1.0), ("microsecond", "pixel", "pixel"), ((30.0, 1.0, 1.0), ("µs", "pixel", "pixel"))),
        ((2.0, 0.25, 0.5), ("micrometer",) * 3, ((1.0, 0.25, 0.5), ("pixel", "µm", "µm"))),
    ],
)
def test_the_time_between_frames_is_read_again(tmp_path, name, dtype, scale, units, expected):
    data = np.zeros((3, 5, 7), dtype)
    write_image(tmp_path / name, data, as_file(Image(data, "TYX", scale, units), RECIPE))
    assert read_image(tmp_path / name).calibration == expected


@pytest.mark.parametrize("dtype", ["uint8", "int32", "bool", "uint64"])
def test_stacks_colors_and_odd_types_keep_the_recipe(tmp_path, dtype):
    data = (np.arange(35).reshape(5, 7) % 2).astype(dtype)
    file = as_file(Image(data, "YX", (0.5, 0.5), ("micrometer",) * 2), RECIPE, is_in_stack=True)
    write_stack(tmp_path / "s.tif", [data, data], "step", [1, 4], file)
    assert read_recipe(tmp_path / "s.tif") == RECIPE
    color = np.zeros((5, 7, 3), dtype)
    write_image(tmp_path / "c.tif", color, as_file(Image(color, "YXS"), RECIPE))
    assert read_recipe(tmp_path / "c.tif") == RECIPE


def test_a_file_without_a_recipe_is_refused_with_a_sentence(tmp_path):
    (tmp_path / "no.tif").write_bytes(b"no")
    with pytest.raises(FileError, match="has no settings"):
        read_recipe(tmp_path / "no.tif")
