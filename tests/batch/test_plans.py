"""Many small files are planned by several processes, with the plans of one."""

import multiprocessing
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_convgen import cli
from napari_convgen.batch import plans as plans_module
from napari_convgen.batch.cut import Cut
from napari_convgen.batch.forecast import PROCESS_BYTES
from napari_convgen.batch.plan import Plan
from napari_convgen.batch.run import BatchTask, denoise_files
from napari_convgen.cli.commands import batch as command
from napari_convgen.core.image import Image
from napari_convgen.errors import FileError, FitError, ShortMemoryError
from napari_convgen.files.images import new_image, write_image


@pytest.fixture(autouse=True)
def _few_are_many(monkeypatch):
    monkeypatch.setattr(plans_module, "FEWEST", 1)


@pytest.fixture
def looked_at(monkeypatch):
    """Names of the files that this process looks at itself."""
    names, look = [], Cut.of
    monkeypatch.setattr(Cut, "of", lambda path, request: names.append(path.name) or look(path, request))
    return names


def test_several_processes_make_the_plans_of_one(folder, few, monkeypatch, looked_at):
    tifffile.imwrite("in/large.tif", np.random.default_rng(0).normal(100, 9, (40, 48)), photometric="minisblack")
    monkeypatch.setattr(plans_module, "LARGEST_SMALL", Path("in/large.tif").stat().st_size - 1)
    told = []
    several = BatchTask(["in"], "out", few, n_workers=2, planned=lambda *numbers: told.append(numbers)).plans
    assert looked_at == ["large.tif"]
    assert told == [(1, 3), (2, 3), (3, 3)]
    one = BatchTask(["in"], "out", few).plans
    assert looked_at == ["large.tif", "large.tif", "plane.tif", "stack.tif"]
    for plan, other in zip(several, one, strict=True):
        assert (plan.path, plan.digest, plan.cut, plan.request) == (other.path, other.digest, other.cut, other.request)


def test_few_files_are_planned_by_this_process(folder, few, monkeypatch, looked_at):
    monkeypatch.setattr(plans_module, "FEWEST", 2)
    BatchTask(["in"], "out", few, n_workers=2)
    assert looked_at == ["plane.tif", "stack.tif"]
    for number in range(2):
        shutil.copy("in/stack.tif", f"in/{number}.tif")
    looked_at.clear()
    BatchTask(["in"], "out", few, n_workers=2)
    assert looked_at == []


def test_the_memory_bounds_the_processes_that_look_at_files(folder, few, looked_at):
    BatchTask(["in"], "out", few, n_workers=2, memory=2.9 * PROCESS_BYTES / 2**30)
    assert looked_at == ["plane.tif", "stack.tif"]
    looked_at.clear()
    BatchTask(["in"], "out", few, n_workers=2, memory=3.1 * PROCESS_BYTES / 2**30)
    assert looked_at == []


def test_folders_for_pieces_are_listed_once_however_many_files_there_are(folder, few, monkeypatch):
    """A folder has one entry for each file that is not finished, so that a list for each file takes long."""
    listed = []
    for name in ("listdir", "scandir"):
        look = getattr(os, name)
        monkeypatch.setattr(os, name, lambda path=".", look=look: listed.append(Path(path).name) or look(path))
    counts = []
    for n_more in (0, 5):
        for number in range(n_more):
            shutil.copy("in/plane.tif", f"in/{number}.tif")
        listed.clear()
        task = BatchTask(["in"], "out", few)
        task._begin()
        counts.append(listed.count(".pieces"))
    assert counts[0] == counts[1] > 0


def test_plans_for_others_of_other_files_stay(folder, few, looked_at):
    BatchTask(["in/plane.tif"], "out", few, part=(1, 2))
    denoise_files("in/stack.tif", "out", few)
    looked_at.clear()
    BatchTask(["in/plane.tif"], "out", few, part=(2, 2))
    assert looked_at == []


def test_images_that_are_no_files_are_planned_by_this_process(folder, few, looked_at):
    values = np.random.default_rng(0).normal(100, 9, (20, 24)).astype(np.float32)
    write_image(Path("in/folder.ome.zarr"), values, new_image(Image(values, "YX")))
    BatchTask(["in"], "out", few, n_workers=2)
    assert looked_at == ["folder.ome.zarr"]


def test_a_file_that_is_refused_by_another_process_is_told(folder, few, looked_at):
    Path("in/damaged.tif").write_bytes(b"II*\0 nothing more")
    with pytest.raises(FileError, match=r"in/damaged\.tif .* 1 of 3 files are refused"):
        BatchTask(["in"], "out", few, n_workers=2)
    assert looked_at == []


