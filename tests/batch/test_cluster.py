"""The workers of a Dask cluster give the same files."""

import pytest

from napari_convgen.batch.run import BatchTask, denoise_files
from napari_convgen.errors import DeviceError

distributed = pytest.importorskip("distributed")


def test_a_cluster_gives_the_same_files(folder, few, hashes):
    denoise_files("in", "whole", few)
    options = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster:
        address = cluster.scheduler_address
        task = BatchTask(["in"], "out", few, scheduler=address)
        assert task.n_workers == 2
        assert task.finish().n_files("done") == 2
    assert hashes(folder / "out") == hashes(folder / "whole")


def test_a_scheduler_that_is_not_there_is_refused(folder, few, monkeypatch):
    monkeypatch.setattr("napari_convgen.batch.cluster.TIMEOUT", "0.5s")
    with pytest.raises(DeviceError, match=r"There is no Dask scheduler at tcp://127\.0\.0\.1:9\."):
        BatchTask(["in"], "out", few, scheduler="tcp://127.0.0.1:9")
