"""PNG, JPEG and BMP files, and what they have in common with TIFF files."""

import os
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_convgen.errors import FileError
from napari_convgen.files.images import check_image, read_image, write_image


def values(shape, dtype, seed=0):
    numbers = np.random.default_rng(seed).integers(0, 200, shape)
    return (numbers > 100) if dtype == "bool" else numbers.astype(dtype)


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [("uint8", (6, 7)), ("uint16", (6, 7)), ("bool", (6, 7)), ("uint8", (6, 7, 3)), ("uint8", (6, 7, 4))],
)
def test_png_keeps_values_resolution_and_profile(describe, tmp_path, dtype, shape):
    source, copy = tmp_path / "image.png", tmp_path / "copy.PNG"
    data = values(shape, dtype)
    Image.fromarray(data).save(source, dpi=(254, 127), icc_profile=b"profile" * 30)
    image = read_image(source)
    assert (image.axes, image.data.dtype) == ("YXS"[: len(shape)], data.dtype)
    write_image(copy, image.data, image)
    np.testing.assert_array_equal(np.asarray(Image.open(copy)), data)
    again = read_image(copy)
    assert again.png == image.png
    assert again.png["icc_profile"] == b"profile" * 30

    as_tiff = tmp_path / "copy.tif"
    write_image(as_tiff, image.data, image)
    tiff_image = read_image(as_tiff)
    np.testing.assert_array_equal(tiff_image.data, data)
    assert tiff_image.axes == image.axes
    assert describe(as_tiff)["resolution"] == pytest.approx((254, 127), rel=1e-4)
    write_image(copy, tiff_image.data, tiff_image)
    assert read_image(copy).png["dpi"] == pytest.approx(image.png["dpi"], rel=1e-4)
    assert read_image(copy).png["icc_profile"] == b"profile" * 30


def test_tiff_resolution_in_centimeters_and_planes_of_color_become_png(tmp_path):
    source, target = tmp_path / "image.tif", tmp_path / "image.png"
    data = values((3, 6, 7), "uint8")
    size = {"resolution": (100, 50), "resolutionunit": "centimeter"}
    tifffile.imwrite(source, data, photometric="rgb", planarconfig="separate", **size)
    image = read_image(source)
    write_image(target, image.data, image)
    np.testing.assert_array_equal(read_image(target).data, np.moveaxis(data, 0, -1))
    assert read_image(target).png["dpi"] == pytest.approx((254, 127), rel=1e-3)


def test_indexed_png_is_read_as_the_colors_it_shows(tmp_path):
    indices = values((6, 7), "uint8") % 4
    for palette, colors in [
        ([0, 0, 0, 10, 20, 30, 40, 50, 60, 7, 8, 9], [[0, 0, 0], [10, 20, 30], [40, 50, 60], [7, 8, 9]]),
        ([0, 0, 0, 9, 9, 9, 90, 90, 90, 255, 255, 255], [0, 9, 90, 255]),
    ]:
        picture = Image.fromarray(indices).convert("P")
        picture.putpalette(palette)
        picture.save(tmp_path / "image.png")
        np.testing.assert_array_equal(read_image(tmp_path / "image.png").data, np.array(colors)[indices])


