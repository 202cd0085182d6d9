"""Stacks of snapshots say the step of each."""

import json

import numpy as np
import pytest
import tifffile

from napari_convgen.core.image import Image
from napari_convgen.files.images import new_image, read_image, read_recipe
from napari_convgen.files.stack import write_stack
from napari_convgen.files.tiff.recipe import as_file
from napari_convgen.files.units import symbol_of


def values(shape, dtype, seed=0):
    numbers = np.random.default_rng(seed).integers(0, 200, shape)
    return (numbers > 100) if dtype == "bool" else numbers.astype(dtype)


def test_snapshots_name_their_steps_in_imagej(describe, tmp_path, gray):
    stack = [gray.data, gray.data + 1, gray.data + 2]
    write_stack(tmp_path / "stack.tif", stack, "step", [1, 20, 300], gray)
    said = describe(tmp_path / "stack.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "stack.tif"), np.stack(stack))
    assert (said["kind"], said["axes"], said["resolution"]) == ("imagej", "TYX", (4, 5))
    assert said["imagej"]["Labels"] == ["step 1", "step 20", "step 300"]
    assert json.loads(said["imagej"]["steps"]) == [1, 20, 300]
    assert said["imagej"]["unit"] == "um"


def test_snapshots_of_a_stack_label_each_plane(describe, tmp_path):
    source, target = tmp_path / "image.tif", tmp_path / "stack.tif"
    tifffile.imwrite(source, values((3, 2, 6, 7), "uint8"), imagej=True, metadata={"axes": "TCYX", "finterval": 2})
    image = read_image(source)
    write_stack(target, [image.data, image.data], "step", [5, 8], image)
    said = describe(target)
    assert (said["axes"], said["shape"]) == ("TZCYX", (2, 3, 2, 6, 7))
    assert said["imagej"]["Labels"] == ["step 5"] * 6 + ["step 8"] * 6


def test_snapshots_of_an_ome_image_have_its_pixel_size(describe, tmp_path):
    source, target = tmp_path / "image.ome.tif", tmp_path / "stack.tif"
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 2.0}
    tifffile.imwrite(source, values((3, 6, 7), "uint16"), photometric="minisblack", metadata={"axes": "ZYX"} | sizes)
    image = read_image(source)
    write_stack(target, [image.data] * 2, "step", [1, 2], image)
    said = describe(target)
    assert (said["resolution"], said["imagej"]["spacing"], said["imagej"]["unit"]) == ((2, 4), 2.0, "\\u00B5m")


@pytest.mark.parametrize(
    ("dtype", "shape", "tags"),
    [
        ("float64", (6, 7), {}),
        ("uint16", (6, 7, 3), {"photometric": "rgb"}),
        ("uint8", (3, 6, 7), {"photometric": "rgb", "planarconfig": "separate"}),
        ("bool", (2, 6, 7), {"metadata": {"axes": "QYX"}}),
        ("uint8", (2, 2, 6, 7), {"metadata": {"axes": "TQYX"}}),
    ],
)
def test_snapshots_that_imagej_cannot_hold_say_their_steps_in_json(describe, tmp_path, dtype, shape, tags):
    source, target = tmp_path / "image.tif", tmp_path / "stack.tif"
    tifffile.imwrite(source, values(shape, dtype), **{"photometric": "minisblack"} | tags)
    image = read_image(source)
    write_stack(target, [image.data] * 2, "step", [3, 4], image)
    said = describe(target)
    assert said["kind"] == "shaped"
    assert said["shaped"][0]["steps"] == [3, 4]
    assert said["shaped"][0]["axes"][1:] == image.axes
    assert said["shaped"][0]["axes"][0] not in "CSTXYZ" + image.axes
    np.testing.assert_array_equal(tifffile.imread(target), np.stack([image.data] * 2))


@pytest.mark.parametrize(("name", "axes"), [("s.ome.tif", "TZYX"), ("s.ome.zarr", "TZYX"), ("s.nii.gz", "TZYX")])
def test_other_formats_count_snapshots_as_times_and_keep_the_steps_in_the_recipe(tmp_path, name, axes):
    volume = values((3, 6, 7), "float32")
    like = as_file(Image(volume, "ZYX", (2.0, 0.5, 0.25), ("micrometer",) * 3), {"config": {"n_steps": 9}})
    write_stack(tmp_path / name, [volume, volume + 1], "step", [4, 9], like)
    read = read_image(tmp_path / name)
    assert read.axes == axes
    np.testing.assert_array_equal(read.data, [volume, volume + 1])
    assert read.calibration[0][1:] == pytest.approx((2.0, 0.5, 0.25))
    assert [symbol_of(unit) for unit in read.calibration[1][1:]] == ["µm"] * 3
    assert read_recipe(tmp_path / name) == {"config": {"n_steps": 9}, "steps": [4, 9]}


def test_snapshots_of_a_time_series_become_channels(tmp_path, gray):
    frames = np.stack([gray.data, gray.data])
    like = new_image(Image(frames, "TYX"))
    write_stack(tmp_path / "s.zarr", [frames, frames], "step", [4, 9], like)
    assert (read_image(tmp_path / "s.zarr").axes, read_image(tmp_path / "s.zarr").data.shape[1]) == ("TCYX", 2)
