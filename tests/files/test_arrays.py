"""Arrays of BART, MRC and HDF5 files."""

import json

import numpy as np
import pytest
import tifffile

from napari_convgen import cli
from napari_convgen.errors import FileError
from napari_convgen.files.images import check_image, read_image, write_image

h5py, mrcfile = pytest.importorskip("h5py"), pytest.importorskip("mrcfile")


def numbers(shape, dtype):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


def write_bart(path, values):
    """Write values, the fastest axis first, as BART does."""
    path.write_bytes(np.asfortranarray(values.astype("<c8")).tobytes("F"))
    dimensions = " ".join(map(str, values.shape + (1,) * (16 - values.ndim)))
    path.with_suffix(".hdr").write_text(f"# Dimensions\n{dimensions}\n# Command\nbart phantom\n")


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((7, 6), "YX"), ((7, 6, 5), "ZYX"), ((7, 6, 1, 4), "CYX"), ((7, 6, 1, 1, 1, 1, 1, 1, 1, 1, 3), "TYX")],
)
def test_bart_keeps_complex_values_and_all_dimensions(tmp_path, shape, axes):
    values = numbers(shape, "c8") + 1j * numbers(shape, "f4")
    write_bart(tmp_path / "image.cfl", values)
    image = read_image(tmp_path / "image.cfl")
    assert (image.axes, image.data.dtype) == (axes, np.complex64)
    np.testing.assert_array_equal(image.data, values.T.squeeze())
    check_image(tmp_path / "copy.cfl", image)
    write_image(tmp_path / "copy.cfl", image.data, image)
    assert (tmp_path / "copy.cfl").read_bytes() == (tmp_path / "image.cfl").read_bytes()
    assert (tmp_path / "copy.hdr").read_text().splitlines() == (tmp_path / "image.hdr").read_text().splitlines()[:2]


def test_real_images_go_through_bart_and_others_become_its(tmp_path):
    values = numbers((7, 6, 5), "f4")
    write_bart(tmp_path / "image.cfl", values)
    image = read_image(tmp_path / "image.cfl")
    assert image.data.dtype == np.float32
    write_image(tmp_path / "copy.cfl", image.data, image)
    np.testing.assert_array_equal(read_image(tmp_path / "copy.cfl").data, values.T)
    data = numbers((3, 2, 6, 7), "u2")
    tifffile.imwrite(tmp_path / "image.ome.tif", data, metadata={"axes": "TCYX"})
    source = read_image(tmp_path / "image.ome.tif")
    write_image(tmp_path / "copy.cfl", source.data, source)
    assert (tmp_path / "copy.hdr").read_text() == "# Dimensions\n7 6 1 2 1 1 1 1 1 1 3 1 1 1 1 1\n"
    again = read_image(tmp_path / "copy.cfl")
    assert again.axes == "TCYX"
    np.testing.assert_array_equal(again.data, data)


def test_damaged_files_of_bart_are_refused(tmp_path):
    write_bart(tmp_path / "image.cfl", numbers((7, 6), "f4"))
    header, content = (tmp_path / "image.hdr").read_text(), (tmp_path / "image.cfl").read_bytes()
    for text, values, sentence in [
        (None, content, r"cannot be read without its shape: .*image\.hdr is missing"),
        ("# Dimensions\n7 x\n", content, r"image\.hdr does not say the shape"),
        (header, content[:-8], r"has 328 bytes, and .*image\.hdr says 336"),
    ]:
        (tmp_path / "image.hdr").unlink(missing_ok=True)
        if text is not None:
            (tmp_path / "image.hdr").write_text(text)
        (tmp_path / "image.cfl").write_bytes(values)
        with pytest.raises(FileError, match=sentence):
            read_image(tmp_path / "image.cfl")


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "float32"])
@pytest.mark.parametrize("kind", ["image", "volume", "stack"])
def test_mrc_is_read_as_it_is_needed(tmp_path, dtype, kind):
    data = numbers((6, 7) if kind == "image" else (3, 6, 7), dtype)
    with mrcfile.new(tmp_path / "image.mrc", data) as file:
        file.voxel_size = (1.5, 2.5, 4.0)
        if kind == "stack":
            file.set_image_stack()
    image = read_image(tmp_path / "image.mrc")
    assert image.axes == {"image": "YX", "volume": "ZYX", "stack": "QYX"}[kind]
    assert image.data.filename is not None  # of a map of the file, not of a copy
    np.testing.assert_array_equal(image.data, data)
    assert (image.calibration[0][-2:], image.calibration[1][-2:]) == ((2.5, 1.5), ("Å", "Å"))
    if kind == "volume":
        assert image.calibration[0][0] == 4.0
    if kind != "stack":
        write_image(tmp_path / "copy.ome.tif", np.asarray(image.data), image)
        assert read_image(tmp_path / "copy.ome.tif").image.units[-1] == "Å"


def test_mrc_of_the_other_byte_order(tmp_path):
    data = numbers((6, 7), ">i2")
    mrcfile.new(tmp_path / "image.mrc", data).close()
    image = read_image(tmp_path / "image.mrc")
    assert image.data.dtype == np.dtype("=i2")
    np.testing.assert_array_equal(image.data, data)


