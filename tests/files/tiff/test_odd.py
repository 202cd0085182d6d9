"""Files that other programs write: compressed, with color maps, inks, transparency, or turned."""

import dataclasses
import io

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_convgen.errors import FileError
from napari_convgen.files.images import check_image, read_image, write_image
from napari_convgen.files.stack import write_stack


def values(shape, dtype, seed=0):
    y, x = np.mgrid[: shape[0], : shape[1]]
    smooth = 90 + 60 * np.sin(x / 7) * np.cos(y / 5)
    noise = np.random.default_rng(seed).normal(0, 9, shape)
    image = (smooth.reshape(*smooth.shape, *(1,) * (len(shape) - 2)) + noise).clip(0, 255)
    return image > 90 if dtype == "bool" else (image * (200 if dtype == "uint16" else 1)).astype(dtype)


def test_deep_luminance_and_its_range_are_read(tmp_path):
    path, rational = (
        tmp_path / "image.tif",
        lambda *numbers: tuple(np.stack([numbers, np.ones(6, int)], 1).ravel().tolist()),
    )
    gray = np.zeros((8, 9, 3), "uint16")
    gray[..., 0], gray[..., 1:] = values((8, 9), "uint16") // 2 + 4096, 2**15
    studio = [(532, 5, 6, rational(4096, 60160, 2**15, 61440, 2**15, 61440), True), (530, 3, 2, (1, 1), True)]
    tifffile.imwrite(path, gray, photometric="ycbcr", metadata=None, extratags=studio)
    expected = ((gray[..., :1].astype(float) - 4096) * 65535 / (60160 - 4096)).clip(0, 65535)
    np.testing.assert_allclose(read_image(path).data, np.broadcast_to(expected, gray.shape), atol=0.51)
    tifffile.imwrite(path, gray.astype("float32"), photometric="ycbcr", metadata=None, extratags=studio[1:])
    with pytest.raises(FileError, match="has float32 YCBCR colors, which are not read"):
        read_image(path)


def test_the_mosaic_of_a_sensor_and_unknown_inks_are_refused(tmp_path):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, values((8, 10), "uint16"), photometric="cfa", metadata=None)
    with pytest.raises(
        FileError, match=r"is a mosaic of colors, one for each pixel.*Develop it to red, green and blue"
    ):
        read_image(path)
    for shape, tags in [((8, 10, 5), []), ((8, 10, 4), [(332, 3, 1, 2, True)])]:
        tifffile.imwrite(path, values(shape, "uint8"), photometric="separated", metadata=None, extratags=tags)
        with pytest.raises(FileError, match=rf"has {shape[2]} inks; only cyan, magenta, yellow and black"):
            read_image(path)


COLORS = np.random.default_rng(3).integers(0, 256, (3, 256)).astype(np.uint16)
FIRE = np.stack([np.linspace(0, 255, 256), np.linspace(0, 16, 256) ** 2, 128 + 127 * np.sin(np.arange(256) / 40)])


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("factor", [257, 256, 1])
def test_indexed_colors_are_looked_up(tmp_path, bits, factor):
    path, copy = tmp_path / "image.tif", tmp_path / "copy.tif"
    numbers = values((40, 50), "uint8").astype(f"uint{bits}")
    colormap = np.zeros((3, 2**bits), np.uint16)
    colormap[:, :256] = COLORS * factor
    tifffile.imwrite(path, numbers, photometric="palette", colormap=colormap, resolution=(100, 50))
    image = read_image(path)
    np.testing.assert_array_equal(image.data, COLORS.T[numbers])
    assert (image.data.dtype, image.axes) == (np.uint8, "YXS")
    assert image.notes == (f"{path} has indexed colors; they are read as red, green and blue, and written so.",)
    write_image(copy, image.data, image)
    again = read_image(copy)
    np.testing.assert_array_equal(again.data, image.data)
    assert again.tiff["resolution"] == image.tiff["resolution"]
    assert again.notes == ()


def test_colors_of_sixteen_bits_keep_them_and_grays_stay_gray(tmp_path):
    numbers = values((40, 50), "uint8")
    deep = COLORS * 100 + 13
    tifffile.imwrite(tmp_path / "deep.tif", numbers, photometric="palette", colormap=deep)
    np.testing.assert_array_equal(read_image(tmp_path / "deep.tif").data, deep.T[numbers])
    gray = np.broadcast_to(COLORS[:1] * 257, (3, 256))
    tifffile.imwrite(tmp_path / "gray.tif", numbers, photometric="palette", colormap=gray)
    image = read_image(tmp_path / "gray.tif")
    np.testing.assert_array_equal(image.data, COLORS[0][numbers])
    assert image.axes == "YX"


