"""A format is a module of its own and a line in the table."""

from pathlib import Path

import numpy as np
import pytest

from napari_convgen.errors import FileError
from napari_convgen.files import formats
from napari_convgen.files.atomic import replacing
from napari_convgen.files.formats import FORMATS, find_format, find_writable_format, suffix_like
from napari_convgen.files.image_file import ImageFile, WritableFormat
from napari_convgen.files.images import check_image, read_image, write_image


def read_numpy(path, axes, series):
    data = np.load(path)
    return ImageFile(data, axes or "YX", {"photometric": "minisblack", "metadata": None})


def refuse_color(path, like):
    if "S" in like.axes:
        raise FileError(f"{path} cannot hold color.")


def write_numpy(path, data, like):
    with replacing(path) as file:
        np.save(file, data)


NUMPY = WritableFormat((".npy",), read_numpy, check=refuse_color, write=write_numpy)


@pytest.fixture
def with_numpy(monkeypatch):
    monkeypatch.setattr(formats, "FORMATS", (*FORMATS, NUMPY))


@pytest.mark.usefixtures("with_numpy")
def test_a_new_format_is_read_checked_and_written(tmp_path):
    image = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "image.npy", image)
    source = read_image(tmp_path / "image.npy")
    write_image(tmp_path / "copy.NPY", source.data, source)
    np.testing.assert_array_equal(np.load(tmp_path / "copy.NPY"), image)
    write_image(tmp_path / "copy.tif", source.data, source)
    np.testing.assert_array_equal(read_image(tmp_path / "copy.tif").data, image)
    with pytest.raises(FileError, match="cannot hold color"):
        check_image(tmp_path / "color.npy", ImageFile(image[..., None], "YXS", {}))
    with pytest.raises(FileError, match=r"must end in \.tif or \.tiff or \.png or .*\.npy"):
        find_writable_format(Path("image.jpg"))


def test_no_ending_is_that_of_two_formats():
    suffixes = [suffix for each in FORMATS for suffix in each.suffixes]
    assert len(set(suffixes)) == len(suffixes)
    assert all(suffix in find_format(Path("image" + suffix.upper())).suffixes for suffix in suffixes)


@pytest.mark.parametrize(
    ("name", "suffix"), [("a.TIFF", ".tif"), ("a.png", ".png"), ("a.jpeg", ".tif"), ("a.bmp", ".tif")]
)
def test_images_like_another_are_written_in_its_format_if_possible(name, suffix):
    like = ImageFile(np.zeros((4, 5), np.uint8), "YX", {})
    assert suffix_like(Path(name), like) == suffix
    assert suffix_like(Path(name), like.of_type(np.float32)) == ".tif"
