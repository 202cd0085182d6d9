"""NIfTI files: values in the right order, and every field of the header kept."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from napari_convgen import cli
from napari_convgen.core.image import Image
from napari_convgen.errors import FileError
from napari_convgen.files import converted
from napari_convgen.files.images import check_image, new_image, read_image, write_image

nibabel = pytest.importorskip("nibabel")


def save(path, data, kind=nibabel.Nifti1Image, **fields):
    """Write an image with all that a header can say."""
    header = kind.header_class()
    header.set_data_shape(data.shape)
    header.set_data_dtype(data.dtype)
    header.set_zooms((2.0, 3.0, 4.0, 1.5, 1.0)[: data.ndim])
    header.set_xyzt_units("mm", "sec")
    header.set_sform(np.array([[0, -3, 0, 5], [2, 0, 0, 6], [0, 0, 4, 7], [0, 0, 0, 1]]), code=4)
    header.set_qform(np.array([[-2, 0, 0, 9], [0, 3, 0, 8], [0, 0, -4, 7], [0, 0, 0, 1]]), code=1)
    header["descrip"], header["intent_name"], header["cal_max"], header["toffset"] = b"a scan", b"name", 7, 2.5
    header.set_dim_info(0, 1, 2)
    header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"kept"))
    image = kind(data, header.get_best_affine(), header)
    for name, value in fields.items():
        image.header[name] = value
    nibabel.save(image, path)
    return raw_header(path)


def raw_header(path):
    with nibabel.openers.ImageOpener(path) as file:
        kind = nibabel.load(path).header_class
        return kind.from_fileobj(file)


def with_slope(path, slope, intercept, dtype="int16"):
    """Write an image whose header has a slope and an intercept."""
    save(path, (np.arange(24) * (1 + 0.5j if dtype == "complex64" else 1)).astype(dtype).reshape(4, 3, 2))
    with nibabel.openers.ImageOpener(path) as file:
        content = bytearray(file.read())
    content[112:120] = np.array([slope, intercept], "<f4").tobytes()
    with nibabel.openers.ImageOpener(path, "wb") as file:
        file.write(bytes(content))


def differences(one, other):
    fields = [(name, one[name], other[name]) for name in one]
    return {name for name, a, b in fields if not np.array_equal(a, b, equal_nan=a.dtype.kind == "f")}


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize(
    ("dtype", "shape"),
    [("int16", (7, 6, 5)), ("uint8", (7, 6, 5, 3)), ("float32", (7, 6)), ("float64", (7, 6, 5, 1, 3))],
)
def test_every_field_is_kept(tmp_path, suffix, kind, dtype, shape):
    path, copy = tmp_path / f"image{suffix}", tmp_path / f"copy{suffix}"
    data = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    header = save(path, data, kind)
    image = read_image(path)
    assert image.axes == "XYZTC"[: data.ndim][::-1]
    np.testing.assert_array_equal(image.data, data.T)
    assert isinstance(image.data, np.memmap) == (suffix == ".nii")
    assert image.image.scale == (1.0, 1.5, 4.0, 3.0, 2.0)[-data.ndim :]
    assert image.image.units == ("pixel", "s", "mm", "mm", "mm")[-data.ndim :]
    check_image(copy, image)
    write_image(copy, np.asarray(image.data), image)
    again = nibabel.load(copy)
    np.testing.assert_array_equal(np.asanyarray(again.dataobj), data)
    assert differences(header, raw_header(copy)) == set()
    assert [each.get_content() for each in again.header.extensions] == [b"kept"]
    write_image(copy, np.asarray(image.data, np.float32) / 3, image)
    assert differences(header, raw_header(copy)) <= {"datatype", "bitpix"}
    np.testing.assert_array_equal(nibabel.load(copy).get_fdata(dtype=np.float32), data.astype(np.float32) / 3)


def test_a_slope_is_applied_and_the_result_is_written_without(tmp_path):
    path, copy = tmp_path / "image.nii.gz", tmp_path / "copy.nii.gz"
    with_slope(path, 0.5, -3)
    image = read_image(path)
    assert image.data.dtype == np.float32
    np.testing.assert_allclose(image.data, nibabel.load(path).get_fdata().T)
    write_image(copy, image.data, image)
    assert differences(raw_header(path), raw_header(copy)) == {"datatype", "bitpix", "scl_slope", "scl_inter"}
    np.testing.assert_allclose(nibabel.load(copy).get_fdata(), nibabel.load(path).get_fdata())


def test_complex_values_with_a_slope_stay_complex(tmp_path):
    with_slope(tmp_path / "image.nii", 2, 0, "complex64")
    image = read_image(tmp_path / "image.nii")
    assert image.data.dtype == np.complex64
    np.testing.assert_array_equal(image.data, (np.arange(24) * (2 + 1j)).reshape(4, 3, 2).T)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_large_image_with_a_slope_is_converted_as_it_is_needed(tmp_path, suffix, monkeypatch):
    path, copy = tmp_path / f"image{suffix}", tmp_path / f"copy{suffix}"
    with_slope(path, 0.5, -3)
    whole = read_image(path)
    monkeypatch.setattr(converted, "LARGEST_READ", 0)
    converts, parts = converted.ConvertedValues.__getitem__, []
    monkeypatch.setattr(
        converted.ConvertedValues, "__getitem__", lambda self, index: parts.append(index) or converts(self, index)
    )
    image = read_image(path)
    assert (image.data.shape, image.data.dtype) == (whole.data.shape, np.float32)
    assert image.n_held_bytes == (2 * whole.data.size if suffix == ".nii.gz" else 0)
    assert image.notes == whole.notes
    assert Ellipsis not in parts
    np.testing.assert_array_equal(image.data[1:, 2], whole.data[1:, 2])
    write_image(copy, np.asarray(image.data), image)
    np.testing.assert_array_equal(read_image(copy).data, whole.data)


def test_a_compressed_image_that_does_not_fit_into_memory_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "image.nii.gz"
    save(path, np.ones((4, 3, 2), "int16"))
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=20))
    monkeypatch.setattr("psutil.swap_memory", lambda: SimpleNamespace(free=20))
    with pytest.raises(
        FileError, match=r"is compressed, and is therefore read as a whole.* gunzip --keep .*image\.nii\.gz"
    ):
        read_image(path)
    nibabel.save(nibabel.load(path), tmp_path / "image.nii")
    assert read_image(tmp_path / "image.nii").data.shape == (2, 3, 4)


def test_the_order_of_bytes_and_colors_are_kept(tmp_path):
    path, copy = tmp_path / "image.nii", tmp_path / "copy.nii"
    big = nibabel.Nifti1Header(endianness=">")
    big.set_data_dtype(np.dtype(">i2"))
    data = np.arange(24, dtype=">i2").reshape(4, 3, 2)
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4), big), path)
    image = read_image(path)
    assert image.data.dtype.isnative
    write_image(copy, np.asarray(image.data), image)
    assert path.read_bytes() == copy.read_bytes()
    colors = np.random.default_rng(0).integers(0, 255, (4, 3, 2, 3), "uint8")
    rgb = np.ascontiguousarray(colors).view([(letter, "u1") for letter in "RGB"])[..., 0]
    nibabel.save(nibabel.Nifti1Image(rgb, np.eye(4)), path)
    image = read_image(path)
    assert image.axes == "ZYXS"
    np.testing.assert_array_equal(image.data, colors.transpose(2, 1, 0, 3))
    write_image(copy, np.asarray(image.data), image)
    np.testing.assert_array_equal(np.asanyarray(nibabel.load(copy).dataobj), rgb)


def test_three_slices_are_no_colors(tmp_path):
    save(tmp_path / "image.nii", np.zeros((64, 60, 3), "int16"))
    image = read_image(tmp_path / "image.nii")
    assert (image.axes, image.data.shape) == ("ZYX", (3, 60, 64))


def test_distances_without_a_unit_reach_other_formats_and_come_back(tmp_path):
    data = np.random.default_rng(0).integers(0, 200, (3, 5, 6)).astype("int16")
    save(tmp_path / "image.nii", data.T, xyzt_units=0)
    source = read_image(tmp_path / "image.nii")
    assert source.calibration == ((4.0, 3.0, 2.0), ("pixel",) * 3)
    for name, like in (
        ("copy.tif", source),
        ("copy.ome.tif", source),
        ("copy.nii", read_image(tmp_path / "image.nii")),
    ):
        write_image(tmp_path / name, data.astype("float32"), like)
        assert read_image(tmp_path / name).calibration == source.calibration
    write_image(tmp_path / "again.nii", data, read_image(tmp_path / "copy.ome.tif"))
    assert read_image(tmp_path / "again.nii").calibration == source.calibration


@pytest.mark.parametrize(
    ("axes", "shape", "stored"),
    [("ZYX", (3, 5, 6), (6, 5, 3)), ("CYX", (2, 5, 6), (6, 5, 1, 1, 2)), ("TZCYX", (2, 3, 2, 5, 6), (6, 5, 3, 2, 2))],
)
def test_images_of_other_formats_are_written(tmp_path, axes, shape, stored):
    data = np.random.default_rng(0).integers(0, 200, shape).astype("uint16")
    sizes = {"PhysicalSizeX": 0.2, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.3, "PhysicalSizeYUnit": "µm"}
    depth = {"PhysicalSizeZ": 2.0, "PhysicalSizeZUnit": "µm"} if "Z" in axes else {}
    tifffile.imwrite(tmp_path / "image.ome.tif", data, metadata={"axes": axes} | sizes | depth)
    source = read_image(tmp_path / "image.ome.tif")
    write_image(tmp_path / "copy.nii", source.data, source)
    written = nibabel.load(tmp_path / "copy.nii")
    assert written.shape == stored
    assert written.header.get_xyzt_units()[0] == "micron"
    assert written.header.get_zooms()[:2] == pytest.approx((0.2, 0.3))
    again = read_image(tmp_path / "copy.nii")
    moved = again.data.transpose([again.axes.index(letter) for letter in (*sorted(set(again.axes) - set(axes)), *axes)])
    np.testing.assert_array_equal(moved.reshape(shape), data)
    write_image(tmp_path / "copy.ome.tif", np.asarray(again.data), again)
    assert read_image(tmp_path / "copy.ome.tif").image.scale[-2:] == pytest.approx((0.3, 0.2))


def test_distances_of_a_turned_layer_are_written_without_their_sign(tmp_path):
    image = new_image(Image(np.zeros((5, 6), "uint8"), "YX", (-0.1, 0.2), ("micrometer",) * 2))
    write_image(tmp_path / "image.nii", image.data, image)
    assert read_image(tmp_path / "image.nii").image.scale == pytest.approx((0.1, 0.2))


def test_what_nifti_cannot_hold_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((4, 5, 6), "uint8"), photometric="minisblack")
    stack = read_image(tmp_path / "stack.tif")
    with pytest.raises(FileError, match=r"cannot hold the axes QYX: NIfTI has no Q\. Name the axes with --axes"):
        check_image(tmp_path / "copy.nii", stack)
    tifffile.imwrite(tmp_path / "deep.tif", np.zeros((5, 6, 3), "uint16"), photometric="rgb")
    with pytest.raises(FileError, match=r"cannot hold uint16 values\. Write a \.tif instead"):
        check_image(tmp_path / "copy.nii", read_image(tmp_path / "deep.tif"))
    long = np.broadcast_to(np.zeros((), "uint8"), (4, 32768))
    with pytest.raises(FileError, match=r"shape \(4, 32768\): NIfTI counts 32,767 values along an axis at most"):
        check_image(tmp_path / "copy.nii", new_image(Image(long, "YX")))
    (tmp_path / "text.nii").write_text("no image")
    with pytest.raises(FileError, match=r"text\.nii cannot be read"):
        read_image(tmp_path / "text.nii")
    save(tmp_path / "whole.nii", np.zeros((9, 9, 9), "int16"))
    (tmp_path / "cut.nii").write_bytes((tmp_path / "whole.nii").read_bytes()[:900])
    with pytest.raises(
        FileError, match=r"cut\.nii cannot be read: its header tells of 1458 bytes of values, and it has 532"
    ):
        read_image(tmp_path / "cut.nii")


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"Modality": "MR", "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"]}, "rician"),
        ({"Modality": "MR", "ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, None),
        ({"Modality": "CT"}, None),
        (None, None),
    ],
)
def test_a_magnitude_is_what_the_description_beside_it_says(tmp_path, said, kind):
    path = tmp_path / "scan.nii.gz"
    save(path, np.full((5, 6), 7, "int16"))
    if said is not None:
        (tmp_path / "scan.json").write_text(json.dumps(said))
    image = read_image(path)
    assert image.image.noise_kind == kind
    asks = "does not say what was measured. Magnitude images of magnetic resonance have Rician noise, and need noise.kind = 'rician'"
    assert [asks in note for note in image.notes] == [True] * (said is None) + [False] * (kind is not None)


def test_statistics_are_not_asked_about(tmp_path):
    header = save(tmp_path / "map.nii", np.ones((5, 6), "float32"))
    header.set_intent("t test", (7,))
    (tmp_path / "map.nii").write_bytes(header.binaryblock + (tmp_path / "map.nii").read_bytes()[348:])
    image = read_image(tmp_path / "map.nii")
    assert (image.notes, image.noise_kind) == ((), None)


def test_the_missing_package_is_named(tmp_path, monkeypatch):
    (tmp_path / "image.nii").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(
        FileError,
        match=r"NIfTI files need the package nibabel, which is not installed\. Install it with: pip install 'napari-convgen\[nifti\]'\.$",
    ):
        read_image(tmp_path / "image.nii")


def test_a_scan_is_denoised_from_file_to_file(tmp_path, capsys):
    rng = np.random.default_rng(0)
    clean = 100 + 50 * np.sin(np.arange(24) / 4)[:, None] * np.ones((24, 20))
    parts = clean[..., None] + rng.normal(0, 9, (24, 20, 2)), rng.normal(0, 9, (24, 20, 2))
    header = save(tmp_path / "in.nii.gz", np.hypot(*parts).round().astype("int16"))
    (tmp_path / "in.json").write_text(json.dumps({"Modality": "MR"}))
    arguments = [
        "--preset",
        "deep-decoder",
        "--steps",
        "5",
        "--set",
        "generator.n_channels=8",
        "--report",
        str(tmp_path / "report.json"),
    ]
    assert cli.main(["denoise", str(tmp_path / "in.nii.gz"), "-o", str(tmp_path / "out.nii.gz"), *arguments]) == 0
    assert (
        "in.nii.gz is a magnitude image of magnetic resonance, so its noise is taken to be Rician"
        in capsys.readouterr().out
    )
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["axes"] == "ZYX"
    assert {frame["kind"] for frame in report["noise"]} == {"rician"}
    assert nibabel.load(tmp_path / "out.nii.gz").shape == (24, 20, 2)
    assert differences(header, raw_header(tmp_path / "out.nii.gz")) <= {"datatype", "bitpix"}
