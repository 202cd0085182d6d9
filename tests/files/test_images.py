import json
import os
import struct
import tempfile
import zlib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_convgen.core.image import Layout
from napari_convgen.errors import FileError, InputError
from napari_convgen.files import atomic, tiff
from napari_convgen.files.atomic import check_writable, replacing, write_text
from napari_convgen.files.images import check_image, read_image, write_image
from napari_convgen.files.stack import check_stack, write_stack

SIZES = {"T": 2, "Z": 3, "C": 2, "Y": 6, "X": 7, "S": 3}


def values(shape, dtype, seed=0):
    numbers = np.random.default_rng(seed).integers(0, 200, shape)
    return (numbers > 100) if dtype == "bool" else numbers.astype(dtype)


def describe(path):
    """All that a TIFF file says, as tifffile reads it."""
    with tifffile.TiffFile(path) as file:
        series, page = file.series[0], file.series[0].keyframe
        ome = None
        if file.is_ome:
            image = ElementTree.fromstring(file.ome_metadata).find("{*}Image")
            ome = [(element.tag, element.attrib, element.text) for element in image.iter()]
        return {
            "kind": series.kind,
            "axes": series.axes,
            "shape": series.shape,
            "dtype": series.dtype,
            "photometric": page.photometric,
            "planarconfig": page.planarconfig,
            "extrasamples": page.extrasamples,
            "colormap": None if page.colormap is None else page.colormap.tolist(),
            "resolution": page.resolution,
            "resolutionunit": page.resolutionunit,
            "is_bigtiff": file.is_bigtiff,
            "is_compressed": page.compression != 1,
            "profile": page.tags.valueof("InterColorProfile"),
            "imagej": file.imagej_metadata,
            "shaped": file.shaped_metadata,
            "description": page.description if ome is None else None,
            "ome": ome,
        }


def assert_kept(source, axes=None):
    """Read a TIFF file, write it again, and find the same in both."""
    image = read_image(source, axes)
    copy = source.with_name("copy" + "".join(source.suffixes))
    write_image(copy, image.data, image)
    np.testing.assert_array_equal(tifffile.imread(copy), tifffile.imread(source))
    assert describe(copy) == describe(source)
    assert Layout.of(image.data.shape, image.axes).axes == image.axes
    assert image.data.dtype.isnative
    return image


def axes_among(letters):
    return st.sets(st.sampled_from(letters)).map(lambda chosen: "".join(a for a in letters if a in chosen))


@settings(max_examples=40, deadline=None)
@given(
    counted=axes_among("TZC"),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
    is_color=st.booleans(),
    resolution=st.tuples(*[st.floats(0.01, 1000)] * 2),
    unit=st.sampled_from(["um", "micron", "cm", "\\u00B5m", None]),
    spacing=st.floats(0.01, 100),
    interval=st.floats(0.01, 100),
    is_labeled=st.booleans(),
)
def test_imagej_files_keep_all_they_say(counted, dtype, is_color, resolution, unit, spacing, interval, is_labeled):
    axes = counted + ("YXS" if is_color and dtype == "uint8" else "YX")
    metadata = {"axes": axes, "spacing": spacing, "finterval": interval, "Info": "a: 1 µm\nb: 2", "min": 3.0}
    metadata |= {"unit": unit} if unit else {}
    n_planes = int(np.prod([SIZES[letter] for letter in counted]))
    metadata |= {"Labels": [f"plane {i} µ" for i in range(n_planes)]} if is_labeled else {}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "image.tif"
        data = values([SIZES[letter] for letter in axes], dtype)
        tifffile.imwrite(source, data, imagej=True, resolution=resolution, metadata=metadata)
        image = assert_kept(source)
    assert image.axes == (axes.replace("C", "Q") if "S" in axes else axes)
    np.testing.assert_array_equal(image.data, data)


@settings(max_examples=40, deadline=None)
@given(
    counted=st.one_of(axes_among("TZC"), axes_among("ZCT"), st.just("AZ"), st.just("TQ")),
    dtype=st.sampled_from(["uint8", "int16", "uint16", "float32", "float64", "bool"]),
    is_color=st.booleans(),
    is_big=st.booleans(),
    size=st.floats(0.01, 10),
)
def test_ome_files_keep_all_they_say(counted, dtype, is_color, is_big, size):
    axes = counted + ("YXS" if is_color and dtype == "uint8" else "YX")
    n_channels = 1 if "S" in axes or "C" not in axes else SIZES["C"]
    metadata = {
        "axes": axes,
        "Name": "cells, 37 °C",
        "PhysicalSizeX": size,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeZ": 2 * size,
        "PhysicalSizeZUnit": "nm",
        "TimeIncrement": 1.5,
        "TimeIncrementUnit": "s",
        "Channel": {"Name": [f"channel {i}" for i in range(n_channels)]},
    }
    if {"C", "S"} <= set(axes):
        del metadata["Channel"]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "image.ome.tif"
        data = values([SIZES.get(letter, 2) for letter in axes], dtype)
        photometric = "rgb" if "S" in axes else "minisblack"
        tifffile.imwrite(source, data, photometric=photometric, bigtiff=is_big, metadata=metadata)
        image = assert_kept(source)
    assert image.axes == (axes.replace("C", "Q") if "S" in axes else axes)
    np.testing.assert_array_equal(image.data, data)


