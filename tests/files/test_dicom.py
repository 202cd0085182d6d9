"""DICOM files: one, or a series of them as a volume, in the units that they say."""

import numpy as np
import pytest
import tifffile

from napari_convgen.errors import FileError
from napari_convgen.files.images import part_of_file, read_image, write_image

pydicom = pytest.importorskip("pydicom")


def save(path, values, **attributes):
    """Write a DICOM file with these values."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = (
        pydicom.uid.MRImageStorage,
        pydicom.uid.generate_uid(),
    )
    dataset = pydicom.dataset.FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    n_samples = 3 if values.shape[-1] == 3 else 1
    dataset.Rows, dataset.Columns = values.shape[-2:] if n_samples == 1 else values.shape[-3:-1]
    dataset.BitsAllocated = dataset.BitsStored = 8 * values.dtype.itemsize
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, int(values.dtype.kind == "i")
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = n_samples, "RGB" if n_samples == 3 else "MONOCHROME2"
    if n_samples == 3:
        dataset.PlanarConfiguration = 0
    dataset.PixelData = values.tobytes()
    for name, value in ({"Modality": "MR", "SeriesInstanceUID": "1.2", "SeriesNumber": 1} | attributes).items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)


def slices(folder, n=4, step=2.5, **attributes):
    """Write the slices of a tilted volume, in another order than they lie; return it."""
    folder.mkdir(exist_ok=True)
    volume = np.random.default_rng(0).integers(1, 900, (n, 6, 7), "uint16")
    for name, z in enumerate(np.random.default_rng(1).permutation(n)):
        place = {"ImagePositionPatient": [z * step, 3, 4], "ImageOrientationPatient": [0, 1, 0, 0, 0, 1]}
        own = {"PixelSpacing": [0.5, 0.25], "InstanceNumber": int(n - z), "ImageType": ["ORIGINAL", "PRIMARY", "M"]}
        save(folder / f"{name}.dcm", volume[z], **place | own | attributes)
    return volume


def test_a_folder_is_a_volume_in_the_order_of_space(tmp_path):
    volume = slices(tmp_path / "scan")
    (tmp_path / "scan" / "notes.txt").write_text("no image")
    image = read_image(tmp_path / "scan")
    np.testing.assert_array_equal(image.data, volume)
    assert image.axes == "ZYX"
    assert image.calibration == ((2.5, 0.5, 0.25), ("mm", "mm", "mm"))
    assert image.noise_kind == "rician"
    assert "is a magnitude image of magnetic resonance" in image.notes[0]
    one = read_image(tmp_path / "scan" / "0.dcm")
    assert (one.axes, one.calibration) == ("YX", ((0.5, 0.25), ("mm", "mm")))


@pytest.mark.parametrize(
    ("modality", "words"), [("CT", ["ORIGINAL", "PRIMARY", "AXIAL"]), ("MR", ["ORIGINAL", "PRIMARY", "P"])]
)
def test_what_is_no_magnitude_has_noise_of_any_kind(tmp_path, modality, words):
    save(tmp_path / "one.dcm", np.ones((6, 7), "int16"), Modality=modality, ImageType=words)
    image = read_image(tmp_path / "one.dcm")
    assert (image.noise_kind, image.notes) == (None, ())


def test_several_images_of_a_folder_are_told_apart(tmp_path):
    slices(tmp_path)
    for name, number in (("a.dcm", 2), ("b.dcm", 3)):
        save(
            tmp_path / name,
            np.full((5, 5), number, "uint16"),
            SeriesNumber=number,
            SeriesInstanceUID=f"1.{number}",
            SeriesDescription="scout",
        )
    image = read_image(tmp_path, series=2)
    assert image.notes[0].startswith(
        f"{tmp_path} holds 3 images (0: 4 × 6 × 7 MR, 1: 'scout' 1 × 5 × 5 MR, 2: 'scout' 1 × 5 × 5 MR); number 2 is"
    )
    assert (image.data == 3).all()


def test_repeated_and_missing_and_uneven_slices(tmp_path):
    slices(tmp_path / "even", 3)
    for each in sorted((tmp_path / "even").iterdir()):
        dataset = pydicom.dcmread(each)
        dataset.InstanceNumber += 100
        dataset.PixelData = (dataset.pixel_array + 1).tobytes()
        dataset.save_as(each.with_name(f"again-{each.name}"))
    image = read_image(tmp_path / "even")
    assert (image.axes, image.data.shape) == ("QZYX", (2, 3, 6, 7))
    np.testing.assert_array_equal(image.data[1], image.data[0] + 1)
    (tmp_path / "even" / "0.dcm").unlink()
    with pytest.raises(FileError, match=r"lacks images: it has 1 to 2 at a place, 5 at 3 places\."):
        read_image(tmp_path / "even")
    slices(tmp_path / "uneven")
    (tmp_path / "uneven" / "3.dcm").unlink()
    image = read_image(tmp_path / "uneven")
    assert image.axes == "ZYX"
    assert [note for note in image.notes if "mm apart; the distance is taken to be" in note] or image.data.shape[0] == 3


@pytest.mark.parametrize(("slope", "intercept", "dtype"), [(1, -1024, "int16"), (0.5, 3, "float32"), (1, 0, "uint16")])
def test_values_are_in_the_units_that_the_file_says(tmp_path, slope, intercept, dtype):
    values = np.random.default_rng(0).integers(0, 4000, (6, 7), "uint16")
    save(tmp_path / "one.dcm", values, Modality="CT", RescaleSlope=slope, RescaleIntercept=intercept)
    image = read_image(tmp_path / "one.dcm")
    assert image.data.dtype == dtype
    np.testing.assert_allclose(image.data, values * float(slope) + intercept)


def test_an_image_whose_largest_values_are_black_is_written_as_one(tmp_path):
    values = np.random.default_rng(0).integers(0, 4000, (6, 7), "uint16")
    save(tmp_path / "film.dcm", values, Modality="CR", PhotometricInterpretation="MONOCHROME1")
    image = read_image(tmp_path / "film.dcm")
    write_image(tmp_path / "copy.tif", image.data, image)
    write_image(tmp_path / "copy.png", image.data, image)
    with tifffile.TiffFile(tmp_path / "copy.tif") as copy:
        assert copy.pages.first.photometric == tifffile.PHOTOMETRIC.MINISWHITE
        np.testing.assert_array_equal(copy.asarray(), values)
    np.testing.assert_array_equal(read_image(tmp_path / "copy.png").data, 65535 - values)


def test_frames_of_a_file_are_a_volume_or_a_movie(tmp_path):
    values = np.random.default_rng(0).integers(0, 900, (3, 6, 7), "uint16")
    save(tmp_path / "movie.dcm", values, NumberOfFrames=3, FrameTime=40, PixelSpacing=[0.5, 0.25])
    movie = read_image(tmp_path / "movie.dcm")
    assert (movie.axes, movie.calibration) == ("TYX", ((40.0, 0.5, 0.25), ("ms", "mm", "mm")))
    save(tmp_path / "frames.dcm", values, NumberOfFrames=3)
    assert read_image(tmp_path / "frames.dcm").axes == "QYX"
    groups, shared = [], pydicom.Dataset()
    for z in (2, 0, 1):
        place, group = pydicom.Dataset(), pydicom.Dataset()
        place.ImagePositionPatient, group.PlanePositionSequence = [0, 0, 4 * z], [place]
        groups.append(group)
    turn, size = pydicom.Dataset(), pydicom.Dataset()
    turn.ImageOrientationPatient, size.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.5, 0.5]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [turn], [size]
    sequences = {"PerFrameFunctionalGroupsSequence": groups, "SharedFunctionalGroupsSequence": [shared]}
    save(tmp_path / "volume.dcm", values, NumberOfFrames=3, **sequences)
    image = read_image(tmp_path / "volume.dcm")
    assert (image.axes, image.calibration) == ("ZYX", ((4.0, 0.5, 0.5), ("mm", "mm", "mm")))
    np.testing.assert_array_equal(image.data, values[[1, 2, 0]])


def test_colors_and_what_is_no_image(tmp_path):
    colors = np.random.default_rng(0).integers(0, 255, (6, 7, 3), "uint8")
    save(tmp_path / "color.dcm", colors, Modality="OT")
    image = read_image(tmp_path / "color.dcm")
    assert image.axes == "YXS"
    np.testing.assert_array_equal(image.data, colors)
    (tmp_path / "text.dcm").write_text("no image")
    with pytest.raises(FileError, match=r"text\.dcm cannot be read"):
        read_image(tmp_path / "text.dcm")
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        FileError, match=r"empty is a folder without DICOM images\. Name an image file, or the folder of a DICOM series"
    ):
        read_image(tmp_path / "empty")


@pytest.mark.parametrize(
    ("words", "part"),
    [(["PRIMARY", "M"], "magnitude"), (["PRIMARY", "R"], "real"), (["PRIMARY", "COMPLEX"], "complex")],
)
def test_a_file_or_the_folder_of_a_series_says_which_part_of_complex_values_it_has(tmp_path, words, part):
    slices(tmp_path / "scan", ImageType=words)
    assert part_of_file(tmp_path / "scan") == part_of_file(tmp_path / "scan" / "0.dcm") == part
    (tmp_path / "no.dcm").write_text("no image")
    assert part_of_file(tmp_path / "no.dcm") is None
    save(tmp_path / "ct.dcm", np.ones((4, 4), "uint16"), Modality="CT")
    assert part_of_file(tmp_path / "ct.dcm") is None
