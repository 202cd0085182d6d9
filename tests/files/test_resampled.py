"""An image with other pixels in the same place has the metadata of the one that it comes from, in its own pixels."""

import numpy as np
import pytest
import tifffile

from napari_convgen.files.images import read_image, write_image
from napari_convgen.files.resampled import resampled

LARGE = {"Z": 2, "Y": 3, "X": 3}
SMALL = {"Z": 1 / 2, "Y": 1 / 3, "X": 1 / 3}


@pytest.fixture
def volume():
    return np.arange(4 * 2 * 6 * 9, dtype=np.uint16).reshape(4, 2, 6, 9)


def write_imagej(path, volume):
    entries = {"unit": "micron", "spacing": 0.5, "axes": "ZCYX", "xorigin": 3, "Labels": list("abcdefgh")}
    drawn = {"ROI": b"Iout", "Overlays": [b"Iout"]}
    tifffile.imwrite(path, volume, imagej=True, resolution=(4, 5), metadata=entries | drawn)


def write_ome(path, volume):
    sizes = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.2, "PhysicalSizeZ": 0.5}
    tifffile.imwrite(path, volume, metadata={"axes": "ZCYX", "Channel": {"Name": ["a", "b"]}} | sizes)


def in_micrometers(path):
    image = read_image(path)
    sizes, units = image.calibration
    return image.axes, image.data.shape, dict(zip(image.axes, sizes, strict=True)), set(units) - {"pixel"}


@pytest.mark.parametrize(("write", "name"), [(write_imagej, "a.tif"), (write_ome, "a.ome.tif")])
@pytest.mark.parametrize(("ratios", "shape"), [(LARGE, (8, 2, 18, 27)), (SMALL, (2, 2, 2, 3))])
def test_a_volume_keeps_its_size_in_micrometers(tmp_path, volume, write, name, ratios, shape):
    write(tmp_path / name, volume)
    like = read_image(tmp_path / name)
    new = resampled(like, shape, np.float32, ratios)
    values = np.random.default_rng(0).random(shape).astype(np.float32)
    write_image(tmp_path / f"new-{name}", values, new)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / f"new-{name}"), values)
    axes, size, distances, units = in_micrometers(tmp_path / f"new-{name}")
    assert (axes, size, len(units)) == (like.axes, shape, 1)
    expected = {"Z": 0.5 / ratios["Z"], "C": 1, "Y": 0.2 / ratios["Y"], "X": 0.25 / ratios["X"]}
    assert distances == pytest.approx(expected)
    assert dict(zip(axes, new.calibration[0], strict=True)) == pytest.approx(expected)
    assert in_micrometers(tmp_path / name)[1:3] == (volume.shape, {"Z": 0.5, "C": 1, "Y": 0.2, "X": 0.25})


def test_what_is_drawn_on_pixels_is_left_out_and_the_origin_moves_along(tmp_path, volume):
    write_imagej(tmp_path / "a.tif", volume)
    like = read_image(tmp_path / "a.tif")
    new = resampled(like, (8, 2, 18, 27), np.float32, LARGE)
    assert new.tiff["metadata"]["xorigin"] == 9
    assert not {"ROI", "Overlays", "Labels"} & set(new.tiff["metadata"])
    same = resampled(like, volume.shape, np.float32, dict.fromkeys("ZYX", 1))
    assert same.tiff == like.tiff


def test_plain_files_and_pictures_keep_their_size_in_inches(tmp_path, volume):
    tifffile.imwrite(
        tmp_path / "a.tif", volume[0, 0], photometric="minisblack", resolution=(300, 300), resolutionunit=2
    )
    new = resampled(read_image(tmp_path / "a.tif"), (12, 18), np.uint8, {"Y": 2, "X": 2})
    assert new.png["dpi"] == (600, 600)
    write_image(tmp_path / "b.tif", np.zeros((12, 18), np.uint8), new)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.pages[0].resolution == (600, 600)
        assert file.pages[0].resolutionunit == 2
