"""An image that is in no file is denoised into an OME-Zarr image, piece by piece, and taken up again."""

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest

from napari_convgen.batch import piece as piece_module
from napari_convgen.batch.store import StoreTask
from napari_convgen.core.image import Image, identity_of
from napari_convgen.core.image.lazy import LazyArray
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
    other = settings.replace({"seed": 1})
    earlier = StoreTask(image, other, tmp_path / "out.zarr", IDENTITY)
    for progress in task:
        if progress.n_ended == 1:
            task.stop()
    with pytest.raises(FileError, match="is there already: what is done"):
        list(earlier)
    with pytest.raises(
        FileError,
        match=r"\.pieces/out\.zarr-.* is there already: what is done of out\.zarr with other settings.* or remove it",
    ):
        StoreTask(image, other, tmp_path / "out.zarr", IDENTITY)
    assert StoreTask(image, settings, tmp_path / "out.zarr", IDENTITY).result().n_done == 1
    (tmp_path / "else.zarr.json").write_text("{}")
    with pytest.raises(FileError, match=r"else\.zarr\.json is there already: a file that is no record"):
        StoreTask(image, other, tmp_path / "else.zarr", IDENTITY)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"axes": "CYX"}),
        ({"scale": (1.0, 0.5, 0.5)}, {"scale": (1.0, 0.5, 2.0)}),
        ({"units": ("s", "µm", "µm")}, {"units": ("s", "nm", "µm")}),
        ({}, {"noise_kind": "poisson-gaussian"}),
    ],
)
def test_what_is_done_with_other_axes_or_distances_is_not_taken_over(tmp_path, image, settings, before, after):
    scaled = {"axes": "TYX", "scale": (1.0, 0.5, 0.5), "units": ("s", "µm", "µm")}
    stacked = replace(image, **scaled | before)
    changes = settings.replace({"frames.fit": "separate", "channels": "joint", "tiles.size": "whole"})
    task = StoreTask(stacked, changes, tmp_path / "out.zarr", IDENTITY)
    for progress in task:
        if progress.n_ended == 1:
            task.stop()
    with pytest.raises(FileError, match="is there already: what is done of out"):
        StoreTask(replace(stacked, **after), changes, tmp_path / "out.zarr", IDENTITY)
    assert StoreTask(stacked, changes, tmp_path / "out.zarr", IDENTITY).result().n_done == 1


def test_a_piece_of_another_shape_is_not_spread_over_the_image(tmp_path, image, settings):
    task = StoreTask(image, settings.replace({"tiles.size": "whole"}), tmp_path / "out.zarr", IDENTITY)
    for progress in task:
        if progress.n_ended == 1:
            task.stop()
    np.save(task.plan.values_of(0), np.zeros((1, 40), np.uint8))
    again = StoreTask(image, task.plan.request.config, tmp_path / "out.zarr", IDENTITY)
    with pytest.raises(FileError, match=r"000000\.npy has the shape \(1, 40\), expected \(24, 40\)"):
        list(again)
    assert not (tmp_path / "out.zarr").exists()


class Later(LazyArray):
    """Values that are there as they are asked for."""

    def __init__(self, values):
        self.values, self.shape, self.dtype = values, values.shape, values.dtype

    def __getitem__(self, index):
        return self.values[index]


def test_lazy_images_that_look_alike_are_told_apart(tmp_path, image, settings):
    first = Later(image.data[:1])
    path = tmp_path / "cells.raw"
    path.write_bytes(b"1")
    identities = [identity_of("cells", first, each) for each in (None, str(path))]
    for number, identity in enumerate(identities):
        target = tmp_path / f"{number}.zarr"
        lazy = replace(image, data=first)
        assert StoreTask(lazy, settings, target, identity).finish().n_done == 3
        assert list(StoreTask(lazy, settings, target, identity)) == []
        with pytest.raises(FileError, match="is there already: an image, from other settings, another image"):
            StoreTask(replace(image, data=Later(image.data[1:2])), settings, target, identity)
    path.write_bytes(b"2")
    with pytest.raises(FileError, match="is there already: an image"):
        StoreTask(lazy, settings, tmp_path / "1.zarr", identity)


def test_a_run_into_the_folder_of_its_image_goes_on(tmp_path, image, settings):
    identity = {"name": "cells", "path": str(tmp_path)}
    task = StoreTask(replace(image, data=Later(image.data)), settings, tmp_path / "out.zarr", identity)
    for progress in task:
        if progress.n_ended == 2:
            task.stop()
    assert StoreTask(task._image, settings, tmp_path / "out.zarr", identity).result().n_done == 2


def test_a_folder_in_the_place_of_an_image_that_is_not_finished_is_not_replaced(tmp_path, image, settings):
    task = StoreTask(image, settings, tmp_path / "out.zarr", IDENTITY)
    for progress in task:
        if progress.n_ended == 1:
            task.stop()
    (tmp_path / "out.zarr").mkdir()
    (tmp_path / "out.zarr/mine.txt").write_text("mine")
    with pytest.raises(FileError, match=r"out\.zarr is there already"):
        StoreTask(image, settings, tmp_path / "out.zarr", IDENTITY)
    assert (tmp_path / "out.zarr/mine.txt").read_text() == "mine"


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
