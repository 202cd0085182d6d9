"""What is given in place of an image is told by name, with what to give instead."""

from collections import UserDict

import dask.array
import numpy as np
import pandas
import pytest
import scipy.sparse
import tifffile
import torch
import zarr
from PIL import Image as Pictures

from napari_convgen import Config, DenoiseTask, Image, compare, compare_fits, denoise, reconstruct, spectrum
from napari_convgen.config import preset
from napari_convgen.errors import FileError, InputError
from napari_convgen.run.setup.inputs import as_array, check_reference
from napari_convgen.run.setup.prepared import Prepared

VALUES = np.arange(48.0).reshape(6, 8)


def of_library(module, kind, /, **members):
    """An object of a class of another library, which is not installed."""
    return type(kind, (), {"__module__": module, **members})()


class Scaled(UserDict):
    def __init__(self, **entries):
        super().__init__(entries)


def sheet():
    picture = Pictures.new("P", (8, 6))
    picture.putpalette([1, 2, 3, 4, 5, 6])
    return picture


CASES = {
    "nothing": (None, r"got None\. Give the values"),
    "bytes": (b"II*\0", r"got 4 bytes\. Decode"),
    "number": (3.5, r"got the single number 3\.5\. Give an array with an axis"),
    "NumPy number": (np.float32(3.5), r"got the single number 3\.5"),
    "array without axes": (
        np.array({"a": 1}),
        r"got an array without axes that holds an object of type dict\. .*item\(\)",
    ),
    "masked": (np.ma.masked_less(VALUES, 9), r"got a masked array, whose mask would be lost\. Fill it"),
    "dict": ({"data": VALUES, "axes": 3}, r"got an object of type dict with the keys data, axes\. .*image\[key\]"),
    "many keys": (dict.fromkeys("abcdefg"), r"with the keys a, b, c, d, e, …\."),
    "mapping": (Scaled(red=VALUES), r"Scaled with the keys red\. Give one of its arrays"),
    "pyramid": (
        [VALUES, VALUES[::2, ::2]],
        r"different shapes: \(6, 8\), \(3, 4\)\. Of the levels of a pyramid, .*\[0\]",
    ),
    "ragged": ([[1, 2, 3], [4, 5]], r"got lists of different lengths\. Give lists of the same"),
    "layer tuple": ((VALUES, {"name": "a"}, "image"), r"got a layer as a tuple .*layer\[0\]"),
    "generator": ((row for row in VALUES), r"got an object of type generator\. .*numpy\.stack\(list\(images\)\)"),
    "set": ({1, 2}, r"got an object of type set\. .*numpy\.stack"),
    "function": (np.zeros, r"got the function or class zeros\. Call it"),
    "method": (VALUES.astype, r"got the function or class astype\. Call it"),
    "other": (object(), r"got an object of type object\. Give its values as a NumPy array\."),
    "gradients": (
        torch.ones(6, 8, requires_grad=True),
        r"got a float32 tensor on cpu with gradients\. Give tensor\.detach",
    ),
    "bfloat16": (torch.ones(6, 8, dtype=torch.bfloat16), r"got a bfloat16 tensor on cpu\. .*float\(\)\.numpy"),
    "sparse tensor": (torch.ones(6, 8).to_sparse(), r"got a sparse_coo float32 tensor on cpu\. .*to_dense"),
    "other device": (torch.ones(6, 8, device="meta"), r"got a float32 tensor on meta\. .*cpu\(\)"),
    "sparse": (scipy.sparse.csr_array(VALUES), r"got a sparse matrix\. Give matrix\.toarray"),
    "indexed picture": (sheet(), r"got a picture with indexed colors\. Give picture\.convert\(\"RGB\"\)"),
    "NIfTI": (
        of_library("nibabel.nifti1", "Nifti1Image", get_fdata=None, shape=(6, 8)),
        r"got an object of type nibabel\.nifti1\.Nifti1Image\. Give image\.get_fdata\(\) and its axes, 'XYZ' or with time 'XYZT'",
    ),
    "DICOM": (
        of_library("pydicom.dataset", "FileDataset", pixel_array=None, keys=list, __getitem__=None),
        r"got an object of type pydicom\.dataset\.FileDataset\. Give dataset\.pixel_array; or read the file, or the folder",
    ),
    "slices of DICOM": (
        [of_library("pydicom.dataset", "FileDataset", pixel_array=None)] * 2,
        r"got a list with an object of type pydicom\.dataset\.FileDataset\. Make a list .* Give dataset\.pixel_array;",
    ),
    "a slice that is missing": ([VALUES, None], r"got a list with None\. Make a list with an array of each\."),
    "SimpleITK": (of_library("SimpleITK.SimpleITK", "Image"), r"Give SimpleITK\.GetArrayFromImage\(image\)"),
    "CuPy": (
        of_library("cupy", "ndarray", get=None, device="<CUDA Device 0>", dtype=np.dtype("f"), shape=(6, 8)),
        r"got a CuPy array on <CUDA Device 0>\. Give array\.get\(\)",
    ),
    "layer": (
        of_library("napari.layers", "Image", data=VALUES, metadata={}, name="cells", dtype=VALUES.dtype),
        r"got the napari layer 'cells'\. Give layer\.data",
    ),
    "zarr group": (zarr.group({}), r"got an object of type zarr.*Group without entries\. Give one of its arrays"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_no_array_is_told_with_what_to_give_instead(name):
    given, sentence = CASES[name]
    with pytest.raises(InputError, match=r"^The image must be an array of numbers, .*" + sentence):
        DenoiseTask(given)
    with pytest.raises(InputError, match=r"^The image must be an array of numbers, .*" + sentence):
        DenoiseTask(Image(given))
    if given is not None:
        with pytest.raises(InputError, match=r"^The reference must be an array of numbers, .*" + sentence):
            check_reference(given, None, VALUES.shape)


def test_lazy_values_of_nifti_need_the_letters_of_their_axes(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    values = np.random.default_rng(0).normal(100, 9, (20, 24, 3)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "scan.nii")
    lazy = nibabel.load(tmp_path / "scan.nii").dataobj
    for given in (lazy, Image(lazy)):
        with pytest.raises(
            InputError, match=r"ArrayProxy are X, Y, Z, and would be taken for Z, Y, X\. Name them: axes = 'XYZ'"
        ):
            Prepared(given, Config())
    for given, axes in ((lazy, "XYZ"), (Image(lazy, "XYZ"), None)):
        assert Prepared(given, Config(), axes=axes).layout.axes == "XYZ"


def test_files_and_what_was_read_from_them_are_told(tmp_path):
    tifffile.imwrite(tmp_path / "image.tif", VALUES)
    with tifffile.TiffFile(tmp_path / "image.tif") as file:
        for each in (file, file.series[0], file.pages[0]):
            with pytest.raises(InputError, match=r"tifffile\.Tiff\w+\. Give the array that its method asarray\(\)"):
                as_array(each)


def test_all_sorts_of_arrays_pass():
    lazy = dask.array.from_array(VALUES, chunks=3)
    kept = zarr.array(VALUES)
    assert as_array(lazy) is lazy
    assert as_array(kept) is kept
    for given in (VALUES, VALUES.tolist(), [*VALUES], torch.tensor(VALUES), pandas.DataFrame(VALUES)):
        np.testing.assert_array_equal(as_array(given), VALUES)
    np.testing.assert_array_equal(as_array(Pictures.fromarray(VALUES.astype("uint8"))), VALUES)
    reference = check_reference(Image(VALUES), None, VALUES.shape)
    np.testing.assert_array_equal(reference.image, VALUES)


def test_other_arguments_of_another_type_are_told():
    with pytest.raises(InputError, match=r"data_range must be a positive number, got 'a'\. Leave it out"):
        check_reference(VALUES, "a", VALUES.shape)
    with pytest.raises(InputError, match=r"axes must be a text with a letter for each axis, got \('Y', 'X'\)\."):
        DenoiseTask(VALUES, axes=("Y", "X"))


def test_three_values_that_are_taken_for_colors_are_told():
    image = np.random.default_rng(0).normal(100, 9, (20, 24, 3)).astype(np.float32)
    note = "The last axis, of 3 values, is taken for the samples of a color image"
    for given, axes, is_told in [
        (image, None, True),
        (image, "YXS", False),
        (image, "YXZ", False),
        (image.astype(np.uint8), None, True),
    ]:
        notes = list(Prepared(given, "deep-decoder", axes=axes).input_notes())
        assert any(each.startswith(note) for each in notes) == is_told


@pytest.mark.parametrize(("n", "axes", "is_noted"), [(1, None, False), (2, None, True), (2, "YXC", False)])
def test_last_axes_that_are_taken_for_channels_are_noted(n, axes, is_noted):
    image = np.random.default_rng(0).normal(100, 9, (32, 40, n)).astype(np.float32)
    prepared = Prepared(image, "deep-decoder", axes=axes)
    assert prepared.layout.axes == "YXC"
    assert any("is taken for channels" in each for each in prepared.input_notes()) == is_noted


def test_colors_that_are_to_be_fitted_alone_are_told_to_be_together():
    image = np.random.default_rng(0).normal(100, 9, (20, 24, 3))
    config = preset("deep-decoder").replace({"channels": "separate"})
    said = {axes: " ".join(Prepared(image, config, axes=axes).input_notes()) for axes in ("YXS", "YXC")}
    assert ["fitted together, although channels = 'separate'" in said[axes] for axes in said] == [True, False]


def test_a_list_of_names_is_no_image():
    with pytest.raises(
        InputError, match=r"must be an array of numbers, got text\. Name one file, or use denoise_files"
    ):
        denoise(["a.tif", "b.tif"])


@pytest.mark.parametrize(("kind", "expected"), [("auto", "rician"), ("gaussian", "gaussian"), ("none", "none")])
def test_the_noise_that_the_source_of_an_image_says_is_taken_if_no_other_is_named(kind, expected):
    image = Image(np.random.default_rng(0).normal(100, 9, (20, 24)), noise_kind="rician")
    config = preset("deep-decoder").replace({"noise.kind": kind, "n_steps": 7})
    chosen = Prepared(image, config).config
    assert (chosen.noise.kind, chosen.n_steps) == (expected, 7)


def test_a_path_is_read_with_its_axes_its_distances_and_what_is_to_say(tmp_path):
    stack = np.random.default_rng(0).normal(100, 9, (3, 20, 24)).astype(np.float32)
    path = tmp_path / "stack.tif"
    metadata = {"axes": "ZYX", "spacing": 2, "unit": "um"}
    tifffile.imwrite(path, stack, imagej=True, resolution=(4, 4), metadata=metadata)
    for given in (path, str(path)):
        prepared = Prepared(given, "deep-decoder")
        assert prepared.layout.axes == "ZYX"
        assert prepared.spacing == (0.25, 0.25)
        np.testing.assert_array_equal(check_reference(given, None, stack.shape).image, stack)
    with tifffile.TiffWriter(path) as writer:
        writer.write(stack[0], photometric="minisblack")
        writer.write(stack[0, :9], photometric="minisblack")
    assert any("holds 2 images" in note for note in denoise(path, "quick", n_steps=1).notes)
    with pytest.raises(FileError, match=r"none\.tif does not exist"):
        denoise(tmp_path / "none.tif")


def test_every_verb_takes_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("a.tif", np.random.default_rng(0).normal(100, 9, (20, 24)).astype(np.float32))
    small = preset("deep-decoder").replace({"generator.n_channels": 4, "generator.n_scales": 1, "n_steps": 2})
    assert compare("a.tif", small, methods=["nlm"], reference="a.tif").methods[0].error is None
    assert compare_fits("a.tif", small).steps
    assert spectrum("a.tif", small, rank=2).spectra
    assert reconstruct("a.tif", small, problem="enlarge").image.shape == (40, 48)


def test_values_that_were_cut_to_8_bits_with_a_sign_are_told():
    magnitudes = np.random.default_rng(0).normal(300, 60, (20, 24)).clip(0).astype(np.int16)
    for image, is_told in (
        (magnitudes.astype(np.int8), True),
        (magnitudes, False),
        ((magnitudes // 8).astype(np.int8), False),
    ):
        notes = list(Prepared(image, "deep-decoder").input_notes())
        assert any("8 bits with a sign" in note for note in notes) == is_told
    with pytest.raises(InputError, match=r"not negative.*8 bits with a sign"):
        Prepared(magnitudes.astype(np.int8), Config().replace({"noise.kind": "rician"}))
