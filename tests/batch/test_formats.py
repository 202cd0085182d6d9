"""Images of all formats go through a batch in pieces, and come out as they were stored."""

import json

import numpy as np
import pytest

from napari_convgen import cli
from napari_convgen.batch.run import BatchTask, denoise_files
from napari_convgen.errors import FileError
from napari_convgen.files.images import read_image
from napari_convgen.files.ome_zarr import writing
from napari_convgen.run.denoise.run import denoise


@pytest.fixture
def noisy():
    y, x = np.mgrid[:24, :40]
    clean = 100 + 60 * np.sin(x / 5) * np.cos(y / 4)
    return (clean + 15 * np.random.default_rng(0).standard_normal((3, *clean.shape))).clip(0, 255).astype(np.uint16)


def check(source, few):
    """Denoise a file in pieces; return what its output holds, which is what `denoise` returns."""
    result = denoise_files(source, "out", few)
    [state] = result.files
    assert (state.status, state.n_pieces) == ("done", 9)
    assert json.loads((result.folder / f"{state.output.rpartition('/')[2]}.json").read_text())["input"] == source
    file = read_image(state.output)
    expected = denoise(read_image(source).image, few.replace({"n_threads": 1})).image
    np.testing.assert_array_equal(np.asarray(file.data), expected)
    return file


def test_a_single_sagittal_slice(folder, few, noisy):
    nibabel = pytest.importorskip("nibabel")
    nibabel.save(nibabel.Nifti1Image(noisy[:1].astype("int16"), np.eye(4)), "slice.nii.gz")
    [state] = denoise_files("slice.nii.gz", "out", few).files
    assert (state.status, state.n_pieces) == ("done", 3)
    expected = denoise(read_image("slice.nii.gz").image, few.replace({"n_threads": 1})).image
    np.testing.assert_array_equal(np.asarray(read_image(state.output).data), expected)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_with_shards(folder, few, noisy, version):
    zarr = pytest.importorskip("zarr")
    pytest.importorskip("yaozarrs")
    group = zarr.open_group("cells.ome.zarr", mode="w", zarr_format=2 if version == "0.4" else 3)
    shards = {} if version == "0.4" else {"shards": (1, 16, 16), "dimension_names": list("zyx")}
    for name, values in {"0": noisy, "1": writing.shrunk(noisy, (3, 12, 20))}.items():
        group.create_array(name, shape=values.shape, dtype=values.dtype, chunks=(1, 8, 8), **shards)[:] = values
    levels = [
        {"path": str(i), "coordinateTransformations": [{"type": "scale", "scale": [2.0, 0.2 * k, 0.2 * k]}]}
        for i, k in enumerate((1, 2))
    ]
    axes = [{"name": letter, "type": "space", "unit": "micrometer"} for letter in "zyx"]
    multiscale = {"name": "cells", "axes": axes, "datasets": levels}
    group.attrs.update(
        {"multiscales": [multiscale | {"version": "0.4"}]}
        if version == "0.4"
        else {"ome": {"version": "0.5", "multiscales": [multiscale]}}
    )
    file = check("cells.ome.zarr", few)
    assert file.calibration == ((2.0, 0.2, 0.2), ("µm", "µm", "µm"))
    out = zarr.open_group("out/cells.ome.zarr", mode="r")
    assert (out["0"].shards, out["0"].chunks) == (group["0"].shards, group["0"].chunks)
    np.testing.assert_array_equal(out["1"][:], writing.shrunk(np.asarray(file.data), (3, 12, 20)))


def test_nifti(folder, few, noisy):
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.Nifti1Image(noisy.T, np.diag([0.5, 0.5, 2, 1]))
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, "scan.nii.gz")
    file = check("scan.nii.gz", few.replace({"noise.kind": "gaussian"}))
    assert file.calibration[0] == (2.0, 0.5, 0.5)
    np.testing.assert_array_equal(nibabel.load("out/scan.nii.gz").affine, image.affine)


def test_a_description_beside_an_input_is_noticed(folder, few, noisy):
    nibabel = pytest.importorskip("nibabel")
    nibabel.save(nibabel.Nifti1Image(noisy[0].T, np.eye(4)), "scan.nii")
    denoise_files("scan.nii", "out", few)
    (folder / "scan.json").write_text('{"Modality": "MR"}')
    with pytest.raises(FileError, match=r"out/scan\.nii\.gz is there already, from another input"):
        denoise_files("scan.nii", "out", few)
    (folder / "scan.json").unlink()
    assert denoise_files("scan.nii", "out", few).n_files("done") == 1


