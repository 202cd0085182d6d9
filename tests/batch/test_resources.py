"""Memory and disk of a batch: predicted, bounded, and what happens when the disk is full."""

import errno
import os
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_convgen.batch import piece as piece_module
from napari_convgen.batch import plan as plan_module
from napari_convgen.batch import run as run_module
from napari_convgen.batch.cut import N_COPIES_READ, Cut
from napari_convgen.batch.forecast import PROCESS_BYTES
from napari_convgen.batch.run import BatchTask, denoise_files
from napari_convgen.core.image import Image
from napari_convgen.errors import FileError, ShortMemoryError
from napari_convgen.files.image_file import ImageFile
from napari_convgen.files.images import new_image, write_image
from napari_convgen.run.setup.prepared import Prepared


@pytest.mark.parametrize("name", ["plan.json", "000001.json"])
def test_a_full_disk_while_a_record_is_written_is_told_in_the_same_sentence(folder, few, monkeypatch, name):
    write = plan_module.write_record

    def fail(path, record):
        if path.name == name:
            raise FileError(f"{path} cannot be written") from OSError(errno.ENOSPC, "No space left on device")
        write(path, record)

    for module in (plan_module, piece_module):
        monkeypatch.setattr(module, "write_record", fail)
    with pytest.raises(FileError, match=r"The disk of out is full\. Make room, and run it again: what is done stays"):
        denoise_files("in", "out", few)
    monkeypatch.undo()
    os.chdir(folder)
    assert denoise_files("in", "out", few).n_files("done") == 2


def test_a_full_disk_ends_the_batch_with_a_sentence_and_what_is_done_stays(folder, few, monkeypatch):
    def fail(file, values):
        raise OSError(errno.ENOSPC, "No space left on device")

    steps = iter(BatchTask(["in"], "out", few, n_workers=1))
    next(steps)
    monkeypatch.setattr(np, "save", fail)
    with pytest.raises(FileError, match=r"The disk of .* is full\. Make room"):
        next(steps)
    monkeypatch.undo()
    os.chdir(folder)
    task = BatchTask(["in"], "out", few)
    assert task.forecast().n_pieces_left == 4


@pytest.mark.parametrize("place", ["values", "output", "short"])
@pytest.mark.parametrize("ending", ["tif", "zarr"])
def test_a_full_disk_while_an_output_is_put_together(folder, few, monkeypatch, place, ending):
    values = tifffile.imread("in/stack.tif")
    if ending == "zarr":
        pytest.importorskip("zarr")
        write_image("in/stack.zarr", values, new_image(Image(values, "TYX")))

    def fail(*_):
        said = ["160000 requested and 7376 written"] if place == "short" else [errno.ENOSPC, "No space left on device"]
        raise OSError(*said)

    with monkeypatch.context() as patch:
        if place == "values":
            patch.setattr(os, "posix_fallocate", fail, raising=False)
        else:
            patch.setattr(
                f"napari_convgen.files.{'tiff.writing.write_tiff' if ending == 'tif' else 'ome_zarr.writing._store'}",
                fail,
            )
        with pytest.raises(
            FileError, match=r"The disk of out is full\. Make room, and run it again: what is done stays done\."
        ):
            denoise_files(f"in/stack.{ending}", "out", few)
    assert not Path(f"out/stack.{ending}").exists()
    task = BatchTask([f"in/stack.{ending}"], "out", few)
    assert task.result().files[0].n_done == 2
    assert task.finish().n_files("done") == 1


def test_a_disk_that_is_too_small_is_refused(folder, few, monkeypatch):
    Usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(run_module.shutil, "disk_usage", lambda path: Usage(100, 0, 100))
    with pytest.raises(FileError, match=r"The outputs need about .*, but only 0\.1 KiB are free on the disk of out"):
        BatchTask(["in"], "out", few)
    looked = BatchTask(["in"], "out", few, memory=1e-6, is_run=False)
    assert (looked.result().n_files("unfinished"), looked.damaged()) == (2, ())


def test_a_forecast_counts_pieces_time_memory_and_disk(folder, few):
    forecast = BatchTask(["in"], "out", few, n_workers=2).forecast()
    assert (forecast.n_files, forecast.n_pieces, forecast.n_pieces_left, forecast.n_workers) == (2, 5, 5, 2)
    assert forecast.seconds == forecast.total.wall / 2
    assert forecast.total.cpu > 0
    assert forecast.n_disk_bytes > tifffile.imread("in/plane.tif").nbytes
    assert str(forecast).startswith("2 files, 5 pieces, 5 of them to do. At most ")
    assert not Path("out").exists()


def test_the_memory_of_a_piece_does_not_depend_on_how_many_there_are(few):
    config = few.replace(
        {"generator.n_channels": 1, "n_steps": 500, "snapshot_memory": 1000.0}
    )  # snapshots are most of it
    short, long = (Cut.of_prepared(Prepared(np.random.default_rng(0).random((n, 64, 64)), config)) for n in (1, 20))
    assert (short.n_pieces, long.n_pieces) == (1, 20)
    assert long.n_bytes == short.n_bytes > 10 * 64 * 64 * 8


def test_the_memory_of_the_process_that_hands_out_the_pieces_is_counted_and_few_workers_are_told(folder, few):
    worker, client = (BatchTask(["in"], "out", few)._worker_bytes, PROCESS_BYTES)
    for n_bytes, n_workers, note in [
        (4 * worker, 3, "3 workers instead of 4: "),
        (3 * worker + client - 2**20, 2, "2 workers instead of 4: "),
        (worker, 1, "1 worker instead of 4: "),
    ]:
        task = BatchTask(["in"], "out", few, n_workers=4, memory=n_bytes / 2**30)
        assert task.n_workers == n_workers
        assert task.notes[0].startswith(note)
    task = BatchTask(["in"], "out", few, n_workers=4, memory=(4 * worker + client + 4 * 2**20) / 2**30)
    assert (task.n_workers, task.notes) == (4, BatchTask(["in"], "out", few).notes)
    assert task.forecast().n_bytes <= 4 * worker + client + 4 * 2**20


def test_the_memory_of_an_image_that_is_read_as_a_whole_is_counted(folder, few, monkeypatch):
    at_once = BatchTask(["in/plane.tif"], "out", few, n_workers=2)
    monkeypatch.setattr("napari_convgen.files.tiff.pages.LARGEST_READ", 0)
    as_needed = BatchTask(["in/plane.tif"], "out", few, n_workers=2)
    n_bytes = tifffile.imread("in/plane.tif").nbytes
    assert at_once.n_workers == as_needed.n_workers == 2
    assert at_once.forecast().n_bytes == as_needed.forecast().n_bytes + (2 + N_COPIES_READ) * n_bytes
    monkeypatch.undo()
    os.chdir(folder)

    monkeypatch.setattr(ImageFile, "n_held_bytes", 2**31)
    with pytest.raises(ShortMemoryError, match=r"in/plane\.tif is read as a whole, 2\.0 GiB\. Save it in a format"):
        BatchTask(["in/plane.tif"], "out", few, memory=4)