@settings(max_examples=40, deadline=None)
@given(
    axes=st.sampled_from(["YX", "YXS", "SYX", "TYX", "ZCYX", "QYX", "QQYX", "AQYXS", None]),
    dtype=st.sampled_from(["uint8", "int16", "uint32", "float16", "float32", "float64", "bool"]),
    unit=st.sampled_from(["none", "inch", "centimeter"]),
    resolution=st.tuples(*[st.floats(0.01, 1000)] * 2),
    is_big=st.booleans(),
    compression=st.sampled_from([None, "zlib"]),
    byteorder=st.sampled_from("<>"),
    description=st.sampled_from([None, "gain 2, 37 °C"]),
)
def test_plain_files_keep_all_they_say(axes, dtype, unit, resolution, is_big, compression, byteorder, description):
    is_color = axes is not None and "S" in axes and dtype != "bool"
    planar = {"planarconfig": "contig" if axes.endswith("S") else "separate"} if is_color else {}
    axes = axes if axes is None or is_color else axes.replace("S", "")
    data = values([SIZES.get(letter, 2) for letter in axes or "IYX"], dtype)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "image.tif"
        tifffile.imwrite(
            source,
            data,
            byteorder=byteorder,
            bigtiff=is_big,
            photometric="rgb" if is_color else "minisblack",
            resolution=resolution,
            resolutionunit=unit,
            compression=compression,
            description=None if description is None else description.encode(),
            metadata={"axes": axes, "stage": [1, 2]} if axes else None,
            **planar,
        )
        image = assert_kept(source)
    np.testing.assert_array_equal(image.data, data)
    assert len(set(image.axes)) == data.ndim


def test_pages_palettes_and_extra_samples_are_kept(tmp_path):
    colormap = np.arange(768, dtype="uint16").reshape(3, 256)
    cases = [
        (values((5, 6, 7), "uint8"), "IYX", {"photometric": "minisblack", "metadata": None}),
        (values((3, 6, 7), "uint8"), "IYX", {"photometric": "minisblack", "metadata": None}),
        (values((6, 7), "uint8"), "YX", {"photometric": "palette", "colormap": colormap}),
        (values((6, 7), "uint8"), "YX", {"photometric": "miniswhite"}),
        (values((6, 7, 4), "uint8"), "YXS", {"photometric": "rgb", "extrasamples": ["assocalpha"]}),
        (values((6, 7, 3), "uint8"), "YXC", {"photometric": "minisblack", "planarconfig": "contig"}),
        (values((6, 7, 2), "uint8"), "YXC", {"photometric": "minisblack", "planarconfig": "contig"}),
        (values((5, 6, 7), "uint8"), "CYX", {"photometric": "minisblack", "planarconfig": "separate"}),
        (values((6, 7), "uint8"), "YX", {"photometric": "palette", "colormap": colormap, "imagej": True}),
        (values((6, 7), "uint8"), "YX", {"photometric": "minisblack", "iccprofile": b"profile" * 30}),
    ]
    for data, axes, tags in cases:
        source = tmp_path / "image.tif"
        tifffile.imwrite(source, data, **tags)
        image = assert_kept(source)
        assert image.axes == axes
        np.testing.assert_array_equal(image.data, data)


def test_only_the_first_image_is_read_and_said_so(tmp_path):
    source, copy = tmp_path / "two.ome.tif", tmp_path / "copy.ome.tif"
    first, second = values((2, 6, 7), "uint8"), values((4, 5), "uint8")
    with tifffile.TiffWriter(source, ome=True) as writer:
        writer.write(first, photometric="minisblack", metadata={"axes": "CYX", "Name": "first"})
        writer.write(second, photometric="minisblack", metadata={"axes": "YX", "Name": "second"})
    image = read_image(source)
    assert image.notes == (f"{source} holds 2 images; only the first is used.",)
    write_image(copy, image.data, image)
    with tifffile.TiffFile(copy) as file:
        assert [(s.name, s.axes, s.shape) for s in file.series] == [("first", "CYX", (2, 6, 7))]
        np.testing.assert_array_equal(file.asarray(), first)
        assert "second" not in file.ome_metadata
        assert "<Image " in file.ome_metadata