def deep_png(samples):
    """A PNG file of 16 bits, which Pillow writes for gray only."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    kind = {1: 0, 2: 4, 3: 2, 4: 6}[samples.shape[2]]
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], 16, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("n_samples", [1, 2, 3, 4])
def test_deep_png_is_read_whole_or_refused(tmp_path, n_samples):
    samples = np.random.default_rng(0).integers(0, 2**16, (6, 7, n_samples), dtype="uint16")
    path = tmp_path / "deep.png"
    path.write_bytes(deep_png(samples))
    if n_samples == 1:
        np.testing.assert_array_equal(read_image(path).data, samples[..., 0])
    else:
        with pytest.raises(FileError, match=r"in 16 bits, of which 8 would be lost\. Save it as \.tif"):
            read_image(path)


def test_gray_with_alpha_is_gray_if_opaque_and_refused_otherwise(tmp_path):
    path = tmp_path / "image.png"
    samples = np.stack([values((6, 7), "uint8"), np.full((6, 7), 255, "uint8")], -1)
    Image.fromarray(samples).save(path)
    np.testing.assert_array_equal(read_image(path).data, samples[..., 0])
    samples[2, 2, 1] = 7
    Image.fromarray(samples).save(path)
    with pytest.raises(FileError, match="gray with transparency"):
        read_image(path)


def test_color_that_stands_for_transparency_is_read_so(tmp_path):
    path, gray, color = tmp_path / "image.png", values((6, 7), "uint8"), values((6, 7, 3), "uint8")
    for mode, data, key, other in [
        ("L", gray, int(gray[2, 3]), 255),
        ("RGB", color, tuple(color[2, 3].tolist()), (255, 255, 255)),
    ]:
        picture = Image.fromarray(data)
        picture.save(path, transparency=other)
        np.testing.assert_array_equal(read_image(path).data, data)
        picture.save(path, transparency=key)
        if mode == "L":
            with pytest.raises(FileError, match="gray with transparency"):
                read_image(path)
        else:
            np.testing.assert_array_equal(read_image(path).data[..., 3], np.where((data == key).all(-1), 0, 255))


def test_an_animation_holds_several_images(tmp_path):
    path, frames = tmp_path / "image.png", [values((6, 7), "uint8", seed) for seed in range(3)]
    first, *others = map(Image.fromarray, frames)
    first.save(path, save_all=True, append_images=others)
    for number, frame in enumerate(frames):
        image = read_image(path, series=number)
        np.testing.assert_array_equal(image.data.reshape(6, 7, -1)[..., 0], frame)
        assert image.notes[0].startswith(
            f"{path} holds 3 images (0: 6 × 7 L, 1: 6 × 7 L, 2: 6 × 7 L); number {number} is"
        )
    with pytest.raises(FileError, match=r"but none with the number 3\. Choose one from 0 to 2\."):
        read_image(path, series=3)


def test_a_negative_is_a_positive_where_negatives_are_not_known(tmp_path):
    data = values((6, 7), "uint8")
    tifffile.imwrite(tmp_path / "image.tif", 255 - data, photometric="miniswhite")
    image = read_image(tmp_path / "image.tif")
    write_image(tmp_path / "image.png", image.data, image)
    np.testing.assert_array_equal(read_image(tmp_path / "image.png").data, data)


def test_jpeg_and_bmp_are_read(tmp_path):
    data = np.full((16, 16, 3), 90, "uint8")
    for name in ("image.jpg", "image.bmp"):
        Image.fromarray(data).save(tmp_path / name)
        image = read_image(tmp_path / name)
        assert image.axes == "YXS"
        assert np.abs(image.data.astype(int) - 90).max() <= 1


@pytest.mark.parametrize(
    ("dtype", "shape", "axes", "sentence"),
    [
        ("float32", (6, 7), "YX", r"float32 values: gray in PNG has 8 or 16 bits\. Write a \.tif instead\.$"),
        ("int16", (6, 7), "YX", r"cannot hold int16 values"),
        ("uint16", (6, 7, 3), "YXS", r"cannot hold uint16 values: color in PNG has 8 bits\. Write a \.tif instead\.$"),
        ("uint8", (5, 6, 7), "TYX", r"cannot hold a stack with the axes TYX\. Write a \.tif instead\.$"),
        ("uint8", (2, 6, 7), "CYX", r"cannot hold a stack with the axes CYX"),
    ],
)
def test_what_png_cannot_hold_is_refused(tmp_path, dtype, shape, axes, sentence):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, values(shape, dtype), photometric="rgb" if "S" in axes else "minisblack")
    image, target = read_image(path, axes), tmp_path / "image.png"
    with pytest.raises(FileError, match=sentence):
        check_image(target, image)
    with pytest.raises(FileError, match=sentence):
        write_image(target, image.data, image)
    assert os.listdir(tmp_path) == ["image.tif"]


def test_colors_that_are_multiplied_by_their_transparency_stay_in_tiff(tmp_path):
    data, path = values((6, 7, 4), "uint8"), tmp_path / "image.tif"
    tifffile.imwrite(path, data, photometric="rgb", extrasamples=["assocalpha"])
    image = read_image(path)
    with pytest.raises(
        FileError, match=r"cannot hold colors that are multiplied by their transparency\. Write a \.tif"
    ):
        check_image(tmp_path / "image.png", image)
    write_image(tmp_path / "copy.tif", image.data, image)
    assert read_image(tmp_path / "copy.tif").tiff["extrasamples"] == image.tiff["extrasamples"]


def test_a_file_whose_name_says_that_it_is_a_projection_gets_a_note(tmp_path):
    notes = {}
    for name in ("MAX_cells.png", "cells.png"):
        Image.fromarray(values((6, 7), "uint8")).save(tmp_path / name)
        notes[name] = read_image(tmp_path / name).notes
    assert "denoise the stack" in " ".join(notes["MAX_cells.png"])
    assert notes["cells.png"] == ()
