"""Many small files are planned by several processes, with the plans of one."""

import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_convgen import cli
from napari_convgen.batch import plans as plans_module
from napari_convgen.batch.cut import Cut
from napari_convgen.batch.plan import Plan
from napari_convgen.batch.run import BatchTask
from napari_convgen.cli.commands import batch as command
from napari_convgen.errors import FileError, FitError


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
    def of(path, request):
        if path.name == "stack.tif":
            time.sleep(60)
        return Plan.of(path, request)


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