def test_another_shape_of_values_is_noticed(folder, few, noisy):
    (folder / "scan.cfl").write_bytes(noisy[0].astype("<c8").tobytes())
    (folder / "scan.hdr").write_text("# Dimensions\n40 24 1 1\n")
    denoise_files("scan.cfl", "out", few)
    (folder / "scan.hdr").write_text("# Dimensions\n24 40 1 1\n")
    with pytest.raises(FileError, match=r"out/scan\.cfl is there already, from another input"):
        denoise_files("scan.cfl", "out", few)


def test_datasets_of_hdf5_files(folder, few, noisy):
    h5py = pytest.importorskip("h5py")
    with h5py.File("two.h5", "w") as file:
        file["a/raw"], file["b/raw"] = noisy, noisy[::-1]
    check("two.h5:/a/raw", few)
    result = denoise_files(["two.h5:/a/raw", "t*.h5:/b/raw"], "out", few)
    assert [(state.input, state.output, state.status) for state in result.files] == [
        ("two.h5:/a/raw", "out/two_a_raw.tif", "done"),
        ("two.h5:/b/raw", "out/two_b_raw.tif", "done"),
    ]
    first, second = (read_image(f"out/two_{name}_raw.tif").data for name in "ab")
    np.testing.assert_array_equal(first[::-1], second)
    for name, sentence in (
        ("two.h5:/c", "holds no dataset c, but"),
        ("no*.h5:/a", "No image file matches"),
        ("no.h5:/a", "does not exist"),
    ):
        with pytest.raises(FileError, match=sentence):
            BatchTask([name], "out", few)


@pytest.fixture
def scan(folder, noisy):
    """A folder with the slices of a scanner."""
    pydicom = pytest.importorskip("pydicom")
    (folder / "scan").mkdir()
    for number, plane in enumerate(noisy):
        meta = pydicom.dataset.FileMetaDataset()
        meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = pydicom.uid.CTImageStorage, f"1.2.{number}"
        slice_ = pydicom.dataset.FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        slice_.SOPClassUID, slice_.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        slice_.Modality, slice_.SeriesInstanceUID, slice_.PhotometricInterpretation = "CT", "1.3", "MONOCHROME2"
        slice_.Rows, slice_.Columns, slice_.SamplesPerPixel, slice_.PixelRepresentation = *plane.shape, 1, 0
        slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit = 16, 16, 15
        slice_.ImagePositionPatient, slice_.ImageOrientationPatient = [0, 0, 2.5 * number], [1, 0, 0, 0, 1, 0]
        slice_.PixelSpacing = [0.5, 0.25]
        slice_.PixelData = plane.tobytes()
        slice_.save_as(folder / "scan" / f"{number}.dcm", enforce_file_format=True)
    return folder / "scan"


def test_a_folder_of_slices_is_one_image(scan, few, noisy):
    file = check("scan", few)
    assert (file.axes, file.data.shape) == ("ZYX", noisy.shape)
    assert BatchTask(["scan/*.dcm"], "apart", few).forecast().n_files == 3


def test_outputs_in_the_folder_of_an_image_are_no_part_of_it(scan, few):
    steps = iter(BatchTask(["scan"], "scan/out", few, n_workers=1))
    next(steps)
    steps.close()
    assert BatchTask(["scan"], "scan/out", few).forecast().n_pieces_left == 8
    assert denoise_files("scan", "scan/out", few).n_files("done") == 1
    assert BatchTask(["scan"], "scan/out", few).forecast().n_pieces_left == 0
    (scan / "more.dcm").touch()
    with pytest.raises(FileError, match="from another input"):
        BatchTask(["scan"], "scan/out", few)
    with pytest.raises(FileError, match=r"^scan is an input, scan, and no folder for outputs"):
        BatchTask(["scan"], "scan", few)


def test_notes_on_inputs_are_shown(folder, capsys):
    assert cli.main(["batch", "in/stack.tif", "-o", "out", "--preset", "quick", "--dry-run"]) == 0
    assert "Note: Frames before and after helped each frame" in capsys.readouterr().err
