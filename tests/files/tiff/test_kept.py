"""TIFF files keep all they say when they are read and written again."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_convgen.core.image import Layout
from napari_convgen.errors import FileError, InputError
from napari_convgen.files.images import read_image, write_image
from napari_convgen.files.tiff.tags import layout_letters

SIZES = {"T": 2, "Z": 3, "C": 2, "Y": 6, "X": 7, "S": 3}


def values(shape, dtype, seed=0):
    numbers = np.random.default_rng(seed).integers(0, 200, shape)
    return (numbers > 100) if dtype == "bool" else numbers.astype(dtype)


def assert_kept(source, describe):
    """Read a TIFF file, write it again, and find the same in both."""
    image = read_image(source)
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
def test_imagej_files_keep_all_they_say(
    describe, counted, dtype, is_color, resolution, unit, spacing, interval, is_labeled
):
    axes = counted + ("YXS" if is_color and dtype == "uint8" else "YX")
    metadata = {"axes": axes, "spacing": spacing, "finterval": interval, "Info": "a: 1 µm\nb: 2", "min": 3.0}
    metadata |= {"unit": unit} if unit else {}
    n_planes = int(np.prod([SIZES[letter] for letter in counted]))
    metadata |= {"Labels": [f"plane {i} µ" for i in range(n_planes)]} if is_labeled else {}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "image.tif"
        data = values([SIZES[letter] for letter in axes], dtype)
        tifffile.imwrite(source, data, imagej=True, resolution=resolution, metadata=metadata)
        image = assert_kept(source, describe)
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
def test_ome_files_keep_all_they_say(describe, counted, dtype, is_color, is_big, size):
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
        image = assert_kept(source, describe)
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
def test_plain_files_keep_all_they_say(
    describe, axes, dtype, unit, resolution, is_big, compression, byteorder, description
):
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
        image = assert_kept(source, describe)
    np.testing.assert_array_equal(image.data, data)
    assert len(set(image.axes)) == data.ndim


def test_pages_palettes_and_extra_samples_are_kept(describe, tmp_path):
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
        image = assert_kept(source, describe)
        assert image.axes == axes
        np.testing.assert_array_equal(image.data, data)


def test_the_image_that_is_chosen_is_read_and_the_others_are_named(tmp_path):
    source, copy = tmp_path / "two.ome.tif", tmp_path / "copy.ome.tif"
    first, second = values((2, 6, 7), "uint8"), values((4, 5), "uint8")
    with tifffile.TiffWriter(source, ome=True) as writer:
        writer.write(first, photometric="minisblack", metadata={"axes": "CYX", "Name": "first"})
        writer.write(second, photometric="minisblack", metadata={"axes": "YX", "Name": "second"})
    image = read_image(source)
    named = "0: 'first' 2 × 6 × 7 uint8 CYX, 1: 'second' 4 × 5 uint8 YX"
    chosen = "number {} is read. --series N (of a reference --reference-series N, in Python series=N) chooses another."
    assert image.notes == (f"{source} holds 2 images ({named}); {chosen.format(0)}",)
    write_image(copy, image.data, image)
    with tifffile.TiffFile(copy) as file:
        assert [(s.name, s.axes, s.shape) for s in file.series] == [("first", "CYX", (2, 6, 7))]
        np.testing.assert_array_equal(file.asarray(), first)
        assert "second" not in file.ome_metadata
        assert "<Image " in file.ome_metadata
    image = read_image(source, series=1)
    assert image.notes == (f"{source} holds 2 images ({named}); {chosen.format(1)}",)
    write_image(copy, image.data, image)
    with tifffile.TiffFile(copy) as file:
        assert [(s.name, s.axes, s.shape) for s in file.series] == [("second", "YX", (4, 5))]
        np.testing.assert_array_equal(file.asarray(), second)
    for number in (2, -1):
        with pytest.raises(FileError, match=rf"but none with the number {number}\. Choose one from 0 to 1\."):
            read_image(source, series=number)


def test_an_ome_file_whose_other_images_are_in_other_files_keeps_what_it_says(tmp_path):
    source, copy = tmp_path / "second.ome.tif", tmp_path / "copy.ome.tif"
    data = values((6, 7), "uint16")
    with tifffile.TiffWriter(source) as file:
        for name in ("first", "second"):
            file.write(data, metadata={"axes": "YX", "Name": name, "PhysicalSizeX": 0.25 * (1 + (name == "first"))})
    there = '<TiffData IFD="0" PlaneCount="1"/>'
    gone = '<TiffData IFD="0" PlaneCount="1"><UUID FileName="gone.ome.tif">urn:uuid:1</UUID></TiffData>'
    tifffile.tiffcomment(source, tifffile.tiffcomment(source).replace(there, gone, 1).encode())
    image = read_image(source)
    assert image.calibration == ((1.0, 0.25), ("pixel", "µm"))
    write_image(copy, image.data, image)
    assert 'Name="second"' in tifffile.tiffcomment(copy)
    assert 'Name="first"' not in tifffile.tiffcomment(copy)


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


def test_axes_that_overrule_the_file_are_written_where_there_is_a_place(describe, tmp_path):
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
    ("shape", "own", "axes"),
    [
        ((4, 6, 7), "ZYX", "CYX"),
        ((4, 6, 7), "CYX", "TYX"),
        ((4, 2, 6, 7), "TCYX", "CZYX"),
        ((4, 6, 7, 3), "ZYXS", "TYXS"),
    ],
)
def test_axes_that_overrule_an_ome_file_are_what_its_copy_says(tmp_path, shape, own, axes):
    source, copy = tmp_path / "image.ome.tif", tmp_path / "copy.ome.tif"
    said = {"axes": own, "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 2, "Description": "of mine"}
    said |= (
        {"Plane": {"PositionX": [0.5] * 4}}
        if own == "ZYX"
        else {"Channel": {"Name": list("abcd")}}
        if own == "CYX"
        else {}
    )
    data = values(shape, "uint8")
    tifffile.imwrite(source, data, photometric="rgb" if "S" in own else "minisblack", metadata=said)
    image = read_image(source, axes)
    assert image.notes == ()
    write_image(copy, data, image)
    kept = read_image(copy)
    assert (kept.axes, kept.calibration) == (axes, image.calibration)
    np.testing.assert_array_equal(kept.data, data)
    with tifffile.TiffFile(copy) as file:
        assert file.series[0].axes == axes
        assert ">of mine<" in file.ome_metadata
        assert file.ome_metadata.count("<Channel ") == (4 if axes[0] == "C" else 1)
        assert "<Plane" not in file.ome_metadata


def test_axes_that_ome_does_not_have_are_named(tmp_path):
    source = tmp_path / "image.ome.tif"
    tifffile.imwrite(source, values((4, 6, 7), "uint8"), photometric="minisblack", metadata={"axes": "ZYX"})
    assert read_image(source, "ZYX").notes == ()
    assert read_image(source, "QYX").notes == (
        f"An OME-TIFF file has no place for the axes QYX: a TIFF output says ZYX, as {source} does.",
    )


def test_a_compression_that_needs_another_package_is_named(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "image.tif", values((6, 7), "uint8"))

    def refuse(self):
        raise KeyError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", refuse)
    with pytest.raises(FileError, match=r"LZW.*\. Install it with: pip install imagecodecs\.$"):
        read_image(tmp_path / "image.tif")


@given(st.lists(st.sampled_from("TZCSQI?"), max_size=5), st.booleans(), st.sampled_from([2, 3, 4]))
def test_any_letters_of_a_file_become_axes_of_a_layout(counted, is_color, n_samples):
    letters = "".join(counted) + "YX"
    shape = [n_samples if letter == "S" else 5 for letter in letters]
    if letters.count("S") <= 1:
        assert len(Layout.of(shape, layout_letters(letters, shape, is_color)).axes) == len(shape)
