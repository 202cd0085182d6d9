import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_convgen.core.snapshot import (
    GeneratorUnits,
    Outcome,
    Snapshot,
    SnapshotStore,
    StopReason,
    next_snapshot_step,
)

IMAGE = np.zeros((4, 4))
N_BYTES = 2 * IMAGE.nbytes


def store_with(steps, max_bytes=np.inf, keep=None):
    store = SnapshotStore(max_bytes, GeneratorUnits(), "average")
    for step in steps:
        store.add(step, 1 / step, 2 / step, IMAGE, IMAGE)
        store.thin(keep=[step if keep is None else keep])
    return store


def schedule(n_steps):
    steps = [1]
    while steps[-1] < n_steps:
        steps.append(next_snapshot_step(steps[-1]))
    return steps


@settings(deadline=None)
@given(st.integers(1, 10_000_000))
def test_the_next_snapshot_is_later_by_one_step_or_a_twentieth(step):
    assert step < next_snapshot_step(step) <= max(step + 1, 1.05 * step)


def test_snapshots_are_dense_early_and_sparse_late():
    steps = schedule(3000)
    assert steps[:40] == list(range(1, 41))
    gaps = np.diff(steps)
    assert (np.diff(gaps) >= 0).all()
    assert gaps[-1] > 100
    assert len(steps) < 150


def test_the_image_of_a_snapshot_is_the_one_that_was_asked_for():
    iterate, average = np.zeros(2), np.ones(2)
    assert Snapshot(1, 0.0, 0.0, iterate, average, output="average").image is average
    assert Snapshot(1, 0.0, 0.0, iterate, average, output="iterate").image is iterate


def test_a_reason_reads_as_its_sentence():
    assert str(StopReason(Outcome.USER, "Stopped by the user.")) == "Stopped by the user."


def test_snapshots_are_restored_and_found_by_step():
    class Tenths:
        def restore(self, values):
            return (10 * values).astype(np.uint8)

        def restore_error(self, error, values):
            return (error * values).astype(np.float32)

    store = SnapshotStore(np.inf, Tenths(), "iterate")
    store.add(3, 0.5, 0.25, np.full((2, 2), 1.0), np.full((2, 2), 2.0), np.full((2, 2), 7.0))
    assert (len(store), store.steps, store.get(4)) == (1, [3], None)
    snapshot = store.get(3)
    assert [snapshot] == list(store)
    assert (snapshot.step, snapshot.loss, snapshot.criterion, snapshot.output) == (3, 0.5, 0.25, "iterate")
    assert snapshot.iterate.dtype == np.uint8
    assert (snapshot.iterate == 10).all()
    assert (snapshot.average == 20).all()
    assert (snapshot.expected_error == 7).all()
    store.add(4, 0.5, 0.25, np.full((2, 2), 3.0), np.full((2, 2), 2.0))
    assert store[4].expected_error is None
    assert snapshot.n_bytes == 4 + 4 + 16


@settings(deadline=None, max_examples=30)
@given(n_steps=st.integers(1, 300), room=st.integers(2, 30), keep=st.integers(1, 60))
def test_memory_stays_within_the_bound_and_the_kept_and_the_last_step_stay(n_steps, room, keep):
    steps = schedule(n_steps)
    kept = min(keep, 40, steps[-1])
    store = SnapshotStore(room * N_BYTES, GeneratorUnits(), "average")
    for step in steps:
        store.add(step, 0.0, 0.0, IMAGE, IMAGE)
        best = min(step, kept)
        store.thin(keep=[best])
        assert len(store) <= room
        assert {best, step} <= set(store.steps)
    assert len(store) + store.n_dropped == len(steps)


def test_thinning_leaves_the_rest_evenly_spread():
    store = store_with(range(1, 101))
    store.thin(keep=[], max_bytes=30 * N_BYTES)
    assert store.steps == [*range(1, 100, 4), 100]


@pytest.mark.parametrize("room", [0, 1])
def test_what_must_be_kept_is_kept_even_beyond_the_bound(room):
    store = store_with(range(1, 20), max_bytes=room * N_BYTES, keep=1)
    assert store.steps == [1, 19]


def test_nothing_is_dropped_within_the_bound():
    store = store_with(range(1, 11), max_bytes=10 * N_BYTES)
    assert store.steps == list(range(1, 11))
    assert store.n_dropped == 0


def test_what_comes_after_a_step_is_cut():
    store = store_with(range(1, 11))
    store.cut(7)
    assert store.steps == list(range(1, 8))
