"""Large TIFF files are read page by page, as they are needed, and give the same values as when they are read at once."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_convgen import cli
from napari_convgen.errors import FileError
from napari_convgen.files.images import read_image
from napari_convgen.files.tiff import pages

STACK = np.random.default_rng(0).integers(0, 4000, (2, 5, 40, 48), "uint16")

KINDS = {
    "ImageJ": {"imagej": True, "metadata": {"axes": "TZYX"}},
    "OME, compressed": {"ome": True, "metadata": {"axes": "TZYX"}, "compression": "zlib"},
    "BigTIFF of tiles": {"bigtiff": True, "tile": (16, 16), "compression": "zlib", "predictor": True},
    "big-endian": {"byteorder": ">", "photometric": "minisblack"},
    "bits": {"photometric": "minisblack"},
    "color": {"photometric": "rgb", "compression": "zlib"},
    "color planes": {"photometric": "rgb", "planarconfig": "separate", "compression": "zlib"},
    "tiles of color": {"photometric": "rgb", "compression": "zlib", "tile": (16, 32)},
    "tiles of planes": {"photometric": "rgb", "planarconfig": "separate", "compression": "zlib", "tile": (32, 16)},
    "tiles of volumes": {"photometric": "minisblack", "volumetric": True, "tile": (2, 16, 16), "compression": "zlib"},
    "short strips": {"photometric": "minisblack", "compression": "zlib", "rowsperstrip": 7},
    "tiles without compression": {"photometric": "minisblack", "tile": (16, 16)},
}

INDICES = [
    (...,),
    (1, 2),
    (1, slice(1, 3), slice(3, 20), slice(30, None)),
    (0, ..., 2),
    (slice(0, 1), 2),
    (-1, ..., slice(None, None, 7), slice(40, 3, -5)),
    (..., slice(5, 5), slice(None)),
]


OME_HEAD = '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
OME_PIXELS = (
    '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="48" SizeY="40" SizeZ="5" SizeC="1" SizeT="1">'
    '<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{}</Pixels></Image></OME>'
)
OME_PLANES = '<TiffData FirstZ="{}" PlaneCount="1" IFD="{}"><UUID FileName="{}">urn:uuid:{}</UUID></TiffData>'


@pytest.fixture
def is_lazy(monkeypatch):
    """Read all images as they are needed; return the pages and segments that were decoded, by their numbers."""
    monkeypatch.setattr(pages, "LARGEST_READ", 0)
    decoded, decode = [], pages._decoded

    def counted(page, segment):
        decoded.append((page.index, segment))
        return decode(page, segment)

    monkeypatch.setattr(pages, "_decoded", counted)
    return decoded


@pytest.mark.parametrize("kind", KINDS)
def test_parts_are_those_of_the_whole(tmp_path, kind, is_lazy):
    shape = {"color": (5, 40, 48, 3), "planes": (5, 3, 40, 48)}.get(kind.split()[-1], STACK.shape)
    data = np.resize(STACK, shape) > 2000 if kind == "bits" else np.resize(STACK, shape)
    tifffile.imwrite(tmp_path / "a.tif", data, **KINDS[kind])
    check_parts(tmp_path / "a.tif", data)


def test_parts_of_pages_that_do_not_follow_each_other(tmp_path, is_lazy):
    with tifffile.TiffWriter(tmp_path / "a.tif", byteorder=">") as file:
        for frame in STACK[0]:
            file.write(frame, photometric="minisblack", contiguous=False, metadata=None)
    check_parts(tmp_path / "a.tif", STACK[0], ((2,), (slice(1, 3), slice(3, 20), slice(30, None))))
    assert is_lazy == []


def test_parts_of_an_image_in_several_files(tmp_path, is_lazy):
    files = [("a.ome.tif", range(2)), ("b.ome.tif", range(2, 5))]
    planes = [OME_PLANES.format(z, place, name, name) for name, zs in files for place, z in enumerate(zs)]
    for name, zs in files:
        described = OME_HEAD.replace("<OME ", f'<OME UUID="urn:uuid:{name}" ') + OME_PIXELS.format("".join(planes))
        with tifffile.TiffWriter(tmp_path / name, byteorder="<" if name == "a.ome.tif" else ">") as file:
            for z in zs:
                text = described if z == zs[0] else None
                file.write(STACK[0, z], photometric="minisblack", compression="zlib", description=text, metadata=None)
    for name, _ in files:
        path = tmp_path / name
        check_parts(path, STACK[0], ((4,), (slice(1, 4), slice(3, 20), slice(30, None))))
        told = f"The image of {path} is in 2 files. All are read; a batch needs only one of them as an input."
        assert read_image(path).notes == (told,)
    assert is_lazy


def check_parts(path, data, indices=INDICES):
    """Check that parts of an image are those of its values."""
    file = read_image(path)
    assert not isinstance(file.data, np.ndarray)
    assert (file.data.shape, file.data.dtype) == (data.shape, data.dtype)
    np.testing.assert_array_equal(np.asarray(file.data), data)
    for index in indices:
        part = file.data[index]
        np.testing.assert_array_equal(part, data[index])
        assert part.dtype == data.dtype
        assert part.dtype.isnative


def test_only_the_segments_of_a_region_are_decoded_and_once_for_all_its_neighbors(tmp_path, is_lazy):
    frames = np.random.default_rng(0).integers(0, 4000, (2, 256, 320), "uint16")
    tifffile.imwrite(tmp_path / "a.tif", frames, compression="zlib", photometric="minisblack", tile=(64, 64))
    data = read_image(tmp_path / "a.tif").data
    assert is_lazy == []
    data[1, 70:120, 10:100]
    assert is_lazy == [(1, 5), (1, 6)]
    data[1, 70:120, 90:140]
    assert is_lazy == [(1, 5), (1, 6), (1, 7)]
    data[1, 100:130, 90:140]
    assert is_lazy == [(1, 5), (1, 6), (1, 7), (1, 11), (1, 12)]


def test_strips_are_decoded_once_for_all_tiles_in_a_row(tmp_path, is_lazy):
    tifffile.imwrite(tmp_path / "a.tif", STACK, compression="zlib", photometric="minisblack", rowsperstrip=10)
    data = read_image(tmp_path / "a.tif").data
    for columns in (slice(0, 20), slice(20, 48)):
        data[1, 2, 15:25, columns]
    assert is_lazy == [(7, 1), (7, 2)]


def test_what_is_remembered_is_bounded_and_the_latest(tmp_path, is_lazy, monkeypatch):
    monkeypatch.setattr(pages, "KEPT_BYTES", 3 * 16 * 16 * 2)
    tifffile.imwrite(tmp_path / "a.tif", STACK, compression="zlib", photometric="minisblack", tile=(16, 16))
    data = read_image(tmp_path / "a.tif").data
    data[0, 0, 0:10]  # three tiles
    data[0, 0, 0:10, 0:20]
    data[0, 0, 20:30, 0:10]
    assert is_lazy == [(0, 0), (0, 1), (0, 2), (0, 3)]
    data[0, 0, 0:10, 0:20]
    assert len(is_lazy) == 4
    data[0, 0, 0:10, 40:]
    assert is_lazy[4:] == [(0, 2)]


def test_tiles_that_a_file_leaves_out_have_the_value_for_no_data(tmp_path, is_lazy):
    tiles = [STACK[0, 0, :16, :16], None, None, STACK[0, 1, :16, :16]]
    tag = [(42113, "s", 0, "9", True)]  # GDAL_NODATA
    options = {"shape": (32, 32), "dtype": "uint16", "tile": (16, 16), "compression": "zlib", "extratags": tag}
    tifffile.imwrite(tmp_path / "a.tif", iter(tiles), photometric="minisblack", **options)
    data = read_image(tmp_path / "a.tif").data
    np.testing.assert_array_equal(np.asarray(data), tifffile.imread(tmp_path / "a.tif"))
    assert data[3, 20] == 9


def test_strips_of_which_the_file_does_not_say_where_they_are_are_told(tmp_path, is_lazy, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", STACK, compression="zlib", photometric="minisblack", rowsperstrip=10)
    data = read_image(tmp_path / "a.tif").data
    page = data._values._series.pages[3]
    page.dataoffsets = page.dataoffsets[:2]
    np.testing.assert_array_equal(data[0, 3, :20], STACK[0, 3, :20])
    with pytest.raises(FileError, match=r"strip or tile 2 of page 3 is missing"):
        data[0, 3, 15:25]


@pytest.mark.parametrize(
    ("rows", "kept", "expected"), [(40, 2**9, 2 * 40 * 48), (1, 2**9, 2**9), (1, 2**26, 2 * 40 * 48)]
)
def test_memory_of_what_is_remembered_or_decoded_at_once_is_told(tmp_path, is_lazy, monkeypatch, rows, kept, expected):
    monkeypatch.setattr(pages, "KEPT_BYTES", kept)
    tifffile.imwrite(tmp_path / "a.tif", STACK, compression="zlib", photometric="minisblack", rowsperstrip=rows)
    assert read_image(tmp_path / "a.tif").n_held_bytes == expected
    tifffile.imwrite(tmp_path / "a.tif", STACK, photometric="minisblack")
    assert read_image(tmp_path / "a.tif").n_held_bytes == 0


def test_memory_of_a_part_is_not_that_of_its_page(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "LARGEST_READ", 2**20)
    monkeypatch.setattr(pages, "KEPT_BYTES", 2**18)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((4096, 4096), np.uint16), compression="zlib", tile=(128, 128))
    tracemalloc.start()
    data = read_image(path).data
    for start in range(0, 4096, 256):
        data[start : start + 256, start : start + 256]
    assert tracemalloc.get_traced_memory()[1] < 2**22  # the page has 2**25 bytes
    tracemalloc.stop()


@pytest.mark.parametrize("is_whole", [True, False])
@pytest.mark.parametrize("kind", [{"imagej": True}, {"photometric": "minisblack"}, {"ome": True}], ids=str)
def test_of_values_that_lie_one_after_the_other_the_pages_are_not_read(tmp_path, kind, is_whole, monkeypatch):
    stack = np.resize(STACK, (60, 40, 48))
    tifffile.imwrite(
        tmp_path / "a.ome.tif" if "ome" in kind else tmp_path / "a.tif", stack, metadata={"axes": "TYX"}, **kind
    )
    monkeypatch.setattr(pages, "LARGEST_READ", 2**26 if is_whole else 0)
    read, begin = [], tifffile.TiffPage.__init__

    def counted(page, *arguments, **options):
        read.append(page)
        begin(page, *arguments, **options)

    monkeypatch.setattr(tifffile.TiffPage, "__init__", counted)
    [path] = tmp_path.iterdir()
    np.testing.assert_array_equal(np.asarray(read_image(path).data), stack)
    assert len(read) < 5


def test_memory_does_not_grow_with_frames(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "LARGEST_READ", 2**20)
    for name, options in {"plain": {}, "packed": {"compression": "zlib"}}.items():
        tifffile.imwrite(
            tmp_path / f"{name}.tif", np.zeros((40, 256, 256), np.uint16), photometric="minisblack", **options
        )
        tracemalloc.start()
        data = read_image(tmp_path / f"{name}.tif").data
        for number in range(40):
            data[number]
        assert tracemalloc.get_traced_memory()[1] < 10 * data[0].nbytes
        tracemalloc.stop()


def test_the_result_is_the_same_bit_for_bit(tmp_path, monkeypatch, is_lazy):
    stack = (100 + 20 * np.random.default_rng(1).standard_normal((3, 16, 16))).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "TYX"}, compression="zlib")
    few = ["n_steps=3", "generator.n_channels=4", "backend=torch", "stopping.kind=fixed", "n_threads=1"]

    def denoised(name):
        command = [
            "denoise",
            str(tmp_path / "a.tif"),
            "-o",
            str(tmp_path / name),
            "--preset",
            "deep-decoder",
            "--quiet",
        ]
        assert cli.main([*command, "--set", *few]) == 0
        return (tmp_path / name).read_bytes()

    lazy = denoised("lazy.tif")
    assert is_lazy
    monkeypatch.setattr(pages, "LARGEST_READ", 2**26)
    assert denoised("whole.tif") == lazy


def test_damage_is_a_sentence_and_what_is_done_is_written(tmp_path, is_lazy, capsys):
    stack = (100 + 20 * np.random.default_rng(1).standard_normal((3, 16, 16))).astype(np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stack, photometric="minisblack", compression="zlib")
    with tifffile.TiffFile(path) as file:
        place = file.pages[2].dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[place : place + 8] = b"\xff" * 8
    path.write_bytes(content)
    data = read_image(path).data
    np.testing.assert_array_equal(data[1], stack[1])
    with pytest.raises(FileError, match=r"a\.tif cannot be read"):
        data[2]
    few = ["n_steps=3", "generator.n_channels=4", "backend=torch", "stopping.kind=fixed", "n_threads=1"]
    command = [
        "denoise",
        str(path),
        "-o",
        str(tmp_path / "out.tif"),
        "--preset",
        "deep-decoder",
        "--quiet",
        "--set",
        *few,
    ]
    assert cli.main(command) == 2
    assert "After 2 of 3 frames, which are written" in capsys.readouterr().err
    assert Path(tmp_path / "out.tif").exists()
