import numpy as np
import pytest
from raw_data import h5py, header, write_fastmri, write_ismrmrd

from napari_convgen.errors import ConvgenError, FileError
from napari_convgen.files.images import read_image, write_image
from napari_convgen.files.kspace.reading import read_kspace, without_oversampling

RNG = np.random.default_rng(0)
KSPACE = (RNG.normal(size=(3, 2, 12, 10)) + 1j * RNG.normal(size=(3, 2, 12, 10))).astype(np.complex64)
"""Three slices of two coils, 12 rows and 10 columns."""


def lines_of(kspace, **said):
    """Return the lines of a slice, (coils, rows, columns)."""
    return [({"kspace_encode_step_1": row, **said}, kspace[:, row]) for row in range(kspace.shape[1])]


def test_fastmri_has_slices_a_mask_and_a_pixel_size(tmp_path):
    path, mask = tmp_path / "scan.h5", np.arange(10) % 2 == 0
    write_fastmri(path, KSPACE * mask, mask.astype(np.uint8), header((12, 16), (48.0, 20.0), wanted=48.0))
    file = read_kspace(path, 2)
    np.testing.assert_array_equal(file.kspace, KSPACE[2] * mask)
    np.testing.assert_array_equal(file.is_sampled, np.tile(mask, (12, 1)))
    assert (file.calibration, file.notes) == (((4.0, 2.0), ("mm", "mm")), ())
    assert (file.image.axes, file.like.axes, file.like.data.shape) == ("CYX", "YX", (12, 10))
    middle = read_kspace(path)
    assert middle.slice_number == 1
    assert "holds 3 slices; number 1, the middle one, is read" in middle.notes[0]
    write_fastmri(path, KSPACE[:, 0])
    single = read_kspace(path, 0)
    np.testing.assert_array_equal(single.kspace, KSPACE[0, :1])
    assert (single.is_sampled, single.calibration) == (None, None)
    np.testing.assert_array_equal(read_kspace(f"{path}:/kspace", 1, axes="QYX").kspace, KSPACE[1, :1])


def test_oversampling_along_the_readout_is_removed_as_the_header_says(tmp_path):
    path, image = tmp_path / "scan.h5", np.zeros((2, 12, 10), complex)
    image[:, 3:9] = KSPACE[0, :, 3:9]
    centered = {"axes": (1, 2)}
    raw = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image, **centered), norm="ortho", **centered), **centered)
    write_fastmri(path, raw[None], np.ones(10), header((12, 10), (48.0, 20.0), wanted=24.0))
    file = read_kspace(path)
    expected = np.fft.fft2(np.fft.ifftshift(image[:, 3:9], **centered), norm="ortho", **centered)
    np.testing.assert_allclose(file.kspace, np.fft.fftshift(expected, **centered), atol=1e-5)
    assert file.calibration == ((4.0, 2.0), ("mm", "mm"))
    assert file.is_sampled.shape == (6, 10)
    assert "6 of 12 points" in file.notes[-1]
    np.testing.assert_allclose(without_oversampling(raw, 12, 0), raw, atol=1e-5)


@pytest.mark.parametrize("suffix", [".h5", ".mrd"])
def test_ismrmrd_puts_lines_in_their_places(tmp_path, suffix):
    path = tmp_path / f"scan{suffix}"
    lines = [line for i, each in enumerate(KSPACE) for line in lines_of(each, slice=i)]
    repeated = [(said | {"average": 1}, 3 * values) for said, values in lines]
    noise = ({"flags": 1 << 18}, 99 * KSPACE[0, :, 0])
    write_ismrmrd(path, header((10, 12), (20.0, 48.0), wanted=20.0), [noise, *lines[::-1], *repeated])
    file = read_kspace(path, 1)
    np.testing.assert_allclose(file.kspace, 2 * KSPACE[1], rtol=1e-6)
    assert (file.n_slices, file.calibration) == (3, ((4.0, 2.0), ("mm", "mm")))
    assert "1 lines of" in file.notes[0]