@pytest.mark.parametrize(
    ("rise", "imagej"),
    [([1, 1, 1], False), ([0, 1, 0], False), ([-1, -1, -1], False), ([1, 0.5, 0], True), (None, True)],
)
def test_numbers_that_a_map_only_shows_in_color_are_the_values(describe, tmp_path, rise, imagej):
    path, copy = tmp_path / "image.tif", tmp_path / "copy.tif"
    numbers = values((40, 50), "uint8")
    lines = FIRE if rise is None else np.array([np.linspace(255 * (r < 0), 255 * max(r, 0), 256) for r in rise])
    colormap = lines.round().astype(np.uint16) * 257
    tifffile.imwrite(path, numbers, photometric="palette", colormap=colormap, imagej=imagej)
    image = read_image(path)
    np.testing.assert_array_equal(image.data, numbers)
    write_image(copy, image.data, image)
    assert describe(copy) == describe(path)


def test_each_page_has_a_map_of_its_own_and_few_bits_are_numbers_too(tmp_path):
    path = tmp_path / "pages.tif"
    numbers = values((40, 50), "uint8")
    maps = [COLORS, COLORS[::-1]]
    with tifffile.TiffWriter(path) as writer:
        for colormap in maps:
            writer.write(numbers, photometric="palette", colormap=colormap * 257, metadata=None, contiguous=False)
    np.testing.assert_array_equal(read_image(path).data, np.stack([colormap.T[numbers] for colormap in maps]))
    picture = Image.fromarray(numbers % 4).convert("P")
    picture.putpalette(COLORS.T[:4].astype(np.uint8).tobytes())
    picture.save(path, bits=4)
    np.testing.assert_array_equal(read_image(path).data, COLORS.T[numbers % 4])


def test_inks_become_red_green_and_blue(tmp_path):
    path, copy = tmp_path / "inks.tif", tmp_path / "copy.tif"
    picture = Image.fromarray(values((40, 50, 4), "uint8"), "CMYK")
    picture.save(path, dpi=(254, 127), icc_profile=b"inks" * 40)
    image = read_image(path)
    assert image.axes == "YXS"
    assert np.abs(image.data.astype(int) - np.asarray(picture.convert("RGB"))).max() <= 1
    assert image.notes == (f"{path} has colors of inks (CMYK); they are read as red, green and blue, and written so.",)
    write_image(copy, image.data, image)
    with Image.open(copy) as written:
        assert (written.mode, written.info["dpi"], written.info.get("icc_profile")) == ("RGB", (254, 127), None)
    tifffile.imwrite(path, values((40, 50, 4), "uint16"), photometric="separated")
    assert read_image(path).data.dtype == np.uint16


def test_luminance_is_converted_and_other_colors_and_transparency_are_refused(tmp_path):
    path = tmp_path / "image.tif"
    picture = Image.fromarray(values((40, 50, 3), "uint8"))
    picture.convert("YCbCr").save(path)
    expected = np.asarray(picture.convert("YCbCr").convert("RGB")).astype(int)
    assert np.abs(read_image(path).data - expected).max() <= 1
    Image.merge("LAB", picture.split()).save(path)
    with pytest.raises(FileError, match=r"has CIELAB colors, which are not read\. Save it in red, green and blue\."):
        read_image(path)
    Image.fromarray(values((40, 50, 2), "uint8")).save(path)
    with pytest.raises(FileError, match=r"is gray with transparency\. Remove its alpha channel"):
        read_image(path)


def turned(picture, orientation):
    """Store a picture so that this orientation shows it upright, as Pillow does."""
    steps = {2: [0], 3: [3], 4: [1], 5: [5], 6: [2], 7: [6], 8: [4]}  # of Image.Transpose, each undone by Pillow's own
    for step in steps.get(orientation, []):
        picture = picture.transpose(Image.Transpose(step))
    return picture


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg"])
def test_turned_pictures_are_read_upright_and_written_as_they_were(tmp_path, orientation, suffix):
    path, copy, other = tmp_path / f"image{suffix}", tmp_path / "copy.tif", tmp_path / "copy.png"
    picture = Image.fromarray(values((40, 50, 3), "uint8"))
    exif = Image.Exif()
    exif[274] = orientation
    turned(picture, orientation).save(path, exif=exif, dpi=(254, 127), quality=100, subsampling=0)
    image = read_image(path)
    assert image.data.shape == (40, 50, 3)
    assert np.abs(image.data.astype(int) - np.asarray(picture)).max() <= (8 if suffix == ".jpg" else 0)
    for target in (copy, other):
        write_image(target, image.data, image)
        with Image.open(target) as written:
            assert written.getexif().get(274, 1) == orientation
            assert written.size == ((50, 40) if orientation < 5 or target == copy else (40, 50))  # Pillow turns TIFF
            assert written.info["dpi"] == pytest.approx((254, 127), rel=1e-3)
        np.testing.assert_array_equal(read_image(target).data, image.data)
    write_stack(copy, [image.data, image.data], "step", [1, 2], image)
    np.testing.assert_array_equal(read_image(copy).data, [image.data, image.data])


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("name", ["copy.ome.tif", "copy.zarr", "copy.nii", "copy.cfl"])
def test_a_turned_picture_is_upright_in_files_of_other_formats_too(tmp_path, orientation, name):
    path, picture = tmp_path / "image.tif", Image.fromarray(values((40, 50), "uint8"))
    exif = Image.Exif()
    exif[274] = orientation
    turned(picture, orientation).save(path, exif=exif)
    image = read_image(path)
    write_image(tmp_path / name, image.data, image)
    np.testing.assert_array_equal(read_image(tmp_path / name).data, np.asarray(picture))
    write_stack(tmp_path / f"s{name}", [image.data, image.data], "step", [1, 2], image)
    np.testing.assert_array_equal(np.squeeze(read_image(tmp_path / f"s{name}").data), [np.asarray(picture)] * 2)


