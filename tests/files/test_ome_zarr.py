"""OME-Zarr images: read as they are needed, written as they were stored, with all levels of their pyramid."""

import os

import numpy as np
import pytest
import tifffile

from napari_convgen import cli, new_image
from napari_convgen.core.image import Image
from napari_convgen.errors import FileError
from napari_convgen.files.images import check_image, read_image, write_image
from napari_convgen.files.ome_zarr import writing
from napari_convgen.files.ome_zarr.writing import shrunk

zarr, yaozarrs = pytest.importorskip("zarr"), pytest.importorskip("yaozarrs")

AXES = [
    {"name": "t", "type": "time", "unit": "second"},
    {"name": "c", "type": "channel"},
    {"name": "z", "type": "space", "unit": "micrometer"},
    {"name": "y", "type": "space", "unit": "micrometer"},
    {"name": "x", "type": "space", "unit": "micrometer"},
]


def attributes(version, name="cells"):
    """The attributes of an image with two levels and transformations of each, and of all."""

    def moves(*factors):
        return [{"type": "scale", "scale": [1, 1, *factors]}, {"type": "translation", "translation": [0, 0, 3, 2, 1]}]

    multiscale = {
        "name": name,
        "axes": AXES,
        "datasets": [
            {"path": "full", "coordinateTransformations": moves(2.0, 0.2, 0.2)},
            {"path": "half", "coordinateTransformations": moves(2.0, 0.4, 0.4)},
        ],
        "coordinateTransformations": [{"type": "scale", "scale": [5.0, 1, 1, 1, 2.0]}],
        "type": "gaussian",
    }
    channel = {
        "color": "FF0000",
        "label": "DAPI",
        "active": True,
        "window": {"min": 0, "max": 255, "start": 3, "end": 90},
    }
    omero = {"channels": [channel, channel | {"label": "GFP"}], "name": "cells", "rdefs": {"model": "color"}}
    if version == "0.4":
        return {"multiscales": [multiscale | {"version": "0.4"}], "omero": omero, "of a lab": 7}
    return {"ome": {"version": "0.5", "multiscales": [multiscale], "omero": omero}, "of a lab": 7}


def save(path, version, data, **changes):
    """Write an image of two levels."""
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    group.attrs.update(attributes(version) | changes)
    half = shrunk(data, (*data.shape[:3], 7, 5))
    if version == "0.4":
        import numcodecs

        storage = {"compressors": numcodecs.Zlib(5), "chunk_key_encoding": {"name": "v2", "separator": "/"}}
        storage |= {"filters": [numcodecs.Delta("<u2")], "fill_value": 7}
    else:
        storage = {
            "shards": (1, 2, 2, 8, 8),
            "compressors": zarr.codecs.GzipCodec(level=3),
            "dimension_names": list("tczyx"),
            "filters": [zarr.codecs.TransposeCodec(order=(0, 1, 2, 4, 3))],
            "serializer": zarr.codecs.BytesCodec(endian="big"),
            "fill_value": 7,
        }
    storage["attributes"] = {"detector": "sCMOS"}
    for name, values in (("full", data), ("half", half)):
        group.create_array(name, shape=values.shape, dtype=values.dtype, chunks=(1, 1, 1, 4, 8), **storage)[:] = values
    return group


@pytest.fixture
def data():
    return np.random.default_rng(0).integers(0, 200, (2, 2, 3, 14, 11), "uint16")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_an_image_is_written_as_it_was_stored(tmp_path, data, version, dtype):
    source = save(tmp_path / "image.ome.zarr", version, data)
    image = read_image(tmp_path / "image.ome.zarr")
    assert image.axes == "TCZYX"
    assert not isinstance(image.data, np.ndarray)  # read as needed
    assert image.calibration == ((5.0, 1.0, 2.0, 0.2, 0.4), ("s", "pixel", "µm", "µm", "µm"))
    result = np.asarray(image.data[:]).astype(dtype) + 1
    check_image(tmp_path / "copy.ome.zarr", image, result.dtype)
    write_image(tmp_path / "copy.ome.zarr", result, image)
    yaozarrs.validate_zarr_store(tmp_path / "copy.ome.zarr")
    copy = zarr.open_group(tmp_path / "copy.ome.zarr", mode="r")
    expected = dict(source.attrs)
    (expected if version == "0.4" else expected["ome"])["multiscales"][0]["type"] = "mean"
    assert dict(copy.attrs) == expected
    for name in ("full", "half"):
        old, new = source[name], copy[name]
        assert (new.shape, new.chunks, new.shards, new.dtype) == (old.shape, old.chunks, old.shards, result.dtype)
        assert new.compressors == old.compressors
        assert new.metadata.zarr_format == old.metadata.zarr_format
        if dtype == "uint16":  # filters and fill values are those of a type
            assert (new.filters, new.serializer, new.fill_value) == (old.filters, old.serializer, 7)
        assert dict(new.attrs) == {"detector": "sCMOS"}
    np.testing.assert_array_equal(copy["full"][:], result)
    blocks = result.reshape(2, 2, 3, 7, 2, 11)[..., :10].mean(4)
    means = blocks.reshape(2, 2, 3, 7, 5, 2).mean(-1)
    np.testing.assert_allclose(copy["half"][:], means, atol=1.0 if dtype == "uint16" else 1e-4)


