"""What cannot be read or written is refused, and a file is written completely or not at all."""

import os

import numpy as np
import pytest
from PIL import Image

from napari_convgen.errors import FileError
from napari_convgen.files import atomic, tiff
from napari_convgen.files.atomic import check_writable, replacing, write_text
from napari_convgen.files.images import check_image, read_image, write_image
from napari_convgen.files.stack import check_stack, write_stack


def values(shape, dtype, seed=0):
    numbers = np.random.default_rng(seed).integers(0, 200, shape)
    return (numbers > 100) if dtype == "bool" else numbers.astype(dtype)


def test_paths_that_cannot_be_written_are_refused(tmp_path, gray, monkeypatch):
    for name, sentence in [
        ("image.jpg", r"must end in \.tif or \.tiff or \.png\.$"),
        ("image", r"must end in \.tif"),
        ("missing/image.tif", r"the folder .*missing does not exist\. Create it first\.$"),
        ("gray.tif/image.tif", r"the folder .*gray\.tif does not exist"),
        ("folder.tif", r"is a folder\. Name a file in it\.$"),
        ("image.ome.tif", r"would not be OME-TIFF"),
    ]:
        (tmp_path / "folder.tif").mkdir(exist_ok=True)
        with pytest.raises(FileError, match=sentence):
            check_image(tmp_path / name, gray)
    with pytest.raises(FileError, match=r"must end in \.tif or \.tiff\.$"):
        check_stack(tmp_path / "snapshots.png")
    with pytest.raises(FileError, match="would not be OME-TIFF"):
        check_stack(tmp_path / "snapshots.ome.tiff")

    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(atomic, "open", refuse, raising=False)
    with pytest.raises(FileError, match=r"image\.tif cannot be written: Permission denied\. Choose another folder\.$"):
        check_image(tmp_path / "image.tif", gray)
    with pytest.raises(FileError, match=r"report\.json cannot be written: Permission denied\.$"):
        write_text(tmp_path / "report.json", "{}")


def test_checking_leaves_nothing_behind(tmp_path, gray):
    before = sorted(os.listdir(tmp_path))
    check_image(tmp_path / "image.tif", gray)
    check_stack(tmp_path / "image.tif")
    check_writable(tmp_path / "report.json", (".json",))
    assert sorted(os.listdir(tmp_path)) == before


def test_files_that_cannot_be_read_are_refused(tmp_path):
    (tmp_path / "text.tif").write_text("no image")
    (tmp_path / "text.png").write_text("no image")
    whole = tmp_path / "whole.png"
    Image.fromarray(values((60, 70), "uint8")).save(whole)
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:1000])
    (tmp_path / "folder.tif").mkdir()
    for name, sentence in [
        ("image.czi", r"must end in \.tif, \.tiff, \.png, \.jpg, \.jpeg or \.bmp\.$"),
        ("missing.tif", r"missing\.tif does not exist\. Name an image file\.$"),
        ("folder.tif", r"is a folder\. Name an image file\.$"),
        ("text.tif", r"text\.tif cannot be read: not a TIFF file"),
        ("text.png", r"text\.png cannot be read: cannot identify image file"),
        ("cut.png", r"cut\.png cannot be read: .*truncated"),
    ]:
        with pytest.raises(FileError, match=sentence):
            read_image(tmp_path / name)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), RuntimeError("broken")])
@pytest.mark.parametrize("has_old", [False, True])
def test_a_failure_in_the_middle_leaves_the_old_file_and_no_other(tmp_path, gray, monkeypatch, error, has_old):
    def write_half(file, *args):
        file.write(b"half")
        raise error

    target = tmp_path / "image.tif"
    if has_old:
        target.write_bytes(b"old")
    before = sorted(os.listdir(tmp_path))
    monkeypatch.setattr(tiff, "write_tiff", write_half)
    raised = FileError if isinstance(error, OSError) else type(error)
    sentence = r"image\.tif cannot be written: No space left on device\.$" if raised is FileError else None
    for write in (
        lambda: write_image(target, gray.data, gray),
        lambda: write_stack(target, [gray.data], "step", [1], gray),
    ):
        with pytest.raises(raised, match=sentence):
            write()
        assert sorted(os.listdir(tmp_path)) == before
        assert not has_old or target.read_bytes() == b"old"


def test_a_file_is_replaced_only_when_it_is_whole(tmp_path):
    target = tmp_path / "text.json"
    target.write_text("old")
    with replacing(target) as file:
        file.write(b"new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["text.json"]


@pytest.mark.skipif(os.name == "nt", reason="links and modes of POSIX")
def test_a_link_stays_and_the_mode_is_the_usual_one(tmp_path):
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    target.write_text("old")
    usual = target.stat().st_mode
    link.symlink_to(target)
    write_text(link, "new µ")
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8") == "new µ"
    assert target.stat().st_mode == usual
