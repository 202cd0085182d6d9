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
    "color by planes": {"photometric": "rgb", "planarconfig": "separate", "compression": "zlib"},
}

INDICES = [(...,), (1, 2), (1, slice(1, 3), slice(3, 20), slice(30, None)), (0, ..., 2), (slice(0, 1), 2)]


@pytest.fixture
def is_lazy(monkeypatch):
    """Read all images as they are needed; return the numbers of the pages that were decoded."""
    monkeypatch.setattr(pages, "LARGEST_READ", 0)
    decoded, decode = [], pages.PagedValues._page

    def counted(self, number):
        if self._latest is None or self._latest[0] != number:
            decoded.append(number)
        return decode(self, number)

    monkeypatch.setattr(pages.PagedValues, "_page", counted)
    return decoded


@pytest.mark.parametrize("kind", KINDS)
def test_parts_are_those_of_the_whole(tmp_path, kind, is_lazy):
    shape = {"color": (5, 40, 48, 3), "color by planes": (5, 3, 40, 48)}.get(kind, STACK.shape)
    data = np.resize(STACK, shape) > 2000 if kind == "bits" else np.resize(STACK, shape)
    tifffile.imwrite(tmp_path / "a.tif", data, **KINDS[kind])
    file = read_image(tmp_path / "a.tif")
    assert not isinstance(file.data, np.ndarray)
    assert (file.data.shape, file.data.dtype) == (data.shape, data.dtype)
    np.testing.assert_array_equal(np.asarray(file.data), data)
    for index in INDICES:
        part = file.data[index]
        np.testing.assert_array_equal(part, data[index])
        assert part.dtype == data.dtype
        assert part.dtype.isnative


def test_a_page_is_decoded_when_it_is_needed_and_once_for_all_its_tiles(tmp_path, is_lazy):
    tifffile.imwrite(tmp_path / "a.tif", STACK, compression="zlib", photometric="minisblack")
    data = read_image(tmp_path / "a.tif").data
    assert is_lazy == []
    for columns in (slice(0, 20), slice(20, 48)):
        data[1, 2, :, columns]
    assert is_lazy == [7]


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