def test_processes_that_cannot_be_started_are_told(folder, few, monkeypatch):
    monkeypatch.setattr(plans_module, "begin_process", _end)
    with pytest.raises(FitError, match=r"cannot be started\. In a script, call denoise_files under if __name__"):
        BatchTask(["in"], "out", few, n_workers=2)


def _end():
    os._exit(1)


class Slow:
    """Plans of which one takes long."""

    @staticmethod
    def of(path, request, *, is_shared):
        if path.name == "stack.tif":
            time.sleep(60)
        return Plan.of(path, request, is_shared=is_shared)


def test_ctrl_c_does_not_wait_for_files_that_are_looked_at(folder, few, monkeypatch):
    monkeypatch.setattr(plans_module, "Plan", Slow)

    def interrupt(n, n_files):
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        BatchTask(["in"], "out", few, n_workers=2, planned=interrupt)
    assert time.monotonic() - started < 40
    assert not multiprocessing.active_children()


def test_that_many_files_are_looked_at_is_shown(folder, few, monkeypatch, capsys):
    Path("few.toml").write_text(few.to_toml())
    arguments = ["batch", "in", "-o", "out", "--config", "few.toml", "--workers", "1", "--status"]
    assert cli.main(arguments) == 0
    assert "Looking at file" not in capsys.readouterr().err
    monkeypatch.setattr(command, "MANY_FILES", 2)
    assert cli.main(arguments) == 0
    assert "Looking at file 1 of 2" in capsys.readouterr().err


def test_parts_that_start_at_the_same_moment_share_the_looking(folder, few, looked_at, hashes):
    for number in range(6):
        shutil.copy("in/stack.tif", f"in/{number}.tif")
    denoise_files("in", "whole", few)
    alone = BatchTask(["in"], "alone", few)
    looked_at.clear()
    tasks = [BatchTask(["in"], "out", few, part=(number, 4)) for number in (2, 4, 1, 3)]
    names = [path.name for path in sorted(Path("in").glob("*.tif"))]
    assert looked_at == names[2:] + names[:2]
    assert all([each.cut for each in task.plans] == [each.cut for each in alone.plans] for task in tasks)
    assert all([each.path for each in task.plans] == [each.path for each in alone.plans] for task in tasks)
    for task in tasks:
        task.finish()
        assert not list(Path("out/.pieces").glob("*.json"))
    assert hashes(folder / "out") == hashes(folder / "whole")
    assert not Path("out/.pieces").exists()


def test_parts_plan_their_own_files_first_by_several_processes_too(folder, few, looked_at):
    seen = []

    def note(n, n_files):
        [shared] = Path("out/.pieces").glob("*.json") if n == 1 else [None]
        seen.append(shared and shared.name[:9])

    BatchTask(["in"], "out", few, part=(2, 2), planned=note)
    assert seen[0] == "stack.tif"
    looked_at.clear()
    plans = BatchTask(["in"], "out", few, part=(1, 2), n_workers=2).plans
    assert ([plan.path.name for plan in plans], looked_at) == (["plane.tif", "stack.tif"], [])


def test_plans_for_other_parts_are_no_longer_there_if_a_batch_is_refused_or_only_predicted(folder, few):
    Path("few.toml").write_text(few.to_toml())
    for option in ("--dry-run", "--status"):
        assert cli.main(["batch", "in", "-o", "out", "--config", "few.toml", "--part", "1/2", option, "--quiet"]) == 0
        assert not Path("out").exists()
    for name in ("damaged", "worse"):
        Path(f"in/{name}.tif").write_bytes(b"II*\0 nothing more")
    with pytest.raises(FileError, match=r"in/damaged\.tif .* 2 of 4 files are refused"):  # this part begins behind it
        BatchTask(["in"], "out", few, part=(2, 2))
    assert not Path("out").exists()
    for name in ("damaged", "worse"):
        Path(f"in/{name}.tif").unlink()
    Path("out").mkdir()
    with pytest.raises(ShortMemoryError):
        BatchTask(["in"], "out", few, part=(2, 2), memory=0.001)
    assert not list(Path("out").iterdir())


def test_plans_that_an_ended_batch_has_left_are_used_and_those_of_other_settings_are_in_nobodys_way(
    folder, few, looked_at
):
    BatchTask(["in"], "out", few, part=(1, 2))  # ended before it began
    looked_at.clear()
    other = few.replace({"seed": 1})
    assert denoise_files("in", "out", other).n_files("done") == 2
    assert len(looked_at) == 2
    assert not Path("out/.pieces").exists()
    BatchTask(["in"], "again", few, part=(1, 2))
    looked_at.clear()
    assert denoise_files("in", "again", few).n_files("done") == 2
    assert (looked_at, Path("again/.pieces").exists()) == ([], False)