def test_ome_planes_in_another_order_are_written_in_order(tmp_path):
    source, copy = tmp_path / "image.ome.tif", tmp_path / "copy.ome.tif"
    planes = values((2, 6, 7), "uint8")
    tifffile.imwrite(source, planes, photometric="minisblack", metadata={"axes": "CYX"})
    swapped = "".join(f'<TiffData IFD="{1 - c}" FirstC="{c}" PlaneCount="1"/>' for c in range(2))
    xml = tifffile.tiffcomment(source).replace('<TiffData IFD="0" PlaneCount="2"/>', swapped)
    tifffile.tiffcomment(source, xml.encode())
    image = read_image(source)
    np.testing.assert_array_equal(image.data, planes[::-1])
    write_image(copy, image.data, image)
    np.testing.assert_array_equal(read_image(copy).data, planes[::-1])


def test_axes_that_overrule_the_file_are_written_where_there_is_a_place(tmp_path):
    source, copy = tmp_path / "image.tif", tmp_path / "copy.tif"
    data = values((4, 6, 7), "uint16")
    for tags, axes, written in [
        ({"imagej": True, "metadata": {"axes": "ZYX"}}, "tyx", "TYX"),
        ({"imagej": True, "metadata": {"axes": "ZYX"}}, "QYX", "ZYX"),
        ({"metadata": None}, "ZYX", "ZYX"),
        ({"metadata": {"axes": "QYX", "stage": 3}}, "ZYX", "ZYX"),
    ]:
        tifffile.imwrite(source, data, photometric="minisblack", **tags)
        image = read_image(source, axes)
        assert image.axes == axes.upper()
        write_image(copy, data, image)
        assert describe(copy)["axes"] == written
    assert describe(copy)["shaped"][0]["stage"] == 3
    with pytest.raises(InputError, match="expected 3 letters"):
        read_image(source, "YX")


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [("uint8", (6, 7)), ("uint16", (6, 7)), ("bool", (6, 7)), ("uint8", (6, 7, 3)), ("uint8", (6, 7, 4))],
)
def test_png_keeps_values_resolution_and_profile(tmp_path, dtype, shape):
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


def test_jpeg_and_bmp_are_read(tmp_path):
    data = np.full((16, 16, 3), 90, "uint8")
    for name in ("image.jpg", "image.bmp"):
        Image.fromarray(data).save(tmp_path / name)
        image = read_image(tmp_path / name)
        assert image.axes == "YXS"
        assert np.abs(image.data.astype(int) - 90).max() <= 1


@pytest.fixture
def gray(tmp_path):
    path = tmp_path / "gray.tif"
    tifffile.imwrite(path, values((6, 7), "uint16"), imagej=True, resolution=(4, 5), metadata={"unit": "um"})
    return read_image(path)


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


def test_paths_that_cannot_be_written_are_refused(tmp_path, gray, monkeypatch):
    for name, sentence in [
        ("image.jpg", r"must end in \.tif or \.tiff or \.png\.$"),
        ("image", r"must end in \.tif"),
        ("missing/image.tif", r"the folder .*missing does not exist\. Create it first\.$"),
        ("gray.tif/image.tif", r"the folder .*gray\.tif does not exist"),
        ("folder.tif", r"is a folder\. Name a file in it\.$"),
        ("image.ome.tif", r"would not be OME-TIFF"),
    ]:
        (tmp_path / "folder.tif").mkdir(exist_ok=True)
        with pytest.raises(FileError, match=sentence):
            check_image(tmp_path / name, gray)
    with pytest.raises(FileError, match=r"must end in \.tif or \.tiff\.$"):
        check_stack(tmp_path / "snapshots.png")
    with pytest.raises(FileError, match="would not be OME-TIFF"):
        check_stack(tmp_path / "snapshots.ome.tiff")

    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(atomic, "open", refuse, raising=False)
    with pytest.raises(FileError, match=r"image\.tif cannot be written: Permission denied\. Choose another folder\.$"):
        check_image(tmp_path / "image.tif", gray)
    with pytest.raises(FileError, match=r"report\.json cannot be written: Permission denied\.$"):
        write_text(tmp_path / "report.json", "{}")


def test_checking_leaves_nothing_behind(tmp_path, gray):
    before = sorted(os.listdir(tmp_path))
    check_image(tmp_path / "image.tif", gray)
    check_stack(tmp_path / "image.tif")
    check_writable(tmp_path / "report.json", (".json",))
    assert sorted(os.listdir(tmp_path)) == before


