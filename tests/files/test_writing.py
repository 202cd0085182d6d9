"""What cannot be read or written is refused, and a file is written completely or not at all."""

import errno
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_convgen.cli import options
from napari_convgen.errors import FileError
from napari_convgen.files import atomic
from napari_convgen.files.atomic import check_writable, making_folder, replacing, write_text
from napari_convgen.files.images import check_image, read_image, write_image
from napari_convgen.files.stack import check_stack, write_stack
from napari_convgen.files.tiff import writing


def values(shape, dtype, seed=0):
    numbers = np.random.default_rng(seed).integers(0, 200, shape)
    return (numbers > 100) if dtype == "bool" else numbers.astype(dtype)


def test_paths_that_cannot_be_written_are_refused(tmp_path, gray, monkeypatch):
    for name, sentence in [
        ("image.jpg", r"must end in \.tif or \.tiff or \.png or \.nii\.gz"),
        ("image", r"must end in \.tif"),
        ("missing/image.tif", r"the folder .*missing does not exist\. Create it first\.$"),
        ("gray.tif/image.tif", r"the folder .*gray\.tif does not exist"),
        ("folder.tif", r"is a folder\. Name a file in it\.$"),
    ]:
        (tmp_path / "folder.tif").mkdir(exist_ok=True)
        with pytest.raises(FileError, match=sentence):
            check_image(tmp_path / name, gray)
    with pytest.raises(FileError, match=r"must end in \.tif or"):
        check_stack(tmp_path / "snapshots.jpg", gray)
    with pytest.raises(FileError, match=r"snapshots\.png cannot hold a stack"):
        check_stack(tmp_path / "snapshots.png", gray)
    frames = replace(gray, data=np.zeros((2, 2, 8, 8)), axes="TCYX")
    with pytest.raises(
        FileError, match=r"snapshots\.zarr has no free axis for the images of an image with the axes TCYX"
    ):
        check_stack(tmp_path / "snapshots.zarr", frames)
    odd = replace(gray, data=np.zeros((2, 8, 8)), axes="QYX")
    with pytest.raises(FileError, match=r"cannot be OME-TIFF, which has no place for the axes QYX with float64 values"):
        check_image(tmp_path / "image.ome.tif", odd)

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(atomic, "open", refuse, raising=False)
    with pytest.raises(FileError, match=r"image\.tif cannot be written: Permission denied\. Choose another folder\.$"):
        check_image(tmp_path / "image.tif", gray)
    with pytest.raises(FileError, match=r"report\.json cannot be written: Permission denied\.$"):
        write_text(tmp_path / "report.json", "{}")


def test_checking_leaves_nothing_behind(tmp_path, gray):
    before = sorted(os.listdir(tmp_path))
    check_image(tmp_path / "image.tif", gray)
    check_stack(tmp_path / "image.tif", gray)
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
        ("image.czi", r"must end in \.tif, \.tiff, \.png, \.jpg, \.jpeg, \.bmp, "),
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
    monkeypatch.setattr(writing, "write_tiff", write_half)
    raised = FileError if isinstance(error, OSError) else type(error)
    sentence = (
        r"image\.tif cannot be written: No space left on device\. Make room, or choose another folder\.$"
        if raised is FileError
        else None
    )
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