def test_ismrmrd_has_scans_that_begin_late_and_echoes_cut_short(tmp_path):
    path, said = tmp_path / "scan.h5", {"center_sample": 3, "discard_pre": 1}
    lines = [({"kspace_encode_step_1": row, **said}, KSPACE[0, :, row + 4, 2:]) for row in range(8)]
    write_ismrmrd(path, header((10, 12), wanted=64.0, middle=2), lines)
    expected = np.where((np.arange(12) >= 4)[:, None] & (np.arange(10) >= 3), KSPACE[0], 0)
    np.testing.assert_array_equal(read_kspace(path).kspace, expected)


def test_contrasts_count_as_slices_and_separate_calibration_is_left_out(tmp_path):
    path = tmp_path / "scan.h5"
    lines = [line for i in (0, 1) for line in lines_of(KSPACE[i], contrast=i)]
    calibration = [(said | {"flags": 1 << 19}, values) for said, values in lines_of(KSPACE[2])]
    for mode, total in (("separate", KSPACE[0]), ("embedded", (KSPACE[0] + KSPACE[2]) / 2)):
        write_ismrmrd(path, header((10, 12), mode=mode), [*lines, *calibration])
        file = read_kspace(path, 0)
        assert file.n_slices == 2
        np.testing.assert_allclose(file.kspace, total, rtol=1e-5)


@pytest.mark.parametrize(
    ("values", "axes"),
    [
        (KSPACE[0], "CYX"),
        (KSPACE[0, 0], "YX"),
        (KSPACE, "KCYX"),
        (KSPACE[0][:, :, :, None], "CZYX"),
        (KSPACE[0][:, :, None, :], "CZYX"),
    ],
)
def test_bart_has_coils_and_slices_and_one_axis_may_be_of_length_one(tmp_path, values, axes):
    letters = "XYZCMEFGHITJLKNB"
    lengths = dict(zip(axes, values.shape, strict=True))
    dimensions = [lengths.get(letter, 1) for letter in letters]
    (tmp_path / "scan.hdr").write_text(f"# Dimensions\n{' '.join(map(str, dimensions))}\n")
    (tmp_path / "scan.cfl").write_bytes(values.tobytes())
    file = read_kspace(tmp_path / "scan.cfl")
    expected = KSPACE[1] if axes == "KCYX" else KSPACE[0, :1] if axes == "YX" else KSPACE[0]
    np.testing.assert_array_equal(file.kspace, expected)


def test_arrays_have_the_axes_that_are_given(tmp_path):
    with h5py.File(tmp_path / "array.h5", "w") as file:
        file["raw"] = KSPACE.transpose(2, 3, 1, 0)
    given = read_kspace(tmp_path / "array.h5", 2, axes="YXCZ")
    np.testing.assert_array_equal(given.kspace, KSPACE[2])


def test_what_is_no_scan_of_slices_is_refused(tmp_path):
    path, line = tmp_path / "scan.h5", lines_of(KSPACE[0])
    for xml, lines, sentence in [
        (header((10, 12), trajectory="spiral"), line, "read along a spiral trajectory"),
        (header((10, 12, 4)), line, "scan of a volume"),
        (header((8, 12)), line, "a line outside of the 12 × 8 points"),
        (header((10, 8)), line, "a line outside of the 8 × 10 points"),
        (header((10, 12)), [({"flags": 1 << 18}, KSPACE[0, :, 0])], "no line of an image"),
        ("<ismrmrdHeader/>", line, "it is damaged"),
    ]:
        write_ismrmrd(path, xml, lines)
        with pytest.raises(FileError, match=sentence):
            read_kspace(path)
    write_fastmri(path, KSPACE)
    for number in (3, -1, 0.5, True):
        with pytest.raises(FileError, match="has slices 0 to 2, and none with the number"):
            read_kspace(path, number)
    with pytest.raises(FileError, match="does not exist"):
        read_kspace(tmp_path / "none.mrd.h5")
    with pytest.raises(ConvgenError, match="no known format"):
        read_kspace(tmp_path / "none.mrd")
    image = read_kspace(path, 0).like
    write_image(tmp_path / "out.tif", np.ones((12, 10), np.float32), image)
    assert read_image(tmp_path / "out.tif").data.shape == (12, 10)
    shape = "10 12 3 2" + " 1" * 12
    (tmp_path / "volume.hdr").write_text(f"# Dimensions\n{shape}\n")
    (tmp_path / "volume.cfl").write_bytes(KSPACE.tobytes())
    with pytest.raises(FileError, match="k-space of a volume"):
        read_kspace(tmp_path / "volume.cfl")