def test_bytes_of_imod_have_no_sign(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (6, 7)).astype("u1")
    path = tmp_path / "image.mrc"
    for stamp, flags, dtype in [(1146047817, 0, "u1"), (1146047817, 1, "i1"), (0, 0, "i1")]:
        mrcfile.new(path, values.view("i1"), overwrite=True).close()
        content = bytearray(path.read_bytes())
        content[152:160] = np.array([stamp, flags], "<i4").tobytes()
        path.write_bytes(content)
        np.testing.assert_array_equal(read_image(path).data, values.view(dtype))


def test_the_axes_of_an_mrc_are_those_that_its_header_names(tmp_path):
    with mrcfile.new(tmp_path / "map.mrc", numbers((3, 6, 7), "f4")) as file:
        file.voxel_size = (1, 2, 4)
        file.header.mapc, file.header.mapr, file.header.maps = 3, 2, 1
    image = read_image(tmp_path / "map.mrc")
    assert (image.axes, image.calibration) == ("XYZ", ((1.0, 2.0, 4.0), ("Å", "Å", "Å")))
    write_image(tmp_path / "copy.nii", np.asarray(image.data), image)
    again = read_image(tmp_path / "copy.nii")
    np.testing.assert_array_equal(again.data, np.asarray(image.data).T)
    assert (again.image.scale, again.image.units) == (pytest.approx((4e-4, 2e-4, 1e-4)), ("µm",) * 3)


def test_a_stack_of_images_keeps_their_pixel_size_in_tiff(tmp_path):
    with mrcfile.new(tmp_path / "stack.mrc", numbers((3, 6, 7), "f4")) as file:
        file.set_image_stack()
        file.voxel_size = 1.5
    image = read_image(tmp_path / "stack.mrc")
    write_image(tmp_path / "copy.tif", np.asarray(image.data), image)
    copy = read_image(tmp_path / "copy.tif")
    assert (copy.axes, copy.calibration) == ("QYX", ((1.0, 1.5, 1.5), ("pixel", "Å", "Å")))


def test_a_damaged_mrc_is_refused(tmp_path):
    (tmp_path / "image.mrc").write_bytes(b"no image" * 200)
    with pytest.raises(FileError, match=r"image\.mrc cannot be read"):
        read_image(tmp_path / "image.mrc")


def test_a_dataset_of_hdf5_is_named_or_the_only_one(tmp_path):
    path = tmp_path / "data.h5"
    volume, other = numbers((3, 6, 7), "u2"), numbers((6, 7), "f4")
    with h5py.File(path, "w") as file:
        file["cells/raw"] = volume
        file["positions"] = np.arange(9.0)
    image = read_image(path)
    assert image.axes == "ZYX"
    assert image.notes == (
        f"{path} does not name its axes; they are taken to be ZYX. --axes, or axes in Python, names others.",
    )
    assert not isinstance(image.data, np.ndarray)  # values are read when they are needed
    np.testing.assert_array_equal(image.data[:], volume)
    del image  # closes the file
    with h5py.File(path, "a") as file:
        file["cells"]["truth"] = other
    with pytest.raises(
        FileError,
        match=r"holds several datasets: cells/raw \(3 × 6 × 7\), cells/truth \(6 × 7\)\. Name one: .*data\.h5:/cells/raw$",
    ):
        read_image(path)
    np.testing.assert_array_equal(read_image(f"{path}:/cells/truth").data[:], other)
    with pytest.raises(FileError, match=r"holds no dataset cells/none, but: cells/raw"):
        read_image(f"{path}:/cells/none")
    with pytest.raises(FileError, match=r"missing\.h5 does not exist"):
        read_image(tmp_path / "missing.h5:/raw")
    (tmp_path / "text.h5").write_text("no image")
    with pytest.raises(FileError, match=r"text\.h5 cannot be read"):
        read_image(tmp_path / "text.h5")
    assert read_image(f"{path}:/cells/raw", axes="CYX").axes == "CYX"


def test_axes_and_distances_that_hdf5_names_are_taken(tmp_path):
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        labeled = file.create_dataset("labeled", data=numbers((2, 6, 7), "u2"))
        for dimension, label in zip(labeled.dims, "cyx", strict=True):
            dimension.label = label
        labeled.attrs["element_size_um"] = (1.0, 0.3, 0.2)
        tagged = file.create_dataset("tagged", data=numbers((6, 7, 3), "u2"))
        tagged.attrs["axistags"] = json.dumps({"axes": [{"key": key} for key in "yxz"]})
    image = read_image(f"{path}:/labeled")
    assert (image.axes, image.notes) == ("CYX", ())
    assert image.calibration == ((1.0, 0.3, 0.2), ("pixel", "µm", "µm"))
    assert read_image(f"{path}:/tagged").axes == "YXZ"


def test_an_array_is_denoised_from_file_to_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with h5py.File("in.h5", "w") as file:
        file["raw"] = numbers((24, 20), "f4")
    write_bart(tmp_path / "in.cfl", numbers((20, 24), "f4"))
    settings = ["--preset", "deep-decoder", "--steps", "3", "--set", "generator.n_channels=8", "--quiet"]
    for source, target in (("in.h5:/raw", "out.tif"), ("in.cfl", "out.cfl")):
        assert cli.main(["denoise", source, "-o", target, *settings]) == 0
        assert read_image(target).data.shape == (24, 20)