def test_labels_are_not_copied_and_a_note_says_so(tmp_path, data):
    save(tmp_path / "image.zarr", "0.5", data)
    assert read_image(tmp_path / "image.zarr").notes == ()
    zarr.open_group(tmp_path / "image.zarr", mode="a").create_group("labels")
    [note] = read_image(tmp_path / "image.zarr").notes
    assert "has labels, which its result does not get" in note


def test_an_image_of_another_format_gets_a_pyramid(tmp_path):
    data = np.random.default_rng(0).integers(0, 200, (2, 3, 40, 1100), "uint16")
    sizes = {"PhysicalSizeX": 0.2, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.3, "PhysicalSizeYUnit": "µm"}
    tifffile.imwrite(tmp_path / "image.ome.tif", data, metadata={"axes": "ZCYX"} | sizes)
    source = read_image(tmp_path / "image.ome.tif")
    write_image(tmp_path / "image.zarr", source.data, source)
    yaozarrs.validate_zarr_store(tmp_path / "image.zarr")
    image = read_image(tmp_path / "image.zarr")
    np.testing.assert_array_equal(image.data[:], data.swapaxes(0, 1))
    assert image.axes == "CZYX"
    assert image.image.scale[-2:] == (0.3, 0.2)
    assert image.image.units[-2:] == ("µm", "µm")
    assert [level.shape[-2:] for level in image.header.levels] == [(40, 1100), (20, 550), (10, 275)]
    moves = image.header.attributes["ome"]["multiscales"][0]["datasets"][2]["coordinateTransformations"]
    assert moves[0]["scale"][-1] == pytest.approx(0.8)
    assert moves[1]["translation"][-1] == pytest.approx(0.3)
    write_image(tmp_path / "again.ome.tif", np.asarray(image.data[:]), image)
    assert read_image(tmp_path / "again.ome.tif").image.units[-2:] == ("µm", "µm")


def test_levels_are_means_whatever_their_length():
    line = np.arange(7, dtype="uint8")
    assert shrunk(line, (3,)).tolist() == [0, 2, 4]
    assert shrunk(line, (4,)).tolist() == [0, 2, 4, 6]
    assert shrunk(line.astype("float32"), (4,)).tolist() == [0.5, 2.5, 4.5, 6]
    assert shrunk(line, (7,)) is line