@pytest.mark.parametrize(("shape", "axes"), [((3, 12, 13), "SYX"), ((4, 3, 12, 13), "TSYX")])
def test_colors_in_planes_of_their_own_are_written_as_ome(tmp_path, shape, axes):
    path, copy = tmp_path / "image.tif", tmp_path / "copy.ome.tif"
    data = np.random.default_rng(0).integers(0, 200, shape, "uint8")
    tifffile.imwrite(path, data, photometric="rgb", planarconfig="separate")
    image = read_image(path, axes)
    write_image(copy, image.data, image)
    again = read_image(copy)
    assert again.axes == axes
    np.testing.assert_array_equal(again.data, data)


def test_the_distances_of_a_turned_image_turn_with_it(tmp_path):
    path = tmp_path / "image.tif"
    tags = {"imagej": True, "resolution": (4, 5), "metadata": {"unit": "um"}, "extratags": [(274, "H", 1, 6, True)]}
    tifffile.imwrite(path, values((40, 50), "uint8"), **tags)
    image = read_image(path).image
    assert image.data.shape == (50, 40)
    assert image.scale == (0.25, 0.2)


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.9])
@pytest.mark.parametrize("kind", ["plain.tif", "zlib.tif", "lzw.tif", "a.png", "a.jpg", "a.bmp"])
def test_cut_files_are_refused_with_a_sentence(tmp_path, kind, share):
    data = values((40, 50), "uint8")
    name, suffix = kind.split(".")
    if suffix == "tif":
        options = {"plain": {}, "zlib": {"compression": "tiff_adobe_deflate"}, "lzw": {"compression": "tiff_lzw"}}[name]
    else:
        options = {}
    content = io.BytesIO()
    Image.fromarray(data).save(content, {"tif": "TIFF", "jpg": "JPEG"}.get(suffix, suffix.upper()), **options)
    whole = content.getvalue()
    path = tmp_path / kind
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(FileError, match=rf"^{path} (cannot be read|holds no image)"):
        read_image(path)


def test_what_the_tags_do_not_allow_is_refused_before_it_is_computed(tmp_path):
    path, copy = tmp_path / "image.tif", tmp_path / "copy.tif"
    tifffile.imwrite(path, values((40, 50, 3), "uint8"), imagej=True)
    image = read_image(path)
    check_image(copy, image)
    deeper = dataclasses.replace(image, data=np.broadcast_to(np.float32(0), image.data.shape))
    with pytest.raises(
        FileError, match=r"copy\.tif cannot hold float32 values of shape \(40, 50, 3\) with the tags of the file"
    ):
        check_image(copy, deeper)
    assert not copy.exists()
    with pytest.warns(UserWarning, match="zero-size"):
        tifffile.imwrite(path, shape=(0, 5), dtype="uint8")
    with pytest.raises(FileError, match=r"holds an image without pixels\. Name another file\.$"):
        read_image(path)


def test_missing_files_of_an_image_are_told(tmp_path):
    path = tmp_path / "first.ome.tif"
    tifffile.imwrite(path, values((40, 50), "uint8"), metadata={"axes": "YX"})
    xml = tifffile.tiffcomment(path).replace('SizeZ="1"', 'SizeZ="2"')
    other = '<TiffData IFD="0" FirstZ="1" PlaneCount="1"><UUID FileName="second.ome.tif">urn:uuid:1</UUID></TiffData>'
    tifffile.tiffcomment(path, xml.replace("</Pixels>", f"{other}</Pixels>").encode())
    with pytest.raises(FileError, match=r"lacks 1 of the 2 planes of its image: they are in other files"):
        read_image(path)