KILLED = """
import os, sys
from napari_convgen.files.atomic import replacing
with replacing(sys.argv[1]) as file:
    file.write(b"half of it")
    file.flush()
    os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="files without names are of Linux")
@pytest.mark.parametrize("has_old", [False, True])
def test_nothing_is_left_of_a_process_that_is_killed_while_it_writes(tmp_path, has_old):
    target = tmp_path / "text.json"
    if has_old:
        target.write_text("old")
    before = sorted(os.listdir(tmp_path))
    assert subprocess.run([sys.executable, "-c", KILLED, target], check=False).returncode == -9
    assert sorted(os.listdir(tmp_path)) == before
    assert not has_old or target.read_text() == "old"


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="files without names are of Linux")
def test_a_new_file_has_its_own_name_from_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "replace", None)  # by which a temporary name would become its own
    write_text(tmp_path / "new.json", "new")
    assert (tmp_path / "new.json").read_text() == "new"


@pytest.mark.parametrize("missing", ["nameless files", "links to them"])
@pytest.mark.parametrize("has_old", [False, True])
def test_where_files_need_names_they_are_written_as_well(tmp_path, monkeypatch, missing, has_old):
    def refuse(*args, **kwargs):
        raise OSError(errno.EOPNOTSUPP if missing == "nameless files" else errno.EPERM, "not here")

    target = tmp_path / "text.json"
    if has_old:
        write_text(target, "old")
    monkeypatch.setattr(os, "open" if missing == "nameless files" else "link", refuse)
    with replacing(target) as file:
        file.write(b"new")
        assert len(os.listdir(tmp_path)) == has_old + (missing == "nameless files")
    atomic.check_folder(tmp_path)
    monkeypatch.undo()
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


@pytest.mark.skipif(os.name == "nt", reason="links and modes of POSIX")
def test_a_file_that_is_protected_a_circle_or_a_device_is_refused_before_and_while_it_is_written(tmp_path, gray):
    protected, circle, pipe = (tmp_path / name for name in ("protected.tif", "circle.tif", "pipe.tif"))
    protected.write_bytes(b"old")
    protected.chmod(0o444)
    (tmp_path / "link.tif").symlink_to(protected)
    circle.symlink_to(tmp_path / "back.tif")
    (tmp_path / "back.tif").symlink_to(circle)
    os.mkfifo(pipe)
    for name, sentence in [
        (
            "protected.tif",
            r"protected\.tif is there and protected from writing\. Choose another name, or allow it to be",
        ),
        ("link.tif", r"protected\.tif is there and protected from writing"),
        ("circle.tif", r"circle\.tif cannot be written: it is a link that leads back to itself"),
        ("pipe.tif", r"pipe\.tif is no usual file, but a device or a pipe"),
        (f"{'long' * 99}.tif", r"long\.tif cannot be written: File name too long\. Choose another name\."),
        ("null\0.tif", r"cannot be written: .*null.*\. Choose another name\."),
    ]:
        for attempt in (check_image, lambda path, like: write_image(path, like.data, like)):
            with pytest.raises(FileError, match=sentence):
                attempt(tmp_path / name, gray)
        with pytest.raises(FileError, match=sentence), replacing(tmp_path / name):
            pass
    assert protected.read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == [
        "back.tif",
        "circle.tif",
        "gray.tif",
        "link.tif",
        "pipe.tif",
        "protected.tif",
    ]


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path):
    target = tmp_path / "private.json"
    target.write_text("old")
    target.chmod(0o600)
    write_text(target, "new")
    assert target.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_takes_no_file_is_refused(tmp_path, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(options, "check_folder", refuse)
    with pytest.raises(FileError, match=r"out cannot be written to: Permission denied\. Choose another folder\.$"):
        options.make_folder(tmp_path / "out")


def test_what_a_killed_process_left_of_a_file_goes_when_it_is_written_again(tmp_path):
    program = (
        "import os, sys; from pathlib import Path; from napari_convgen.files.atomic import _temporary;"
        "print(_temporary(Path(sys.argv[1])))"
    )
    target, other = tmp_path / "image.txt", tmp_path / "other.txt"
    stale, kept = (
        Path(subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True).stdout.strip())
        for path in (target, other)
    )
    alive = atomic._temporary(target)
    for path in (target, stale, kept, alive):
        path.write_text("half")
    atomic.write_text(target, "whole")
    assert target.read_text() == "whole"
    assert {each.name for each in tmp_path.iterdir()} == {target.name, kept.name, alive.name}


def test_a_folder_in_the_place_of_a_file_leaves_nothing_of_it(tmp_path):
    (tmp_path / "a.zarr").write_text("no folder")
    with making_folder(tmp_path / "a.zarr") as folder:
        (folder / "x").write_text("1")
    assert sorted(each.relative_to(tmp_path).as_posix() for each in tmp_path.rglob("*")) == ["a.zarr", "a.zarr/x"]