def test_several_images_are_chosen_from_and_others_refused(tmp_path, data):
    root = zarr.open_group(tmp_path / "many.zarr", mode="w", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    for number in range(2):
        save(tmp_path / "many.zarr" / str(number), "0.4", data + np.uint16(number))
    image = read_image(tmp_path / "many.zarr", series=1)
    assert "holds 2 images (0: 'cells' 2 × 2 × 3 × 14 × 11 uint16, 1: 'cells'" in image.notes[0]
    np.testing.assert_array_equal(image.data[:], data + 1)
    np.testing.assert_array_equal(read_image(tmp_path / "many.zarr" / "1").data[:], data + 1)
    root.attrs.put({"plate": {"wells": [{"path": "B/2"}]}})
    (tmp_path / "empty.zarr").mkdir()
    zarr.open_group(tmp_path / "bare.zarr", mode="w")
    save(tmp_path / "old.zarr", "0.4", data, multiscales=[attributes("0.4")["multiscales"][0] | {"version": "0.2"}])
    save(
        tmp_path / "wrong.zarr",
        "0.4",
        data,
        multiscales=[{k: v for k, v in attributes("0.4")["multiscales"][0].items() if k != "axes"}],
    )
    for name, sentence in [
        ("many.zarr", r"is a plate of many images\. Name one of them, such as .*B.2.0\.$"),
        ("empty.zarr", r"is a folder\. Name an image file\.$"),
        ("bare.zarr", r"holds no image"),
        ("many.zarr/1/full", r"is a single array of Zarr\. Name the folder"),
        ("old.zarr", r"is OME-Zarr of version 0\.2, and 0\.4 and 0\.5 are read"),
        ("wrong.zarr", r"has attributes that OME-Zarr 0\.4 does not allow"),
    ]:
        with pytest.raises(FileError, match=sentence):
            read_image(tmp_path / name)


def test_an_image_is_replaced_as_a_whole_and_no_other_folder(tmp_path, data):
    save(tmp_path / "image.zarr", "0.5", data)
    image = read_image(tmp_path / "image.zarr")
    (tmp_path / "image.zarr" / "notes.txt").write_text("old")
    write_image(tmp_path / "image.zarr", np.asarray(image.data[:]) + 1, image)
    np.testing.assert_array_equal(read_image(tmp_path / "image.zarr").data[:], data + 1)
    assert not (tmp_path / "image.zarr" / "notes.txt").exists()
    (tmp_path / "other.zarr").mkdir()
    with pytest.raises(FileError, match=r"other\.zarr is a folder\. Name a file in it"):
        check_image(tmp_path / "other.zarr", image)
    assert sorted(os.listdir(tmp_path)) == ["image.zarr", "other.zarr"]


def test_nothing_is_left_of_a_failure(tmp_path, data, monkeypatch):
    save(tmp_path / "image.zarr", "0.5", data)
    image = read_image(tmp_path / "image.zarr")
    monkeypatch.setattr(
        "napari_convgen.files.ome_zarr.writing._store",
        lambda *args: (_ for _ in ()).throw(OSError(28, "No space left on device")),
    )
    for name in ("copy.zarr", "image.zarr"):
        with pytest.raises(
            FileError,
            match=rf"{name} cannot be written: No space left on device\. Make room, or choose another folder\.",
        ):
            write_image(tmp_path / name, np.asarray(image.data[:]), image)
    assert os.listdir(tmp_path) == ["image.zarr"]
    np.testing.assert_array_equal(read_image(tmp_path / "image.zarr").data[:], data)


def test_an_image_is_denoised_from_folder_to_folder(tmp_path, data, capsys):
    save(tmp_path / "in.ome.zarr", "0.4", data)
    source, target = str(tmp_path / "in.ome.zarr"), str(tmp_path / "out.ome.zarr")
    settings = ["--preset", "deep-decoder", "--steps", "3", "--set", "generator.n_channels=8", "--quiet"]
    assert cli.main(["denoise", source, "-o", target, *settings]) == 0
    assert cli.main(["denoise", source, "-o", target, *settings]) == 2
    assert "out.ome.zarr exists already." in capsys.readouterr().err
    assert cli.main(["denoise", source, "-o", target, *settings, "--force"]) == 0
    result = read_image(target)
    assert result.data.shape == data.shape
    assert 0 < np.abs(result.data[:] - data.astype(float)).mean() < 90


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A new image with two levels, and its values."""
    monkeypatch.setattr(writing, "SIDE", 12)
    values = np.arange(3 * 20 * 24, dtype=np.uint16).reshape(3, 20, 24)
    path = tmp_path / "image.zarr"
    write_image(path, values, new_image(Image(values, "ZYX", (2.0, 0.5, 0.5), ("micrometer",) * 3)))
    return path, values


def test_ome_zarr_reads_what_is_written(written):
    io, reader = (pytest.importorskip(f"ome_zarr.{name}") for name in ("io", "reader"))
    path, values = written
    [node] = reader.Reader(io.parse_url(path))()
    assert [level.shape for level in node.data] == [(3, 20, 24), (3, 10, 12)]
    np.testing.assert_array_equal(np.asarray(node.data[0]), values)
    assert [axis["unit"] for axis in node.metadata["axes"]] == ["micrometer"] * 3
    assert node.metadata["coordinateTransformations"][0][0]["scale"] == [2.0, 0.5, 0.5]


def test_napari_ome_zarr_reads_what_is_written(written):
    plugin = pytest.importorskip("napari_ome_zarr")
    path, values = written
    [layer] = plugin.napari_get_reader(str(path))(str(path))
    assert [level.shape for level in layer[0]] == [(3, 20, 24), (3, 10, 12)]
    np.testing.assert_array_equal(np.asarray(layer[0][0]), values)
    assert layer[1]["scale"] == [2.0, 0.5, 0.5]