def test_files_that_cannot_be_read_are_refused(tmp_path):
    (tmp_path / "text.tif").write_text("no image")
    (tmp_path / "text.png").write_text("no image")
    whole = tmp_path / "whole.png"
    Image.fromarray(values((60, 70), "uint8")).save(whole)
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:1000])
    (tmp_path / "folder.tif").mkdir()
    for name, sentence in [
        ("image.czi", r"must end in \.tif, \.tiff, \.png, \.jpg, \.jpeg or \.bmp\.$"),
        ("missing.tif", r"missing\.tif does not exist\. Name an image file\.$"),
        ("folder.tif", r"is a folder\. Name an image file\.$"),
        ("text.tif", r"text\.tif cannot be read: not a TIFF file"),
        ("text.png", r"text\.png cannot be read: cannot identify image file"),
        ("cut.png", r"cut\.png cannot be read: .*truncated"),
    ]:
        with pytest.raises(FileError, match=sentence):
            read_image(tmp_path / name)


def test_a_compression_that_needs_another_package_is_named(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "image.tif", values((6, 7), "uint8"))

    def refuse(self):
        raise KeyError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", refuse)
    with pytest.raises(FileError, match=r"LZW.*\. Install it with: pip install imagecodecs\.$"):
        read_image(tmp_path / "image.tif")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), RuntimeError("broken")])
@pytest.mark.parametrize("has_old", [False, True])
def test_a_failure_in_the_middle_leaves_the_old_file_and_no_other(tmp_path, gray, monkeypatch, error, has_old):
    def write_half(file, *args):
        file.write(b"half")
        raise error

    target = tmp_path / "image.tif"
    if has_old:
        target.write_bytes(b"old")
    before = sorted(os.listdir(tmp_path))
    monkeypatch.setattr(tiff, "write_tiff", write_half)
    raised = FileError if isinstance(error, OSError) else type(error)
    sentence = r"image\.tif cannot be written: No space left on device\.$" if raised is FileError else None
    for write in (
        lambda: write_image(target, gray.data, gray),
        lambda: write_stack(target, [gray.data], "step", [1], gray),
    ):
        with pytest.raises(raised, match=sentence):
            write()
        assert sorted(os.listdir(tmp_path)) == before
        assert not has_old or target.read_bytes() == b"old"


def test_a_file_is_replaced_only_when_it_is_whole(tmp_path):
    target = tmp_path / "text.json"
    target.write_text("old")
    with replacing(target) as file:
        file.write(b"new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["text.json"]


@pytest.mark.skipif(os.name == "nt", reason="links and modes of POSIX")
def test_a_link_stays_and_the_mode_is_the_usual_one(tmp_path):
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    target.write_text("old")
    usual = target.stat().st_mode
    link.symlink_to(target)
    write_text(link, "new µ")
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8") == "new µ"
    assert target.stat().st_mode == usual


def test_snapshots_name_their_steps_in_imagej(tmp_path, gray):
    stack = [gray.data, gray.data + 1, gray.data + 2]
    write_stack(tmp_path / "stack.tif", stack, "step", [1, 20, 300], gray)
    said = describe(tmp_path / "stack.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "stack.tif"), np.stack(stack))
    assert (said["kind"], said["axes"], said["resolution"]) == ("imagej", "TYX", (4, 5))
    assert said["imagej"]["Labels"] == ["step 1", "step 20", "step 300"]
    assert json.loads(said["imagej"]["steps"]) == [1, 20, 300]
    assert said["imagej"]["unit"] == "um"


def test_snapshots_of_a_stack_label_each_plane(tmp_path):
    source, target = tmp_path / "image.tif", tmp_path / "stack.tif"
    tifffile.imwrite(source, values((3, 2, 6, 7), "uint8"), imagej=True, metadata={"axes": "TCYX", "finterval": 2})
    image = read_image(source)
    write_stack(target, [image.data, image.data], "step", [5, 8], image)
    said = describe(target)
    assert (said["axes"], said["shape"]) == ("TZCYX", (2, 3, 2, 6, 7))
    assert said["imagej"]["Labels"] == ["step 5"] * 6 + ["step 8"] * 6


def test_snapshots_of_an_ome_image_have_its_pixel_size(tmp_path):
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
def test_snapshots_that_imagej_cannot_hold_say_their_steps_in_json(tmp_path, dtype, shape, tags):
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


@given(st.lists(st.sampled_from("TZCSQI?"), max_size=5), st.booleans(), st.sampled_from([2, 3, 4]))
def test_any_letters_of_a_file_become_axes_of_a_layout(counted, is_color, n_samples):
    letters = "".join(counted) + "YX"
    shape = [n_samples if letter == "S" else 5 for letter in letters]
    if letters.count("S") <= 1:
        assert len(Layout.of(shape, tiff._layout_letters(letters, shape, is_color)).axes) == len(shape)
