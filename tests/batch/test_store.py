"""An image that is in no file is denoised into an OME-Zarr image, piece by piece, and taken up again."""

import dask.array as da
import numpy as np
import pytest

from napari_convgen.batch import piece as piece_module
from napari_convgen.batch.store import StoreTask
from napari_convgen.core.image import Image
from napari_convgen.errors import ConfigError, FileError
from napari_convgen.files.images import read_image
from napari_convgen.run.denoise.run import denoise

pytest.importorskip("zarr")

IDENTITY = {"name": "cells"}


@pytest.fixture
def image():
    y, x = np.mgrid[:24, :40]
    clean = 100 + 60 * np.sin(x / 5) * np.cos(y / 4)
    noisy = (clean + 15 * np.random.default_rng(0).standard_normal((3, *clean.shape))).clip(0, 255).astype(np.uint8)
    return Image(noisy, "ZYX", (2.0, 0.5, 0.5), ("µm", "µm", "µm"))


@pytest.fixture
def settings(few):
    return few.replace({"n_threads": 1})


def test_it_begins_with_the_frame_and_tile_on_screen_and_goes_on_where_it_was_stopped(
    tmp_path, image, settings, monkeypatch
):
    begun, fit = [], piece_module._fit
    monkeypatch.setattr(piece_module, "_fit", lambda job: begun.append(job.number) or fit(job))
    task = StoreTask(image, settings, tmp_path / "out.zarr", IDENTITY, {0: 1, 1: 12, 2: 38})
    assert "9 pieces" in str(task.forecast())
    for progress in task:
        if progress.n_ended == 4 and progress.fit is not None:
            assert str(progress) == "Frame 1 of 3, tile 2 of 3; 4 of 9 are done."
            task.stop()
    assert begun == [5, 4, 3, 0, 1]
    assert str(task.result()) == "4 of 9 pieces are done and kept. Run again to go on, with the same settings."

    begun.clear()
    again = StoreTask(image, settings, tmp_path / "out.zarr", IDENTITY)
    progress = list(again)[-1]
    assert (begun, progress.share, progress.n_before) == ([1, 2, 6, 7, 8], 1.0, 4)
    file = read_image(tmp_path / "out.zarr")
    np.testing.assert_array_equal(np.asarray(file.data), denoise(image, settings).image)
    assert file.calibration == ((2.0, 0.5, 0.5), ("µm", "µm", "µm"))
    assert "All 9 pieces are done" in str(again.result())
    assert list(StoreTask(image, settings, tmp_path / "out.zarr", IDENTITY)) == []
    with pytest.raises(FileError, match="is there already"):
        StoreTask(image, settings.replace({"seed": 1}), tmp_path / "out.zarr", IDENTITY)


def test_what_is_done_with_other_settings_is_not_replaced(tmp_path, image, settings):
    task = StoreTask(image, settings, tmp_path / "out.zarr", IDENTITY)
    for progress in task:
        if progress.n_ended == 1:
            task.stop()
    other = settings.replace({"seed": 1})
    with pytest.raises(
        FileError,
        match=r"\.pieces/out\.zarr-.* is there already: what is done of out\.zarr with other settings.* or remove it",
    ):
        StoreTask(image, other, tmp_path / "out.zarr", IDENTITY)
    assert StoreTask(image, settings, tmp_path / "out.zarr", IDENTITY).result().n_done == 1
    (tmp_path / "else.zarr.json").write_text("{}")
    with pytest.raises(FileError, match=r"else\.zarr\.json is there already: a file that is no record"):
        StoreTask(image, other, tmp_path / "else.zarr", IDENTITY)


def test_what_is_done_of_another_image_of_the_same_name_is_not_taken_over(tmp_path, image, settings):
    lazy, other = (Image(da.from_array(values), image.axes) for values in (image.data, 255 - image.data))
    StoreTask(lazy, settings, tmp_path / "out.zarr", IDENTITY).finish()
    assert StoreTask(lazy, settings, tmp_path / "out.zarr", IDENTITY).has_result
    with pytest.raises(FileError, match=r"an image, from other settings, another image or another version"):
        StoreTask(other, settings, tmp_path / "out.zarr", IDENTITY)


def test_a_piece_that_fails_is_told_and_tried_again(tmp_path, image, settings, monkeypatch):
    fit = piece_module._fit

    def broken(job):
        if job.number == 4:
            raise RuntimeError("the share is gone")
        return fit(job)

    with monkeypatch.context() as patch:
        patch.setattr(piece_module, "_fit", broken)
        result = StoreTask(image, settings, tmp_path / "out.zarr", IDENTITY).finish()
    assert "8 of 9 pieces are done and kept. 1 failed: the share is gone" in str(result)
    assert len(list(StoreTask(image, settings, tmp_path / "out.zarr", IDENTITY))) > 0
    assert (tmp_path / "out.zarr").is_dir()


def test_what_cannot_be_written_is_refused(tmp_path, image, settings):
    with pytest.raises(ConfigError, match=r"end in \.zarr"):
        StoreTask(image, settings, tmp_path / "out.tif", IDENTITY)
    with pytest.raises(ConfigError, match="in this order, got CTYX"):
        StoreTask(Image(image.data[None], "CTYX"), settings, tmp_path / "out.zarr", IDENTITY)
